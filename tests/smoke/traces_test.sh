#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# panectl check: the project's own traces, and PANE's published ones where they lie beside the project.
. "$(dirname "$0")/_init.sh"

shopt -s nullglob
own=("$TOP"/tests/script/*.pane)
shared=${PANE_TRACES:-$TOP/../shared/traces}
published=("$shared"/ex*.pane "$shared"/t[0-9]*.pane "$shared"/throttle*.pane)
[ $((${#own[@]} + ${#published[@]})) -gt 0 ] || skip "no traces"
for f in "${own[@]}" "${published[@]}"; do
	check "$(basename "$f")" timeout 60 "$(program panectl)" check "$f"
done
printf 'True <- root : AddUser alice.\nFalse <- root : AddUser bob.\n' >"$RUN_DIR/wrong.pane"
check "a wrong answer is named" bash -c "'$(program panectl)' check '$RUN_DIR/wrong.pane' 2>&1 | grep -q 'wrong.pane:2'"
check "and tells by the exit status" not "$(program panectl)" check "$RUN_DIR/wrong.pane"
finish "${#own[@]} own and ${#published[@]} published traces, $failed failed"
