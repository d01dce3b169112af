#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The figures of the packet path beside DPDK's own testpmd, as scripts/bench-forward.sh and bench-xdp.sh tell them: short
# runs, which hold the targets of docs/figures.md with room to spare.
. "$(dirname "$0")/_init.sh"

command -v dpdk-testpmd >/dev/null || skip "needs dpdk-testpmd"
bench=$BIN/tests/bench/pane-bench
[ -x "$bench" ] || skip "needs pane-bench"

# at_least LEAST OPTIONS...: our rate is so much of testpmd's.
at_least() {
	local least=$1

	shift
	"$TOP/scripts/bench-forward.sh" --bench "$bench" --rounds 1 --seconds 0.3 --without ovs --json "$@" >"$RUN_DIR/figures" || return
	within "$(perl -MJSON::PP -0777 -ne 'print decode_json($_)->{pane_over_testpmd}' "$RUN_DIR/figures")" "$least" 100
}
check_figure "no policy, learning, 1k flows: 0.40 of testpmd io" at_least 0.40 --flows 1000
check_figure "over af_xdp on veth: 0.6" at_least 0.6 --over af_xdp
check_figure "over memif between two processes: 0.6" at_least 0.6 --over memif
rules=$TOP/../shared/rules
if [ -f "$rules/acl1_1k.rules" ]; then
	check_figure "acl1 1k rules, 10k flows: 0.28" at_least 0.28 --rules "$rules/acl1_1k.rules" --flows 10000
	check_figure "acl1 10k rules, 100k flows: 0.18" at_least 0.18 --rules "$rules/acl1_10k.rules" --flows 100000
fi
check_figure "10k rules with many wildcards, 10k flows, do not collapse: 0.1" at_least 0.1 --rules fw:10000 --flows 10000

driver_costs_less() {
	"$TOP/scripts/bench-xdp.sh" --build "$BIN" --rounds 1 --packets 20000 --json >"$RUN_DIR/figures" || return
	within "$(perl -MJSON::PP -0777 -ne '$f = decode_json($_); print $f->{driver}{ns} / $f->{worker}{ns}' "$RUN_DIR/figures")" -0.5 0.5 # what is added to an idle switch: about nothing
}
check_figure "a denied flood costs half of the switch's time at most when the driver drops it" driver_costs_less
finish
