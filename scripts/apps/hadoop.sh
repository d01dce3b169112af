# SPDX-License-Identifier: Apache-2.0
# Hadoop's shuffles: three jobs start together, each moves the same amount from two mappers to two reducers by many
# TCP flows, through the reducers' two ports. Once all are alike, once with parts of 25, 25 and 50. Each mapper has
# HADOOP_COPIES flows to each reducer for each job, as a reducer fetches map outputs by a few parallel copies.
# The parts are reservations; with HADOOP_BY=weight they are the weights of three shares. Sourced by apps.sh.

HADOOP_RATE=40 # Mb/s of a port
HADOOP_COPIES=4
HADOOP_WEIGHTS=(25 25 50)
: "${HADOOP_BY:=reserve}"

# round NAME MEGABYTES: all three jobs, until they are done; sets began and took[1..3], and writes the jobs' rates to
# $RUN_DIR/NAME-jobN.
round() {
	local name=$1 j m r reducers

	reducers=$(address reducer1),$(address reducer2)
	for j in 1 2 3; do
		for r in 1 2; do
			sink_start "sink$j$r" "reducer$r" $((7000 + j))
		done
	done
	began=$(now)
	for j in 1 2 3; do
		for m in 1 2; do
			load "job$j$m" "mapper$m" send "$reducers" $((7000 + j)) --flows $HADOOP_COPIES \
				--bytes "$(calc "$2 * 1e6 / 2" .0f)"
		done
	done
	for j in 1 2 3; do
		for m in 1 2; do
			wait_for $((seconds * 3)) grep -q '^done' "$RUN_DIR/job$j$m.out" ||
				die "job $j does not end: $(cat "$RUN_DIR/job$j$m.out" "$RUN_DIR/job$j$m.err")"
		done
		took[j]=$(awk -v b="$began" '$1 == "done" && $2 > t {t = $2} END {printf "%.2f\n", t - b}' \
			"$RUN_DIR/job${j}1.out" "$RUN_DIR/job${j}2.out")
	done
	sleep 0.3
	for j in 1 2 3; do
		halt "sink${j}1" "sink${j}2"
		# both reducers' rates in steps of a fifth of a second
		awk -v t0="$began" '
			$1 >= t0 {b = int(($1 - t0) * 5); s[FILENAME, b] += $2; n[FILENAME, b]++; files[FILENAME]; last = b}
			END {for (b = 0; b < last; b++) {
				sum = 0
				for (f in files) if (n[f, b]) sum += s[f, b] / n[f, b]
				printf "%.1f %.3f\n", t0 + b / 5 + 0.1, sum
			}}' "$RUN_DIR/sink${j}1.out" "$RUN_DIR/sink${j}2.out" >"$RUN_DIR/$name-job$j"
	done
}

# What the operator says, and each job's owner.
shares() {
	local j rate

	for j in 1 2 3; do
		if [ "$HADOOP_BY" = weight ]; then
			must root "NewShare job$j for (transport=TCP, dstPort=$((7000 + j)))
				[weight = ${HADOOP_WEIGHTS[j - 1]}] on rootShare."
			continue
		fi
		for r in 1 2; do
			rate=$(calc "$HADOOP_RATE * 1000 * ${HADOOP_WEIGHTS[j - 1]} / 100 * 0.92" d)kb
			must root "reserve(transport=TCP, dstHost=reducer$r, dstPort=$((7000 + j))) = $rate on rootShare to +1h."
		done
	done
}

# How much of all jobs' work a switch that wastes nothing has done when this job ends, in %: the heaviest has its part
# of the ports until then, the others share them from there on and end together, when they would have ended anyway.
ideal() { # JOB
	local w=$((HADOOP_WEIGHTS[$1 - 1])) sum=$((HADOOP_WEIGHTS[0] + HADOOP_WEIGHTS[1] + HADOOP_WEIGHTS[2]))

	if [ "$1" = 3 ]; then calc "$sum / 3 / $w * 100" .0f; else echo 100; fi
}

# How much of all jobs' work was done at a time, in % (seconds tell less on a machine that is busy with something else).
work() { # NAME UNTIL
	awk -v until="$2" '{all += $2; if ($1 < until) done += $2} END {printf "%.0f\n", (all > 0 ? done / all * 100 : 0)}' \
		"$RUN_DIR/$1-job1" "$RUN_DIR/$1-job2" "$RUN_DIR/$1-job3"
}

plot_round() { # NAME TITLE T0
	plot "$1" "$2" "goodput (Mb/s)" "$3" "" "job 1|job 2|job 3" ymax=$((2 * HADOOP_RATE)) -- \
		"$RUN_DIR/$1-job1" "$RUN_DIR/$1-job2" "$RUN_DIR/$1-job3"
}

app_hadoop() {
	local j size took=() alike=() alike_work=() rate=() rate_after=() t1 t3 began ratio before after widths=10,8,11,11,12,12,12

	network_start ${HADOOP_RATE}Mb mapper1 mapper2 reducer1 reducer2
	# each of the two rounds takes half of the time: three jobs through two ports
	size=$(calc "$seconds / 2 * $HADOOP_RATE * 2 / 8 / 3 * 0.94" .1f)
	progress "three jobs of $size MB, $((HADOOP_COPIES * 4)) flows each, all alike"
	round hadoop-alike "$size"
	for j in 1 2 3; do
		alike[j]=${took[j]}
		alike_work[j]=$(work hadoop-alike "$(calc "$began + ${took[j]}" .3f)")
	done
	plot_round hadoop-alike "Three shuffles, all alike" "$began"
	shares
	progress "the same with $HADOOP_BY ${HADOOP_WEIGHTS[*]}"
	round hadoop-weights "$size"
	plot_round hadoop-weights "Three shuffles by $HADOOP_BY ${HADOOP_WEIGHTS[*]}" "$began"
	t1=$(calc "$began + 0.5" .3f)
	t3=$(calc "$began + ${took[3]}" .3f)
	for j in 1 2 3; do
		rate[j]=$(quantile "$RUN_DIR/hadoop-weights-job$j" "$t1" "$t3" 0.5)
	done
	ratio=$(calc "2 * ${rate[3]} / (${rate[1]} + ${rate[2]} + 0.001)" .2f)
	before=$(calc "${rate[1]} + ${rate[2]} + ${rate[3]}")
	t3=$(calc "$t3 + 0.4" .3f)
	for j in 1 2; do
		rate_after[j]=$(quantile "$RUN_DIR/hadoop-weights-job$j" "$t3" 1e10 0.5)
	done
	after=$(calc "${rate_after[1]} + ${rate_after[2]}")

	printf 'Hadoop: shuffles of %s MB each through two ports of %s Mb/s\n' "$size" $HADOOP_RATE
	row $widths '' '' 'alike' 'weighted' 'alike' 'weighted' 'ideal'
	row $widths '' weight 'ends (s)' 'ends (s)' 'work (%)' 'work (%)' 'work (%)'
	for j in 1 2 3; do
		row $widths "job $j" "${HADOOP_WEIGHTS[j - 1]}" "$(calc "${alike[j]}")" "$(calc "${took[j]}")" "${alike_work[j]}" \
			"$(work hadoop-weights "$(calc "$began + ${took[j]}" .3f)")" "$(ideal $j)"
	done
	printf "work: how much of all jobs' work is done when this one ends\n"
	printf 'medians while all three run: %s, %s and %s Mb/s\n' "$(calc "${rate[1]}")" "$(calc "${rate[2]}")" \
		"$(calc "${rate[3]}")"
	j=$(work hadoop-weights "$(calc "$began + ${took[3]}" .3f)")
	rule "$j <= 80" "the job of weight 50 ends when $j % of the work is done (alike: ${alike_work[3]} %)"
	rule "$ratio >= 1.6 && $ratio <= 2.5" "it is faster by the ratio of the weights ($ratio for 2)"
	rule "$after >= 0.85 * $before" "no rate is lost when it has ended ($before to $after Mb/s), so the others lose little"
	return "$app_failed"
}
