#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The switch on PCI network cards, in a virtual machine: QEMU has cards, an IOMMU and the kernel's vfio, which a machine
# without cards of its own has not. The guest sees this machine's files, read-only, and runs the programs of the build:
# pane-nic prepares the cards (driver, huge pages), the switch forwards between them, drops what is denied, loses a
# cable, gives a card up and takes it back, is killed and stopped; pane-nic undoes all of it. 82574 (e1000e) and
# vmxnet3 (two receive queues, two workers), and a host of virtio-net on a wire to each.
#
#   sudo scripts/vm.sh [--build DIR] [--keep-log FILE]
#     --build DIR      programs from this build folder; then nothing is built [build/, made when needed]
#     --keep-log FILE  the guest's console goes there, too
# Packages: qemu-system-x86, cpio, busybox-static (scripts/deps.sh vm installs them), and a Debian kernel image, which
# is fetched and unpacked into ~/.cache/pane-vm, not installed. All is emulated: it takes two to four minutes.
# Exit status: 0 all pass, 1 one failed, 77 a package is missing.
set -u -o pipefail
HERE=$(dirname "$(readlink -f "$0")")
TOP=$(dirname "$HERE")
. "$HERE/lib.sh"
step_traps

build='' keep=''
while [ $# -gt 0 ]; do
	case $1 in
	--build) has_value "$@" && build=$2 && shift ;;
	--keep-log) has_value "$@" && keep=$2 && shift ;;
	-h | --help)
		sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) misused "unknown option $1" ;;
	esac
	shift
done
for p in qemu-system-x86_64 cpio busybox modprobe; do
	PATH=$PATH:/usr/sbin:/sbin command -v $p >/dev/null || { say "skipped: needs $p (scripts/deps.sh vm)" && exit 77; }
done
PATH=$PATH:/usr/sbin:/sbin
if [ -z "$build" ]; then
	build=$TOP/build
	build_dir "$build" --buildtype=release -Dtests=false || exit 1
fi
BIN=$(readlink -f "$build")
for p in control/pane-switchd control/panectl nic-config/pane-nic; do
	[ -x "$BIN/$p" ] || die "$BIN/$p: not built"
done

# --- kernel and initial file system

cache=${XDG_CACHE_HOME:-$HOME/.cache}/pane-vm
fetch_kernel() {
	local package

	package=$(apt-cache depends linux-image-amd64 | sed -n 's/^ *Depends: \(linux-image-[^ ]*\)$/\1/p' | head -n 1)
	[ -n "$package" ] || return 1
	rm -rf "$cache" && mkdir -p "$cache" && cd "$cache" && apt-get -q download "$package" && dpkg -x linux-image-*.deb . &&
		rm -f linux-image-*.deb && depmod -b "$cache" "${package#linux-image-}"
}
export -f fetch_kernel
export cache
[ -s "$(find "$cache/lib/modules" -name modules.dep 2>/dev/null | head -n 1)" ] || step "fetching a kernel" bash -c fetch_kernel || exit 77
release=$(basename "$(find "$cache/boot" -name 'vmlinuz-*' | head -n 1)")
release=${release#vmlinuz-}
work=$(mktemp -d)
qemu='' monitor=''
cleanup() {
	[ -z "$qemu" ] || kill -KILL "$qemu" 2>/dev/null
	[ -z "$monitor" ] || kill "$monitor" 2>/dev/null
	rm -rf "$work"
}
trap cleanup EXIT

make_initrd() {
	local root=$work/root m f

	mkdir -p "$root"/{bin,mods,proc,sys,dev,host,rw,new}
	cp "$(command -v busybox)" "$root/bin/busybox"
	cp "$HERE/vm/init" "$root/init"
	for m in 9p 9pnet_virtio virtio_pci virtio_net overlay vfio-pci vfio_iommu_type1 e1000e vmxnet3; do
		modprobe -d "$cache" -S "$release" --show-depends $m || return
	done | awk '/^insmod/ && !seen[$2]++ { print $2 }' | while read -r f; do
		cp "$f" "$root/mods/" && basename "$f" >>"$root/mods/order"
	done
	(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1) >"$work/initrd"
}
make_initrd || die "no initial file system could be made of $cache"

# --- the machine: cards at PCI slots 10.., each on a wire with a host's

wire() { # N CARD [OPTIONS]: what the guest finds at slot 1N (the card) and 2N (the host's), in hex
	printf '%s\n' -netdev "hubport,id=c$1,hubid=$1" -netdev "hubport,id=h$1,hubid=$1" \
		-device "$2,netdev=c$1,id=card$1,mac=52:54:00:00:00:0$1,addr=1$1,romfile=" \
		-device "virtio-net-pci,netdev=h$1,id=host$1,mac=02:00:00:00:00:0$1,addr=0$1,romfile="
}
mapfile -t cards < <(wire 3 e1000e && wire 4 e1000e && wire 5 vmxnet3 && wire 6 vmxnet3)
accel=(-accel "tcg,thread=multi" -cpu max)
mkfifo "$work/monitor.in" "$work/monitor.out"
: >"$work/console"
qemu-system-x86_64 "${accel[@]}" -machine q35 -device intel-iommu,intremap=on -smp 2 -m 2560 -display none -vga none \
	-no-reboot -kernel "$cache/boot/vmlinuz-$release" -initrd "$work/initrd" \
	-append "console=ttyS0 panic=-1 quiet intel_iommu=on iommu=pt pane.guest=$HERE/vm/guest.sh pane.bin=$BIN" \
	-fsdev local,id=host,path=/,security_model=none,readonly=on,multidevs=remap \
	-device virtio-9p-pci,fsdev=host,mount_tag=host -serial "file:$work/console" -monitor "pipe:$work/monitor" \
	"${cards[@]}" >"$work/qemu.log" 2>&1 &
qemu=$!
exec 3<>"$work/monitor.in" 4<>"$work/monitor.out" # does not wait for a machine that did not start
cat <&4 >/dev/null &
monitor=$!

# --- what it says

results=0 failed=0 done=
while IFS= read -r line; do
	line=${line%$'\r'}
	[ -z "$keep" ] || printf '%s\n' "$line" >>"$keep"
	case $line in
	*'@monitor '*) printf '%s\n' "${line#*@monitor }" >&3 ;;
	'ok    '* | 'FAIL  '*)
		printf '%s\n' "$line"
		results=$((results + 1))
		[ "${line%% *}" = ok ] || failed=$((failed + 1))
		;;
	'    '*) printf '%s\n' "$line" ;; # why something failed
	'@done') done=1 ;;
	esac
done < <(timeout 600 tail -n +1 -F --pid="$qemu" "$work/console" 2>/dev/null)
[ -n "$done" ] && wait "$qemu" && qemu=
[ -n "$done" ] || {
	say "the guest did not come to its end; the last it said:"
	tail -n 30 "$work/console" "$work/qemu.log" >&2
	failed=$((failed + 1))
}
printf '%s of %s\n' $((results - failed)) "$results"
[ "$failed" = 0 ] && [ "$results" -gt 0 ]
