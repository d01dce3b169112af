#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pane-bench: what is wrong with a command line or a file is told by name in a line or two, figures have units, and who
# sits before a run that lasts is told how far it is.
# usage: input_test.sh PANE_BENCH
set -u
bench=$1
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}
refuses() { # STATUS PATTERN ARGUMENTS...
	local want=$1 pattern=$2 said rc

	shift 2
	said=$(TMPDIR=$dir "$bench" "$@" 2>&1 </dev/null)
	rc=$?
	[ "$rc" = "$want" ] || fail "$*: status $rc, expected $want"
	grep -qE -- "^pane-bench: .*$pattern" <<<"$said" || fail "$*: said $said"
	[ "$(wc -l <<<"$said")" -le 2 ] || fail "$*: said too much: $said"
}

mkdir "$dir/folder" "$dir/folder.rules"
: >"$dir/empty"
: >"$dir/empty.rules"
head -c 4096 "$bench" >"$dir/binary"
cp "$dir/binary" "$dir/binary.rules"
for command in admit compile update verify; do
	refuses 1 "$dir/none: No such file" "$command" "$dir/none"
	refuses 1 "$dir/folder: expected a file" "$command" "$dir/folder"
	refuses 1 "$dir/empty: no statement" "$command" "$dir/empty"
	refuses 1 "$dir/binary:1: expected" "$command" "$dir/binary"
done
refuses 1 "$dir/none: No such file" switch "$dir/none"
refuses 1 "$dir/folder: expected a file" switch "$dir/folder"
refuses 1 "$dir/empty.rules: no rule" classify "$dir/empty.rules"
refuses 1 "$dir/binary.rules:1: not a line" classify "$dir/binary.rules"
refuses 1 "$dir/folder.rules: expected a file" classify "$dir/folder.rules"
refuses 1 "PATH.rules or PATH.pane" classify "$dir/empty"
refuses 1 "$dir/empty: no rule" forward --rules "$dir/empty"
refuses 1 "$dir/folder: expected a file" forward --rules "$dir/folder"
refuses 1 "$dir/folder: expected a file" forward --trace "$dir/folder"
for file in empty binary; do
	refuses 1 "$dir/$file: not a capture file" forward --packets "$dir/$file"
done
refuses 1 "$dir/folder: expected a file" forward --packets "$dir/folder"
refuses 2 "which command" --json
refuses 2 'no command "bogus"' bogus
refuses 2 "unknown option --bogus" forward --bogus
refuses 2 "unknown option -x" -x
refuses 2 "which file" admit
refuses 2 '"two" is too much' admit one two
refuses 2 '"one" is too much' forward one
refuses 2 "repeat needs a value" admit x --repeat
refuses 2 "repeat: expected 1\.\.1000" admit x --repeat -3
refuses 2 "flows: expected 1\.\." forward --flows -5
refuses 2 "seed: expected" forward --seed -1
for seconds in -1 0 nan x; do
	refuses 2 "seconds: expected 0.01 to 86400 seconds, got \"$seconds\"" forward --seconds "$seconds"
done

"$bench" forward --help >"$dir/help" || fail "help of a command"
grep -q -- --frame-bytes "$dir/help" || fail "help of a command has its options"
! grep -q -- --backlogged "$dir/help" || fail "help of a command has others' options"
grep -q '^Exit status: 0' "$dir/help" || fail "help tells the exit status"

echo 'root : reserve(dstPort=80) = 5Mb on rootShare.' >"$dir/one.pane"
TMPDIR=$dir "$bench" admit "$dir/one.pane" --repeat 2 >"$dir/table" || fail "admit"
grep -qE '^  p50_us +[0-9.]+ us' "$dir/table" || fail "a figure has no unit: $(cat "$dir/table")"
grep -qE '^    statements_per_s +[0-9.]+ /s' "$dir/table" || fail "figures in figures: $(cat "$dir/table")"
! grep -q '[{}]' "$dir/table" || fail "JSON in a table: $(cat "$dir/table")"

# Runs that last: the script ends them.
TMPDIR=$dir setsid script -qfec "$bench stand --repeat 1000 --requests 2000" /dev/null >"$dir/terminal" 2>&1 </dev/null &
watched=$!
TMPDIR=$dir timeout 3 "$bench" stand --repeat 1000 --requests 2000 >"$dir/quiet" 2>&1 </dev/null
[ ! -s "$dir/quiet" ] || fail "progress that nobody sees: $(cat "$dir/quiet")"
for _ in $(seq 300); do
	! grep -qE 'pane-bench stand: [0-9]+ s, run [0-9]+ of 1000' "$dir/terminal" || break
	sleep 0.2
done
grep -qE 'pane-bench stand: [0-9]+ s, run [0-9]+ of 1000' "$dir/terminal" || fail "no progress: $(cat "$dir/terminal")"
kill -- "-$watched" 2>/dev/null
wait "$watched" 2>/dev/null
exit "$failed"
