#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Every message that the controller sends means to ovs-ofctl and to tshark what it should mean.
#   of_decoders_test.sh OF_SAMPLES      skipped (77) where one of the two is missing
set -u
samples=$1
for tool in ovs-ofctl tshark text2pcap; do
	command -v "$tool" >/dev/null || { echo "skipped: no $tool" && exit 77; }
done
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$samples" "$dir" >"$dir/expected" || exit 1

failed=0 n=0
: >"$dir/dump.txt"
while IFS=$'\t' read -r name ovs shark; do
	n=$((n + 1))
	# its exit status is always 0
	said=$(ovs-ofctl ofp-parse "$dir/$name.bin" 2>&1)
	case $said in
	*"$ovs"*) ;;
	*)
		failed=$((failed + 1))
		printf 'ovs-ofctl, %s\n  expected %s\n  said     %s\n' "$name" "$ovs" "$said"
		;;
	esac
	# one packet a message, in one capture for all
	od -Ax -tx1 -v "$dir/$name.bin" >>"$dir/dump.txt"
	printf '\n' >>"$dir/dump.txt"
	printf '%s\t%s\n' "$name" "$shark" >>"$dir/shark"
done <"$dir/expected"

# of message $1
shark_said() {
	awk -v n="$1" '/^Frame [0-9]+:/ { on = ($2 + 0 == n) } on' "$dir/said"
}

text2pcap -q -T 40000,6653 "$dir/dump.txt" "$dir/all.pcap" >/dev/null 2>&1
tshark -r "$dir/all.pcap" -O openflow_v1,openflow_v4 -V >"$dir/said" 2>/dev/null
i=0
while IFS=$'\t' read -r name shark; do
	i=$((i + 1))
	said=$(shark_said "$i")
	case $said in
	*"Malformed"*) shark="a well-formed message" ;;
	*"$shark"*) continue ;;
	esac
	failed=$((failed + 1))
	printf 'tshark, %s\n  expected %s\n  said     %s\n' "$name" "$shark" "$(grep -A60 OpenFlow <<<"$said")"
done <"$dir/shark"
echo "$n messages, $failed wrong"
[ "$n" -gt 30 ] && [ "$failed" = 0 ]
