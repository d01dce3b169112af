#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller over real Open vSwitch bridges, on the shared testbed. Skipped (77) where that or Open vSwitch is not.
#   openflow_test.sh               all networks
#   openflow_test.sh --inside      what runs inside one
set -u
NETWORKS='4 4 ring OpenFlow13
7 3 tree OpenFlow10'
. "$(dirname "$0")/of_init.sh"

where_denied() { # what comes from h1 is dropped on s1 only; with one table, which cannot hold others, where hosts are
	local bridges=s1

	[ "$OF_PROTOCOL" = OpenFlow13 ] || bridges=$(awk '{ print $4 }' "$TB_DIR/hosts" | sort -u)
	[ "$(entries | awk '/^s/ { s = $1 } /nw_src='"$TB_SUBNET"'.1[,/ ].*drop/ { print s }' | sort -u)" = "$bridges" ]
}

controller_start
check "all pairs reach each other" all_pairs
check "a broadcast is no storm" no_storm
count_is() { # N PATTERN COMMAND...
	[ "$("${@:3}" | tee /dev/stderr | grep -cE -- "$2")" = "$1" ]
}
n_links=$(wc -l <"$TB_DIR/links")
check "every link is known, both ways" count_is "$n_links" '^[^ ]' bash -c "'$BIN/control/panectl' --socket '$dir/control.sock' --json 'links.' | grep -o '\"both_ways\":true'"
check "a host is found" bash -c "'$BIN/control/panectl' --socket '$dir/control.sock' --json 'where $TB_SUBNET.1.' | grep -q '\"switch\":\"0000000000000001\",\"port\":\"${TB_PREFIX}h1-s\"'"
check "the topology is drawn" count_is "$TB_K" '^switch 0' panectl topology
check "with every host" count_is "$TB_H" "02(:00){4}.*$TB_SUBNET" panectl topology
check "and as a graph" count_is $((n_links + TB_H)) ' -- ' panectl topology --dot
if command -v dot >/dev/null; then
	check "that Graphviz draws" bash -c "'$BIN/control/panectl' --socket '$dir/control.sock' topology --dot | dot -Tsvg"
fi
check "a deny is accepted" panectl "deny(srcHost=$TB_SUBNET.1, dstHost=$TB_SUBNET.2) on rootShare."
check "and holds" wait_for 10 not reaches 1 2
check "others are not hurt" wait_for 5 reaches 1 3
check "it lies at its source only, with one table at hosts only" where_denied

know_each_other 1 3
rested
entries >"$dir/before"
host 1 ping -i 0.05 -c 105 -W1 "$TB_SUBNET.3" >"$dir/ping" &
pinging=$!
sleep 0.5
controller_kill
sleep 0.5
controller_start
wait "$pinging"
tail -n 3 "$dir/ping"
check "a killed controller loses no packet" grep -q ' 0% packet loss' "$dir/ping"
entries >"$dir/after"
check "and changes nothing when it is back" diff "$dir/before" "$dir/after"
check "the deny still holds" not reaches 1 2
check "a request can be cancelled" panectl 'cancel 1.'
check "traffic flows again" wait_for 10 reaches 1 2

if [ "$OF_TOPOLOGY" = ring ]; then
	first_link() { # up or down
		local a port

		read -r a port _ <"$TB_DIR/links"
		ovs-ofctl -O "$OF_PROTOCOL" mod-port "$a" "$port" "$1"
	}
	is_cut() { # under pings every 50 ms, for 3 s
		local pinging lost

		first_link up
		wait_for 20 links_are "$n_links" && wait_for 10 reaches 1 2 && sleep 1 || return 1 # all is placed
		host 1 ping -i 0.05 -c 60 -W1 "$TB_SUBNET.2" >"$dir/ping" &
		pinging=$!
		sleep 1
		first_link down
		wait "$pinging"
		lost=$(grep -oE '[0-9.]+% packet' "$dir/ping" | tr -dc '0-9.')
		echo "$lost % of 3 s lost"
		awk -v l="$lost" 'BEGIN { exit !(l < 33) }'
	}
	check_figure "a link that is cut costs under 1 s" is_cut
	check "all pairs reach each other without it" all_pairs
fi
finish
