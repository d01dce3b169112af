// SPDX-License-Identifier: Apache-2.0
#include "supervise.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "log.h"
#include "loop.h"

#define MS 1000000LL
#define POLL_NS (10 * MS) // while a child is not up yet
#define IDLE_NS (1000 * MS)
#define STEADY_NS (10000 * MS) // up for so long: the next death counts as the first
#define STOP_MS 3000

static const int signals[] = {SIGCHLD, SIGTERM, SIGINT, SIGHUP};

struct supervisor {
	struct supervise_child *children;
	unsigned int n_children;
	bool told_ready, stop;
	int status;
};

static void start(struct supervise_child *child);
static void reap(struct supervisor *s, int64_t now_ns);
static void look(struct supervisor *s, int64_t now_ns);
static void stop_all(struct supervisor *s);
static int wait_signal(int64_t wait_ns);
static void notify(const char *state);
static void pass_on(const struct supervisor *s, int sig);

int supervise_run(struct supervise_child *children, unsigned int n_children, void (*on_hangup)(void *ctx), void *ctx)
{
	struct supervisor s = {.children = children, .n_children = n_children};
	sigset_t set, old;

	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, &old);
	for (unsigned int i = 0; i < n_children; i++) {
		children[i].ready_fd = -1;
		start(&children[i]);
	}
	while (!s.stop) {
		int64_t now_ns = loop_uptime_ns(), wait_ns = IDLE_NS;
		int sig;

		look(&s, now_ns);
		for (unsigned int i = 0; i < n_children; i++) {
			if (children[i].pid == 0 && children[i].restart_ns - now_ns < wait_ns)
				wait_ns = children[i].restart_ns - now_ns;
			else if (children[i].pid != 0 && !children[i].up && wait_ns > POLL_NS)
				wait_ns = POLL_NS;
		}
		sig = wait_signal(wait_ns);
		if (sig == SIGTERM || sig == SIGINT)
			s.stop = true;
		else if (sig == SIGHUP) {
			if (on_hangup != NULL)
				on_hangup(ctx);
			pass_on(&s, SIGHUP);
		}
		reap(&s, loop_uptime_ns());
		log_flush(false);
	}
	stop_all(&s);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return s.status;
}

// In the child, between fork and exec.
__attribute__((noreturn)) static void become_child(const struct supervise_child *child, pid_t parent, int ready_fd)
{
	char fd_text[16];
	sigset_t none;

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	unsetenv("NOTIFY_SOCKET");
	if (ready_fd >= 0) {
		fcntl(ready_fd, F_SETFD, 0);
		snprintf(fd_text, sizeof(fd_text), "%d", ready_fd);
		setenv(SUPERVISE_READY_ENV, fd_text, 1);
	} else {
		unsetenv(SUPERVISE_READY_ENV);
	}
	if (child->was_up)
		setenv(SUPERVISE_AGAIN_ENV, "1", 1);
	else
		unsetenv(SUPERVISE_AGAIN_ENV);
	execv(child->path, child->argv);
	log_error("%s: cannot execute %s: %s", child->name, child->path, strerror(errno));
	_exit(127);
}

static void start(struct supervise_child *child)
{
	pid_t parent = getpid();
	int fds[2] = {-1, -1};

	child->up = false;
	if (child->ready_path != NULL)
		unlink(child->ready_path);
	else if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
		log_error("%s: no pipe: %s", child->name, strerror(errno));
	child->pid = fork();
	if (child->pid == 0)
		become_child(child, parent, fds[1]);
	if (fds[1] >= 0)
		close(fds[1]);
	if (child->ready_fd >= 0)
		close(child->ready_fd);
	child->ready_fd = fds[0];
	if (child->pid > 0) {
		log_info("%s started, pid %d", child->name, (int)child->pid);
		return;
	}
	log_error("%s: cannot fork: %s", child->name, strerror(errno));
	child->pid = 0;
	child->restart_ns = loop_uptime_ns() + IDLE_NS;
}

static bool is_up(const struct supervise_child *child)
{
	char byte;

	if (child->ready_path != NULL)
		return access(child->ready_path, F_OK) == 0;
	return child->ready_fd >= 0 && read(child->ready_fd, &byte, 1) == 1;
}

// Starts what is due, and sees who has come up.
static void look(struct supervisor *s, int64_t now_ns)
{
	bool all = true;

	for (unsigned int i = 0; i < s->n_children; i++) {
		struct supervise_child *child = &s->children[i];

		if (child->pid == 0 && child->restart_ns <= now_ns)
			start(child);
		if (child->pid != 0 && !child->up && is_up(child)) {
			child->up = child->was_up = true;
			child->up_ns = now_ns;
			log_info("%s is up", child->name);
		}
		all = all && child->up;
	}
	if (!all || s->told_ready)
		return;
	s->told_ready = true;
	log_info("ready");
	notify("READY=1");
}

static void say_death(const struct supervise_child *child, int status, int64_t wait_ns)
{
	char how[64], next[64] = "starting it again now";

	if (WIFSIGNALED(status))
		snprintf(how, sizeof(how), "was killed by signal %d (%s)", WTERMSIG(status),
			 strsignal(WTERMSIG(status)));
	else
		snprintf(how, sizeof(how), "ended with status %d", WEXITSTATUS(status));
	if (wait_ns > 0)
		snprintf(next, sizeof(next), "starting it again in %d ms", (int)(wait_ns / MS));
	log_error("%s (pid %d) %s: %s", child->name, (int)child->pid, how, next);
}

static void on_death(struct supervisor *s, struct supervise_child *child, int status, int64_t now_ns)
{
	int64_t wait_ns = 0;

	if (!child->was_up && WIFEXITED(status)) {
		log_error("%s (pid %d) could not start (status %d): stopping", child->name, (int)child->pid,
			  WEXITSTATUS(status));
		s->stop = true;
		s->status = 1;
	} else {
		if (child->up && now_ns - child->up_ns >= STEADY_NS)
			child->deaths = 0;
		if (child->deaths > 0)
			wait_ns = child->deaths > 4 ? 1000 * MS : (100 * MS) << (child->deaths - 1);
		child->deaths++;
		say_death(child, status, wait_ns);
	}
	child->pid = 0;
	child->up = false;
	child->restart_ns = now_ns + wait_ns;
}

// It was asked to.
static void on_end(struct supervisor *s, struct supervise_child *child, int status)
{
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGTERM && !child->killed) {
		log_error("%s (pid %d) was killed by signal %d (%s) while it stopped", child->name, (int)child->pid,
			  WTERMSIG(status), strsignal(WTERMSIG(status)));
		s->status = 1;
	}
	child->pid = 0;
}

static void reap(struct supervisor *s, int64_t now_ns)
{
	for (unsigned int i = 0; i < s->n_children; i++) {
		struct supervise_child *child = &s->children[i];
		int status;

		if (child->pid == 0 || waitpid(child->pid, &status, WNOHANG) != child->pid)
			continue;
		if (s->stop)
			on_end(s, child, status);
		else
			on_death(s, child, status, now_ns);
	}
}

static void signal_all(const struct supervisor *s, int sig)
{
	for (unsigned int i = 0; i < s->n_children; i++) {
		if (s->children[i].pid > 0)
			kill(s->children[i].pid, sig);
	}
}

// Who is not up yet reads everything anyway, and might not be ready for a signal.
static void pass_on(const struct supervisor *s, int sig)
{
	log_info(
		"SIGHUP: certificates and the ports of the configuration are read again, the rest of it at start only");
	for (unsigned int i = 0; i < s->n_children; i++) {
		if (s->children[i].pid > 0 && s->children[i].up)
			kill(s->children[i].pid, sig);
	}
}

static unsigned int n_running(const struct supervisor *s)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < s->n_children; i++)
		n += s->children[i].pid > 0;
	return n;
}

static void kill_late(struct supervisor *s, int64_t since_ns)
{
	for (unsigned int i = 0; i < s->n_children; i++) {
		struct supervise_child *child = &s->children[i];
		unsigned int stop_ms = child->stop_ms == 0 ? STOP_MS : child->stop_ms;

		if (child->pid == 0 || child->killed || loop_uptime_ns() - since_ns < stop_ms * MS)
			continue;
		log_error("%s (pid %d) did not stop in %u ms: killed", child->name, (int)child->pid, stop_ms);
		kill(child->pid, SIGKILL);
		child->killed = true;
		s->status = 1;
	}
}

static void stop_all(struct supervisor *s)
{
	int64_t start_ns = loop_uptime_ns();

	log_info("stopping");
	notify("STOPPING=1");
	s->stop = true;
	signal_all(s, SIGTERM);
	while (n_running(s) > 0) {
		kill_late(s, start_ns);
		wait_signal(POLL_NS);
		reap(s, loop_uptime_ns());
	}
	for (unsigned int i = 0; i < s->n_children; i++) {
		if (s->children[i].ready_fd >= 0)
			close(s->children[i].ready_fd);
	}
	log_info("stopped");
}

// 0 when the time is over.
static int wait_signal(int64_t wait_ns)
{
	struct timespec ts = {0};
	sigset_t set;
	int sig;

	if (wait_ns > 0)
		ts = (struct timespec){wait_ns / 1000000000, wait_ns % 1000000000};
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		sigaddset(&set, signals[i]);
	sig = sigtimedwait(&set, NULL, &ts);
	return sig > 0 ? sig : 0;
}

// systemd's sd_notify protocol: one datagram.
static void notify(const char *state)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t len = path != NULL ? strlen(path) : 0;
	int fd;

	if (len == 0 || len >= sizeof(addr.sun_path) || (path[0] != '/' && path[0] != '@'))
		return;
	memcpy(addr.sun_path, path, len);
	if (path[0] == '@')
		addr.sun_path[0] = '\0'; // the abstract name space
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&addr,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		log_warning("NOTIFY_SOCKET %s: %s", path, strerror(errno));
	close(fd);
}
