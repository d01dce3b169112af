#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a hint calls background is served only from bandwidth that nobody else wants, also while the controller is gone
# and after a restart, until the hint ends.
. "$(dirname "$0")/_init.sh"

for i in 1 2 3; do
	host_add h$i $i
done
config_write "$RUN_DIR/config.yaml" af_packet 10Mb h1 h2 h3
for p in 5201 5202; do
	at h3 iperf3 -s -J -p $p >/dev/null 2>&1 </dev/null &
done
wait_for 10 eval '[ "$(at h3 ss -Hltn "sport >= 5201 and sport <= 5202" | wc -l)" = 2 ]' || check "iperf3 starts" false
start_or_fail "$RUN_DIR/config.yaml"

# Both to h3, whose port has 10 Mb, which a slow machine carries, too: 15 Mb of h1, which the hint names, and 8.5 Mb of h2.
# iperf3 waits for ever for the answer to its first datagram, which may be lost: once more then.
race() {
	local ok

	for _ in 1 2; do
		sleep 0.5 # queues run empty
		flow_start hinted h1 h3 5201 4 -u -b 15M -l 1200
		flow_start other h2 h3 5202 4 -u -b 8.5M -l 1200
		ok=yes
		flow_wait hinted || ok=
		flow_wait other || ok=
		[ -z "$ok" ] || break
		jq -c .error "$RUN_DIR/hinted.json" "$RUN_DIR/other.json"
	done
	hinted=$(flow_frame_mbps hinted) other=$(flow_frame_mbps other)
	printf 'the hinted flow %s, the other %s Mb/s\n' "$hinted" "$other"
}
yields() {
	race && holds "$other >= 8.25 && $hinted <= 2 && $hinted + $other >= 8.75"
}
shares() {
	race && holds "$hinted >= 3.5 && $other <= 7"
}
explained() {
	panectl --json 'explain(srcHost=h1, dstHost=h3, transport=UDP, dstPort=5201).' |
		grep -E '"queue":\{[^}]*"background":true'
}

# iperf3's own TCP connection
check "a way for the figures" as root 'reserve(transport=TCP, dstHost=h3, dstPort=5201-5202) = 1Mb on rootShare.'
check_figure "without a hint they share" shares
check "a hint says background" as root \
	'hint(srcHost=h1, dstHost=h3, transport=UDP) class = background on rootShare.' # request 2
check "explain says so" wait_for 5 explained
check_figure "it yields to best effort" yields
kill -9 "$(switch_child controller)"
check "the controller comes back" wait_for 5 switch_answers
check_figure "still it yields" yields
switch_stop || check "a clean stop" false
start_or_fail "$RUN_DIR/config.yaml"
check "explain remembers it after a restart" explained
check_figure "and it yields" yields
alone() {
	flow_start hinted h1 h3 5201 3 -u -b 15M -l 1200
	flow_wait hinted
	hinted=$(flow_frame_mbps hinted)
	echo "$hinted Mb/s"
	holds "$hinted >= 8.5"
}
check_figure "what nobody else wants it gets" alone
check "the hint ends" as root 'cancel 2.'
check "explain forgets it" not explained
check_figure "they share again" shares
finish
