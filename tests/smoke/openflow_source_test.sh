#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Where denials of one source lie over real Open vSwitch bridges: at the source's edge only, also when it moves, and
# nothing denied passes when somebody else sends from its address. With one table (1.0) wherever hosts are.
set -u
NETWORKS='4 4 ring OpenFlow13
7 3 tree OpenFlow10'
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

addr() { echo "$TB_SUBNET.$1"; }
addr6() { echo "fd00:7::$1"; }
everywhere() { # where hosts are
	awk '{ print $4 }' "$TB_DIR/hosts" | sed "s/^$TB_PREFIX//" | sort -u | tr '\n' ' '
}
denied_at() { # the bridges that drop what comes from address $1
	entries | awk -v a="(nw|ipv6)_src=$1[, ]" '/^s[0-9]/ { s = $1 } $0 ~ a && /actions=drop/ { print s }' | sort -u | tr '\n' ' '
}
held_at() { # those that hold it until the controller knows that it comes from there
	entries | awk -v a="(nw|ipv6)_src=$1 actions=CONTROLLER" '/^s[0-9]/ { s = $1 } $0 ~ a { print s }' | sort -u | tr '\n' ' '
}
lies_at() { # ADDRESS "BRIDGES": denied there, held at the others; with one table, which cannot hold, denied at all
	local s others

	others=$(for s in $(everywhere); do grep -qw "$s" <<<"$2" || printf '%s ' "$s"; done)
	if [ "$OF_PROTOCOL" = OpenFlow10 ]; then
		[ "$(denied_at "$1")" = "$(everywhere)" ] && [ -z "$(held_at "$1")" ]
	else
		[ "$(denied_at "$1")" = "$2" ] && [ "$(held_at "$1")" = "$others" ]
	fi
}
move_host() { # $1 to bridge $2
	local name ip mac bridge port interface

	read -r name ip mac bridge port interface < <(sed -n "$1p" "$TB_DIR/hosts")
	ovs-vsctl --timeout=60 del-port "$bridge" "$interface" -- add-port "${TB_PREFIX}s$2" "$interface" -- set interface "$interface" ofport_request=50
	sed -i "$1s/.*/$name $ip $mac ${TB_PREFIX}s$2 50 $interface/" "$TB_DIR/hosts"
}
came() { # pings that reached host $1
	host "$1" awk '/^Icmp:/ && ++n == 2 { print $9 } $1 == "Icmp6InEchos" { print $2 }' /proc/net/snmp /proc/net/snmp6 | tr '\n' ' '
}
forges() { # host $1 sends from the address $2, which it never says it has, to host $3, address $4; nothing comes
	local before

	before=$(came "$3")
	host "$1" ping -c3 -i0.2 -W1 -I "$2" "$4"
	[ "$(came "$3")" = "$before" ]
}
reaches6() {
	host "$1" ping -6 -c1 -W1 "$(addr6 "$2")"
}

controller_start
check "all pairs reach each other" all_pairs
check "a denial" panectl "deny(srcHost=$(addr 1), dstHost=$(addr 2)) on rootShare."
check "lies at its source only" wait_for 10 lies_at "$(addr 1)" "s1 "
check "and holds" not reaches 1 2
check "another host's" panectl "deny(srcHost=$(addr 2), dstHost=$(addr 1), transport=TCP) on rootShare."
check "at its own" wait_for 10 lies_at "$(addr 2)" "s2 "
check "one of an address that nobody has" panectl "deny(srcHost=$(addr 77), dstHost=$(addr 2)) on rootShare."
check "lies everywhere" wait_for 10 lies_at "$(addr 77)" "$(everywhere)"
host 3 ip addr add "$(addr 77)/24" dev eth0
check "until a host has it" wait_for 10 reaches 1 77
check "then there" wait_for 10 lies_at "$(addr 77)" "s3 "

host 3 sysctl -qw net.ipv4.conf.eth0.arp_announce=2
host 3 ip addr add "$(addr 1)/32" dev lo
check "who sends from another's address is held back" forges 3 "$(addr 1)" 2 "$(addr 2)"
check "and denied there what it is" wait_for 10 lies_at "$(addr 1)" "s1 s3 "
check "all the while" forges 3 "$(addr 1)" 2 "$(addr 2)"
host 3 ip addr del "$(addr 1)/32" dev lo
check "what is installed is right" wait_for 10 panectl verify
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
move_host 1 2
check "a source moves" wait_for 30 reaches 1 3
check "its denial follows it" wait_for 10 lies_at "$(addr 1)" "s2 s3 "
check "and holds" not reaches 1 2
check "what is installed is right" wait_for 10 panectl verify
move_host 1 1
check "it moves back" wait_for 30 reaches 1 3
check "and so does its denial" wait_for 10 lies_at "$(addr 1)" "s1 s3 "
check "they end" panectl "cancel 1." "cancel 2." "cancel 3."
check "and leave nothing" wait_for 10 eval '[ -z "$(denied_at ".*")$(held_at ".*")" ]'
if [ "$OF_PROTOCOL" = OpenFlow10 ]; then # it has no IPv6
	finish
	exit
fi

for ((h = 1; h <= TB_H; h++)); do
	host "$h" sysctl -qw net.ipv6.conf.all.disable_ipv6=0 net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.lo.disable_ipv6=0
	host "$h" ip -6 addr add "$(addr6 "$h")/64" dev eth0 nodad
done
for h in 2 3 4; do
	check "h1 reaches h$h by IPv6, and it h1" wait_for 30 eval "reaches6 1 $h && reaches6 $h 1"
done
check "h2 reaches h3" wait_for 10 reaches6 2 3
check "h4 reaches h3" wait_for 10 reaches6 4 3
check "a denial of an IPv6 address" panectl "deny(srcHost=$(addr6 1), dstHost=$(addr6 3)) on rootShare."
check "lies at its source only" wait_for 10 lies_at "$(addr6 1)" "s1 "
check "and holds" not reaches6 1 3
check "others are not hurt" reaches6 1 2
check "another host's" panectl "deny(srcHost=$(addr6 2), dstHost=$(addr6 3)) on rootShare."
check "at its own" wait_for 10 lies_at "$(addr6 2)" "s2 "
check "one of an address that nobody has" panectl "deny(srcHost=$(addr6 77), dstHost=$(addr6 3)) on rootShare."
check "lies everywhere" wait_for 10 lies_at "$(addr6 77)" "s1 s2 s3 s4 "
host 4 ip -6 addr add "$(addr6 77)/64" dev eth0 nodad
check "until a host has it" wait_for 10 reaches6 1 77
check "then there" wait_for 10 lies_at "$(addr6 77)" "s4 "

host 4 ip -6 addr add "$(addr6 1)/128" dev lo nodad
check "who sends from another's address is held back" forges 4 "$(addr6 1)" 3 "$(addr6 3)"
check "and denied there what it is" wait_for 10 lies_at "$(addr6 1)" "s1 s4 "
check "all the while" forges 4 "$(addr6 1)" 3 "$(addr6 3)"
host 4 ip -6 addr del "$(addr6 1)/128" dev lo
check "what is installed is right" wait_for 10 panectl verify
check "a restart" restart
check "changes nothing" diff "$dir/before" "$dir/after"
move_host 2 3
check "a source moves" wait_for 30 reaches6 2 1
check "its denial follows it" wait_for 10 lies_at "$(addr6 2)" "s3 "
check "and holds" not reaches6 2 3
check "they end" panectl "cancel 4." "cancel 5." "cancel 6."
check "and leave nothing" wait_for 10 eval '[ -z "$(denied_at ".*")$(held_at ".*")" ]'
finish
