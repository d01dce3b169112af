#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# operations_test.sh SOURCE_ROOT: docs/operations.md has every counter of a port with its own words, and systemd takes the unit.
set -u
top=$1
rc=0
fail() {
	printf 'FAIL  %s\n' "$*"
	rc=1
}

n=0
while IFS=$'\t' read -r name help; do
	n=$((n + 1))
	grep -qF "| \`$name\` | $help |" "$top/docs/operations.md" || fail "docs/operations.md: expected a line | \`$name\` | $help |"
done < <(sed -nE 's/^COUNTER\w*\((\w+), "\w+", "(.*)"\)$/\1\t\2/p' "$top/dataplane/counters.def")
[ "$n" -ge 30 ] || fail "only $n counters were found in dataplane/counters.def"

if command -v systemd-analyze >/dev/null; then
	dir=$(mktemp -d)
	sed "s#/usr/local/bin/pane-switchd#$(command -v true)#" "$top/docs/pane.service" >"$dir/pane.service"
	systemd-analyze verify "$dir/pane.service" >"$dir/said" 2>&1 || fail "docs/pane.service: $(cat "$dir/said")"
	grep 'pane.service' "$dir/said" && fail "docs/pane.service: see above"
	rm -r "$dir"
fi
[ "$rc" = 0 ] && printf 'ok    %d counters, and the unit\n' "$n"
exit "$rc"
