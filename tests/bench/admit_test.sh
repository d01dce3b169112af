#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pane-bench admit: the known scripts run unchanged, nothing of those without overlaps is refused, and the figures are there.
# usage: admit_test.sh PANE_BENCH FOLDER (of the scripts; status 77 without it)
set -u
bench=$1 folder=$2
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}

[ -d "$folder" ] || exit 77
n=0
for f in "$folder"/*.pane; do
	out=$("$bench" admit "$f" --repeat 1 --json 2>&1) || fail "$f: $out"
	statements=$(sed '1,/^\/\/ BEGIN/d' "$f" | grep -c ' : ')
	jq -e --argjson n "$statements" '.statements == $n and .statements_per_s > 0 and .p50_us > 0 and .p99_us >= .p50_us
		and .refused == 0 and .durable.statements == $n and .durable.statements_per_s > 0' <<<"$out" >/dev/null ||
		fail "$f, $statements statements: $out"
	n=$((n + 1))
done
[ "$n" -gt 0 ] || fail "no scripts in $folder"
"$bench" admit "$folder/none.pane" --json >/dev/null 2>&1 && fail "a script that is not there"
exit "$failed"
