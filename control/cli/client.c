// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/auth.h"

#define GREETING "Login: "

struct client {
	FILE *in;
	int fd;
	bool greeted;
	char *line;
	size_t cap;
	const char *socket;
	void (*on_event)(void *ctx, const json_t *event, const char *line);
	void *event_ctx;
};

static int connect_unix(const char *path, struct err *err)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd;

	if (strlen(path) >= sizeof(addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: the path of a socket has at most %zu bytes", path,
			       sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		int code = errno;

		if (fd >= 0)
			close(fd);
		return err_set(err, code, "cannot connect to %s: %s%s", path, strerror(code),
			       code == ENOENT || code == ECONNREFUSED ? " (does pane-switchd run? --socket says where)"
								      : "");
	}
	return fd;
}

static int connect_tcp(const char *text, struct err *err)
{
	struct sockaddr_storage addr;
	socklen_t len;
	int fd;

	if (auth_listen_parse(text, &addr, &len, err) < 0)
		return -EINVAL;
	fd = socket(addr.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || connect(fd, (struct sockaddr *)&addr, len) < 0) {
		int code = errno;

		if (fd >= 0)
			close(fd);
		return err_set(err, code, "cannot connect to %s: %s", text, strerror(code));
	}
	return fd;
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

struct client *client_open(const char *socket, const char *user, struct err *err)
{
	struct client *c = calloc(1, sizeof(*c));
	char login[256];
	int len = snprintf(login, sizeof(login), "%s.", user);

	if (c == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	c->socket = socket;
	c->fd = strchr(socket, '/') == NULL && strchr(socket, ':') != NULL ? connect_tcp(socket, err)
									   : connect_unix(socket, err);
	if (c->fd >= 0)
		c->in = fdopen(dup(c->fd), "r");
	if (c->fd < 0 || c->in == NULL || len >= (int)sizeof(login) || client_send(c, "mode json.", 10, err) < 0 ||
	    client_send(c, login, (size_t)len, err) < 0 || expect_ok(c, err) < 0 || expect_ok(c, err) < 0) {
		client_close(c);
		return NULL;
	}
	return c;
}

void client_close(struct client *c)
{
	if (c == NULL)
		return;
	if (c->in != NULL)
		fclose(c->in);
	if (c->fd >= 0)
		close(c->fd);
	free(c->line);
	free(c);
}

static int send_all(struct client *c, const char *data, size_t len, struct err *err)
{
	while (len > 0) {
		ssize_t n = send(c->fd, data, len, MSG_NOSIGNAL);

		// The server may have said why before it closed: the reader finds out.
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return err_set(err, EIO, "%s: %s", c->socket, strerror(errno));
		data += n;
		len -= (size_t)n;
	}
	return 0;
}

int client_send(struct client *c, const char *statement, size_t len, struct err *err)
{
	// A blank after the dot tells the server that it ends the statement.
	if (send_all(c, statement, len, err) < 0 || send_all(c, "\n", 1, err) < 0)
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
	ssize_t len = getline(&c->line, &c->cap, c->in);
	char *text = c->line;
	json_t *answer;

	if (len < 0) {
		err_set(err, EPROTO, "%s: the server closed the session", c->socket);
		return NULL;
	}
	if (len > 0 && text[len - 1] == '\n')
		text[len - 1] = '\0';
	if (!c->greeted && strncmp(text, GREETING, strlen(GREETING)) == 0)
		text += strlen(GREETING);
	c->greeted = true;
	*line = text;
	answer = json_loads(text, 0, NULL);
	if (!json_is_object(answer)) {
		json_decref(answer);
		// e.g. a session refused before a mode could be chosen
		err_set(err, EPROTO, "%s: the server said: %.300s", c->socket, text);
		return NULL;
	}
	return answer;
}

json_t *client_receive(struct client *c, const char **line, struct err *err)
{
	for (;;) {
		json_t *answer = receive_line(c, line, err);

		if (answer == NULL || json_object_get(answer, "event") == NULL)
			return answer;
		if (c->on_event != NULL)
			c->on_event(c->event_ctx, answer, *line);
		json_decref(answer);
	}
}
