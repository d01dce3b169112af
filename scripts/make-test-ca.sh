#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A certificate authority to try TLS with, its server certificate, and a client certificate for each NAME. For tests and
# trials: the CA's key lies unprotected in DIR.
#
#   scripts/make-test-ca.sh [OPTION...] DIR NAME...
#     NAME           a principal: alice, alice@10.0.0.5, alice@10.0.0.5/ssh; makes DIR/NAME.crt and DIR/NAME.key, with
#                    `_` for @ and /. The name is the certificate's URI pane:NAME, and its common name where it fits.
#     --host NAME    what the server is called besides localhost, 127.0.0.1, ::1 and this host's name; repeatable
#     --days N       how long the certificates are good (default 365)
#     --seconds N    how long the clients' certificates that are made are good, instead
#     --expired      the clients' certificates that are made are over already
#     --revoke       the certificates of NAME... are revoked instead: they go into DIR/ca.crl
#
# Again with the same DIR, it adds to it. Files: ca.crt ca.key ca.crl server.crt server.key, and for each client two.
set -euo pipefail
. "$(dirname "$(readlink -f "$0")")/lib.sh"

days=365 seconds= expired= revoke= hosts=()
while [ $# -gt 0 ]; do
	case $1 in
	--host) has_value "$@" && hosts+=("$2") && shift ;;
	--days) has_value "$@" && days=$2 && shift ;;
	--seconds) has_value "$@" && seconds=$2 && shift ;;
	--expired) expired=1 ;;
	--revoke) revoke=1 ;;
	-h | --help)
		sed -n '3,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	-*) misused "unknown option $1" ;;
	*) break ;;
	esac
	shift
done
[ $# -ge 1 ] || misused "which folder?"
command -v openssl >/dev/null || die "needs the program openssl"
mkdir -p -m 700 "$1"
cd "$1"
shift
umask 077

# quietly: what OpenSSL says shows only when it fails
run() {
	local out

	out=$(openssl "$@" 2>&1) || die "openssl $1: $out"
}

new_key() {
	run genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$1"
}

file_of() {
	printf '%s' "$1" | tr '@/' '__'
}

config() {
	cat <<-END
		[ca]
		default_ca = test
		[test]
		database = index
		serial = serial
		new_certs_dir = issued
		certificate = ca.crt
		private_key = ca.key
		default_md = sha256
		default_days = $days
		default_crl_days = 3650
		policy = any
		unique_subject = no
		copy_extensions = none
		[any]
		commonName = optional
		organizationName = optional
		[req]
		distinguished_name = dn
		prompt = no
		[dn]
		$1
		[server]
		extendedKeyUsage = serverAuth
		subjectAltName = $2
		[client]
		extendedKeyUsage = clientAuth
		subjectAltName = $2
	END
}

# issue FILE SECTION DN_LINE ALT_NAMES [ca options]
issue() {
	local file=$1 section=$2

	config "$3" "$4" >config
	shift 4
	new_key "$file.key"
	run req -new -config config -key "$file.key" -out "$file.csr"
	run ca -batch -notext -config config -extensions "$section" -in "$file.csr" -out "$file.crt" "$@"
	rm "$file.csr"
}

if [ ! -f ca.crt ]; then
	new_key ca.key
	mkdir -p issued
	: >index
	echo 1000 >serial
	run req -x509 -new -key ca.key -days 3650 -subj "/CN=PANE test CA" -out ca.crt \
		-addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign
	names="DNS:localhost,IP:127.0.0.1,IP:::1,DNS:$(hostname)"
	for h in ${hosts[@]+"${hosts[@]}"}; do
		case $h in
		*:* | *[0-9].[0-9]*.[0-9]*) names+=",IP:$h" ;;
		*) names+=",DNS:$h" ;;
		esac
	done
	issue server server "commonName = PANE switch" "$names"
fi
for name; do
	file=$(file_of "$name")
	case $name in
	'' | *[!A-Za-z0-9_\$.:@/-]*) die "\"$name\" is no principal" ;;
	esac
	case $file in
	ca | server) die "the files of a client called $file would overwrite others" ;;
	esac
	if [ -n "$revoke" ]; then
		[ -f "$file.crt" ] || die "there is no $file.crt to revoke"
		config "commonName = x" "URI:pane:x" >config
		run ca -config config -revoke "$file.crt"
		continue
	fi
	dn="organizationName = PANE"
	[ "${#name}" -gt 64 ] || dn="commonName = $name"
	over=()
	[ -z "$expired" ] || over=(-startdate 20200101000000Z -enddate 20200102000000Z)
	[ -z "$seconds" ] || over=(-enddate "$(date -u -d "+$seconds seconds" +%Y%m%d%H%M%SZ)")
	issue "$file" client "${dn//\$/\\\$}" "URI:pane:${name//\$/\\\$}" ${over[@]+"${over[@]}"}
done
config "commonName = x" "URI:pane:x" >config
run ca -config config -gencrl -out ca.crl
rm -f config
