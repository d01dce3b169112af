#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Hostile OpenFlow 1.3 peers over sockets, beside two switches that behave and are linked.

  of_hostile.py PORT PANECTL SOCKET

Whatever one peer says, the two keep their sessions and their link, no other link is made, and the controller goes on.
Prints "ok" or "FAIL" for each thing that must hold; the exit status is the number of failures.
"""
import json
import random
import select
import socket
import struct
import subprocess
import sys
import time

HELLO, ERROR, ECHO_REQUEST, ECHO_REPLY, FEATURES, FEATURES_REPLY = 0, 1, 2, 3, 5, 6
PACKET_IN, PORT_STATUS, PACKET_OUT, FLOW_MOD, MP_REQUEST, MP_REPLY, BARRIER, BARRIER_REPLY = 10, 12, 13, 14, 18, 19, 20, 21
PORT_DESC = 13
MP_FLOW, MP_METER_CONFIG = 1, 10
PORT, PANECTL, SOCKET = int(sys.argv[1]), sys.argv[2], sys.argv[3]

failures = 0
peers = []


def check(text, holds):
    global failures
    print("ok   " if holds else "FAIL ", text, flush=True)
    failures += not holds


def panectl(statement):
    done = subprocess.run([PANECTL, "--socket", SOCKET, "--json", statement], capture_output=True, text=True, check=False)
    return json.loads(done.stdout).get("items", [])


def message(kind, body=b"", xid=7, version=4, length=None):
    return struct.pack("!BBHI", version, kind, 8 + len(body) if length is None else length, xid) + body


def port_bytes(dpid, number, state=0):
    mac = bytes([2, 0x77, 0, 0, dpid, number % 256])
    return struct.pack("!I4x6s2x16sIIIIIIII", number, mac, f"t{dpid}-{number}".encode(), 0, state, 64, 0, 0, 0, 10000000, 10000000)


class Peer:
    """Answers as a switch with ports 1 to 3 does. reads False: never looks at what it is told."""

    def __init__(self, dpid, reads=True):
        self.dpid, self.reads, self.rest, self.said, self.probes, self.closed = dpid, reads, b"", b"", {}, False
        self.flow_mods, self.withholds = 0, ()
        self.sock = socket.create_connection(("127.0.0.1", PORT))
        self.send(message(HELLO, struct.pack("!HHI", 1, 8, 1 << 4), 1))
        peers.append(self)

    def send(self, data):
        self.said += data
        try:
            self.sock.sendall(data)
        except OSError:
            self.closed = True

    def packet_in(self, port, frame):
        match = struct.pack("!HHIIIxxxx", 1, 12, 0x80000004, port, 0)[:16]
        self.send(message(PACKET_IN, struct.pack("!IHBBQ", 0xFFFFFFFF, len(frame), 0, 0, 0) + match + b"\0\0" + frame, 0))

    def port_status(self, reason, number, state=0):
        self.send(message(PORT_STATUS, struct.pack("!B7x", reason) + port_bytes(self.dpid, number, state), 0))

    def multipart(self, kind, xid):
        if kind in self.withholds:
            return
        body = b"".join(port_bytes(self.dpid, n) for n in (1, 2, 3)) if kind == PORT_DESC else b""
        self.send(message(MP_REPLY, struct.pack("!HH4x", kind, 0) + body, xid))

    def take(self, kind, xid, body):
        if kind == ECHO_REQUEST:
            self.send(message(ECHO_REPLY, body, xid))
        elif kind == FEATURES:
            self.send(message(FEATURES_REPLY, struct.pack("!QIBB2xII", self.dpid, 0, 254, 0, 0, 0), xid))
        elif kind == MP_REQUEST:
            self.multipart(struct.unpack_from("!H", body)[0], xid)
        elif kind == BARRIER:
            self.send(message(BARRIER_REPLY, b"", xid))
        elif kind == FLOW_MOD:
            self.flow_mods += 1
        elif kind == PACKET_OUT:
            n_actions = struct.unpack_from("!H", body, 8)[0]
            port, frame = struct.unpack_from("!I", body, 20)[0], body[16 + n_actions:]
            if frame[12:14] == b"\x88\xcc":
                self.probes[port] = frame

    def readable(self):
        try:
            data = self.sock.recv(1 << 16)
        except OSError:
            data = b""
        if not data:
            self.closed = True
            return
        self.rest += data
        while len(self.rest) >= 8 and len(self.rest) >= struct.unpack_from("!H", self.rest, 2)[0]:
            _, kind, length, xid = struct.unpack_from("!BBHI", self.rest)
            self.take(kind, xid, self.rest[8:length])
            self.rest = self.rest[length:]


def carry():
    """Port 1 of the first goes to port 1 of the second."""
    for a, b in ((0, 1), (1, 0)):
        if 1 in peers[a].probes:
            peers[b].packet_in(1, peers[a].probes.pop(1))


def run(seconds, until=lambda: False):
    end = time.monotonic() + seconds
    while time.monotonic() < end and not until():
        alive = [p for p in peers if not p.closed and p.reads]
        for peer in alive:
            if peer.sock in select.select([p.sock for p in alive], [], [], 0.01)[0]:
                peer.readable()
        carry()
    return until()


def n_links():
    return len([item for item in panectl("links.") if item["both_ways"]])


def linked():
    return n_links() == 1


def unharmed(text):
    run(0.3)  # a link that is old, as these two carried nothing meanwhile, is found again
    check(f"{text}: the others do not notice", run(20, linked) and not peers[0].closed and not peers[1].closed)


def drop(peer):
    peer.sock.close()
    peers.remove(peer)


def ends(peer, seconds=40):
    return run(seconds, lambda: peer.closed)


def arp(mac, address):
    head = b"\xff" * 6 + mac + b"\x08\x06\0\1\x08\0\6\4\0\1"
    return head + mac + bytes(map(int, address.split("."))) + b"\0" * 28


def identities():
    twin = Peer(1)
    check("a second switch of the same number is shown out", ends(twin))
    unharmed("of it")
    drop(twin)


def ports():
    liar = Peer(9)
    run(1.5)  # until its ports are settled
    frame = arp(b"\2\0\0\0\0\x99", "10.9.9.9")
    liar.packet_in(77, frame)
    liar.packet_in(0xFFFFFFFE, frame)
    liar.port_status(0, 0xFFFFFFFE)
    liar.port_status(1, 55)
    liar.port_status(2, 56, 1)
    liar.packet_in(56, frame)
    run(0.2)
    check("hosts at ports that it has not, or that are down, are not believed", not any(h.get("address") == "10.9.9.9" for h in panectl("hosts.")))
    check("nor is its session at fault", not liar.closed)
    for number in range(100, 6000):
        liar.port_status(0, number)
        if number % 500 == 0:
            run(0.01)  # the others are answered meanwhile
    check("who has ports without end is shown out", ends(liar, 300))
    unharmed("of it")
    drop(liar)


def probes():
    host, port = peers[1], 3  # it is behind port 3 of the second, and has seen a probe of the first
    run(60, lambda: 2 in peers[0].probes)
    seen = peers[0].probes[2]
    for at in (44, 50, 60, 70):  # what it says, and the tag over it
        host.packet_in(port, seen[:at] + bytes([seen[at] ^ 1]) + seen[at + 1:])
    forged = b"\x01\x80\xc2\0\0\x0e" + b"\2\0\0\0\0\x66" + b"\x88\xcc" + b"\x02\x07\x04\2\0\0\0\0\x66" + b"\x04\x02\x07\x31" + b"\x06\x02\0\x78\0\0"
    host.packet_in(port, forged)
    run(0.5)
    check("a probe that a host makes up makes no link", run(20, linked) and len(panectl("links.")) == 1)
    for state in (1, 0) * 6:  # a port that goes and comes makes for rounds of probes, of which the last 8 are valid
        peers[0].probes.pop(3, None)
        peers[0].port_status(2, 2, state)
        run(20, lambda: 3 in peers[0].probes)
    host.packet_in(port, seen)
    run(0.5)
    check("nor one that it has kept", run(20, linked) and len(panectl("links.")) == 1)


def spoofing():
    peers[0].packet_in(3, arp(b"\2\0\0\0\0\x01", "10.0.0.1"))
    run(0.3)
    peers[1].packet_in(2, arp(b"\2\0\0\0\0\x02", "10.0.0.1"))

    def contested():
        hosts = [h for h in panectl("hosts.") if h.get("address") == "10.0.0.1"]
        return len(hosts) == 2 and all(h["contested"] for h in hosts)

    check("an address that two hosts claim is told as such", run(20, contested))


def whole_messages(data, count):
    at = 0
    for _ in range(count):
        at += struct.unpack_from("!H", data, at + 2)[0] if at + 4 <= len(data) else 0
    return data[:at]


def bytes_of_all_kinds():
    session = whole_messages(peers[0].said, 20)
    wrong = {
        "a length under 8": message(ECHO_REQUEST, b"", length=4),
        "a length that is too short for its kind": message(PACKET_IN, b"\0" * 4),
        "a version that was not agreed": message(ECHO_REPLY, b"") + message(BARRIER_REPLY, b"", version=1),
        "a kind that there is not": message(99, b"\0" * 8),
        "an answer whose entries run over": message(MP_REPLY, struct.pack("!HH4x", MP_FLOW, 0) + struct.pack("!HBx", 4000, 0)),
        "noise": bytes(random.Random(7).randrange(256) for _ in range(4000)),
    }
    harmless = ("an answer whose entries run over", "noise")  # the session may go on, or wait for the rest
    for text, data in wrong.items():
        peer = Peer(9)
        run(0.2)
        peer.send(data)
        run(0.3 if text in harmless else 40, lambda p=peer: p.closed)
        if text not in harmless:
            check(f"{text} ends the session", peer.closed)
        drop(peer)
    unharmed("of all that")
    cut = Peer(9)
    run(0.2)
    cut.send(message(PACKET_IN, b"\0" * 500)[:100])
    run(0.3)
    drop(cut)
    unharmed("a message cut off by the end")
    again = Peer(9)
    run(0.2)
    again.send(session)  # what the first one said, in the session of another
    run(0.5)
    check("the session of another said again does not make it that one", not peers[0].closed)
    drop(again)
    peers[0].send(session)
    unharmed("a session said twice")


def not_reading():
    sent = 0
    deaf = Peer(9, reads=False)
    deaf.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.send(message(FEATURES_REPLY, struct.pack("!QIBB2xII", 9, 0, 254, 0, 0, 0)))
    deaf.send(message(MP_REPLY, struct.pack("!HH4x", PORT_DESC, 0) + port_bytes(9, 1)))
    much = message(ECHO_REQUEST, b"\0" * 60000)
    for i in range(2000):
        deaf.send(much)
        if i % 20 == 0:
            run(0.01)  # the others are answered meanwhile
        sent += len(much)
        if deaf.closed:
            break
    check("a switch that does not read is shown out", deaf.closed)
    check(f"when no more than 16 MB wait for it, and the buffers of sockets ({sent >> 20} MB)", sent < 64 << 20)
    drop(deaf)
    unharmed("of it")


def withholding(silent):
    check("a switch that does not say its entries is shown out", ends(silent, 300))
    drop(silent)
    unharmed("of it")


def main():
    Peer(1)
    Peer(2)
    silent = Peer(8)
    silent.withholds = (MP_FLOW,)
    check("two switches that behave are linked", run(60, linked))
    check("and get their entries", run(60, lambda: peers[0].flow_mods > 0 and peers[1].flow_mods > 0))
    for part in (identities, ports, probes, spoofing, bytes_of_all_kinds, not_reading):
        part()
    withholding(silent)
    check("the controller goes on", len(panectl("hosts.")) > 0)
    sys.exit(failures)


main()
