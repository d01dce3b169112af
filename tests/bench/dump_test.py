#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# pane-bench compile --dump against a slow program of its own: random policies, random packets; the first line of the
# dump that holds a packet must say what SPEC 5 says of the policy. Shares nothing with the switch, not even the parser.
#   dump_test.py PANE_BENCH     PANE_SEED, PANE_ROUNDS: as in the other random tests
import ipaddress
import json
import os
import random
import re
import subprocess
import sys
import tempfile

PROTOS = {"ICMP": 1, "TCP": 6, "UDP": 17, "ICMPv6": 58, "SCTP": 132}
WITH_PORTS = (6, 17, 132)


def parse_field(text):
    """NAME=VALUE -> (name, [(lo, hi)] or a set of kinds)"""
    name, value = text.split("=", 1)
    items = value.strip("{}").split(",")
    if name == "kind":
        return name, set(items)
    spans = []
    for item in items:
        if name in ("srcHost", "dstHost"):
            net = ipaddress.ip_network(item)
            spans.append((net.version, int(net[0]), int(net[-1])))
        elif item in PROTOS:
            spans.append((PROTOS[item], PROTOS[item]))
        else:
            lo, _, hi = item.partition("-")
            spans.append((int(lo), int(hi or lo)))
    return name, spans


def parse_group(text):
    inner = text.strip()[1:-1]
    if inner == "*":
        return []
    # commas inside braces separate values, the others fields
    return [parse_field(f.strip()) for f in re.split(r",\s*(?![^{]*\})", inner)]


def holds(group, packet):
    for name, spans in group:
        if name == "kind":
            if packet["kind"] not in spans:
                return False
        elif name in ("srcHost", "dstHost"):
            if not any(s[0] == packet["version"] and s[1] <= packet[name] <= s[2] for s in spans):
                return False
        elif packet.get(name) is None or not any(lo <= packet[name] <= hi for lo, hi in spans):
            return False
    return True


def random_address(rnd):
    return "10.%d.%d.%d" % (rnd.randrange(2), rnd.randrange(2), rnd.randrange(3))


def random_group(rnd):
    fields = []
    for name in ("srcHost", "dstHost"):
        if rnd.random() < 0.5:
            fields.append("%s=%s/%d" % (name, random_address(rnd), rnd.choice((8, 16, 24, 32))))
    if rnd.random() < 0.3:
        fields.append("transport=" + rnd.choice(("TCP", "UDP", "ICMP", "47")))
    elif rnd.random() < 0.5:
        lo = rnd.choice((0, 80, 443, 1000))
        fields.append("%s=%d-%d" % (rnd.choice(("srcPort", "dstPort")), lo, lo + rnd.choice((0, 1000))))
    if rnd.random() < 0.1:
        fields.append("vlan=%d" % rnd.choice((0, 7)))
    # prefixes in the group are written with host bits, which are ignored
    text = "(" + (", ".join(fields) or "*") + ")"
    strict = re.sub(r"(\d+\.\d+\.\d+\.\d+)/(\d+)", lambda m: str(ipaddress.ip_network(m.group(0), strict=False)), text)
    return text, parse_group(strict)


def random_packet(rnd):
    kind = rnd.choice(("ip4ports",) * 6 + ("ip4", "ip4", "nonip"))
    packet = {"kind": kind, "vlan": rnd.choice((0, 0, 7)), "version": 0}
    if kind != "nonip":
        packet["version"] = 4
        packet["srcHost"] = int(ipaddress.ip_address(random_address(rnd)))
        packet["dstHost"] = int(ipaddress.ip_address(random_address(rnd)))
        packet["transport"] = rnd.choice(WITH_PORTS if kind == "ip4ports" else (1, 6, 47))
    if kind == "ip4ports":
        packet["srcPort"] = rnd.choice((0, 80, 500, 1080, 1443, 2000, 2001))
        packet["dstPort"] = rnd.choice((0, 80, 500, 1080, 1443, 2000, 2001))
    return packet


def random_policy(rnd):
    """The script, the share tree as parents, and the atoms (number, share, group, action)."""
    parents, may_allow, names = [None], [True], ["rootShare"]
    lines, atoms = [], []
    for i in range(1, rnd.randrange(2, 7)):
        parent = rnd.randrange(i)
        may = may_allow[parent] and rnd.random() < 0.8
        names.append("s%d" % i)
        parents.append(parent)
        may_allow.append(may)
        lines.append("root : NewShare s%d for (*) [allow = %s, reserve <= 100000, ratelimit >= 0, waypoint = *, avoid = *]"
                     " on %s." % (i, may, names[parent]))
    counts = {"reserve": 0, "ratelimit": 0, "avoid": 0}
    for number in range(1, rnd.randrange(3, 14)):
        verb = rnd.choice(("allow", "deny", "reserve", "ratelimit", "waypoint", "avoid"))
        share = rnd.randrange(len(parents))
        if verb in counts:
            counts[verb] += 1
            if counts[verb] > 8:
                verb = "deny"
        if verb == "allow" and not may_allow[share]:
            verb = "deny"
        text, group = random_group(rnd)
        value, access = "", "allow" if may_allow[share] else "none"
        if verb in ("allow", "deny"):
            access = verb
        elif verb in ("reserve", "ratelimit"):
            value = " = 5"
        elif verb == "waypoint":
            value = " = 192.168.0.%d, 192.168.1.%d" % (number, number)
        else:
            value = " = 192.168.2.%d" % (number % 3)
        lines.append("root : %s%s%s partial on %s." % (verb, text, value, names[share]))
        atoms.append({"number": number, "share": share, "group": group, "verb": verb, "access": access,
                      "value": [a.strip() for a in value[3:].split(",")]})
    return lines, parents, atoms


def join(a, b):
    order = ("none", "allow", "deny")
    ways = [w for w in (a["way"], b["way"]) if w is not None]
    return {"access": max(a["access"], b["access"], key=order.index), "way": min(ways) if ways else None,
            **{part: a[part] | b[part] for part in ("reservations", "limits", "avoid")}}


NONE = {"access": "none", "way": None, "reservations": frozenset(), "limits": frozenset(), "avoid": frozenset()}


def action_of(atom):
    action = dict(NONE, access=atom["access"])
    if atom["verb"] == "reserve":
        action["reservations"] = frozenset([atom["number"]])
    elif atom["verb"] == "ratelimit":
        action["limits"] = frozenset([atom["number"]])
    elif atom["verb"] == "avoid":
        action["avoid"] = frozenset(atom["value"])
    elif atom["verb"] == "waypoint":
        action["way"] = atom["number"]
    return action


def evaluate(parents, atoms, node, packet):
    own, children = NONE, NONE
    for atom in atoms:
        if atom["share"] == node and holds(atom["group"], packet):
            own = join(own, action_of(atom))
    for child, parent in enumerate(parents):
        if parent == node:
            children = join(children, evaluate(parents, atoms, child, packet))
    both = join(own, children)
    both["access"] = children["access"] if children["access"] != "none" else own["access"]
    both["way"] = children["way"] if children["way"] is not None else own["way"]
    return both


def find(rows, packet):
    for row in rows:
        if any(holds(group, packet) for group in row["parsed"]):
            return row
    return {"access": "none", "reservations": [], "limits": [], "waypoints": [], "avoid": []}


def check_policy(bench, rnd, path):
    lines, parents, atoms = random_policy(rnd)
    with open(path, "w", encoding="ascii") as f: # set-up: the bench stops where one is refused
        f.write("\n".join(lines) + "\n// BEGIN\nroot : ListShares.\n")
    out = subprocess.run([bench, "compile", path, "--dump"], stdout=subprocess.PIPE, check=True, encoding="ascii")
    rows = [json.loads(line) for line in out.stdout.splitlines()]
    for row in rows:
        row["parsed"] = [parse_group(text) for text in row["groups"]]
    ways = {atom["number"]: atom["value"] for atom in atoms if atom["verb"] == "waypoint"}
    for _ in range(400):
        packet = random_packet(rnd)
        want, got = evaluate(parents, atoms, 0, packet), find(rows, packet)
        same = (want["access"] == got["access"] and sorted(want["reservations"]) == got["reservations"] and
                sorted(want["limits"]) == got["limits"] and want["avoid"] == set(got["avoid"]) and
                ways.get(want["way"], []) == got["waypoints"])
        if not same:
            print("\n".join(lines), packet, "policy:", want, "table:", got, sep="\n")
            return False
    return True


def main():
    seed, rounds = int(os.environ.get("PANE_SEED") or 1), int(os.environ.get("PANE_ROUNDS") or 40)
    with tempfile.TemporaryDirectory() as directory:
        for i in range(rounds):
            if not check_policy(sys.argv[1], random.Random(seed + i), os.path.join(directory, "policy.pane")):
                print("PANE_SEED=%d PANE_ROUNDS=1 repeats this" % (seed + i))
                return 1
    print("%d policies" % rounds)
    return 0


sys.exit(main())
