#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# This switch as a member of the network: three Open vSwitch bridges around it, two of which are linked, too, and hosts
# of its own. All pairs reach each other, nothing is flooded for long, and requests hold from end to end.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
NETWORKS="3 3 line OpenFlow13
3 3 line OpenFlow10"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

own=$TB_SUBNET.99 bystander=$TB_SUBNET.98
{ # only the first two bridges stay linked
	read -r _
	while read -r _ _ _ _ if_a if_b; do
		ovs-vsctl del-port "$if_a" && ovs-vsctl del-port "$if_b"
	done
} <"$TB_DIR/links"
pair() { # PORT PEER
	ip link add "$1" type veth peer name "$2"
	ip link set "$1" up
	ip link set "$2" up
	ethtool -K "$2" tx off >/dev/null 2>&1
}
for s in 1 2 3; do
	pair "mid-$s" "mid-${s}1"
	ovs-vsctl add-port "${TB_PREFIX}s$s" "mid-$s" -- set interface "mid-$s" ofport_request=150
done
for n in 98 99; do
	pair "own-$n" "own-${n}1"
	ip netns add "own$n"
	ip link set "own-$n" netns "own$n"
	ip -n "own$n" addr add "$TB_SUBNET.$n/24" dev "own-$n"
	ip -n "own$n" link set "own-$n" up
	ip netns exec "own$n" ethtool -K "own-$n" tx off >/dev/null 2>&1
done
cat >"$dir/pane.yaml" <<END
run_dir: $dir
state_dir: $dir
openflow_listen: "127.0.0.1:6653"
openflow_lease_s: 43200
openflow_ovsdb: "unix:$TB_DIR/db.sock"
ports:
  - {name: p1, device: "af_packet:mid-11"}
  - {name: p2, device: "af_packet:mid-21"}
  - {name: p3, device: "af_packet:mid-31"}
  - {name: own, device: "af_packet:own-991", rate: 100Mb}
  - {name: by, device: "af_packet:own-981", rate: 100Mb}
END
"$BIN/control/pane-switchd" --config "$dir/pane.yaml" >>"$dir/log" 2>&1 </dev/null &
pid=$!
child() { # ROLE
	pgrep -P "$pid" -f -- "--role[= ]$1"
}
at() { # own host NUMBER
	ip netns exec "own$1" "${@:2}"
}
every_pair() {
	local n h

	all_pairs || return 1
	for n in 98 99; do
		for ((h = 1; h <= TB_H; h++)); do
			wait_for 20 at "$n" ping -c1 -W1 "$TB_SUBNET.$h" || { echo "$n does not reach h$h" && return 1; }
			wait_for 20 host "$h" ping -c1 -W1 "$TB_SUBNET.$n" || { echo "h$h does not reach $n" && return 1; }
		done
	done
	wait_for 20 at 98 ping -c1 -W1 "$own"
}
links() { # of this switch, as it tells them
	panectl --json links. | grep -oE '"from":\{"port":"p[0-9]"\},"to":\{"switch":"[0-9a-f]{16}","port":"mid-[0-9]"' |
		sed -E 's/.*"(p[0-9])".*"(mid-[0-9])"/\1=\2/' | sort | tr '\n' ' '
}
knows_links() {
	[ "$(links)" = "$1" ]
}
got() { # frames, by the bystander
	at 98 cat /sys/class/net/own-98/statistics/rx_packets
}
passes_by() { # COMMAND...: the bystander gets nothing of it but a probe now and then
	local before

	before=$(got)
	"$@" || return 1
	[ $(($(got) - before)) -lt 50 ]
}
denials() { # bridges with a denial of what $1 matches
	entries | awk -v what="$1" '/^s[0-9]/ { s = $1 } $0 ~ what && /actions=drop/ { printf "%s ", s }'
}
are_denials() { # with one table they lie wherever hosts are
	[ "$OF_PROTOCOL" = OpenFlow10 ] || [ "$(denials "$1")" = "$2" ]
}
are_queues() {
	[ "$(queues)" = "$1" ]
}

check "its links to all three are known" wait_for 20 knows_links "p1=mid-1 p2=mid-2 p3=mid-3 "
check "all pairs reach each other" every_pair
check "its hosts are told at its ports, and no others are" wait_for 5 eval \
	'[ "$(panectl --json hosts. | grep -oE "\"switch\":null,\"port\":\"[a-z0-9]*\"" | sort -u | tr "\n" " ")" = "\"switch\":null,\"port\":\"by\" \"switch\":null,\"port\":\"own\" " ]'
is_at() { # ADDRESS, what where. says of its place
	panectl --json "where $1." | tee "$dir/where"
	grep -qE "\"address\":\"$1\".*$2" "$dir/where"
}
check "where. says so" wait_for 5 is_at "$own" '"switch":null,"port":"own"'
check "and of others" wait_for 5 is_at "$TB_SUBNET.1" "\"switch\":\"[0-9a-f]{16}\",\"port\":\"${TB_PREFIX}h1-s\""
check "the topology is drawn" wait_for 5 eval '[ "$(panectl topology | grep -cE "this switch/p[123]")" = 3 ]'
check "what is installed is right" wait_for 20 panectl verify
check "the bystander gets nothing of what is for others" passes_by host 1 ping -q -c200 -i0.01 -W1 "$own"
check "nor of what goes between bridges" passes_by host 3 ping -q -c200 -i0.01 -W1 "$TB_SUBNET.1"
check "nothing storms" bash -c "n() { cat /sys/class/net/mid-1/statistics/rx_packets; }; a=\$(n); sleep 1; [ \$((\$(n) - a)) -lt 100 ]"

check "a deny towards its host is accepted" panectl "deny(srcHost=$TB_SUBNET.1, dstHost=$own) on rootShare."
check "and holds" wait_for 5 not host 1 ping -c1 -W1 "$own"
check "at the source's edge only" wait_for 5 are_denials "nw_dst=$own" "s1 "
check "a deny of its host is accepted" panectl "deny(srcHost=$own, dstHost=$TB_SUBNET.2) on rootShare."
check "and holds here" wait_for 5 not at 99 ping -c1 -W1 "$TB_SUBNET.2"
check "not elsewhere" are_denials "nw_src=$own" ""
check "what is installed is right with them" wait_for 20 panectl verify
check "they end" eval 'panectl "cancel 1." && panectl "cancel 2."'

check "a reservation to its host is accepted" panectl "reserve(srcHost=$TB_SUBNET.3, dstHost=$own, dstPort=5001) = 60Mb on rootShare."
check "it has a queue towards this switch" wait_for 10 are_queues "mid-3 60000000,"
is_queued_at() { # PORT REQUEST: one item of queues. says so
	panectl --json queues. | jq -es --arg port "$1" --argjson id "$2" 'any(.. | objects;
		.port? == $port and (.request? == $id or any(.reservations[]?; . == $id)))' >/dev/null
}
check "a second one that its port has no room for is refused" not panectl "reserve(srcHost=$TB_SUBNET.1, dstHost=$own, dstPort=5002) = 60Mb on rootShare."
check "nor is there room for one between its own hosts" not panectl "reserve(srcHost=$bystander, dstHost=$own, dstPort=5003) = 60Mb on rootShare."
check "one that there is room for is accepted" panectl "reserve(srcHost=$bystander, dstHost=$own, dstPort=5003) = 30Mb on rootShare."
check "one from its host is accepted" panectl "reserve(srcHost=$own, dstHost=$TB_SUBNET.1, srcPort=5001) = 20Mb on rootShare."
check "it has queues where the bridges send it on" wait_for 10 are_queues "${TB_PREFIX}h1-s 20000000,mid-3 60000000,"
at 99 timeout 600 iperf3 -s -p 5001 >/dev/null 2>&1 &
wait_for 10 eval 'at 99 ss -Hltn "sport = :5001" | grep -q .'
check "the flow passes, and arrives without a tag" wait_for 5 host 3 timeout 40 iperf3 -c "$own" -p 5001 -n 1M
check "in a queue of its own at the own port, which queues. tells" wait_for 5 is_queued_at own 3
check "the way back of another one does, too" wait_for 5 host 1 timeout 40 iperf3 -R -c "$own" -p 5001 -n 1M
check "the flow is put in its queue" wait_for 5 eval 'ovs-ofctl -O "$OF_PROTOCOL" dump-flows "${TB_PREFIX}s3" | grep "tp_dst=5001" | grep -qE "set_queue|enqueue"'
check "what is installed is right with circuits" wait_for 20 panectl verify

host 2 ip neigh replace "$own" lladdr "$(at 99 cat /sys/class/net/own-99/address)" nud permanent dev eth0
at 99 ip neigh replace "$TB_SUBNET.2" lladdr "$(host 2 cat /sys/class/net/eth0/address)" nud permanent dev own-99
rested
entries >"$dir/before"
host 2 ping -q -c250 -i0.04 -W1 "$own" >"$dir/ping" 2>&1 &
ping=$!
sleep 1
kill -9 "$(child controller)"
check "a killed controller comes back and knows its links" wait_for 20 knows_links "p1=mid-1 p2=mid-2 p3=mid-3 "
wait "$ping"
check "nothing was lost ($(tail -n 2 "$dir/ping" | head -n 1))" grep -q " 0% packet loss" "$dir/ping"
check "and no entry is another one" wait_for 12 eval 'entries | diff "$dir/before" -'

ip link set mid-1 down
check "a link to this switch is cut: the other way is taken" wait_for 10 host 1 ping -c1 -W1 "$own"
check "by all" every_pair
check "and by the reservation" wait_for 10 are_queues "${TB_PREFIX}h1-s 20000000,mid-3 60000000,${TB_PREFIX}s2-s1 20000000,"
check "what is installed is right then" wait_for 20 panectl verify
ip link set mid-1 up
check "it comes back" wait_for 20 knows_links "p1=mid-1 p2=mid-2 p3=mid-3 "
check "and all reach each other" every_pair
check "the reservation stays where it is, or comes back" wait_for 10 eval 'queues | grep -q "h1-s 20000000"'
check "nothing storms then" bash -c "n() { cat /sys/class/net/mid-1/statistics/rx_packets; }; a=\$(n); sleep 1; [ \$((\$(n) - a)) -lt 100 ]"
check "what is installed is right again" wait_for 20 panectl verify

megabits() { # UDP that h2 gets at port $1 from what "${@:2}" begins, offered far more
	iperf_server 2 "$1" || return 1
	"${@:2}" timeout 20 iperf3 -c "$TB_SUBNET.2" -p "$1" -u -b 20M -l 1200 -t 4 -J >"$dir/iperf.$1" ||
		{ kill "$server" && return 1; }
	wait "$server"
	python3 -c 'import json, sys; r = json.load(open(sys.argv[1]))["end"]["sum"]; print(r["bits_per_second"] * (1 - r["lost_percent"] / 100) / 1e6)' "$dir/iperf.$1"
}
both_limited() { # own hosts and others, each by its part of the limit; both get something
	local pid

	megabits 5005 host 1 >"$dir/theirs" &
	pid=$!
	megabits 5006 at 99 >"$dir/ours"
	wait $pid || return 1
	echo "own hosts: $(within "$(cat "$dir/ours")" 0.3 4), others: $(within "$(cat "$dir/theirs")" 0.3 4)"
	within "$(cat "$dir/ours")" 0.3 4 >/dev/null && within "$(cat "$dir/theirs")" 0.3 4 >/dev/null
}
if [ "$OF_PROTOCOL" = OpenFlow13 ]; then # 1.0 has no meters
	check "a limit on what comes from own hosts and others is accepted" panectl "ratelimit(dstHost=$TB_SUBNET.2, transport=UDP) = 8Mb on rootShare."
	check "each bridge keeps a fourth" wait_for 10 eval '[ "$(entries | grep -c rate=2000)" = 3 ]'
	check_figure "and this switch, too, of 8 Mb" both_limited
fi
finish
