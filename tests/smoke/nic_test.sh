#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# pane-nic on real interfaces (a veth pair with four queues), and for PCI devices on a sysfs made here, with a loop that
# binds and unbinds as the kernel does.
. "$(dirname "$0")/_init.sh"

nic=$(program pane-nic) || exit 1
cd "$RUN_DIR" || exit 1
state=$RUN_DIR/nic.undo

says() { # PATTERN COMMAND...
	local pattern=$1 out rc=0

	shift
	out=$("$@" 2>&1 </dev/null) || rc=$?
	printf 'status %d: %s\n' "$rc" "$out"
	grep -qE -- "$pattern" <<<"$out" || return 1
	return "$rc"
}

refused() { # STATUS PATTERN COMMAND...
	local status=$1 pattern=$2 out rc=0

	shift 2
	out=$("$@" 2>&1 </dev/null) || rc=$?
	printf 'status %d: %s\n' "$rc" "$out"
	[ "$rc" = "$status" ] && grep -qE -- "$pattern" <<<"$out"
}

mtu() { cat /sys/class/net/nq0/mtu; }
is() { [ "$("${@:2}")" = "$1" ]; }
queues() { "$nic" show --json | jq -r '.nics[] | select(.interface == "nq0") | .queues'; }

ip link add nq0 numrxqueues 4 numtxqueues 4 type veth peer name nq1
mount -t sysfs sysfs /sys 2>/dev/null # this namespace's interfaces
check "show lists the interface" says '^nq0 .* 1500 .*4/4.* af_xdp:nq0' "$nic" show
check "caps counts its queues alike" says '^af_xdp:nq0 .* 4\+4 ' "$nic" caps af_xdp:nq0
ethtool -L nq0 tx 2
check "fewer to transmit by are shown" says '^nq0 .* 4\+2/4 ' "$nic" show
check "and told by caps" says '^af_xdp:nq0 .* 4\+2 ' "$nic" caps af_xdp:nq0
ethtool -L nq0 tx 4
ip link set nq0 down
check "show --json is JSON" sh -c "'$nic' show --json | jq -e '.nics | length > 0'"
before=$("$nic" show --json)
check "a dry run says what it would do" says 'would be +mtu nq0 3000' "$nic" prepare -n --state "$state" --mtu 3000 --queues 2 af_xdp:nq0
check "a dry run changes nothing" is "$before" "$nic" show --json
check "a dry run leaves nothing to undo" [ ! -e "$state" ]
check "prepare makes the interface ready" says 'done +queues nq0 2' "$nic" prepare --state "$state" --mtu 3000 --queues 2 af_xdp:nq0
check "the MTU is set" is 3000 mtu
check "the queues are there" is 2 queues
check "prepare again finds all done" says 'is +queues nq0 2' "$nic" prepare --state "$state" --mtu 3000 --queues 2 af_xdp:nq0
check "it is up" says '^nq0 .* up ' "$nic" show
check "undo takes all back" says 'done +mtu nq0 1500' "$nic" undo --state "$state"
check "as it was before" is "$before" "$nic" show --json
check "nothing is left to undo" says 'nothing to undo' "$nic" undo --state "$state"
check "too many queues are refused, with how many there are" refused 1 'queues nq0: 9 wanted, at most 4' \
	"$nic" do --state "$state" 'queues nq0 9'
check "so they are before anything is done" refused 1 'queues nq0: 9 wanted, at most 4 there; nothing was changed' \
	"$nic" do --state "$state" 'mtu nq0 2000' 'queues nq0 9'
check "and in a dry run" refused 1 'queues nq0: 9 wanted, at most 4' "$nic" prepare -n --queues 9 af_xdp:nq0
check "nothing was changed by that" is "$before" "$nic" show --json
rm -f "$state"

check "an unknown interface is named" refused 1 'nope0.*nothing was changed' "$nic" prepare af_xdp:nope0
check "an unknown device is named" refused 1 'wifi:x.*expected af_xdp:' "$nic" prepare wifi:x
check "an unknown verb is named" refused 1 'fly.*expected huge, driver' "$nic" do 'fly nq0 1'
check "a bad value is named" refused 1 'expected mtu, an INTERFACE, 68 to 65535 BYTES' "$nic" do 'mtu nq0 12'
check "a bad number is named" refused 2 '--mtu 0: expected a number' "$nic" prepare --mtu 0 af_xdp:nq0
check "an unknown command is named" refused 2 '"fly": expected show, prepare' "$nic" fly
check "an argument too many is named" refused 2 'show: unexpected "nq0"' "$nic" show nq0
check "what is missing is said" refused 2 'prepare: expected a DEVICE' "$nic" prepare
check "no command is a usage error" refused 2 'usage:' "$nic"
echo 'mtu nq0 many' >"$state"
mkdir folder
check "an undo list that cannot be read is not taken for an empty one" refused 1 'Is a directory; nothing was changed' \
	"$nic" undo --state "$RUN_DIR/folder"
check "a damaged undo list is refused whole" refused 1 'nic.undo: "mtu nq0 many": expected mtu.*nothing was changed' "$nic" undo --state "$state"
rm -f "$state"

# --- a full disk, an unfinished line, two at once
ln -s /dev/full full
check "a list that cannot be written is named, with the reason" refused 1 'undo list .*/full: No space left' \
	"$nic" do --state "$RUN_DIR/full" 'mtu nq0 2000'
check "and the change is not made" is 1500 mtu
mkdir disk
mount -t tmpfs -o size=4k tmpfs disk
seq -f 'mtu nq0 %g' 1000 1314 >disk/list # 4095 of 4096 bytes
cp disk/list disk-list
check "a line that does not fit is refused" refused 1 'undo list .*disk/list: No space left' \
	"$nic" do --state "$RUN_DIR/disk/list" 'mtu nq0 2000'
check "and nothing of it stays in the list" cmp disk/list disk-list
umount disk
printf 'mtu nq0 1500\nmt' >"$state"
ip link set nq0 mtu 1600
check "a note after an unfinished line starts a line of its own" says 'done +mtu nq0 1700' \
	"$nic" do --state "$state" 'mtu nq0 1700'
check "the unfinished one is gone" is "mtu nq0 1500
mtu nq0 1600" cat "$state"
printf 'que' >>"$state"
check "undo tells of an unfinished line" says 'its last line is not whole' "$nic" undo --state "$state"
check "and undoes the others" is 1500 mtu
check "and leaves no list" [ ! -e "$state" ]
echo 'mtu nq0 1500' >"$state"
ip link set nq0 mtu 1600
exec 8>"$state.lock"
flock 8
"$nic" undo --state "$state" >undo.out 2>&1 8>&- &
undo_pid=$!
check "undo waits while another has the list" wait_for 20 grep -q 'another pane-nic has it; this one waits' undo.out
check "and has changed nothing" is 1600 mtu
echo 'mtu nq0 1550' >>"$state" # what the other notes meanwhile
exec 8>&-
check "then it goes on" wait "$undo_pid"
check "with what was noted meanwhile" grep -q 'done *mtu nq0 1550' undo.out
check "all is undone" is 1500 mtu
check "nothing of it is lost" [ ! -e "$state" ]
chmod 755 "$RUN_DIR"
cp "$nic" nobody-nic
nobody=(setpriv --reuid 65534 --regid 65534 --clear-groups)
if "${nobody[@]}" test -x "$RUN_DIR/nobody-nic"; then
	check "who is not root is told that root is needed" refused 1 'Permission denied; root is needed; nothing was changed' \
		"${nobody[@]}" "$RUN_DIR/nobody-nic" prepare --state /run/pane-nic-of-nobody/nic.undo --mtu 1600 af_xdp:nq0
fi
rm -f nobody-nic

ip link add ng0 type veth peer name ng1
"$nic" do --state "$state" 'mtu nq0 2000' 'mtu ng0 2000' 'mtu nq0 3000' >/dev/null
check "a dry run of undo says what would be by then" says 'mtu nq0 1500.*was 2000' \
	sh -c "'$nic' undo -n --state '$state' | tr -s '\n ' ' '"
ip link del ng0
check "what is gone is undone, the rest is, too" says 'gone +mtu ng0 1500' "$nic" undo --state "$state"
check "the MTU is back" is 1500 mtu
check "and nothing is left to undo" says 'nothing to undo' "$nic" undo --state "$state"
"$nic" do --state "$state" 'mtu nq0 2000' >/dev/null
seq -f 'mtu nq0 %g' 1501 1700 >"$state"
check "a long list is undone whole" says 'done +mtu nq0 1501' "$nic" undo --state "$state"
printf 'mtu nq0 1400\nqueues nq0 9\nmtu nq0 1500\n' >"$state"
check "what fails does not keep the rest" refused 1 'done +mtu nq0 1400' "$nic" undo --state "$state"
check "and is all that stays in the list" is 'queues nq0 9' cat "$state"
rm -f "$state"
"$nic" do --state "$state" 'mtu nq0 1500' >/dev/null

# --- a PCI device with its kernel driver e1000e, and vfio-pci loaded ---
sys=$RUN_DIR/sys pci=0000:03:00.0
mkdir -p "$sys"/bus/pci/devices/$pci "$sys"/bus/pci/drivers/{e1000e,vfio-pci} "$sys"/class/net \
	"$sys"/kernel/mm/hugepages/hugepages-2048kB "$sys"/kernel/iommu_groups/1
dev=$sys/bus/pci/devices/$pci
echo 0x020000 >"$dev/class"
echo 0x8086 >"$dev/vendor"
echo 0x10d3 >"$dev/device"
: >"$dev/driver_override"
for d in e1000e vfio-pci; do : >"$sys/bus/pci/drivers/$d/bind" && : >"$sys/bus/pci/drivers/$d/unbind"; done
ln -s ../../drivers/e1000e "$dev/driver"
echo 0 >"$sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
echo 0 >"$sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages"
kernel() { # acts on what is written to bind and unbind
	local d

	while [ -d "$sys" ]; do
		for d in e1000e vfio-pci; do
			if [ -s "$sys/bus/pci/drivers/$d/unbind" ]; then
				: >"$sys/bus/pci/drivers/$d/unbind"
				rm -f "$dev/driver"
			fi
			if [ -s "$sys/bus/pci/drivers/$d/bind" ]; then
				: >"$sys/bus/pci/drivers/$d/bind"
				[ "$d" = vfio-pci ] && [ -e "$RUN_DIR/no-vfio" ] || ln -sfn "../../drivers/$d" "$dev/driver"
			fi
		done
		sleep 0.02
	done
}
kernel &
kernel_pid=$!
driver() { basename "$(readlink "$dev/driver")"; }

check "a PCI device is listed" says "0000:03:00.0 +e1000e" "$nic" show --sys "$sys"
check "a second device that is not there: nothing is done to the first" refused 1 '0000:06:00.0.*nothing was changed' \
	"$nic" do --sys "$sys" --state "$state" "driver $pci vfio-pci" 'driver 0000:06:00.0 vfio-pci'
check "it has its driver" is e1000e driver
check "the short address that ports accept is the same card" says "would be +driver $pci vfio-pci" \
	"$nic" prepare -n --sys "$sys" --state "$state" pci:03:00.0
mkdir -p "$dev/net/nq0"
ip link set nq1 up
ip addr add 10.9.0.1/24 dev nq0
ip link set nq0 up
check "a card that this host uses is refused, with interface and address" refused 1 \
	"pci:$pci: this host uses it: interface nq0 is up with address 10.9.0.1,.*--force.*nothing was changed" \
	"$nic" prepare --sys "$sys" --state "$state" pci:$pci
check "so it is in a dry run" refused 1 'interface nq0 is up' "$nic" prepare -n --sys "$sys" --state "$state" pci:03:00.0
check "it keeps its driver" is e1000e driver
check "unless that is meant" says "would be +driver $pci vfio-pci" "$nic" prepare -n --force --sys "$sys" --state "$state" pci:$pci
ip addr del 10.9.0.1/24 dev nq0
check "an interface without an address is not in use" says "would be +driver $pci vfio-pci" \
	"$nic" prepare -n --sys "$sys" --state "$state" pci:$pci
rm -r "$dev/net"
check "prepare binds it to vfio-pci" says "done +driver $pci vfio-pci" "$nic" prepare --sys "$sys" --state "$state" --huge-mb 64 pci:$pci
check "it is bound" is vfio-pci driver
check "huge pages are asked for" is 32 cat "$sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
check "undo gives it back to the kernel" says "done +driver $pci e1000e" "$nic" undo --sys "$sys" --state "$state"
check "it is back" is e1000e driver
check "whoever comes may have it again" is "" cat "$dev/driver_override"
check "huge pages are given back" is 0 cat "$sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"
touch "$RUN_DIR/no-vfio"
check "a driver that does not take it: named, and given back" refused 1 'vfio-pci does not take it.*given back to e1000e' \
	"$nic" prepare --sys "$sys" --state "$state" pci:$pci
check "it is back with its driver" is e1000e driver
check "an absent PCI device is named" refused 1 'pci:0000:09:00.0: there is no such' "$nic" prepare --sys "$sys" pci:0000:09:00.0
kill "$kernel_pid"

check "caps shows what drivers offer" says '^null: +net_null' "$nic" caps null:
check "caps names a device that does not open" refused 1 'nope0: there is none' "$nic" caps af_xdp:nope0
check "and shows no empty table" not grep DEVICE "$RUN_DIR/check.out"
finish
