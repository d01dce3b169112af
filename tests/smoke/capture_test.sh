#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# panectl capture: frames of a flow group into a file that others can read; whose they are, and that it ends.
. "$(dirname "$0")/_init.sh"

command -v tshark >/dev/null || skip "needs tshark"
for i in 1 2; do
	host_add h$i $i
done
WORKERS=2 config_write "$RUN_DIR/config.yaml" af_packet "" h1 h2
start_or_fail "$RUN_DIR/config.yaml"
replies() {
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}
check "hosts find each other" wait_for 5 replies h1 h2

datagrams() { # PORT N
	at h1 perl -MSocket -e '
		socket my $s, AF_INET, SOCK_DGRAM, 0 or die;
		for (1 .. $ARGV[2]) { send $s, "frame $_", 0, pack_sockaddr_in($ARGV[1], inet_aton($ARGV[0])) }' "$SUBNET.2" "$1" "$2"
}
under_way() { # somebody's capture is
	panectl capture '*' "$RUN_DIR/d.pcapng" --count 1 --seconds 0.1 | grep -F 'another capture is under way'
}
capture_start() { # ARGS...: it is under way when this returns, at the dataplane, too
	local i

	for ((i = 0; i < 20; i++)); do
		panectl --user "${who:-root}" capture "$@" >"$RUN_DIR/capture.out" 2>&1 &
		capture=$!
		sleep 0.3 # who asks below comes second, mostly
		! under_way >/dev/null || break
		wait "$capture" # it was refused, as the other one came first
	done
	panectl 'trace(dstPort=80, transport=TCP, srcHost=h1, dstHost=h2).' >/dev/null # told behind it, and answered
	rm -f "$RUN_DIR/d.pcapng"
}
capture_end() {
	wait "$capture"
}
read_back() { # FILE FIELD...
	tshark -r "$1" -T fields "${@:2}" 2>/dev/null
}

capture_start '(dstPort=80)' "$RUN_DIR/a.pcapng" --count 20 --seconds 20
datagrams 81 30
datagrams 80 30
check "a capture ends with the frames that were asked for" capture_end
check "and says so" grep -q '^20 frames, 0 missed (count)' "$RUN_DIR/capture.out"
read_back "$RUN_DIR/a.pcapng" -e udp.dstport -e udp.length -e frame.interface_name >"$RUN_DIR/fields"
check "tshark reads them: of this group only, whole, with the port" [ "$(sort -u "$RUN_DIR/fields" | cut -f1,3 | sort -u)" = "80	p-h1" ]
check "as many" [ "$(wc -l <"$RUN_DIR/fields")" = 20 ]
check "with the time of now" holds "$(read_back "$RUN_DIR/a.pcapng" -e frame.time_epoch | tail -n 1) > $(date +%s) - 60"

# what is denied is captured as well; the time ends it
panectl 'deny(dstPort=82) on rootShare.' >/dev/null || check "a denial is accepted" false
capture_start '(dstPort=82)' "$RUN_DIR/b.pcapng" --seconds 4
datagrams 82 5
check "a capture ends when its time is over" capture_end
check "with what came, though it is denied" grep -q '^5 frames, 0 missed (time)' "$RUN_DIR/capture.out"

# one at a time, for who may see the share's traffic
capture_start '*' "$RUN_DIR/c.pcapng" --seconds 60
check "another one meanwhile is refused" under_way
cannot_be_written() { # FILE WHY: said at once
	[ "$(panectl capture '*' "$1" --seconds 9 2>&1)" = "panectl: $1: $2" ]
}
check "a folder that is not there is named before anything is waited for" cannot_be_written "$RUN_DIR/none/x.pcapng" "No such file or directory"
check "so is a file that is a folder" cannot_be_written "$RUN_DIR" "Is a directory"
check "and has written nothing" [ ! -e "$RUN_DIR/d.pcapng" ]
kill "$(ps -o pid= --ppid "$capture")" # panectl is a function here, in a shell of its own
free_again() { panectl capture '*' "$RUN_DIR/d.pcapng" --count 1 --seconds 1 | grep -E '\((time|count)\)'; }
check "one whose client is gone makes room" wait_for 3 free_again
rm -f "$RUN_DIR/d.pcapng"
panectl 'AddUser nobody.' 'NewShare web for (dstPort=80) on rootShare.' 'Grant web to nobody.' >/dev/null
refused() { panectl --user nobody capture "$1" "$RUN_DIR/d.pcapng" --share "$2" --seconds 1 | grep -E "$3"; }
check "another share's traffic is not for everybody" refused '*' rootShare 'not_principal|no_privilege'
capture_start '*' "$RUN_DIR/e.pcapng" --share web --seconds 4
datagrams 80 3
datagrams 81 3
capture_end
check "a share has its own frames only" grep -q "^3 frames" "$RUN_DIR/capture.out"
who=nobody capture_start '*' "$RUN_DIR/f.pcapng" --share web --seconds 60
panectl 'Revoke web from nobody.' >/dev/null
wait "$capture"
check "a capture ends with the authority for it" grep -q 'may no longer see' "$RUN_DIR/capture.out"
panectl 'Grant web to nobody.' >/dev/null
check "a group that is not the share's is refused" refused '(dstPort=81)' web 'not_contained'

# a file that was there is replaced by a whole one, or stays
keep=$RUN_DIR/keep.pcapng
kept() { [ "$(cat "$keep")" = "as it was" ]; }
fails() { # STATUS PATTERN COMMAND...: what it says is in $RUN_DIR/said
	local want=$1 pattern=$2 rc=0

	"${@:3}" >"$RUN_DIR/said" 2>&1 || rc=$?
	[ "$rc" = "$want" ] && grep -E "$pattern" "$RUN_DIR/said"
}
printf 'as it was' >"$keep"
check "who is refused leaves the file as it was" fails 1 'not_contained' panectl --user nobody capture '(dstPort=81)' "$keep" --share web
check "(really)" kept
capture_start '*' "$keep" --seconds 60
kill "$(ps -o pid= --ppid "$capture")"
wait "$capture"
check "so does who stops it" kept
check "and makes room" wait_for 3 free_again
rm -f "$RUN_DIR/d.pcapng"
check "/dev/full is said to be full" fails 2 'No space left on device' panectl capture '(dstPort=83)' /dev/full --seconds 0.1
mkdir "$RUN_DIR/small" && mount -t tmpfs -o size=4k none "$RUN_DIR/small"
printf 'as it was' >"$RUN_DIR/small/keep"
check "so is a full disk" fails 2 'No space left on device' panectl capture '(dstPort=83)' "$RUN_DIR/small/keep" --seconds 0.1
check "with the file as it was, and no other" [ "$(cd "$RUN_DIR/small" && grep -l 'as it was' -- *)" = keep ]
umount "$RUN_DIR/small"
into_closed() { # a pipe that nobody reads any more
	local rc=0

	mkfifo "$RUN_DIR/pipe"
	exec 4<>"$RUN_DIR/pipe" 5>"$RUN_DIR/pipe" 4>&-
	panectl capture '(dstPort=83)' - --seconds 0.1 >&5 || rc=$?
	exec 5>&-
	return "$rc"
}
check "a reader that has gone is no end without a word" fails 2 'standard output: .*Broken pipe' into_closed
chmod 640 "$keep"
ln -s keep.pcapng "$RUN_DIR/link.pcapng"
check "no frame at all is a capture, too" panectl capture '(dstPort=83)' "$RUN_DIR/link.pcapng" --seconds 0.1
check "that can be read" tshark -r "$keep"
check "behind the link, with the rights of before" [ "$(stat -c %a "$keep") $(readlink "$RUN_DIR/link.pcapng")" = "640 keep.pcapng" ]
panectl capture '(dstPort=83)' - --seconds 0.1 2>/dev/null >"$RUN_DIR/out.pcapng"
check "standard output gets the same" cmp "$keep" "$RUN_DIR/out.pcapng"

# a dataplane that is there, and silent
printf 'as it was' >"$keep"
dataplane=$(switch_child dataplane)
kill -STOP "$dataplane"
check "a dataplane that does not answer is no capture of 0 frames" fails 1 'the dataplane has not answered' panectl capture '*' "$keep" --seconds 0.1
check "and the file is as it was" kept
kill -CONT "$dataplane"
check "afterwards it is captured again" wait_for 5 free_again
check "traffic passes as before" wait_for 5 replies h1 h2
finish
