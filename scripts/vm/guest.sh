#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Inside the virtual machine of scripts/vm.sh. Says "ok" or "FAIL" for each thing that must hold; a line with @monitor is
# done by the machine's monitor, @done is the end.
set -u
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C
. "$(dirname "$(readlink -f "$0")")/../lib.sh"
nic=$BIN/nic-config/pane-nic
R=/run/pane
mkdir -p $R/state /dev/hugepages
cards=(0000:00:13.0 0000:00:14.0 0000:00:15.0 0000:00:16.0)
export PANE_SOCKET=$R/control.sock
panectl() {
	"$BIN/control/panectl" "$@"
}

check() { # TEXT COMMAND...
	local text=$1

	shift
	if "$@" >$R/out 2>&1; then
		echo "ok    $text"
	else
		echo "FAIL  $text ($*)"
		tail -n 20 $R/out | sed 's/^/    /'
	fi
}
not() {
	! "$@"
}
driver_of() {
	basename "$(readlink "/sys/bus/pci/devices/$1/driver")"
}
shows() { # WORDS: in one line of pane-nic show
	"$nic" show | tee /dev/stderr | grep -Eq "$1"
}

# --- the cards

hosts_up() {
	local i mac

	for i in 3 4 5 6; do
		mac=02:00:00:00:00:0$i
		ip netns add h$i || return
		ip link set "$(ip -br link | awk -v m="$mac" '$3 == m { print $1 }')" netns h$i name eth0 || return
		ip -n h$i addr add 10.0.0.$i/24 dev eth0 && ip -n h$i link set eth0 up || return
	done
}
ip link set lo up
check "hosts of their own" hosts_up
check "pane-nic show: a card with its kernel driver" shows '0000:00:13.0 +e1000e'
check "and that there is an IOMMU" shows '^IOMMU on'
check "prepare --dry-run says what it would do" eval '"$nic" prepare --dry-run --huge-mb 700 "${cards[@]/#/pci:}" | grep "would be *driver 0000:00:13.0 vfio-pci"'
check "and does nothing" eval '[ "$(driver_of 0000:00:13.0)" = e1000e ]'
check "prepare: vfio-pci and huge pages" "$nic" prepare --huge-mb 700 "${cards[@]/#/pci:}"
check "the cards are vfio-pci's" eval 'for c in "${cards[@]}"; do [ "$(driver_of "$c")" = vfio-pci ] || exit 1; done'
check "there are huge pages" eval '[ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages)" -ge 350 ]'
check "prepare once more has nothing to do" eval '! "$nic" prepare --huge-mb 700 "${cards[@]/#/pci:}" | grep "^done"'
check "caps: what DPDK's drivers offer" eval '"$nic" caps "${cards[@]/#/pci:}" | tee /dev/stderr | grep -c "net_e1000_em\|net_vmxnet3" | grep -qx 4'

# --- the switch

config() { # CARD...
	local c

	printf 'run_dir: %s\nstate_dir: %s/state\nports:\n' $R $R
	for c; do
		printf '  - name: c%s\n    device: pci:%s\n' "${c:9:1}" "$c"
	done
	printf 'dataplane:\n  memory_mb: 640\n  huge_pages: true\n  workers: 2\n'
}
config "${cards[@]}" >$R/config.yaml
start() {
	"$BIN/control/pane-switchd" --config $R/config.yaml >$R/log 2>&1 &
	switch=$!
}
all_up() {
	panectl ports | tee /dev/stderr | awk 'NR > 1 && $3 == "up" { n++ } END { exit n != '"${1:-4}"' }'
}
ping_one() { # FROM TO
	ip netns exec "h$1" ping -c 2 -i 0.3 -W 2 -q "10.0.0.$2"
}
all_pairs() {
	local a b

	for a in 3 4 5 6; do
		for b in 3 4 5 6; do
			[ $a = $b ] || ping_one $a $b || return
		done
	done
}
start
check "without a file system of huge pages it says so" wait_for 20 grep -q 'no file system of huge pages is mounted' $R/log
wait $switch
mount -t hugetlbfs none /dev/hugepages
config | sed 's/^ports:/&\n  - name: none\n    device: "null:"/' >$R/config.yaml
start
check "the switch starts without a card" wait_for 60 all_up 1
config "${cards[@]:0:2}" >$R/config.yaml
kill -HUP $switch
check "it takes two while it runs" wait_for 30 all_up 2
check "they forward" wait_for 10 ping_one 3 4
kill -TERM $switch
check "it stops" wait $switch
config "${cards[@]}" >$R/config.yaml
start
check "the switch starts on four cards" wait_for 90 all_up
check "all pairs ping" all_pairs
check "a denial" panectl 'deny(srcHost=10.0.0.3, dstHost=10.0.0.5) on rootShare.'
check "is obeyed" not ping_one 3 5
check "for that pair only" ping_one 3 6
check "and is over with its request" eval 'panectl "cancel 1." && ping_one 3 5'
check "a limit" panectl 'ratelimit(srcHost=10.0.0.4, transport=UDP) = 1Mb on rootShare.'
echo '@monitor set_link card4 off'
check "a cable is pulled: down" wait_for 20 all_up 3
check "the others go on" ping_one 3 5
echo '@monitor set_link card4 on'
check "it is plugged in: up" wait_for 20 all_up
check "and forwards again" wait_for 10 ping_one 4 6
config "${cards[@]:0:3}" >$R/config.yaml
kill -HUP $switch
check "a card is given up while the switch runs" wait_for 20 all_up 3
check "the others go on" ping_one 3 5
config "${cards[@]}" >$R/config.yaml
kill -HUP $switch
check "and taken back" wait_for 30 all_up
check "and forwards" wait_for 10 ping_one 6 3
kill -9 "$(pgrep -P $switch -f -- '--role[= ]dataplane')"
check "a killed dataplane takes its cards again" wait_for 60 all_up
check "all pairs ping" wait_for 10 all_pairs
kill -TERM $switch
check "it stops" wait $switch
check "by itself" not grep -E 'killed$' $R/log

# --- as it was

check "undo" "$nic" undo
check "the cards have their drivers again" eval '[ "$(driver_of 0000:00:13.0) $(driver_of 0000:00:16.0)" = "e1000e vmxnet3" ]'
check "no huge page is kept" eval '[ "$(cat /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages)" = 0 ]'
echo '--- log'
cat $R/log
echo '@done'
echo o >/proc/sysrq-trigger
while :; do :; done
