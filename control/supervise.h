// SPDX-License-Identifier: Apache-2.0
// Runs child processes: starts them, starts again what dies, stops all. Readiness is told to systemd ($NOTIFY_SOCKET).
// Thread: the process's only one; it owns SIGCHLD, SIGTERM, SIGINT and SIGHUP while it runs.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

// In a child's environment
#define SUPERVISE_READY_ENV "PANE_READY_FD" // write a byte there when up
#define SUPERVISE_AGAIN_ENV "PANE_AGAIN"    // set: it has been up before

struct supervise_child {
	const char *name;
	const char *path; // to execute
	char *const *argv;
	const char
		*ready_path; // up when this appears (removed before each start); NULL: when it writes to PANE_READY_FD

	unsigned int stop_ms; // how long it may take to stop; then it is killed. 0: 3000

	// supervise.c's own
	pid_t pid; // 0: not running
	int ready_fd;
	bool up, was_up, killed; // killed: it took too long to stop
	unsigned int deaths;     // in a row
	int64_t up_ns, restart_ns;
};

// Until SIGTERM or SIGINT: 0. 1: a child could not start at all (it ended by itself before it was ever up), or did not
// stop by itself (it was killed, by us or by others). A child that dies is started again at once, then with back-off up
// to 1 s. Stopping: SIGTERM, SIGKILL after stop_ms.
// on_hangup(ctx): SIGHUP came, before the children that are up get it; it may change their stop_ms. NULL: nothing is to
// be done.
int supervise_run(struct supervise_child *children, unsigned int n_children, void (*on_hangup)(void *ctx), void *ctx);
