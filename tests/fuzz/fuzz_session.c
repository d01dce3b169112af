// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a client sends: through the real session code, in pieces, to a real engine. The session must end
// when its input does, greet first, and each line that looks like JSON must be JSON. The first byte says how large the
// pieces are.
#include <event2/event.h>
#include <jansson.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/engine.h"
#include "control/log.h"
#include "control/server.h"
#include "control/session.h"

#define START_NS 1700000000000000000
#define OUTPUT_MAX (4 << 20)
#define TURNS_MAX 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct play {
	struct event_base *base;
	struct server *server;
	struct engine *engine;
	int64_t now_ns;
	int fd;
	char *output;
	size_t len;
};

static struct play p;
static char dir[] = "/tmp/pane-fuzz-XXXXXX", path[64];
static struct auth_rule me_as_root = {"root", "nobody"};

static bool user_exists(void *ctx, const char *user)
{
	return engine_user_exists(p.engine, user);
}

static void on_user_dropped(void *ctx, const char *user)
{
	server_end_sessions(p.server, user, "dropped");
}

static void tidy(void)
{
	unlink(path);
	rmdir(dir);
}

static void start_once(void)
{
	const struct passwd *pw = getpwuid(geteuid());
	struct server_conf conf = {.unix_path = path, .user_exists = user_exists, .auth = {&me_as_root, 1}};
	struct err err;

	if (p.server != NULL)
		return;
	if (pw != NULL)
		me_as_root.os_user = strdup(pw->pw_name);
	if (mkdtemp(dir) == NULL)
		abort();
	snprintf(path, sizeof(path), "%s/socket", dir);
	atexit(tidy);
	log_init("fuzz", LOG_LEVEL_ERROR, NULL);
	p.base = event_base_new();
	p.output = malloc(OUTPUT_MAX);
	p.server = server_create(p.base, &conf, &err);
	if (p.base == NULL || p.output == NULL || p.server == NULL)
		abort();
}

static void exec(void *ctx, const struct principal *speaker, const char *statement, size_t len, struct reply *reply)
{
	engine_exec(p.engine, speaker, statement, len, p.now_ns, reply);
}

// What the socket holds goes through, and out again.
static void turn(void)
{
	ssize_t n;

	event_base_loop(p.base, EVLOOP_NONBLOCK);
	engine_advance(p.engine, p.now_ns);
	while (server_execute(p.server, exec, NULL))
		;
	server_send(p.server);
	event_base_loop(p.base, EVLOOP_NONBLOCK);
	while ((n = recv(p.fd, p.output + p.len, OUTPUT_MAX - p.len, MSG_DONTWAIT)) > 0)
		p.len += (size_t)n;
	if (p.len == OUTPUT_MAX)
		p.len = OUTPUT_MAX / 2; // not all of it is looked at
}

static void check_output(void)
{
	char *line = p.output, *end;

	if (p.len < 7 || memcmp(p.output, "Login: ", 7) != 0)
		abort();
	for (; (end = memchr(line, '\n', (size_t)(p.output + p.len - line))) != NULL; line = end + 1) {
		json_t *json;

		if (*line != '{')
			continue;
		json = json_loadb(line, (size_t)(end - line), 0, NULL);
		if (json == NULL && p.len < OUTPUT_MAX / 2)
			abort();
		json_decref(json);
	}
}

static unsigned int n_sessions(void)
{
	struct server_stats stats;

	server_stats(p.server, &stats);
	return stats.sessions;
}

static void play(const uint8_t *data, size_t size, size_t piece)
{
	while (size > 0) {
		size_t n = size < piece ? size : piece;
		ssize_t sent = send(p.fd, data, n, MSG_DONTWAIT | MSG_NOSIGNAL);

		turn();
		p.now_ns += 250000000;
		if (sent < 0 && n_sessions() == 0)
			break;
		if (sent > 0) {
			data += sent;
			size -= (size_t)sent;
		}
	}
	shutdown(p.fd, SHUT_WR);
	for (int i = 0; n_sessions() > 0; i++) {
		turn();
		if (i == TURNS_MAX)
			abort(); // it does not end
	}
	turn();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct engine_conf conf = {.offline = false};
	struct nib *nib = nib_create();
	struct err err;
	int fds[2];

	start_once();
	if (size == 0 || nib == NULL || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
		nib_destroy(nib);
		return 0;
	}
	nib_host_add(nib, "h1", "10.0.0.1", &err);
	p.engine = engine_create(&conf, nib, START_NS);
	engine_on_user_dropped(p.engine, on_user_dropped, NULL);
	p.now_ns = START_NS;
	p.len = 0;
	p.fd = fds[1];
	session_create(p.server, fds[0], false);
	play(data + 1, size - 1, data[0] == 0 ? 1 : data[0] * 16u);
	check_output();
	close(p.fd);
	engine_destroy(p.engine);
	nib_destroy(nib);
	return 0;
}
