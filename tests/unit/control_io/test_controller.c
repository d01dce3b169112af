// SPDX-License-Identifier: Apache-2.0
// The controller role as a process: what it has answered survives its death. No dataplane is there.
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
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/loop.h"
#include "controller_fixture.h"

struct fixture {
	struct process p;
	struct config_host host;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	process_init(&f->p);
	f->host = (struct config_host){"h1", "10.0.0.1"};
	f->p.config.hosts = &f->host;
	f->p.config.n_hosts = 1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	process_fini(&f->p);
	free(f);
	return 0;
}

static int join(const struct fixture *f)
{
	int fd = unix_connect(f->p.path);

	assert_true(fd >= 0);
	hear(fd, "Login: ");
	say(fd, "root.\n");
	hear(fd, "logged in\nroot> ");
	return fd;
}

static void answers_survive_kill_9(void **state)
{
	struct fixture *f = *state;
	char before[512], after[512];
	int fd;

	process_start(&f->p, 0);
	fd = join(f);
	say(fd, "AddUser alice. NewShare net0 for (*) [reserve <= 100] on rootShare. Grant net0 to alice.\n");
	hear(fd, "True\nroot> True\nroot> True\nroot> ");
	say(fd, "deny(srcHost=h1) on net0 from now to +1h. reserve(srcHost=10.0.0.2) = 60 on net0 to +2h.\n"
		"reserve(srcHost=10.0.0.2) = 60 on net0 to +1h.\n");
	hear(fd, "True\nroot> True\nroot> False\nroot> ");
	say(fd, "mode json. ListRequests.\n");
	hear_line(fd, before, sizeof(before));
	hear_line(fd, before, sizeof(before));
	assert_int_equal(process_end(&f->p, SIGKILL), -1);
	close(fd);

	process_start(&f->p, 0);
	fd = join(f);
	say(fd, "mode json. ListRequests.\n");
	hear_line(fd, after, sizeof(after));
	hear_line(fd, after, sizeof(after));
	assert_string_equal(after, before); // numbers and times too
	assert_non_null(strstr(after, "\"id\":2"));
	say(fd, "AddUser alice. reserve(srcHost=10.0.0.2) = 40 on net0 to +1h.\n");
	hear(fd,
	     "{\"ok\":false,\"code\":\"dup_user\",\"why\":\"there is a user alice already\"}\n{\"ok\":true,\"id\":3,");
	close(fd);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
}

static void a_request_outlives_the_names_it_was_said_with(void **state)
{
	struct fixture *f = *state;
	int fd;

	process_start(&f->p, 0);
	fd = join(f);
	say(fd, "deny(srcHost=h1) on rootShare. AddUser bob.\n");
	hear(fd, "True\nroot> True\nroot> ");
	close(fd);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
	f->host.name = "other";
	process_start(&f->p, 0);
	fd = join(f);
	say(fd, "ListRequests. AddUser bob. deny(srcHost=h1) on rootShare.\n");
	hear(fd, "1; 1\nroot> False\nroot> False\nroot> ");
	close(fd);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
}

static void without_a_network_of_switches_a_waypoint_is_refused(void **state)
{
	struct fixture *f = *state;
	int fd;

	process_start(&f->p, 0);
	fd = join(f);
	say(fd, "waypoint(srcHost=10.0.0.1) = 10.7.0.99 on rootShare. ListRequests.\n");
	hear(fd, "False\nroot> 0\nroot> ");
	close(fd);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
}

static void the_control_user_owns_the_journal_and_can_go_on(void **state)
{
	struct fixture *f = *state;
	char journal[128];
	struct stat st;
	int fd;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->p.dir, 0755), 0);
	process_start(&f->p, 0); // as root first: its journal is handed over
	fd = join(f);
	say(fd, "AddUser alice.\n");
	hear(fd, "True\nroot> ");
	close(fd);
	assert_int_equal(process_end(&f->p, SIGKILL), -1);
	f->p.config.control_user = "nobody";
	for (int i = 0; i < 2; i++) {
		char proc[64], status[4096] = "";
		FILE *file;

		process_start(&f->p, 0);
		fd = join(f);
		say(fd, i == 0 ? "AddUser alice. AddUser bob.\n" : "AddUser alice. AddUser bob. AddUser eve.\n");
		hear(fd, i == 0 ? "False\nroot> True\nroot> " : "False\nroot> False\nroot> True\nroot> ");
		snprintf(proc, sizeof(proc), "/proc/%d/status", (int)f->p.pid);
		file = fopen(proc, "r");
		assert_true(file != NULL && fread(status, 1, sizeof(status) - 1, file) > 0);
		fclose(file);
		assert_non_null(strstr(status, "Uid:\t65534\t65534\t65534\t65534"));
		assert_non_null(strstr(status, "NoNewPrivs:\t1"));
		close(fd);
		assert_int_equal(process_end(&f->p, i == 0 ? SIGKILL : SIGTERM), i == 0 ? -1 : 0);
	}
	snprintf(journal, sizeof(journal), "%s/journal.db", f->p.state);
	assert_int_equal(stat(journal, &st), 0);
	assert_int_equal(st.st_uid, 65534);
	assert_int_equal(st.st_mode & 077, 0);
}

// A session in JSON mode from its first byte on.
static int join_json(const struct fixture *f, const char *name)
{
	int fd = unix_connect(f->p.path);

	assert_true(fd >= 0);
	hear(fd, "Login: ");
	say(fd, "mode json. ");
	say(fd, name);
	say(fd, ".\n");
	hear(fd, "{\"ok\":true}\n{\"ok\":true}\n");
	return fd;
}

static void events_go_to_the_holders_json_sessions_behind_answers(void **state)
{
	struct fixture *f = *state;
	int root, alice, again, bob, classic;
	char line[1024];

	process_start(&f->p, 0);
	root = join(f);
	say(root, "AddUser alice. AddUser bob. Grant rootShare to alice. Grant rootShare to bob.\n");
	hear(root, "True\nroot> True\nroot> True\nroot> True\nroot> ");
	alice = join_json(f, "alice");
	again = join_json(f, "alice/watch");
	bob = join_json(f, "bob");
	classic = unix_connect(f->p.path);
	hear(classic, "Login: ");
	say(classic, "alice.\n");
	hear(classic, "logged in\nalice> ");

	say(alice, "allow(dstPort=80) on rootShare.\n");
	hear_line(alice, line, sizeof(line));
	assert_non_null(strstr(line, "\"id\":1"));
	say(bob, "deny(dstPort=80, transport=TCP) on rootShare from +1 to +2. time.\n");
	hear_line(bob, line, sizeof(line));
	assert_non_null(strstr(line, "\"id\":2"));
	hear_line(bob, line, sizeof(line));
	assert_non_null(strstr(line, "\"time\""));
	for (int i = 0; i < 2; i++) {
		hear_line(i == 0 ? alice : again, line, sizeof(line));
		assert_non_null(strstr(line, "{\"event\":\"overridden\",\"id\":1,"));
		assert_non_null(strstr(line, "\"by\":2"));
	}
	hear(bob, "{\"event\":\"started\",\"id\":2,\"verb\":\"deny\",\"share\":\"rootShare\",\"at\":\"");
	hear_line(bob, line, sizeof(line));
	hear(bob, "{\"event\":\"ended\",\"id\":2,\"verb\":\"deny\",\"share\":\"rootShare\",\"at\":\"");
	hear_line(bob, line, sizeof(line));
	// the answer first, also when the event came of it; and classic sessions hear answers only
	say(alice, "mode classic. mode json. cancel 1.\n");
	hear_line(alice, line, sizeof(line));
	hear_line(alice, line, sizeof(line));
	hear(alice, "{\"ok\":true}\n{\"event\":\"ended\",\"id\":1,");
	hear(again, "{\"event\":\"ended\",\"id\":1,");
	say(classic, "quit.\n");
	hear(classic, "True\n");
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
	close(root);
	close(alice);
	close(again);
	close(bob);
	close(classic);
}

static void a_session_that_does_not_read_is_told_how_many_events_it_missed(void **state)
{
	struct fixture *f = *state;
	const int n = 20000, at_once = 50;
	unsigned long told = 0, lost = 0;
	char line[1024];
	int root, deaf;

	process_start(&f->p, 0);
	deaf = join_json(f, "root");
	root = join_json(f, "root/other");
	for (int i = 1; i <= n; i += at_once) {
		char text[4096] = "";
		size_t len = 0;

		for (int k = i; k < i + at_once; k++)
			len += (size_t)snprintf(text + len, sizeof(text) - len,
						"deny(dstPort=1) on rootShare.\ncancel %d.\n", k);
		say(root, text);
		for (int k = 0; k < 3 * at_once; k++) // two answers and an event each
			hear_line(root, line, sizeof(line));
	}
	say(deaf, "time.\n");
	while (told + lost < (unsigned long)n + 1) {
		char *at;

		hear_line(deaf, line, sizeof(line));
		assert_int_equal(line[0], '{');
		at = strstr(line, "\"lost\",\"n\":");
		if (at != NULL)
			lost += strtoul(at + 11, NULL, 10);
		else
			told++;
		if (strstr(line, "\"time\"") != NULL && told + lost < (unsigned long)n + 1) {
			say(root, "deny(dstPort=1) on rootShare.\ncancel 20001.\n");
			lost--; // the event of this one
		}
	}
	assert_true(lost > 0); // else the test says nothing
	close(root);
	close(deaf);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
}

static void wait_for_place(struct fixture *f, const char *name)
{
	for (int tries = 0;; tries++) {
		int fd = unix_connect(f->p.path);
		char line[256];
		bool refused;

		hear(fd, "Login: ");
		say(fd, name);
		say(fd, ".\n");
		hear_line(fd, line, sizeof(line));
		refused = strstr(line, "refused") != NULL;
		close(fd);
		if (!refused)
			return;
		assert_true(tries < 3000);
		usleep(10000);
	}
}

static void limits_are_refused_in_words_and_spare_root(void **state)
{
	struct fixture *f = *state;
	int root, one, two, three, refused = 0, accepted_max;
	int64_t begin;
	char line[512];

	f->p.config.limits = (struct config_limits){.sessions = 2, .requests = 1, .statements_per_s = 20};
	process_start(&f->p, 0);
	root = join_json(f, "root");
	for (int i = 0; i < 30; i++) {
		say(root, i == 0 ? "AddUser alice.\n" : i == 1 ? "Grant rootShare to alice.\n" : "time.\n");
		hear_line(root, line, sizeof(line));
		assert_non_null(strstr(line, "\"ok\":true"));
	}
	one = join_json(f, "alice");
	two = join_json(f, "alice/b");
	three = unix_connect(f->p.path);
	hear(three, "Login: ");
	say(three, "alice/c.\n");
	hear(three, "login refused: alice has 2 sessions, the most one may have\n");
	close(three);
	say(one, "deny(dstPort=1) on rootShare. deny(dstPort=1) on rootShare.\n");
	hear(one, "{\"ok\":true,");
	hear_line(one, line, sizeof(line));
	hear(one, "{\"ok\":false,\"code\":\"limit\",\"why\":\"alice has 1 requests");
	hear_line(one, line, sizeof(line));
	begin = loop_uptime_ns();
	for (int i = 0; i < 100; i++)
		say(i % 2 == 0 ? one : two, "time.\n");
	for (int i = 0; i < 100; i++) {
		hear_line(i % 2 == 0 ? one : two, line, sizeof(line));
		refused += strstr(line, "alice says more than 20 statements a second") != NULL;
	}
	accepted_max = 20 + 1 + (int)((loop_uptime_ns() - begin) / 50000000); // 20 at once, and one more each 50 ms
	assert_in_range(refused, accepted_max < 100 ? 100 - accepted_max : 0, 82);
	say(two, "time.\nquit.\n"); // leaving is not counted
	hear_line(two, line, sizeof(line));
	hear(two, "{\"ok\":true}\n");
	close(two);
	wait_for_place(f, "alice/c"); // the place is free again, when the end was noticed
	// what was accepted before counts after a restart, whatever the limit is then
	say(root, "deny(dstPort=2) on rootShare. deny(dstPort=3) on rootShare. time.\n");
	for (int i = 0; i < 3; i++)
		hear_line(root, line, sizeof(line));
	assert_int_equal(process_end(&f->p, SIGKILL), -1);
	close(one);
	close(root);
	process_start(&f->p, 0);
	root = join_json(f, "root");
	say(root, "ListRequests.\n");
	hear_line(root, line, sizeof(line));
	assert_non_null(strstr(line, "\"items\":[1,2,3]"));
	one = join_json(f, "alice");
	say(one, "deny(dstPort=1) on rootShare.\n");
	hear(one, "{\"ok\":false,\"code\":\"limit\"");
	close(one);
	close(root);
	assert_int_equal(process_end(&f->p, SIGTERM), 0);
}

static void a_second_one_is_refused_by_the_lock(void **state)
{
	struct fixture *f = *state;
	int status;
	struct err err;
	pid_t pid;

	assert_int_equal(rundir_prepare(&f->p.config, &err), 0);
	assert_false(rundir_is_locked(&f->p.config, "lock"));
	assert_int_equal(rundir_lock(&f->p.config, "lock", &err), 0);
	assert_true(rundir_is_locked(&f->p.config, "lock"));
	pid = fork();
	if (pid == 0)
		_exit(rundir_lock(&f->p.config, "lock", &err) == -EADDRINUSE &&
				      strstr(err.msg, "another pane-switchd runs with this run_dir") != NULL
			      ? 0
			      : 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(answers_survive_kill_9, setup, teardown),
		cmocka_unit_test_setup_teardown(a_request_outlives_the_names_it_was_said_with, setup, teardown),
		cmocka_unit_test_setup_teardown(without_a_network_of_switches_a_waypoint_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(the_control_user_owns_the_journal_and_can_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(events_go_to_the_holders_json_sessions_behind_answers, setup, teardown),
		cmocka_unit_test_setup_teardown(a_session_that_does_not_read_is_told_how_many_events_it_missed, setup,
						teardown),
		cmocka_unit_test_setup_teardown(limits_are_refused_in_words_and_spare_root, setup, teardown),
		cmocka_unit_test_setup_teardown(a_second_one_is_refused_by_the_lock, setup, teardown),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
