#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
# How compiling by parts grows with the number of requests: measures, and draws docs/compile-growth.svg.
#   plot-compile.py measure PANE_BENCH >docs/compile-growth.tsv    (some minutes)
#   plot-compile.py draw docs/compile-growth.tsv >docs/compile-growth.svg
# Trees of 85 shares, a quarter of the requests each allow, deny, reserve, ratelimit; few: nearly all name both hosts of
# 16,384; many: of 64, and fewer name both.
import json
import math
import os
import random
import subprocess
import sys
import tempfile

FAMILIES = {"few overlaps": (16384, 0.998, 1024), "many overlaps": (64, 0.9, 16)} # hosts, P(host named), ports
SIZES = {"few overlaps": (1000, 3000, 10000, 30000, 100000), "many overlaps": (1000, 3000, 10000)}


def host(base, n):
    return "10.%d.%d.%d" % (base, n >> 8, n & 255)


def policy(n, family):
    rnd = random.Random(n)
    hosts, named, ports = FAMILIES[family]
    names, lines = ["rootShare"], []
    for i in range(1, 85):
        parent = names[(i - 1) // 4]
        names.append("s%d" % i)
        lines.append("root : NewShare s%d for (*) [reserve <= 1000000, ratelimit >= 0] on %s." % (i, parent))
    lines.append("// BEGIN")
    for _ in range(n):
        fields = []
        while not fields:
            if rnd.random() < named:
                fields.append("srcHost=" + host(0, rnd.randrange(hosts)))
            if rnd.random() < named:
                fields.append("dstHost=" + host(1, rnd.randrange(hosts)))
            if rnd.random() < 0.5:
                fields += ["transport=TCP", "dstPort=%d" % (80 + rnd.randrange(ports))]
        verb, value = rnd.choice((("allow", ""), ("deny", ""), ("reserve", " = 5"), ("ratelimit", " = 50")))
        lines.append("root : %s(%s)%s partial on %s." % (verb, ", ".join(fields), value, rnd.choice(names)))
    return "\n".join(lines) + "\n"


def measure(bench):
    print("# SPDX-License-Identifier: Apache-2.0\n# family, requests, ms (median), categories")
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "policy.pane")
        for family, sizes in SIZES.items():
            for n in sizes:
                with open(path, "w", encoding="ascii") as f:
                    f.write(policy(n, family))
                out = subprocess.run([bench, "compile", path, "--no-flat", "--repeat", "3", "--json"], check=True,
                                     stdout=subprocess.PIPE)
                figures = json.loads(out.stdout)
                print(family, figures["atoms"], figures["compile_ms"], figures["categories"], sep="\t", flush=True)


WIDTH, HEIGHT, LEFT, TOP, PLOT_W, PLOT_H = 640, 370, 90, 30, 460, 280


def x_of(n):
    return LEFT + PLOT_W * (math.log10(n) - 3) / 2


def y_of(ms):
    return TOP + PLOT_H * (1 - math.log10(ms) / 5)


def text(x, y, words, anchor="middle"):
    return '<text x="%.0f" y="%.0f" text-anchor="%s">%s</text>' % (x, y, anchor, words)


def draw(path):
    with open(path, encoding="ascii") as f:
        rows = [line.rstrip("\n").split("\t") for line in f if not line.startswith("#")]
    out = ['<!-- SPDX-License-Identifier: Apache-2.0 -->', '<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" font-size="12">'
           % (WIDTH, HEIGHT), '<rect width="100%" height="100%" fill="white"/>']
    for k in range(6):
        y, label = y_of(10 ** k), "%s ms" % format(10 ** k, ",")
        out += ['<path d="M%d %.0fh%d" stroke="#ddd"/>' % (LEFT, y, PLOT_W), text(LEFT - 6, y + 4, label, "end")]
    for n in (1000, 3000, 10000, 30000, 100000):
        out += ['<path d="M%.0f %dv%d" stroke="#ddd"/>' % (x_of(n), TOP, PLOT_H),
                text(x_of(n), TOP + PLOT_H + 18, format(n, ","))]
    out.append(text(LEFT + PLOT_W / 2, TOP + PLOT_H + 40, "requests; compiling by parts, all of them at once; at the points: categories"))
    for family, colour in zip(dict.fromkeys(row[0] for row in rows), ("#06c", "#c30")):
        points = [(x_of(float(n)), y_of(float(ms)), c) for name, n, ms, c in rows if name == family]
        out.append('<path d="M%s" fill="none" stroke="%s" stroke-width="2"/>' %
                   (" L".join("%.1f %.1f" % p[:2] for p in points), colour))
        for x, y, categories in points: # their number above the one line, below the other
            out += ['<circle cx="%.1f" cy="%.1f" r="3" fill="%s"/>' % (x, y, colour),
                    text(x, y - 8 if colour == "#06c" else y + 18, categories)]
        out.append('<text x="%.0f" y="%.0f" fill="%s">%s</text>' %
                   (points[-1][0] + 8, points[-1][1] + 5, colour, family))
    print("\n".join(out + ["</svg>"]))


if len(sys.argv) == 3 and sys.argv[1] == "measure":
    measure(sys.argv[2])
elif len(sys.argv) == 3 and sys.argv[1] == "draw":
    draw(sys.argv[2])
else:
    sys.exit("usage: plot-compile.py measure PANE_BENCH | draw TSV")
