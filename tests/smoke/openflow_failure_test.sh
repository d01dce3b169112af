#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Changes under traffic, over real Open vSwitch bridges in a ring: updates lose nothing, a cut link costs under a second,
# reservations move or are suspended and their owners hear of it, a dead controller leaves no request for ever, and a deny
# follows its host.
set -u
NETWORKS="4 4 ring OpenFlow13"
OF_LEASE_S=10 # all that has no end is said again every 5 s
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

addr() { echo "$TB_SUBNET.$1"; }
link_port() { # of bridge $1 towards $2
	awk -v a="${TB_PREFIX}s$1" -v b="${TB_PREFIX}s$2" '$1 == a && $3 == b { print $2 } $1 == b && $3 == a { print $4 }' "$TB_DIR/links" | head -1
}
cut_link() { # between $1 and $2: up or down
	ovs-ofctl -O "$OF_PROTOCOL" mod-port "${TB_PREFIX}s$1" "$(link_port "$1" "$2")" "$3"
}
way_of() { # bridges with an entry that puts frames into the queue of request $1
	entries | awk -v q="set_queue:$(($1 + 0))[, ]" '/^s[0-9]/ { s = $1 } $0 ~ q { print s }' | sort -u | tr '\n' ' '
}
goes() {
	[ "$(way_of "$1")" = "$2" ]
}
heard() { # events of kind $1 about request $2
	grep '"event":"'"$1"'"' "$dir/events" | grep -q '"id":'"$2"'[,}]'
}
listen() { # a session that stays, and hears events
	python3 - "$dir/control.sock" >"$dir/events" 2>&1 <<'PY' &
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
s.sendall(b"root.\nmode json.\n")
while True:
    got = s.recv(65536)
    if not got:
        break
    sys.stdout.write(got.decode())
    sys.stdout.flush()
PY
	listener=$!
	wait_for 10 grep -q '"ok"' "$dir/events" # of mode json
}
lost() {
	grep -oE '[0-9]+ packets transmitted, [0-9]+ received' "$dir/ping" | awk '{ print $1 - $4 }'
}

controller_start
check "all pairs reach each other" all_pairs
know_each_other 1 3
check "every link is known" wait_for 10 links_are 4
sleep 3 # circuits are placed 3 s after the first switch
listen

host 1 ping -i 0.01 -c 500 -W1 "$(addr 3)" >"$dir/ping" &
pinging=$!
n=2
for ((i = 0; i < 20; i++)); do # the pings' own circuit comes and goes
	panectl "reserve(srcHost=$(addr 1), dstHost=$(addr 3)) = 1Gb on rootShare." >/dev/null
	panectl "waypoint(srcHost=$(addr 2), dstHost=$(addr 4)) = {$(addr 1)} on rootShare." >/dev/null
	sleep 0.1
	panectl "cancel $((n - 1))." "cancel $n." >/dev/null
	n=$((n + 2))
	sleep 0.1
done
wait $pinging
check "80 changes, 40 of its own way, lose no packet of a flow ($(lost) of 500)" [ "$(lost)" = 0 ]
first=$((n - 1))

check "a reservation is accepted" panectl "reserve(srcHost=$(addr 1), dstHost=$(addr 3)) = 6Gb on rootShare."
check "it goes over s2" wait_for 10 goes $((first + 1)) "s1 s2 s3 "
ways=([2]="s1 s2 s3 " [4]="s1 s3 s4 ")
sides() { # sets over, the bridge in between that the reservation goes over, and other, the one that it could go over
	over=2 other=4
	! goes $((first + 1)) "${ways[4]}" || { over=4 && other=2; }
}
is_cut() { # under TCP, which stands still for under a second
	local flow server zeros

	sides
	cut_link 1 $other up # after an attempt that did not hold
	wait_for 20 links_are 4 && sleep 1.5 || { echo "a link is missing" && return 1; }
	iperf_server 3 5001
	host 1 timeout 60 iperf3 -c "$(addr 3)" -p 5001 -b 100M -t 4 -i 0.5 -J >"$dir/iperf" &
	flow=$!
	sleep 1.5
	cut_link 1 $over down
	wait $flow || { kill $server && echo "iperf3 fails" && return 1; }
	wait_for 10 goes $((first + 1)) "${ways[other]}" || { echo "the reservation does not move" && return 1; }
	zeros=$(python3 -c 'import json, sys; print(sum(i["sum"]["bytes"] == 0 for i in json.load(open(sys.argv[1]))["intervals"]))' "$dir/iperf")
	echo "$zeros half seconds without a byte"
	[ "$zeros" -le 1 ]
}
check_figure "cut, it goes the other way, and TCP stands still for under a second" is_cut
cut_link 1 "$other" down
check "without any way it is suspended, and its owner hears why" wait_for 10 heard suspended "$first"
is_suspended() { # as ListRequests. says, with the reason
	panectl --json "ListRequests." | jq -es --argjson id "$1" 'any(.. | objects; .id? == $id and .state? == "suspended" and (.why | length > 0))'
}
check "ListRequests. says so, too" is_suspended "$first"
cut_link 1 "$other" up
check "with one it is resumed" wait_for 10 heard resumed "$first"
check "as it says" not is_suspended "$first"
check "and in place" wait_for 10 goes $((first + 1)) "${ways[other]}"
check "its flow passes" wait_for 10 reaches 1 3
cut_link 1 "$over" up
check "the first link is known again" wait_for 10 links_are "$(wc -l <"$TB_DIR/links")"
sleep 1.5 # two plans and more
check "it does not move back without need" goes $((first + 1)) "${ways[other]}"

check "a deny is accepted" panectl "deny(srcHost=$(addr 2), dstHost=$(addr 3)) on rootShare to +20."
check "and holds" wait_for 10 not reaches 2 3
ip link set "${TB_PREFIX}h2-s" down
ovs-vsctl del-port "${TB_PREFIX}h2-s" -- add-port "${TB_PREFIX}s4" "${TB_PREFIX}h2-s" -- set interface "${TB_PREFIX}h2-s" ofport_request=9
ip link set "${TB_PREFIX}h2-s" up
check "its host moves to another bridge" wait_for 15 reaches 2 1
denies_at() {
	[ "$(entries | awk -v e="nw_src=$(addr 2),nw_dst=$(addr 3) actions=drop" '/^s[0-9]/ { s = $1 } index($0, e) { print s }' | tr '\n' ' ')" = "$1" ]
}
check "the deny has moved with it" wait_for 10 denies_at "s4 "
check "and holds" not reaches 2 3
kill $listener
controller_kill
check "a dead controller's request ends by the switch's own timer" wait_for 100 reaches 2 3
check "so does its reservation that has no end" wait_for 20 goes $((first + 1)) ""
check "and its flow goes on" wait_for 5 reaches 1 3
controller_start
check "the controller is back" wait_for 10 panectl "ListRequests."
check "and the reservation" wait_for 10 not goes $((first + 1)) ""
listen # what is claimed again within a minute is not told again
spoof() { # host $1 says that it has the address of host $2
	host "$1" python3 - "$(addr "$2")" <<'PY'
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("eth0", 0))
mac, ip = s.getsockname()[4], socket.inet_aton(sys.argv[1])
s.send(b"\xff" * 6 + mac + bytes.fromhex("08060001080006040002") + mac + ip + b"\xff" * 6 + ip)
PY
}
check "a host that claims the address of another is noticed by who has a request about it" wait_for 10 eval \
	'spoof 4 1 && heard contested "$first"'
check "with both" grep -q '"address":"'"$(addr 1)"'","holder":"02:00:00:00:00:01","by":"02:00:00:00:00:04"' "$dir/events"
kill $listener
finish
