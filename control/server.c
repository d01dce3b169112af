// SPDX-License-Identifier: Apache-2.0
#include "server.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "log.h"
#include "session.h"
#include "tls.h"

#define TURN_STATEMENTS 512 // of one session in one turn
#define TURN_SESSIONS 64
#define TURN_NS 5000000      // of one session, and all of them begin within the next:
#define TURN_ALL_NS 20000000 // then the loop has other things to look after, too

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx);
static void on_accept_tls(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx);
static void on_accept_error(struct evconnlistener *l, void *ctx);
static int listen_unix(struct server *s, struct err *err);
static int listen_tcp(struct server *s, const char *text, bool with_tls, struct evconnlistener **out, struct err *err);

struct server *server_create(struct event_base *base, const struct server_conf *conf, struct err *err)
{
	struct server *s = calloc(1, sizeof(*s));

	if (s == NULL || (s->unix_path = strdup(conf->unix_path)) == NULL) {
		err_set(err, ENOMEM, "command socket: out of memory");
		free(s);
		return NULL;
	}
	s->base = base;
	s->conf = *conf;
	if (s->conf.max_sessions == 0)
		s->conf.max_sessions = SERVER_SESSIONS_MAX;
	if (s->conf.handshake_ms == 0)
		s->conf.handshake_ms = SERVER_HANDSHAKE_MS;
	if (s->conf.login_ms == 0)
		s->conf.login_ms = SERVER_LOGIN_MS;
	if (s->conf.max_sessions_per_uid == 0)
		s->conf.max_sessions_per_uid = (s->conf.max_sessions + 1) / 2;
	TAILQ_INIT(&s->sessions);
	TAILQ_INIT(&s->ready);
	TAILQ_INIT(&s->holding);
	TAILQ_INIT(&s->hearing);
	if (listen_unix(s, err) < 0 ||
	    (conf->tcp_listen != NULL && listen_tcp(s, conf->tcp_listen, false, &s->tcp_listener, err) < 0) ||
	    (conf->tls_listen != NULL && listen_tcp(s, conf->tls_listen, true, &s->tls_listener, err) < 0)) {
		server_destroy(s);
		return NULL;
	}
	return s;
}

void server_destroy(struct server *s)
{
	struct session *x;

	if (s == NULL)
		return;
	while ((x = TAILQ_FIRST(&s->sessions)) != NULL)
		session_destroy(x);
	if (s->tcp_listener != NULL)
		evconnlistener_free(s->tcp_listener);
	if (s->tls_listener != NULL)
		evconnlistener_free(s->tls_listener);
	if (s->unix_listener != NULL) {
		evconnlistener_free(s->unix_listener);
		unlink(s->unix_path); // after a change of user this may not be allowed: the next start replaces it
	}
	free(s->unix_path);
	free(s);
}

static uint16_t bound_port(struct evconnlistener *l)
{
	struct sockaddr_storage addr;
	socklen_t len = sizeof(addr);

	if (l == NULL || getsockname(evconnlistener_get_fd(l), (struct sockaddr *)&addr, &len) < 0)
		return 0;
	// the port is at the same place in both families
	return ntohs(((struct sockaddr_in *)&addr)->sin_port);
}

uint16_t server_tcp_port(const struct server *s)
{
	return bound_port(s->tcp_listener);
}

uint16_t server_tls_port(const struct server *s)
{
	return bound_port(s->tls_listener);
}

int64_t server_clock_ns(const struct server *s)
{
	return s->conf.clock_ns != NULL ? s->conf.clock_ns() : 0;
}

bool server_execute(struct server *s, server_exec_fn fn, void *ctx)
{
	int64_t end_ns = server_clock_ns(s) + TURN_ALL_NS;

	// Who has had its turn goes to the end of the line.
	for (unsigned int i = 0; i < TURN_SESSIONS && (i == 0 || server_clock_ns(s) < end_ns); i++) {
		struct session *x = TAILQ_FIRST(&s->ready);

		if (x == NULL)
			break;
		TAILQ_REMOVE(&s->ready, x, ready_link);
		x->ready = session_execute(x, TURN_STATEMENTS, server_clock_ns(s) + TURN_NS, fn, ctx);
		if (x->ready)
			TAILQ_INSERT_TAIL(&s->ready, x, ready_link);
	}
	return !TAILQ_EMPTY(&s->ready);
}

static struct session *debtor(const struct server *s, uint64_t later)
{
	struct session *x;

	TAILQ_FOREACH (x, &s->sessions, link)
		if (later != 0 && x->owes == later)
			return x;
	return NULL;
}

struct reply *server_owed(struct server *s, uint64_t later)
{
	struct session *x = debtor(s, later);

	return x == NULL || session_is_gone(x) ? NULL : &x->owed;
}

void server_answer(struct server *s, uint64_t later)
{
	struct session *x = debtor(s, later);

	if (x != NULL)
		session_answer(x);
}

bool server_listens(const struct server *s, const char *user)
{
	const struct session *x;

	TAILQ_FOREACH (x, &s->hearing, event_link)
		if (user == NULL || strcmp(x->speaker.user, user) == 0)
			return true;
	return false;
}

void server_tell(struct server *s, const char *user, const char *line)
{
	struct session *x;

	TAILQ_FOREACH (x, &s->hearing, event_link)
		if (strcmp(x->speaker.user, user) == 0)
			session_tell(x, line);
}

// So much is unread that memory is in danger: who reads least goes.
static void end_slowest(struct server *s)
{
	struct session *x, *slowest = NULL;

	TAILQ_FOREACH (x, &s->sessions, link)
		if (slowest == NULL || session_unread(x) > session_unread(slowest))
			slowest = x;
	if (slowest == NULL)
		return;
	log_warning("session of %s as %s leaves %zu bytes of answers unread: ended", slowest->peer, slowest->name,
		    session_unread(slowest));
	session_destroy(slowest);
}

void server_send(struct server *s)
{
	struct session *x;

	while ((x = TAILQ_FIRST(&s->holding)) != NULL)
		session_send(x);
	while (s->unread_bytes > SERVER_UNREAD_MAX)
		end_slowest(s);
}

void server_end_sessions(struct server *s, const char *user, const char *why)
{
	struct session *x;

	TAILQ_FOREACH (x, &s->sessions, link)
		if (strcmp(x->speaker.user, user) == 0)
			session_end(x, why);
}

void server_renew_tls(struct server *s, SSL_CTX *tls)
{
	struct session *x;
	const char *why;
	char text[128];

	s->conf.tls = tls;
	TAILQ_FOREACH (x, &s->sessions, link) {
		if (x->ssl == NULL || x->state == SESSION_HANDSHAKE || x->state == SESSION_CLOSING ||
		    (why = tls_refuses(x->ssl, tls)) == NULL)
			continue;
		snprintf(text, sizeof(text), "its certificate: %s", why);
		session_end(x, text);
	}
}

void server_stats(const struct server *s, struct server_stats *out)
{
	*out = s->stats;
}

unsigned int server_raise_files(unsigned int max_sessions)
{
	const rlim_t others = 64;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return max_sessions;
	if (files.rlim_max < max_sessions + others && files.rlim_max != RLIM_INFINITY) {
		const struct rlimit more = {max_sessions + others, max_sessions + others};

		if (setrlimit(RLIMIT_NOFILE, &more) == 0) // root may
			return max_sessions;
	}
	files.rlim_cur = files.rlim_max;
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= max_sessions + others)
		return max_sessions;
	log_warning("only %u sessions at a time instead of limits.all_sessions %u: this process may open %llu files "
		    "(ulimit -Hn, systemd: LimitNOFILE=)",
		    (unsigned int)(files.rlim_cur > 2 * others ? files.rlim_cur - others : others), max_sessions,
		    (unsigned long long)files.rlim_cur);
	return (unsigned int)(files.rlim_cur > 2 * others ? files.rlim_cur - others : others);
}

static int bind_unix(int fd, const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct stat st;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "command socket %s: the path is too long", path);
	strcpy(addr.sun_path, path);
	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path); // of an earlier run: the lock on run_dir says that nobody else is there
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0 || chmod(path, 0666) < 0)
		return err_set(err, errno, "command socket %s: %s", path, strerror(errno));
	return 0;
}

static int listen_on(struct server *s, int fd, const char *name, evconnlistener_cb on_accept_fn,
		     struct evconnlistener **out, struct err *err)
{
	*out = evconnlistener_new(s->base, on_accept_fn, s, LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 512, fd);
	if (*out == NULL)
		return err_set(err, errno, "command socket %s: %s", name, strerror(errno));
	evconnlistener_set_error_cb(*out, on_accept_error);
	return 0;
}

static int listen_unix(struct server *s, struct err *err)
{
	int ret, fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return err_set(err, errno, "command socket: %s", strerror(errno));
	ret = bind_unix(fd, s->unix_path, err);
	if (ret == 0)
		ret = listen_on(s, fd, s->unix_path, on_accept, &s->unix_listener, err);
	if (ret < 0)
		close(fd);
	return ret;
}

static int listen_tcp(struct server *s, const char *text, bool with_tls, struct evconnlistener **out, struct err *err)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int on = 1, ret, fd;

	if ((with_tls ? auth_address_parse(text, &addr, &len, err) : auth_listen_parse(text, &addr, &len, err)) < 0)
		return -EINVAL;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return err_set(err, errno, "command socket: %s", strerror(errno));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (struct sockaddr *)&addr, len) < 0)
		ret = err_set(err, errno, "command socket %s: %s", text, strerror(errno));
	else
		ret = listen_on(s, fd, text, with_tls ? on_accept_tls : on_accept, out, err);
	if (ret < 0)
		close(fd);
	return ret;
}

static void on_accept(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx)
{
	session_create(ctx, fd, false);
}

static void on_accept_tls(struct evconnlistener *l, evutil_socket_t fd, struct sockaddr *addr, int len, void *ctx)
{
	int on = 1;

	// A peer that is gone without a word is noticed within minutes.
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	session_create(ctx, fd, true);
}

static void on_resume(evutil_socket_t fd, short what, void *ctx)
{
	evconnlistener_enable(ctx);
}

// Out of descriptors: a pause instead of a busy loop.
static void on_accept_error(struct evconnlistener *l, void *ctx)
{
	struct server *s = ctx;
	const struct timeval pause = {0, 100000};

	log_warning("cannot accept a session: %s", evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
	evconnlistener_disable(l);
	if (event_base_once(s->base, -1, EV_TIMEOUT, on_resume, l, &pause) < 0)
		evconnlistener_enable(l);
}
