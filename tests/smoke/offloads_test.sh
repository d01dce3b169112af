#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hosts behind veths as they come: their stacks leave checksums to the device, and would leave segments to it. h1 and h2
# are on af_xdp ports, h3 and h4 on af_packet ports; on h5's interface no XDP program can be put.
. "$(dirname "$0")/_init.sh"

plain_frames() { # as they come
	:
}
export -f plain_frames

TRANSFER=$TOP/tests/smoke/transfer.py
PORT=7000
for i in 1 2 3 4; do
	host_add h$i $i
done
# more queues to send with at its end than there are to receive with at ours
ip netns add h5 && ip link add to-h5 numtxqueues 1 numrxqueues 1 type veth peer name eth0 netns h5 \
	address "$(host_mac 5)" numtxqueues 4 numrxqueues 4 || skip "no veth of several queues"
ip -n h5 addr add "$SUBNET.5/24" dev eth0
ip -n h5 link set eth0 up && ip link set to-h5 up
printf '%s h5\n' "$SUBNET.5" >>/etc/hosts
for i in 1 2 3 4; do
	at h$i bash -c 'echo 0 >/proc/sys/net/ipv6/conf/eth0/disable_ipv6'
	ip -n h$i addr add "fd00::$i/64" dev eth0 nodad || check "h$i has IPv6" false
done

config_write "$RUN_DIR/config.yaml" af_xdp "" h1 h2 h3 h4 h5
for i in 3 4 5; do
	sed -i "s|af_xdp:to-h$i|af_packet:to-h$i|" "$RUN_DIR/config.yaml"
done

feature() { # HOST NAME VALUE
	at "$1" ethtool -k eth0 | grep -E "^$2: $3"
}
check "h1 leaves checksums to its device" feature h1 tx-checksumming on
check "h3 leaves segments to its device" feature h3 tcp-segmentation-offload on
merging() { # INTERFACE on|off: of the switch's side
	ethtool -k "$1" | grep -E "^generic-receive-offload: $2"
}
ethtool -K to-h4 gro on >/dev/null 2>&1
check "our end of h4's would put frames together" merging to-h4 on
start_or_fail "$RUN_DIR/config.yaml"
check "it does not while its port is open" wait_for 60 merging to-h4 off
check "nor h3's" wait_for 60 merging to-h3 off

replies() { # HOST TARGET
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}
listens() { # HOST, ADDRESS
	at "$1" "$TRANSFER" serve "$2" $PORT >"$RUN_DIR/$1.serve" 2>&1 </dev/null &
	wait_for 60 grep -q listening "$RUN_DIR/$1.serve"
}
transfer() { # FROM ADDRESS BYTES
	timeout 280 ip netns exec "$1" "$TRANSFER" send "$2" $PORT "$3"
}
for i in 1 2 3 4; do
	check "hosts reach h$i" wait_for 60 replies h$((i % 4 + 1)) h$i
	check "a server listens at h$i" listens h$i "::"
done
for pair in "1 2 af_xdp, af_xdp" "3 4 af_packet, af_packet" "1 3 af_xdp, af_packet" "4 2 af_packet, af_xdp"; do
	read -r from to kinds <<<"$pair"
	check "TCP and UDP, $kinds" transfer h$from "$SUBNET.$to" 1000000
	check "over IPv6, too" transfer h$from "fd00::$to" 1000000
done

no_bad_checksums() {
	local i bad=0

	for i in 1 2 3 4; do
		at h$i nstat -asz | awk '/InCsumErrors/ && $2 != 0 {print; bad = 1} END {exit bad}' || bad=1
	done
	return $bad
}
check "no host has seen a wrong checksum" no_bad_checksums
counted() { # PORT COUNTER: not 0
	panectl --json ports. | jq -e --arg port "$1" --arg counter "$2" \
		'any(.items[]; .name == $port and .counters[$counter] > 0)'
}
for p in p-h1 p-h2 p-h3 p-h4; do
	check "counters of $p are told" wait_for 60 counted $p rx_packets
	check "no frame was too long for it" not counted $p oversize
done

# behind a tag, of a raw socket: from 10.9.0.1:9 to 10.9.0.2:9, the sum of the pseudo-header in the checksum's field
pseudo=$(printf '%04x' $((0x0a09 + 0x0001 + 0x0a09 + 0x0002 + 17 + 11)))
tagged_arrives() { # FROM FRAME
	frame_send "$1" "$2"
	wait_for 1 grep -q 'udp sum ok' "$RUN_DIR/tagged.arrivals"
}
tagged_is_completed() { # FROM TO
	local rc=0 frame

	frame=$(host_mac "$2" | tr -d :)$(host_mac "$1" | tr -d :)8100000a0800
	frame+=4500001f00004000401100000a0900010a09000200090009000b${pseudo}616263
	arrivals_start tagged "h$2" "vlan 10 and udp" in -vv
	wait_for 30 tagged_arrives "h$1" "$frame" || rc=1
	arrivals_stop tagged
	cat "$RUN_DIR/tagged.arrivals"
	return $rc
}
check "behind a VLAN tag, af_packet" tagged_is_completed 3 4
check "behind a VLAN tag, af_xdp" tagged_is_completed 1 2

logged() {
	grep -E "$1" "$RUN_DIR/log"
}
check "where frames cannot be kept short that is said" \
	wait_for 60 logged 'warning: port p-h5 .*of the veth to-h5.* in that host: ethtool -K INTERFACE tso off gso off'
check "nowhere else" not logged 'port p-h[1-4] .*tso off'
long_ones_are_counted() {
	timeout 2 ip netns exec h5 "$TRANSFER" send "$SUBNET.2" $PORT 1000000
	counted p-h5 oversize
}
check "frames that are longer than the MTU are counted" wait_for 60 long_ones_are_counted
at h5 ethtool -K eth0 tso off gso off >/dev/null 2>&1
check "with what the log says TCP and UDP pass" transfer h5 "$SUBNET.2" 1000000

# a receive ring that nobody empties: more than it holds are lost, and told
overrun() {
	local dataplane

	dataplane=$(switch_child dataplane)
	kill -STOP "$dataplane"
	at h3 perl -MSocket -e '
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		send $s, "x", 0, pack_sockaddr_in(9, inet_aton($ARGV[0])) for 1 .. 3000' "$SUBNET.4"
	kill -CONT "$dataplane"
	wait_for 5 counted p-h3 dev_missed
}
check "what an af_packet port's ring had no room for is counted" wait_for 60 overrun
check "traffic goes on" wait_for 60 replies h3 h4

check "the switch stops" switch_stop
check "h3 has its offloads back" wait_for 10 feature h3 tcp-segmentation-offload on
check "our end of h4's puts frames together again" wait_for 10 merging to-h4 on
check "and h3's has no program left" not eval "ip link show to-h3 | grep xdp"
finish
