#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reservations as circuits, waypoints and avoids as paths, over real Open vSwitch bridges in a ring of four with a host each.
set -u
NETWORKS="4 4 ring OpenFlow13
4 4 ring OpenFlow10"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

addr() { echo "$TB_SUBNET.$1"; }
refused() { # why, statement
	panectl "$2" >"$dir/answer" 2>&1 && return 1
	cat "$dir/answer"
	grep -q "$1" "$dir/answer"
}
tcp() { # from host $1 to $2, port $3
	local server

	iperf_server "$2" "$3"
	host "$1" timeout 40 iperf3 -c "$(addr "$2")" -p "$3" -n 100K || { kill $server && return 1; }
	wait $server
}
queue_of() { # the queue that entries for request $1 name, with the switches that do
	entries | awk -v q="$1" -v e="$2" '/^s[0-9]/ { s = $1 } $0 ~ e q "([, ]|$)" { print s }' | sort -u | tr '\n' ' '
}
[ "$OF_PROTOCOL" = OpenFlow13 ] && queue='set_queue:' || queue='enqueue:[0-9]+:'
forwarded() { # packets that middlebox $1 has sent on
	host "$1" awk '$1 == "Ip:" && $2 ~ /^[0-9]/ { print $7 }' /proc/net/snmp
}
middlebox() { # host $1 sends on what is not for it, as it is but for the time to live
	host "$1" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.eth0.send_redirects=0 \
		net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0
}
passes() { # from $1 to $2 port $3 through middlebox $4, both ways
	local before after

	before=$(forwarded "$4")
	tcp "$1" "$2" "$3" || return 1
	after=$(forwarded "$4")
	echo "$((after - before)) packets through h$4"
	[ $((after - before)) -gt 70 ] # 100 kB there, and what answers them
}
finds() { # what verify says
	panectl verify | tr '\n' ' ' | grep -qE "$1"
}

controller_start
check "all pairs reach each other" all_pairs
check "every link is known" wait_for 10 links_are 4
sleep 3 # circuits are placed 3 s after the first switch
check "a reservation is accepted" panectl "reserve(srcHost=$(addr 1), dstHost=$(addr 3), dstPort=5001) = 6Gb on rootShare."
check "its queue is on every hop" wait_for 10 eval '[ "$(queue_of 2 "$queue")" = "s1 s2 s3 " ]'
check "its flow passes" wait_for 5 tcp 1 3 5001
check "others too" wait_for 5 tcp 1 3 5002
check "a second one takes the other way" panectl "reserve(srcHost=$(addr 1), dstHost=$(addr 2)) = 6Gb on rootShare."
check "around" wait_for 10 eval '[ "$(queue_of 3 "$queue")" = "s1 s2 s3 s4 " ]'
check "its flow passes" wait_for 5 tcp 1 2 5001
check "a third one, which fits no path, is refused" refused "capacity" "reserve(srcHost=$(addr 4), dstHost=$(addr 2)) = 6Gb on rootShare."
check "later it fits" panectl "reserve(srcHost=$(addr 4), dstHost=$(addr 1)) = 6Gb on rootShare from +300 to +400."
check "as long as it is alone" refused "capacity" "reserve(srcHost=$(addr 4), dstHost=$(addr 1), dstPort=1) = 6Gb on rootShare from +310 to +450."
check "afterwards again" panectl "reserve(srcHost=$(addr 4), dstHost=$(addr 1), dstPort=1) = 6Gb on rootShare from +500 to +510."
check "before it one more" panectl "reserve(srcHost=$(addr 4), dstHost=$(addr 1), dstPort=2) = 6Gb on rootShare to +200."
check "prolonged into it, that one is refused" refused "capacity" "renew 5 to +330."
check "but not up to it" panectl "renew 5 to +230."
check "what is installed is right" wait_for 10 panectl verify
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
check "and sends nothing" not grep "are changed" "$dir/log"
check "one ends" panectl "cancel 1."
check "and leaves no entry" wait_for 10 eval '[ -z "$(queue_of 2 "$queue")" ]'
check "the other one stays" wait_for 5 tcp 1 2 5001
check "it ends" panectl "cancel 2."

middlebox 4
check "a waypoint is accepted" panectl "waypoint(srcHost=$(addr 1), dstHost=$(addr 2)) = {$(addr 4)} on rootShare."
check "its flow passes the middlebox, and what answers it too" wait_for 10 passes 1 2 5001 4
check "other flows do not" not passes 1 3 5001 4
check "a middlebox that is not known is refused" refused "middlebox" "waypoint(srcHost=$(addr 1), dstHost=$(addr 3)) = {$(addr 99)} on rootShare."
check "an avoid is accepted" panectl "avoid(srcHost=$(addr 1), dstHost=$(addr 3)) = {$(addr 2)} on rootShare."
check "all of it is right" wait_for 10 panectl verify
lost="priority=65300,in_port=1,ip,nw_src=$(addr 1),nw_dst=$(addr 2)"
ovs-ofctl -O "$OF_PROTOCOL" add-flow "${TB_PREFIX}s4" "$lost,actions=drop"
check "a middlebox whose frames are dropped is found" wait_for 10 finds "black_hole.*srcHost=$(addr 1), dstHost=$(addr 2),"
ovs-ofctl -O "$OF_PROTOCOL" del-flows "${TB_PREFIX}s4" --strict "$lost"
check "it goes around the switch" wait_for 10 eval "entries | grep -q 'nw_src=$(addr 1),nw_dst=$(addr 3).*output:102\|nw_src=$(addr 1),nw_dst=$(addr 3).*output:102'"
check "its flow passes" wait_for 5 tcp 1 3 5001
check "what would have to avoid both ways is refused" refused "no path" "avoid(srcHost=$(addr 1), dstHost=$(addr 3), dstPort=80) = {$(addr 2), $(addr 4)} on rootShare."
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
check "the middlebox is still passed" wait_for 5 passes 1 2 5001 4
finish
