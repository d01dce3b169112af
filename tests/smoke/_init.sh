# SPDX-License-Identifier: Apache-2.0
# Start of every smoke test: the switch's programs from BIN, in private namespaces. Exit status 77: skipped.
# A test calls `check TEXT COMMAND...` for each thing that must hold (checks.sh), and `finish` at its end.
set -u
shopt -s lastpipe # a check at the end of a pipe counts
TOP=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
BIN=$(readlink -f "${BIN:-$TOP/build}")
export BIN LSAN_OPTIONS="suppressions=$TOP/tests/lsan.supp:print_suppressions=0"
. "$TOP/scripts/lib.sh"
. "$TOP/scripts/netns-lib.sh"
. "$TOP/scripts/measure.sh"
. "$TOP/tests/smoke/checks.sh"
scratch=$RUN_DIR

skip() {
	printf 'skipped: %s\n' "$*"
	exit 77
}

# Times say little about a sanitized build, which is several times slower, and looks for leaks when it ends.
sanitized() {
	grep -q __asan_init "$(program pane-switchd)"
}

finish() { # FIGURE
	local rc=0

	switch_stop || rc=$?
	if [ "$rc" != 0 ]; then
		printf 'FAIL  the switch ended with status %d\n' "$rc"
		failed=$((failed + 1))
	fi
	# a sanitizer speaks in the log of the process that it ended, which the supervisor may have started anew
	if grep -nE 'Sanitizer|runtime error:' "$RUN_DIR/log" 2>/dev/null; then
		failed=$((failed + 1))
	fi
	if [ "$failed" != 0 ] && [ -s "$RUN_DIR/log" ]; then
		printf 'the end of the log:\n'
		tail -n 40 "$RUN_DIR/log" | sed 's/^/  | /'
	fi
	printf '%s\n' "${1:-$((checks - failed)) of $checks}"
	[ "$failed" = 0 ]
	exit
}

# The switch cannot start: no point in going on.
start_or_fail() {
	switch_start "$@" && return
	failed=$((failed + 1))
	printf 'FAIL  the switch does not start\n'
	finish
}

[ "$(id -u)" = 0 ] || skip "needs root"
program pane-switchd >/dev/null
sandbox "$@"
