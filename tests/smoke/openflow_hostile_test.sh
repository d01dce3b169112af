#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The controller as it is, and OpenFlow peers that lie, forge, repeat, cut off, or do not read (of_hostile.py).
. "$(dirname "$0")/_init.sh"

cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
openflow_listen: "127.0.0.1:6653"
ports: []
END
mkdir -p "$RUN_DIR/state"
"$(program pane-switchd)" --role=controller --config "$RUN_DIR/config.yaml" >>"$RUN_DIR/log" 2>&1 </dev/null &
pid=$!
wait_for 10 "$(program panectl)" --socket "$RUN_DIR/control.sock" 'time.' >/dev/null
/usr/bin/python3 "$TOP/tests/smoke/of_hostile.py" 6653 "$(program panectl)" "$RUN_DIR/control.sock" || failed=1
kill "$pid" && wait "$pid"
check "the controller stops cleanly" [ $? = 0 ]
if grep -nE 'Sanitizer|runtime error:' "$RUN_DIR/log"; then
	failed=$((failed + 1))
fi
[ "$failed" = 0 ] || { tail -n 30 "$RUN_DIR/log"; exit 1; }
