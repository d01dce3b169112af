#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The scheduler beside others, in turns: its speed beside DPDK's rte_sched (the same packets; pane-bench sched --beside),
# and what it keeps of its promises beside Linux HTB on veth (with fq_codel below it where this kernel has it): three
# hosts, a port of 50 Mb/s, 20 reserved, a limit of 5 and a flood of 60, and pings among the flood.
#   sudo scripts/bench-sched.sh [--build DIR] [--rounds N] [--seconds S] [--speed | --accuracy] [--realtime] [--json]
#     --realtime   the switch has the priority that cores of its own would give it (chrt)
set -u
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
. "$HERE/netns-lib.sh"
. "$HERE/measure.sh"

all=("$@")
BIN=${BIN:-$TOP/build} rounds=3 seconds=8 speed=1 accuracy=1 json= realtime=
while [ $# -gt 0 ]; do
	case $1 in
	--build) has_value "$@" && BIN=$(readlink -f "$2") && shift ;;
	--rounds) has_value "$@" && rounds=$2 && shift ;;
	--seconds) has_value "$@" && seconds=$2 && shift ;;
	--speed) accuracy= ;;
	--accuracy) speed= ;;
	--realtime) realtime=1 ;;
	--json) json=1 ;;
	-h | --help)
		sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) misused "unknown option $1" ;;
	esac
	shift
done
[ "$(id -u)" = 0 ] || die "must be root (try: sudo $0)"
export BIN
sandbox "${all[@]}"
LINE=50 RESERVED=20 LIMIT=5 FLOOD=60 # Mb/s

# --- beside rte_sched

speed_one() { # CLASSES BACKLOGGED
	"$(program pane-bench)" sched --classes "$1" --backlogged "$2" --beside --json --repeat "$rounds" --seconds 0.4 \
		2>"$RUN_DIR/bench.err" || die "$(cat "$RUN_DIR/bench.err")"
}

speed_show() {
	printf '%-32s %28s %28s %28s %12s\n' "times rte_sched (least, most)" "all reserved" "all limited" "all of no limit" "rte_sched"
	jq -r '[(if .backlogged == 0 then "\(.classes) classes, no backlog" else "\(.classes) classes, all backlogged" end)] +
		[("reserved", "limited", "excess") as $k | [.[$k + "_to_rte_sched"], .[$k + "_to_rte_sched_min"], .[$k + "_to_rte_sched_max"], .[$k + "_mpps"]] |
		map(. * 100 | round / 100) | "\(.[0]) (\(.[1]), \(.[2])) \(.[3])"] + [.rte_sched_mpps * 10 | round / 10 | tostring] | @tsv' |
		while IFS=$'\t' read -r name a b c theirs; do
			printf '%-32s %23s Mpps %23s Mpps %23s Mpps %7s Mpps\n' "$name" "$a" "$b" "$c" "$theirs"
		done
}

# --- beside HTB

htb_up() { # a bridge, and the shaper towards h3
	ip link add br0 type bridge
	for h in h1 h2 h3; do
		ip link set "to-$h" master br0 up
	done
	ip link set br0 up
	tc qdisc add dev to-h3 root handle 1: htb default 30
	tc class add dev to-h3 parent 1: classid 1:1 htb rate ${LINE}mbit quantum 1514
	tc class add dev to-h3 parent 1:1 classid 1:10 htb rate ${RESERVED}mbit ceil ${LINE}mbit quantum 1514
	tc class add dev to-h3 parent 1:1 classid 1:20 htb rate ${LIMIT}mbit ceil ${LIMIT}mbit quantum 1514
	tc class add dev to-h3 parent 1:1 classid 1:30 htb rate $((LINE - RESERVED - LIMIT - 1))mbit ceil ${LINE}mbit quantum 1514
	tc class add dev to-h3 parent 1:1 classid 1:40 htb rate 1mbit ceil ${LINE}mbit quantum 1514
	for c in 10 20 30 40; do
		tc qdisc add dev to-h3 parent 1:$c fq_codel 2>/dev/null && below="fq_codel"
	done
	tc filter add dev to-h3 parent 1: protocol ip prio 1 u32 match ip protocol 6 0xff flowid 1:40
	tc filter add dev to-h3 parent 1: protocol ip prio 2 u32 match ip protocol 17 0xff match ip dport 5201 0xffff flowid 1:10
	tc filter add dev to-h3 parent 1: protocol ip prio 3 u32 match ip protocol 17 0xff match ip dport 5202 0xffff flowid 1:20
}

htb_down() {
	tc qdisc del dev to-h3 root
	ip link del br0
}

pane_up() {
	config_write "$RUN_DIR/config.yaml" af_packet ${LINE}Mb h1 h2 h3
	rm -rf "$RUN_DIR/state" && mkdir "$RUN_DIR/state"
	switch_start "$RUN_DIR/config.yaml" || die "the switch does not start: $(tail -n 3 "$RUN_DIR/log")"
	panectl "reserve(transport=TCP, dstPort=5201-5203) = 1Mb on rootShare." >/dev/null || die "a statement is refused"
	panectl "reserve(transport=UDP, dstPort=5201) = ${RESERVED}Mb on rootShare." >/dev/null || die "a statement is refused"
	panectl "ratelimit(transport=UDP, dstPort=5202) = ${LIMIT}Mb on rootShare." >/dev/null || die "a statement is refused"
	[ -z "$realtime" ] || chrt -a -r -p 10 "$(switch_child dataplane)"
	sleep 0.5
}

pane_down() {
	switch_stop
}

# one NAME: a line of JSON: Mb/s of frames that arrive, and what pings took
one() {
	local name=$1 r l f

	"${name}_up"
	at h2 ping -c 2 -i 0.2 -W 1 h3 >/dev/null 2>&1
	flow_start reserved h1 h3 5201 "$seconds" -u -b $((RESERVED * 6 / 5))M -l 1200
	flow_start limited h2 h3 5202 "$seconds" -u -b $((LIMIT * 3))M -l 1200
	flow_start flood h1 h3 5203 "$seconds" -u -b ${FLOOD}M -l 1200
	sleep 2
	at h2 ping -q -i 0.05 -c $(((seconds - 3) * 20)) -W 2 h3 >"$RUN_DIR/pings" 2>&1
	flow_wait reserved && flow_wait limited && flow_wait flood
	r=$(flow_frame_mbps reserved) l=$(flow_frame_mbps limited) f=$(flow_frame_mbps flood)
	"${name}_down" >/dev/null 2>&1
	awk -v name="$name" -v r="$r" -v l="$l" -v f="$f" -v line=$LINE -v res=$RESERVED -v lim=$LIMIT '
		function off(is, want) { return 100 * (is > want ? is - want : want - is) / want }
		/packet loss/ { for (i = 1; i <= NF; i++) if ($i ~ /%/) loss = $i + 0 }
		/^rtt/ { split($4, t, "/"); ping = t[2]; most = t[3] }
		END { printf "{\"of\":\"%s\",\"reserved\":%s,\"limited\":%s,\"flood\":%s,\"short_percent\":%.2f,\"limit_off_percent\":%.2f,\"line_off_percent\":%.2f,\"ping_ms\":%.2f,\"ping_max_ms\":%.2f,\"pings_lost_percent\":%s}\n",
			name, r, l, f, r < res ? off(r, res) : 0, off(l, lim), off(r + l + f, line), ping, most, loss + 0 }' "$RUN_DIR/pings"
}

accuracy_show() {
	printf '%-8s %10s %10s %10s %18s %14s %14s %10s %12s %12s\n' of reserved limited flood "short of reserved" "limit off by" "line off by" ping "ping's most" "pings lost"
	jq -r '[.of, .reserved, .limited, .flood, .short_percent, .limit_off_percent, .line_off_percent, .ping_ms, .ping_max_ms, .pings_lost_percent] | @tsv' "$1" |
		while IFS=$'\t' read -r of r l f a b c p m lost; do
			printf '%-8s %5s Mb/s %5s Mb/s %5s Mb/s %16s %% %12s %% %12s %% %7s ms %9s ms %10s %%\n' "$of" "$r" "$l" "$f" "$a" "$b" "$c" "$p" "$m" "$lost"
		done
	jq -rs 'def spread: sort | "\(.[0]), \(.[length / 2 | floor]), \(.[-1])";
		(map(select(.of == "pane"))) as $p | map(select(.of == "htb")) as $h |
		(("short_percent", "limit_off_percent", "line_off_percent", "ping_ms") as $k |
		"\($k) (least, median, most): here \([$p[][$k]] | spread), HTB \([$h[][$k]] | spread)"),
		"ping of HTB to that here: \([range(0; $p | length) | $h[.].ping_ms / $p[.].ping_ms | round] | spread)"' "$1"
}

if [ -n "$speed" ]; then
	for c in "16 0" "16 16" "65535 0" "65535 65535"; do
		speed_one ${c% *} ${c#* }
	done >"$RUN_DIR/speed"
	if [ -n "$json" ]; then cat "$RUN_DIR/speed"; else speed_show <"$RUN_DIR/speed"; fi
fi
[ -n "$accuracy" ] || exit 0
below="its own fifo (this kernel has no fq_codel)"
for i in 1 2 3; do
	host_add h$i $i
done
for p in 5201 5202 5203; do
	at h3 iperf3 -s -J -p $p >/dev/null 2>&1 &
done
for ((i = 0; i < rounds; i++)); do
	one pane
	one htb
done >"$RUN_DIR/accuracy"
if [ -n "$json" ]; then
	cat "$RUN_DIR/accuracy"
else
	accuracy_show "$RUN_DIR/accuracy"
	printf 'below HTB: %s\n' "$below"
fi
