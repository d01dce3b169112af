#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A device that takes no frames any more (a bridge over a link of 8 kbit/s, flooded): the other ports of its worker go on.
. "$(dirname "$0")/_init.sh"

host_add h1 1
host_add h2 2
for kind in af_packet af_xdp; do
	far=far-$kind
	ip netns add "$far"
	ip link add "low-$kind" numtxqueues 1 numrxqueues 1 type veth peer name eth0 netns "$far" numtxqueues 1 numrxqueues 1
	plain_frames "low-$kind"
	at "$far" bash -c 'plain_frames eth0'
	ip link add "br-$kind" type bridge
	ip link set "low-$kind" master "br-$kind" up
	ip link set "br-$kind" up
done
ip -n far-af_packet addr add 10.0.0.3/24 dev eth0
ip -n far-af_xdp addr add 10.0.0.4/24 dev eth0
ip -n far-af_packet link set eth0 up
ip -n far-af_xdp link set eth0 up
mkdir -p "$RUN_DIR/state"
cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - {name: one, device: "af_packet:to-h1"}
  - {name: two, device: "af_packet:to-h2"}
  - {name: far3, device: "af_packet:br-af_packet"}
  - {name: far4, device: "af_xdp:br-af_xdp"}
END
start_or_fail "$RUN_DIR/config.yaml"

reaches() {
	at h1 ping -c1 -W1 "$1"
}
flood() { # UDP to $1 for $2 seconds
	at h1 python3 - "$1" "$2" <<'PY'
import socket, sys, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
end = time.monotonic() + float(sys.argv[2])
while time.monotonic() < end:
    try:
        for _ in range(20):
            s.sendto(b"x" * 1400, (sys.argv[1], 7))
    except OSError:
        pass
    time.sleep(0.005)
PY
}
not_taken() { # frames that the device of port $1 did not take
	panectl --json ports. | jq -e --arg port "$1" 'any(.items[]; .name == $port and .counters.tx_full > 0)'
}
# kind ADDRESS PORT
kind() {
	check "$1: it is reached" wait_for 20 reaches "$2"
	check "others are" wait_for 20 reaches 10.0.0.2
	tc qdisc add dev "low-$1" root tbf rate 8kbit burst 2000 limit 50000000 || exit 1
	flood "$2" 8 &
	local flood=$!
	sleep 2 # its rings are full by then
	at h1 ping -q -c 40 -i 0.1 -W 1 10.0.0.2 >"$RUN_DIR/ping"
	wait "$flood"
	tail -n 3 "$RUN_DIR/ping" | head -n 1
	check "$1: beside it most pings come back" awk '/received/ { n = $4 } END { exit !(n >= 28) }' "$RUN_DIR/ping"
	check "$1: what it did not take is counted" wait_for 5 not_taken "$3"
	tc qdisc del dev "low-$1" root
	check "$1: it is reached again when it takes frames" wait_for 20 reaches "$2"
}
kind af_packet 10.0.0.3 far3
kind af_xdp 10.0.0.4 far4
check "the dataplane never restarted" [ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" = 1 ]
finish
