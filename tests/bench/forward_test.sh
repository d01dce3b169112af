#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pane-bench forward: every frame is judged as a linear scan of the rules says; bad input is refused by name.
# usage: forward_test.sh PANE_BENCH
set -u
bench=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}

refused() { # WHAT ARGUMENTS...
	local what=$1 said

	shift
	said=$("$bench" forward "$@" 2>&1 >/dev/null) && fail "accepted: $*"
	[[ $said == *"$what"* ]] || fail "$*: expected \"$what\", got \"$said\""
}

run() {
	"$bench" forward --seconds 0.1 --repeat 1 --memory 256 --json "$@" 2>"$dir/log" || fail "$*: $(cat "$dir/log")"
}

rules_are_obeyed_exactly() {
	local out rule more

	while read -r rule more; do
		read -ra more <<<"$more"
		out=$(run --rules "$rule" --flows 500 --deny-every 3 "${more[@]}" --check)
		[ "$(jq '.mismatches == 0 and .drops.denied > 0 and .tx_packets > 0' <<<"$out")" = true ] ||
			fail "$rule ${more[*]}: $out"
	done <<-'EOF'
		fw:300 --categories 8
		fw:300 --limits 100
		fw:20
		fw:20 --categories 27 --limits 7
	EOF
}

written_packets_are_forwarded() {
	local out

	run --rules fw:50 --flows 100 --write "$dir/" >/dev/null
	[ -s "$dir/0.pcap" ] && [ -s "$dir/1.pcap" ] && [ "$(wc -l <"$dir/rules")" = 50 ] || fail "--write: $(ls "$dir")"
	out=$(run --rules "$dir/rules" --packets "$dir/0.pcap")
	[ "$(jq '.rules == 50 and .tx_packets > 0' <<<"$out")" = true ] || fail "--packets: $out"
	out=$(run --ports "pcap:$dir/0.pcap,,infinite_rx=1 null:")
	[ "$(jq '.tx_packets > 0' <<<"$out")" = true ] || fail "--ports: $out"
}

# The worker's core has other work, and that goes first.
a_run_lasts_until_the_worker_had_its_core_for_so_long() {
	local out core busy=()

	core=$(awk '/Cpus_allowed_list/ {n = split($2, part, /[,-]/); print part[n]}' /proc/self/status)
	for _ in 1 2; do
		timeout 100 taskset -c "$core" sh -c 'while :; do :; done' &
		busy+=($!)
	done
	out=$("$bench" forward --seconds 0.05 --repeat 3 --memory 256 --json --cores "$core" 2>"$dir/log") ||
		fail "starved: $(cat "$dir/log")"
	kill "${busy[@]}"
	wait "${busy[@]}" 2>/dev/null
	[ "$(jq '.cpu_s_min >= 0.05 and .mpps_min > 0' <<<"$out")" = true ] || fail "starved: $out"
}

workers_have_queues_of_their_own() {
	local out core

	core=$(awk '/Cpus_allowed_list/ {n = split($2, part, /[,-]/); print part[n]}' /proc/self/status)
	out=$(run --rules fw:50 --flows 100 --deny-every 3 --cores "$core,$core,$core")
	[ "$(jq '.workers == 2 and .tx_packets > 0 and .drops.denied > 0 and (.drops.worker_full // 0) == 0' <<<"$out")" = true ] ||
		fail "workers: $out"
}

bad_input_is_refused_by_name() {
	printf '@1.2.3.4/32\t5.6.7.8/33\t0 : 1\t0 : 1\t0x06/0xFF\n' >"$dir/bad"
	refused "$dir/bad:1: expected" --rules "$dir/bad"
	refused "no-such-file" --rules "$dir/no-such-file"
	refused 'expected fw:1' --rules fw:x
	refused '--flows: expected 1..' --flows 0
	refused '--categories: expected 1..128' --categories 129
	refused '--frame-bytes: expected 64..1518' --frame-bytes 63
	refused 'expected af_xdp:' --ports "nothing:"
	refused '--seconds: expected' --seconds -1
	refused '--check: with one worker' --check --cores 0,0,0
}

rules_are_obeyed_exactly
written_packets_are_forwarded
a_run_lasts_until_the_worker_had_its_core_for_so_long
workers_have_queues_of_their_own
bad_input_is_refused_by_name
exit $failed
