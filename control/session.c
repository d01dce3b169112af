// SPDX-License-Identifier: Apache-2.0
#include "session.h"

#include <errno.h>
#include <inttypes.h>
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
static const struct timeval login_time = {60, 0};
static const struct timeval linger_time = {1, 0};
static const struct timeval last_write_time = {10, 0};

static void on_read(struct bufferevent *bev, void *ctx);
static void on_write(struct bufferevent *bev, void *ctx);
static void on_event(struct bufferevent *bev, short what, void *ctx);
static void on_pause(evutil_socket_t fd, short what, void *ctx);
static void login(struct session *x, const char *text, size_t len);
static void execute(struct session *x, const char *text, size_t len, server_exec_fn fn, void *ctx);
static void refuse_too_long(struct session *x);
static bool skip(struct session *x);
static void hold(struct session *x, const char *text);
static void hold_reply(struct session *x, const struct reply *r);
static void start_closing(struct session *x);
static void make_ready(struct session *x);
static void hear_events(struct session *x, bool hears);

static bool may_open(struct server *s, uid_t uid)
{
	unsigned int same = 0;
	struct session *x;

	if (s->stats.sessions >= s->conf.max_sessions)
		return false;
	if (uid == 0)
		return true;
	TAILQ_FOREACH (x, &s->sessions, link)
		same += x->uid == uid;
	return same < s->conf.max_sessions_per_uid;
}

static void refuse_session(struct server *s, evutil_socket_t fd, const char *why)
{
	char line[600];
	int len = snprintf(line, sizeof(line), "session refused: %s\n", why);

	s->stats.refused_sessions++;
	log_warning("session refused: %s", why);
	send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL); // a courtesy: it may fail
	evutil_closesocket(fd);
}

void session_create(struct server *s, evutil_socket_t fd)
{
	struct session *x;
	struct err err;
	uid_t uid;

	if (auth_peer_uid(fd, &uid, &err) < 0) {
		refuse_session(s, fd, err.msg);
		return;
	}
	if (!may_open(s, uid)) {
		refuse_session(s, fd, "too many sessions");
		return;
	}
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		refuse_session(s, fd, "out of memory");
		return;
	}
	evutil_make_socket_nonblocking(fd);
	x->server = s;
	x->uid = uid;
	x->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	x->pause = evtimer_new(s->base, on_pause, x);
	x->held = evbuffer_new();
	s->stats.sessions++;
	s->stats.accepted++;
	TAILQ_INSERT_TAIL(&s->sessions, x, link);
	if (x->bev == NULL || x->pause == NULL || x->held == NULL) {
		if (x->bev == NULL)
			evutil_closesocket(fd);
		session_destroy(x);
		return;
	}
	bufferevent_setcb(x->bev, on_read, on_write, on_event, x);
	bufferevent_set_max_single_read(x->bev, READ_SIZE);
	bufferevent_setwatermark(x->bev, EV_WRITE, SERVER_BACKLOG_MAX / 2, 0);
	bufferevent_set_timeouts(x->bev, &login_time, NULL);
	bufferevent_enable(x->bev, EV_READ | EV_WRITE);
	evbuffer_add(bufferevent_get_output(x->bev), "Login: ", 7);
}

void session_destroy(struct session *x)
{
	struct server *s = x->server;

	log_info("session of uid %u as %s ended", (unsigned int)x->uid, x->name[0] != '\0' ? x->name : "nobody");
	TAILQ_REMOVE(&s->sessions, x, link);
	if (x->ready)
		TAILQ_REMOVE(&s->ready, x, ready_link);
	if (x->held != NULL && evbuffer_get_length(x->held) > 0)
		TAILQ_REMOVE(&s->holding, x, held_link);
	hear_events(x, false);
	s->stats.sessions--;
	if (x->bev != NULL)
		bufferevent_free(x->bev);
	if (x->pause != NULL)
		event_free(x->pause);
	if (x->held != NULL)
		evbuffer_free(x->held);
	free(x);
}

static bool backlogged(const struct session *x)
{
	return evbuffer_get_length(bufferevent_get_output(x->bev)) + evbuffer_get_length(x->held) > SERVER_BACKLOG_MAX;
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
			login(x, text + before, len);
		else
			execute(x, text + before, len, fn, ctx);
	} else if (have - before > SERVER_STATEMENT_MAX || have > 2 * SERVER_STATEMENT_MAX) {
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

static bool execute_some(struct session *x, unsigned int max, server_exec_fn fn, void *ctx)
{
	for (unsigned int i = 0; i < max; i++) {
		if (x->state == SESSION_CLOSING || backlogged(x))
			return false; // on_write goes on
		if (execute_next(x, fn, ctx) == 1)
			continue;
		if (x->eof)
			start_closing(x);
		else if (!x->at_end && after_dot(x))
			event_add(x->pause, &dot_pause);
		return false;
	}
	return true;
}

bool session_execute(struct session *x, unsigned int max, server_exec_fn fn, void *ctx)
{
	bool more = execute_some(x, max, fn, ctx);

	read_on(x);
	return more;
}

void session_send(struct session *x)
{
	struct evbuffer *out = bufferevent_get_output(x->bev);

	if (evbuffer_get_length(x->held) > 0)
		TAILQ_REMOVE(&x->server->holding, x, held_link);
	evbuffer_add_buffer(out, x->held);
}

static void hear_events(struct session *x, bool hears)
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
		hold(x, lost);
		x->n_lost = 0;
	}
	hold(x, line);
	hold(x, "\n");
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

// `mode json.` and `mode classic.` belong to the session, and the first may come before the login. 0: another
// statement.
static char mode_statement(const char *text, size_t len)
{
	size_t n = 0;

	if (len < 5 || memcmp(text, "mode", 4) != 0 || !lex_is_blank(text[4]))
		return 0;
	for (text += 4, len -= 4; len > 0 && lex_is_blank(*text); text++, len--)
		;
	while (n < len && text[n] >= 'a' && text[n] <= 'z')
		n++;
	for (size_t i = n; i < len; i++) {
		if (!lex_is_blank(text[i]) && text[i] != '.')
			return 0;
	}
	if (n == 4 && memcmp(text, "json", 4) == 0)
		return 'j';
	return n == 7 && memcmp(text, "classic", 7) == 0 ? 'c' : 0;
}

static void login_refused(struct session *x, enum reply_code code, const char *why)
{
	struct reply r;

	x->server->stats.refused_logins++;
	log_warning("login refused: uid %u: %s", (unsigned int)x->uid, why);
	reply_init(&r);
	reply_refuse(&r, code, "login refused: %s", why);
	if (x->json) {
		hold_reply(x, &r);
	} else {
		hold(x, "login refused: ");
		hold(x, why);
		hold(x, "\n");
	}
	reply_fini(&r);
	start_closing(x);
}

static void logged_in(struct session *x, const struct principal *p)
{
	struct reply r;

	x->speaker = *p;
	x->state = SESSION_OPEN;
	principal_format(p, x->name, sizeof(x->name));
	bufferevent_set_timeouts(x->bev, NULL, NULL);
	log_info("session: uid %u speaks as %s", (unsigned int)x->uid, x->name);
	hear_events(x, x->json);
	if (x->json) {
		reply_init(&r);
		hold_reply(x, &r);
		reply_fini(&r);
		return;
	}
	hold(x, "logged in\n");
	hold(x, x->name);
	hold(x, "> ");
}

// Whether the user may have this session too.
static bool within_limit(const struct session *x, const struct principal *p, struct err *err)
{
	unsigned int max = x->server->conf.max_sessions_per_user, same = 0;
	const struct session *other;

	if (max == 0 || strcmp(p->user, "root") == 0)
		return true;
	TAILQ_FOREACH (other, &x->server->sessions, link)
		same += other != x && strcmp(other->speaker.user, p->user) == 0;
	if (same < max)
		return true;
	err_set(err, EDQUOT, "%s has %u sessions, the most one may have", p->user, same);
	return false;
}

static void login(struct session *x, const char *text, size_t len)
{
	const struct server_conf *conf = &x->server->conf;
	char mode = mode_statement(text, len), name[4 * PRINCIPAL_NAME_MAX];
	struct principal p;
	struct reply r;
	struct err err;

	if (mode != 0) {
		x->json = mode == 'j';
		if (x->json) {
			reply_init(&r);
			hold_reply(x, &r);
			reply_fini(&r);
		} else {
			hold(x, "Login: ");
		}
		return;
	}
	if (len > 0 && text[len - 1] == '.')
		len--;
	while (len > 0 && lex_is_blank(text[len - 1]))
		len--;
	if (len >= sizeof(name) || memchr(text, '\0', len) != NULL) {
		login_refused(x, REPLY_BAD_VALUE, "expected a name such as alice or alice@10.0.0.5/ssh and a dot");
		return;
	}
	memcpy(name, text, len);
	name[len] = '\0';
	if (principal_parse(name, &p, &err) < 0)
		login_refused(x, REPLY_BAD_VALUE, err.msg);
	else if (auth_may_speak(&conf->auth, x->uid, &p, &err) < 0)
		login_refused(x, REPLY_NOT_PRINCIPAL, err.msg);
	else if (!conf->user_exists(conf->ctx, p.user)) {
		err_set(&err, ENOENT, "there is no user %s (root can `AddUser %s.`)", p.user, p.user);
		login_refused(x, REPLY_NO_USER, err.msg);
	} else if (!within_limit(x, &p, &err))
		login_refused(x, REPLY_LIMIT, err.msg);
	else
		logged_in(x, &p);
}

static void execute(struct session *x, const char *text, size_t len, server_exec_fn fn, void *ctx)
{
	struct reply r;

	reply_init(&r);
	fn(ctx, &x->speaker, text, len, &r);
	x->server->stats.statements++;
	if (r.code == REPLY_OK && r.set_json)
		x->json = true;
	else if (r.code == REPLY_OK && mode_statement(text, len) == 'c')
		x->json = false;
	hear_events(x, x->json);
	hold_reply(x, &r);
	if (r.close)
		start_closing(x);
	reply_fini(&r);
}

static void refuse_too_long(struct session *x)
{
	struct reply r;

	if (x->state == SESSION_LOGIN) {
		login_refused(x, REPLY_TOO_LONG, "expected a name and a dot");
		return;
	}
	reply_init(&r);
	reply_refuse(&r, REPLY_TOO_LONG, "a statement has at most %d bytes", SERVER_STATEMENT_MAX);
	hold_reply(x, &r);
	reply_fini(&r);
}

// Bytes of text up to and with the end of the statement, or all that tell nothing any more; *done: the end was there.
static size_t skip_scan(enum skip_at *at, const char *text, size_t len, bool at_end, bool *done)
{
	for (size_t i = 0; i < len; i++) {
		char c = text[i], next = i + 1 < len ? text[i + 1] : '\0';
		bool last = i + 1 == len && !at_end;

		*done = false;
		switch (*at) {
		case SKIP_DOT:
			*done = lex_is_blank(c) || (c == '/' && (next == '/' || next == '*'));
			if (*done || (c == '/' && last))
				return i;
			*at = SKIP_TEXT;
			// fall through
		case SKIP_TEXT:
			if (c == '/' && last)
				return i;
			if (c == '.')
				*at = SKIP_DOT;
			else if (c == '/' && (next == '/' || next == '*')) {
				*at = next == '/' ? SKIP_LINE : SKIP_BLOCK;
				i++;
			}
			break;
		case SKIP_LINE:
			if (c == '\n')
				*at = SKIP_TEXT;
			break;
		case SKIP_BLOCK:
			if (c == '*' && last)
				return i;
			if (c == '*' && next == '/') {
				*at = SKIP_TEXT;
				i++;
			}
			break;
		}
	}
	*done = at_end && *at == SKIP_DOT;
	return len;
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

static void hold(struct session *x, const char *text)
{
	if (evbuffer_get_length(x->held) == 0)
		TAILQ_INSERT_TAIL(&x->server->holding, x, held_link);
	if (evbuffer_add(x->held, text, strlen(text)) < 0)
		abort(); // out of memory with an answer owed: the supervisor starts again from the journal
}

static void hold_reply(struct session *x, const struct reply *r)
{
	char *text = x->json ? reply_render_json(r) : reply_render_classic(r);

	if (text == NULL)
		abort();
	hold(x, text);
	hold(x, "\n");
	if (!x->json && !r->close) {
		hold(x, x->name);
		hold(x, "> ");
	}
	free(text);
}

static void start_closing(struct session *x)
{
	const struct timeval soon = {0, 0};

	x->state = SESSION_CLOSING;
	hear_events(x, false);
	bufferevent_setwatermark(x->bev, EV_WRITE, 0, 0);
	bufferevent_set_timeouts(x->bev, NULL, &last_write_time);
	event_add(x->pause, &soon); // with nothing to send no write event would come
}
