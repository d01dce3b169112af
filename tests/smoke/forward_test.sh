#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Hosts that never heard of PANE: learning, flooding, every frame size, VLAN tags, a host that moves, counters.
. "$(dirname "$0")/_init.sh"

KIND=${1:-af_packet}
for i in 1 2 3; do
	host_add h$i $i
done
config_write "$RUN_DIR/config.yaml" "$KIND" "" h1 h2 h3
start_or_fail "$RUN_DIR/config.yaml"

replies() { # HOST TARGET PING_ARGS...: all of 3 come back
	local h=$1 t=$2

	shift 2
	at "$h" ping -n -q -c 3 -i 0.05 -W 1 "$@" "$t" | grep ' 3 received'
}

check "hosts find each other" wait_for 5 replies h1 h2
check "a third one, too" wait_for 3 replies h3 h1
check "the smallest frames pass" wait_for 3 replies h1 h2 -s 0
check "frames of MTU size pass" wait_for 3 replies h1 h2 -s 1472 -M do
check "IP fragments pass" wait_for 3 replies h1 h2 -s 4000

# what h1 and h2 say to each other is not h3's business
arrivals_start other h3 "icmp and host $SUBNET.1"
at h1 ping -n -q -c 20 -i 0.01 h2 >/dev/null
arrivals_stop other
check "learnt addresses are not flooded" [ ! -s "$RUN_DIR/other.arrivals" ]

arrivals_start flood3 h3 "ether dst ff:ff:ff:ff:ff:ff"
at h2 bash -c 'echo 0 >/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts'
check "broadcasts reach others" wait_for 3 bash -c "ip netns exec h1 ping -n -b -c 2 -i 0.1 -W 1 $SUBNET.255 | grep 'from $SUBNET.2'"
check "and everybody else" wait_for 3 [ -s "$RUN_DIR/flood3.arrivals" ]
arrivals_stop flood3

# who is where, and what requests count
seen_at() { # PORT HOST_NUMBER
	panectl --json "where $SUBNET.$2." | grep -F "\"mac\":\"$(host_mac "$2")\"" | grep -F "\"port\":\"$1\""
}
check "a host is known by its port" wait_for 3 seen_at p-h1 1
check "others, too" wait_for 3 seen_at p-h3 3
said=$(wc -l <"$RUN_DIR/log")
in_force() { tail -n "+$((said + 1))" "$RUN_DIR/log" | grep 'in force'; }
panectl "allow(srcHost=h1, dstHost=h2, transport=ICMP) on rootShare." >/dev/null || check "an allow is accepted" false
check "an allow is in force" wait_for 5 in_force
at h1 ping -n -q -c 25 -i 0.01 -s 58 h2 >/dev/null
counted() {
	panectl --json "traffic(srcHost=h1) on rootShare." | tee "$RUN_DIR/traffic.json" | grep -q '"packets":25[,}]'
}
check "a request counts its packets" wait_for 3 counted
check "and their bytes" grep -q '"bytes":2500[,}]' "$RUN_DIR/traffic.json"

# tags as they are, whether or not this kernel knows VLAN interfaces
tag_passes() { # TAGS_HEX PATTERN
	local header frame rc=0

	header=ffffffffffff$(host_mac 1 | tr -d :)$1
	frame=${header}88b5$(printf '%0120d' 0)
	arrivals_start tagged h2 "" in -e
	frame_send h1 "$frame"
	wait_for 3 grep -E "$2" "$RUN_DIR/tagged.arrivals" || rc=1
	arrivals_stop tagged
	cat "$RUN_DIR/tagged.arrivals"
	return $rc
}
check "VLAN tags pass" tag_passes 8100000a 'vlan 10, p 0'
check "with their priority" tag_passes 8100e014 'vlan 20, p 7'
check "two tags pass" tag_passes 88a8001e8100000a 'vlan 30.* vlan 10'

# a backlog takes no buffers from others: 40 tiny limits, each with more small frames than it passes
small_frames() { # N: datagrams of one byte to each of 40 ports
	at h2 perl -MSocket -e '
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		for my $i (1 .. $ARGV[1]) { for my $p (7001 .. 7040) {
			send $s, "x", 0, pack_sockaddr_in($p, inet_aton($ARGV[0])) } }' "$SUBNET.1" "$1"
}
for p in $(seq 7001 7040); do
	printf 'ratelimit(dstHost=h1, transport=UDP, dstPort=%d) = 10kb on rootShare.\n' "$p"
done | panectl >/dev/null || check "40 limits are accepted" false
beside_a_backlog() {
	small_frames 4000
	replies h2 h3
}
check_figure "a backlog of limited groups leaves others alone" beside_a_backlog
check "their own other traffic, too" replies h2 h1
# and after several times as many frames as there are buffers a port still receives
check "after all that every port still receives" replies h1 h3

# what is said of a packet is what becomes of it
traced() { # WHAT: of pings from h2 to h3, and the dataplane finds what is explained
	panectl trace 'srcHost=h2 dstHost=h3 transport=ICMP' | tee "$RUN_DIR/trace"
	grep -q "^dataplane: $1, as explained" "$RUN_DIR/trace"
}
panectl 'reserve(dstHost=h3) = 1Mb on rootShare.' >/dev/null || check "a reservation is accepted" false
check "pings get through" replies h2 h3
check "as a trace says" traced forward
check "with the class that they queue in" grep -qE '^ +queue: class [1-9][0-9]* at port p-h3' "$RUN_DIR/trace"
panectl 'deny(srcHost=h2, dstHost=h3) on rootShare to +3.' >/dev/null || check "a denial is accepted" false
check "a trace says when they are dropped" traced drop
check "and they are" not replies h2 h3
check "until the denial is over" wait_for 5 replies h2 h3
check "and then a trace says so" traced forward

# h3 takes h1's place and addresses: no waiting for the old place to age
ip -n h1 link set eth0 down
ip -n h3 link set eth0 down
ip -n h3 link set eth0 address "$(host_mac 1)"
ip -n h3 addr flush dev eth0
ip -n h3 addr add "$SUBNET.1/24" dev eth0
ip -n h3 link set eth0 up
check "a host that moved is found at its new place" wait_for 3 replies h3 h2
check "and is reached from others" wait_for 3 replies h2 h1

panectl --json ports >"$RUN_DIR/ports.json" 2>/dev/null || panectl --json 'ports.' >"$RUN_DIR/ports.json"
check "every port has counters" bash -c "for h in h1 h2 h3; do grep -q p-\$h '$RUN_DIR/ports.json' || exit 1; done"
# where the configuration has fragments dropped
check "a clean stop" switch_stop
[ -n "${WORKERS:-}" ] || printf 'dataplane:\n' >>"$RUN_DIR/config.yaml"
printf '  drop_fragments: true\n' >>"$RUN_DIR/config.yaml"
start_or_fail "$RUN_DIR/config.yaml"
check "whole packets pass where fragments are dropped" wait_for 5 replies h2 h1 -s 1000
check "fragments do not" not replies h2 h1 -s 4000
says_so() { panectl --json 'explain(kind={ip4}, srcHost=h1, transport=TCP).' | grep -F 'all fragments dropped'; }
check "and explain says so" says_so
counted_fragments() { panectl --json "ports." | grep -E '"fragment":[1-9]'; }
fragment_traced() { panectl trace '(kind={ip4}, srcHost=h1, transport=TCP)' | grep '^dataplane: drop, as explained'; }
check "and so does the dataplane" wait_for 3 fragment_traced
check "they are counted" wait_for 3 counted_fragments
finish
