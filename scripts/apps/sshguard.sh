# SPDX-License-Identifier: Apache-2.0
# SSHGuard: a server with sshd and Debian's sshguard, a client whose transfer fills the server's port, and an attacker
# that guesses passwords and floods. sshguard reads sshd's log and asks the switch, by our backend, to deny it.
# The backend speaks on a share that may deny what goes to the server, and nothing else. Sourced by apps.sh.

sshd_start() {
	mkdir -p /run/sshd
	ssh-keygen -q -t ed25519 -N '' -f "$RUN_DIR/hostkey" || die "ssh-keygen"
	cat >"$RUN_DIR/sshd_config" <<-END
		ListenAddress $(address server)
		HostKey $RUN_DIR/hostkey
		UsePAM no
		UseDNS no
		MaxStartups 100
		LogLevel INFO
		PidFile none
	END
	: >"$RUN_DIR/auth.log"
	spawn sshd server "$(command -v sshd)" -D -f "$RUN_DIR/sshd_config" -E "$RUN_DIR/auth.log"
	wait_for 10 at server bash -c 'ss -Hltn "sport = 22" | grep -q .' ||
		die "sshd: $(cat "$RUN_DIR/sshd.err" "$RUN_DIR/auth.log")"
}

sshguard_start() { # BLOCK_SECONDS
	must root 'AddUser sshguard.' 'NewShare ssh for (dstHost=server) [deny <= 10min] on rootShare.' \
		'Grant ssh to sshguard.' 'Revoke ssh from root.'
	cat >/etc/sshguard/sshguard.conf <<-END
		BACKEND=$HERE/apps/sshg-fw-pane
		FILES=$RUN_DIR/auth.log
		THRESHOLD=30
		BLOCK_TIME=$1
		DETECTION_TIME=600
	END
	cat >/etc/sshguard/pane.conf <<-END
		PANE_SHARE=ssh
		PANE_PROTECT=server
		PANE_USER=sshguard
		PANE_SOCKET=$RUN_DIR/control.sock
		PANE_LIMIT=10min
		PANECTL=$(program panectl)
	END
	spawn sshguard server env SSHGUARD_DEBUG=1 sshguard
	sleep 1
}

# Passwords for users that do not exist, several at a time, until halted.
guess_start() {
	local i

	printf '#!/bin/sh\necho secret\n' >"$RUN_DIR/askpass"
	chmod +x "$RUN_DIR/askpass"
	for i in 1 2 3 4; do
		# shellcheck disable=SC2016 # for the shell inside
		spawn "guess$i" attacker env SSH_ASKPASS="$RUN_DIR/askpass" SSH_ASKPASS_REQUIRE=force DISPLAY=none bash -c '
			for user in oracle admin test guest git www; do
				timeout 6 ssh -F none -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null \
					-o PreferredAuthentications=password -o NumberOfPasswordPrompts=1 -o ConnectTimeout=5 \
					"$user@$0" true
			done' "$(address server)"
	done
}

requests() { # how many are accepted on the share
	panectl --json 'ListRequests ssh.' | jq '.items | length'
}

blocked() {
	grep -q ': request [0-9]' "$RUN_DIR/sshguard.err"
}

# Seconds from FROM until the transfer has had 80 % of RATE for half a second.
recovery() { # FROM RATE
	awk -v from="$1" -v want="$2" '
		$1 < from {next}
		$2 >= 0.8 * want {if (++n == 5) {printf "%.1f\n", $1 - from - 0.4; found = 1; exit}}
		$2 < 0.8 * want {n = 0}
		END {if (!found) print -1}' "$RUN_DIR/transfer.out"
}

app_sshguard() {
	local p hold t0 attack block calm release end before during after back id held=0 left reached

	needs sshguard sshd ssh ssh-keygen jq || return
	p=$(calc "$seconds / 6" .2f)
	hold=$(calc "($p > 2.5 ? 2 * $p : 5)" .2f) # TCP needs some time to recover
	network_start 20Mb server client attacker
	sshd_start
	sshguard_start "$(calc "$hold + 2" .0f)"
	sink_start transfer server 9000
	load port server watch eth0
	load sender client send "$(address server)" 9000 --flows 4
	sleep 1
	t0=$(now)
	progress "a transfer to the server, for $p s"
	sleep "$p"
	progress "an attacker guesses passwords, and floods"
	attack=$(now)
	guess_start
	flood_start attacker server 26
	wait_for 30 blocked && held=1
	block=$(now)
	id=$(sed -n 's/.*: request \([0-9]*\)$/\1/p' "$RUN_DIR/sshguard.err" | head -n 1)
	progress "sshguard has the attacker denied: request ${id:-none}"
	sleep "$hold"
	calm=$(now)
	halt flood guess1 guess2 guess3 guess4
	progress "the attack is over; sshguard releases the attacker in a while"
	wait_for 30 grep -q released "$RUN_DIR/sshguard.err"
	release=$(now)
	left=$(requests)
	reached=0 # the transfer still fills the port: one of several pings is enough
	! wait_for 5 at attacker ping -q -n -c 1 -W 1 server || reached=1
	end=$(now)
	halt sender transfer port
	before=$(quantile "$RUN_DIR/transfer.out" "$t0" "$attack" 0.5)
	during=$(quantile "$RUN_DIR/transfer.out" "$(calc "$attack + 0.3" .3f)" "$block" 0.5)
	after=$(quantile "$RUN_DIR/transfer.out" "$(calc "$calm - 2" .3f)" "$calm" 0.5)
	back=$(recovery "$block" "$before")

	printf 'SSHGuard: a transfer to a server under attack (medians of 100 ms)\n'
	row 30,10,16,14 '' 'seconds' 'transfer (Mb/s)' 'port (Mb/s)'
	row 30,10,16,14 'before the attack' "$(calc "$attack - $t0")" "$(calc "$before")" \
		"$(calc "$(quantile "$RUN_DIR/port.out" "$t0" "$attack" 0.5)")"
	row 30,10,16,14 'under attack' "$(calc "$block - $attack")" "$(calc "$during")" \
		"$(calc "$(quantile "$RUN_DIR/port.out" "$attack" "$block" 0.5)")"
	row 30,10,16,14 'denied (the last 2 s)' "$(calc "$calm - $block")" "$(calc "$after")" \
		"$(calc "$(quantile "$RUN_DIR/port.out" "$(calc "$calm - 2" .3f)" "$calm" 0.5)")"
	printf 'from the attack to its denial %s s, from there to 80 %% of the rate before %s s\n' \
		"$(calc "$block - $attack")" "$back"
	rule "$held == 1" "sshguard asks: $(sed -n 's/^[^:]*: \(deny.*\): request.*/\1/p' "$RUN_DIR/sshguard.err")"
	rule "$before >= 8" "the transfer alone fills the port ($(calc "$before") Mb/s)"
	rule "$during <= 0.5 * $before" \
		"the attack takes half of the transfer or more ($(calc "$before") to $(calc "$during") Mb/s)"
	rule "$after >= 0.75 * $before" "the transfer recovers while the attack goes on ($(calc "$after") Mb/s)"
	rule "${left:-1} == 0" "released, nothing is left in the switch (requests: ${left:-?})"
	rule "$reached == 1" "and the attacker's host reaches the server again"
	plot sshguard "SSHGuard: a transfer to an attacked server" "rate (Mb/s)" "$t0" \
		"$attack attack|$block denied|$calm attack ends|$release released|$end " \
		"transfer|all that reaches the server's port" -- "$RUN_DIR/transfer.out" "$RUN_DIR/port.out"
	return "$app_failed"
}
