#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The scripts refuse a wrong command line at once, by name and with status 2; a proof that fails tells the machine's load.
# usage: scripts_test.sh FOLDER (of the scripts)
set -u
scripts=$1
failed=0

fail() {
	echo "FAILED: $*"
	failed=1
}
refuses() { # PATTERN SCRIPT ARGUMENTS...
	local pattern=$1 said rc

	shift
	said=$("$scripts/$1" "${@:2}" 2>&1 </dev/null)
	rc=$?
	[ "$rc" = 2 ] || fail "$*: status $rc, expected 2"
	grep -qE -- "^$1: $pattern" <<<"$said" || fail "$*: said $said"
}

for script in run apps bench-forward bench-sched bench-xdp make-test-ca test vm; do
	refuses "unknown option.* --bogus" "$script.sh" --bogus
done
refuses "unknown set 'bogus'" deps.sh bogus
refuses "unknown option bogus" run.sh bogus
refuses "--port needs a value" run.sh --port
refuses "--port x: expected af_xdp or af_packet" run.sh --port x
refuses "--out needs a value" apps.sh --out
refuses "--rounds needs a value" bench-sched.sh --rounds
refuses "--packets needs a value" bench-xdp.sh --packets
refuses "--build needs a value" vm.sh --build
refuses "--days needs a value" make-test-ca.sh --days
refuses "which folder" make-test-ca.sh
refuses "--rounds needs a value" bench-forward.sh --rounds
"$scripts/run.sh" --bogus 2>&1 | grep -q -- '--check' || fail "run.sh tells no usage"
"$scripts/run.sh" --help | grep -q -- '--check' || fail "run.sh --help"

verdicts=$(HERE=$scripts bash -c '. "$HERE/lib.sh"; . "$HERE/proof.sh"; verdict 0 one 1 ms; verdict 1 two "2 ms"')
expected=$'PASS  one: 1\nFAIL  two: 2 ms \\(the machine\'s load is [0-9.]+ on [0-9]+ processors\\)'
[[ $verdicts =~ ^$expected$ ]] || fail "verdicts: $verdicts"
exit "$failed"
