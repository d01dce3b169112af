#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# OpenFlow software that is not Open vSwitch: a line of switches made of os-ken's library (of_peer.py). Skipped (77)
# where that is not.
. "$(dirname "$0")/_init.sh"
/usr/bin/python3 -c 'import os_ken.ofproto.ofproto_v1_3_parser' 2>/dev/null || skip "no python3-os-ken"

cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
openflow_listen: "127.0.0.1:6653"
ports: []
END
mkdir -p "$RUN_DIR/state"

controller_start() {
	"$(program pane-switchd)" --role=controller --config "$RUN_DIR/config.yaml" >>"$RUN_DIR/log" 2>&1 </dev/null &
	pid=$!
}
panectl() {
	"$(program panectl)" --socket "$RUN_DIR/control.sock" "$@"
}
peers_start() {
	coproc PEERS { exec /usr/bin/python3 "$TOP/tests/smoke/of_peer.py" 3 6653 2>"$RUN_DIR/peers"; }
}
lists() { # N STATEMENT
	panectl --json "$2" | tee /dev/stderr | jq -e ".items | length == $1" >/dev/null
}
counts() {
	local line

	echo entries >&"${PEERS[1]}" && read -r -t 30 line <&"${PEERS[0]}" && printf '%s\n' "$line"
}
quiet() { # no flow mod in two seconds
	local before after

	before=$(counts) && sleep 2 && after=$(counts) && echo "$before $after" && [ "$before" = "$after" ]
}

controller_start
wait_for 10 panectl 'time.' >/dev/null
peers_start
check "three switches are linked, both ways" wait_for 15 lists 2 'links.'
check "their hosts are known" wait_for 15 lists 3 'hosts.'
check "a deny is accepted" panectl 'deny(srcHost=10.9.0.1, dstHost=10.9.0.3, transport=TCP, dstPort=80) on rootShare.'
check "what os-ken has read is right" wait_for 15 panectl verify
check "nothing more is sent then" wait_for 15 quiet
check "os-ken understood every message" [ ! -s "$RUN_DIR/peers" ]
kill "$pid" && wait "$pid"
check "the controller stops cleanly" [ $? = 0 ]
if grep -nE 'Sanitizer|runtime error:' "$RUN_DIR/log"; then
	failed=$((failed + 1))
fi
[ "$failed" = 0 ] || { tail -n 30 "$RUN_DIR/log" "$RUN_DIR/peers"; exit 1; }
