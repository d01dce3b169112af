#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Limits as meters near the source, over real Open vSwitch bridges.
set -u
NETWORKS="3 3 line OpenFlow13"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

megabits() { # UDP received from host $1 by host $2, port $3, offered $4
	local server

	iperf_server "$2" "$3"
	host "$1" timeout 60 iperf3 -c "$TB_SUBNET.$2" -p "$3" -u -b "$4" -l 1200 -t 4 -J >"$dir/iperf.$3" || kill $server
	wait $server
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1]))["end"]["sum"]; print(r["bits_per_second"] * (1 - r["lost_percent"] / 100) / 1e6)' "$dir/iperf.$3"
}
tcp_megabits() {
	local server

	iperf_server "$2" "$3"
	host "$1" timeout 60 iperf3 -c "$TB_SUBNET.$2" -p "$3" -t 4 -O 1 -J >"$dir/iperf" || kill $server
	wait $server
	python3 -c 'import json, sys; print(json.load(open(sys.argv[1]))["end"]["sum_received"]["bits_per_second"] / 1e6)' "$dir/iperf"
}
meters() {
	entries | awk '/^s[0-9]/ { s = $1 } /meter=[0-9]+ kbps/ { print s }' | sort | uniq -c | tr -s ' \n' ' '
}

controller_start
check "all pairs reach each other" all_pairs
check "a limit of 5 Mb is accepted" panectl "ratelimit(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.3, dstPort=5001) = 5Mb on rootShare."
check "a meter at the source" wait_for 5 eval '[ "$(meters)" = " 1 s1 " ]'
beside_others() { # both get what they are to
	local others got

	megabits 1 3 5002 20M >"$dir/others" &
	others=$!
	got=$(megabits 1 3 5001 20M)
	wait $others
	others=$(within "$(cat "$dir/others")" 18 21) || { echo "others: $others" && return 1; }
	got=$(within "$got" 4.5 5.5) || { echo "$got" && return 1; }
	echo "$got; others: $others"
}
udp_gets() { # FROM TO PORT LOW HIGH
	within "$(megabits "$1" "$2" "$3" 20M)" "$4" "$5"
}
tcp_gets() {
	within "$(tcp_megabits "$1" "$2" "$3")" "$4" "$5"
}
check_figure "UDP gets 5 Mb within 10 %, while others are not held back" beside_others
check_figure "TCP gets 5 Mb within 10 %" tcp_gets 1 3 5001 4.5 5.5
check "a second limit over the first is accepted" panectl "ratelimit(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.3) = 8Mb on rootShare."
check "a second meter" wait_for 5 eval '[ "$(entries | grep -c kbps)" = 2 ]'
check_figure "both count: the inner one" udp_gets 1 3 5001 4.5 5.5
check_figure "both count: the outer one" udp_gets 1 3 5002 7.2 8.8
rested
entries >"$dir/before"
controller_kill
: >"$dir/log"
controller_start
check "a restarted controller is there" wait_for 10 panectl "ListRequests."
settled
entries >"$dir/after"
check "and changes nothing" diff "$dir/before" "$dir/after"
check "and sends nothing" not grep "are changed" "$dir/log"
check "one ends" panectl 'cancel 1.'
check "its meter goes" wait_for 5 eval '[ "$(entries | grep -c kbps)" = 1 ]'
check "a limit with an end is accepted" panectl "ratelimit(srcHost=$TB_SUBNET.1, dstPort=7000) = 1Mb on rootShare to +6."
check "it comes" wait_for 5 eval '[ "$(entries | grep -c kbps)" = 2 ]'
check "and goes" wait_for 8 eval '[ "$(entries | grep -c kbps)" = 1 ]'
check "a limit of what comes from everywhere is accepted" panectl "ratelimit(dstHost=$TB_SUBNET.3, dstPort=5003) = 6Mb on rootShare."
check "it is divided among the sources" wait_for 5 eval '[ "$(entries | grep -c rate=2000)" = 3 ]'
finish
