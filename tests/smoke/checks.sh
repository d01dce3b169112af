# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What smoke tests check with. Sourced by _init.sh and of_init.sh, which set scratch (a folder); needs lib.sh.
#
#   check TEXT COMMAND...         it must hold
#   check_figure TEXT COMMAND...  a figure that holds on a machine that is not disturbed: up to three attempts, each shown
# What is to become true is waited for (wait_for), as long as it takes on a machine that is slow; nothing is timed by sleep.

checks=0 failed=0

load() {
	awk '{print $1}' /proc/loadavg
}

check_failed() { # TEXT COMMAND...
	failed=$((failed + 1))
	printf 'FAIL  %s (%s), load %s\n' "$1" "${*:2}" "$(load)"
	head -n 20 "$scratch/check.out" | sed 's/^/    /'
}

check() {
	local text=$1

	shift
	checks=$((checks + 1))
	if "$@" >"$scratch/check.out" 2>&1; then
		printf 'ok    %s\n' "$text"
	else
		check_failed "$text" "$@"
	fi
}

# Negation for check.
not() {
	! "$@"
}

stolen_ticks() {
	awk '$1 == "cpu" {print $9}' /proc/stat
}

# What else the machine does: a process that sleeps 5 ms again and again notes how late it is woken at worst.
disturbance_start() {
	stolen_before=$(stolen_ticks)
	perl -MTime::HiRes=time,sleep -e '
		my ($stop, $worst) = (0, 0);
		$SIG{TERM} = sub {$stop = 1};
		until ($stop) {
			my $from = time;
			sleep 0.005;
			my $late = time - $from - 0.005;
			$worst = $late if $late > $worst && !$stop;
		}
		printf "%.0f", $worst * 1000' >"$scratch/disturbance" &
	disturbance_pid=$!
}

disturbance_stop() { # says what it was
	kill "$disturbance_pid"
	wait "$disturbance_pid"
	printf 'a process that slept was woken %s ms late at worst, %d ms of processor time stolen, load %s' \
		"$(cat "$scratch/disturbance")" $((($(stolen_ticks) - stolen_before) * 1000 / $(getconf CLK_TCK))) \
		"$(load)"
}

# The last line that COMMAND prints is the figure. It must leave things such that it can be run again.
check_figure() {
	local text=$1 rc attempt

	shift
	checks=$((checks + 1))
	for attempt in 1 2 3; do
		rc=0
		disturbance_start
		"$@" >"$scratch/check.out" 2>&1 || rc=$?
		disturbance_stop >"$scratch/disturbed"
		[ "$rc" != 0 ] || break
		printf 'again %s: attempt %d was %s; %s\n' "$text" "$attempt" "$(tail -n 1 "$scratch/check.out")" \
			"$(cat "$scratch/disturbed")"
	done
	if [ "$rc" = 0 ]; then
		printf 'ok    %s (%s)\n' "$text" "$(tail -n 1 "$scratch/check.out")"
	else
		check_failed "$text, in none of three attempts" "$@"
	fi
}

# within VALUE LOW HIGH
within() {
	echo "$1 of $2..$3"
	awk -v v="$1" -v l="$2" -v h="$3" 'BEGIN {exit !(v + 0 == v && v >= l && v <= h)}'
}
