// SPDX-License-Identifier: Apache-2.0
// The supervisor runs in a process of its own, over shell scripts that write down what happens to them.
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/log.h"
#include "control/loop.h"
#include "control/supervise.h"
#include "io_fixture.h"

#define MS 1000000LL
#define PATIENT (30000 * MS)
#define ATTEMPTS 3 // at times that hold where the machine does not stand still meanwhile

struct fixture {
	char dir[64];
	pid_t pid;            // of the supervisor
	int notify;           // what systemd would listen on
	unsigned int stop_ms; // of the first child
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	tmpdir_make(f->dir);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/notify", f->dir);
	f->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (bind(f->notify, (struct sockaddr *)&addr, sizeof(addr)) < 0)
		return -1;
	setenv("NOTIFY_SOCKET", addr.sun_path, 1);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->pid > 0) {
		kill(f->pid, SIGKILL);
		waitpid(f->pid, NULL, 0);
	}
	close(f->notify);
	unsetenv("NOTIFY_SOCKET");
	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

// Two children: one says it is up by a file, the other through its descriptor. Each notes its pid in a file of its
// name.
static void start(struct fixture *f, const char *first, const char *second)
{
	char ready[128];
	char *first_argv[] = {"sh", "-c", (char *)first, NULL}, *second_argv[] = {"sh", "-c", (char *)second, NULL};
	struct supervise_child children[] = {
		{.name = "first", .path = "/bin/sh", .argv = first_argv, .ready_path = ready, .stop_ms = f->stop_ms},
		{.name = "second", .path = "/bin/sh", .argv = second_argv},
	};

	snprintf(ready, sizeof(ready), "%s/ready", f->dir);
	fflush(NULL);
	f->pid = fork();
	if (f->pid != 0)
		return;
	log_init("supervisor", LOG_LEVEL_ERROR, NULL);
	if (freopen("/dev/null", "w", stderr) == NULL || chdir(f->dir) < 0)
		_exit(99);
	_exit(supervise_run(children, 2, NULL, NULL));
}

#define FIRST "echo $$ >first.new; mv first.new first; : >ready; while :; do sleep 0.05; done"
#define SECOND "echo $$ >second.new; mv second.new second; echo 1 >&$PANE_READY_FD; while :; do sleep 0.05; done"

// The pid a child has noted, other than the last one; 0: none within the time.
static pid_t noted_pid(const struct fixture *f, const char *name, pid_t last, int64_t within_ns)
{
	int64_t end_ns = loop_uptime_ns() + within_ns;
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	do {
		FILE *file = fopen(path, "r");
		int pid = 0;

		if (file != NULL) {
			if (fscanf(file, "%d", &pid) != 1)
				pid = 0;
			fclose(file);
		}
		if (pid != 0 && pid != last)
			return pid;
		usleep(2000);
	} while (loop_uptime_ns() < end_ns);
	return 0;
}

static void make_file(const struct fixture *f, const char *name)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fclose(file);
}

static bool has_file(const struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	return access(path, F_OK) == 0;
}

static bool notified(const struct fixture *f, const char *state, int64_t within_ns)
{
	int64_t end_ns = loop_uptime_ns() + within_ns;
	char got[64];

	do {
		ssize_t n = recv(f->notify, got, sizeof(got) - 1, 0);

		if (n > 0) {
			got[n] = '\0';
			return strcmp(got, state) == 0;
		}
		usleep(2000);
	} while (loop_uptime_ns() < end_ns);
	return false;
}

static int end_status(struct fixture *f, int64_t within_ns)
{
	int64_t end_ns = loop_uptime_ns() + within_ns;
	int status;

	while (waitpid(f->pid, &status, WNOHANG) == 0) {
		if (loop_uptime_ns() > end_ns)
			fail_msg("the supervisor does not end");
		usleep(2000);
	}
	f->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// For another start in the same folder.
static void end_and_forget(struct fixture *f)
{
	char path[128];

	kill(f->pid, SIGTERM);
	assert_int_equal(end_status(f, PATIENT), 0);
	assert_true(notified(f, "STOPPING=1", 0));
	for (int i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, i == 0 ? "first" : i == 1 ? "second" : "ready");
		unlink(path);
	}
}

static void ready_is_told_when_both_are_up(void **state)
{
	struct fixture *f = *state;

	start(f, "until [ -e go ]; do sleep 0.02; done; " FIRST, SECOND);
	assert_true(noted_pid(f, "second", 0, PATIENT) > 0);
	assert_false(notified(f, "READY=1", 100 * MS));
	make_file(f, "go");
	assert_true(notified(f, "READY=1", PATIENT));
}

static void a_killed_child_is_back_at_once(void **state)
{
	struct fixture *f = *state;
	pid_t first, second, again;

	for (int attempt = 1;; attempt++) {
		int64_t killed;

		start(f, FIRST, SECOND);
		assert_true(notified(f, "READY=1", PATIENT));
		first = noted_pid(f, "first", 0, PATIENT);
		second = noted_pid(f, "second", 0, PATIENT);
		killed = loop_uptime_ns();
		kill(first, SIGKILL);
		again = noted_pid(f, "first", first, PATIENT);
		assert_true(again > 0);
		if (loop_uptime_ns() - killed < 1000 * MS)
			break;
		printf("attempt %d: back after %lld ms\n", attempt, (long long)(loop_uptime_ns() - killed) / MS);
		assert_true(attempt < ATTEMPTS);
		end_and_forget(f);
	}
	assert_int_equal(noted_pid(f, "second", 0, 0), second); // the other one goes on
	assert_int_equal(kill(second, 0), 0);
	// and the second time, after a pause, and the third
	for (int i = 0; i < 3; i++) {
		first = again;
		kill(first, SIGKILL);
		again = noted_pid(f, "first", first, PATIENT);
		assert_true(again > 0);
	}
	kill(f->pid, SIGTERM);
	assert_int_equal(end_status(f, PATIENT), 0);
	assert_int_equal(kill(again, 0), -1);
}

static void sigterm_and_sigint_stop_both_in_time(void **state)
{
	struct fixture *f = *state;

	for (int i = 0, attempt = 1; i < 2; i++) {
		pid_t first, second;
		int64_t asked;

		start(f, FIRST, SECOND);
		assert_true(notified(f, "READY=1", PATIENT));
		first = noted_pid(f, "first", 0, 0);
		second = noted_pid(f, "second", 0, 0);
		asked = loop_uptime_ns();
		kill(f->pid, i == 0 ? SIGTERM : SIGINT);
		assert_int_equal(end_status(f, PATIENT), 0);
		if (loop_uptime_ns() - asked > 900 * MS) {
			printf("attempt %d: ended after %lld ms\n", attempt,
			       (long long)(loop_uptime_ns() - asked) / MS);
			assert_true(attempt++ < ATTEMPTS);
			i--;
		}
		assert_true(kill(first, 0) == -1 && kill(second, 0) == -1);
		assert_true(notified(f, "STOPPING=1", 0));
	}
}

static void a_child_that_does_not_stop_is_killed(void **state)
{
	struct fixture *f = *state;
	pid_t first;

	start(f, "trap '' TERM; " FIRST, SECOND);
	assert_true(notified(f, "READY=1", PATIENT));
	first = noted_pid(f, "first", 0, 0);
	kill(f->pid, SIGTERM);
	assert_int_equal(end_status(f, PATIENT), 1);
	assert_int_equal(kill(first, 0), -1);
}

static void a_child_gets_the_time_to_stop_that_it_was_given(void **state)
{
	struct fixture *f = *state;

	f->stop_ms = PATIENT / MS;
	start(f, "trap 'sleep 3.5; : >stopped; exit 0' TERM; " FIRST, SECOND);
	assert_true(notified(f, "READY=1", PATIENT));
	kill(f->pid, SIGTERM);
	assert_int_equal(end_status(f, PATIENT), 0);
	assert_true(has_file(f, "stopped"));
}

static void a_child_that_others_kill_while_it_stops_makes_the_status_1(void **state)
{
	struct fixture *f = *state;
	pid_t first;

	f->stop_ms = PATIENT / MS;
	start(f, "trap ': >asked' TERM; " FIRST, SECOND);
	assert_true(notified(f, "READY=1", PATIENT));
	first = noted_pid(f, "first", 0, 0);
	kill(f->pid, SIGTERM);
	for (int64_t end_ns = loop_uptime_ns() + PATIENT; !has_file(f, "asked") && loop_uptime_ns() < end_ns;)
		usleep(2000);
	kill(first, SIGKILL);
	assert_int_equal(end_status(f, PATIENT), 1);
}

static void a_child_that_cannot_start_stops_everything(void **state)
{
	struct fixture *f = *state;

	start(f, FIRST, "exit 3");
	assert_int_equal(end_status(f, PATIENT), 1);
	start(f, "no-such-command", SECOND);
	assert_int_equal(end_status(f, PATIENT), 1);
}

static void children_die_with_a_killed_supervisor(void **state)
{
	struct fixture *f = *state;
	pid_t first;
	int tries = 0;

	start(f, FIRST, SECOND);
	assert_true(notified(f, "READY=1", PATIENT));
	first = noted_pid(f, "first", 0, 0);
	kill(f->pid, SIGKILL);
	assert_int_equal(end_status(f, PATIENT), -1);
	while (kill(first, 0) == 0 && tries++ < 500)
		usleep(10000);
	assert_true(tries < 500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(ready_is_told_when_both_are_up, setup, teardown),
		cmocka_unit_test_setup_teardown(a_killed_child_is_back_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(sigterm_and_sigint_stop_both_in_time, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_that_does_not_stop_is_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_gets_the_time_to_stop_that_it_was_given, setup, teardown),
		cmocka_unit_test_setup_teardown(a_child_that_others_kill_while_it_stops_makes_the_status_1, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_child_that_cannot_start_stops_everything, setup, teardown),
		cmocka_unit_test_setup_teardown(children_die_with_a_killed_supervisor, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
