#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pane-bench switch: no frame is lost or judged wrongly while requests come and go; rows that start and end at one
# instant change together and within a millisecond, also without a controller. How soon is only judged where the
# machine is not busy with something else. As root.
# usage: switch_test.sh PANE_BENCH
set -u
bench=$1
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
[ "$(id -u)" = 0 ] || exit 77

for i in $(seq 20); do
	printf 'root : NewShare s%d for (*) [reserve <= 10Gb] on rootShare.\n' "$i"
	for h in $(seq 20); do
		printf 'root : reserve(srcHost=10.0.%d.%d) = 1Mb on s%d.\n' "$i" "$h" "$i"
	done
done >"$dir/policy.pane"
phases='.instants, .instants_without_controller'
right="[.misjudged == 0 and .lost == 0 and .refused == 0 and .accepted == .statements,
	(($phases) | .seen > 30 and .early == 0 and .mixed == 0)] | all"
soon="[.change_p50_us < 5000, (($phases) | .late_p50_us < 1000)] | all"

for _ in 1 2 3; do
	out=$("$bench" switch "$dir/policy.pane" --seconds 1 --rate 500 --json 2>"$dir/log") || {
		cat "$dir/log"
		exit 1
	}
	echo "$out"
	[ "$(jq "$right" <<<"$out")" = true ] || exit 1
	[ "$(jq "$soon" <<<"$out")" = true ] && exit 0
done
read -r load _ </proc/loadavg
[ "${load%.*}" -ge "$(nproc)" ] || exit 1
echo "the machine is busy (load $load): how soon is not judged"
