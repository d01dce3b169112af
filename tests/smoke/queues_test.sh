#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Live figures of the scheduler over real ports: what queues, requests and shares receive, who sees it, how `panectl
# queues` draws it; and holders hear that more is promised at a port than it carries.
. "$(dirname "$0")/_init.sh"

for i in 1 2 3; do
	host_add h$i $i
done
config_write "$RUN_DIR/config.yaml" af_packet 20Mb h1 h2 h3
start_or_fail "$RUN_DIR/config.yaml"

flood() { # HOST PORT MEGABITS: datagrams of 1200 bytes to h3 at an even pace, until the end; none instead of those that came too late
	ip netns exec "$1" perl -MSocket -MTime::HiRes=time,sleep -e '
		my ($to, $port, $mbps) = @ARGV;
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die "socket: $!";
		my ($dst, $gap, $next) = (pack_sockaddr_in($port, inet_aton($to)), 1200 * 8 / ($mbps * 1e6), time);
		while (1) {
			my $now = time;
			$next = $now - 0.02 if $next < $now - 0.02;
			for (; $next <= $now; $next += $gap) { send $s, "x" x 1200, 0, $dst }
			sleep 0.001;
		}' "$(address h3)" "$2" "$3" </dev/null &
	echo $! >>"$RUN_DIR/floods"
}
of() { # JQ: of the items; prints it
	panectl --json 'queues.' | jq -r ".items[] | $1"
}
is_of() { # JQ LOW HIGH: once in a few seconds
	within "$(of "$1")" "$2" "$3"
}

at h3 perl -MSocket -e 'for my $p (5201 .. 5203) {
	socket my $s, AF_INET, SOCK_DGRAM, 0 or die "socket: $!";
	bind $s, pack_sockaddr_in($p, INADDR_ANY) or die "bind: $!";
	push @taken, $s }
	sleep' </dev/null &
bound() { [ "$(at h3 ss -Hlun 'sport >= 5201 and sport <= 5203' | wc -l)" = 3 ]; }
check "somebody is there to take floods" wait_for 5 bound
check "hosts find each other" wait_for 5 eval 'at h1 ping -c 1 -W 1 h3 && at h2 ping -c 1 -W 1 h3'
for s in 'AddUser alice.' 'NewShare video for (dstPort=5201-5203, transport=UDP) [reserve <= 40Mb ratelimit >= 0 weight = 3] on rootShare.' \
	'NewShare lab for (*) [reserve <= 1Mb] on rootShare.' 'Grant video to alice.'; do
	check "root: $s" panectl "$s"
done
check "a reservation of a share that alice does not see" panectl "reserve(transport=TCP, dstPort=5201-5203) = 1Mb on lab."
check "alice: a reservation" as alice "reserve(dstPort=5201, transport=UDP) = 8Mb on video."
check "alice: a limit" as alice "ratelimit(dstPort=5202, transport=UDP) = 2Mb on video."
flood h1 5201 9
flood h2 5202 5
flood h2 5203 20
check "a reservation receives what it asks for" wait_for 10 is_of 'select(.request == 2).received' 7800000 9600000
check "a limit receives its rate" wait_for 10 is_of 'select(.request == 3).received' 1800000 2200000
check "the share has both, and its best effort" wait_for 10 is_of 'select(.share == "video" and has("parent")).received' 17000000 20500000
check "the port sends all it can" wait_for 10 is_of 'select(.port == "p-h3" and has("late_us")).received' 18500000 20500000
check "what a limit stops waits" wait_for 5 is_of 'select(.request == 3).backlog_bytes' 5000 1000000
check "and is lost, counted by reason" wait_for 5 is_of 'select(.limits == [3]).dropped.full' 10 1000000
check "it waits long there" wait_for 5 is_of 'select(.request == 3).delay_p50_us' 10000 1000000
check "and shortly where it is guaranteed" wait_for 5 is_of 'select(.request == 2).delay_p50_us' 0 8000
check "the queue of best effort is told, too" wait_for 5 is_of 'select(.port == "p-h3" and .share == "video" and .reservations == [] and .limits == []).received' 5000000 12000000

# who sees what
not_hers() {
	[ "$(as alice --json 'queues.' | jq '[.items[] | select(.request == 1 or .share == "lab")] | length')" = 0 ]
}
check "alice sees nothing of lab" not_hers
check "she sees hers" wait_for 5 is_of 'select(.reservations == [2]).received' 7000000 9600000

# drawn
drawn() {
	panectl queues | tee "$RUN_DIR/drawn"
	grep -qE '(├─|\|-) 2 reserve +8 Mbit/s +[89](\.[0-9]+)? Mbit/s' "$RUN_DIR/drawn"
}
check "the tree is drawn with promised and received rates" wait_for 5 drawn
cat "$RUN_DIR/drawn"
check "a limit is drawn as one" grep -qE '3 ratelimit +<= 2 Mbit/s' "$RUN_DIR/drawn"
check "all lines of the tree are lined up" eval '[ "$(sed "/^\$/,\$d" "$RUN_DIR/drawn" | python3 -c "import sys; print(len({len(l) for l in sys.stdin}))")" = 1 ]'
check "ports are below" grep -qE '^p-h3 +20 Mbit/s' "$RUN_DIR/drawn"
check "JSON as well" eval 'panectl queues --json | jq -e ".items | length > 4"'

# more promised than there is
"$(program panectl)" --socket "$RUN_DIR/control.sock" --user alice --json events >"$RUN_DIR/events" 2>&1 &
echo $! >>"$RUN_DIR/floods"
check "alice hears events" wait_for 5 eval 'ss -Hx state established | grep -F "$RUN_DIR/control.sock"'
check "alice: more than the port has" as alice "reserve(dstPort=5203, transport=UDP) = 30Mb on video."
heard() { # EVENT REQUEST
	grep -F "{\"event\":\"$1\",\"id\":$2," "$RUN_DIR/events"
}
check "its holder hears that it is degraded" wait_for 12 heard degraded 4
check "and that the other is, too" wait_for 5 heard degraded 2
check "with what it gets of what was promised" jq -e 'select(.event == "degraded") | .received < .rate and .port == "p-h3"' "$RUN_DIR/events"
in_proportion() { # all asked 9 + 20 of 8 + 30 promised and 20 - 2 there: both get less
	is_of 'select(.request == 4).received' 11000000 17500000
}
check "degraded, not starved" wait_for 10 in_proportion
check "alice: cancels it" as alice "cancel 4."
check "and hears that the other is kept again" wait_for 15 heard recovered 2
while read -r pid; do
	kill "$pid" 2>/dev/null
done <"$RUN_DIR/floods"
check "queues that nobody uses go" wait_for 10 eval '[ -z "$(of "select(.limits == [3]) | .queue")" ]'
finish
