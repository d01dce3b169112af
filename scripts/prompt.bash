# SPDX-License-Identifier: Apache-2.0
# What the prompt of run.sh knows: the hosts as commands; panectl is in the path. Sourced by the user's shell.

for host in h1 h2 h3; do
	# shellcheck disable=SC2139 # the name is wanted now
	eval "$host() { ip netns exec $host \"\$@\"; }"
	export -f "${host?}"
done
unset host

try() {
	cat <<-END

		Three hosts, h1 h2 h3 (10.0.0.1 to 10.0.0.3), on PANE's switch; its ports carry 100 Mb. iperf3 listens on each.

		  h1 ping h2                                          reach each other
		  h1 iperf3 -c h2 -u -b 90M -l 1400                   load the network
		  panectl 'deny(srcHost=h1, dstHost=h2) on rootShare to +10.'; h1 ping -c 12 h2
		  panectl 'ratelimit(srcHost=h1, transport=UDP) = 20Mb on rootShare to +1min.'
		  panectl 'reserve(srcHost=h1, dstHost=h3) = 60Mb on rootShare to +1min.' 'GetSchedule rootShare.'
		  panectl ports                                       ports and their counters
		  panectl help                                        all of the language

		Give a part of the network to somebody else:

		  panectl 'AddUser alice.' 'NewShare aBW for (srcHost=h2) [reserve <= 10Mb] on rootShare.' 'Grant aBW to alice.'
		  panectl --user alice 'reserve(srcHost=h2) = 5Mb on aBW to +10min.'
		  panectl --user alice 'reserve(srcHost=h2) = 8Mb on aBW to +5min.'     refused, and says when it could be

		  tail $RUN_DIR/log                             what the switch says;  try  shows this again;  exit  ends all

	END
}

if [ -n "${PANE_EXPLAIN:-}" ] && [ -n "${PS1:-}" ]; then
	unset PANE_EXPLAIN
	HISTFILE=
	PS1='pane> '
	try
fi
