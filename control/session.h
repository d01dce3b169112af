// SPDX-License-Identifier: Apache-2.0
// One session of the command socket: login, modes, prompts, and the way from bytes to statements. Part of server.c.
// Owner: struct server's list. Thread: control only.
#pragma once
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "server.h"

enum session_state {
	SESSION_LOGIN, // waits for a name
	SESSION_OPEN,
	SESSION_SKIPPING, // inside a statement that was refused as too long
	SESSION_CLOSING,  // nothing is read any more; closed when the answers are out
};

// Where the reader is inside a statement that is too long to keep (SPEC 7's lexical rules).
enum skip_at {
	SKIP_TEXT,
	SKIP_DOT,  // after a dot
	SKIP_LINE, // in a // comment
	SKIP_BLOCK,
};

struct session {
	TAILQ_ENTRY(session) link;       // all sessions
	TAILQ_ENTRY(session) ready_link; // those with something to execute
	TAILQ_ENTRY(session) held_link;  // those with answers to send
	TAILQ_ENTRY(session) event_link; // those that hear events
	struct server *server;
	struct bufferevent *bev;
	struct event *pause;   // a last dot ends the statement when nothing follows it for a while
	struct evbuffer *held; // answers of this turn; not empty: in the holding list
	enum session_state state;
	enum skip_at skip;
	bool ready, json;
	bool hears;      // events: in the list of those
	bool at_end;     // nothing will follow what is in the buffer
	bool eof;        // the client sends no more
	bool lingering;  // closing, and all answers are out
	uint64_t n_lost; // events since it was told one
	uid_t uid;
	struct principal speaker;
	char name[3 * PRINCIPAL_NAME_MAX];
};

TAILQ_HEAD(session_list, session);

struct server {
	struct event_base *base;
	struct server_conf conf;
	char *unix_path;
	struct evconnlistener *unix_listener, *tcp_listener;
	struct session_list sessions, ready, holding, hearing;
	struct server_stats stats;
};

// Takes the connected socket; when it is refused or memory is short the socket is closed.
void session_create(struct server *s, evutil_socket_t fd);
void session_destroy(struct session *x);
// Executes up to max statements. true: more is waiting.
bool session_execute(struct session *x, unsigned int max, server_exec_fn fn, void *ctx);
// One line to a session that hears events, unless it is backlogged.
void session_tell(struct session *x, const char *line);
// Lets the answers go; the session may end with them.
void session_send(struct session *x);
