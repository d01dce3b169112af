#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# PANE's switch between three hosts on this machine: installs what is missing, builds, starts, and leaves you at a prompt.
#
#   sudo scripts/run.sh                    a prompt that explains what to try
#   sudo scripts/run.sh --check            plays the proofs instead: one PASS or FAIL line each, exit status 0 or 1
#   sudo scripts/run.sh -- COMMAND...      runs COMMAND (bash) at the prompt's place
# Options: --port af_xdp|af_packet  that kind of port only (default: af_xdp, and af_packet where that does not work)
#          --build DIR              programs from this build folder (default: build/, made when needed)
#          --asan DIR               the sanitized build for --check's last proof (default: build-asan/)
#          --quick                  --check without the proofs that need the sanitized build
# Hosts, switch and all its files live in private namespaces: nothing of the machine is touched, nothing stays behind.
set -u
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
. "$HERE/netns-lib.sh"

usage() {
	sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
}
wrong() { # a command line: what, and how it should be
	say "${0##*/}: $*"
	usage >&2
	exit 2
}

args=("$@")
check= kinds="af_xdp af_packet" build= asan= quick= command=()
while [ $# -gt 0 ]; do
	case $1 in
	--check) check=1 ;;
	--quick) quick=1 ;;
	--port | --build | --asan)
		[ $# -ge 2 ] || wrong "$1 needs a value"
		case $1 in
		--port) kinds=$2 ;;
		--build) build=$2 ;;
		--asan) asan=$2 ;;
		esac
		shift
		;;
	--)
		shift
		command=("$@")
		break
		;;
	-h | --help)
		usage
		exit 0
		;;
	*) wrong "unknown option $1" ;;
	esac
	shift
done
case $kinds in
af_xdp | af_packet | "af_xdp af_packet") ;;
*) wrong "--port $kinds: expected af_xdp or af_packet" ;;
esac

outside() {
	local rc=0

	step_traps
	if [ -z "$build" ]; then
		"$HERE/deps.sh" build run || exit 1
		build=$TOP/build
		build_dir "$build" --buildtype=release -Dtests=false || exit 1
	fi
	BIN=$(readlink -f "$build") # for the sandbox, too
	program pane-switchd >/dev/null && program panectl >/dev/null || exit 1
	export BIN
	if [ -z "$check" ]; then
		sandbox_run "${args[@]}" || rc=$?
		exit "$rc"
	fi
	. "$HERE/proof.sh"
	proof_outside "$asan" "$quick" "${args[@]}"
}

# Starts the switch on ports of each kind in turn until a ping passes; says which it is. Sets kind.
start_any() {
	local rate=$1

	for kind in $kinds; do
		config_write "$RUN_DIR/config.yaml" "$kind" "$rate" h1 h2 h3
		if switch_start "$RUN_DIR/config.yaml" && wait_for 5 at h1 ping -c 1 -W 0.5 h2; then
			say "ports: $kind"
			return
		fi
		say "ports: $kind does not work here; the end of the switch's log:"
		tail -n 15 "$RUN_DIR/log" | sed 's/^/  | /' >&2
		switch_stop
	done
	die "no kind of port works here ($kinds)"
}

servers_start() {
	local h p

	for h in h1 h2 h3; do
		for p in 5201 5202; do
			ip netns exec "$h" iperf3 -s -J -p "$p" >/dev/null 2>&1 </dev/null &
		done
	done
	for h in h1 h2 h3; do
		wait_for 10 at "$h" bash -c '[ "$(ss -Hltn "sport >= 5201 and sport <= 5202" | wc -l)" = 2 ]' ||
			die "iperf3 does not start in $h"
	done
}

prompt() {
	cat >/run/bashrc <<-END
		. "$HERE/prompt.bash"
	END
	mkdir -p /run/bin
	ln -s "$(program panectl)" "$(program pane-switchd)" /run/bin/
	export RUN_DIR PATH="/run/bin:$PATH"
	if [ ${#command[@]} -gt 0 ]; then
		bash -c '. "$0"; "$@"' "$HERE/prompt.bash" "${command[@]}"
	else
		PANE_EXPLAIN=1 bash --noprofile --rcfile /run/bashrc -i
	fi
}

inside() {
	local rc=0

	unset PANE_SANDBOX
	sandbox_init
	host_add h1 1
	host_add h2 2
	host_add h3 3
	servers_start
	if [ -n "$check" ]; then
		. "$HERE/proof.sh"
		proof_inside || rc=$?
	else
		start_any 100Mb
		prompt || rc=$?
	fi
	switch_stop
	exit "$rc"
}

if [ "${PANE_SANDBOX:-}" = inside ]; then
	inside
else
	outside
fi
