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
OF_AT_ONCE=2 # the kernel has room for the 1024 neighbours of all namespaces; 20 hosts have 380
if [ -n "${PANE_ROUNDS:-}" ]; then
	NETWORKS="$(all OpenFlow13 20 7 2)
$(all OpenFlow10 20 7 2)"
fi
. "$(dirname "$(readlink -f "$0")")/of_init.sh"

controller_start
check "all pairs reach each other" all_pairs
check "every link is known, both ways" wait_for 10 links_are "$(wc -l <"$TB_DIR/links")"
check "what is installed is right" wait_for 20 panectl verify
check "a broadcast is no storm" no_storm
check "the first host still reaches all" reaches_all 1
finish
