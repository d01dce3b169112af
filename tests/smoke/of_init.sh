# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For tests of the controller over real Open vSwitch bridges on the shared testbed; sourced. Skipped (77) where that or
# Open vSwitch is not. NETWORKS: lines of "bridges hosts topology protocol [link]"; the script is run inside each with --inside.
TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
BIN=$(readlink -f "${BIN:-$TOP/build}")
export BIN
testbed=${PANE_TESTBED:-$TOP/../shared/testbed/ovs-net.sh}
tmp=${TMPDIR:-/tmp}
[ ${#tmp} -le 40 ] || export TMPDIR=/tmp # a socket's path is short

if [ "${1:-}" != --inside ]; then
	[ "$(id -u)" = 0 ] || { echo "skipped: needs root" && exit 77; }
	[ -f "$testbed" ] || { echo "skipped: no testbed" && exit 77; }
	command -v ovs-vswitchd >/dev/null || { echo "skipped: no Open vSwitch" && exit 77; }
	# several at once: they mostly wait, and know nothing of each other
	outputs=$(mktemp -d)
	trap 'rm -rf "$outputs"' EXIT
	failed=0 running=()
	# a test that is ended takes its networks with it: timeout is in a process group of its own
	trap 'kill "${running[@]}" 2>/dev/null; exit 143' TERM INT HUP
	death="setpriv --pdeathsig KILL"
	seconds=${OF_SECONDS:-600} # what hangs ends
	network() { # OUTPUT; of $k, $h, $topology, $protocol and $more
		for _ in 1 2 3; do
			# shellcheck disable=SC2086 # $more: options
			OF_PROTOCOL=$protocol OF_TOPOLOGY=$topology $death timeout $((seconds + 10)) $death bash "$testbed" -k "$k" -H "$h" -t "$topology" -p "$protocol" -T "$seconds" $more -- \
				"$(readlink -f "$0")" --inside </dev/null >>"$1" 2>&1 && return
			! grep -qE '^(ok|FAIL) ' "$1" || return 1
			echo "the network did not come up (its database, or Open vSwitch, had 5 s): again" >>"$1"
		done
		return 1
	}
	while read -r k h topology protocol more; do
		[ "$(jobs -rp | wc -l)" -lt "${OF_AT_ONCE:-9}" ] || wait -n
		echo "$k bridges, $topology, $protocol $more" >"$outputs/${#running[@]}"
		network "$outputs/${#running[@]}" &
		running+=($!)
	done <<<"${OF_NETWORKS:-$NETWORKS}"
	for i in "${!running[@]}"; do
		wait "${running[i]}" || failed=$((failed + 1))
		cat "$outputs/$i"
	done
	echo "${#running[@]} networks, $failed failed"
	[ "$failed" = 0 ]
	exit
fi

. "$TOP/scripts/lib.sh"
. "$TOP/tests/smoke/checks.sh"
dir=$(mktemp -d)
scratch=$dir
# shellcheck disable=SC2317 # the trap calls it
cleanup() {
	[ -z "${pid:-}" ] || kill "$pid" 2>/dev/null
	[ -z "${OF_KEEP:-}" ] || cp "$dir/log" "$OF_KEEP"
	rm -rf "$dir"
}
trap cleanup EXIT
# a lease so long that hardly ever one is prolonged while a test compares entries
printf 'run_dir: %s\nstate_dir: %s\nopenflow_listen: "127.0.0.1:6653"\nopenflow_lease_s: %s\nports: []\n' "$dir" "$dir" "${OF_LEASE_S:-43200}" \
	>"$dir/pane.yaml"

controller_start() {
	"$BIN/control/pane-switchd" --role=controller --config "$dir/pane.yaml" >>"$dir/log" 2>&1 </dev/null &
	pid=$!
}
controller_kill() {
	kill -9 "$pid"
	wait "$pid" 2>/dev/null
}
host() { # of number $1
	ip netns exec "${TB_PREFIX}h$1" "${@:2}"
}
listens() { # on port $2 of host $1
	host "$1" ss -Hltn "sport = :$2" | grep -q .
}
iperf_server() { # for one client, at port $2 of host $1; it listens when this returns, and $server is its pid
	host "$1" timeout 600 iperf3 -s -1 -p "$2" >/dev/null 2>&1 &
	server=$!
	wait_for 10 listens "$1" "$2"
}
reaches() {
	host "$1" ping -c1 -W1 "$TB_SUBNET.$2"
}
settled() { # all bridges are back since the log was emptied, and what they have was compared (of_net.c: 3 s after the first)
	wait_for 10 eval '[ "$(grep -c "is up, OpenFlow" "$dir/log")" -ge "$TB_K" ]'
	sleep 3.5
}
links_are() { # known both ways, $1 of them
	[ "$(panectl --json 'links.' | grep -o '"both_ways":true' | wc -l)" = "$1" ]
}
reaches_all() { # each of the others at once
	local b n=0 pings=()

	for ((b = 1; b <= TB_H; b++)); do
		wait_for 30 reaches "$1" "$b" &
		pings+=($!)
	done
	for ((b = 1; b <= TB_H; b++)); do
		wait "${pings[b - 1]}" || { echo "h$1 does not reach h$b" && n=$((n + 1)); }
	done
	return $((n > 0))
}
# Hosts $1 and $2 know each other for good: the kernel keeps 1024 neighbours for all namespaces together, forgets some
# when others come (from 512 on), and asks for them again. For where the loss of a packet is to be the network's fault.
know_each_other() {
	host "$1" ip neigh replace "$TB_SUBNET.$2" lladdr "$(host "$2" cat /sys/class/net/eth0/address)" nud permanent dev eth0
	host "$2" ip neigh replace "$TB_SUBNET.$1" lladdr "$(host "$1" cat /sys/class/net/eth0/address)" nud permanent dev eth0
}
all_pairs() {
	local a

	for ((a = 1; a <= TB_H; a++)); do
		reaches_all "$a" || return 1
	done
}
# The frames that a broadcast makes on all ports of a bridge together stay as many as there are ports and hosts.
received() {
	ovs-ofctl -O "$OF_PROTOCOL" dump-ports "${TB_PREFIX}s1" | grep -oE 'rx pkts=[0-9]+' | tr -dc '0-9\n' | awk '{ n += $1 } END { print n }'
}
no_storm() {
	local before after

	before=$(received)
	host 1 ping -b -c3 -i0.2 -W1 "$TB_SUBNET.255"
	sleep 0.5
	after=$(received)
	[ $((after - before)) -lt 1000 ] # a storm has that many in a few milliseconds
}
entries() { # of all bridges, without what counts or ages; with meters
	local s

	for ((s = 1; s <= TB_K; s++)); do
		echo "s$s"
		ovs-ofctl -O "$OF_PROTOCOL" dump-flows "${TB_PREFIX}s$s" --no-stats | sort
		[ "$OF_PROTOCOL" != OpenFlow13 ] || ovs-ofctl -O "$OF_PROTOCOL" dump-meters "${TB_PREFIX}s$s" | grep -v OFPST | sort
	done
}
rested() { # no entry has changed for 2 s: what is updated in steps is over
	local end=$((SECONDS + 30)) last now

	last=$(entries)
	while sleep 2; do
		now=$(entries)
		[ "$now" != "$last" ] || return 0
		last=$now
		[ "$SECONDS" -lt "$end" ] || return 1
	done
}
panectl() {
	"$BIN/control/panectl" --socket "$dir/control.sock" "$@"
}
# The controller dies and comes back: what $1 (entries, if not said) prints is in $dir/before and $dir/after.
restart() {
	local what=${1:-entries}

	rested
	"$what" >"$dir/before"
	controller_kill
	: >"$dir/log"
	controller_start
	wait_for 10 panectl "ListRequests." && settled && "$what" >"$dir/after"
}
# Ends the test: the controller must stop cleanly.
finish() {
	kill "$pid"
	wait "$pid"
	check "the controller stops cleanly" [ $? = 0 ]
	pid=
	if grep -nE 'Sanitizer|runtime error:' "$dir/log"; then
		failed=$((failed + 1))
	fi
	[ "$failed" = 0 ] || tail -n 30 "$dir/log"
	[ "$failed" = 0 ]
}

queues() { # of ours: "PORT RATE" of every port, sorted
	local port qos n uuid

	for port in $(ovs-vsctl --bare --columns=name find port qos!='[]'); do
		qos=$(ovs-vsctl get port "$port" qos)
		for n in $(ovs-vsctl get qos "$qos" queues | grep -oE '[0-9]+=' | tr -d =); do
			uuid=$(ovs-vsctl get qos "$qos" "queues:$n")
			[ "$n" = 0 ] || echo "$port $(ovs-vsctl get queue "$uuid" other_config:min-rate | tr -d '"')"
		done
	done | sort | tr '\n' ','
}
