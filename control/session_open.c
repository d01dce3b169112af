// SPDX-License-Identifier: Apache-2.0
// The beginning of a session: whether one more may be, the TLS handshake, and how long all that may take.
#include <errno.h>
#include <event2/bufferevent_ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "log.h"
#include "session.h"
#include "tls.h"

#define LOOK_S 60 // between two looks whether a certificate is over

static void on_deadline(evutil_socket_t fd, short what, void *ctx);

static bool may_open(const struct server *s, uid_t uid, struct err *err)
{
	const struct session *x;
	unsigned int same = 0;

	if (uid == 0)
		return true;
	TAILQ_FOREACH (x, &s->sessions, link)
		same += x->ssl == NULL && x->uid == uid;
	if (same < s->conf.max_sessions_per_uid)
		return true;
	err_set(err, EDQUOT, "uid %u has %u sessions, the most one may have", (unsigned int)uid, same);
	return false;
}

// Strangers: who has not shown a certificate, or not said a name yet, holds few places and for a short time.
static bool may_open_tls(const struct server *s, const char *address, struct err *err)
{
	unsigned int unproven = 0, same = 0;
	const struct session *x;

	TAILQ_FOREACH (x, &s->sessions, link) {
		if (x->ssl == NULL || x->name[0] != '\0')
			continue;
		unproven++;
		same += strcmp(x->peer, address) == 0;
	}
	if (unproven < SERVER_UNPROVEN_MAX && same < SERVER_UNPROVEN_MAX_PER_ADDRESS)
		return true;
	err_set(err, EDQUOT, "%s: too many TLS sessions that are not logged in", address);
	return false;
}

// Who is there, and whether one more may be: fills uid or, for TLS, the address in peer.
static bool let_in(struct server *s, evutil_socket_t fd, bool with_tls, uid_t *uid, char peer[64], struct err *err)
{
	if ((with_tls ? auth_peer_address(fd, peer, 64, err) : auth_peer_uid(fd, uid, err)) < 0)
		return false;
	if (!with_tls)
		snprintf(peer, 64, "uid %u", (unsigned int)*uid);
	if (s->stats.sessions >= s->conf.max_sessions) {
		err_set(err, EDQUOT, "too many sessions");
		return false;
	}
	return with_tls ? may_open_tls(s, peer, err) : may_open(s, *uid, err);
}

static void refuse_session(struct server *s, evutil_socket_t fd, bool with_tls, const char *why)
{
	char line[600];
	int len = snprintf(line, sizeof(line), "session refused: %s\n", why);

	s->stats.refused_sessions++;
	log_warning("session refused: %s", why);
	if (!with_tls)
		send(fd, line, (size_t)len, MSG_DONTWAIT | MSG_NOSIGNAL); // a courtesy: it may fail
	evutil_closesocket(fd);
}

static struct bufferevent *make_bev(struct session *x, evutil_socket_t fd, bool with_tls)
{
	struct server *s = x->server;
	struct bufferevent *bev;

	if (!with_tls)
		return bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	x->ssl = SSL_new(s->conf.tls);
	if (x->ssl == NULL)
		return NULL;
	bev = bufferevent_openssl_socket_new(s->base, fd, x->ssl, BUFFEREVENT_SSL_ACCEPTING, BEV_OPT_CLOSE_ON_FREE);
	if (bev == NULL) {
		SSL_free(x->ssl);
		x->ssl = NULL;
	}
	return bev;
}

static void wait_for(struct session *x, unsigned int ms)
{
	const struct timeval tv = {ms / 1000, ms % 1000 * 1000};

	event_add(x->deadline, &tv);
}

static void greet(struct session *x)
{
	x->state = SESSION_LOGIN;
	wait_for(x, x->server->conf.login_ms);
	evbuffer_add(bufferevent_get_output(x->bev), "Login: ", 7);
}

void session_create(struct server *s, evutil_socket_t fd, bool with_tls)
{
	uid_t uid = (uid_t)-1;
	struct session *x;
	struct err err;
	char peer[64];

	if (!let_in(s, fd, with_tls, &uid, peer, &err)) {
		refuse_session(s, fd, with_tls, err.msg);
		return;
	}
	x = calloc(1, sizeof(*x));
	if (x == NULL) {
		refuse_session(s, fd, with_tls, "out of memory");
		return;
	}
	evutil_make_socket_nonblocking(fd);
	x->server = s;
	x->uid = uid;
	memcpy(x->peer, peer, sizeof(x->peer));
	s->stats.sessions++;
	s->stats.accepted++;
	TAILQ_INSERT_TAIL(&s->sessions, x, link);
	x->deadline = evtimer_new(s->base, on_deadline, x);
	x->bev = make_bev(x, fd, with_tls);
	if (x->bev == NULL)
		evutil_closesocket(fd);
	if (x->bev == NULL || x->deadline == NULL || !session_start(x))
		session_destroy(x);
	else if (with_tls)
		wait_for(x, s->conf.handshake_ms);
	else
		greet(x);
}

static void refuse_handshake(struct session *x, unsigned long error)
{
	char why[256];

	tls_why(x->ssl, error, why, sizeof(why));
	log_warning("TLS session from %s refused: %s", x->peer, why);
	x->server->stats.refused_sessions++;
	session_destroy(x);
}

// Without a valid certificate there is no handshake; but the rules may have changed while it went on.
static int prove(struct session *x, struct err *err)
{
	X509 *cert = SSL_get0_peer_certificate(x->ssl);
	const char *why = cert == NULL ? "no client certificate" : tls_refuses(x->ssl, x->server->conf.tls);

	return why != NULL ? err_set(err, EACCES, "certificate: %s", why) : tls_principal(cert, &x->certified, err);
}

void session_on_handshake(struct session *x, short what)
{
	struct err err;

	if ((what & BEV_EVENT_CONNECTED) == 0) {
		refuse_handshake(x, bufferevent_get_openssl_error(x->bev));
	} else if (prove(x, &err) < 0) {
		x->state = SESSION_LOGIN;
		session_refuse_login(x, REPLY_NOT_PRINCIPAL, err.msg);
	} else {
		greet(x);
	}
}

void session_watch_certificate(struct session *x)
{
	int64_t left_s = tls_seconds_left(x->ssl);

	// In steps, since the clock that certificates go by may be set.
	wait_for(x, left_s > LOOK_S ? LOOK_S * 1000 : left_s < 0 ? 0 : (unsigned int)left_s * 1000 + 1000);
}

static void on_deadline(evutil_socket_t fd, short what, void *ctx)
{
	struct session *x = ctx;

	if (x->state == SESSION_OPEN || x->state == SESSION_SKIPPING) {
		if (tls_seconds_left(x->ssl) < 0)
			session_end(x, "its certificate: certificate has expired");
		else
			session_watch_certificate(x);
	} else if (x->state == SESSION_HANDSHAKE)
		refuse_handshake(x, 0);
	else if (x->state == SESSION_LOGIN)
		session_refuse_login(x, REPLY_LIMIT, "no name came in time");
}
