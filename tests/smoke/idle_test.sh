#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A switch with nothing to do leaves its core to others: it waits in the kernel for frames, and is there at once when
# one comes, when the policy changes, and when it is to stop. Processor time is counted, not the clock: other load on
# the machine disturbs little.
. "$(dirname "$0")/_init.sh"

for i in 1 2 3; do
	host_add h$i $i
done

ticks() { # PID: of processor time so far
	awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}
# Thousandths of a core that the dataplane takes in two seconds without traffic (which last longer on a busy machine).
idle_permille() {
	local pid before begin

	pid=$(switch_child dataplane)
	sleep 1 # what hosts say when their interfaces come up
	begin=$(date +%s%N)
	before=$(ticks "$pid")
	sleep 2
	echo $((($(ticks "$pid") - before) * 1000000000 / $(getconf CLK_TCK) * 1000 / ($(date +%s%N) - begin)))
}
takes_little() {
	local n

	n=$(idle_permille)
	echo "$n thousandths of a core"
	figures+=" $n"
	[ "$n" -lt "${PANE_IDLE_MAX:-100}" ]
}
figures=
first_ping() { # the workers wait by then
	sleep 0.5
	at h1 ping -c 1 -W 20 -q 10.0.0.2
}
denied() {
	panectl 'deny(dstHost=10.0.0.2) on rootShare to +8.' && wait_for 1 not at h1 ping -c 1 -W 0.3 -q 10.0.0.2
}

for driver in af_xdp af_packet two_workers; do
	name=$driver
	WORKERS=
	[ $driver != two_workers ] || WORKERS=2 driver=af_xdp # one queue each: a worker hands frames to the other
	config_write "$RUN_DIR/config.yaml" $driver "" h1 h2 h3
	start_or_fail "$RUN_DIR/config.yaml"
	check "$name: frames pass" wait_for 10 at h1 ping -c 1 -W 1 10.0.0.2
	check_figure "$name: no traffic, next to no processor time" takes_little
	check "$name: a frame after a pause passes" first_ping
	check "$name: a denial is in force after a pause" denied
	check "$name: and ends" wait_for 10 at h1 ping -c 1 -W 0.3 -q 10.0.0.2
	ip -n h3 link set eth0 down
	ip link set to-h3 down
	check_figure "$name: a port that is down takes none either" takes_little
	ip link set to-h3 up
	ip -n h3 link set eth0 up
	check "$name: and is there again" wait_for 10 at h3 ping -c 1 -W 1 10.0.0.1
	[ $name = two_workers ] || check "$name: it stops" switch_stop
done
finish "idle, in thousandths of a core:$figures"
