// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conn.h"

#define GREETING "Login: "
#define READ_SIZE 65536

#define CAPTURE_LASTS_S 70 // at most, with the answers of the dataplane

struct client {
	struct conn conn;
	unsigned int timeout_s;
	char user[3 * PRINCIPAL_NAME_MAX];
	char *text; // received: [at, len) is not handed out yet
	size_t at, len, cap;
	bool lost;      // an answer did not come: those that come later would be taken for others'
	struct err why; // then: what was said of it
	void (*on_event)(void *ctx, const json_t *event, const char *line);
	void *event_ctx;
};

// Some more bytes. -1: the end, or an error.
static int fill(struct client *c, struct err *err)
{
	ssize_t n;

	if (c->at > 0) {
		memmove(c->text, c->text + c->at, c->len - c->at);
		c->len -= c->at;
		c->at = 0;
	}
	if (c->cap - c->len < READ_SIZE) {
		size_t cap = 2 * c->cap + 2 * READ_SIZE;
		char *text = realloc(c->text, cap);

		if (text == NULL)
			return err_set(err, ENOMEM, "out of memory");
		c->text = text;
		c->cap = cap;
	}
	n = conn_receive(&c->conn, c->text + c->len, c->cap - c->len - 1, err);
	if (n == 0)
		return err_set(err, EPROTO, "%s: the server closed the session", c->conn.name);
	if (n < 0)
		return -1;
	c->len += (size_t)n;
	return 0;
}

// The next line, without its newline, valid until the next call. NULL: there is none.
static char *next_line(struct client *c, struct err *err)
{
	size_t seen = 0;
	char *end, *line;

	while ((end = c->len > c->at + seen ? memchr(c->text + c->at + seen, '\n', c->len - c->at - seen) : NULL) ==
	       NULL) {
		seen = c->len - c->at;
		if (fill(c, err) < 0)
			return NULL;
	}
	line = c->text + c->at;
	*end = '\0';
	c->at = (size_t)(end - c->text) + 1;
	return line;
}

// The answer to a statement of the login. 0, or -EPROTO with what the server said.
static int expect_ok(struct client *c, struct err *err)
{
	const char *line;
	json_t *answer = client_receive(c, &line, err);
	int ret = 0;

	if (answer == NULL)
		return -EPROTO;
	if (!json_is_true(json_object_get(answer, "ok"))) {
		const char *why = json_string_value(json_object_get(answer, "why"));

		ret = err_set(err, EPROTO, "%s", why != NULL ? why : line);
	}
	json_decref(answer);
	return ret;
}

// The server speaks first; with TLS it is then that it has judged the certificate.
static int expect_greeting(struct client *c, struct err *err)
{
	const char *line;

	while (c->len < strlen(GREETING) && (c->len == 0 || memcmp(c->text, GREETING, c->len) == 0))
		if (fill(c, err) < 0)
			return -EPROTO;
	if (memcmp(c->text, GREETING, strlen(GREETING)) == 0) {
		c->at = strlen(GREETING);
		return 0;
	}
	line = next_line(c, err);
	return line == NULL ? -EPROTO : err_set(err, EPROTO, "%s: the server said: %.300s", c->conn.name, line);
}

static int log_in(struct client *c, struct err *err)
{
	char login[sizeof(c->user) + 2];
	int len = snprintf(login, sizeof(login), "%s.", c->user);

	if (expect_greeting(c, err) < 0 || client_send(c, "mode json.", 10, err) < 0 ||
	    client_send(c, login, (size_t)len, err) < 0 || expect_ok(c, err) < 0 || expect_ok(c, err) < 0)
		return -EPROTO;
	return 0;
}

struct client *client_open(const struct client_conf *conf, const char *user, struct err *err)
{
	struct client *c = calloc(1, sizeof(*c));
	struct principal own = {"", "", ""};
	int ret;

	if (c == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	ret = conf->tls != NULL ? conn_open_tls(&c->conn, conf->tls, &conf->files, user == NULL ? &own : NULL, err)
				: conn_open(&c->conn, conf->socket, err);
	if (user == NULL)
		principal_format(&own, c->user, sizeof(c->user));
	else if (ret == 0 && (size_t)snprintf(c->user, sizeof(c->user), "%s", user) >= sizeof(c->user))
		ret = err_set(err, EINVAL, "%.64s...: no user has such a long name", user);
	c->timeout_s = conf->timeout_s;
	if (ret == 0)
		client_patience(c, 0);
	if (ret < 0 || log_in(c, err) < 0) {
		client_close(c);
		return NULL;
	}
	return c;
}

void client_patience(struct client *c, int more_s)
{
	conn_patience(&c->conn, c->timeout_s == 0 || more_s < 0 ? 0 : c->timeout_s + (unsigned int)more_s);
}

const char *client_user(const struct client *c)
{
	return c->user;
}

void client_close(struct client *c)
{
	if (c == NULL)
		return;
	conn_close(&c->conn);
	free(c->text);
	free(c);
}

int client_send(struct client *c, const char *statement, size_t len, struct err *err)
{
	if (c->lost) {
		*err = c->why;
		return -EIO;
	}
	// A blank after the dot tells the server that it ends the statement.
	if (len >= 7 && memcmp(statement, "capture", 7) == 0)
		client_patience(c, CAPTURE_LASTS_S);
	if (conn_send(&c->conn, statement, len, err) < 0 || conn_send(&c->conn, "\n", 1, err) < 0)
		return -EIO;
	return 0;
}

void client_on_event(struct client *c, void (*fn)(void *ctx, const json_t *event, const char *line), void *ctx)
{
	c->on_event = fn;
	c->event_ctx = ctx;
}

// An answer or an event.
static json_t *receive_line(struct client *c, const char **line, struct err *err)
{
	char *text = next_line(c, err);
	json_t *answer;

	if (text == NULL)
		return NULL;
	*line = text;
	answer = json_loads(text, 0, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		err_set(err, EPROTO, "%s: the server said: %.300s", c->conn.name, text);
		return NULL;
	}
	return answer;
}

json_t *client_receive(struct client *c, const char **line, struct err *err)
{
	if (c->lost) {
		*err = c->why;
		return NULL;
	}
	for (;;) {
		json_t *answer = receive_line(c, line, err);

		c->lost = answer == NULL;
		if (c->lost)
			c->why = *err;
		if (answer == NULL || json_object_get(answer, "event") == NULL)
			return answer;
		if (c->on_event != NULL)
			c->on_event(c->event_ctx, answer, *line);
		json_decref(answer);
	}
}

int client_fd(const struct client *c)
{
	return c->conn.fd;
}

int client_take_events(struct client *c, struct err *err)
{
	const char *line;

	if (fill(c, err) < 0)
		return -1;
	while (memchr(c->text + c->at, '\n', c->len - c->at) != NULL) {
		json_t *event = receive_line(c, &line, err);

		if (event == NULL)
			return -1;
		if (c->on_event != NULL && json_object_get(event, "event") != NULL)
			c->on_event(c->event_ctx, event, line);
		json_decref(event);
	}
	return 0;
}
