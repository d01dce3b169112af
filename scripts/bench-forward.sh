#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The worker side by side with dpdk-testpmd (io) and, when it is installed, Open vSwitch with DPDK: the same rules, the
# same capture files as sources (net_pcap, infinite_rx), drop as sink, one core; runs alternate. With --over the frames
# come from another process, through memif, or through the kernel, af_xdp on veth.
# Rates are packets by CPU time of the forwarding thread: so other load on the machine disturbs little. Where the source
# is slower than who forwards, that time is in part spent on empty queues: see cycles, those of bursts with frames.
set -euo pipefail
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
. "$HERE/netns-lib.sh"
. "$HERE/measure.sh"
step_traps

usage() {
	cat <<END
usage: bench-forward.sh [--bench PATH] [--rules FILE] [--flows N] [--rounds N] [--seconds S] [--core CPU]
                        [--over memif|af_xdp] [--huge] [--without testpmd|ovs]... [--json]
  --bench PATH   pane-bench of a release build [it is built in build-release/]
  --rules FILE   ClassBench rules, or "fw:N": N firewall-like ones [none: learning only]
  --flows N      [1000]
  --rounds N     of alternating runs [5]
  --seconds S    of each run [2]
  --core CPU     of the forwarding thread [the last one we may use]; --over: the first one makes the frames
  --over PORTS   memif or af_xdp (root) instead of capture files; without Open vSwitch
  --huge         memory of huge pages for all of them (root; reserved for as long as it takes)
END
}

all=("$@")
bench= rules= flows=1000 rounds=5 seconds=2 core= over= json= huge= without=
while [ $# -gt 0 ]; do
	case $1 in
	--bench) bench=${2-} ;;
	--rules) rules=${2-} ;;
	--flows) flows=${2-} ;;
	--rounds) rounds=${2-} ;;
	--seconds) seconds=${2-} ;;
	--core) core=${2-} ;;
	--over) over=${2-} ;;
	--without) without+=" ${2-}" ;;
	--json)
		json=1
		shift
		continue
		;;
	--huge)
		huge=1
		shift
		continue
		;;
	-h | --help)
		usage
		exit 0
		;;
	*)
		misused "unknown option $1"
		;;
	esac
	has_value "$@"
	shift 2
done
if [ -z "$bench" ]; then
	BUILD_TARGETS=tests/bench/pane-bench build_dir "$TOP/build-release" --buildtype=release || die "the build failed"
	bench=$TOP/build-release/tests/bench/pane-bench
fi
[ -x "$bench" ] || die "--bench: no program $bench"
bench=$(readlink -f "$bench")
case $over in
'' | memif) ;;
af_xdp) sandbox "${all[@]}" --bench "$bench" ;;
*) die "--over: expected memif or af_xdp, got '$over'" ;;
esac
if [ -n "$huge" ]; then
	[ -z "$over" ] || die "--huge: not with --over"
	[ "$(id -u)" = 0 ] || die "--huge: must be root"
	# the mount is this run's alone
	[ -n "${PANE_PRIVATE_MOUNTS:-}" ] || PANE_PRIVATE_MOUNTS=1 exec unshare --mount "$0" "${all[@]}" --bench "$bench"
fi
[ -n "$core" ] || core=$(awk '/Cpus_allowed_list/ {n = split($2, part, /[,-]/); print part[n]}' /proc/self/status)
main_core=$(awk '/Cpus_allowed_list/ {split($2, part, /[,-]/); print part[1]}' /proc/self/status)
memory=$((512 + flows / 100)) # MB

dir=$(mktemp -d)
eal=(--no-huge)
pages= # reserved before
peer=   # pid of testpmd
source= # pid of the one that makes the frames
ovs=    # Open vSwitch runs
cleanup() {
	[ -z "$peer" ] || kill "$peer" 2>/dev/null || true
	[ -z "$source" ] || kill -9 "$source" 2>/dev/null || true
	[ -z "$ovs" ] || ovs_stop
	[ -z "$pages" ] || huge_down
	step_abort
	rm -rf "$dir"
}
trap cleanup EXIT

# One of them runs at a time: room for the one that wants most.
huge_up() {
	local want=$(((memory + 1024) / 2 + 64))

	eal=(--huge-unlink --iova-mode=va) # physically contiguous memory nobody needs, and Open vSwitch cannot get
	pages=$(cat /proc/sys/vm/nr_hugepages)
	[ "$pages" -ge "$want" ] || echo "$want" >/proc/sys/vm/nr_hugepages
	[ "$(cat /proc/sys/vm/nr_hugepages)" -ge "$want" ] || die "--huge: $want huge pages of 2 MB cannot be had"
	mkdir "$dir/huge"
	mount -t hugetlbfs -o pagesize=2M none "$dir/huge"
}

huge_down() {
	umount "$dir/huge" || true
	echo "$pages" >/proc/sys/vm/nr_hugepages
}

[ -z "$huge" ] || huge_up

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

has_stopped() { # TIMES: testpmd's figures are there so often
	[ "$(grep -c Accumulated "$dir/testpmd.log")" -ge "$1" ]
}

mpps() { # PACKETS NANOSECONDS
	awk -v p="$1" -v ns="$2" 'BEGIN {printf "%.3f\n", p / ns * 1000}'
}

# --- where frames come from

# Those of the capture files go out through port 2 and 3, and what comes back ends there.
source_start() { # PORT PORT: testpmd's
	mkfifo "$dir/source"
	dpdk-testpmd --no-huge -m $((memory + 512)) --no-pci --no-shconf --no-telemetry --file-prefix="source$$" \
		--lcores="0@$main_core,1@$main_core" \
		--vdev "net_pcap0,rx_pcap=$dir/0.pcap,infinite_rx=1" --vdev "net_pcap1,rx_pcap=$dir/1.pcap,infinite_rx=1" \
		--vdev "$1" --vdev "$2" -- -i --portlist=0,2,1,3 --total-num-mbufs=$((2 * flows + 65536)) \
		--forward-mode=io --no-mlockall <"$dir/source" >"$dir/source.log" 2>&1 &
	source=$!
	exec 8>"$dir/source"
	rm "$dir/source"
	wait_for 30 source_is_ready || die "the source does not start: $(tail -3 "$dir/source.log")"
	echo start >&8
}

source_is_ready() {
	thread_of "$source" worker-1 && { [ "$over" != memif ] || [ -S "$dir/memif1" ]; } && grep -q 'Press enter\|testpmd>' "$dir/source.log"
}

source_stop() {
	[ -n "$source" ] || return 0
	echo stop >&8
	echo quit >&8
	exec 8>&-
	wait "$source" || true
	source=
	rm -f "$dir"/memif*
}

veth_add() {
	local i

	for i in 0 1; do
		ip link add "x$i" numrxqueues 1 numtxqueues 1 type veth peer name "y$i" numrxqueues 1 numtxqueues 1
		ip link set "x$i" up
		ip link set "y$i" up
		ethtool -K "y$i" txvlan off >/dev/null 2>&1 || true
	done
	quiet_ipv6
}

over_start() {
	case $over in
	memif) source_start "net_memif0,role=server,id=0,socket=$dir/memif0,socket-abstract=no" \
		"net_memif1,role=server,id=1,socket=$dir/memif1,socket-abstract=no" ;;
	af_xdp) source_start net_af_packet0,iface=y0,qdisc_bypass=1 net_af_packet1,iface=y1,qdisc_bypass=1 ;;
	esac
}

# Ports in the words of pane-bench, and of testpmd.
pane_ports() {
	case $over in
	memif) echo "memif:role=client,id=0,socket=$dir/memif0,socket-abstract=no memif:role=client,id=1,socket=$dir/memif1,socket-abstract=no" ;;
	af_xdp) echo "af_xdp:x0 af_xdp:x1" ;;
	*) echo "pcap:$dir/0.pcap,,infinite_rx=1 pcap:$dir/1.pcap,,infinite_rx=1" ;;
	esac
}

testpmd_ports() {
	case $over in
	memif) echo "net_memif0,role=client,id=0,socket=$dir/memif0,socket-abstract=no net_memif1,role=client,id=1,socket=$dir/memif1,socket-abstract=no" ;;
	af_xdp) echo "net_af_xdp0,iface=x0 net_af_xdp1,iface=x1" ;;
	*) echo "net_pcap0,rx_pcap=$dir/0.pcap,infinite_rx=1 net_pcap1,rx_pcap=$dir/1.pcap,infinite_rx=1" ;;
	esac
}

# Each run prints Mpps and the cycles a frame of bursts with frames.
run_pane() {
	over_start
	"$bench" forward ${rules:+--rules "$dir/rules"} --memory "$memory" ${huge:+--huge} --repeat 2 --seconds "$(calc "$seconds / 2")" \
		--cores "$main_core,$core" --json --ports "$(pane_ports)" 2>"$dir/pane.log" |
		jq -r '"\(.mpps) \([.cycles_by_phase[]] | add)"'
	source_stop
}

# The first part of a run, until buffers and caches are warm and ports connected, does not count.
run_testpmd() {
	local thread time wall ports=() p

	over_start
	for p in $(testpmd_ports); do
		ports+=(--vdev "$p")
	done
	mkfifo "$dir/in"
	# with buffers of 2 KB in all, a page of 4 KB has no gap: af_xdp registers none of what lies behind gaps
	stdbuf -oL dpdk-testpmd "${eal[@]}" -m $((memory + 512)) --no-pci --no-shconf --no-telemetry --file-prefix="bench$$" \
		--lcores="0@$main_core,1@$core" "${ports[@]}" \
		-- -i --total-num-mbufs=$((2 * flows + 65536)) --mbuf-size=1856 --forward-mode=io --record-core-cycles \
		--no-mlockall <"$dir/in" >"$dir/testpmd.log" 2>&1 &
	peer=$!
	exec 7>"$dir/in"
	rm "$dir/in"
	wait_for 30 thread_of "$peer" worker-1 || die "testpmd does not start: $(tail -3 "$dir/testpmd.log")"
	thread=$(thread_of "$peer" worker-1)
	echo start >&7 # the thread has slept until now
	wait_for 30 ran "$thread" 200000000 || die "testpmd does not forward: $(tail -3 "$dir/testpmd.log")"
	echo stop >&7
	wait_for 30 has_stopped 1 || die "testpmd does not stop: $(tail -3 "$dir/testpmd.log")"
	time=$(cpu_ns "$thread") wall=$(date +%s%N)
	echo start >&7
	sleep "$seconds"
	echo stop >&7
	wall=$(($(date +%s%N) - wall))
	wait_for 30 has_stopped 2 || die "testpmd does not stop: $(tail -3 "$dir/testpmd.log")"
	time=$(($(cpu_ns "$thread") - time))
	echo quit >&7
	exec 7>&-
	wait "$peer" || true
	peer=
	source_stop
	# its cycles go on while others have the core
	awk -v ns="$time" -v wall="$wall" '/Accumulated/ {on = 1} on && /RX-packets/ {packets = $2; on = 0}
		match($0, /CPU cycles\/packet=[0-9.]+/) {cycles = substr($0, RSTART + 18, RLENGTH - 18)}
		END {printf "%.3f %s\n", packets / ns * 1000, cycles * (ns < wall ? ns / wall : 1)}' "$dir/testpmd.log"
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

ovs_start() {
	local vswitchd=/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk i

	export OVS_RUNDIR=$dir OVS_LOGDIR=$dir OVS_DBDIR=$dir OVS_SYSCONFDIR=$dir
	rm -f "$dir/conf.db"
	ovsdb-tool create "$dir/conf.db" /usr/share/openvswitch/vswitch.ovsschema
	ovsdb-server --remote="punix:$dir/db.sock" --pidfile="$dir/ovsdb.pid" --detach --log-file="$dir/ovsdb.log" \
		-vconsole:off "$dir/conf.db" 2>/dev/null
	ovs=1
	vsctl --no-wait init
	vsctl --no-wait set Open_vSwitch . other_config:dpdk-init=true other_config:pmd-cpu-mask="$(printf '%x' $((1 << core)))" \
		other_config:dpdk-extra="${eal[*]} --legacy-mem -m $((memory + 1024)) --no-pci --no-telemetry --file-prefix=ovsbench$$-$SECONDS"
	unshare --net "$vswitchd" "unix:$dir/db.sock" --pidfile="$dir/vswitchd.pid" --detach --log-file="$dir/vswitchd.log" \
		-vconsole:off -vsyslog:off --unixctl="$dir/vswitchd.ctl" >/dev/null 2>&1
	vsctl add-br br0 -- set Bridge br0 datapath_type=netdev fail_mode=secure
	ovs_rules >"$dir/flows"
	ovs-ofctl add-flows br0 "$dir/flows" # before any frame
	for i in 0 1; do
		vsctl add-port br0 "p$i" -- set Interface "p$i" type=dpdk ofport_request=$((i + 1)) \
			options:dpdk-devargs="net_pcap$i,rx_pcap=$dir/$i.pcap,infinite_rx=1"
	done
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

# Which caches are asked before the classifier: exact matches (Open vSwitch's default: one in 100 misses enters it),
# signatures, both, none.
OVS_MODES=(emc smc both none)
ovs_mode() { # MODE
	local smc=false insert=100

	case $1 in smc | both) smc=true ;; esac
	case $1 in smc | none) insert=0 ;; esac
	vsctl set Open_vSwitch . other_config:smc-enable=$smc other_config:emc-insert-inv-prob=$insert
}

# Until no flow is new, and what the caches miss is the same from one second to the next; at most a minute and 20 s.
ovs_warm() {
	local i m0 m1 h0 h1 r0 r1 share=-1

	for ((i = 0; i < 60; i++)); do
		m0=$(ovs_stat 'miss with')
		sleep 1
		m1=$(ovs_stat 'miss with')
		[ $((m1 - m0)) -gt 10 ] || break
	done
	for ((i = 0; i < 20; i++)); do
		h0=$(ovs_stat 'megaflow hits') r0=$(ovs_stat 'packets received')
		sleep 1
		h1=$(ovs_stat 'megaflow hits') r1=$(ovs_stat 'packets received')
		h1=$((r1 > r0 ? (h1 - h0) * 100 / (r1 - r0) : 0))
		[ "$h1" != "$share" ] || break
		share=$h1
	done
}

# Appends to ovs_MODE.mpps, and says what its caches did.
run_ovs() {
	local thread c0 c1 p1 mode

	ovs_start
	thread=$(thread_of "$(cat "$dir/vswitchd.pid")" pmd)
	for mode in "${OVS_MODES[@]}"; do
		ovs_mode "$mode"
		ovs_warm
		ovs-appctl -t "$dir/vswitchd.ctl" dpif-netdev/pmd-stats-clear
		c0=$(cpu_ns "$thread")
		sleep "$seconds"
		ovs-appctl -t "$dir/vswitchd.ctl" dpif-netdev/pmd-stats-show >"$dir/pmd.log"
		c1=$(cpu_ns "$thread")
		p1=$(awk -F: '/packets received/ {s += $2} END {print s + 0}' "$dir/pmd.log")
		mpps "$p1" $((c1 - c0)) >>"$dir/ovs_$mode.mpps"
		[ -n "$json" ] || say "  $mode: $(awk -F: '/received|hits|subtable|upcall|cycles per packet/ && $2 + 0 > 0 && !done[$1]++ {
			gsub(/^ +/, "", $1); printf "%s%s%s", sep, $1, $2; sep = ", "}' "$dir/pmd.log")"
	done
	ovs_stop
	for mode in "${OVS_MODES[@]}"; do
		tail -1 "$dir/ovs_$mode.mpps"
	done | sort -n | tail -1 >>"$dir/ovs_best.mpps"
}

has() {
	case $1 in
	testpmd) command -v dpdk-testpmd >/dev/null ;;
	ovs) [ -z "$over" ] && [ -x /usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk ] ;;
	esac && [[ " $without " != *" $1 "* ]]
}

[ "$over" != af_xdp ] || veth_add
names=(pane)
! has testpmd || names+=(testpmd)
for ((i = 1; i <= rounds; i++)); do
	for p in "${names[@]}"; do
		"run_$p" >"$dir/run"
		cut -d' ' -f1 "$dir/run" >>"$dir/$p.mpps"
		cut -d' ' -f2 "$dir/run" >>"$dir/$p.cycles"
		[ -n "$json" ] || say "round $i: $p $(cat "$dir/run")"
	done
	! has ovs || run_ovs
done
! has ovs || names+=("${OVS_MODES[@]/#/ovs_}" ovs_best)

# spread FILE: median min max
spread() {
	sort -n "$1" | awk '{v[NR] = $1} END {printf "%s %s %s\n", v[int((NR + 1) / 2)], v[1], v[NR]}'
}
ratio() { # FILE FILE
	paste "$1" "$2" | awk '$2 > 0 {printf "%.3f\n", $1 / $2}' >"$dir/ratio"
	spread "$dir/ratio"
}
for p in "${names[@]}"; do
	printf '%s Mpps %s\n' "$p" "$(spread "$dir/$p.mpps")"
	[ ! -f "$dir/$p.cycles" ] || printf '%s_cycles a_frame %s\n' "$p" "$(spread "$dir/$p.cycles")"
	[ "$p" = pane ] || printf 'pane/%s ratio %s\n' "$p" "$(ratio "$dir/pane.mpps" "$dir/$p.mpps")"
	[ "$p" != testpmd ] || printf 'testpmd/pane_cycles ratio %s\n' "$(ratio "$dir/testpmd.cycles" "$dir/pane.cycles")"
done | if [ -n "$json" ]; then
	awk -v rules="$rules" -v flows="$flows" -v over="${over:-pcap}" '
		BEGIN {printf "{\"rules\":\"%s\",\"flows\":%d,\"over\":\"%s\"", rules, flows, over}
		{gsub("/", "_over_", $1); printf ",\"%s\":%s,\"%s_min\":%s,\"%s_max\":%s", $1, $3, $1, $4, $1, $5}
		END {print "}"}'
else
	awk '{printf "%-20s %-8s median %8.3f  min %8.3f  max %8.3f\n", $1, $2, $3, $4, $5}'
fi
