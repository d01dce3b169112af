// SPDX-License-Identifier: Apache-2.0
// panectl's end of the command socket, in JSON mode. Answers come in the order of the statements.
// Owner: the caller. Thread: one.
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "control/tls.h"
#include "hft/err.h"

// Statements under way, in bytes: the server reads so much ahead even when its answers are not fetched yet.
#define CLIENT_WINDOW_BYTES 65536

struct client;

struct client_conf {
	const char *socket; // path of the Unix socket, or ADDRESS:PORT on this host
	const char *tls;    // HOST:PORT instead; NULL: no TLS
	struct tls_files files;
	unsigned int timeout_s; // without a byte of an answer that is owed; 0: no end
};

// user: NULL is whom the certificate stands for. NULL: cannot connect, refused, or not a PANE server.
struct client *client_open(const struct client_conf *conf, const char *user, struct err *err);
const char *client_user(const struct client *c); // whom it speaks for
void client_close(struct client *c);             // accepts NULL
// What to do with an event that comes between answers; by default it is dropped. line as client_receive's.
void client_on_event(struct client *c, void (*fn)(void *ctx, const json_t *event, const char *line), void *ctx);
// From now on an answer may take so many seconds more than timeout_s; negative: it may take for ever.
void client_patience(struct client *c, int more_s);
int client_fd(const struct client *c); // readable: client_take_events
// Hands out what has come though no answer is owed. -1: the session is over, and why.
int client_take_events(struct client *c, struct err *err);
// Statement with its dot. 0 or -EIO.
int client_send(struct client *c, const char *statement, size_t len, struct err *err);
// The next answer (caller: json_decref), and its line as it came, valid until the next call. NULL: the session is over.
json_t *client_receive(struct client *c, const char **line, struct err *err);
