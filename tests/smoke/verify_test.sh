#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# panectl verify: a network that is right is clean, and each fault that is planted in a bridge is found.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
NETWORKS="3 3 line OpenFlow13
3 3 tree OpenFlow10"
. "$(dirname "$0")/of_init.sh"

ofctl() { # COMMAND BRIDGE-NUMBER ARGUMENTS...
	ovs-ofctl -O "$OF_PROTOCOL" "$1" "${TB_PREFIX}s$2" "${@:3}"
}
finds() { # PATTERN: within some seconds, as tables settle
	local end=$((SECONDS + 10 * PATIENCE))

	until panectl verify >"$dir/verify" 2>&1; [ $? = 1 ] && grep -qE -- "$1" "$dir/verify"; do
		[ "$SECONDS" -lt "$end" ] || { cat "$dir/verify" && return 1; }
		sleep 0.2
	done
}
clean() {
	wait_for 10 panectl verify
}
planted() { # TEXT PATTERN BRIDGE FLOW...
	local flow text=$1 pattern=$2 s=$3

	shift 3
	for flow; do
		ofctl add-flow "$s" "$flow"
	done
	check "$text" finds "$pattern"
	for flow; do
		ofctl del-flows "$s" --strict "${flow%%,actions*}"
	done
}
mac() { # of host $1
	printf '02:00:00:00:00:%02x' "$1"
}

controller_start
check "all pairs reach each other" all_pairs
check "a network that is right is clean" clean
verdict() {
	panectl verify | tee /dev/stderr | grep -qE '^clean: 3 switches, [0-9]+ entries, 1[0-9] pairs of addresses, [0-9]+ packets$'
}
check "its size is told" wait_for 5 verdict
check "a deny is accepted" panectl "deny(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, transport=TCP, dstPort=80) on rootShare."
check "and keeps it clean" clean
port=$(awk -v s="${TB_PREFIX}s1" '$1 == s { print $2; exit } $3 == s { print $4; exit }' "$TB_DIR/links")
ip="ip,nw_src=$TB_SUBNET.1,nw_dst=$TB_SUBNET.2"
[ "$OF_PROTOCOL" = OpenFlow13 ] || ofctl add-flow 2 "priority=65300,$ip,actions=output:1" # it is denied there, too
planted "a denied packet that is let through" "packet  srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2, transport=6, srcPort=[0-9]+, dstPort=80," \
	1 "priority=65300,$ip,actions=output:$port"
[ "$OF_PROTOCOL" = OpenFlow13 ] || ofctl del-flows 2 --strict "priority=65300,$ip"
check "is a leak" grep -q '^leak: ' "$dir/verify"
check "and told with its way" grep -qE '^  way     0{15}1/[^ ]*h1-s > 0{15}2/' "$dir/verify"
check "a round that is not kept is refused" not panectl 'verify 99999.'
check "without it all is right" clean
planted "an entry that drops" "^black_hole: " 2 "priority=65300,dl_dst=$(mac 1),actions=drop"
planted "an entry that drops one port" "srcHost=$TB_SUBNET.3, dstHost=$TB_SUBNET.2, transport=17, srcPort=[0-9]+, dstPort=777," \
	2 "priority=65300,udp,nw_dst=$TB_SUBNET.2,tp_dst=777,actions=drop"
planted "an entry that sends the wrong way" "^black_hole: " 1 "priority=65300,dl_dst=$(mac 2),actions=output:1"
ofctl add-flow 2 "priority=65300,ip,nw_dst=99.9.9.9,actions=in_port"
planted "a loop that no host's packet meets" "^loop: " 1 "priority=65300,ip,nw_dst=99.9.9.9,in_port=$port,actions=in_port"
check "with a packet that goes round" grep -q 'dstHost=99.9.9.9' "$dir/verify"
ofctl del-flows 2 --strict "priority=65300,ip,nw_dst=99.9.9.9"
planted "what only the switch knows" "^unchecked: " 1 "priority=65300,dl_dst=$(mac 3),actions=NORMAL"
check "without them all is right" clean
ip link set "$(awk -v s="${TB_PREFIX}s1" '$1 == s { print $5; exit } $3 == s { print $6; exit }' "$TB_DIR/links")" down
apart() { # clean, and told once
	panectl verify >"$dir/verify" 2>&1 && grep -q '^unconnected: ' "$dir/verify" && not grep -q '^black_hole' "$dir/verify"
}
check "parts of the network without a link between them are no black holes" wait_for 15 apart
check "and told, each with its switches" [ "$(grep -c '^  part [12]  0000' "$dir/verify")" = 2 ]
check "and other users may not ask" bash -c "'$BIN/control/panectl' --socket '$dir/control.sock' 'AddUser bob.' && ! '$BIN/control/panectl' --socket '$dir/control.sock' --user bob verify"
finish
