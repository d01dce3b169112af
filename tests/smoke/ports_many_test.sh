#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Many ports that the kernel takes its time to open and to close: policy changes come into force meanwhile; a stop takes
# every program off its interface, also that of a dataplane that was killed while it stopped.
. "$(dirname "$0")/_init.sh"

N=12
mkdir -p "$RUN_DIR/state"
{
	printf 'run_dir: %s\nstate_dir: %s/state\nports:\n' "$RUN_DIR" "$RUN_DIR"
	for i in $(seq $N); do
		ip link add "v$i" numtxqueues 1 numrxqueues 1 type veth peer name "w$i" numtxqueues 1 numrxqueues 1
		ip link set "v$i" up
		ip link set "w$i" up
		printf '  - name: p%s\n    device: af_xdp:v%s\n' "$i" "$i"
	done
} >"$RUN_DIR/ports.yaml"
{ cat "$RUN_DIR/ports.yaml" && printf 'dataplane:\n  memory_mb: 512\n'; } >"$RUN_DIR/all.yaml"
{ sed -n '1,7p' "$RUN_DIR/ports.yaml" && printf 'dataplane:\n  memory_mb: 512\n'; } >"$RUN_DIR/two.yaml"
cp "$RUN_DIR/all.yaml" "$RUN_DIR/config.yaml"
start_or_fail "$RUN_DIR/config.yaml"

ports_up() { # N: so many are there, and up
	[ "$(panectl 'ports.' | grep -c ' up ')" = "$1" ]
}
programs() { # N: so many interfaces have one
	local i n=0

	for i in $(seq $N); do
		ip link show "v$i" | grep -q prog/xdp && n=$((n + 1))
	done
	[ "$n" = "$1" ]
}
# Denies are said until there are N ports; sets meanwhile: so many came into force between the first and the last line of
# the log that WORD is in.
port=1000
change() { # CONFIG N WORD
	local from

	from=$(wc -l <"$RUN_DIR/log")
	cp "$1" "$RUN_DIR/config.yaml"
	kill -HUP "$switch_pid"
	for _ in $(seq 1000); do
		port=$((port + 1))
		panectl "deny(dstPort=$port) on rootShare to +5." >/dev/null
		[ $((port % 10)) != 0 ] || ! ports_up "$2" || break
	done
	tail -n "+$((from + 1))" "$RUN_DIR/log" >"$RUN_DIR/part"
	meanwhile=$(awk -v word="$3" '$0 ~ word {n += k; k = 0; begun = 1} begun && /in force/ {k++} END {print n + 0}' "$RUN_DIR/part")
	printf '      %s came into force meanwhile\n' "$meanwhile"
	ports_up "$2"
}

check "all ports come up" wait_for 30 ports_up $N
check "and have programs" programs $N
check "most ports are removed" change "$RUN_DIR/two.yaml" 2 ', removed'
check "policy changes come into force between two of them" [ "$meanwhile" -gt 0 ]
check "their programs are gone" wait_for 10 programs 2
check "they are added again" change "$RUN_DIR/all.yaml" $N ', up,'
check "policy changes come into force between two of them" [ "$meanwhile" -gt 0 ]
kill -TERM "$switch_pid"
wait "$switch_pid"
check "a stop ends with status 0" [ $? = 0 ]
switch_pid=
check "and leaves no program" programs 0

start_or_fail "$RUN_DIR/config.yaml"
check "all ports come up again" wait_for 30 ports_up $N
dataplane=$(switch_child dataplane)
kill -STOP "$dataplane"
kill -TERM "$switch_pid"
wait_for 10 grep -q 'supervisor info: stopping' "$RUN_DIR/log"
kill -KILL "$dataplane"
wait "$switch_pid"
check "a dataplane that is killed while it stops makes the status 1" [ $? = 1 ]
switch_pid=
check "it is said" grep -q 'dataplane .* was killed by signal 9' "$RUN_DIR/log"
check "and its programs are taken off" programs 0
finish
