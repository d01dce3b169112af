#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# panectl at a terminal: what is typed, completed, interrupted, and told in between, as it stands on the screen.
. "$(dirname "$0")/_init.sh"

cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - name: p1
    device: "null:"
END
mkdir -p "$RUN_DIR/state" "$RUN_DIR/home"
start_or_fail "$RUN_DIR/config.yaml"
panectl 'AddUser alice.' 'NewShare net0 for (*) [reserve <= 100Mb] on rootShare.' 'Grant net0 to alice.' \
	'NewShare narrow for (*) on rootShare.' >/dev/null

# terminal_start USER: panectl on a pty, its keys from fd 7, its screen in $screen.
terminal_start() {
	screen=$RUN_DIR/screen
	: >"$screen"
	rm -f "$RUN_DIR/keys"
	mkfifo "$RUN_DIR/keys"
	HOME=$RUN_DIR/home TERM=vt100 setsid script -qfec \
		"stty cols 120; $(program panectl) --socket $RUN_DIR/control.sock --user $1; echo left with \$?" \
		"$RUN_DIR/typescript" <"$RUN_DIR/keys" >>"$screen" 2>&1 &
	terminal=$!
	exec 7>"$RUN_DIR/keys"
	shows "$1> "
}
type_keys() { # KEYS, in printf's notation
	: >"$screen"
	# shellcheck disable=SC2059
	printf "$1" >&7
}
# What the screen has got since the last keys: a line that was wiped is gone.
text() {
	sed -e 's/^.*\r\x1b\[J//' -e 's/\x1b\[[0-9;?]*[A-Za-z]//g' -e 's/\r//g' "$screen"
}
shows_now() {
	text
	text | grep -aqE -- "$1"
}
shows() { # PATTERN, in some seconds
	wait_for 5 shows_now "$1"
}
terminal_end() {
	exec 7>&-
	wait "$terminal" 2>/dev/null
}

check "a prompt with the user's name" terminal_start alice
check "above it, how to go on" shows 'TAB completes, help lists all'
type_keys 'time.\n'
check "a statement and its answer" shows '^20[0-9-]+T.*Z \('
type_keys 'GetSchedule net0\n'
check "a statement that is not over goes on in the next line" shows '^\.\.\. $'
check "and the first time how it ends is told" shows 'ends with a dot; \^C drops it'
type_keys '.\n'
check "and ends with its dot" shows '100 Mbit/s'
type_keys 'help GetSchedule\n'
check "help needs no dot" shows 'for example: GetSchedule net0'
type_keys 'time\n'
check "nor does a question of one word" shows '^20[0-9-]+T.*Z \('
type_keys 'tree\n'
check "what begins with no verb is refused at once" shows 'refused \(syntax\).*got "tree"'
type_keys 'res\t'
check "TAB completes a verb" shows 'reserve'
type_keys '\003'
check "^C drops the line" shows '\^C'
type_keys 'reserve(dstPort=80)\n= 5Mb on\n'
check "and so it does with a statement over several lines" shows '\.\.\. '
type_keys '\003'
check "after which there is a prompt" shows 'alice> $'
type_keys 'ListRequests.\n'
check "and nothing was asked" shows '^none'
type_keys 'GetSchedule ne\t.\n'
check "TAB completes a share" shows '100 Mbit/s'
panectl --user root 'Grant narrow to alice.' >/dev/null
type_keys 'GetSchedule n\t\t'
check "TAB shows what there is to choose from" shows '^narrow'
type_keys '\025Grant net0 to al\t.\n'
check "TAB completes a user" shows 'accepted'
type_keys 'allow(dstPort=80, transport=TCP) on net0.\n'
check "a request" shows 'accepted, request'
type_keys 'ListRequ'
check "a line that is not over" shows 'ListRequ$'
panectl --user root 'NewShare other for (*) on rootShare.' 'deny(dstPort=80, transport=TCP) on other.' >/dev/null
check "an event is shown while a line is typed" shows '^event: request 1 \(allow on net0\) overridden at .* by request 2'
check "with what it is about" shows 'no longer decided by it:'
check "and the line is there again" shows '^alice> ListRequ$'
type_keys 'ests.\n'
check "and can be gone on with" shows '^1 +allow'
panectl --user root 'cancel 2.' >/dev/null
check "an event at an empty prompt" shows '^event: request 1 \(allow on net0\) restored at'
check "says what came back" shows 'decided by it again:'
type_keys '\020\020\n'
check "^P finds earlier lines" shows 'allow\(dstPort=80, transport=TCP\) on net0\.'
check "and asks them again" shows 'accepted, request 3'
type_keys 'quit\n'
check "quit leaves" shows 'left with 0'
terminal_end
check "the history is kept" grep -q 'GetSchedule' "$RUN_DIR/home/.panectl_history"

check "a prompt of root" terminal_start root
type_keys '\020\n'
check "that finds the lines of the session before" shows 'quit'
check "and leaves by it" shows 'left with 0'
terminal_end
check "a prompt again" terminal_start root
type_keys '\004'
check "^D leaves" shows 'left with 0'
terminal_end
check "a prompt of a user who will be dropped" terminal_start alice
panectl --user root 'DropUser alice.' >/dev/null
check "the end of the session is told" shows 'session_end|closed the session'
check "and the program fails" shows 'left with 3'
terminal_end
finish
