#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Bad configurations, options and ports: refused with a message that names the place, and never by a signal.
. "$(dirname "$0")/_init.sh"

switchd=$(program pane-switchd)
mkdir -p "$RUN_DIR/state"
cd "$RUN_DIR" || exit 1

good() {
	printf 'run_dir: %s\nstate_dir: %s/state\n' "$RUN_DIR" "$RUN_DIR"
}

# Status 1 or 2 within 60 s, and what it says matches.
refused() { # PATTERN ARGS...
	local pattern=$1 out rc=0

	shift
	out=$(timeout 60 "$switchd" "$@" 2>&1 </dev/null) || rc=$?
	printf 'status %d: %s\n' "$rc" "$out"
	[ "$rc" -ge 1 ] && [ "$rc" -le 2 ] && grep -qE -- "$pattern" <<<"$out"
}

# bad TEXT PATTERN: the configuration on stdin is refused, by --check-config and by a start
bad() {
	cat >bad.yaml
	check "$1" refused "$2" --config bad.yaml --check-config
	check "$1, at a start" refused "$2" --config bad.yaml
}

good >good.yaml
check "a good one passes" timeout 60 "$switchd" --config good.yaml --check-config

{ good && echo 'rum_dir: /x'; } | bad "unknown key" 'bad\.yaml:3:.*rum_dir'
{ good && printf 'ports:\n  - name: p1\n    device: wifi:wlan0\n'; } | bad "unknown device" 'bad\.yaml:5:.*ports\[0\]\.device'
{ good && printf 'ports:\n  - name: p1\n'; } | bad "port without device" 'bad\.yaml:[0-9]+:.*(ports|device)'
{ good && printf 'ports:\n  - name: p1\n    device: "null:"\n    rate: fast\n'; } | bad "bad rate" 'bad\.yaml:6:.*rate'
{ good && printf 'ports:\n  - {name: p1, device: "null:"}\n  - {name: p1, device: "null:"}\n'; } |
	bad "name used twice" 'bad\.yaml:5:.*ports\[1\]\.name'
{ good && printf 'hosts:\n  - {name: h1, address: 10.0.0.300}\n'; } | bad "bad address" 'bad\.yaml:4:.*hosts\[0\]\.address'
{ good && echo 'tcp_listen: 0.0.0.0:4242'; } | bad "TCP beyond loopback" 'bad\.yaml:3:.*tcp_listen'
{ good && echo 'control_user: no-such-user'; } | bad "unknown OS user" 'bad\.yaml:3:.*control_user'
{ good && printf 'dataplane:\n  mtu: 1\n'; } | bad "number out of range" 'bad\.yaml:4:.*mtu'
{ good && printf 'dataplane:\n  mtu: x\n'; } | bad "no number" 'bad\.yaml:4:.*mtu'
{ good && echo 'ports: ['; } | bad "no YAML" 'bad\.yaml:[0-9]+'
printf 'just words\n' | bad "no mapping" 'bad\.yaml:1'
printf '' | bad "nothing" 'bad\.yaml'
head -c 4096 /dev/urandom | bad "noise" 'bad\.yaml'
head -c 100000 /dev/zero | tr '\0' '[' | bad "brackets without end" 'bad\.yaml'

{ good && printf 'ports:\n  - {name: p1, device: "null:"}\ndataplane:\n  lcores: "0,777"\n'; } |
	bad "a CPU that is not there" 'bad\.yaml: lcores: "0,777": CPU 777 is none that this process may use'
{ good && printf 'ports:\n  - {name: p1, device: "pcap:,"}\n'; } | bad "arguments that only the driver knows" 'bad\.yaml: port p1: .*expected pcap:IN,OUT'
{ good && printf 'ports:\n  - {name: p1, device: "pci:zz"}\n'; } | bad "no PCI address" 'bad\.yaml: port p1: .*expected pci:'
{ good && printf 'ports:\n  - {name: p1, device: "af_xdp:v1"}\n  - {name: p2, device: "af_packet:v1"}\n'; } |
	bad "an interface in two ports" 'bad\.yaml:5: ports\[1\]\.device: the interface of .* is also that of ports\[0\]'
{ good && printf 'principals:\n  - {name: alice, os_user: nobody-here}\n'; } >warn.yaml
warned() {
	timeout 10 "$switchd" --config warn.yaml --check-config 2>&1 >/dev/null | grep -E "$1"
}
check "an OS user that is not there is warned of" warned 'warn\.yaml: principals\[0\]\.os_user: there is no OS user "nobody-here"'
check "so are no ports at all" warned 'warn\.yaml: ports: there are none'

# docs/pane.yaml shows each kind of port, as it can be written
documented() {
	grep -oE '^#   device: .*' "$TOP/docs/pane.yaml" | sed -E 's/^#   //; s/ +# .*//'
}
documented | while read -r line; do
	{ good && printf 'ports:\n  - name: p1\n    %s\n' "$line"; } >doc.yaml
	check "documented $line" timeout 60 "$switchd" --config doc.yaml --check-config
done
{ good && printf 'ports:\n  - name: p1\n    device: "x:"\n'; } >kinds.yaml
kinds() { # that the configuration knows, as it says itself
	timeout 60 "$switchd" --config kinds.yaml --check-config 2>&1 | sed 's/.*expected //; s/, got.*//' | grep -oE '[a-z_]+:'
}
check "it knows nine kinds of ports" [ "$(kinds | wc -l)" = 9 ]
for kind in $(kinds); do
	check "$kind is documented" grep -qE "^device: \"?$kind" <(documented)
done
check "no such file" refused 'nowhere\.yaml' --config nowhere.yaml
check "a folder" refused '/run' --config /run
check "unknown option" refused -- '--frobnicate' --frobnicate
check "unknown role" refused 'role' --config good.yaml --role=cook
for p in pane-switchd panectl; do
	check "$p --help" bash -c "timeout 60 '$(program $p)' --help | grep -qi usage"
done

port() { # TEXT PATTERN DEVICE
	{ good && printf 'ports:\n  - name: p1\n    device: %s\n' "$3"; } >port.yaml
	check "$1" refused "$2" --config port.yaml
}
port "pcap file that is not there" 'p1|nope' "pcap:$RUN_DIR/nope.pcap,$RUN_DIR/out.pcap"
head -c 1000 /dev/urandom >noise.pcap
port "a pcap file that is none" 'p1|noise' "pcap:$RUN_DIR/noise.pcap,$RUN_DIR/out.pcap"

# OpenFlow switches alone: no port, no dataplane
{ good && printf 'ports: []\nopenflow_listen: 127.0.0.1:6653\n'; } >noports.yaml
start_or_fail noports.yaml
check "a controller without ports answers" panectl 'ListShares.'
check "a request, too" panectl 'deny(dstPort=80) on rootShare to +1h.'
check "no dataplane is started" eval "! switch_child dataplane"
check "nor is one looked for" eval "! grep -E 'link.sock|warning' '$RUN_DIR/log'"
check "it ends" switch_stop
rm -rf "$RUN_DIR/state" "$RUN_DIR/log"
mkdir -p "$RUN_DIR/state"

# each kind that needs nothing of the machine's, by its line, in one running switch
perl "$TOP/tests/smoke/frames.pl" none in.pcap >/dev/null
cat >all.yaml <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - {name: tap, device: "tap:sw0"}
  - {name: memif, device: "memif:role=server,id=0,socket=$RUN_DIR/memif.sock,socket-abstract=no"}
  - {name: vhost, device: "vhost:$RUN_DIR/vm.sock"}
  - {name: pcap, device: "pcap:$RUN_DIR/in.pcap,$RUN_DIR/out.pcap"}
  - {name: pcap2, device: "pcap:,$RUN_DIR/out2.pcap"}
  - {name: ring, device: "ring:r1"}
  - {name: "null", device: "null:"}
  - {name: inventor, device: "null:size=64"}
END
start_or_fail all.yaml
all_there() { [ "$(panectl ports | grep -cE ":")" = 8 ]; }
check "the dataplane tells its ports" wait_for 20 all_there
for p in tap memif vhost pcap pcap2 ring null inventor; do
	check "a port $p by its line" grep -q "^$p " <(panectl ports)
done
check "tap makes its interface" ip link show sw0
check "memif listens" [ -S "$RUN_DIR/memif.sock" ]
check "vhost listens" [ -S "$RUN_DIR/vm.sock" ]
check "it ends" switch_stop

panectl 'time.' >/dev/null 2>&1
check "panectl without a switch: status 3" [ $? = 3 ]
timeout 60 "$(program panectl)" --frobnicate >/dev/null 2>&1
check "panectl with a wrong option: status 2" [ $? = 2 ]
finish
