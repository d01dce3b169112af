# SPDX-License-Identifier: Apache-2.0
# VoIP: a SIP call between two sipp, 50 RTP packets a second, while somebody else floods the callee's port. First
# nothing else is on the network, then the flood, then the flood and a reservation: the caller asks for it when the call
# is set up, to begin with the third part. What the call got is taken from captures at both ends. Sourced by apps.sh.

call_start() { # MILLISECONDS RESERVE_COMMAND
	local sipp

	sipp=$(command -v sipp)
	head -c 800000 /dev/urandom >"$RUN_DIR/audio.al"
	cat >"$RUN_DIR/reserve" <<-END
		#!/bin/sh
		$2 >$RUN_DIR/reserve.out 2>&1
	END
	chmod +x "$RUN_DIR/reserve"
	spawn callee callee env TERM=dumb "$sipp" -sn uas -nostdin -i "$(address callee)" -p 5060 -mp 6000 -rtp_echo -m 1
	wait_for 10 at callee bash -c 'ss -Hlun "sport = 5060" | grep -q .' || die "sipp: $(cat "$RUN_DIR/callee.err")"
	sed "s#@audio@#$RUN_DIR/audio.al#; s#@reserve@#$RUN_DIR/reserve#" "$HERE/apps/call.xml" >"$RUN_DIR/call.xml"
	spawn caller caller env TERM=dumb "$sipp" -sf "$RUN_DIR/call.xml" -nostdin -i "$(address caller)" -p 5060 -m 1 \
		-d "$1" "$(address callee):5060"
}

# Both captures, put together by RTP sequence number: lines of "time-sent delay-in-ms", -1 for what never arrived.
call_join() {
	awk '
		{for (i = 1; i < NF; i++) if ($i == "udp/rtp") {n = $(i + 3); if (n == "*") n = $(i + 4)}}
		FILENAME == ARGV[1] {if (!(n in at)) at[n] = $1; next}
		{printf "%s %.3f\n", $1, (n in at ? ($1 < at[n] ? (at[n] - $1) * 1000 : 0) : -1)}' \
		"$RUN_DIR/received.arrivals" "$RUN_DIR/sent.arrivals" >"$RUN_DIR/delay"
}

# Figures of the part [FROM, TO): sets sent, lost (%), delay and late (ms, median and 99 % quantile), jitter (ms, mean
# of RFC 3550's), mos (E-model of ITU-T G.107 for G.711 without loss concealment, 20 ms of packet, 40 of jitter buffer).
call_part() {
	delay=$(quantile "$RUN_DIR/delay" "$1" "$2" 0.5) late=$(quantile "$RUN_DIR/delay" "$1" "$2" 0.99)
	read -r sent lost jitter mos < <(awk -v a="$1" -v b="$2" '
		$1 < a || $1 >= b {next}
		{n++}
		$2 < 0 {lost++; next}
		{sum += $2}
		got++ {d = $2 - last; j += ((d < 0 ? -d : d) - j) / 16; all += j}
		{last = $2}
		END {
			loss = n ? lost / n * 100 : 100
			d = (got ? sum / got : 1000) + 60
			r = 93.2 - 0.024 * d - (d > 177.3 ? 0.11 * (d - 177.3) : 0) - 95 * loss / (loss + 4.3)
			m = r < 0 ? 1 : 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6
			printf "%d %.2f %.2f %.1f\n", n, loss, (got > 1 ? all / (got - 1) : -1), (m < 1 ? 1 : m)
		}' "$RUN_DIR/delay")
}

app_voip() {
	local p t0 t1 t2 t3 end widths=26,8,9,11,11,11,7 sent lost delay late jitter mos
	local quiet_lost flood_lost flood_late answer

	needs sipp tcpdump || return
	p=$(calc "$seconds / 3" .2f)
	network_start 20Mb caller callee other
	must root 'AddUser caller.' 'NewShare calls for (srcHost=caller, transport=UDP) [reserve <= 1Mb] on rootShare.' \
		'Grant calls to caller.'
	arrivals_start sent caller "udp dst port 6000" out -T rtp || die "tcpdump"
	arrivals_start received callee "udp dst port 6000" in -T rtp || die "tcpdump"
	load port callee watch eth0
	call_start "$(calc "($p * 3 + 0.5) * 1000" d)" "$(program panectl) --socket $RUN_DIR/control.sock --user caller \
		'reserve(srcHost=caller, dstHost=callee, transport=UDP, dstPort=6000) = 120kb on calls
		from +$(calc "2 * $p" d) to +1h.'"
	wait_for 10 [ -s "$RUN_DIR/reserve.out" ] || die "no call: $(tail -n 5 "$RUN_DIR/caller.err")"
	answer=$(head -n 1 "$RUN_DIR/reserve.out")
	t0=$(now)
	progress "the call is up, and its caller has asked for 120 kb/s later: $answer"
	sleep "$p"
	t1=$(now)
	progress "somebody sends 40 Mb/s to the callee"
	flood_start other callee 40
	t2=$(calc "$t0 + $(calc "2 * $p" d)" .3f)
	sleep_until "$t2"
	progress "the reservation begins"
	t3=$(calc "$t2 + $p" .3f)
	sleep_until "$t3"
	halt flood
	end=$(now)
	sleep 1
	halt caller callee port
	arrivals_stop sent
	arrivals_stop received
	call_join

	printf 'VoIP: a G.711 call, 50 packets a second, on a port of 20 Mb/s\n'
	row $widths '' packets 'lost (%)' 'delay (ms)' 'late (ms)' 'jitter (ms)' MOS
	call_part "$t0" "$t1"
	row $widths 'alone' "$sent" "$lost" "$delay" "$late" "$jitter" "$mos"
	quiet_lost=$lost
	call_part "$(calc "$t1 + 0.5" .3f)" "$t2"
	row $widths 'flood' "$sent" "$lost" "$delay" "$late" "$jitter" "$mos"
	flood_lost=$lost flood_late=$late
	call_part "$(calc "$t2 + 0.5" .3f)" "$t3"
	row $widths 'flood, 120 kb/s reserved' "$sent" "$lost" "$delay" "$late" "$jitter" "$mos"
	printf 'delay: median of one way; late: 99 %% are faster; jitter: RFC 3550; MOS: 1 bad to 4.4 best, E-model\n'
	rule "$sent > 25 && $quiet_lost <= 2" "alone, the call is good ($quiet_lost % lost)"
	rule "$flood_lost >= 5 || $flood_late >= 10" "the flood spoils it ($flood_lost % lost, $flood_late ms)"
	rule "$lost <= 2 && $lost <= $flood_lost && $late <= $flood_late" \
		"with its reservation it is good again ($lost % lost, $late ms)"
	plot voip "VoIP: one-way delay of a call's packets" "delay (ms)" "$t0" \
		"$t1 flood|$t2 reserved|$end " "RTP packets" points=1 ylog=1 -- "$RUN_DIR/delay"
	awk -v t0="$t0" '$1 >= t0 {b = int(($1 - t0) * 2); if ($2 >= 0) got[b]++}
		END {for (i = 0; i < b; i++) printf "%.2f %d\n", t0 + i / 2 + 0.25, got[i] * 2}' "$RUN_DIR/delay" >"$RUN_DIR/arrived"
	plot voip-rate "VoIP: packets of the call that arrive" "packets a second" "$t0" \
		"$t1 flood|$t2 reserved|$end " "arrived" ymax=60 -- "$RUN_DIR/arrived"
	return "$app_failed"
}
