#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Reservations as queues in the database of Open vSwitch: made, changed, gone with what they were for, also after a crash.
set -u
NETWORKS="3 2 line OpenFlow13 -a ends
3 2 line OpenFlow10 -a ends"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"
printf 'openflow_ovsdb: "unix:%s/db.sock"\n' "$TB_DIR" >>"$dir/pane.yaml"

rows() { # QoS and Queue rows there are
	echo "$(ovs-vsctl --bare --columns=_uuid list qos | grep -c .) $(ovs-vsctl --bare --columns=_uuid list queue | grep -c .)"
}
are() { # what queues says
	[ "$(queues)" = "$1" ]
}
are_rows() {
	[ "$(rows)" = "$1" ]
}
database() { # its rows, without what counts
	ovs-vsctl list qos | sort
	ovs-vsctl list queue | sort
}
forward() { # ports of the way h1 -> h2, each with rate $1
	echo "${TB_PREFIX}h2-s $1,${TB_PREFIX}s1-s2 $1,${TB_PREFIX}s2-s3 $1,"
}

ovs-vsctl -- --id=@q create qos type=linux-htb external_ids:owner=somebody -- set port "${TB_PREFIX}h1-s" qos=@q >/dev/null
ovs-vsctl create queue external_ids:owner=pane external_ids:request=99 >/dev/null # left by a crash
controller_start
check "all pairs reach each other" all_pairs
check "what a crash has left goes" wait_for 10 are_rows "1 0"
limited() { # queues of a most rate: "PORT RATE"
	local uuid port

	for port in $(ovs-vsctl --bare --columns=name find port qos!='[]'); do
		for uuid in $(ovs-vsctl get qos "$(ovs-vsctl get port "$port" qos)" queues | grep -oE '[0-9a-f]{8}-[0-9a-f-]{27}'); do
			echo "$port $(ovs-vsctl get queue "$uuid" other_config:max-rate 2>/dev/null | tr -d '"')"
		done
	done | grep ' [0-9]' | tr '\n' ','
}
if [ "$OF_PROTOCOL" = OpenFlow10 ]; then # no meters
	check "a limit is accepted" panectl "ratelimit(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, dstPort=5001) = 5Mb on rootShare."
	check "it is a queue at the source that goes no faster" wait_for 10 eval '[ "$(limited)" = "${TB_PREFIX}s1-s2 5000000," ]'
	check "that a datapath in user space ignores queues is found out" wait_for 5 eval \
		'panectl topology | grep -A1 "switch 0000000000000001  OpenFlow 1.0" | grep -q "^cannot put frames into queues"'
	check "its flow is put there, and no other" wait_for 5 eval \
		'[ "$(entries | awk "/^s[0-9]/ { s = \$1 } /tp_dst=5001.*enqueue:[0-9]+:2/ { print s }" | sort -u)" = s1 ]'
	check "queues. tells whose it is" wait_for 5 eval 'panectl --json queues. | grep -q "\"queue\":2,\"request\":1,\"owner\":\"root\",\"max_rate\":5000000"'
	check "what is installed is right" wait_for 10 panectl verify
	iperf_server 2 5001
	check "its flow passes" host 1 timeout 60 iperf3 -c "$TB_SUBNET.2" -p 5001 -n 1M
	session=$(ovs-vsctl get bridge "${TB_PREFIX}s1" controller | tr -d '[]')
	ovs-vsctl set controller "$session" target='"tcp:127.0.0.1:1"'
	check "its bridge loses its session" wait_for 5 grep -q 'switch 0000000000000001 is gone' "$dir/log"
	check "another limit comes meanwhile" panectl "ratelimit(srcHost=$TB_SUBNET.2) = 4Mb on rootShare."
	check "and has its queue" wait_for 5 eval '[ "$(limited | grep -o "h2-s 4000000")" ]'
	check "the bridge goes on by its entries, and its queues stay" eval \
		'[ "$(limited | grep -o "s1-s2 5000000")" ] && ovs-ofctl -O OpenFlow10 dump-flows "${TB_PREFIX}s1" | grep -q "enqueue:[0-9]*:2"'
	ovs-vsctl set controller "$session" target='"tcp:127.0.0.1:6653"'
	check "it is back" wait_for 10 eval '[ "$(grep -c "switch 0000000000000001 is up" "$dir/log")" = 2 ]'
	panectl "cancel 2."
	check "it ends" panectl "cancel 1."
	check "and leaves nothing; what is somebody else's stays" wait_for 5 are_rows "1 0"
	finish
	exit
fi
check "a reservation is accepted" panectl "reserve(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, dstPort=5001) = 20Mb on rootShare."
check "it has a queue of its rate on every hop" wait_for 10 are "$(forward 20000000)"
check "queues. tells whose they are" wait_for 5 eval 'panectl --json queues. | grep -q "\"queue\":2,\"request\":1,\"owner\":\"root\",\"min_rate\":20000000"'
check "that a datapath in user space ignores queues is found out" wait_for 5 eval \
	'panectl topology | grep -A1 "switch 0000000000000001  OpenFlow 1.3" | grep -q "^cannot put frames into queues" && panectl --json queues. | grep -q "\"ignored\":true"'
check "HTB has classes of that rate" wait_for 10 eval 'tc class show dev "${TB_PREFIX}s1-s2" | grep -q "rate 20Mbit"'
check "a second one is accepted" panectl "reserve(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, dstPort=5002) = 30Mb on rootShare to +10."
check "and has its own" wait_for 5 eval '[ "$(queues | grep -o 30000000 | wc -l)" = 3 ]'
check "what is beyond the links is refused" not panectl "reserve(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, dstPort=5003) = 10Gb on rootShare."
iperf_server 2 5001
check "its flow passes" host 1 timeout 60 iperf3 -c "$TB_SUBNET.2" -p 5001 -n 1M
classes=$(tc -s class show dev "${TB_PREFIX}s1-s2" | awk '/^class/ { c = $3 } /Sent/ { print c, $2 }' | tr '\n' ' ')
echo "      bytes by class on s1-s2: $classes(stock Open vSwitch ignores set_queue in user space: all in the class of queue 0)"
check "it ends by itself" wait_for 12 are "$(forward 20000000)"
database >"$dir/before"
controller_kill
: >"$dir/log"
controller_start
settled
sleep 1 # the database follows
database >"$dir/after"
check "a restart changes no row" diff "$dir/before" "$dir/after"
controller_kill
ovs-vsctl create queue external_ids:owner=pane >/dev/null
controller_start
check "what a crash has left goes, the rest stays" wait_for 12 eval 'database | diff - "$dir/before"'
check "the reservation ends" panectl "cancel 1."
check "and leaves nothing; what is somebody else's stays" wait_for 5 are_rows "1 0"
finish
