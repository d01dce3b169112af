#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A dataplane that has started forwards nothing while a controller is there that has not told it the policy yet, however
# long that takes; where there is none, it waits as long as the configuration says.
. "$(dirname "$0")/_init.sh"

host_add h1 1
host_add h2 2
host_add h3 3
config_write "$RUN_DIR/config.yaml" af_packet "" h1 h2 h3
printf 'dataplane:\n  policy_wait_ms: 300\n' >>"$RUN_DIR/config.yaml"

logged() { # TEXT FILE
	grep -q "$1" "$2"
}
"$(program pane-switchd)" --config "$RUN_DIR/config.yaml" --role dataplane >"$RUN_DIR/alone.log" 2>&1 </dev/null &
alone=$!
check "without a controller it goes on without a policy" \
	wait_for 30 logged 'no policy from a controller.*forwarding without one' "$RUN_DIR/alone.log"
kill "$alone"
wait "$alone"

reaches() {
	at h1 ping -n -q -c 1 -W 1 "$1" >/dev/null
}
start_or_fail "$RUN_DIR/config.yaml"
check "frames pass" wait_for 20 reaches h2
check "a deny is accepted" as root 'deny(srcHost=h1, dstHost=h3) on rootShare.'
check "and in force" wait_for 20 not reaches h3

# As one that is at work on a policy of many minutes.
controller=$(switch_child controller)
before=$(wc -l <"$RUN_DIR/log")
kill -STOP "$controller"
kill -9 "$(switch_child dataplane)"
check "the next dataplane waits for a controller that does not come out with the policy" \
	wait_for 30 logged 'no policy yet: the controller is there' "$RUN_DIR/log"
check "nothing is forwarded meanwhile" not reaches h2
check "not even what is denied" not reaches h3
kill -CONT "$controller"
check "frames pass when it has the policy" wait_for 30 reaches h2
check "what is denied does not" not reaches h3
since() {
	tail -n "+$((before + 1))" "$RUN_DIR/log" | grep -q "$1"
}
check "it never forwarded without one" not since 'forwarding without one'
finish
