#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Ports over shared memory, memif and vhost-user, as the configuration says, with DPDK's own testpmd at the other end: it
# answers ARP and pings (icmpecho). It is killed in between, and comes again.
. "$(dirname "$0")/_init.sh"

command -v dpdk-testpmd >/dev/null || skip "needs dpdk-testpmd"
cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - {name: host, device: "tap:sw0"}
  - {name: memif, device: "memif:role=server,id=0,socket=$RUN_DIR/memif.sock,socket-abstract=no"}
  - {name: vm, device: "vhost:$RUN_DIR/vm.sock"}
  - {name: client, device: "memif:role=client,id=0,socket=$RUN_DIR/far.sock,socket-abstract=no"}
END
mkdir -p "$RUN_DIR/state"
start_or_fail "$RUN_DIR/config.yaml"

port_is() { # NAME STATE
	panectl ports | grep -E "^$1 .* $2 "
}
check "a port with nobody at the other end is down" wait_for 20 port_is memif down
check "so is that of a machine that does not run" wait_for 5 port_is vm down
ip addr add "$SUBNET.1/24" dev sw0 && ip link set sw0 up || exit 1

peer=
peer_start() { # DEVICE
	mkfifo "$RUN_DIR/peer.in"
	dpdk-testpmd --no-huge -m 128 --no-pci --no-shconf --no-telemetry --file-prefix=peer --lcores='0@0,1@0' --vdev "$1" -- \
		--forward-mode=icmpecho --total-num-mbufs=8192 --no-mlockall --auto-start -i <"$RUN_DIR/peer.in" >"$RUN_DIR/peer.log" 2>&1 &
	peer=$!
	exec 7>"$RUN_DIR/peer.in"
	rm "$RUN_DIR/peer.in"
}
peer_kill() {
	exec 7>&-
	[ -n "$peer" ] || return 0
	kill -9 "$peer" 2>/dev/null
	wait "$peer" 2>/dev/null
	rm -f "$RUN_DIR/far.sock" # its driver does not
	peer= # its number may be another's
}
trap 'peer_kill' EXIT

replies() { # ADDRESS
	ping -n -q -c 3 -i 0.2 -W 1 "$1" | grep ' 3 received'
}

# kind PORT ADDRESS DEVICE
kind() {
	local i

	for i in first second; do
		peer_start "$3"
		check "$1: it is up when the other process is there, the $i time" wait_for 20 port_is "$1" up
		check "$1: and answers through the switch" wait_for 10 replies "$2"
		check "$1: a denial of it is accepted" panectl "deny(dstHost=$2) on rootShare to +6."
		check "$1: and holds at once" wait_for 1 not replies "$2"
		check "$1: and ends" wait_for 10 replies "$2"
		peer_kill
		check "$1: it is down when the process is killed" wait_for 10 port_is "$1" down
		ip neigh flush dev sw0
	done
}
kind client "$SUBNET.7" "net_memif0,role=server,id=0,socket=$RUN_DIR/far.sock,socket-abstract=no"
# who listens and accepts nobody holds nothing up
python3 - "$RUN_DIR/far.sock" "$RUN_DIR/listens" <<'END' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
s.bind(sys.argv[1])
s.listen(1)
open(sys.argv[2], "w").close()
time.sleep(60)
END
mute=$!
wait_for 20 [ -e "$RUN_DIR/listens" ]
for _ in 1 2 3 4 5 6; do
	sleep 1 # the port tries again meanwhile
	check "the dataplane answers beside a memif server that does not" panectl trace 'srcHost=10.0.0.5 dstPort=80'
done
kill "$mute"
wait "$mute" 2>/dev/null
rm -f "$RUN_DIR/far.sock"
kind memif "$SUBNET.8" "net_memif0,role=client,id=0,socket=$RUN_DIR/memif.sock,socket-abstract=no"
kind vm "$SUBNET.9" "net_virtio_user0,path=$RUN_DIR/vm.sock,queue_size=256"
check "the dataplane never restarted" [ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" = 1 ]

# what listens is made anew where a killed process left its socket
is_served() { # PORT ADDRESS DEVICE
	peer_start "$3"
	check "$1: it is up again" wait_for 20 port_is "$1" up
	check "$1: and answers" wait_for 10 replies "$2"
	peer_kill
}
of_dataplane() { # its interface is new
	ip addr add "$SUBNET.1/24" dev sw0 && ip link set sw0 up
}
is_up_times() { # N
	[ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" = "$1" ]
}
kill -9 "$(switch_child dataplane)"
check "a killed dataplane is back" wait_for 20 is_up_times 2
wait_for 20 of_dataplane
is_served memif "$SUBNET.8" "net_memif0,role=client,id=0,socket=$RUN_DIR/memif.sock,socket-abstract=no"
processes="$switch_pid $(switch_child dataplane) $(switch_child controller)"
# shellcheck disable=SC2086 # three words
kill -STOP $processes
# shellcheck disable=SC2086
kill -9 $processes
wait "$switch_pid" 2>/dev/null
wait_for 20 bash -c "for p in $processes; do ! kill -0 \$p 2>/dev/null || exit 1; done"
check "a killed memif server leaves its socket" [ -S "$RUN_DIR/memif.sock" ]
check "a killed vhost port, too" [ -S "$RUN_DIR/vm.sock" ]
start_or_fail "$RUN_DIR/config.yaml"
wait_for 20 of_dataplane
is_served memif "$SUBNET.8" "net_memif0,role=client,id=0,socket=$RUN_DIR/memif.sock,socket-abstract=no"
is_served vm "$SUBNET.9" "net_virtio_user0,path=$RUN_DIR/vm.sock,queue_size=256"
check "each line of the log has its time and process, drivers' too" \
	not grep -vE '^[0-9T:.-]+Z (supervisor|controller|dataplane) [a-z]+: ' "$RUN_DIR/log"
finish
