#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what Debian 12 does not bring along: `deps.sh [build] [run] [test]` (default: all three).
# `deps.sh apps` installs what scripts/apps.sh runs, `deps.sh vm` what scripts/vm.sh does.
# Asks dpkg first and touches nothing, needs neither root nor network, when all is there.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"
step_traps

build="meson ninja-build python3 pkg-config gcc clang bpftool libc6-dev libdpdk-dev libbpf-dev libxdp-dev libevent-dev libssl-dev libsqlite3-dev
	libjansson-dev libcyaml-dev libyaml-dev libedit-dev libpcap-dev"
run="dpdk iproute2 iputils-ping ethtool iperf3 tcpdump jq openssl procps util-linux"
test="libcmocka-dev libclang-rt-14-dev clang-format clang-tidy codespell sqlite3 git
	openvswitch-switch python3-os-ken tshark"
apps="sshguard openssh-server openssh-client sip-tester zookeeper default-jre-headless libzookeeper-mt-dev"
vm="qemu-system-x86 cpio busybox-static kmod"

missing() {
	local list=$1 p

	for p in $list; do
		[ "$(dpkg-query -W -f '${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || printf '%s ' "$p"
	done
}

wanted=
for set in "${@:-all}"; do
	case $set in
	build) wanted+=" $build" ;;
	run) wanted+=" $run" ;;
	test) wanted+=" $test" ;;
	apps) wanted+=" $apps" ;;
	vm) wanted+=" $vm" ;;
	all) wanted+=" $build $run $test" ;;
	*) misused "unknown set '$set': build, run, test, apps or vm" ;;
	esac
done

command -v dpkg-query >/dev/null || die "this is no Debian: install by hand the equivalents of:" $wanted
need=$(missing "$wanted")
[ -n "$need" ] || exit 0
[ "$(id -u)" = 0 ] || die "must be root to install: $need(try: sudo $0)"

# Two copies of the project may start together on a fresh machine: the second one waits, then finds all installed.
exec 9>/var/lock/pane-deps.lock
flock -w 900 9 || die "another installation has been running for 15 minutes"
need=$(missing "$wanted")
[ -n "$need" ] || exit 0

export DEBIAN_FRONTEND=noninteractive
apt_update() {
	local i

	for i in 1 2 3 4 5 6; do # the lists have a lock of their own, which a new machine's first hour often holds
		apt-get -q update && return
		sleep 5
	done
	return 1
}
export -f apt_update
say "missing packages: $need"
step "apt-get update" bash -c apt_update || say "no fresh package lists (is there a network?), trying with the old ones"
# shellcheck disable=SC2086 # words are wanted
step "apt-get install" apt-get -q install -y --no-install-recommends -o DPkg::Lock::Timeout=600 $need ||
	die "could not install: $need"
