#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What is denied whatever else the policy says never reaches the worker of a switch with af_xdp ports; whatever an allow
# overrides does, and is judged there.
. "$(dirname "$0")/_init.sh"

for i in 1 2 3; do
	host_add h$i $i
done
config_write "$RUN_DIR/config.yaml" af_xdp "" h1 h2 h3
start_or_fail "$RUN_DIR/config.yaml"

replies() { # HOST TARGET: all of 3 come back
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}

counter() { # PORT NAME
	panectl --json "ports." | jq -r --arg p "$1" --arg n "$2" '.. | objects | select(.name? == $p) | [.. | objects | .[$n]? // empty] | first // 0'
}

# moved PORT NAME COMMAND...: by how much the counter grows, once it stands still
moved() {
	local before after=-1 now i

	before=$(counter "$1" "$2")
	"${@:3}" >/dev/null 2>&1
	for ((i = 0; i < 6; i++)); do
		sleep 1.7
		now=$(counter "$1" "$2")
		[ "$now" != "$after" ] || break
		after=$now
	done
	echo $((now - before))
}
at_least() { [ "$("${@:2}")" -ge "$1" ]; }
at_most() { [ "$("${@:2}")" -le "$1" ]; }
denied_pings() { at h1 ping -n -q -c 40 -i 0.005 -W 1 h2; }

check "hosts find each other" wait_for 10 replies h1 h2
panectl 'deny(srcHost=h1, dstHost=h2) on rootShare to +1h.' >/dev/null || check "a deny is accepted" false
check "what is denied does not pass" wait_for 2 not replies h1 h2
check "it is dropped in the driver" at_least 40 moved p-h1 dev_denied denied_pings
told_by_telemetry() { # as `panectl` has it, once it stands still
	perl -MSocket -e '
		my ($path) = glob "/var/run/dpdk/*/dpdk_telemetry.v2";
		socket my $s, AF_UNIX, SOCK_SEQPACKET, 0 and connect $s, pack_sockaddr_un($path) or die "$path: $!";
		recv $s, my $hello, 4096, 0;
		send $s, "/pane/port,p-h1", 0;
		recv $s, my $said, 65536, 0;
		print $said' | jq -e --argjson n "$(counter p-h1 dev_denied)" '."/pane/port".dev_denied == $n and $n > 0'
}
check "DPDK telemetry tells it, too" wait_for 5 told_by_telemetry
check "and the worker sees none of it" at_most 5 moved p-h1 denied denied_pings
check "others pass" wait_for 5 replies h1 h3
check "the other way round passes the driver" at_most 0 moved p-h2 dev_denied at h2 ping -n -q -c 5 -i 0.01 -W 1 h3
counted() { panectl --json 'traffic(srcHost=h1) on rootShare.' | jq -e '[.. | .packets? // empty] | max >= 80'; }
check "the request counts what the driver dropped" wait_for 5 counted


panectl 'cancel 1.' >/dev/null || check "the deny ends" false
check "what is no longer denied passes" wait_for 5 replies h1 h2
check "and is not dropped any more" at_most 0 moved p-h1 dev_denied at h1 ping -n -q -c 5 -i 0.01 -W 1 h2

# an allow below a deny: the driver cannot tell, the worker does
panectl 'NewShare desk for (srcHost=h1) [allow <= 2h, deny = True] on rootShare.' 'deny(srcHost=h1) on rootShare to +1h.' >/dev/null ||
	check "a share and a deny are accepted" false
check "a deny of a host is dropped in the driver" at_least 40 moved p-h1 dev_denied denied_pings
panectl 'allow(srcHost=h1, dstHost=h2) on desk to +1h.' >/dev/null || check "an allow below is accepted" false
check "an allow below it passes" wait_for 5 replies h1 h2
check "what it leaves is denied by the worker" at_least 3 moved p-h1 denied at h1 ping -n -q -c 4 -i 0.01 -W 1 h3

# the controller gone: what has an end ends
panectl 'deny(srcHost=h2, dstHost=h3) on rootShare to +10.' >/dev/null || check "a deny is accepted" false
ends=$(calc "$(now) + 10" .3f)
check "a deny is in force" wait_for 1 not at h2 ping -n -q -c 1 -W 0.3 h3
kill -STOP "$(switch_child controller)"
check "a deny holds without the controller" not replies h2 h3
sleep_until "$ends"
check "and ends on time without it" wait_for 1 replies h2 h3
kill -CONT "$(switch_child controller)"
finish
