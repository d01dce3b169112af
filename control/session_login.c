// SPDX-License-Identifier: Apache-2.0
// Who speaks in a session: the name that is given at `Login: `, against what proves it.
#include <errno.h>
#include <string.h>

#include "cmd_lex.h"
#include "log.h"
#include "session.h"
#include "session_text.h"

static void accept_mode(struct session *x, enum session_word word)
{
	struct reply r;

	x->json = word == SESSION_WORD_JSON;
	if (!x->json && word == SESSION_WORD_CLASSIC) {
		session_hold(x, "Login: ");
		return;
	}
	reply_init(&r);
	session_hold_reply(x, &r);
	reply_fini(&r);
}

// Before the login a session has no name for a prompt.
static void accept_quit(struct session *x)
{
	struct reply r;

	reply_init(&r);
	r.close = true;
	session_hold_reply(x, &r);
	reply_fini(&r);
	session_close(x);
}

void session_refuse_login(struct session *x, enum reply_code code, const char *why)
{
	struct reply r;

	x->server->stats.refused_logins++;
	log_warning("login refused: %s: %s", x->peer, why);
	reply_init(&r);
	reply_refuse(&r, code, "login refused: %s", why);
	if (x->json) {
		session_hold_reply(x, &r);
	} else {
		session_hold(x, json_string_value(json_object_get(r.body, "why")));
		session_hold(x, "\n");
	}
	reply_fini(&r);
	session_close(x);
}

static void logged_in(struct session *x, const struct principal *p)
{
	struct reply r;

	x->speaker = *p;
	x->state = SESSION_OPEN;
	principal_format(p, x->name, sizeof(x->name));
	event_del(x->deadline);
	if (x->ssl != NULL)
		session_watch_certificate(x);
	log_info("session: %s speaks as %s", x->peer, x->name);
	session_hear(x, x->json);
	if (x->json) {
		reply_init(&r);
		session_hold_reply(x, &r);
		reply_fini(&r);
		return;
	}
	session_hold(x, "logged in\n");
	session_hold(x, x->name);
	session_hold(x, "> ");
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

static bool is_proven(const struct session *x, const struct principal *p, struct err *err)
{
	char name[3 * PRINCIPAL_NAME_MAX], certified[3 * PRINCIPAL_NAME_MAX];

	if (x->ssl == NULL)
		return auth_may_speak(&x->server->conf.auth, x->uid, p, err) == 0;
	if (principal_covers(&x->certified, p))
		return true;
	principal_format(p, name, sizeof(name));
	principal_format(&x->certified, certified, sizeof(certified));
	err_set(err, EACCES, "the certificate of %s does not cover %s", certified, name);
	return false;
}

void session_login(struct session *x, const char *text, size_t len)
{
	const struct server_conf *conf = &x->server->conf;
	enum session_word word = session_word(text, len);
	char name[4 * PRINCIPAL_NAME_MAX];
	struct principal p;
	struct err err;

	if (word == SESSION_WORD_QUIT) {
		accept_quit(x);
		return;
	}
	if (word != SESSION_WORD_NONE) {
		accept_mode(x, word);
		return;
	}
	if (len > 0 && text[len - 1] == '.')
		len--;
	while (len > 0 && lex_is_blank(text[len - 1]))
		len--;
	if (len >= sizeof(name) || memchr(text, '\0', len) != NULL) {
		session_refuse_login(x, REPLY_BAD_VALUE,
				     "expected a name such as alice or alice@10.0.0.5/ssh and a dot");
		return;
	}
	memcpy(name, text, len);
	name[len] = '\0';
	if (principal_parse(name, &p, &err) < 0) {
		session_refuse_login(x, REPLY_BAD_VALUE, err.msg);
	} else if (!is_proven(x, &p, &err)) {
		session_refuse_login(x, REPLY_NOT_PRINCIPAL, err.msg);
	} else if (!conf->user_exists(conf->ctx, p.user)) {
		err_set(&err, ENOENT, "there is no user %s (root can `AddUser %s.`)", p.user, p.user);
		session_refuse_login(x, REPLY_NO_USER, err.msg);
	} else if (!within_limit(x, &p, &err)) {
		session_refuse_login(x, REPLY_LIMIT, err.msg);
	} else {
		logged_in(x, &p);
	}
}
