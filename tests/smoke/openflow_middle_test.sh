#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# This switch in the middle of a path between Open vSwitch bridges, with a host of its own: the bridges find their link
# through it, and all pairs reach each other.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
NETWORKS="2 2 line OpenFlow13
7 3 tree OpenFlow13
4 4 ring OpenFlow13
20 5 star OpenFlow13"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

read -r a _ b _ if_a if_b <"$TB_DIR/links"
a=${a#"$TB_PREFIX"} b=${b#"$TB_PREFIX"}
ovs-vsctl del-port "$if_a" && ovs-vsctl del-port "$if_b" # the first link is taken out
for side in a b; do
	ip link add "mid-$side" type veth peer name "mid-${side}1"
	ip link set "mid-$side" up
	ip link set "mid-${side}1" up
	ethtool -K "mid-${side}1" tx off >/dev/null 2>&1
done
ovs-vsctl add-port "$TB_PREFIX$a" mid-a -- set interface mid-a ofport_request=150
ovs-vsctl add-port "$TB_PREFIX$b" mid-b -- set interface mid-b ofport_request=150
ip netns add own
ip link add mid-o type veth peer name mid-o1
ip link set mid-o netns own
ip -n own addr add "$TB_SUBNET.99/24" dev mid-o
ip -n own link set mid-o up
ip link set mid-o1 up
ip netns exec own ethtool -K mid-o tx off >/dev/null 2>&1
cat >"$dir/pane.yaml" <<END
run_dir: $dir
state_dir: $dir
openflow_listen: "127.0.0.1:6653"
openflow_lease_s: 43200
ports:
  - {name: pa, device: "af_packet:mid-a1"}
  - {name: pb, device: "af_packet:mid-b1"}
  - {name: po, device: "af_packet:mid-o1"}
END
"$BIN/control/pane-switchd" --config "$dir/pane.yaml" >>"$dir/log" 2>&1 </dev/null &
pid=$!
middle() {
	panectl --json 'links.' | grep -qE '"port":"mid-[ab]","number":150.*"port":"mid-[ab]","number":150.*"both_ways":true'
}
own_reaches_all() {
	local h

	for ((h = 1; h <= TB_H; h++)); do
		wait_for 20 ip netns exec own ping -c1 -W1 "$TB_SUBNET.$h" || { echo "not h$h" && return 1; }
	done
}
check "the bridges find their link through this switch" wait_for 20 middle
check "all pairs reach each other" all_pairs
check "and the host of this switch" own_reaches_all
check "the way back, too" wait_for 20 host "$TB_H" ping -c1 -W1 "$TB_SUBNET.99"
drawn() {
	[ "$(panectl topology | grep -cE "p[ab] .* [0-9a-f]{16}/mid-[ab]|mid-[ab] .* this switch/p[ab]")" = 4 ]
}
check "this switch is a member: its links are known" wait_for 10 eval '[ "$(panectl --json links. | grep -oE "\"from\":\{\"port\":\"p[ab]\"\},\"to\":\{\"switch\":\"[0-9a-f]{16}\",\"port\":\"mid-[ab]\"" | wc -l)" = 2 ]'
check "and drawn" wait_for 5 drawn
check "its host is at its port, where hosts of others are not" wait_for 5 eval '[ "$(panectl --json "hosts." | grep -oE "\"switch\":null,\"port\":\"p[abo]\",\"mac\"" | sort -u)" = "\"switch\":null,\"port\":\"po\",\"mac\"" ]'
check "nothing storms" bash -c "n() { cat /sys/class/net/mid-a1/statistics/rx_packets; }; a=\$(n); sleep 1; [ \$((\$(n) - a)) -lt 100 ]"
check "a deny holds at the source" panectl "deny(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2) on rootShare."
check "whatever is between" wait_for 10 not reaches 1 2
finish
