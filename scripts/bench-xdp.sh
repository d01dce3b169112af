#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a denied flood costs the switch: dropped in the driver (XDP), and, said so that the driver's maps cannot say it
# (a range of ports), by the worker. Both on the same af_xdp port over veth, in turns; smallest UDP datagrams.
#   sudo scripts/bench-xdp.sh [--build DIR] [--rounds N] [--packets N] [--json]
set -u
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
. "$HERE/netns-lib.sh"
. "$HERE/measure.sh"

all=("$@")
BIN=${BIN:-$TOP/build} rounds=5 packets=300000 json=
while [ $# -gt 0 ]; do
	case $1 in
	--build) has_value "$@" && BIN=$(readlink -f "$2") && shift ;;
	--rounds) has_value "$@" && rounds=$2 && shift ;;
	--packets) has_value "$@" && packets=$2 && shift ;;
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

# processor time of the dataplane, ms
cpu_ms() {
	awk -v hz="$(getconf CLK_TCK)" '{sub(/.*\) /, ""); print ($12 + $13) * 1000 / hz}' "/proc/$(switch_child dataplane)/stat"
}

counter() { # NAME, of port p-h1
	panectl --json "ports." | jq -r --arg n "$1" '.. | objects | select(.name? == "p-h1") | [.. | objects | .[$n]? // empty] | first // 0'
}

flood() { # PORT: prints seconds
	at h1 perl -MSocket -MTime::HiRes=time -e '
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die; connect $s, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0])) or die;
		my $t = time; for (1 .. $ARGV[2]) { send $s, "x", 0 } printf "%.3f\n", time - $t' "$(address h2)" "$1" "$packets"
}

# one NAME PORT COUNTER: a line "NAME ms/s of the dataplane, dropped a second, ns of CPU a frame"
one() {
	local cpu dropped s

	sleep 1.3
	cpu=$(cpu_ms) dropped=$(counter "$3")
	s=$(flood "$2")
	cpu=$(calc "$(cpu_ms) - $cpu" .1f)
	sleep 1.3
	dropped=$(($(counter "$3") - dropped))
	printf '%s %s %s %s\n' "$1" "$(calc "$cpu / $s" .1f)" "$(calc "$dropped / $s" .0f)" \
		"$(calc "($dropped > 0 ? $cpu * 1e6 / $dropped : 0)" .0f)"
}

idle() { # CPU of the switch without a flood, ms/s
	local cpu

	cpu=$(cpu_ms)
	sleep 1
	printf 'idle %s 0 0\n' "$(calc "$(cpu_ms) - $cpu" .1f)"
}

host_add h1 1
host_add h2 2
config_write "$RUN_DIR/config.yaml" af_xdp "" h1 h2
switch_start "$RUN_DIR/config.yaml" || die "the switch does not start: $(tail -n 3 "$RUN_DIR/log")"
wait_for 10 eval 'at h1 ping -n -q -c 1 -W 1 h2 >/dev/null' || die "no traffic passes"
panectl 'deny(srcHost=h1, dstHost=h2, transport=UDP, dstPort=7000) on rootShare.' \
	'deny(srcHost=h1, dstHost=h2, transport=UDP, dstPort=8000-8999) on rootShare.' >/dev/null || die "a deny is refused"
for ((r = 1; r <= rounds; r++)); do
	[ -n "$json" ] || say "round $r of $rounds"
	idle
	one driver 7000 dev_denied
	one worker 8000 denied
done >"$RUN_DIR/lines"
switch_stop
median() { # NAME COLUMN
	awk -v n="$1" -v c="$2" '$1 == n {print $c}' "$RUN_DIR/lines" | sort -n | awk '{v[NR] = $1} END {print v[int((NR + 1) / 2)]}'
}
# what the flood adds, a frame
added() { # NAME
	calc "($(median "$1" 3) > 0 ? ($(median "$1" 2) - $(median idle 2)) * 1e6 / $(median "$1" 3) : 0)" .0f
}
if [ -n "$json" ]; then
	printf '{"rounds":%d,"packets":%d,"driver":{"cpu_ms_per_s":%s,"dropped_per_s":%s,"ns":%s},"worker":{"cpu_ms_per_s":%s,"dropped_per_s":%s,"ns":%s}}\n' \
		"$rounds" "$packets" "$(median driver 2)" "$(median driver 3)" "$(added driver)" \
		"$(median worker 2)" "$(median worker 3)" "$(added worker)"
	exit
fi
printf '%-22s %18s %14s %16s\n' "DROPPED BY" "SWITCH'S CPU ms/s" "FRAMES/s" "ADDED ns A FRAME"
printf '%-22s %18s %14s %16s\n' "nothing comes" "$(median idle 2)" 0 -
for who in driver worker; do
	printf '%-22s %18s %14s %16s\n' "$who" "$(median "$who" 2)" "$(median "$who" 3)" "$(added "$who")"
done
printf 'medians of %d rounds of %d frames\n' "$rounds" "$packets"
