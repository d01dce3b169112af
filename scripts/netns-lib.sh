# SPDX-License-Identifier: Apache-2.0
# Hosts in network namespaces around one switch, inside private namespaces. Sourced, never run; needs lib.sh.
#
# Everything (hosts, veths, switch, sockets, journal, whoever uses them) lives in one private network, mount and process
# namespace with a /run of its own. So nothing of the machine is touched, copies run side by side with equal names and
# addresses, and the kernel takes everything away when the script ends, however it ends.
#
#   sandbox "$@"          re-runs the calling script inside; returns only there
#   sandbox_run "$@"      the same, but returns its status outside
#   host_add NAME N       a host 10.0.0.N, MAC 02:00:00:00:00:NN, on interface to-NAME of the switch's side; a third
#                         argument: how many queues either end has, instead of one
#   at HOST COMMAND...    runs COMMAND in that host
#   switch_start CONFIG   starts pane-switchd and waits until it answers; switch_stop stops it
# Uses: BIN (folder of the programs' build), RUN_DIR (private, for sockets, journal and logs).

RUN_DIR=/run/pane
SUBNET=10.0.0
switch_pid=

# Runs the calling script again inside the namespaces (told by PANE_SANDBOX) and returns its status. The process outside
# turns a signal into the end of everything inside; when it is killed itself, the kernel does the same (pdeathsig).
sandbox_run() {
	local child rc=0

	[ "$(id -u)" = 0 ] || die "must be root to make network namespaces (try: sudo $0)"
	unshare --net --mount --pid --fork true 2>/dev/null ||
		die "this machine does not let root make namespaces (an unprivileged container?)"
	# the default signals are for programs inside: a shell gives its background children an ignored SIGINT
	PANE_SANDBOX=inside setpriv --pdeathsig KILL env --default-signal=INT,QUIT unshare --net --mount --pid --fork \
		--kill-child=KILL --mount-proc "$0" "$@" <&0 &
	child=$!
	trap 'kill -KILL $child 2>/dev/null; exit 130' INT
	trap 'kill -KILL $child 2>/dev/null; exit 143' TERM HUP
	wait "$child" || rc=$?
	trap - INT TERM HUP
	return "$rc"
}

sandbox() {
	if [ "${PANE_SANDBOX:-}" = inside ]; then
		unset PANE_SANDBOX
		sandbox_init
		return
	fi
	sandbox_run "$@"
	exit
}

sandbox_init() {
	# sysfs shows the network namespace it was mounted in; libxdp pins what it loads under /sys/fs/bpf
	mount -t tmpfs -o mode=755 pane /run && mkdir -p /run/netns "$RUN_DIR" && mount -t sysfs sysfs /sys ||
		die "cannot make private mounts"
	mount -t bpf bpf /sys/fs/bpf 2>/dev/null
	# a private copy of /etc, with our hosts in it (a small system may have no /etc/hosts to mount over)
	cp -a /etc /run/etc && mount --bind /run/etc /etc || die "cannot make a private /etc"
	printf '127.0.0.1 localhost\n' >/etc/hosts
	ip link set lo up
	quiet_ipv6
}

# No router solicitations and the like: tests count frames.
quiet_ipv6() {
	local f

	for f in /proc/sys/net/ipv6/conf/{all,default}/disable_ipv6; do
		[ ! -e "$f" ] || echo 1 >"$f"
	done
}

# The switch sees frames as they lie in memory: checksums must be complete and no frame larger than the MTU.
plain_frames() {
	ethtool -K "$1" tx off rx off tso off gso off gro off >/dev/null 2>&1
	return 0
}
export -f quiet_ipv6 plain_frames

at() {
	local host=$1

	shift
	ip netns exec "$host" "$@"
}

host_mac() {
	printf '02:00:00:00:00:%02x' "$1"
}

host_add() {
	local name=$1 n=$2 queues="numtxqueues ${3:-1} numrxqueues ${3:-1}"

	# shellcheck disable=SC2086 # words are wanted
	ip netns add "$name" &&
		at "$name" bash -c quiet_ipv6 &&
		ip link add "to-$name" $queues type veth peer name eth0 netns "$name" address "$(host_mac "$n")" $queues &&
		plain_frames "to-$name" && at "$name" bash -c 'plain_frames eth0' &&
		ip -n "$name" addr add "$SUBNET.$n/24" dev eth0 && ip -n "$name" link set lo up &&
		ip -n "$name" link set eth0 up && ip link set "to-$name" up || die "cannot make host $name"
	printf '%s %s\n' "$SUBNET.$n" "$name" >>/etc/hosts
}

# config_write FILE DEVICE_KIND RATE HOST...: a port to each host; RATE may be empty. WORKERS, if set: how many.
config_write() {
	local file=$1 kind=$2 rate=$3 h

	shift 3
	{
		printf 'run_dir: %s\nstate_dir: %s/state\nports:\n' "$RUN_DIR" "$RUN_DIR"
		for h in "$@"; do
			printf '  - name: %s\n    device: %s:to-%s\n' "p-$h" "$kind" "$h"
			[ -z "$rate" ] || printf '    rate: %s\n' "$rate"
		done
		printf 'hosts:\n'
		for h in "$@"; do
			printf '  - name: %s\n    address: %s\n' "$h" "$(awk -v h="$h" '$2 == h {print $1}' /etc/hosts)"
		done
		[ -z "${WORKERS:-}" ] || printf 'dataplane:\n  workers: %s\n' "$WORKERS"
	} >"$file"
	mkdir -p "$RUN_DIR/state"
}

# program NAME: its path in the build folder BIN.
program() {
	local f

	for f in "$BIN/control/$1" "$BIN/nic-config/$1" "$BIN/tests/bench/$1" "$BIN/tests/apps/$1"; do
		if [ -x "$f" ] && [ -f "$f" ]; then
			printf '%s\n' "$f"
			return
		fi
	done
	die "$1 is not built in $BIN"
}

# Process id of the switch's child with that role, as the supervisor starts it.
switch_child() {
	pgrep -P "$switch_pid" -f -- "--role[= ]$1"
}

panectl() {
	timeout 60 "$(program panectl)" --socket "$RUN_DIR/control.sock" "$@"
}

# Statements said by a user; output and status are panectl's.
as() {
	local user=$1

	shift
	panectl --user "$user" "$@"
}

switch_answers() {
	panectl 'time.'
}

# switch_start CONFIG [SECONDS]: 0 when it answers on its socket in time (wait_for); its log is $RUN_DIR/log.
switch_start() {
	local config=$1 end=$((SECONDS + ${2:-15} * PATIENCE))

	"$(program pane-switchd)" --config "$config" >>"$RUN_DIR/log" 2>&1 </dev/null &
	switch_pid=$!
	while [ "$SECONDS" -lt "$end" ]; do
		switch_answers >/dev/null 2>&1 && return 0
		kill -0 "$switch_pid" 2>/dev/null || break
		sleep 0.05
	done
	switch_stop
	return 1
}

# Milliseconds it took go to switch_stop_ms. 0 if it ended by itself after SIGTERM and with status 0.
switch_stop() {
	local begin rc=0

	[ -n "$switch_pid" ] || return 0
	begin=$(date +%s%N)
	kill -TERM "$switch_pid" 2>/dev/null
	wait_for 5 eval "! kill -0 $switch_pid 2>/dev/null" || kill -KILL "$switch_pid" 2>/dev/null
	wait "$switch_pid" 2>/dev/null || rc=$?
	switch_stop_ms=$((($(date +%s%N) - begin) / 1000000))
	switch_pid=
	return "$rc"
}
