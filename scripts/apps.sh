#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Four applications that talk to the network, end to end: real programs between hosts on the real switch, with and
# without what they ask PANE for. Each prints a table and PASS or FAIL, and plots it over time (docs/applications.md).
#
#   sudo scripts/apps.sh [sshguard|voip|zookeeper|hadoop|all]... [--seconds N] [--build DIR] [--out DIR]
#     sshguard    an attacker guesses passwords and floods; SSHGuard has the switch deny it
#     voip        a SIP call under a flood, with and without a reservation
#     zookeeper   writes to ZooKeeper under a flood, with and without a reservation
#     hadoop      three shuffles, alike and with parts of 25, 25 and 50 %
#     --seconds N   of traffic in each, about [24]; 12 or more make sense
#     --port KIND   af_xdp or af_packet ports only [af_xdp, and af_packet where that does not work]
#     --build DIR   programs from this build folder; then nothing is installed or built [build/, made when needed]
#     --out DIR     plots and series go there [apps/ in the build folder]
# One that fails may have been disturbed by whatever else the machine does: it gets a second attempt, and says so.
# Exit status: 0 all pass, 1 one failed, 77 a package is missing (scripts/deps.sh apps installs them). Hosts, switch and
# all their files live in private namespaces: nothing of the machine is touched, nothing stays behind.
set -u
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
. "$HERE/netns-lib.sh"
. "$HERE/measure.sh"
. "$HERE/apps/common.sh"

usage() {
	sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
	exit 0
}

apps=() seconds=24 kinds="af_xdp af_packet" build='' out=''
while [ $# -gt 0 ]; do
	case $1 in
	--seconds | --port | --build | --out)
		has_value "$@"
		case $1 in
		--seconds) seconds=$2 ;;
		--port) kinds=$2 ;;
		--build) build=$2 ;;
		--out) out=$2 ;;
		esac
		shift
		;;
	sshguard | voip | zookeeper | hadoop) apps+=("$1") ;;
	all) apps+=(sshguard voip zookeeper hadoop) ;;
	-h | --help) usage ;;
	*) misused "unknown option or application $1" ;;
	esac
	shift
done
[ ${#apps[@]} -gt 0 ] || apps=(sshguard voip zookeeper hadoop)
[[ $seconds =~ ^[0-9]{1,3}$ ]] && [ "$seconds" -ge 6 ] || misused "--seconds $seconds: expected 6..999"
case $kinds in
af_xdp | af_packet | "af_xdp af_packet") ;;
*) misused "--port $kinds: expected af_xdp or af_packet" ;;
esac

outside() {
	local a rc worst=0 skipped=

	step_traps
	[ "$(id -u)" = 0 ] || { say "skipped: needs root" && exit 77; }
	if [ -z "$build" ]; then
		"$HERE/deps.sh" build run apps || exit 1
		build=$TOP/build
		build_dir "$build" --buildtype=release -Dtests=false || exit 1
		# a build folder from before the ZooKeeper library was installed does not know it
		if [ ! -x "$build/tests/apps/pane-zk-write" ]; then
			step "reconfiguring $build" meson setup --reconfigure "$build" "$TOP" &&
				build_dir "$build" --buildtype=release -Dtests=false || exit 1
		fi
	fi
	BIN=$(readlink -f "$build")
	program pane-switchd >/dev/null && program panectl >/dev/null && program pane-load >/dev/null || exit 1
	out=${out:-$BIN/apps}
	mkdir -p "$out" && out=$(readlink -f "$out") || exit 1
	export BIN
	for a in "${apps[@]}"; do
		rc=0
		sandbox_run "$a" --seconds "$seconds" --port "$kinds" --out "$out" || rc=$?
		if [ "$rc" = 1 ]; then
			progress "$a, once more"
			rc=0
			sandbox_run "$a" --seconds "$seconds" --port "$kinds" --out "$out" || rc=$?
		fi
		case $rc in
		0) ;;
		77) skipped=1 ;;
		*) worst=1 ;;
		esac
	done
	[ "$worst" = 0 ] || exit 1
	[ -z "$skipped" ] || exit 77
}

inside() {
	local rc=0

	unset PANE_SANDBOX
	# shellcheck source=/dev/null
	. "$HERE/apps/${apps[0]}.sh"
	"app_${apps[0]}" || rc=$?
	if [ "$rc" != 0 ] && [ "$rc" != 77 ] && [ -s "$RUN_DIR/log" ]; then
		say "the end of the switch's log:"
		tail -n 25 "$RUN_DIR/log" | sed 's/^/  | /' >&2
	fi
	switch_stop
	exit "$rc"
}

if [ "${PANE_SANDBOX:-}" = inside ]; then
	inside
else
	outside
fi
