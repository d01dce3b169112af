#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 100,000 random statements over a socket and 10,000 random frames through the worker: nothing crashes. Meant for a build
# with sanitizers. PANE_SEED picks other ones (it is printed), PANE_ROUNDS multiplies both numbers.
. "$(dirname "$0")/_init.sh"

seed=${PANE_SEED:-1} rounds=${PANE_ROUNDS:-1}
statements=$((100000 * rounds)) frames=$((10000 * rounds))
pl=$TOP/tests/smoke
cd "$RUN_DIR" || exit 1
mkdir -p state
perl "$pl/frames.pl" random in.pcap "$frames" "$seed" && perl "$pl/frames.pl" none none.pcap || exit 1
config() { # FIRST_PORTS_INPUT
	cat <<-END
		run_dir: $RUN_DIR
		state_dir: $RUN_DIR/state
		tcp_listen: 127.0.0.1:4242
		ports:
		  - name: p1
		    device: pcap:$RUN_DIR/$1,$RUN_DIR/out1.pcap
		  - name: p2
		    device: pcap:$RUN_DIR/none.pcap,$RUN_DIR/out2.pcap
		    rate: 10Gb
	END
}
# the frames meet a policy of an earlier run, and leave before the statements bring another one
config none.pcap >first.yaml
config in.pcap >config.yaml
start_or_fail first.yaml 30
check "a policy for the frames" as root 'ratelimit(transport=TCP) = 1Gb on rootShare.' \
	'reserve(dstHost=10.0.0.2) = 1Gb on rootShare.' 'deny(vlan=20) on rootShare.' \
	'deny(srcHost=10.0.0.1, transport=UDP, dstPort=53) on rootShare.'
switch_stop || check "a clean stop" false
start_or_fail config.yaml 30
sleep 2
supervised() {
	switch_child controller
	switch_child dataplane
}
before=$(supervised)

session() {
	exec 3<>/dev/tcp/127.0.0.1/4242 || return
	{
		printf 'root.\n'
		perl "$pl/random.pl" "$statements" "$seed"
		printf 'quit.\n'
	} >&3 &
	timeout 800 cat <&3 >answers
}
check "the session lasts to its end" session
answers=$(grep -acE '(^|> )(True|False|[0-9]+;|[0-9.]+$)' answers)
check "the controller still answers" switch_answers
check "neither process was started anew" [ "$(supervised)" = "$before" ]
check "something was accepted and something refused" bash -c 'grep -aq True answers && grep -aq False answers'
switch_stop || check "a clean stop" false
check "frames came through" [ "$(perl "$pl/frames.pl" text out2.pcap | wc -l)" -gt $((frames / 10)) ]
finish "$statements statements ($answers answers, $(grep -acE '(^|> )True' answers) times True), $frames frames, seed $seed, $failed failures"
