# SPDX-License-Identifier: Apache-2.0
# What the switch promises, played with real traffic: one line of PASS or FAIL with its figure for each. Sourced by run.sh.
# proof_inside runs between the hosts of netns-lib.sh, proof_outside around it.
# PROOF_ONLY (words) picks proofs by name, for work on one of them.

. "$HERE/measure.sh"

# What fails may have waited for others: so it is told how busy the machine is.
verdict() { # OK(0: yes) WHAT FIGURE
	local word=PASS load=

	[ "$1" = 0 ] || word=FAIL
	[ "$1" = 0 ] || load=" (the machine's load is $(cut -d' ' -f1 /proc/loadavg) on $(nproc) processors)"
	printf '%s  %s: %s%s\n' "$word" "$2" "$3" "$load"
	[ -z "${PROOF_REPORT:-}" ] || printf '%s\n' "$word" >>"$PROOF_REPORT"
	[ "$word" = PASS ]
}

# verdict_if 'EXPRESSION' WHAT FIGURE: numbers decide.
verdict_if() {
	holds "$1"
	verdict $? "$2" "$3"
}

# A statement that the next steps stand on.
must() {
	local user=$1 out

	shift
	out=$(as "$user" "$@" 2>&1) && return
	say "  $user: $*: $out"
	return 1
}

proof_ping() {
	local a b n=0 pairs=

	for a in h1 h2 h3; do
		for b in h1 h2 h3; do
			[ "$a" != "$b" ] || continue
			if [ "$(pings "$a" "$b" 3)" = 3 ]; then n=$((n + 1)); else pairs+=" $a-$b"; fi
		done
	done
	verdict_if "$n == 6" "ping between all pairs" "$n of 6 directions${pairs:+, not$pairs}"
}

proof_iperf() {
	local tcp lost packets ok=0

	flow_start tcp h1 h2 5201 4
	flow_wait tcp || ok=1
	tcp=$(calc "$(flow_mbps tcp)" .0f)
	verdict_if "$ok == 0 && $tcp > 100" "iperf3 TCP runs" "$tcp Mb/s"
	ok=0
	flow_start udp h1 h3 5201 3 -u -b 50M
	flow_wait udp || ok=1
	lost=$(flow_lost udp) packets=$(figure udp .end.sum.packets)
	verdict_if "$ok == 0 && $lost <= $packets / 1000" "iperf3 UDP runs" "$lost of $packets datagrams lost at 50 Mb/s"
}

proof_deny() {
	local asked answered during after ok=0

	probe_start denied h1 h2 5 || ok=1
	ping_start bystander h1 h3 5 0.01
	sleep 0.5
	asked=$(now)
	must root 'deny(srcHost=h1, dstHost=h2) on rootShare from now to +3.' || ok=1
	answered=$(now)
	during=$(pings h1 h2 5 0.4)
	sleep_until "$(calc "$answered + 3.1" .3f)"
	after=$(pings h1 h2 5)
	probe_wait denied
	ping_wait bystander
	probe_verdict denied "$asked" "$answered" 3
	verdict_if "$ok == 0 && $during == 0 && $dropped > 1000 && $late_ms <= 10" "a deny holds within 10 ms of its answer" \
		"$during of 5 pings pass, the last of a stream $late_ms ms after the answer"
	verdict_if "$after == 5 && $end_late_ms <= 10" "it ends by itself, in time" \
		"$after of 5 pings pass after, the last dropped $end_late_ms ms after the end"
	verdict_if "$sent > 0 && $sent == $received" "h1 to h3 is never touched" "$received of $sent pings pass"
}

# A deny(*) stops ARP too: for a proof about it the hosts know each other beforehand.
neighbours() { # replace|del
	local a b

	for a in 1 2 3; do
		for b in 1 2 3; do
			[ $a = $b ] || ip -n h$a neigh "$1" "$SUBNET.$b" lladdr "$(host_mac $b)" nud permanent dev eth0 2>/dev/null
		done
	done
}

proof_allow() {
	local open closed ok=0 after ends

	neighbours replace
	as root 'ListShares.' | grep -q exempt || # of the attempt before
		must root 'NewShare lab for (*) on rootShare.' 'NewShare exempt for (*) on lab.' || ok=1
	must root 'deny(*) on lab to +8.' 'allow(srcHost=h1, dstHost=h2) on exempt to +8.' \
		'allow(srcHost=h2, dstHost=h1) on exempt to +8.' || ok=1
	ends=$(calc "$(now) + 8" .3f)
	open=$(pings h1 h2 5)
	closed=$(($(pings h1 h3 3) + $(pings h3 h2 3)))
	sleep_until "$(calc "$ends + 0.2" .3f)"
	after=$(pings h1 h3 3)
	neighbours del
	verdict_if "$ok == 0 && $open == 5 && $closed == 0 && $after == 3" \
		"an allow on a child share overrides deny(*) on its parent for its flows" \
		"$open of 5 pings of the allowed, $closed of 6 of others, $after of 3 afterwards"
}

proof_limit() {
	local udp tcp ok=0

	must root 'ratelimit(srcHost=h1, dstHost=h2, transport=UDP) = 20Mb on rootShare to +8.' || ok=1
	flow_start udp h1 h2 5201 6 -u -b 100M
	flow_wait udp || ok=1
	udp=$(calc "$(flow_mbps udp)" .2f)
	verdict_if "$ok == 0 && $udp >= 19 && $udp <= 20.2" "ratelimit = 20Mb, UDP at 100 Mb/s" "$udp Mb/s arrive"
	ok=0
	must root 'ratelimit(srcHost=h1, dstHost=h2, transport=TCP) = 20Mb on rootShare to +9.' || ok=1
	flow_start tcp h1 h2 5201 7
	flow_wait tcp || ok=1
	tcp=$(calc "$(flow_mbps tcp)" .2f)
	verdict_if "$ok == 0 && $tcp >= 17 && $tcp <= 20.2" "ratelimit = 20Mb, TCP" "$tcp Mb/s arrive"
}

# iperf3's own TCP connection gets 2 Mb, or the flood would keep it from telling what arrived.
proof_reserve() {
	local ends reserved flood alone a b ok=0

	must root 'reserve(transport=TCP, dstHost=h3, dstPort=5201-5202) = 2Mb on rootShare to +40.' || ok=1
	ends=$(calc "$(now) + 15" .3f)
	must root 'reserve(transport=UDP, srcHost=h1, dstHost=h3) = 60Mb on rootShare to +15.' || ok=1
	flow_start reserved h1 h3 5201 7 -u -b 62M
	flow_start flood h2 h3 5202 7 -u -b 200M
	flow_wait reserved || ok=1
	flow_wait flood || ok=1
	reserved=$(flow_frame_mbps reserved) flood=$(flow_frame_mbps flood)
	verdict_if "$ok == 0 && $reserved >= 59 && $reserved + $flood >= 94 && $reserved + $flood <= 101" \
		"reserve = 60Mb on a port of 100 Mb against a flood" "$reserved Mb/s arrive, $flood of the flood"
	ok=0
	flow_start alone h1 h3 5201 4 -u -b 90M
	flow_wait alone || ok=1
	alone=$(flow_frame_mbps alone)
	verdict_if "$ok == 0 && $alone >= 65" "without the flood it may use more" "$alone Mb/s arrive"
	ok=0
	sleep_until "$(calc "$ends + 0.5" .3f)"
	# best effort is one FIFO: flows of one beat would take turns at its end, and who comes second loses nearly all
	flow_start a h1 h3 5201 6 -u -b 97M -l 1200
	flow_start b h2 h3 5202 6 -u -b 103M -l 900
	flow_wait a || ok=1
	flow_wait b || ok=1
	a=$(flow_frame_mbps a) b=$(flow_frame_mbps b)
	verdict_if "$ok == 0 && $a + $b >= 94 && $a >= 3 && $b >= 3" \
		"with the reservation over, they share" "$a and $b Mb/s arrive"
}

# Segments that came twice at the other end, as that told this host: sent again without need, as answers were late.
needless() { # HOST
	at "$1" awk '$1 == "TcpExt:" {if (n++ == 0) split($0, name); else for (i in name) if (name[i] == "TCPDSACKRecv") print $i}' /proc/net/netstat
}

proof_kill_controller() {
	local asked answered killed back lost packets retransmits again before stalls pid ok=0

	before=$(needless h3)
	probe_start standing h1 h3 9 || ok=1
	flow_start udp h1 h2 5201 9 -u -b 30M
	flow_start tcp h3 h2 5202 9 -b 30M
	sleep 1
	asked=$(now)
	must root 'deny(srcHost=h1, dstHost=h3) on rootShare to +6.' || ok=1
	answered=$(now)
	sleep 1
	pid=$(switch_child controller)
	kill -9 "${pid:-0}"
	killed=$(now)
	wait_for 5 switch_answers
	back=$(calc "$(now) - $killed" .2f)
	flow_wait udp || ok=1
	flow_wait tcp || ok=1
	probe_wait standing
	lost=$(flow_lost udp) packets=$(figure udp .end.sum.packets)
	again=$(figure tcp .end.sum_sent.retransmits)
	retransmits=$((again - $(needless h3) + before))
	stalls=$(figure tcp '[.intervals[] | select(.sum.bytes == 0)] | length')
	verdict_if "$ok == 0 && \"$pid\" != \"\" && $lost == 0 && $packets > 20000 && $retransmits <= 0 && $stalls == 0" \
		"kill -9 of the controller: not a packet of a transfer is lost" \
		"$lost of $packets datagrams, $again TCP retransmissions, $((again - retransmits)) of them needless; controller back after $back s"
	probe_verdict standing "$asked" "$answered" 6
	verdict_if "$dropped > 2000 && $late_ms <= 10 && $end_late_ms <= 10" "its deny holds and ends on time" \
		"the last of a stream passes $late_ms ms after the answer, the last is dropped $end_late_ms ms after the end"
}

proof_kill_dataplane() {
	local pid passed ok=0

	must root 'deny(srcHost=h1, dstHost=h3) on rootShare to +12.' || ok=1
	arrivals_start through h2 "icmp[icmptype] = icmp-echo and src host $SUBNET.1"
	probe_start denied h1 h3 6 || ok=1
	ping_start through_ping h1 h2 6 0.01
	sleep 2
	pid=$(switch_child dataplane)
	kill -9 "${pid:-0}"
	ping_wait through_ping
	arrivals_stop through
	probe_wait denied
	hole through
	passed=$(grep -c ' 1$' "$RUN_DIR/denied.probes")
	verdict_if "$ok == 0 && \"$pid\" != \"\" && $hole_s > 0.01 && $hole_s < 2 && $passed == 0" \
		"kill -9 of the dataplane: forwarding and policy are back within 2 s" \
		"$(calc "$hole_s" .2f) s without forwarding, $passed of $(wc -l <"$RUN_DIR/denied.probes") denied datagrams pass"
	sleep 6
}

proof_delegation() {
	local first second code moved

	must root 'AddUser alice.' 'NewShare aBW for (user=alice) [reserve <= 10Mb] on rootShare.' 'Grant aBW to alice.'
	as alice 'reserve(user=alice) = 5Mb on aBW from now to +10min.' >/dev/null 2>&1
	first=$?
	code=$(panectl --json --user alice 'reserve(user=alice) = 8Mb on aBW from +5min to +15min.' 2>/dev/null)
	second=$?
	code=$(jq -r .code <<<"$code" 2>/dev/null)
	as alice 'reserve(user=alice) = 8Mb on aBW from +601 to +20min.' >/dev/null 2>&1
	moved=$?
	verdict_if "$first == 0 && $second == 1 && \"$code\" == \"schedule_full\" && $moved == 0" \
		"share delegation: 5 of alice's 10 Mb, then 8 refused, and accepted after the first ends" \
		"exit status $first, $second ($code), $moved"
}

proof_stop() {
	local ok=0

	[ -n "$switch_pid" ] || start_any 100Mb # after an attempt before
	switch_stop || ok=1
	verdict_if "$ok == 0 && $switch_stop_ms < 1000" "the switch stops cleanly on SIGTERM" "$switch_stop_ms ms"
}

wanted() {
	[ -z "${PROOF_ONLY:-}" ] || [[ " $PROOF_ONLY " == *" $1 "* ]]
}

# A proof of rates or instants may be disturbed by whatever else this machine does: it gets three attempts, and says so. That
# which makes users does not: its statements hold once.
REPEATABLE="ping iperf deny allow limit kill_controller kill_dataplane reserve stop"

attempt() { # PROOF REPORT
	: >"$2"
	PROOF_REPORT=$2 "proof_$1"
	! grep -q FAIL "$2"
}

proofs() {
	local p n report=$RUN_DIR/proof.report

	for p; do
		wanted "$p" || continue
		say "... $p"
		for n in 1 2 3; do
			[ $n = 1 ] || say "... $p, attempt $n (load $(cut -d' ' -f1-3 /proc/loadavg))"
			! attempt "$p" "$report" && [[ " $REPEATABLE " == *" $p "* ]] || break
		done
		cat "$report" >>"$PROOF_REPORT"
	done
}

proof_inside() {
	start_any ""
	proofs ping iperf deny allow limit kill_controller kill_dataplane delegation
	switch_stop
	start_any 100Mb
	proofs reserve stop
	if grep -q FAIL "$PROOF_REPORT"; then
		say "the end of the switch's log:"
		tail -n 25 "$RUN_DIR/log" | sed 's/^/  | /' >&2
	fi
	return 0
}

# smoke NAME BUILD WHAT: a smoke test as a proof; its last line is the figure.
smoke() {
	local out rc=0

	out=$(BIN=$2 timeout 300 "$TOP/tests/smoke/$1_test.sh" 2>&1) || rc=$?
	[ "$rc" = 0 ] || [ "$rc" = 77 ] || printf '%s\n' "$out" | tail -n 20 | sed 's/^/  | /' >&2
	verdict "$rc" "$3" "$(tail -n 1 <<<"$out")"
}

# What needs no network of ours, around what does. Exits.
proof_outside() { # ASAN_DIR QUICK ARGS...
	local asan=$1 quick=$2 passed failed

	shift 2
	PROOF_REPORT=$(mktemp)
	export PROOF_REPORT
	trap 'step_abort; rm -f "$PROOF_REPORT"' EXIT
	sandbox_run "$@" || printf 'FAIL\n' >>"$PROOF_REPORT"
	step_traps
	! wanted frames || smoke frames "$BIN" "a pcap in, exactly the expected pcaps out, through the real worker"
	! wanted traces || smoke traces "$BIN" "panectl check over the traces"
	if [ -z "$quick" ] && wanted random; then
		if [ -z "$asan" ]; then
			asan=$TOP/build-asan
			"$HERE/deps.sh" && build_dir "$asan" --buildtype=debugoptimized -Dsanitize=address,undefined
		fi
		smoke random "$asan" "100,000 random statements and 10,000 random frames under ASan and UBSan"
	fi
	passed=$(grep -c PASS "$PROOF_REPORT")
	failed=$(grep -c FAIL "$PROOF_REPORT")
	[ -z "${PROOF_WORDS:-}" ] || cp "$PROOF_REPORT" "$PROOF_WORDS" # test.sh counts them
	say "$passed passed, $failed failed"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}
