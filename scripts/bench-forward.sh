#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker side by side with dpdk-testpmd (io) and, when it is installed, Open vSwitch with DPDK: the same rules, the
# same capture files as sources (net_pcap, infinite_rx), drop as sink, one core; runs alternate.
# Rates are packets by CPU time of the forwarding thread: so other load on the machine disturbs little.
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
step_traps

usage() {
	cat <<END
usage: bench-forward.sh [--bench PATH] [--rules FILE] [--flows N] [--rounds N] [--seconds S] [--core CPU]
                        [--without testpmd|ovs]... [--json]
  --bench PATH   pane-bench of a release build [it is built in build-release/]
  --rules FILE   ClassBench rules, or "fw:N": N firewall-like ones [none: learning only]
  --flows N      [1000]
  --rounds N     of alternating runs [5]
  --seconds S    of each run [2]
  --core CPU     of the forwarding thread [the last one we may use]
END
}

bench= rules= flows=1000 rounds=5 seconds=2 core= json= without=
while [ $# -gt 0 ]; do
	case $1 in
	--bench) bench=$2 ;;
	--rules) rules=$2 ;;
	--flows) flows=$2 ;;
	--rounds) rounds=$2 ;;
	--seconds) seconds=$2 ;;
	--core) core=$2 ;;
	--without) without+=" $2" ;;
	--json)
		json=1
		shift
		continue
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		usage >&2
		die "unknown option '$1'"
		;;
	esac
	[ $# -ge 2 ] || die "$1: a value is missing"
	shift 2
done
if [ -z "$bench" ]; then
	BUILD_TARGETS=tests/bench/pane-bench build_dir "$TOP/build-release" --buildtype=release || die "the build failed"
	bench=$TOP/build-release/tests/bench/pane-bench
fi
[ -x "$bench" ] || die "--bench: no program $bench"
[ -n "$core" ] || core=$(awk '/Cpus_allowed_list/ {n = split($2, part, /[,-]/); print part[n]}' /proc/self/status)
main_core=$(awk '/Cpus_allowed_list/ {split($2, part, /[,-]/); print part[1]}' /proc/self/status)
memory=$((512 + flows / 100)) # MB

dir=$(mktemp -d)
peer= # pid of testpmd
ovs=  # Open vSwitch runs
cleanup() {
	[ -z "$peer" ] || kill "$peer" 2>/dev/null || true
	[ -z "$ovs" ] || ovs_stop
	step_abort
	rm -rf "$dir"
}
trap cleanup EXIT

"$bench" forward ${rules:+--rules "$rules"} --flows "$flows" --write "$dir/" >/dev/null

# thread_of PID NAME: the directory of the thread whose name contains NAME.
thread_of() {
	local f

	f=$(grep -l -- "$2" "/proc/$1/task/"*/comm) || return
	printf '%s' "${f%/comm}"
}

cpu_ns() { # DIRECTORY
	cut -d' ' -f1 "$1/schedstat"
}

ran() { # DIRECTORY NANOSECONDS
	[ "$(cpu_ns "$1")" -ge "$2" ]
}

rests() { # DIRECTORY
	local ns

	ns=$(cpu_ns "$1")
	sleep 0.1
	[ "$ns" = "$(cpu_ns "$1")" ]
}

mpps() { # PACKETS NANOSECONDS
	awk -v p="$1" -v ns="$2" 'BEGIN {printf "%.3f\n", p / ns * 1000}'
}

run_pane() {
	"$bench" forward ${rules:+--rules "$dir/rules"} --memory "$memory" --repeat 1 --seconds "$seconds" \
		--cores "$main_core,$core" --json \
		--ports "pcap:$dir/0.pcap,,infinite_rx=1 pcap:$dir/1.pcap,,infinite_rx=1" 2>"$dir/pane.log" | jq .mpps
}

run_testpmd() {
	local thread time packets

	mkfifo "$dir/in"
	dpdk-testpmd --no-huge -m $((memory + 512)) --no-pci --no-shconf --no-telemetry --file-prefix="bench$$" \
		--lcores="0@$main_core,1@$core" \
		--vdev "net_pcap0,rx_pcap=$dir/0.pcap,infinite_rx=1" --vdev "net_pcap1,rx_pcap=$dir/1.pcap,infinite_rx=1" \
		-- -i --total-num-mbufs=$((2 * flows + 65536)) --forward-mode=io --no-mlockall <"$dir/in" >"$dir/testpmd.log" 2>&1 &
	peer=$!
	exec 7>"$dir/in"
	rm "$dir/in"
	wait_for 30 thread_of "$peer" worker-1 || die "testpmd does not start: $(tail -3 "$dir/testpmd.log")"
	thread=$(thread_of "$peer" worker-1)
	echo start >&7 # the thread has slept until now
	wait_for 30 ran "$thread" 100000000 || die "testpmd does not forward: $(tail -3 "$dir/testpmd.log")"
	sleep "$seconds"
	echo stop >&7
	wait_for 10 rests "$thread"
	time=$(cpu_ns "$thread")
	echo quit >&7
	exec 7>&-
	wait "$peer" || true
	peer=
	packets=$(awk '/Accumulated/ {on = 1} on && /RX-packets/ {print $2; exit}' "$dir/testpmd.log")
	mpps "$packets" "$time"
}

# --- Open vSwitch: its own database and rules, the caches as mode says

vsctl() {
	ovs-vsctl --db="unix:$dir/db.sock" --timeout=60 "$@"
}

# Rules as OpenFlow: port ranges become masks; first match wins.
ovs_rules() {
	awk -F'\t' '
	function port(name, text, out,	bound, lo, hi, size, n) {
		split(text, bound, / *: */); lo = bound[1] + 0; hi = bound[2] + 0; n = 0
		if (lo == 0 && hi == 65535) { out[++n] = ""; return n }
		while (lo <= hi) {
			for (size = 1; lo % (size * 2) == 0 && lo + size * 2 - 1 <= hi; size *= 2) ;
			out[++n] = sprintf(",%s=0x%x/0x%x", name, lo, 65536 - size)
			lo += size
		}
		return n
	}
	{
		split(substr($1, 2), s, "/"); split($2, d, "/"); split($5, p, "/")
		ports = ($3 !~ /^0 *: *65535/ || $4 !~ /^0 *: *65535/)
		proto[1] = p[2] == "0x00" ? -1 : p[1] == "0x06" ? 6 : p[1] == "0x11" ? 17 : p[1] == "0x01" ? 1 : 255
		k = 1
		if (ports && proto[1] == -1) { proto[1] = 6; proto[2] = 17; k = 2 }
		for (q = 1; q <= k; q++) {
			n = port(proto[q] == 6 ? "tcp_src" : "udp_src", $3, a)
			m = port(proto[q] == 6 ? "tcp_dst" : "udp_dst", $4, b)
			for (i = 1; i <= n; i++) for (j = 1; j <= m; j++)
				printf "table=1,priority=%d,%s%s%s%s%s,actions=output:NXM_NX_REG0[]\n", 65000 - NR,
					proto[q] == 6 ? "tcp" : proto[q] == 17 ? "udp" : proto[q] == 1 ? "icmp" : "ip",
					s[2] == 0 ? "" : ",nw_src=" s[1] "/" s[2], d[2] == 0 ? "" : ",nw_dst=" d[1] "/" d[2], a[i], b[j]
		}
	}' "$([ -f "$dir/rules" ] && echo "$dir/rules" || echo /dev/null)"
	echo 'table=1,priority=1,actions=output:NXM_NX_REG0[]'
	echo 'table=0,in_port=1,actions=load:2->NXM_NX_REG0[],resubmit(,1)'
	echo 'table=0,in_port=2,actions=load:1->NXM_NX_REG0[],resubmit(,1)'
}

ovs_start() { # MODE
	local vswitchd=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk i

	export OVS_RUNDIR=$dir OVS_LOGDIR=$dir OVS_DBDIR=$dir OVS_SYSCONFDIR=$dir
	rm -f "$dir/conf.db"
	ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
	ovsdb-server --remote="punix:$dir/db.sock" --pidfile="$dir/ovsdb.pid" --detach --log-file="$dir/ovsdb.log" \
		-vconsole:off "$dir/conf.db" 2>/dev/null
	ovs=1
	vsctl --no-wait init
	vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true other_config:pmd-cpu-mask="$(printf '%x' $((1 << core)))" \
		other_config:dpdk-extra="--no-huge --legacy-mem -m $((memory + 1024)) --no-pci --no-telemetry --file-prefix=ovsbench$$-$SECONDS" \
		other_config:smc-enable="$([ "$1" = smc ] && echo true || echo false)"
	[ "$1" = emc ] || vsctl --no-wait set Open_vSwitch . other_config:emc-insert-inv-prob=0
	unshare --net "$vswitchd" "unix:$dir/db.sock" --pidfile="$dir/vswitchd.pid" --detach --log-file="$dir/vswitchd.log" \
		-vconsole:off -vsyslog:off --unixctl="$dir/vswitchd.ctl" >/dev/null 2>&1
	vsctl add-br br0 -- set Bridge br0 datapath_type=netdev fail_mode=secure
	for i in 0 1; do
		vsctl add-port br0 "p$i" -- set Interface "p$i" type=dpdk ofport_request=$((i + 1)) \
			options:dpdk-devargs="net_pcap$i,rx_pcap=$dir/$i.pcap,infinite_rx=1"
	done
	ovs_rules >"$dir/flows"
	ovs-ofctl add-flows br0 "$dir/flows"
}

ovs_stop() {
	local f

	for f in vswitchd ovsdb; do
		[ ! -f "$dir/$f.pid" ] || kill "$(cat "$dir/$f.pid")" 2>/dev/null || true
	done
	for f in vswitchd ovsdb; do
		wait_for 10 [ ! -f "$dir/$f.pid" ] || kill -9 "$(cat "$dir/$f.pid")" 2>/dev/null || true
	done
	ovs=
}


ovs_stat() { # NAME: the sum over threads
	ovs-appctl -t "$dir/vswitchd.ctl" dpif-netdev/pmd-stats-show | awk -F: -v name="$1" 'index($1, name) {s += $2} END {print s + 0}'
}

run_ovs() { # MODE
	local thread c0 c1 p0 p1 m0 m1 i

	ovs_start "$1"
	thread=$(thread_of "$(cat "$dir/vswitchd.pid")" pmd)
	for ((i = 0; i < 60; i++)); do # until its caches are full
		m0=$(ovs_stat 'miss with success upcall')
		sleep 1
		m1=$(ovs_stat 'miss with success upcall')
		[ $((m1 - m0)) -gt 10 ] || break
	done
	p0=$(ovs_stat 'packets received')
	c0=$(cpu_ns "$thread")
	sleep "$seconds"
	p1=$(ovs_stat 'packets received')
	c1=$(cpu_ns "$thread")
	ovs-appctl -t "$dir/vswitchd.ctl" dpif-netdev/pmd-stats-show >"$dir/pmd.log"
	ovs_stop
	mpps $((p1 - p0)) $((c1 - c0))
}

has() {
	case $1 in
	testpmd) command -v dpdk-testpmd >/dev/null ;;
	ovs) [ -x /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk ] ;;
	esac && [[ " $without " != *" $1 "* ]]
}

peers=()
! has testpmd || peers+=(testpmd)
! has ovs || peers+=(ovs_emc ovs_smc)
for ((i = 1; i <= rounds; i++)); do
	run_pane >>"$dir/pane.mpps"
	for p in "${peers[@]}"; do
		case $p in
		testpmd) run_testpmd ;;
		ovs_*) run_ovs "${p#ovs_}" ;;
		esac >>"$dir/$p.mpps"
	done
	[ -n "$json" ] || say "round $i: $(for p in pane "${peers[@]}"; do printf '%s %s  ' "$p" "$(tail -1 "$dir/$p.mpps")"; done)"
done

# spread FILE: median min max
spread() {
	sort -n "$1" | awk '{v[NR] = $1} END {printf "%s %s %s\n", v[int((NR + 1) / 2)], v[1], v[NR]}'
}
for p in pane "${peers[@]}"; do
	printf '%s Mpps %s\n' "$p" "$(spread "$dir/$p.mpps")"
	[ "$p" = pane ] || {
		paste "$dir/pane.mpps" "$dir/$p.mpps" | awk '{printf "%.3f\n", $1 / $2}' >"$dir/ratio"
		printf 'pane/%s ratio %s\n' "$p" "$(spread "$dir/ratio")"
	}
done | if [ -n "$json" ]; then
	awk -v rules="$rules" -v flows="$flows" 'BEGIN {printf "{\"rules\":\"%s\",\"flows\":%d", rules, flows}
		{gsub("/", "_over_", $1); printf ",\"%s\":%s,\"%s_min\":%s,\"%s_max\":%s", $1, $3, $1, $4, $1, $5}
		END {print "}"}'
else
	awk '{printf "%-16s %-6s median %8.3f  min %8.3f  max %8.3f\n", $1, $2, $3, $4, $5}'
fi
