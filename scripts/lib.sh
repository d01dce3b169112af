# SPDX-License-Identifier: Apache-2.0
# Messages, progress and interruptible steps for the other scripts. Sourced, never run.
# A step runs in a session of its own, so that an interrupted script takes the whole of it (ninja, compilers, tests) down.

export PANE_TIMEOUT="${PANE_TIMEOUT:-60}" # panectl's: a loaded machine is slow, not stuck

step_pid=
step_log=
behind_pid=

say() {
	printf '%s\n' "$*" >&2
}

die() {
	say "${0##*/}: $*"
	exit 1
}

# For a command line that is wrong.
misused() {
	say "${0##*/}: $* (try --help)"
	exit 2
}

# has_value "$@": of the option in front.
has_value() {
	[ $# -ge 2 ] || misused "$1 needs a value"
}

# Ends the step that is under way, and what runs behind it. For traps; harmless when none is.
step_abort() {
	behind_end
	[ -z "$step_pid" ] || kill -TERM -- "-$step_pid" 2>/dev/null
	[ -z "$step_log" ] || rm -f "$step_log"
	step_pid= step_log=
}

# A signal ends the step under way and the script, and runs what the script put into `trap ... EXIT`.
step_traps() {
	trap 'step_abort; exit 130' INT
	trap 'step_abort; exit 143' TERM HUP
}

# step TEXT COMMAND...: runs COMMAND quietly with a sign of life every two seconds; its output shows only when it fails.
# Returns its status.
step() {
	local text=$1 rc=0 start=$SECONDS ticker

	shift
	step_log=$(mktemp)
	printf '%s ' "$text" >&2
	setsid "$@" >"$step_log" 2>&1 </dev/null &
	step_pid=$!
	(
		trap - EXIT
		while sleep 2 && kill -0 "$step_pid" 2>/dev/null; do
			printf '.' >&2
		done
	) &
	ticker=$!
	wait "$step_pid" || rc=$?
	kill "$ticker" 2>/dev/null
	wait "$ticker" 2>/dev/null || true
	if [ "$rc" = 0 ]; then
		say " ok ($((SECONDS - start)) s)"
	else
		say " FAILED ($((SECONDS - start)) s, status $rc)"
		tail -n 60 "$step_log" >&2
	fi
	rm -f "$step_log"
	step_pid= step_log=
	return "$rc"
}

# configure_dir DIR MESON_OPTIONS...: configures DIR once, or anew if its options differ from the last time.
configure_dir() {
	local dir=$1

	shift
	if [ ! -f "$dir/build.ninja" ]; then
		step "configuring $dir" meson setup "$dir" "$TOP" "$@" || return
	elif [ "$(cat "$dir/.options" 2>/dev/null)" != "$*" ]; then
		step "reconfiguring $dir" meson setup --reconfigure "$dir" "$TOP" "$@" || return
	fi
	printf '%s\n' "$*" >"$dir/.options"
}

# build_behind DIR MESON_OPTIONS...: begins to build DIR with what others leave of the processors. After behind_end, build_dir
# says what went wrong, or does the rest.
build_behind() {
	configure_dir "$@" || return
	setsid nice -n 19 ninja -C "$1" >/dev/null 2>&1 </dev/null &
	behind_pid=$!
}

# Ends it, done or not: ninja leaves nothing half written.
behind_end() {
	[ -n "$behind_pid" ] || return 0
	kill -TERM "$behind_pid" 2>/dev/null
	wait "$behind_pid" 2>/dev/null
	behind_pid=
}

# build_dir DIR MESON_OPTIONS...: configures and builds DIR.
# BUILD_TARGETS (words) limits what is built.
build_dir() {
	local dir=$1

	shift
	configure_dir "$dir" "$@" || return
	# shellcheck disable=SC2086 # words are wanted
	step "building $dir" ninja -C "$dir" ${BUILD_TARGETS:-}
}

# A wait that ends well costs nothing, and a machine may stand still for seconds: bounds are so many times what they say.
PATIENCE=${PANE_PATIENCE:-5}

# wait_for SECONDS COMMAND...: until COMMAND succeeds, at most so long (times PATIENCE). What it says in the end shows.
wait_for() {
	local end=$(($(date +%s%N) + $1 * PATIENCE * 1000000000))

	shift
	until "$@" >/dev/null 2>&1; do
		if [ "$(date +%s%N)" -ge "$end" ]; then
			"$@"
			return
		fi
		sleep 0.05
	done
}
