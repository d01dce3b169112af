# SPDX-License-Identifier: Apache-2.0
# What the applications of apps.sh share: a network, background programs, series and their quantiles, plots, verdicts.
# Sourced by apps.sh, after lib.sh, netns-lib.sh and measure.sh. Series are files of "seconds-since-the-epoch value".
# Uses: out (folder for plots), kinds (of ports to try).

app_failed=0

# needs COMMAND...: status 77 in the caller's hands when one is missing.
needs() {
	local c

	for c; do
		command -v "$c" >/dev/null || [ -x "$c" ] || [ -r "$c" ] || {
			printf 'skipped: %s is missing (scripts/deps.sh apps installs it)\n' "$c"
			return 77
		}
	done
}

# network_start RATE HOST...: hosts 10.0.0.1 and up around a switch with ports of RATE.
network_start() {
	local rate=$1 h kind n=0

	shift
	sandbox_init
	for h; do
		n=$((n + 1))
		host_add "$h" $n
		# what most machines have; what a namespace inherits here may be anything
		at "$h" bash -c 'echo cubic >/proc/sys/net/ipv4/tcp_congestion_control' 2>/dev/null
	done
	for kind in $kinds; do
		config_write "$RUN_DIR/config.yaml" "$kind" "$rate" "$@"
		if switch_start "$RUN_DIR/config.yaml" && wait_for 5 at "$1" ping -c 1 -W 0.5 "$2"; then
			progress "$# hosts, $kind ports of $rate"
			return
		fi
		switch_stop
	done
	die "no kind of port works here ($kinds)"
}

progress() {
	say "... $*"
}

# spawn NAME HOST COMMAND...: in the background and a session of its own, its output in $RUN_DIR/NAME.out and .err.
spawn() {
	local name=$1 host=$2

	shift 2
	setsid ip netns exec "$host" "$@" >"$RUN_DIR/$name.out" 2>"$RUN_DIR/$name.err" </dev/null &
	echo $! >"$RUN_DIR/$name.pid"
}

# halt NAME...: ends what spawn started, and its children.
halt() {
	local name pid

	for name; do
		pid=$(cat "$RUN_DIR/$name.pid")
		kill -TERM -- "-$pid" 2>/dev/null
		wait_for 2 eval "! kill -0 $pid 2>/dev/null" || kill -KILL -- "-$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	return 0
}

load() { # NAME HOST COMMAND...: a pane-load in the background
	local name=$1 host=$2

	shift 2
	spawn "$name" "$host" "$(program pane-load)" "$@"
}

# flood_start FROM TO MBPS: of many flows, so that it does not help to give each flow its turn.
flood_start() {
	load flood "$1" flood "$(address "$2")" --rate "$3" --flows 2000 --size 1200
}

# sink_start NAME HOST PORT: takes what comes there; $RUN_DIR/NAME.out is its rate.
sink_start() {
	load "$1" "$2" sink "$3"
	wait_for 10 at "$2" bash -c "ss -Hltn 'sport = $3' | grep -q ." || die "pane-load sink: $(cat "$RUN_DIR/$1.err")"
}

# quantile SERIES FROM TO Q: of the values in [FROM, TO), Q in 0..1; -1 where there are none.
quantile() {
	awk -v a="$2" -v b="$3" '$1 >= a && $1 < b && $2 >= 0 {print $2}' "$1" | sort -n |
		awk -v q="$4" '{v[NR] = $1} END {i = int(q * NR) + 1; print (NR == 0 ? -1 : v[i > NR ? NR : i])}'
}

# count SERIES FROM TO
count() {
	awk -v a="$2" -v b="$3" '$1 >= a && $1 < b && $2 >= 0 {n++} END {print n + 0}' "$1"
}

# plot NAME TITLE YLABEL T0 MARKS NAMES AWK_ASSIGNMENTS -- SERIES...: $out/NAME.svg, and the series beside it.
plot() {
	local name=$1 title=$2 ylabel=$3 t0=$4 marks=$5 names=$6 options=() s

	shift 6
	while [ "$1" != -- ]; do
		options+=(-v "$1")
		shift
	done
	shift
	awk -v title="$title" -v xlabel="time (s)" -v ylabel="$ylabel" -v t0="$t0" -v marks="$marks" -v names="$names" \
		"${options[@]}" -f "$HERE/apps/plot.awk" "$@" >"$out/$name.svg" || die "cannot write $out/$name.svg"
	for s; do
		awk -v t0="$t0" '{printf "%.3f %s\n", $1 - t0, $2}' "$s" >"$out/$name-$(basename "$s" .out).series"
	done
	progress "plot: $out/$name.svg"
}

# row WIDTHS CELL...: widths as a comma list; the first column is left aligned.
row() {
	local widths=$1 w line='' n=0

	shift
	for w in ${widths//,/ }; do
		if [ $n = 0 ]; then printf -v line '%-*s' "$w" "$1"; else printf -v line '%s  %*s' "$line" "$w" "$1"; fi
		n=$((n + 1))
		shift
	done
	printf '%s\n' "$line"
}

# rule 'EXPRESSION' TEXT: PASS or FAIL of numbers.
rule() {
	if holds "$1"; then
		printf 'PASS  %s\n' "$2"
	else
		printf 'FAIL  %s\n' "$2"
		app_failed=1
	fi
}

# A statement that the scenario stands on.
must() {
	local user=$1 answer

	shift
	answer=$(as "$user" "$@" 2>&1) || die "$user: $*: $answer"
}
