# SPDX-License-Identifier: Apache-2.0
# Traffic and figures between hosts of netns-lib.sh: pings, iperf3 flows, captures. Sourced by proof.sh and the smoke tests.
# Results lie in $RUN_DIR/NAME.*; everything is bounded in time. Numbers go through awk: shells only know integers.

FRAME_EXTRA=42 # Ethernet + IPv4 + UDP headers: port rates and promises count frames, iperf3 counts payload

now() {
	date +%s.%N
}

sleep_until() {
	local s

	s=$(awk -v t="$1" -v n="$(now)" 'BEGIN {d = t - n; print (d > 0 ? d : 0)}')
	sleep "$s"
}

# holds 'EXPRESSION': is it true of these numbers?
holds() {
	awk "BEGIN {exit !($1)}"
}

calc() {
	awk "BEGIN {printf \"%${2:-.1f}\", $1}"
}

address() { # HOST
	awk -v h="$1" '$2 == h {print $1}' /etc/hosts
}

# frame_send HOST HEX: one frame, as it is, out of eth0.
frame_send() {
	at "$1" perl -MSocket -e '
		open my $f, "<", "/sys/class/net/eth0/ifindex" or die "ifindex: $!";
		socket my $s, 17, SOCK_RAW, 0 or die "socket: $!"; # AF_PACKET
		send $s, pack("H*", $ARGV[0]), 0, pack("SnlSCCa8", 17, 0, <$f>, 0, 0, 6, "") or die "send: $!"' "$2"
}

# Replies to a short series of pings: pings HOST TARGET COUNT [INTERVAL].
pings() {
	at "$1" timeout 60 ping -q -n -c "$3" -i "${4:-0.05}" -W 0.4 "$2" 2>/dev/null | sed -n 's/.* \([0-9]*\) received.*/\1/p'
}

# ping_start NAME HOST TARGET SECONDS INTERVAL; then ping_wait NAME sets sent and received.
ping_start() {
	local n

	n=$(calc "$4 / $5" d)
	ip netns exec "$2" timeout $((${4%.*} * 2 + 30)) ping -q -n -c "$n" -i "$5" -W 0.5 "$3" >"$RUN_DIR/$1.ping" 2>&1 </dev/null &
	echo $! >"$RUN_DIR/$1.pid"
}

ping_wait() {
	wait "$(cat "$RUN_DIR/$1.pid")"
	read -r sent received < <(sed -n 's/^\([0-9]*\) packets transmitted, \([0-9]*\) received.*/\1 \2/p' "$RUN_DIR/$1.ping")
	: "${sent:=0}" "${received:=0}"
}

# arrivals_start NAME HOST FILTER [in|out [TCPDUMP_OPTIONS]]: notes the kernel's time of each matching frame on eth0 of HOST.
arrivals_start() {
	ip netns exec "$2" tcpdump -Z root -i eth0 -Q "${4:-in}" -n -tt -l --immediate-mode "${@:5}" "$3" \
		>"$RUN_DIR/$1.arrivals" 2>"$RUN_DIR/$1.tcpdump" </dev/null &
	echo $! >"$RUN_DIR/$1.pid"
	wait_for 5 grep -q listening "$RUN_DIR/$1.tcpdump"
}

# Its file grows no more: what was on its way has come, and was written.
stands_still() {
	local size=-1 now i

	for ((i = 0; i < 100; i++)); do
		now=$(stat -c %s "$1")
		[ "$now" != "$size" ] || return 0
		size=$now
		sleep 0.3
	done
}

arrivals_stop() {
	stands_still "$RUN_DIR/$1.arrivals"
	kill "$(cat "$RUN_DIR/$1.pid")" 2>/dev/null
	wait "$(cat "$RUN_DIR/$1.pid")" 2>/dev/null
	sed -i '/./!d' "$RUN_DIR/$1.arrivals" # an interrupted tcpdump leaves an empty line
}

# hole NAME: the longest time without an arrival; sets hole_from, hole_to (both sides have arrivals) and hole_s.
hole() {
	read -r hole_from hole_to hole_s < <(awk '
		NR > 1 && $1 - last > best {best = $1 - last; from = last; to = $1}
		{last = $1}
		END {printf "%.6f %.6f %.6f\n", from, to, best}' "$RUN_DIR/$1.arrivals")
}

# probe_start NAME FROM TO SECONDS: a datagram every millisecond, whether answered or not, each to another port (ping
# waits for replies in its own way). Notes when which one was sent and arrived; probe_wait NAME puts that together:
# lines of "time-sent passed(1) or not(0)" in $RUN_DIR/NAME.probes.
probe_start() {
	local filter="udp src port 9999 and src host $(address "$2") and dst host $(address "$3")"

	arrivals_start "$1" "$3" "$filter" && arrivals_start "$1.sent" "$2" "$filter" out || return
	ip netns exec "$2" perl -MSocket -e '
		my ($to, $until) = (inet_aton($ARGV[0]), time + $ARGV[1] + 1);
		socket my $s, PF_INET, SOCK_DGRAM, 0 or die "socket: $!";
		bind $s, sockaddr_in(9999, INADDR_ANY) or die "bind: $!";
		for (my $port = 10000; $port < 60000 && time < $until; $port++) {
			send $s, "probe", 0, sockaddr_in($port, $to);
			select undef, undef, undef, 0.001;
		}' "$(address "$3")" "$4" 2>"$RUN_DIR/$1.perl" </dev/null &
	echo $! >"$RUN_DIR/$1.prober.pid"
}

probe_wait() {
	wait "$(cat "$RUN_DIR/$1.prober.pid")"
	arrivals_stop "$1"
	arrivals_stop "$1.sent"
	awk '{port = $5; sub(/.*\./, "", port)}
		FILENAME == ARGV[1] {got[port] = 1; next}
		{printf "%s %d\n", $1, got[port]}' "$RUN_DIR/$1.arrivals" "$RUN_DIR/$1.sent.arrivals" >"$RUN_DIR/$1.probes"
}

# probe_verdict NAME ASKED ANSWERED SECONDS: a deny that was answered between those times and lasts so long. Sets
# late_ms (last one that passes, after the answer), end_late_ms (last one dropped, after the end), dropped.
probe_verdict() {
	read -r late_ms end_late_ms dropped < <(awk -v asked="$2" -v answered="$3" -v s="$4" '
		$2 == 1 && $1 < asked + s - 0.001 {last = $1}
		$2 == 0 {n++; end = $1}
		END {printf "%.1f %.1f %d\n", (last - answered) * 1000, (end - answered - s) * 1000, n}' "$RUN_DIR/$1.probes")
}

# flow_start NAME FROM TO PORT SECONDS IPERF3_ARGS...; flow_wait NAME: 0 if it ran to its end.
flow_start() {
	local name=$1 from=$2 to=$3 port=$4 seconds=$5

	shift 5
	ip netns exec "$from" timeout $((seconds + 40)) iperf3 -c "$to" -p "$port" -t "$seconds" -J --get-server-output \
		--connect-timeout 20000 "$@" >"$RUN_DIR/$name.json" 2>&1 </dev/null &
	echo $! >"$RUN_DIR/$name.pid"
}

flow_wait() {
	wait "$(cat "$RUN_DIR/$1.pid")" && jq -e '.error == null' "$RUN_DIR/$1.json" >/dev/null 2>&1
}

figure() { # NAME JQ
	jq -r "$2" "$RUN_DIR/$1.json" 2>/dev/null || echo -1
}

# Mb/s of payload at the receiver, without the first and the last second's interval.
flow_mbps() {
	figure "$1" '[.server_output_json.intervals[1:-1][].sum.bits_per_second] | if length == 0 then -1 else add / length / 1e6 end'
}

# The same in frames, for UDP.
flow_frame_mbps() {
	calc "$(flow_mbps "$1") * (1 + $FRAME_EXTRA / $(figure "$1" .start.test_start.blksize))" .2f
}

flow_lost() {
	figure "$1" .end.sum.lost_packets
}
