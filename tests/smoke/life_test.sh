#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Start, stop, death and return of the processes, and what they remember.
. "$(dirname "$0")/_init.sh"

host_add h1 1
host_add h2 2
config_write "$RUN_DIR/config.yaml" af_packet "" h1 h2
start_or_fail "$RUN_DIR/config.yaml"

reaches() {
	[ "$(pings h1 h2 1)" = 1 ]
}

# A supervisor in a state that pgrep sees: both children there.
complete() {
	[ -n "$(switch_child controller)" ] && [ -n "$(switch_child dataplane)" ]
}
requests() {
	panectl --json 'ListRequests.'
}

check "a ping passes" wait_for 5 reaches
check "a healthy start warns of nothing" eval "! grep -E ' (warning|error): ' '$RUN_DIR/log'"
check "two children" wait_for 5 complete
check "a second switch on the same sockets is refused" bash -c \
	"timeout 60 '$(program pane-switchd)' --config '$RUN_DIR/config.yaml' >'$RUN_DIR/second.log' 2>&1; rc=\$?; [ \$rc = 1 ]"
check "and the first one is not hurt" wait_for 2 reaches
check "shares and requests are made" as root 'AddUser alice.' 'NewShare net0 for (*) [reserve <= 100Mb] on rootShare.' \
	'Grant net0 to alice.' 'deny(srcHost=h1, dstHost=h2) on net0 to +1h.'
check "the deny holds" wait_for 1 not reaches # the answer comes before it is in force: tens of ms on a busy machine
requests >"$RUN_DIR/before"

for role in controller dataplane; do
	pid=$(switch_child $role)
	kill -9 "$pid"
	check "a killed $role comes back" wait_for 5 bash -c "p=\$(pgrep -P $switch_pid -f -- '--role[= ]$role') && [ \"\$p\" != $pid ]"
	check "and answers" wait_for 5 switch_answers
	sleep 1
	check "and the deny still holds" not reaches
done
requests >"$RUN_DIR/after"
check "the requests are the same" diff "$RUN_DIR/before" "$RUN_DIR/after"

stop_max_ms=1000
! sanitized || stop_max_ms=20000
stops() { # and is there for another attempt
	[ -n "$switch_pid" ] || switch_start "$RUN_DIR/config.yaml" || return 1
	switch_stop || { echo "status $?" && return 1; }
	echo "$switch_stop_ms ms"
	[ "$switch_stop_ms" -lt $stop_max_ms ]
}
check_figure "SIGTERM ends it in under $((stop_max_ms / 1000)) s" stops
check "nobody is left" bash -c '! pgrep -f "pane-switch[d]"'
check "the sockets are gone" bash -c "! ls '$RUN_DIR'/*.sock"

start_or_fail "$RUN_DIR/config.yaml"
requests >"$RUN_DIR/after"
check "after a new start, the requests are the same" diff "$RUN_DIR/before" "$RUN_DIR/after"
check "the share is there, too" not as root 'NewShare net0 for (*) on rootShare.'
sleep 1
check "and in force" not reaches
check "a request can be cancelled" as root "cancel $(grep -oE '[0-9]+' "$RUN_DIR/before" | head -n 1)."
check "traffic flows again" wait_for 2 reaches

# no supervisor: its children do not outlive it
children=$(pgrep -P "$switch_pid" | tr '\n' ' ')
kill -9 "$switch_pid"
switch_pid=
check "children end with a killed supervisor" wait_for 3 bash -c "for p in $children; do kill -0 \$p && exit 1; done; exit 0"
start_or_fail "$RUN_DIR/config.yaml"
check "a start after that" wait_for 5 reaches
switch_stop || check "a clean stop" false

# the two roles apart, in either order
"$(program pane-switchd)" --config "$RUN_DIR/config.yaml" --role=controller >>"$RUN_DIR/log" 2>&1 </dev/null &
controller=$!
check "a controller alone answers" wait_for 5 switch_answers
"$(program pane-switchd)" --config "$RUN_DIR/config.yaml" --role=dataplane >>"$RUN_DIR/log" 2>&1 </dev/null &
dataplane=$!
check "a dataplane alone forwards" wait_for 5 reaches
check "a deny reaches it" as root 'deny(srcHost=h1, dstHost=h2) on net0 to +8.'
check "and holds" wait_for 1 not reaches
check "one that stays" as root 'deny(srcHost=h1, dstHost=h2, dstPort=9) on net0.'
kill -TERM "$controller"
wait "$controller"
check "a controller alone stops cleanly" [ $? = 0 ]
check "and its dataplane ends the deny by itself" wait_for 10 reaches
said=$(wc -l <"$RUN_DIR/log")
since() {
	tail -n "+$((said + 1))" "$RUN_DIR/log" | grep -Eq "$1"
}
"$(program pane-switchd)" --config "$RUN_DIR/config.yaml" --role=controller >>"$RUN_DIR/log" 2>&1 </dev/null &
controller=$!
check "it comes back" wait_for 5 switch_answers
check "from its checkpoint alone" since 'journal .* requests; 0 statements read again'
check "finds its dataplane" wait_for 5 since 'dataplane link up'
check "with the row that it wants" since 'in session, [12] rows and 0 meters there'
sleep 1
check "and changes nothing" not since '\(([1-9][0-9]* rows added|[0-9]* rows added, [1-9])'
check "traffic goes on" wait_for 2 reaches
kill -TERM "$controller"
wait "$controller"
check "and ends again" [ $? = 0 ]
kill -TERM "$dataplane"
wait "$dataplane"
check "a dataplane alone stops cleanly" [ $? = 0 ]
finish
