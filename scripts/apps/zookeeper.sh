# SPDX-License-Identifier: Apache-2.0
# ZooKeeper: clients write small values to Debian's server, each one after the other, while somebody else floods the
# server's port. First nothing else is on the network, then the flood, then the flood and a reservation for which the
# service's operator asks. What counts is how long a write takes. Sourced by apps.sh.

ZK_CLIENTS=8

zookeeper_start() {
	mkdir -p "$RUN_DIR/zk"
	cat >"$RUN_DIR/zoo.cfg" <<-END
		tickTime=2000
		dataDir=$RUN_DIR/zk
		clientPortAddress=$(address server)
		clientPort=2181
		admin.enableServer=false
	END
	# a small machine's share of a big one's settings: one kind of garbage collector and compiler, little memory
	spawn zookeeper server java -cp /usr/share/java/zookeeper.jar -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
		org.apache.zookeeper.server.ZooKeeperServerMain "$RUN_DIR/zoo.cfg"
	wait_for 40 at server bash -c 'ss -Hltn "sport = 2181" | grep -q .' ||
		die "ZooKeeper: $(tail -n 5 "$RUN_DIR/zookeeper.out" "$RUN_DIR/zookeeper.err")"
}

zookeeper_part() { # NAME FROM TO: a row; sets writes, p90
	local q figures=()

	writes=$(calc "$(count "$RUN_DIR/writes" "$2" "$3") / ($3 - $2)" .0f)
	for q in 0.5 0.9 0.99; do
		figures+=("$(calc "$(quantile "$RUN_DIR/writes" "$2" "$3" $q)")")
	done
	p90=${figures[1]}
	row $widths "$1" "$writes" "${figures[@]}"
}

app_zookeeper() {
	local i p t0 t1 t2 t3 widths=26,11,12,12,12 writes p90 alone flooded

	needs java ss /usr/share/java/zookeeper.jar "$BIN/tests/apps/pane-zk-write" || return
	p=$(calc "$seconds / 3" .2f)
	network_start 20Mb server client other
	must root 'AddUser zookeeper.' \
		'NewShare coordination for (dstHost=server, transport=TCP, dstPort=2181) [reserve <= 5Mb] on rootShare.' \
		'Grant coordination to zookeeper.'
	progress "starting ZooKeeper"
	zookeeper_start
	for ((i = 1; i <= ZK_CLIENTS; i++)); do
		spawn "write$i" client "$(program pane-zk-write)" "$(address server):2181" "/pane$i" 10
	done
	for ((i = 1; i <= ZK_CLIENTS; i++)); do
		wait_for 30 [ -s "$RUN_DIR/write$i.out" ] || die "no writes: $(cat "$RUN_DIR/write$i.err")"
	done
	sleep 2 # until the compiler of the server has seen what matters
	t0=$(now)
	progress "$ZK_CLIENTS clients write"
	sleep "$p"
	t1=$(now)
	progress "somebody sends 40 Mb/s to the server"
	flood_start other server 40
	sleep "$p"
	t2=$(now)
	must zookeeper "reserve(dstHost=server, transport=TCP, dstPort=2181) = 2Mb on coordination to +1h."
	progress "the clients' traffic has a reservation of 2 Mb/s"
	sleep "$p"
	t3=$(now)
	halt flood
	for ((i = 1; i <= ZK_CLIENTS; i++)); do
		halt "write$i"
	done
	sort -n "$RUN_DIR"/write*.out >"$RUN_DIR/writes"

	printf 'ZooKeeper: time of a write of 128 bytes, %d clients, on a port of 20 Mb/s\n' $ZK_CLIENTS
	row $widths '' 'writes/s' 'median (ms)' '90 % (ms)' '99 % (ms)'
	zookeeper_part 'alone' "$t0" "$t1"
	alone=$writes
	zookeeper_part 'flood' "$t1" "$t2"
	flooded="$writes $p90"
	# a write that hung in the flood begins before this part
	zookeeper_part 'flood, 2 Mb/s reserved' "$t2" "$t3"
	rule "${flooded#* } >= 3 * $p90" \
		"the reservation makes the slowest tenth 3 times faster or more (${flooded#* } to $p90 ms)"
	rule "$writes >= 2 * ${flooded% *}" "and more writes get through (${flooded% *} to $writes a second, alone $alone)"
	plot zookeeper "ZooKeeper: time of a write" "time of a write (ms)" "$t0" \
		"$t1 flood|$t2 reserved|$t3 " "writes, by their start" points=1 ylog=1 -- "$RUN_DIR/writes"
	return "$app_failed"
}
