#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command socket as PANE's clients know it, over loopback TCP: login, prompts, answers, pipelining, bad input.
. "$(dirname "$0")/_init.sh"

cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
tcp_listen: 127.0.0.1:4242
ports:
  - name: p1
    device: "null:"
END
mkdir -p "$RUN_DIR/state"
start_or_fail "$RUN_DIR/config.yaml"

# talk: stdin is sent at once; prints what comes back until the switch hangs up
talk() {
	exec 3<>/dev/tcp/127.0.0.1/4242 || return
	cat >&3
	timeout 100 cat <&3
	exec 3>&-
}
says() { # PATTERN TEXT
	printf '%b' "$2" | talk | tr '\n' ' ' | tee /dev/stderr | grep -qE -- "$1"
}

check "login, prompt, answers" says '^Login: ?logged in ?root> ?True ?root> ?False ?root> ' \
	'root.\nAddUser alice.\nAddUser alice.\nquit.\n'
check "a list" says '1; ?rootShare' 'root.\nListShares.\nquit.\n'
check "pipelined statements are answered in order" says 'True.*False.*True.*2; ?rootShare; ?s1' \
	'root. AddUser bob. AddUser bob. NewShare s1 for (*) on rootShare. ListShares. quit. '
check "a schedule" says '[0-9]+; ?[0-9.]+, ?(inf|[0-9]+), ?(inf|[0-9]+)' 'root.\nGetSchedule rootShare.\nquit.\n'
check "comments and newlines" says 'True' 'root.\nAddUser // a comment.\n/* more. */ carol\n.\nquit.\n'
check "JSON on request" says '"ok": ?true' 'root.\nmode json.\ntime.\nquit.\n'
check "a refusal says why" says '"code": ?"no_share"' 'root.\nmode json.\ndeny(*) on nowhere.\nquit.\n'
check "a syntax error names line and column" says '"line": ?1.*"column": ?9' 'root.\nmode json.\ndeny(*) un s1.\nquit.\n'
check "an unknown user cannot log in, or can do nothing" says '.' 'mallory.\nquit.\n'
{
	printf 'root.\nAddUser '
	head -c 200000 /dev/zero | tr '\0' 'a'
	printf '.\ntime.\nquit.\n'
} >"$RUN_DIR/long"
check "an endless statement is refused" bash -c "exec 3<>/dev/tcp/127.0.0.1/4242; cat '$RUN_DIR/long' >&3; timeout 100 cat <&3; [ \$? != 124 ]"
check "noise" bash -c 'exec 3<>/dev/tcp/127.0.0.1/4242; head -c 100000 /dev/urandom >&3; exec 3>&-'
check "and the switch still answers" switch_answers
check "panectl: accepted" as root 'AddUser dave.'
as root 'AddUser dave.' >/dev/null 2>&1
check "panectl: refused is status 1" [ $? = 1 ]
if id nobody >/dev/null 2>&1; then
	check "another OS user may not speak for root" not setpriv --reuid nobody --clear-groups -- \
		"$(program panectl)" --socket "$RUN_DIR/control.sock" --user root 'AddUser eve.'
fi
mapfile -t many < <(seq -f 'AddUser u%.0f.' 1 500)
check "500 statements in one go" as root "${many[@]}"

# many sessions at once
sessions() {
	local i rc=0 pids=()

	for i in $(seq 1 100); do
		panectl 'time.' >/dev/null 2>&1 &
		pids+=($!)
	done
	for i in "${pids[@]}"; do
		wait "$i" || rc=1
	done
	return $rc
}
check "100 sessions at once" sessions
finish
