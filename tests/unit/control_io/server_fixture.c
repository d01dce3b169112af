// SPDX-License-Identifier: Apache-2.0
#include "server_fixture.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/engine.h"
#include "control/log.h"
#include "control/loop.h"
#include "io_fixture.h"

struct serving {
	struct engine *engine;
	struct server *server;
	int64_t now_ns;
};

static bool user_exists(void *ctx, const char *user)
{
	struct serving *s = ctx;

	return engine_user_exists(s->engine, user);
}

static void on_user_dropped(void *ctx, const char *user)
{
	struct serving *s = ctx;

	server_end_sessions(s->server, user, "dropped");
}

static void exec(void *ctx, const struct principal *speaker, const char *text, size_t len, struct reply *reply)
{
	struct serving *s = ctx;

	engine_exec(s->engine, speaker, text, len, s->now_ns, reply);
}

static int64_t turn(void *ctx, int64_t now_ns)
{
	struct serving *s = ctx;
	bool more;

	s->now_ns = now_ns;
	more = server_execute(s->server, exec, s);
	server_send(s->server);
	return more ? now_ns : INT64_MAX;
}

static void serve(const struct fixture *f, const struct server_conf *given, int tell)
{
	const struct engine_conf engine_conf = {0};
	struct nib *nib = nib_create();
	struct serving s = {.engine = engine_create(&engine_conf, nib, loop_clock_ns())};
	struct server_conf conf = *given;
	struct err err;
	struct loop *loop = loop_create(&err);
	uint16_t ports[2];
	int ret = 1;

	signal(SIGPIPE, SIG_IGN);
	log_init("server", LOG_LEVEL_ERROR, NULL);
	conf.unix_path = f->path;
	conf.tcp_listen = "127.0.0.1:0";
	conf.user_exists = user_exists;
	conf.ctx = &s;
	engine_on_user_dropped(s.engine, on_user_dropped, &s);
	s.server = server_create(loop_base(loop), &conf, &err);
	if (s.server != NULL) {
		ports[0] = server_tcp_port(s.server);
		ports[1] = server_tls_port(s.server);
		if (write(tell, ports, sizeof(ports)) == sizeof(ports))
			ret = loop_run(loop, turn, &s);
	}
	server_destroy(s.server);
	engine_destroy(s.engine);
	nib_destroy(nib);
	loop_destroy(loop);
	SSL_CTX_free(conf.tls);
	exit(ret);
}

int server_start(void **state, const struct server_conf *conf)
{
	struct fixture *f = calloc(1, sizeof(*f));
	uint16_t ports[2];
	int tell[2];

	tmpdir_make(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/control.sock", f->dir);
	if (pipe(tell) < 0)
		return -1;
	fflush(NULL);
	f->pid = fork();
	if (f->pid == 0) {
		close(tell[0]);
		serve(f, conf, tell[1]);
	}
	close(tell[1]);
	assert_int_equal(read(tell[0], ports, sizeof(ports)), sizeof(ports));
	close(tell[0]);
	f->port = ports[0];
	f->tls_port = ports[1];
	*state = f;
	return 0;
}

int server_stop(void **state)
{
	struct fixture *f = *state;
	int status;

	kill(f->pid, SIGTERM);
	assert_int_equal(waitpid(f->pid, &status, 0), f->pid);
	assert_int_equal(status, 0);
	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

int join(const struct fixture *f)
{
	int fd = unix_connect(f->path);

	assert_true(fd >= 0);
	return fd;
}

int join_as_root(const struct fixture *f)
{
	int fd = join(f);

	hear(fd, "Login: ");
	say(fd, "root.\n");
	hear(fd, "logged in\nroot> ");
	return fd;
}

void hear_end(int fd)
{
	char rest[256];

	assert_int_equal(hear_rest(fd, rest, sizeof(rest)), 0);
}
