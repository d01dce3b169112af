#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What others do to the interfaces of a running switch: look at them, start a second switch on them, take the XDP program
# off, not have them there yet. h1 and h2 reach each other in spite of it.
. "$(dirname "$0")/_init.sh"

nic=$(program pane-nic) || exit 1
for i in 1 2; do
	host_add h$i $i
done
config_write "$RUN_DIR/config.yaml" af_xdp "" h1 h2
sed -i "s|^hosts:|  - name: p-h3\n    device: af_xdp:to-h3\n&|" "$RUN_DIR/config.yaml"

replies() { # HOST TARGET: all of 3 come back
	at "$1" ping -n -q -c 3 -i 0.05 -W 1 "$2" | grep ' 3 received'
}
ports_say() { # PATTERN
	panectl --json 'ports.' | tr '{' '\n' | grep -E "$1"
}
logged() {
	grep -E "$1" "$RUN_DIR/log"
}
refused() { # PATTERN COMMAND...
	local pattern=$1 out rc=0

	shift
	out=$(timeout 30 "$@" 2>&1 </dev/null) || rc=$?
	printf 'status %d: %s\n' "$rc" "$out"
	[ "$rc" = 1 ] && grep -qE -- "$pattern" <<<"$out"
}
ups() { # NUMBER: the dataplane has come up so often
	[ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" -ge "$1" ]
}

start_or_fail "$RUN_DIR/config.yaml"
check "an interface that is missing at the start is waited for" wait_for 20 logged 'warning: port p-h3 .*to-h3: there is none of this name: waited for'
check "its port is down" wait_for 20 ports_say '"p-h3".*"up":false'
check "the others carry traffic" wait_for 20 replies h1 h2

check "pane-nic caps does not open an interface in use" refused 'interface to-h2 is in use by pid [0-9]+ \(pane-switchd\)' \
	"$nic" caps af_xdp:to-h2
check "and shows no empty table" not grep -q DEVICE "$RUN_DIR/check.out"
check "traffic goes on" replies h2 h1
mkdir -p "$RUN_DIR/second/state"
sed "s|$RUN_DIR|$RUN_DIR/second|g" "$RUN_DIR/config.yaml" >"$RUN_DIR/second.yaml"
check "nor does a second switch" refused 'interface to-h1 is in use by pid [0-9]+ \(pane-switchd\)' \
	"$(program pane-switchd)" --config "$RUN_DIR/second.yaml"
check "traffic goes on" replies h2 h1

ip link set to-h1 xdp off
check "an XDP program that is taken off is said" wait_for 20 logged 'warning: port p-h1 .*was taken off; it was put back'
check "and put back: traffic goes on" wait_for 20 replies h2 h1

hold() { # INTERFACE: another process drives it, as far as its lock says; sets holder
	mkfifo "$RUN_DIR/held"
	perl -MSocket -e 'socket my $s, AF_UNIX, SOCK_STREAM, 0 or die;
		bind $s, pack("Sa*", AF_UNIX, "\0pane-interface-$ARGV[0]") or die;
		listen $s, 100 or die;
		open my $out, ">", $ARGV[1] or die;
		close $out;
		sleep 1000' "$(cat "/sys/class/net/$1/ifindex")" "$RUN_DIR/held" &
	holder=$!
	cat "$RUN_DIR/held"
}
tries() { # NUMBER: it was said so often that the third port cannot be opened
	[ "$(grep -c "p-h3 .*to-h3 is in use by pid $holder (perl): tried again each second" "$RUN_DIR/log")" -ge "$1" ]
}

kill -KILL "$(switch_child dataplane)"
check "a dataplane that dies comes back without the missing interface" wait_for 60 ups 2
check "and carries traffic" wait_for 20 replies h1 h2
dataplane=$(switch_child dataplane)
kill -STOP "$dataplane"
host_add h3 3
hold to-h3
kill -CONT "$dataplane"
check "an interface comes that another process has: that is said" wait_for 20 tries 1
kill -KILL "$(switch_child dataplane)"
check "a dataplane that dies comes back without it, too" wait_for 60 tries 2
check "and carries traffic" wait_for 60 replies h1 h2
kill "$holder"
check "it is free: its port is up" wait_for 20 ports_say '"p-h3".*"up":true'
check "and carries traffic" wait_for 20 replies h3 h1

# --- a file that SIGHUP refused is not what children start with
cp "$RUN_DIR/config.yaml" "$RUN_DIR/good.yaml"
sed -i 's|device: af_xdp:to-h3|device: floppy:a|' "$RUN_DIR/config.yaml"
kill -HUP "$switch_pid"
check "a wrong file is refused" wait_for 20 logged 'ports stay as they are: .*/config.yaml:[0-9]+: ports\[2\].device: .*floppy'
sed -i 's|device: floppy:a|device: "pci:zz"|' "$RUN_DIR/config.yaml"
kill -HUP "$switch_pid"
check "so is one that only the dataplane knows to be wrong" wait_for 20 logged 'ports stay as they are: .*/config.yaml: port p-h3: .*pci:zz'
kill -KILL "$(switch_child dataplane)" "$(switch_child controller)"
check "both children die: they come back with what was accepted" wait_for 60 ups 4
check "and carry traffic" wait_for 60 replies h3 h1
check "the controller, too" wait_for 60 ports_say '"p-h3".*"up":true'
sed '/name: p-h3/,+1d' "$RUN_DIR/good.yaml" >"$RUN_DIR/config.yaml"
kill -HUP "$switch_pid"
check "a right file is taken" wait_for 20 logged 'port p-h3: .*removed'
rm "$RUN_DIR/config.yaml"
kill -KILL "$(switch_child dataplane)"
check "the dataplane dies: it comes back with that, and without the file" wait_for 60 ups 5
check "and carries traffic" wait_for 60 replies h1 h2
check "but not for the port that is gone" eval "! ports_say 'p-h3\".*\"up\":true'"

promiscuous() { # whether any interface of the switch's side is
	grep -qE '^0x[0-9a-f]*[13579bdf][0-9a-f]{2}$' /sys/class/net/to-h*/flags
}
check "the interfaces are promiscuous" promiscuous
switch_stop || failed=$((failed + 1))
check "but not when the switch has stopped, also after dataplanes that were killed" not promiscuous
finish
