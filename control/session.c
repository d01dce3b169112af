// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "cmd_lex.h"
#include "cmd_parse.h"
#include "log.h"

#define INPUT_MAX (4 * SERVER_STATEMENT_MAX) // at which the socket is read no more until statements are executed
#define READ_SIZE 65536

static const struct timeval dot_pause = {0, 5000};
static const struct timeval linger_time = {1, 0};
static const struct timeval last_write_time = {10, 0};

static void on_read(struct bufferevent *bev, void *ctx);
static void on_write(struct bufferevent *bev, void *ctx);
bool session_is_gone(const struct session *x)
{
	struct pollfd fd = {.fd = bufferevent_getfd(x->bev)};

	return x->eof && poll(&fd, 1, 0) == 1 && (fd.revents & (POLLHUP | POLLERR)) != 0;
}

static void on_event(struct bufferevent *bev, short what, void *ctx);
static void on_pause(evutil_socket_t fd, short what, void *ctx);
static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx);
static void execute(struct session *x, const char *text, size_t len, server_exec_fn fn, void *ctx);
static void refuse_too_long(struct session *x);
static void refuse_rest(struct session *x);
static bool skip(struct session *x);
static void make_ready(struct session *x);

bool session_start(struct session *x)
{
	x->pause = evtimer_new(x->server->base, on_pause, x);
	x->held = evbuffer_new();
	if (x->pause == NULL || x->held == NULL ||
	    evbuffer_add_cb(bufferevent_get_output(x->bev), on_output, x) == NULL)
		return false;
	bufferevent_setcb(x->bev, on_read, on_write, on_event, x);
	bufferevent_set_max_single_read(x->bev, READ_SIZE);
	bufferevent_setwatermark(x->bev, EV_WRITE, SERVER_BACKLOG_MAX / 2, 0);
	return bufferevent_enable(x->bev, EV_READ | EV_WRITE) == 0;
}

static void forget_owed(struct session *x)
{
	if (x->owes != 0)
		reply_fini(&x->owed);
	x->owes = 0;
}

void session_destroy(struct session *x)
{
	struct server *s = x->server;

	if (x->state != SESSION_HANDSHAKE)
		log_info("session of %s as %s ended", x->peer, x->name[0] != '\0' ? x->name : "nobody");
	TAILQ_REMOVE(&s->sessions, x, link);
	if (x->ready)
		TAILQ_REMOVE(&s->ready, x, ready_link);
	if (x->held != NULL && evbuffer_get_length(x->held) > 0)
		TAILQ_REMOVE(&s->holding, x, held_link);
	session_hear(x, false);
	forget_owed(x);
	s->stats.sessions--;
	if (x->bev != NULL && x->held != NULL) {
		s->unread_bytes -= session_unread(x);
		evbuffer_remove_cb(bufferevent_get_output(x->bev), on_output, x);
	}
	if (x->bev != NULL)
		bufferevent_free(x->bev);
	if (x->pause != NULL)
		event_free(x->pause);
	if (x->deadline != NULL)
		event_free(x->deadline);
	if (x->held != NULL)
		evbuffer_free(x->held);
	free(x);
}

size_t session_unread(const struct session *x)
{
	return evbuffer_get_length(bufferevent_get_output(x->bev)) + evbuffer_get_length(x->held);
}

static void on_output(struct evbuffer *out, const struct evbuffer_cb_info *info, void *ctx)
{
	struct session *x = ctx;

	x->server->unread_bytes += info->n_added - info->n_deleted;
}

static bool backlogged(const struct session *x)
{
	return session_unread(x) >
	       (x->server->unread_bytes > SERVER_UNREAD_SOFT ? SERVER_BACKLOG_LOW : SERVER_BACKLOG_MAX);
}

// Blanks between statements, so that a client that only sends newlines does not fill its buffer.
static void drop_blanks(struct evbuffer *in)
{
	for (;;) {
		struct evbuffer_iovec v;
		const char *c;
		size_t n = 0;

		if (evbuffer_peek(in, -1, NULL, &v, 1) <= 0)
			return;
		for (c = v.iov_base; n < v.iov_len && lex_is_blank(c[n]); n++)
			;
		if (n == 0)
			return;
		evbuffer_drain(in, n);
	}
}

// The next statement. 1: executed; 0: more input must come.
static int execute_next(struct session *x, server_exec_fn fn, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(x->bev);
	size_t before = 0, len, have;
	const char *text;

	if (x->state == SESSION_SKIPPING && !skip(x))
		return 0;
	drop_blanks(in);
	have = evbuffer_get_length(in);
	if (have == 0)
		return 0;
	text = (const char *)evbuffer_pullup(in, -1);
	if (text == NULL)
		return 0;
	len = cmd_split(text, have, x->at_end, &before);
	if (len > SERVER_STATEMENT_MAX) {
		refuse_too_long(x);
	} else if (len > 0) {
		if (x->state == SESSION_LOGIN)
			session_login(x, text + before, len);
		else
			execute(x, text + before, len, fn, ctx);
	} else if (have - before > (x->state == SESSION_LOGIN ? SERVER_LOGIN_MAX : SERVER_STATEMENT_MAX) ||
		   have > 2 * SERVER_STATEMENT_MAX) {
		refuse_too_long(x);
		x->state = x->state == SESSION_OPEN ? SESSION_SKIPPING : x->state;
		x->skip = SKIP_TEXT;
		return 1;
	} else {
		return 0;
	}
	evbuffer_drain(in, before + len);
	return 1;
}

// The last byte that came was a dot: only time can tell whether it ends a statement.
static bool after_dot(const struct session *x)
{
	struct evbuffer *in = bufferevent_get_input(x->bev);
	size_t len = evbuffer_get_length(in);

	if (len == 0)
		return x->state == SESSION_SKIPPING && x->skip == SKIP_DOT;
	return evbuffer_pullup(in, -1)[len - 1] == '.';
}

static void read_on(struct session *x)
{
	bool reads = (bufferevent_get_enabled(x->bev) & EV_READ) != 0;

	if (!reads && !x->eof && evbuffer_get_length(bufferevent_get_input(x->bev)) < INPUT_MAX)
		bufferevent_enable(x->bev, EV_READ);
}

static bool execute_some(struct session *x, unsigned int max, int64_t end_ns, server_exec_fn fn, void *ctx)
{
	for (unsigned int i = 0; i < max && (i == 0 || server_clock_ns(x->server) < end_ns); i++) {
		if (x->state == SESSION_CLOSING || x->owes != 0 || backlogged(x))
			return false; // session_answer, or on_write, goes on
		if (execute_next(x, fn, ctx) == 1)
			continue;
		if (x->eof)
			refuse_rest(x);
		if (x->eof)
			session_close(x);
		else if (!x->at_end && after_dot(x))
			event_add(x->pause, &dot_pause);
		return false;
	}
	return true;
}

bool session_execute(struct session *x, unsigned int max, int64_t end_ns, server_exec_fn fn, void *ctx)
{
	bool more = execute_some(x, max, end_ns, fn, ctx);

	read_on(x);
	return more;
}

void session_send(struct session *x)
{
	struct evbuffer *out = bufferevent_get_output(x->bev);

	if (evbuffer_get_length(x->held) > 0)
		TAILQ_REMOVE(&x->server->holding, x, held_link);
	x->server->unread_bytes -= evbuffer_get_length(x->held); // on_output counts it again
	evbuffer_add_buffer(out, x->held);
}

void session_end(struct session *x, const char *why)
{
	json_t *event;
	char *line;

	if (x->state == SESSION_CLOSING)
		return;
	event = json_pack("{s:s, s:s}", "event", "session_end", "why", why);
	line = event != NULL ? json_dumps(event, JSON_COMPACT) : NULL;
	if (line != NULL && x->json)
		session_tell(x, line);
	free(line);
	json_decref(event);
	log_info("session of %s as %s is ended: %s", x->peer, x->name, why);
	session_close(x);
}

void session_hear(struct session *x, bool hears)
{
	if (hears == x->hears)
		return;
	x->hears = hears;
	if (hears)
		TAILQ_INSERT_TAIL(&x->server->hearing, x, event_link);
	else
		TAILQ_REMOVE(&x->server->hearing, x, event_link);
}

void session_tell(struct session *x, const char *line)
{
	struct server_stats *stats = &x->server->stats;
	char lost[64];

	if (backlogged(x)) {
		x->n_lost++;
		stats->lost_events++;
		return;
	}
	if (x->n_lost > 0) {
		snprintf(lost, sizeof(lost), "{\"event\":\"lost\",\"n\":%" PRIu64 "}\n", x->n_lost);
		session_hold(x, lost);
		x->n_lost = 0;
	}
	session_hold(x, line);
	session_hold(x, "\n");
	stats->events++;
}

static void make_ready(struct session *x)
{
	if (x->ready)
		return;
	x->ready = true;
	TAILQ_INSERT_TAIL(&x->server->ready, x, ready_link);
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct session *x = ctx;

	if (x->state == SESSION_CLOSING) {
		evbuffer_drain(bufferevent_get_input(bev), SIZE_MAX);
		return;
	}
	x->at_end = false;
	event_del(x->pause);
	// Not by libevent's high watermark: with a buffer left full it calls again and again.
	if (evbuffer_get_length(bufferevent_get_input(bev)) >= INPUT_MAX)
		bufferevent_disable(bev, EV_READ);
	make_ready(x);
}

static bool all_sent(const struct session *x)
{
	return evbuffer_get_length(bufferevent_get_output(x->bev)) == 0 && evbuffer_get_length(x->held) == 0;
}

// All answers are out: no more will come, and what the client still sends is read and dropped for a moment, because
// closing over unread input would make the client's kernel drop the answers too.
static void finish(struct session *x)
{
	if (x->ssl != NULL)
		SSL_shutdown(x->ssl);
	if (x->eof) {
		session_destroy(x);
		return;
	}
	x->lingering = true;
	evbuffer_drain(bufferevent_get_input(x->bev), SIZE_MAX);
	bufferevent_enable(x->bev, EV_READ);
	shutdown(bufferevent_getfd(x->bev), SHUT_WR);
	event_add(x->pause, &linger_time);
}

static void on_write(struct bufferevent *bev, void *ctx)
{
	struct session *x = ctx;

	if (x->state != SESSION_CLOSING)
		make_ready(x);
	else if (all_sent(x) && !x->lingering)
		finish(x);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct session *x = ctx;

	if (x->state == SESSION_HANDSHAKE) {
		session_on_handshake(x, what);
		return;
	}
	if ((what & BEV_EVENT_EOF) == 0 || (x->state == SESSION_CLOSING && all_sent(x))) {
		session_destroy(x); // an error, or too slow
		return;
	}
	x->eof = x->at_end = true;
	event_del(x->pause);
	make_ready(x);
}

static void on_pause(evutil_socket_t fd, short what, void *ctx)
{
	struct session *x = ctx;

	if (x->state == SESSION_CLOSING) {
		if (x->lingering)
			session_destroy(x);
		else if (all_sent(x))
			finish(x); // on_write does it otherwise
		return;
	}
	// A full buffer says nothing: the rest waits in the kernel.
	x->at_end = (bufferevent_get_enabled(x->bev) & EV_READ) != 0;
	make_ready(x);
}

static void execute(struct session *x, const char *text, size_t len, server_exec_fn fn, void *ctx)
{
	enum session_word word = session_word(text, len);
	struct reply r;

	reply_init(&r);
	// Leaving is nobody else's business, and never one statement too many.
	if (word == SESSION_WORD_QUIT)
		r.close = true;
	else
		fn(ctx, &x->speaker, text, len, &r);
	x->server->stats.statements++;
	if (r.code == REPLY_OK && word != SESSION_WORD_QUIT && word != SESSION_WORD_NONE)
		x->json = word == SESSION_WORD_JSON;
	session_hear(x, x->json);
	if (r.later != 0) {
		x->owes = r.later;
		x->owed = r;
		return;
	}
	session_hold_reply(x, &r);
	if (r.close)
		session_close(x);
	reply_fini(&r);
}

void session_answer(struct session *x)
{
	session_hold_reply(x, &x->owed);
	forget_owed(x);
	make_ready(x);
}

// Nothing more will come: what is left in the buffer is no statement, and its client is told so.
static void refuse_rest(struct session *x)
{
	struct evbuffer *in = bufferevent_get_input(x->bev);
	const char *text;
	struct reply r;
	size_t before, len;

	drop_blanks(in);
	len = evbuffer_get_length(in);
	text = (const char *)evbuffer_pullup(in, -1);
	if (len == 0 || text == NULL || x->state == SESSION_SKIPPING)
		return;
	if (cmd_split(text, len, true, &before) == 0 && before == len)
		return; // comments
	if (x->state == SESSION_LOGIN) {
		session_refuse_login(x, REPLY_SYNTAX, "expected a name and a dot");
		return;
	}
	reply_init(&r);
	refuse_unfinished(&r, text, len);
	session_hold_reply(x, &r);
	reply_fini(&r);
}

static void refuse_too_long(struct session *x)
{
	struct reply r;

	if (x->state == SESSION_LOGIN) {
		session_refuse_login(x, REPLY_TOO_LONG, "expected a name and a dot");
		return;
	}
	reply_init(&r);
	reply_refuse(&r, REPLY_TOO_LONG, "a statement has at most %d bytes", SERVER_STATEMENT_MAX);
	session_hold_reply(x, &r);
	reply_fini(&r);
}

// Inside a refused statement: drops its bytes. true: its end was found, the next statement begins here.
static bool skip(struct session *x)
{
	struct evbuffer *in = bufferevent_get_input(x->bev);
	size_t len = evbuffer_get_length(in);
	const char *text = (const char *)evbuffer_pullup(in, -1);
	bool done = false;

	if (len == 0 || text == NULL) {
		done = x->at_end && x->skip == SKIP_DOT;
	} else {
		evbuffer_drain(in, skip_scan(&x->skip, text, len, x->at_end, &done));
	}
	if (done)
		x->state = SESSION_OPEN;
	return done;
}

void session_hold(struct session *x, const char *text)
{
	if (evbuffer_get_length(x->held) == 0)
		TAILQ_INSERT_TAIL(&x->server->holding, x, held_link);
	x->server->unread_bytes += strlen(text);
	if (evbuffer_add(x->held, text, strlen(text)) < 0)
		abort(); // out of memory with an answer owed: the supervisor starts again from the journal
}

void session_hold_reply(struct session *x, const struct reply *r)
{
	char *text = x->json ? reply_render_json(r) : reply_render_classic(r);

	if (text == NULL)
		abort();
	session_hold(x, text);
	session_hold(x, "\n");
	if (!x->json && !r->close) {
		session_hold(x, x->name);
		session_hold(x, "> ");
	}
	free(text);
}

void session_close(struct session *x)
{
	const struct timeval soon = {0, 0};

	x->state = SESSION_CLOSING;
	forget_owed(x);
	event_del(x->deadline);
	session_hear(x, false);
	bufferevent_setwatermark(x->bev, EV_WRITE, 0, 0);
	bufferevent_set_timeouts(x->bev, NULL, &last_write_time);
	event_add(x->pause, &soon); // with nothing to send no write event would come
}
