#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Frame-exact: a pcap in, the expected pcap out, through the real worker loop. The policy comes from the journal of an
# earlier run: a starting switch forwards nothing before it has it.
. "$(dirname "$0")/_init.sh"

pl=$TOP/tests/smoke/frames.pl
cd "$RUN_DIR" || exit 1
perl "$pl" known known.pcap pass.pcap && perl "$pl" none none.pcap || exit 1

config() { # FIRST_PORTS_INPUT
	local i in

	mkdir -p state
	printf 'run_dir: %s\nstate_dir: %s/state\nports:\n' "$RUN_DIR" "$RUN_DIR"
	for i in 1 2 3; do
		in=none.pcap
		[ $i != 1 ] || in=$1
		printf '  - name: p%d\n    device: pcap:%s/%s,%s/out%d.pcap\n' $i "$RUN_DIR" "$in" "$RUN_DIR" $i
	done
}

config none.pcap >first.yaml
config known.pcap >second.yaml
start_or_fail first.yaml
check "the policy is accepted" as root 'deny(srcHost=10.0.0.1, dstHost=10.0.0.2, transport=UDP, dstPort=53) on rootShare.' \
	'deny(vlan=20) on rootShare.' 'deny(srcEth=02:00:00:00:00:66) on rootShare.'
check "a clean stop" switch_stop
start_or_fail second.yaml
taken() { # by port 1, all that is in its file
	[ "$(panectl --json ports. | jq '.items[] | select(.name == "p1") | .counters.rx_packets')" -ge "$(perl "$pl" text known.pcap | wc -l)" ]
}
check "all frames are taken" wait_for 10 taken
sleep 0.2 # and sent on
check "a clean stop after the frames" switch_stop
for i in 1 2 3; do
	perl "$pl" text out$i.pcap >out$i.hex
done
perl "$pl" text pass.pcap >pass.hex
perl "$pl" text known.pcap >known.hex
: >nothing
check "no frame goes back where it came from" cmp out1.hex nothing
check "port 2 has exactly the expected frames, in order" diff out2.hex pass.hex
check "port 3, too" diff out3.hex pass.hex
finish "$(wc -l <known.hex) frames in, $(wc -l <out2.hex) of $(wc -l <pass.hex) expected out on each of two ports, $failed differences"
