// SPDX-License-Identifier: Apache-2.0
// The controller role as a process of its own, which a test starts, talks to and kills. No dataplane is there.
#pragma once
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/controller.h"
#include "control/log.h"
#include "control/rundir.h"
#include "io_fixture.h"

struct process {
	char dir[64], state[80], path[128]; // path: of its socket
	struct config config;
	pid_t pid; // 0: none runs
};

static inline void process_init(struct process *p)
{
	tmpdir_make(p->dir);
	snprintf(p->path, sizeof(p->path), "%s/control.sock", p->dir);
	snprintf(p->state, sizeof(p->state), "%s/state", p->dir);
	p->config = (struct config){.run_dir = p->dir, .state_dir = p->state};
}

static inline void process_fini(struct process *p)
{
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	tmpdir_remove(p->dir);
}

// Returns when statements are answered. checkpoint_every: entries, 0: as usual.
static inline void process_start(struct process *p, uint64_t checkpoint_every)
{
	struct err err;
	int ready[2];
	char byte;

	if (rundir_prepare(&p->config, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	p->pid = fork();
	if (p->pid == 0) {
		const struct controller_conf conf = {
			.config = &p->config, .ready_fd = ready[1], .checkpoint_every = checkpoint_every};

		close(ready[0]);
		signal(SIGPIPE, SIG_IGN);
		log_init("controller", LOG_LEVEL_ERROR, NULL);
		_exit(controller_run(&conf));
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

// Its exit status; -1: the signal ended it.
static inline int process_end(struct process *p, int sig)
{
	int status;

	kill(p->pid, sig);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	p->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}
