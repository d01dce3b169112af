// SPDX-License-Identifier: Apache-2.0
// TLS on the command socket: both ends prove themselves by certificates of one CA. Of a client's certificate the name
// counts, a principal as in SPEC 3: the one URI `pane:alice@10.0.0.5/ssh` among its subject's alternative names, or
// without such a URI the subject's common name (which X.509 limits to 64 characters).
// TLS 1.2 or later; no resumption, so that every session is checked against the certificates and the revocation list
// of now. Thread: control only. Owner: the caller.
#pragma once
#include <openssl/ssl.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"
#include "speaker.h"

struct tls_files {        // PEM
	const char *cert; // with the certificates between it and the CA, if any
	const char *key;
	const char *ca;
	const char *crl; // of the CA; NULL: nothing is revoked
};

enum tls_file {
	TLS_FILE_NONE,
	TLS_FILE_CERT,
	TLS_FILE_KEY,
	TLS_FILE_CA,
	TLS_FILE_CRL,
};

// NULL with err; *wrong (may be NULL) says which file it is about. SSL_CTX_free by the caller, NULL is fine.
SSL_CTX *tls_server_create(const struct tls_files *files, enum tls_file *wrong, struct err *err);
// The same from files that have changed while `old` is in use. Where certificate and key may not be read any more (the
// process has given up its rights since), those of `old` stay.
SSL_CTX *tls_server_renew(const struct tls_files *files, SSL_CTX *old, enum tls_file *wrong, struct err *err);
SSL_CTX *tls_client_create(const struct tls_files *files, enum tls_file *wrong, struct err *err);
// The principal that a certificate proves. -EINVAL: it names none, or more than one.
int tls_principal(const X509 *cert, struct principal *out, struct err *err);
// Why the certificate that the peer has shown is not accepted by ctx (any more), a sentence's part; NULL: it is. That a
// revocation list is out of date ends no session.
const char *tls_refuses(const SSL *ssl, SSL_CTX *ctx);
int64_t tls_seconds_left(const SSL *ssl); // until a certificate of the peer is over; negative: it is
// Why a handshake failed, for a log line; error is OpenSSL's (0: the peer went away, or was too slow).
void tls_why(const SSL *ssl, unsigned long error, char *buf, size_t size);
