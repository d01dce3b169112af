// SPDX-License-Identifier: Apache-2.0
// The command socket: sessions on a Unix socket, on loopback TCP and over TLS; statements in, answers out, in order.
// Knows no grammar: where a statement ends is cmd_split's, what it means is its caller's business.
//
// A turn of the loop: socket events fill the sessions' buffers; server_execute hands complete statements to fn and
// holds the answers back; the caller makes durable what must be; server_send lets the answers go. Owner: the
// controller. Thread: control only.
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "auth.h"
#include "hft/err.h"
#include "reply.h"
#include "speaker.h"

struct event_base;
struct server;

#define SERVER_STATEMENT_MAX 65536 // bytes, with the dot
#define SERVER_LOGIN_MAX 4096      // bytes before the dot of a name

// Unread answers, in bytes. At BACKLOG_MAX a session is read no more until its client has fetched some; when those of
// all sessions together are over UNREAD_SOFT, at BACKLOG_LOW already; over UNREAD_MAX the session with the most is
// ended. One answer may be longer than each of them.
#define SERVER_BACKLOG_MAX (1 << 20)
#define SERVER_BACKLOG_LOW (64 << 10)
#define SERVER_UNREAD_SOFT (64 << 20)
#define SERVER_UNREAD_MAX (512 << 20)

#define SERVER_SESSIONS_MAX 8192
#define SERVER_UNPROVEN_MAX 512 // TLS sessions that are not logged in, and those of them from one address
#define SERVER_UNPROVEN_MAX_PER_ADDRESS 64
#define SERVER_HANDSHAKE_MS 10000
#define SERVER_LOGIN_MS 60000

struct server_conf {
	const char *unix_path;  // replaced if a socket is there; mode 0666: who speaks is proven by the kernel
	const char *tcp_listen; // NULL: none
	struct auth_rules auth; // what it points to is borrowed
	const char *tls_listen; // NULL: none
	SSL_CTX *tls;           // borrowed; for tls_listen
	bool (*user_exists)(void *ctx, const char *user); // asked at login
	void *ctx;
	int64_t (*clock_ns)(void); // that ends the turn of who has intricate statements; NULL: only their number does
	unsigned int max_sessions; // 0: SERVER_SESSIONS_MAX
	unsigned int max_sessions_per_uid;  // 0: half of max_sessions; not for uid 0
	unsigned int max_sessions_per_user; // logged in as that user; 0: any number; not for root
	unsigned int handshake_ms;          // within which TLS must stand; 0: SERVER_HANDSHAKE_MS
	unsigned int login_ms;              // and then the name be given; 0: SERVER_LOGIN_MS
};

struct server_stats {
	unsigned int sessions; // open now
	uint64_t accepted, refused_logins, refused_sessions, statements;
	uint64_t events, lost_events; // told to a session; not told because it does not read
};

// Binds and listens; nobody is served before the base's loop runs.
struct server *server_create(struct event_base *base, const struct server_conf *conf, struct err *err);
void server_destroy(struct server *s); // accepts NULL; closes all sessions, removes the Unix socket if it may
uint16_t server_tcp_port(const struct server *s); // as bound; 0: none
uint16_t server_tls_port(const struct server *s);

// A session is a descriptor, and a process has a few others: lets this one have so many. How many sessions it comes to
// (logged if they are fewer).
unsigned int server_raise_files(unsigned int max_sessions);

typedef void (*server_exec_fn)(void *ctx, const struct principal *speaker, const char *statement, size_t len,
			       struct reply *reply);
// Executes what has arrived, fairly between sessions. true: more is waiting, come again at once.
bool server_execute(struct server *s, server_exec_fn fn, void *ctx);
// An answer that fn has left unfinished (reply->later): to be completed, and then given. NULL: its session is gone.
struct reply *server_owed(struct server *s, uint64_t later);
void server_answer(struct server *s, uint64_t later); // does nothing without it
// Somebody who speaks as this user (NULL: as anybody) is in JSON mode and so hears events.
bool server_listens(const struct server *s, const char *user);
// One JSON object, without newline, to all of those. It goes behind the answers that are held back already, and out
// with them. A session that leaves too much unread is told later how many it has missed: {"event":"lost","n":3}.
void server_tell(struct server *s, const char *user, const char *line);
void server_send(struct server *s);
// Ends the sessions that speak as the user, whatever the host and application.
void server_end_sessions(struct server *s, const char *user, const char *why);
// From now on TLS is spoken with this one (borrowed). Sessions whose certificates it does not accept end.
void server_renew_tls(struct server *s, SSL_CTX *tls);
void server_stats(const struct server *s, struct server_stats *out);
