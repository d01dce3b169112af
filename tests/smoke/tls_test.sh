#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The command socket over TLS: certificates of a test CA, whom they stand for, and what is refused, with its log lines.
. "$(dirname "$0")/_init.sh"

ca=$RUN_DIR/ca
"$TOP/scripts/make-test-ca.sh" "$ca" root alice alice@10.0.0.5/ssh mallory >/dev/null || skip "no openssl"
"$TOP/scripts/make-test-ca.sh" --expired "$ca" old
"$TOP/scripts/make-test-ca.sh" --revoke "$ca" mallory
"$TOP/scripts/make-test-ca.sh" "$RUN_DIR/other" alice
cat >"$RUN_DIR/config.yaml" <<END
run_dir: $RUN_DIR
state_dir: $RUN_DIR/state
ports:
  - {name: p1, device: "null:"}
tls:
  listen: 127.0.0.1:4243
  cert: $ca/server.crt
  key: $ca/server.key
  ca: $ca/ca.crt
  crl: $ca/ca.crl
END
mkdir -p "$RUN_DIR/state"

# wrong SED_SCRIPT PATTERN: the configuration so changed is refused with a line that names file, line and key
wrong() {
	sed "$1" "$RUN_DIR/config.yaml" >"$RUN_DIR/wrong.yaml"
	"$(program pane-switchd)" --config "$RUN_DIR/wrong.yaml" --check-config 2>&1 | tee /dev/stderr | grep -qE -- "$2"
}
check "no certificate file" wrong 's/server\.crt/none.crt/' 'wrong\.yaml:7: tls\.cert: .*none\.crt: No such file'
check "the key of another certificate" wrong 's/server\.key/alice.key/' 'wrong\.yaml:8: tls\.key: .*mismatch'
check "a CA that is a key" wrong 's/ca\.crt/ca.key/' 'wrong\.yaml:9: tls\.ca: '
check "no address" wrong 's/127.0.0.1:4243/everywhere/' 'wrong\.yaml:6: tls\.listen: expected ADDRESS:PORT'
check "a missing key" wrong '/key:/d' 'wrong\.yaml:5: tls: the key key is missing'
"$TOP/scripts/make-test-ca.sh" "$ca" trudy >/dev/null
start_or_fail "$RUN_DIR/config.yaml"

tls() { # FOLDER NAME ARGS...
	local dir=$1 name=$2

	shift 2
	timeout 60 "$(program panectl)" --tls localhost:4243 --cert "$dir/$name.crt" --key "$dir/$name.key" --ca "$ca/ca.crt" "$@"
}
refused() { # STATUS PATTERN ARGS...
	local rc=0 status=$1 pattern=$2

	shift 2
	tls "$@" >"$RUN_DIR/out" 2>&1 || rc=$?
	cat "$RUN_DIR/out"
	[ "$rc" = "$status" ] && grep -qE -- "$pattern" "$RUN_DIR/out"
}
logged() {
	grep -E -- "$1" "$RUN_DIR/log"
}
check "root's certificate speaks for root" tls "$ca" root 'AddUser alice.' 'Grant rootShare to alice.'
check "a certificate's own name is the default user" tls "$ca" alice 'deny(dstPort=9) on rootShare to +1.'
check "and covers hosts and applications" tls "$ca" alice --user alice@10.0.0.9/app 'time.'
check "a narrow one speaks for itself" tls "$ca" alice_10.0.0.5_ssh 'time.'
check "but not for more" refused 3 'does not cover alice$' "$ca" alice_10.0.0.5_ssh --user alice 'time.'
check "nobody is root without its certificate" refused 3 'the certificate of alice does not cover root' "$ca" alice --user root 'time.'
check "which is logged" logged 'login refused: 127\.0\.0\.1: the certificate of alice does not cover root'
check "an expired certificate" refused 3 'certificate expired' "$ca" old 'time.'
check "which is logged" logged 'TLS session from 127\.0\.0\.1 refused: certificate: certificate has expired'
check "a revoked one" refused 3 'certificate revoked' "$ca" mallory 'time.'
check "which is logged" logged 'TLS session from 127\.0\.0\.1 refused: certificate: certificate revoked'
check "one of another CA" refused 3 'unknown ca|certificate' "$RUN_DIR/other" alice 'time.'
check "none at all" bash -c "timeout 60 openssl s_client -connect 127.0.0.1:4243 -CAfile '$ca/ca.crt' -quiet </dev/null 2>&1 | grep -i 'alert'"
check "which is logged" logged 'TLS session from 127\.0\.0\.1 refused: no client certificate'
check "no TLS at all" bash -c 'exec 3<>/dev/tcp/127.0.0.1/4243; printf "root.\ntime.\n" >&3; ! timeout 5 cat <&3 | grep -a Login'
check "--tls without a key: status 2" bash -c "'$(program panectl)' --tls localhost:4243 --cert x 'time.' 2>&1 | grep -- '--tls needs --key, too'"
check "a refusal is status 1" refused 1 'refused \(dup_user\)|refused \(not_root\)' "$ca" alice 'AddUser alice.'
# Sessions that stand while the rules change: they print their events, and why they end.
tls "$ca" root 'AddUser trudy.' 'AddUser brief.' >/dev/null
standing() { # NAME: leaves NAME.events and NAME.status
	(
		rc=0
		"$(program panectl)" --tls localhost:4243 --cert "$ca/$1.crt" --key "$ca/$1.key" --ca "$ca/ca.crt" events --json \
			>"$RUN_DIR/$1.events" 2>/dev/null || rc=$?
		echo "$rc" >"$RUN_DIR/$1.status"
	) &
}
speaks_now() {
	grep -qE "session: 127\.0\.0\.1 speaks as $1\$" "$RUN_DIR/log"
}
speaks() {
	wait_for 5 speaks_now "$1"
}
ended() { # NAME WHY
	wait_for 10 test -s "$RUN_DIR/$1.status" && cat "$RUN_DIR/$1.events" && grep -q "\"session_end\".*$2" "$RUN_DIR/$1.events"
}
standing trudy
standing alice_10.0.0.5_ssh
check "a session" speaks trudy
check "and another" speaks alice@10.0.0.5/ssh
"$TOP/scripts/make-test-ca.sh" --revoke "$ca" trudy
check "a list that is not read again revokes nothing" tls "$ca" trudy 'time.'
cp "$ca/ca.crl" "$RUN_DIR/good.crl"
echo 'no list' >"$ca/ca.crl"
kill -HUP "$switch_pid"
check "one that cannot be read is told" wait_for 5 logged 'TLS goes on with the certificates of before: .*ca\.crl'
check "and changes nothing" tls "$ca" trudy 'time.'
cp "$RUN_DIR/good.crl" "$ca/ca.crl"
kill -HUP "$switch_pid"
check "read again, it ends the session of who is revoked" ended trudy 'certificate revoked'
check "who cannot come back" refused 3 'certificate revoked' "$ca" trudy 'time.'
check "the other session goes on" test ! -e "$RUN_DIR/alice_10.0.0.5_ssh.status"
brief_session() { # of a certificate that is over before the session begins, on a busy machine: a longer one then
	local s

	for s in 3 10 30; do
		rm -f "$RUN_DIR/brief.status"
		"$TOP/scripts/make-test-ca.sh" --seconds $s "$ca" brief
		standing brief
		until speaks_now brief; do
			[ ! -s "$RUN_DIR/brief.status" ] || continue 2
			sleep 0.05
		done
		return
	done
	return 1
}
check "a session of a certificate that is over in some seconds" brief_session
check "ends with it" ended brief 'expired'
check "scripts go over TLS, too" bash -c "echo 'time. ListShares.' | '$(program panectl)' --tls 127.0.0.1:4243 --cert '$ca/alice.crt' --key '$ca/alice.key' --ca '$ca/ca.crt' --json | grep -c '\"ok\":true' | grep -qx 2"
dp_ups() {
	[ "$(grep -c 'dataplane is up' "$RUN_DIR/log")" -ge "$1" ]
}
cp "$ca/server.crt" "$RUN_DIR/good.crt"
echo 'no certificate' >"$ca/server.crt"
kill -KILL "$(switch_child dataplane)"
check "a certificate that is none does not keep the dataplane from coming back" wait_for 60 dp_ups 2
cp "$RUN_DIR/good.crt" "$ca/server.crt"
finish
