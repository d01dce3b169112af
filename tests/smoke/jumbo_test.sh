#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Frames longer than 1518 bytes from end to end, by each kind of device that has them, and what a start and --check-config
# say of MTUs, memory and arguments that cannot be.
. "$(dirname "$0")/_init.sh"

config() { # MTU MEMORY_MB PORT=DEVICE...
	local p

	printf 'run_dir: %s\nstate_dir: %s/state\ndataplane: {mtu: %s, memory_mb: %s}\nports:\n' "$RUN_DIR" "$RUN_DIR" "$1" "$2"
	for p in "${@:3}"; do
		printf '  - name: %s\n    device: "%s"\n' "${p%%=*}" "${p#*=}"
	done
}
says() { # TEXT MTU MEMORY_MB PORT=DEVICE...: of a configuration that cannot be
	config "${@:2}" >"$RUN_DIR/wrong.yaml"
	! "$(program pane-switchd)" --config "$RUN_DIR/wrong.yaml" --check-config >"$RUN_DIR/said" 2>&1 || return
	cat "$RUN_DIR/said"
	grep -qF "$1" "$RUN_DIR/said"
}
mtu_of() {
	cat "/sys/class/net/$1/mtu"
}
replies() { # FROM ADDRESS PAYLOAD_BYTES
	at "$1" ping -n -q -M 'do' -c 3 -i 0.2 -W 1 -s "$3" "$2" | grep ' 3 received'
}

mkdir -p "$RUN_DIR/state"
for n in 1 2 3; do
	host_add "h$n" "$n"
	at "h$n" ip link set eth0 mtu 3434
done
check "an MTU that buffers of af_xdp do not hold is told" says 'af_xdp:to-h1: MTU 3435: it can have 3434 at most' 3435 512 a=af_xdp:to-h1
check "one that the driver of tap refuses, too" says 'tap:j0: MTU 1505: it can have 1504 at most' 1505 512 a=tap:j0
check "too little memory is told" says 'memory_mb: 128 is too little for 3 ports of MTU 9000 and 1 workers: at least' 9000 128 a=null: b=null:,size=64 c=null:,size=65
check "an argument that the driver does not know is told" says '"force_cpy"' 1500 256 a=af_xdp:to-h1,force_cpy=1
config 3435 512 a=af_xdp:to-h1 b=af_packet:to-h2 >"$RUN_DIR/wrong.yaml"
check "such a start is refused" not switch_start "$RUN_DIR/wrong.yaml"
check "and leaves the interfaces as they were" [ "$(mtu_of to-h1) $(mtu_of to-h2)" = "1500 1500" ]

# what passes by XDP at most
config 3434 512 a=af_xdp:to-h1 b=af_xdp:to-h2 c=af_packet:to-h3 >"$RUN_DIR/config.yaml"
start_or_fail "$RUN_DIR/config.yaml"
check "frames of MTU 3434 pass from af_xdp to af_xdp" wait_for 20 replies h1 "$SUBNET.2" 3406
check "and to af_packet" wait_for 10 replies h2 "$SUBNET.3" 3406
check "it ends" switch_stop
check "the MTUs are as before" [ "$(mtu_of to-h1) $(mtu_of to-h3)" = "1500 1500" ]

# the other kinds; the second switch is behind memif
for n in 1 2 3; do
	at "h$n" ip link set eth0 mtu 9000
done
memif() { # ROLE
	printf 'memif:role=%s,id=0,socket=%s/memif.sock,socket-abstract=no' "$1" "$RUN_DIR"
}
config 9000 512 a=af_packet:to-h1 b=af_packet:to-h2 "c=$(memif server)" "d=pcap:,$RUN_DIR/out.pcap" >"$RUN_DIR/config.yaml"
start_or_fail "$RUN_DIR/config.yaml"
check "frames of MTU 9000 pass from af_packet to af_packet" wait_for 20 replies h1 "$SUBNET.2" 8972

far=
far_start() { # MORE_ARGUMENTS
	mkdir -p "$RUN_DIR/far/state"
	config 9000 300 "a=$(memif client)$1" b=af_packet:to-h3 | sed "s|_dir: $RUN_DIR|&/far|" >"$RUN_DIR/far.yaml"
	"$(program pane-switchd)" --config "$RUN_DIR/far.yaml" >"$RUN_DIR/far.log" 2>&1 &
	far=$!
}
far_stop() {
	kill "$far" && wait "$far"
}
for size in "" ,bsize=2048; do
	far_start "$size"
	check "and through memif to another switch${size:+, its buffers being small}" wait_for 30 replies h1 "$SUBNET.3" 8972
	check "and back" wait_for 10 replies h3 "$SUBNET.2" 8972
	check "the other switch ends" far_stop
done
at h1 ping -n -q -b -M 'do' -c 1 -W 1 -s 8972 "$SUBNET.255" >/dev/null 2>&1
check "it ends" switch_stop
longest() { # BYTES PCAP_FILE: its longest frame
	[ "$(perl -e '
		binmode STDIN;
		read STDIN, my $head, 24;
		my $max = 0;
		while (read(STDIN, $head, 16) == 16) {
			my $len = (unpack "L4", $head)[2];
			$max = $len if $len > $max;
			read STDIN, my $frame, $len;
		}
		print $max' <"$2")" = "$1" ]
}
check "a capture file has a frame of 9014 bytes" longest 9014 "$RUN_DIR/out.pcap"
finish
