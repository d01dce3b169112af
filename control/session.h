// SPDX-License-Identifier: Apache-2.0
// One session of the command socket: login, modes, prompts, and the way from bytes to statements. Part of server.c.
// Owner: struct server's list. Thread: control only.
#pragma once
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "server.h"
#include "session_text.h"

enum session_state {
	SESSION_HANDSHAKE, // of TLS
	SESSION_LOGIN,     // waits for a name
	SESSION_OPEN,
	SESSION_SKIPPING, // inside a statement that was refused as too long
	SESSION_CLOSING,  // nothing is read any more; closed when the answers are out
};

struct session {
	TAILQ_ENTRY(session) link;       // all sessions
	TAILQ_ENTRY(session) ready_link; // those with something to execute
	TAILQ_ENTRY(session) held_link;  // those with answers to send
	TAILQ_ENTRY(session) event_link; // those that hear events
	struct server *server;
	struct bufferevent *bev;
	SSL *ssl;               // of bev; NULL: none
	struct event *pause;    // a last dot ends the statement when nothing follows it for a while
	struct event *deadline; // for handshake and login
	struct evbuffer *held;  // answers of this turn; not empty: in the holding list
	enum session_state state;
	enum skip_at skip;
	bool ready, json;
	bool hears;                 // events: in the list of those
	bool at_end;                // nothing will follow what is in the buffer
	uint64_t owes;              // the number of an answer to come, 0: none. Until then nothing else is answered
	struct reply owed;          // what there is of it
	bool eof;                   // the client sends no more
	bool lingering;             // closing, and all answers are out
	uint64_t n_lost;            // events since it was told one
	uid_t uid;                  // without TLS
	struct principal certified; // with TLS, after the handshake
	struct principal speaker;
	char peer[64]; // for log lines: "uid 1000", "10.0.0.5"
	char name[3 * PRINCIPAL_NAME_MAX];
};

TAILQ_HEAD(session_list, session);

struct server {
	struct event_base *base;
	struct server_conf conf;
	char *unix_path;
	struct evconnlistener *unix_listener, *tcp_listener, *tls_listener;
	struct session_list sessions, ready, holding, hearing;
	struct server_stats stats;
	size_t unread_bytes; // of answers, all sessions together
};

// Takes the connected socket; when it is refused or memory is short the socket is closed. with_tls: for
// server->conf.tls.
void session_create(struct server *s, evutil_socket_t fd, bool with_tls);
void session_destroy(struct session *x);
int64_t server_clock_ns(const struct server *s); // 0: turns are not timed
// Executes up to max statements that begin before end_ns (server_clock_ns), and one in any case. true: more is waiting.
bool session_execute(struct session *x, unsigned int max, int64_t end_ns, server_exec_fn fn, void *ctx);
// One line to a session that hears events, unless it is backlogged.
void session_tell(struct session *x, const char *line);
// Lets the answers go; the session may end with them.
void session_send(struct session *x);
void session_answer(struct session *x); // with what is owed; goes on with what follows
// Nobody reads what it is answered. A client that only sends no more is not gone, where the kernel tells the
// difference.
bool session_is_gone(const struct session *x);
size_t session_unread(const struct session *x); // bytes of answers that the client has not fetched
// What is still to be answered is dropped; what was is sent, and the session ends. why: told in JSON mode.
void session_end(struct session *x, const char *why);

// Among session.c, session_open.c and session_login.c:
bool session_start(struct session *x); // from here on bytes are read; false: out of memory
void session_on_handshake(struct session *x, short what);
void session_watch_certificate(struct session *x); // logged in over TLS: it ends when its certificate does
void session_login(struct session *x, const char *text, size_t len);
void session_refuse_login(struct session *x, enum reply_code code, const char *why);
void session_hold(struct session *x, const char *text); // back until session_send
void session_hold_reply(struct session *x, const struct reply *r);
void session_close(struct session *x); // reads no more; ends when the answers are out
void session_hear(struct session *x, bool hears);
