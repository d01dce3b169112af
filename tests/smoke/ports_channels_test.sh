#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# af_xdp ports on interfaces with more receive queues than there are workers: what comes by any queue reaches the switch,
# and nothing the host's own stack. Queues that come at run time, that are too many, or that another program has, are told.
. "$(dirname "$0")/_init.sh"

FLOWS=200
host_add h1 1 4
host_add h2 2 4
at h1 ip neigh add "$SUBNET.2" lladdr "$(host_mac 2)" dev eth0
at h2 ip neigh add "$SUBNET.1" lladdr "$(host_mac 1)" dev eth0

reload() {
	kill -HUP "$switch_pid"
}
logged() {
	grep -E "$1" "$RUN_DIR/log"
}
ports_say() { # PATTERN
	panectl --json 'ports.' | tr '{' '\n' | grep -E "$1"
}
counter() { # PORT NAME
	panectl --json "ports." | jq -r --arg p "$1" --arg n "$2" '.. | objects | select(.name? == $p) | [.. | objects | .[$n]? // empty] | first // 0'
}
replies() { # HOST TARGET: all of 3 come back
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}

# receiver_start NAME HOST: notes from which ports it has received
receiver_start() {
	rm -f "$RUN_DIR/$1.from"
	ip netns exec "$2" perl -MSocket -e '
		$| = 1;
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		setsockopt $s, SOL_SOCKET, SO_RCVBUF, pack("l", 4 << 20);
		bind $s, pack_sockaddr_in(5000, INADDR_ANY) or die;
		print "listens\n";
		my %from;
		while (my $peer = recv $s, my $m, 64, 0) {
			my ($port) = unpack_sockaddr_in($peer);
			print "$port\n" unless $from{$port}++;
		}' >"$RUN_DIR/$1.from" &
	receiver=$!
	wait_for 5 grep -q listens "$RUN_DIR/$1.from"
}
n_received() { # NAME
	grep -c '^[0-9]' "$RUN_DIR/$1.from"
}
have_come() { # NAME N
	[ "$(n_received "$1")" = "$2" ]
}
# send_flows HOST TARGET: a datagram of each
send_flows() {
	at "$1" perl -MSocket -MTime::HiRes=sleep -e '
		for my $i (1 .. $ARGV[1]) {
			socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
			bind $s, pack_sockaddr_in(20000 + $i, INADDR_ANY) or die;
			send $s, "x" x 20, 0, pack_sockaddr_in(5000, inet_aton($ARGV[0])) or die;
			sleep 0.001;
		}' "$(address "$2")" "$FLOWS"
}

# by_host_start NAME INTERFACE: what of the flows the host's own stack sees; by_host NAME: how much
by_host_start() {
	tcpdump -Z root -i "$2" -Q in -n -l --immediate-mode udp port 5000 >"$RUN_DIR/$1.host" 2>"$RUN_DIR/$1.tcpdump" </dev/null &
	echo $! >"$RUN_DIR/$1.pid"
	wait_for 5 grep -q listening "$RUN_DIR/$1.tcpdump"
}
by_host() {
	stands_still "$RUN_DIR/$1.host"
	kill "$(cat "$RUN_DIR/$1.pid")" 2>/dev/null
	wait "$(cat "$RUN_DIR/$1.pid")" 2>/dev/null
	grep -c 'UDP' "$RUN_DIR/$1.host"
}
is() { [ "$("${@:2}")" = "$1" ]; }

# all_arrive NAME: each flow of h1 reaches h2
all_arrive() {
	receiver_start "$1" h2
	send_flows h1 h2
	wait_for 5 have_come "$1" "$FLOWS"
	local rc=$?

	printf '%s of %s flows\n' "$(n_received "$1")" "$FLOWS"
	kill "$receiver" 2>/dev/null
	wait "$receiver" 2>/dev/null
	return "$rc"
}
queues_used() {
	ethtool -S "$1" 2>/dev/null | awk '/rx_queue_[0-9]+_xdp_packets/ && $2 > 0 {n++} /rx_queue_[0-9]+_xdp_packets/ {known = 1} END {print known ? n + 0 : -1}'
}
several_queues() {
	local n

	n=$(queues_used to-h1)
	printf '%s queues\n' "$n"
	[ "$n" = -1 ] || [ "$n" -gt 1 ] # -1: this kernel does not count them
}

both_up() {
	ports_say '"p-h1".*"up":true' && ports_say '"p-h2".*"up":true'
}
all_counted() {
	[ "$(counter p-h1 rx_packets)" -ge "$FLOWS" ]
}

# --- buffers for one of two such ports
refuses_to_start() { # CONFIG PATTERN
	! timeout $((10 * PATIENCE)) "$(program pane-switchd)" --config "$1" >"$RUN_DIR/few.log" 2>&1 </dev/null || return
	grep -E "$2" "$RUN_DIR/few.log"
}
WORKERS=1 config_write "$RUN_DIR/few.yaml" af_xdp "" h1 h2
printf '  memory_mb: 64\n' >>"$RUN_DIR/few.yaml"
check "queues without buffers are refused, with what to do" refuses_to_start "$RUN_DIR/few.yaml" \
	'p-h2 .*it has 4 receive queues, and there are packet buffers for 1: run "ethtool -L to-h2 rx 1", or raise memory_mb'
check "and leave no program on the other interface" not grep -q prog/xdp <(ip link show to-h1)

# --- four queues, fewer workers
for workers in 1 2; do
	WORKERS=$workers config_write "$RUN_DIR/config.yaml" af_xdp "" h1 h2
	start_or_fail "$RUN_DIR/config.yaml"
	check "$workers worker(s): both ports come up" wait_for 10 both_up
	by_host_start "w$workers" to-h1
	check "$workers worker(s), 4 queues: every flow arrives" all_arrive "flows$workers"
	check "they come by several queues" several_queues
	check "none reaches the host's own stack" is 0 by_host "w$workers"
	check "all are counted as received" wait_for 5 all_counted
	check "and none as come by a queue that is not served" is 0 counter p-h1 dev_unserved
	[ "$workers" = 2 ] || switch_stop || check "the switch ends well" false
done

# --- queues that come at run time (h3: its interface has 4, of which 2 are used at first)
host_add h3 3 4
at h3 ethtool -L eth0 tx 2
ethtool -L to-h3 rx 2
sed -i "s|^hosts:|  - name: p-h3\n    device: af_xdp:to-h3\n&|" "$RUN_DIR/config.yaml"
reload
check "a port of two queues comes up" wait_for 5 replies h3 h1
ethtool -L to-h3 rx 4
at h3 ethtool -L eth0 tx 4
check "more queues are told" wait_for 5 logged 'port p-h3 .*: interface to-h3 has 4 receive and 4 transmit queues now, before 2 and 4; it is opened again'
opened_again() {
	[ "$(logged 'port p-h3: .*, up,' | wc -l)" -ge 2 ] # the carrier may go and come with it
}
check "the port is opened with them" wait_for 10 opened_again
at h3 ip neigh add "$SUBNET.2" lladdr "$(host_mac 2)" dev eth0
at h2 ip neigh add "$SUBNET.3" lladdr "$(host_mac 3)" dev eth0
receiver_start again h2
by_host_start again to-h3
send_flows h3 h2
check "every flow arrives by them" wait_for 5 have_come again "$FLOWS"
check "none reaches the host's own stack" is 0 by_host again
kill "$receiver"

# --- a port that is told to serve one queue only: what comes by others is dropped and counted
sed -i "s|af_xdp:to-h3|&,start_queue=0,queue_count=1|" "$RUN_DIR/config.yaml"
reload
check "a port may have one queue of several" wait_for 10 ports_say 'queue_count=1.*"up":true'
receiver_start one h2
by_host_start one to-h3
send_flows h3 h2
all_told() { # each either arrived or was counted, and maybe what neighbours ask besides
	[ $(($(n_received one) + $(counter p-h3 dev_unserved))) -ge "$FLOWS" ]
}
check "what comes by the other queues is counted" wait_for 10 all_told
check "and there is some" [ "$(counter p-h3 dev_unserved)" -gt 0 ]
check "and nothing reaches the host's own stack" is 0 by_host one
kill "$receiver"

# --- a queue that another program has
host_add h4 4 2
"$(dirname "$0")/xsk_hold.py" to-h4 1 >"$RUN_DIR/hold" 2>&1 &
holder=$!
check "another program has a queue" wait_for 5 grep -q bound "$RUN_DIR/hold"
sed -i "s|^hosts:|  - name: p-h4\n    device: af_xdp:to-h4\n&|" "$RUN_DIR/config.yaml"
reload
check "that is told, with the queue" wait_for 5 logged 'p-h4 .*another socket has queue 1 of the interface, or had it until just now: tried again'
kill "$holder"
wait "$holder" 2>/dev/null
check "the port comes up when the queue is free" wait_for 10 replies h4 h1

# --- more queues than a port serves, and than there are buffers for
host_add h5 5 17
at h5 ethtool -L eth0 tx 1
sed -i "s|^hosts:|  - name: p-h5\n    device: af_xdp:to-h5\n&|" "$RUN_DIR/config.yaml"
reload
check "too many queues are refused, with what to do" wait_for 5 logged 'p-h5 .*interface to-h5 has 17 receive queues, and a port serves at most 16: run "ethtool -L to-h5 rx 16"'
ethtool -L to-h5 rx 2
check "when they are fewer the port comes up" wait_for 10 replies h5 h1
check "the others carry on" wait_for 5 replies h1 h2
check "the dataplane never restarted" [ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" = 2 ]
finish
