#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Open vSwitch connects over TLS; who has no certificate of the CA does not.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
NETWORKS="2 2 line OpenFlow13 -c ssl:127.0.0.1:6654"
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

"$TOP/scripts/make-test-ca.sh" "$dir/ca" switch >/dev/null
"$TOP/scripts/make-test-ca.sh" "$dir/other" switch >/dev/null
cat >"$dir/pane.yaml" <<END
run_dir: $dir
state_dir: $dir
openflow_tls:
  listen: 127.0.0.1:6654
  cert: $dir/ca/server.crt
  key: $dir/ca/server.key
  ca: $dir/ca/ca.crt
ports: []
END
n_switches() {
	panectl topology | grep -c '^switch ' | grep -qx "$1"
}
said() {
	grep -q -- "$1" "$dir/log"
}
controller_start
wait_for 5 panectl time.
ovs-vsctl set-ssl "$dir/other/switch.key" "$dir/other/switch.crt" "$dir/ca/ca.crt"
check "a certificate of another CA is refused" wait_for 15 said 'openflow: no TLS session: .*certificate'
check "and its switch is not there" n_switches 0
bash -c 'exec 3<>/dev/tcp/127.0.0.1/6654; printf "\4\0\0\10\0\0\0\1" >&3; timeout 30 cat <&3' >/dev/null 2>&1
check "who speaks without TLS is refused" wait_for 5 said 'openflow: no TLS session: wrong version number'
ovs-vsctl set-ssl "$dir/ca/switch.key" "$dir/ca/switch.crt" "$dir/ca/ca.crt"
check "with a certificate of the CA all pairs reach each other" all_pairs
check "both switches are there" n_switches 2
check "what they have is right" wait_for 10 panectl verify
check "a configuration without the CA is refused" bash -c "sed '/ca:/s/ca.crt/none.crt/' '$dir/pane.yaml' >'$dir/wrong.yaml'; \
	'$BIN/control/pane-switchd' --config '$dir/wrong.yaml' --check-config 2>&1 | grep -q 'openflow_tls.ca: .*none.crt'"
finish
