// SPDX-License-Identifier: Apache-2.0
// Many sessions, slow ones, ones that end in the middle of something.
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "io_fixture.h"
#include "server_fixture.h"

#define CROWD 4096
#define SLOW 200

static int setup(void **state)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	return server_start(state, &(struct server_conf){.login_ms = 30000});
}

static int setup_impatient(void **state)
{
	return server_start(state, &(struct server_conf){.login_ms = 1500});
}

static void several_thousand_sessions_are_served_at_once(void **state)
{
	static int fd[CROWD];
	struct rlimit files;
	int n = CROWD;

	// Half of what a user other than root may have is its own.
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < CROWD + 64 || geteuid() != 0)
		n = 1000;
	for (int i = 0; i < n; i++)
		fd[i] = join_as_root(*state);
	for (int i = 0; i < n; i++)
		say(fd[i], "mode json.\nListShares.\nmode classic.\n");
	for (int i = n - 1; i >= 0; i--) {
		char line[512];

		hear(fd[i], "{\"ok\":true,\"mode\":\"json\"}\n");
		hear_line(fd[i], line, sizeof(line));
		assert_non_null(strstr(line, "rootShare"));
		hear(fd[i], "True\nroot> ");
	}
	for (int i = 0; i < n; i++)
		close(fd[i]);
}

// What all of them leave unread is far more than the server keeps.
static void a_crowd_of_slow_readers_takes_bounded_memory_and_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	char path[64], line[256];
	size_t kib = 0;
	int slow[SLOW], other;
	FILE *status;

	for (int i = 0; i < SLOW; i++) {
		slow[i] = join_as_root(f);
		for (int k = 0; k < 400; k++)
			say(slow[i], "help.\n");
	}
	other = join_as_root(f);
	for (int i = 0; i < 300; i++) {
		say(other, "ListShares.\n");
		hear(other, "1; rootShare\nroot> ");
	}
	snprintf(path, sizeof(path), "/proc/%d/status", (int)f->pid);
	status = fopen(path, "r");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status) != NULL)
		if (sscanf(line, "VmHWM: %zu kB", &kib) == 1)
			break;
	fclose(status);
	printf("%zu KiB at most\n", kib);
#ifndef __SANITIZE_ADDRESS__
	assert_in_range(kib, 1, 180 << 10);
#endif
	for (int i = 0; i < SLOW; i++)
		close(slow[i]);
	close(other);
}

static void dropping_a_user_ends_its_sessions_only(void **state)
{
	int root = join_as_root(*state), alice, app, bob;

	if (geteuid() != 0)
		skip();
	say(root, "AddUser alice. AddUser bob.\n");
	hear(root, "True\nroot> True\nroot> ");
	alice = join(*state);
	say(alice, "alice.\n");
	hear(alice, "Login: logged in\nalice> ");
	app = join(*state);
	say(app, "mode json. alice@10.0.0.1/app.\n");
	hear(app, "Login: {\"ok\":true}\n{\"ok\":true}\n");
	bob = join(*state);
	say(bob, "bob.\n");
	hear(bob, "Login: logged in\nbob> ");
	say(root, "DropUser alice.\n");
	hear(root, "True\nroot> ");
	hear_end(alice);
	hear(app, "{\"event\":\"session_end\",\"why\":\"dropped\"}\n");
	hear_end(app);
	say(bob, "ListShares.\n");
	hear(bob, "0\nbob> ");
	close(root);
	close(alice);
	close(app);
	close(bob);
}

static void who_gives_no_name_in_time_is_shown_out(void **state)
{
	int fd = join(*state), prompt = join_as_root(*state);

	// A byte now and then buys no time.
	for (int i = 0; i < 30; i++) {
		(void)!send(fd, " r", 2, MSG_NOSIGNAL);
		usleep(60000);
	}
	hear(fd, "Login: login refused: no name came in time\n");
	hear_end(fd);
	say(prompt, "ListShares.\n");
	hear(prompt, "1; rootShare\nroot> ");
	close(fd);
	close(prompt);
}

static void quit_is_answered_before_the_login(void **state)
{
	int fd = join(*state);

	say(fd, "/* no */ quit /* thanks */.\n");
	hear(fd, "Login: True\n");
	hear_end(fd);
	close(fd);
	fd = join(*state);
	say(fd, "mode json.\nquit.\n");
	hear(fd, "Login: {\"ok\":true}\n{\"ok\":true}\n");
	hear_end(fd);
	close(fd);
}

static void half_a_statement_at_the_end_gets_a_syntax_answer(void **state)
{
	static const struct {
		const char *text, *answer;
	} cases[] = {
		{"root.\nAddUser\n ali", "Login: logged in\nroot> False\nroot> "},
		{"root.\nmode json.\nAddUser\n ali",
		 "Login: logged in\nroot> "
		 "{\"ok\":true,\"mode\":\"json\"}\n{\"ok\":false,\"code\":\"syntax\",\"why\":\"line 2, "
		 "column 5: expected the dot that ends a statement, got the "
		 "end\",\"line\":2,\"column\":5,\"expected\":\"the "
		 "dot that ends a statement\"}\n"},
		{"root.\nmode json.\ntime /* .",
		 "Login: logged in\nroot> "
		 "{\"ok\":true,\"mode\":\"json\"}\n{\"ok\":false,\"code\":\"syntax\",\"why\":\"line 1, "
		 "column 6: expected the comment that starts here to end with "
		 "*/\",\"line\":1,\"column\":6,\"expected\":\"*/\"}"
		 "\n"},
		{"root.\n// a comment is no statement", "Login: logged in\nroot> "},
		{"root", "Login: login refused: expected a name and a dot\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int fd = join(*state);

		say(fd, cases[i].text);
		shutdown(fd, SHUT_WR);
		hear(fd, cases[i].answer);
		hear_end(fd);
		close(fd);
	}
}

static void the_mode_may_be_said_with_comments(void **state)
{
	int fd = join_as_root(*state);

	say(fd, "mode /*x*/ json /*y*/ .\nmode/**/classic// z\n.\nListShares.\nmode jsonx.\n");
	hear(fd, "{\"ok\":true,\"mode\":\"json\"}\nTrue\nroot> 1; rootShare\nroot> False\nroot> ");
	close(fd);
}

static void an_endless_name_is_refused_early(void **state)
{
	int fd = join(*state);
	char text[5000];

	memset(text, 'a', sizeof(text));
	say_bytes(fd, text, sizeof(text));
	hear(fd, "Login: login refused: expected a name and a dot\n");
	hear_end(fd);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(several_thousand_sessions_are_served_at_once, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_crowd_of_slow_readers_takes_bounded_memory_and_holds_nobody_up, setup,
						server_stop),
		cmocka_unit_test_setup_teardown(dropping_a_user_ends_its_sessions_only, setup, server_stop),
		cmocka_unit_test_setup_teardown(who_gives_no_name_in_time_is_shown_out, setup_impatient, server_stop),
		cmocka_unit_test_setup_teardown(quit_is_answered_before_the_login, setup, server_stop),
		cmocka_unit_test_setup_teardown(half_a_statement_at_the_end_gets_a_syntax_answer, setup, server_stop),
		cmocka_unit_test_setup_teardown(the_mode_may_be_said_with_comments, setup, server_stop),
		cmocka_unit_test_setup_teardown(an_endless_name_is_refused_early, setup, server_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
