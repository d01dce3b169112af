# SPDX-License-Identifier: Apache-2.0
# An SVG plot of series over time. awk -v title=... -f plot.awk FILE... >plot.svg; each FILE is a series, lines "x y".
#   names="a|b"          of the series, in the order of the files    xlabel, ylabel    of the axes, with units
#   t0=X                 is the axis's zero                           ylog=1            logarithmic y
#   points=1             dots instead of lines                        ymax=Y            the axis's end [from the data]
#   marks="x text|..."   vertical lines with a text, x as in the files
function escape(s) {
	gsub(/&/, "\\&amp;", s)
	gsub(/</, "\\&lt;", s)
	return s
}

function text(x, y, anchor, style, s) {
	printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" %s>%s</text>\n", x, y, anchor, style, escape(s)
}

function line(x1, y1, x2, y2, style) {
	printf "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2, style
}

# 1, 2 or 5 times a power of ten: about n of them fit in a range
function nice_step(range, n, p, m) {
	if (range <= 0)
		return 1
	p = exp(log(10) * int(log(range / n) / log(10) + 1000) - 1000 * log(10))
	m = range / n / p
	return (m <= 1 ? 1 : m <= 2 ? 2 : m <= 5 ? 5 : 10) * p
}

function px(x) {
	return left + (x - xmin) / (xmax - xmin) * (right - left)
}

function py(y) {
	if (ylog)
		y = log(y < ymin ? ymin : y) / log(10)
	return bottom - (y - ylow) / (yhigh - ylow) * (bottom - top)
}

function axes(s, y, x) {
	if (ylog) {
		for (y = ymin; y <= ymax * 1.001; y *= 10) {
			line(left, py(y), right, py(y), "stroke=\"#e3e6ea\"")
			text(left - 8, py(y) + 4, "end", "", sprintf("%g", y))
		}
	} else {
		s = nice_step(ymax, 5)
		for (y = 0; y <= ymax * 1.001; y += s) {
			line(left, py(y), right, py(y), "stroke=\"#e3e6ea\"")
			text(left - 8, py(y) + 4, "end", "", sprintf("%g", y))
		}
	}
	s = nice_step(xmax - xmin, 10)
	for (x = 0; x <= xmax + 0.001; x += s) {
		line(px(x), bottom, px(x), bottom + 5, "stroke=\"#59636e\"")
		text(px(x), bottom + 19, "middle", "", sprintf("%g", x))
	}
	line(left, bottom, right, bottom, "stroke=\"#59636e\"")
	text((left + right) / 2, bottom + 38, "middle", "", xlabel)
	printf "<text transform=\"translate(16 %.1f) rotate(-90)\" text-anchor=\"middle\">%s</text>\n", (top + bottom) / 2,
		escape(ylabel)
}

function mark_lines(n, i, list, x) {
	n = split(marks, list, "|")
	for (i = 1; i <= n; i++) {
		x = px(list[i] + 0 - t0)
		sub(/^[^ ]* /, "", list[i])
		line(x, top - 6, x, bottom, "stroke=\"#59636e\" stroke-dasharray=\"4 3\"")
		text(x + 3, top - 10, "start", "fill=\"#59636e\" font-size=\"11\"", list[i])
	}
}

function series(k, i, dot) {
	if (points) {
		# dots of no length, and none upon another
		printf "<path fill=\"none\" stroke=\"%s\" stroke-opacity=\"0.75\" stroke-width=\"3.2\" ", colour[k]
		printf "stroke-linecap=\"round\" d=\""
		for (i = 1; i <= count[k]; i++) {
			dot = sprintf("M%d %dh0", px(xs[k, i]) + 0.5, py(ys[k, i]) + 0.5)
			if (!((k, dot) in drawn))
				printf "%s", dot
			drawn[k, dot]
		}
		print "\"/>"
		return
	}
	printf "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.6\" stroke-linejoin=\"round\" points=\"", colour[k]
	for (i = 1; i <= count[k]; i++)
		printf "%s%.1f,%.1f", (i > 1 ? " " : ""), px(xs[k, i]), py(ys[k, i] > ymax ? ymax : ys[k, i])
	print "\"/>"
}

function legend(k, x) {
	x = left
	for (k = 1; k <= files; k++) {
		printf "<rect x=\"%.1f\" y=\"38\" width=\"14\" height=\"4\" fill=\"%s\"/>\n", x, colour[k]
		text(x + 20, 44, "start", "", name[k])
		x += 40 + length(name[k]) * 6.6
	}
}

BEGIN {
	width = 860; height = 380; left = 62; right = 840; top = 82; bottom = 326
	split("#0969da #cf222e #1a7f37 #9a6700 #8250df", colour, " ")
	for (files = 1; files < ARGC; files++)
		of[ARGV[files]] = files
	files = ARGC - 1
	split(names, name, "|")
	xmin = 0; xmax = 0; top_value = 0; low_value = 1e9
}

NF >= 2 && $2 >= 0 {
	k = of[FILENAME]
	if ($1 - t0 < 0 || (ylog && $2 <= 0))
		next
	xs[k, ++count[k]] = $1 - t0
	ys[k, count[k]] = $2
	if ($1 - t0 > xmax)
		xmax = $1 - t0
	if ($2 > top_value)
		top_value = $2
	if ($2 < low_value)
		low_value = $2
}

END {
	if (xmax == 0)
		xmax = 1
	if (ylog) {
		for (ymin = 1e-4; ymin * 10 <= low_value; ymin *= 10)
			;
		for (ymax = ymin * 10; ymax < top_value; ymax *= 10)
			;
		ylow = log(ymin) / log(10); yhigh = log(ymax) / log(10)
	} else {
		if (!ymax)
			ymax = top_value > 0 ? top_value * 1.08 : 1
		ylow = 0; yhigh = ymax
	}
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" ", width, height
	printf "width=\"%d\" height=\"%d\" ", width, height
	print "font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"#1f2328\">"
	printf "<rect width=\"%d\" height=\"%d\" fill=\"#ffffff\"/>\n", width, height
	text(left, 24, "start", "font-size=\"15\" font-weight=\"600\"", title)
	axes()
	mark_lines()
	for (k = 1; k <= files; k++)
		series(k)
	legend()
	print "</svg>"
}
