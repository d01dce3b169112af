#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Networks of all shapes, a host at every bridge: all pairs reach each other, what is installed is right, and nothing
# storms. Every shape of 2, 7 and 20 bridges; with PANE_ROUNDS in OpenFlow 1.0, too.
# shellcheck disable=SC2034,SC2154 # of_init.sh uses and sets them
set -u
all() { # PROTOCOL SIZES...
	local k shape

	for k in "${@:2}"; do
		for shape in line tree ring star; do
			echo "$k $k $shape $1"
		done
	done
}
NETWORKS="$(all OpenFlow13 20 7 2)" # the longest first
OF_AT_ONCE=2
if [ -n "${PANE_ROUNDS:-}" ]; then
	NETWORKS="$(all OpenFlow13 20 7 2)
$(all OpenFlow10 20 7 2)"
fi
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

# The kernel has room for 1024 neighbours of all namespaces together, and from 512 on it forgets some: of 20 hosts
# each pair makes two. Once a host has reached all its neighbours are forgotten, so that of most pairs one is left.
pair_by_pair() {
	local a

	for ((a = 1; a <= TB_H; a++)); do
		reaches_all "$a" || return 1
		host "$a" ip -4 neigh flush dev eth0
	done
}

controller_start
check "all pairs reach each other" pair_by_pair
check "every link is known, both ways" wait_for 10 links_are "$(wc -l <"$TB_DIR/links")"
check "what is installed is right" wait_for 20 panectl verify
check "a broadcast is no storm" no_storm
check "the first host still reaches all" reaches_all 1
finish
