#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# panectl beyond statements: scripts with and without a switch, drawings, help, events; and its exit status.
. "$(dirname "$0")/_init.sh"

cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - name: p1
    device: "null:"
limits:
  statements_per_s: 5
END
mkdir -p "$RUN_DIR/state"
cat >"$RUN_DIR/good.pane" <<'END'
// three speakers, and a statement over two lines
root : AddUser alice.
root : NewShare net0 for (*)
       [reserve <= 100Mb] on rootShare.
// BEGIN
root : Grant net0 to alice.
alice : reserve(dstPort=80) = 30Mb on net0 to +1h.
alice/app : reserve(dstPort=81) = 20Mb on net0 from +10min to +20min. // behind a statement
root : ListShares.
END
cp "$RUN_DIR/good.pane" "$RUN_DIR/refused.pane"
echo 'alice : reserve(*) = 500Mb on net0.' >>"$RUN_DIR/refused.pane"
printf 'root : AddUser zoe.\nroot AddUser eve.\n' >"$RUN_DIR/bad.pane"

status_is() { # STATUS COMMAND...
	local want=$1 rc=0

	shift
	"$@" || rc=$?
	[ "$rc" = "$want" ]
}
prints() { # PATTERN COMMAND...
	local pattern=$1

	shift
	"$@" | tee /dev/stderr | grep -qE -- "$pattern"
}
lines_are() { # N COMMAND...
	local n=$1

	shift
	[ "$("$@" | tee /dev/stderr | grep -c '^{"ok":')" = "$n" ]
}
away() { # without a switch
	"$(program panectl)" --socket "$RUN_DIR/nowhere.sock" "$@"
}

check "script --offline --json: an object a statement" lines_are 6 away script "$RUN_DIR/good.pane" --offline --json
check "script --offline: clock at 0" prints '"start":"600","end":"1200"' away script --offline --json "$RUN_DIR/good.pane"
check "script --offline: for people" prints '^alice : reserve\(dstPort=80\)' away script "$RUN_DIR/good.pane" --offline
check "script: a refusal is status 1" status_is 1 away script "$RUN_DIR/refused.pane" --offline --json
check "script: a wrong line is named" prints 'bad.pane:2: not a line' bash -c "'$(program panectl)' script '$RUN_DIR/bad.pane' --offline 2>&1"
check "script: a wrong line is status 2" status_is 2 away script "$RUN_DIR/bad.pane" --offline
check "script: no file is status 2" status_is 2 away script "$RUN_DIR/none.pane" --offline
check "script: no switch is status 3" status_is 3 away script "$RUN_DIR/good.pane"
check "script: no such flag is status 2" status_is 2 away script "$RUN_DIR/good.pane" --online
check "help without a switch" prints '^reserve\(FLOWGROUP\)' away help
check "help of a verb has an example" prints 'for example: GetSchedule' away help GetSchedule
check "help of panectl's own" prints '^panectl script FILE' away help script
check "help of nothing" status_is 1 away help nothing
says() { # PATTERN COMMAND...: on standard error
	local pattern=$1

	shift
	"$@" 2>&1 >/dev/null | tee /dev/stderr | grep -qE -- "$pattern"
}
check "a folder is no script: status 2" status_is 2 away script "$RUN_DIR"
check "a folder is no trace file: status 2" status_is 2 away check "$RUN_DIR"
echo '// nothing' >"$RUN_DIR/empty.pane"
check "a trace file without a statement is told: status 2" status_is 2 away check "$RUN_DIR/empty.pane"
check "a command used wrongly tells its form" says '^usage: panectl schedule SHARE' away schedule
check "and that is status 2" status_is 2 away schedule
check "a flag of a command without its value" says 'width needs a value' away tree --width
check "seconds out of range are named, with what was expected" says '--seconds: expected 0.01 to 86400, got 0' away stats --seconds 0
check "a capture of no frame is refused by the option's name" says '--count: expected a number over 0, got 0' away capture '*' "$RUN_DIR/none" --count 0
check "so is one of no time" says '--seconds: expected a number over 0, got 0' away capture '*' "$RUN_DIR/none" --seconds 0
check "no such flag, behind a statement, either" status_is 2 away hosts --bogus
check "a flag without its value is status 2" status_is 2 away time --user
check "help of a verb by --help" prints '^hosts \[behind' away hosts --help
check "no switch is status 3" status_is 3 away time
start_or_fail "$RUN_DIR/config.yaml"

check "script at the switch" lines_are 6 panectl script "$RUN_DIR/good.pane" --json
check "script at the switch, again: users and shares are there" status_is 1 panectl script "$RUN_DIR/good.pane" --json
check "options stand anywhere" prints '"time":' "$(program panectl)" time --json --socket "$RUN_DIR/control.sock"
check "and behind panectl's own commands" prints '"shares":' panectl tree --json --user=root
check "words of a statement that the shell has parted" prints '^accepted, request' panectl deny '(dstPort=4711)' on net0 to +1s
check "beside other statements" lines_are 3 panectl --json time ListRequests net0 ports
check "a statement that is not understood tells its form" says '^its form: reserve\(FLOWGROUP\) = RATE' panectl reserve 10 Mb for '(dstPort=80)'
check "and is one" lines_are 1 panectl --json reserve 10 Mb for '(dstPort=80)'
check "queues as a statement have no JSON in them" prints '^rootShare  ' panectl queues.
check "none" not prints '[][{}]' panectl queues.
check "a tree" prints 'net0 .*100 Mbit/s +60 Mbit/s' panectl tree --width 80
check "a tree in JSON" prints '"reserved":60000000' panectl tree --json
check "a schedule" prints '^now 40 Mbit/s, least 0 bit/s from [+]' panectl schedule net0 --width 80
wide() {
	LC_ALL=C panectl schedule net0 --width 60 | awk 'length($0) > 60 { bad = 1 } END { exit bad }'
}
check "a schedule fits the width" wide
check "a schedule of no share is refused" status_is 1 panectl schedule nowhere
check "a schedule of what is no name" status_is 2 panectl schedule 'net0. quit'

rounds_are() { # N COMMAND...
	local n=$1

	shift
	[ "$("$@" | tee /dev/stderr | grep -c '^\[{"port":"p1"')" = "$n" ]
}
check "stats: a line for each port" wait_for 5 prints '^p1 +up .* 0 ' panectl stats --seconds 0.1
check "stats end no line in blanks" not prints ' $' panectl stats --seconds 0.1
check "a command tells its own help" prints '^panectl capture .*FILE' panectl capture --help
check "stats in JSON" prints '"port":"p1","up":true,"rx_pps":0.0' panectl stats --seconds 0.1 --json
check "top ends after its rounds" rounds_are 2 panectl top --seconds 0.1 --rounds 2 --json
check "stats for no time" status_is 2 panectl stats --seconds 0
check "stats for what is no number" status_is 2 panectl stats --seconds nan

# what does not answer is named, in the end
says_last() { # STATUS PATTERN COMMAND...
	local rc=0

	"${@:3}" >"$RUN_DIR/said" 2>&1 || rc=$?
	[ "$rc" = "$1" ] && grep -E "$2" "$RUN_DIR/said"
}
cannot_be_asked() { # WHY: the figures are of before
	says_last 1 "$1" panectl ports && says_last 1 "$1" panectl stats --seconds 0.1 && says_last 1 "$1" panectl top --seconds 0.1
}
dataplane=$(switch_child dataplane)
kill -STOP "$dataplane"
check "a dataplane that is silent is named by ports, stats and top" wait_for 30 cannot_be_asked 'the dataplane has told nothing for [0-9]+ s'
kill -CONT "$dataplane"
check "and afterwards it is not" wait_for 30 status_is 0 panectl stats --seconds 0.1
controller=$(switch_child controller)
kill -STOP "$controller"
check "a controller that is there and silent is named" says_last 3 'no answer within 1 s: it is there, and busy or stuck' panectl --timeout 1 time
kill -CONT "$controller"
check "a timeout that is none" status_is 2 panectl --timeout soon time

panectl --user alice events --json >"$RUN_DIR/events" 2>/dev/null &
watcher=$!
watches() { ss -Hx state established | grep -F "$RUN_DIR/control.sock"; }
check "events: a session" wait_for 5 watches
panectl --user alice 'deny(dstPort=90) on net0 from +2s to +3s.' >/dev/null
heard() {
	cat "$RUN_DIR/events"
	[ "$(grep -cE '"event":"(started|ended)"' "$RUN_DIR/events")" = 2 ]
}
check "events: started and ended" wait_for 10 heard
kill "$watcher" 2>/dev/null
wait "$watcher" 2>/dev/null

sleep 1 # alice's five statements are there again
mapfile -t many < <(yes 'time.' | head -n 40)
check "too many statements a second are refused with code limit" prints '"code":"limit"' panectl --user alice --json "${many[@]}"
check "and root is spared" as root 'time.' 'time.' 'time.' 'time.' 'time.' 'time.' 'time.' 'time.'
finish
