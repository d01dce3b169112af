#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# IPv6 over real Open vSwitch bridges in a ring of four with a host each: reservations, waypoints and avoids are ways of
# their own as with IPv4, and what names no addresses is about both.
set -u
NETWORKS="4 4 ring OpenFlow13
4 4 ring OpenFlow10"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

addr() { echo "$TB_SUBNET.$1"; }
addr6() { echo "fd00:7::$1"; }
refused() { # why, statement
	panectl "$2" >"$dir/answer" 2>&1 && return 1
	cat "$dir/answer"
	grep -q "$1" "$dir/answer"
}
reaches6() {
	host "$1" ping -6 -c1 -W1 "$(addr6 "$2")"
}
all_pairs6() {
	local a b

	for ((a = 1; a <= TB_H; a++)); do
		for ((b = 1; b <= TB_H; b++)); do
			wait_for 30 reaches6 "$a" "$b" || { echo "h$a does not reach h$b" && return 1; }
		done
	done
}
tcp() { # from host $1 to address $2 of host $3, port $4
	local server

	iperf_server "$3" "$4"
	host "$1" timeout 40 iperf3 --connect-timeout 5000 -c "$2" -p "$4" -n 100K || { kill $server && return 1; }
	wait $server
}
way_of() { # bridges with an entry that puts frames into the queue of request $1
	entries | awk -v q="set_queue:$(($1 + 1))[, ]" '/^s[0-9]/ { s = $1 } $0 ~ q { print s }' | sort -u | tr '\n' ' '
}
starts_of() { # of request $1's circuits at bridge $2, by family $3
	entries | awk -v q="set_queue:$(($1 + 1))[, ]" -v at="s$2" '/^s[0-9]/ { s = $1 } s == at && $0 ~ q' | grep -c "$3"
}
forwarded() { # packets that middlebox $1 has sent on
	host "$1" awk '$1 == "Ip6OutForwDatagrams" { print $2 }' /proc/net/snmp6
}
passes() { # from $1 to $2, port $3, through middlebox $4, both ways
	local before after

	before=$(forwarded "$4")
	tcp "$1" "$(addr6 "$2")" "$2" "$3" || return 1
	after=$(forwarded "$4")
	echo "$((after - before)) packets through h$4"
	[ $((after - before)) -gt 70 ] # 100 kB there, and what answers them
}

for ((h = 1; h <= TB_H; h++)); do
	host "$h" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0
	host "$h" ip -6 addr add "$(addr6 "$h")/64" dev eth0 nodad
done
controller_start
check "all pairs reach each other" all_pairs
check "by IPv6, too" all_pairs6
check "every link is known" wait_for 10 links_are 4
check "a denial of a port" panectl "deny(dstPort=5009) on rootShare."
check "holds for IPv4" wait_for 10 not tcp 1 "$(addr 3)" 3 5009
if [ "$OF_PROTOCOL" = OpenFlow10 ]; then # it has no ports of IPv6
	check "other ports pass" wait_for 5 tcp 1 "$(addr 3)" 3 5001
	finish
	exit
fi
check "and for IPv6" wait_for 10 not tcp 1 "$(addr6 3)" 3 5009
check "other ports pass" wait_for 5 tcp 1 "$(addr6 3)" 3 5001
check "it ends" panectl "cancel 1."

check "what names no addresses is accepted" panectl "reserve(transport=UDP, dstPort=5003) = 1Mb on rootShare."
check "it is about IPv4" wait_for 10 eval '[ "$(starts_of 2 1 nw_dst)" = 3 ]'
check "and about IPv6" wait_for 10 eval '[ "$(starts_of 2 1 ipv6_dst=fd00)" = 3 ]'
check "a reservation is accepted" panectl "reserve(srcHost=$(addr6 1), dstHost=$(addr6 3), dstPort=5001) = 6Gb on rootShare."
check "its queue is on every hop" wait_for 10 eval '[ "$(way_of 3)" = "s1 s2 s3 " ]'
check "its flow passes" wait_for 5 tcp 1 "$(addr6 3)" 3 5001
check "others too" wait_for 5 tcp 1 "$(addr6 3)" 3 5002
check "one of IPv4 takes the other way" panectl "reserve(srcHost=$(addr 1), dstHost=$(addr 2), transport=TCP) = 6Gb on rootShare."
check "around" wait_for 10 eval '[ "$(way_of 4)" = "s1 s2 s3 s4 " ]'
check "a third one, which fits no path, is refused" refused "capacity" "reserve(srcHost=$(addr6 1), dstHost=$(addr6 3), transport=TCP) = 6Gb on rootShare."
check "what is installed is right" wait_for 10 panectl verify
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
check "and sends nothing" not grep "are changed" "$dir/log"
check "they end" panectl "cancel 2." "cancel 3." "cancel 4."
check "and leave no entry" wait_for 10 eval '[ -z "$(way_of 2)$(way_of 3)$(way_of 4)" ]'

host 4 sysctl -qw net.ipv6.conf.all.forwarding=1
host 4 ip -6 route add "$(addr6 2)" dev eth0
check "a waypoint is accepted" panectl "waypoint(srcHost=$(addr6 1), dstHost=$(addr6 2)) = {$(addr6 4)} on rootShare."
check "its flow passes the middlebox, and what answers it too" wait_for 10 passes 1 2 5001 4
check "other flows do not" not passes 1 3 5001 4
check "a middlebox that is not known is refused" refused "middlebox" "waypoint(srcHost=$(addr6 1), dstHost=$(addr6 3)) = {$(addr6 99)} on rootShare."
check "an avoid is accepted" panectl "avoid(srcHost=$(addr6 1), dstHost=$(addr6 3)) = {$(addr6 2)} on rootShare."
check "it goes around the switch" wait_for 10 eval "entries | grep -q 'ipv6_src=$(addr6 1),ipv6_dst=$(addr6 3).*output:102'"
check "its flow passes" wait_for 5 tcp 1 "$(addr6 3)" 3 5001
check "all of it is right" wait_for 10 panectl verify
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
check "the middlebox is still passed" wait_for 5 passes 1 2 5001 4
finish
