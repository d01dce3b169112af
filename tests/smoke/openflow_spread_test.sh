#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Flows between two hosts are spread over ways that are equally short, by select groups of real Open vSwitch bridges: in
# a ring, and on a line whose links are double, so that two switches in a row choose.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
set -u
NETWORKS="4 4 ring OpenFlow13
4 4 ring OpenFlow10
3 3 line OpenFlow13"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

far=3
addr() { echo "$TB_SUBNET.$1"; }
if [ "$OF_TOPOLOGY" = line ]; then
	for link in "1 2" "2 3"; do
		read -r a b <<<"$link"
		ip link add "x$a-$b" type veth peer name "x$b-$a"
		for end in "$a $b" "$b $a"; do
			read -r at to <<<"$end"
			ip link set "x$at-$to" up
			ethtool -K "x$at-$to" tx off >/dev/null 2>&1
			ovs-vsctl add-port "${TB_PREFIX}s$at" "x$at-$to" -- set interface "x$at-$to" ofport_request="20$to"
		done
	done
	ways="1:101 1:202 2:102 2:203" # bridge and port, of the ways from host 1 to host 3
else
	ways="1:101 1:102"
fi

listen() { # TCP at host $1: takes what comes; it listens when this returns
	host "$1" python3 - <<'PY' &
import socket, threading
s = socket.create_server(("", 7000), backlog=256)
def drain(c):
    while c.recv(65536):
        pass
while True:
    threading.Thread(target=drain, args=(s.accept()[0],), daemon=True).start()
PY
	listener=$!
	wait_for 10 listens "$1" 7000
}
flows() { # $1 TCP flows from host 1, each of $2 bytes
	host 1 timeout 300 python3 - "$(addr $far)" "$1" "$2" <<'PY'
import socket, sys
for _ in range(int(sys.argv[2])):
    s = socket.create_connection((sys.argv[1], 7000), timeout=60)
    s.sendall(b"x" * int(sys.argv[3]))
    s.shutdown(socket.SHUT_WR)
    while s.recv(1000):
        pass
PY
}
sent() { # bytes by way $1
	ovs-ofctl -O "$OF_PROTOCOL" dump-ports "${TB_PREFIX}s${1%:*}" "${1#*:}" | grep -oE 'tx pkts=[0-9]+, bytes=[0-9]+' | grep -oE '[0-9]+$'
}
measure() { # what flows add to each way, with $1 flows of $2 bytes
	local w before after

	before=$(for w in $ways; do sent "$w"; done)
	flows "$1" "$2" || return 1
	after=$(for w in $ways; do sent "$w"; done)
	added=$(paste -d' ' <(echo "$after") <(echo "$before") | awk '{ print $1 - $2 }')
	echo "$ways: $(tr '\n' ' ' <<<"$added")"
}
all_carry() { # each of the ways at least 1/8 of what this bridge sends
	measure 64 10000 && awk '$1 < 64 * 10000 / 8 { bad = 1 } END { exit bad }' <<<"$added"
}
one_carries() { # of the ways of each bridge just one
	measure 1 2000000 && [ "$(awk '$1 > 1900000' <<<"$added" | wc -l)" = $(($(wc -w <<<"$ways") / 2)) ] &&
		[ "$(awk '$1 < 50000' <<<"$added" | wc -l)" = $(($(wc -w <<<"$ways") / 2)) ]
}
groups() { # of all bridges
	local s

	for ((s = 1; s <= TB_K; s++)); do
		echo "s$s"
		ovs-ofctl -O "$OF_PROTOCOL" dump-groups "${TB_PREFIX}s$s" | grep -v OFPST | sort
	done
}
n_groups() {
	groups | grep -c group_id
}
all_of_it() {
	entries && groups
}
finds() { # what verify says
	panectl verify | tr '\n' ' ' | grep -qE "$1"
}

controller_start
check "all pairs reach each other" all_pairs
listen $far
if [ "$OF_PROTOCOL" = OpenFlow10 ]; then
	check "one way for all flows of a host" wait_for 10 one_carries
	kill $listener
	finish
	exit
fi
# in the ring for the host opposite, on the line for each end of a double link
check "destinations of the same ports share a group" wait_for 20 eval '[ "$(n_groups)" = 4 ]'
check "64 flows use all ways" wait_for 30 all_carry
check "one flow stays on one" wait_for 20 one_carries
check "what is installed is right" wait_for 10 panectl verify
groups >"$dir/groups"
check "a restart" restart all_of_it
check "changes nothing" diff "$dir/before" "$dir/after"
check "and sends nothing" not grep "are changed" "$dir/log"
check "64 flows use all ways" wait_for 10 all_carry

id=$(ovs-ofctl -O "$OF_PROTOCOL" dump-groups "${TB_PREFIX}s1" | grep -oE 'group_id=[0-9]+')
ovs-ofctl -O "$OF_PROTOCOL" mod-group "${TB_PREFIX}s1" "$id,type=select,bucket=output:101,bucket=output:77"
check "a bucket that leads nowhere is found" wait_for 10 finds "black_hole.*dstHost=$(addr $far),"
controller_kill
controller_start
check "and put right by the next life of the controller" wait_for 20 eval 'groups | diff "$dir/groups" -'
check "all pairs reach each other" all_pairs

if [ "$OF_TOPOLOGY" = ring ]; then
	go_on() { # streams that carry something in the last two seconds, eight after the cut; openflow_failure_test measures how soon
		local flow server carry

		ip link set "${TB_PREFIX}s1-s2" up # after an attempt that did not hold
		wait_for 20 links_are 4 && wait_for 20 eval '[ "$(n_groups)" = 4 ]' || { echo "a link is missing" && return 1; }
		iperf_server $far 5001
		host 1 timeout 90 iperf3 -c "$(addr $far)" -p 5001 -b 5M -P 8 -t 12 -i 0.5 -J >"$dir/iperf" &
		flow=$!
		sleep 2
		ip link set "${TB_PREFIX}s1-s2" down
		wait $flow || { kill "$server" && echo "iperf3 fails" && return 1; }
		carry=$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(sum(any(i["streams"][k]["bytes"] > 0 for i in d["intervals"][-4:]) for k in range(8)))' "$dir/iperf")
		echo "$carry of 8"
		[ "$carry" = 8 ]
	}
	check_figure "cut, all flows go on" go_on
	ways="1:102"
	check "all go the other way" wait_for 10 all_carry
	check "without groups at both ends of the cut" wait_for 10 eval '[ "$(n_groups)" = 0 ]'
	check "all pairs reach each other" all_pairs
	ip link set "${TB_PREFIX}s1-s2" up
	ways="1:101 1:102"
	check "joined, they use both again" wait_for 30 all_carry
	check "what is installed is right" wait_for 10 panectl verify
fi
kill $listener
finish
