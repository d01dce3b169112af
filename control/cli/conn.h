// SPDX-License-Identifier: Apache-2.0
// panectl's connection: a Unix socket, loopback TCP, or TLS over TCP where both ends show a certificate.
// Owner: the caller. Thread: one.
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "control/speaker.h"
#include "control/tls.h"
#include "hft/err.h"

struct conn {
	int fd;
	SSL_CTX *ctx;
	SSL *ssl;         // NULL: no TLS
	const char *name; // of the other end, for messages; borrowed
	unsigned int patience_s;
};

// PATH, or ADDRESS:PORT of a loopback TCP socket. 0, or -errno with conn closed.
int conn_open(struct conn *conn, const char *socket, struct err *err);
// HOST:PORT; the certificate of the other end must be of the CA and name HOST. own (may be NULL): whom files->cert
// stands for.
int conn_open_tls(struct conn *conn, const char *host_port, const struct tls_files *files, struct principal *own,
		  struct err *err);
// conn_receive waits no longer for the next bytes; 0, as it is after conn_open: without end.
void conn_patience(struct conn *conn, unsigned int seconds);
void conn_close(struct conn *conn); // also twice
// All of it: 0 (also when the other end has hung up, whose last words can still be read) or -EIO.
int conn_send(struct conn *conn, const char *data, size_t len, struct err *err);
// Some bytes, 0 at the end, -EIO, -ETIMEDOUT.
ssize_t conn_receive(struct conn *conn, char *buf, size_t size, struct err *err);
