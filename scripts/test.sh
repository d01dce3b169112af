#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds, and runs every test: style, unit, property and smoke tests, in a plain build
# (build-test/) and in one with ASan and UBSan (build-asan/), and the proofs of run.sh --check.
#
#   sudo scripts/test.sh [--quick] [--fuzz]
#     --quick   leaves out the sanitized build and what runs in it
#     --fuzz    also builds the libFuzzer targets (build-fuzz/) and runs each for 60 s
# The last line is `N passed, N failed, N skipped`; the exit status is 0 only when none failed.
#
# A smoke test drives whole processes by the clock of a machine that may do other things. One that failed is run again,
# alone, after the others: its first log is printed whole, and when it passes then, the lines before the last one say so
# by name. That holds for two tests in all; of more, and of unit and property tests (whose seeds are fixed), each counts
# as failed at once.
set -u
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
cd "$TOP" || exit 1

quick= fuzz=
for a; do
	case $a in
	--quick) quick=1 ;;
	--fuzz) fuzz=1 ;;
	-h | --help)
		sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) misused "unknown option $a" ;;
	esac
done

passed=0 failed=0 skipped=0
may_run_again=2 again=()
results=$(mktemp) logs=$(mktemp)
trap 'step_abort; rm -f "$results" "$logs"' EXIT
step_traps

failure() {
	failed=$((failed + 1))
	say "FAILED: $*"
}

# count WORD: ok and xfail are meson's for passed.
count() {
	case $1 in
	OK | EXPECTEDFAIL | PASS) passed=$((passed + 1)) ;;
	SKIP) skipped=$((skipped + 1)) ;;
	*) failed=$((failed + 1)) ;;
	esac
}

# Counts the words in $results.
tally() {
	local word

	while read -r word; do
		count "$word"
	done <"$results"
	: >"$results"
}

# In the foreground of its own session, so that its lines show as they come and a signal ends it.
live() {
	local rc=0

	setsid "$@" </dev/null &
	step_pid=$!
	wait "$step_pid" || rc=$?
	step_pid=
	return "$rc"
}

# A line for each test of the last run in DIR: result, whether it is a smoke test, name.
meson_results() {
	[ ! -f "$1/meson-logs/testlog.json" ] ||
		jq -r '"\(.result) \(.name | test("[:+]smoke[+ ]")) \(.name | sub(".* / "; ""))"' "$1/meson-logs/testlog.json"
}

# run_again NAME DIR ARGS...: a smoke test that failed, whose log is in $logs.
run_again() {
	local name=$1 dir=$2 word _

	shift 2
	behind_end
	say "$name failed in $dir; all it said:"
	jq -r --arg name "$name" 'select(.name | test("[:+]smoke[+ ].*/ " + $name + "$")) | .stdout // empty, .stderr // empty' "$logs" | sed 's/^/  | /' >&2
	say "$name is run again, alone (load $(cut -d' ' -f1-3 /proc/loadavg)):"
	rm -f "$dir/meson-logs/testlog.json"
	live meson test -C "$dir" --no-rebuild --print-errorlogs "$@" --suite smoke "$name" || true
	read -r word _ < <(meson_results "$dir")
	if [ "${word:-}" = OK ]; then
		again+=("$name ($dir)")
		passed=$((passed + 1))
	else
		failure "$name in $dir, twice"
	fi
}

# meson_tests DIR ARGS...: meson prints a line a test, and the log of those that fail.
meson_tests() {
	local dir=$1 before=$failed rc=0 word smoke name repeat=()

	shift
	rm -f "$dir/meson-logs/testlog.json"
	live meson test -C "$dir" --no-rebuild --print-errorlogs "$@" || rc=$?
	meson_results "$dir" >"$results"
	[ -s "$results" ] || failure "no tests ran in $dir"
	while read -r word smoke name; do
		case $word in
		OK | EXPECTEDFAIL | SKIP) count "$word" ;;
		*)
			rc=0 # it is told below
			if [ "$smoke" = true ] && [ "$may_run_again" -gt 0 ]; then
				may_run_again=$((may_run_again - 1))
				repeat+=("$name")
			else
				failure "$name in $dir"
			fi
			;;
		esac
	done <"$results"
	: >"$results"
	[ "$rc" = 0 ] || [ "$failed" -gt "$before" ] || failure "meson test in $dir: status $rc"
	[ ! -f "$dir/meson-logs/testlog.json" ] || cp "$dir/meson-logs/testlog.json" "$logs"
	for name in "${repeat[@]}"; do
		run_again "$name" "$dir" "$@"
	done
}

# all_tests DIR ARGS...: those that mostly wait come last, more of them at once than there are cores, while the next folder
# (and its options, in $next) is built behind them.
next=()
all_tests() {
	meson_tests "$@" --no-suite waits
	[ ${#next[@]} = 0 ] || build_behind "${next[@]}" || true # told by build_dir
	MESON_TESTTHREADS=$(($(nproc) + 2)) meson_tests "$1" --suite waits "${@:2}"
	behind_end
}

# Each target starts from its corpus, and from what earlier runs found (build-fuzz/corpus/).
fuzz_targets() {
	local t name found dict

	BUILD_TARGETS=$(printf 'tests/fuzz/%s ' $(cd tests/fuzz && echo fuzz_*.c) | sed 's/\.c / /g') CC=clang \
		build_dir build-fuzz --buildtype=debugoptimized -Dfuzz=true -Dsanitize=address,undefined ||
		{ failure "the build with libFuzzer" && return; }
	for t in build-fuzz/tests/fuzz/fuzz_*; do
		[ -f "$t" ] && [ -x "$t" ] || continue
		name=${t##*/fuzz_}
		found=build-fuzz/corpus/$name
		dict=()
		case $name in
		cmd_parse | session) dict=(-dict=tests/fuzz/pane.dict) ;;
		esac
		mkdir -p "$found"
		if step "fuzz_$name, 60 s" "$t" -max_total_time=60 -timeout=10 -max_len=4096 -print_final_stats=1 \
			"${dict[@]}" -artifact_prefix="build-fuzz/$name-" "$found" "tests/fuzz/corpus/$name"; then
			passed=$((passed + 1))
		else
			failure "fuzz_$name: see build-fuzz/$name-*"
		fi
	done
}

finish() {
	local names

	names=$(printf ', %s' "${again[@]}")
	[ ${#again[@]} = 0 ] || printf '%d passed only when run again: %s\n' "${#again[@]}" "${names:2}"
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}

"$HERE/deps.sh" || { failure "installing" && finish; }
[ "$(id -u)" = 0 ] || say "not root: tests with traffic will be skipped (try: sudo $0)"

asan=(build-asan --buildtype=debugoptimized -Dsanitize=address,undefined) release=(build --buildtype=release -Dtests=false)
if build_dir build-test --buildtype=debugoptimized; then
	next=("${asan[@]}")
	[ -z "$quick" ] || next=("${release[@]}")
	# those left out take minutes and more packages: scripts/apps.sh, scripts/vm.sh. What hangs is found soon enough (-t)
	all_tests build-test --no-suite apps --no-suite vm -t 3
else
	failure "the build" && finish
fi
proof_options=(--quick)
if [ -z "$quick" ]; then
	if build_dir "${asan[@]}"; then
		next=("${release[@]}")
		# what a sanitizer finds is an error, and slower programs get more time
		ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1 all_tests build-asan --no-suite style -t 5
	else
		failure "the build with sanitizers"
	fi
fi
[ -z "$fuzz" ] || fuzz_targets
if [ "$(id -u)" = 0 ]; then
	if build_dir "${release[@]}"; then
		# smoke tests already run what the quick way leaves out
		PROOF_WORDS="$results" live scripts/run.sh --check "${proof_options[@]}" --build build || true
		[ -s "$results" ] || failure "run.sh --check"
		tally
	else
		failure "the release build"
	fi
else
	skipped=$((skipped + 1))
fi
finish
