#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ports that come and go while others carry traffic: added and removed by SIGHUP, interfaces that vanish and come back, links
# that flap. h1 and h2 talk all the time; nothing of what they say is lost.
. "$(dirname "$0")/_init.sh"

KIND=${1:-af_packet}
for i in 1 2 3; do
	host_add h$i $i
done
WORKERS=${WORKERS:-2} config_write "$RUN_DIR/config.yaml" "$KIND" "" h1 h2 h3
sed -i '1i metrics_listen: 127.0.0.1:9464' "$RUN_DIR/config.yaml"
start_or_fail "$RUN_DIR/config.yaml"

figure() { # NAME: of the dataplane, as Prometheus gets it
	exec 3<>/dev/tcp/127.0.0.1/9464 && printf 'GET /metrics HTTP/1.0\r\n\r\n' >&3 && awk -v name="pane_dataplane_$1" '$1 == name {print $2}' <&3
}
replies() { # HOST TARGET: all of 3 come back
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}
ports_say() { # PATTERN
	panectl --json 'ports.' | tr '{' '\n' | grep -E "$1"
}
reload() {
	kill -HUP "$switch_pid"
}
logged() {
	grep -E "$1" "$RUN_DIR/log"
}

# 300 datagrams a second from h1 to h2, numbered; h2 says which came
stream_start() {
	ip netns exec h2 perl -MSocket -e '
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		setsockopt $s, SOL_SOCKET, SO_RCVBUF, pack("l", 4 << 20);
		bind $s, pack_sockaddr_in(9000, INADDR_ANY) or die;
		my ($n, $last, $back, $first) = (0, -1, 0);
		while (defined recv $s, my $m, 64, 0) {
			my $k = unpack "N", $m;
			last if $k == 0xffffffff;
			$first //= $k;
			$back++ if $k <= $last;
			$last = $k;
			$n++;
		}
		printf "%d %d %d\n", $last + 1 - $first, $n, $back' >"$RUN_DIR/stream.in" &
	receiver=$!
	ip netns exec h1 perl -MSocket -MTime::HiRes=sleep,time -e '
		my $stop = 0;
		$SIG{TERM} = sub {$stop = 1};
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		my $to = pack_sockaddr_in(9000, inet_aton($ARGV[0]));
		my ($k, $next) = (0, time);
		until ($stop) {
			for (1 .. 3) { send $s, pack("Na40", $k++, ""), 0, $to }
			$next += 0.01;
			sleep($next - time) if $next > time;
		}
		sleep 0.3;
		for (1 .. 5) { send $s, pack("N", 0xffffffff), 0, $to }' "$SUBNET.2" &
	sender=$!
	sleep 0.3
}
stream_stop() { # sets sent, received, reordered
	kill -TERM "$sender"
	wait "$sender" "$receiver"
	read -r sent received reordered <"$RUN_DIR/stream.in"
	printf '      %s sent, %s received, %s out of order\n' "$sent" "$received" "$reordered"
}
nothing_lost() {
	[ "$sent" -gt 100 ] && [ "$sent" = "$received" ] && [ "$reordered" = 0 ]
}

check "hosts find each other" wait_for 5 replies h1 h2
check "all three" wait_for 5 replies h3 h1

# --- added and removed by SIGHUP
stream_start
host_add h4 4
sed -i "s|^hosts:|  - name: p-h4\n    device: $KIND:to-h4\n&|" "$RUN_DIR/config.yaml"
reload
check "a port that the configuration adds comes up" wait_for 5 ports_say '"p-h4".*"up":true'
check "its host is reached" wait_for 5 replies h4 h1
sed -i '/name: p-h3/,+1d' "$RUN_DIR/config.yaml"
reload
check "one that it leaves out goes" wait_for 5 eval "! ports_say '\"p-h3\"'"
check "its host is not reached" not replies h1 h3
sed -i "s|^hosts:|  - name: p-h3\n    device: $KIND:to-h3\n&|" "$RUN_DIR/config.yaml"
reload
check "it comes back" wait_for 5 replies h3 h1
cp "$RUN_DIR/config.yaml" "$RUN_DIR/good.yaml"
sed -i "s|device: $KIND:to-h4|device: floppy:a|" "$RUN_DIR/config.yaml"
reload
check "a wrong configuration is said to be" wait_for 5 logged 'ports stay as they are: .*floppy'
check "and changes nothing" wait_for 3 replies h4 h3
cp "$RUN_DIR/good.yaml" "$RUN_DIR/config.yaml"
stream_stop
check "meanwhile others lost nothing" nothing_lost

# --- an interface that vanishes under load, and comes back
stream_start
ip netns exec h3 ping -q -n -f "$SUBNET.1" >/dev/null 2>&1 &
flood=$!
sleep 0.3
ip link del to-h3
check "a port whose interface vanishes is down" wait_for 5 ports_say '"p-h3".*"up":false'
check "and that is logged" wait_for 3 logged 'port p-h3: .* is gone'
kill "$flood" 2>/dev/null
wait "$flood" 2>/dev/null
sleep 0.5
ip netns del h3
host_add h3 3
check "it is opened again when the interface is back" wait_for 5 ports_say '"p-h3".*"up":true'
check "and carries traffic" wait_for 5 replies h3 h1
check "a denial holds on it" panectl 'deny(srcHost=h3) on rootShare to +6.'
check "at once" wait_for 1 not replies h3 h1
for i in $(seq 5); do
	ip link del to-h3
	wait_for 5 ports_say '"p-h3".*"up":false' >/dev/null
	ip netns del h3
	host_add h3 3
	wait_for 5 ports_say '"p-h3".*"up":true' >/dev/null
done
check "again and again" wait_for 5 replies h3 h1
stream_stop
check "meanwhile others lost nothing" nothing_lost

# --- links that flap under load
stream_start
for i in $(seq 30); do
	ip -n h4 link set eth0 down
	sleep 0.03
	ip -n h4 link set eth0 up
	sleep 0.03
done
check "after a link has flapped its host is reached" wait_for 5 replies h4 h1
stream_stop
check "meanwhile others lost nothing" nothing_lost
check "the dataplane never restarted" [ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" = 1 ]
sleep 1.5 # figures come once a second
check "how long workers were held is told" [ "$(figure holds_total)" -gt 12 ]
finish "$((checks - failed)) of $checks; workers were held $(figure holds_total) times, $(figure held_us_total) us in all, $(figure held_longest_us) us at most"
