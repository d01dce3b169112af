// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
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

#include "io_fixture.h"
#include "server_fixture.h"
#include "tests/rounds.h"

#define ROOT_SHARE_LISTED \
	"{\"ok\":true,\"shares\":[{\"name\":\"rootShare\",\"parent\":null,\"speaks\":true,\"principals\":[\"root\"]," \
	"\"reserve_max\":\"inf\",\"reserved\":0,\"requests\":0}],\"items\":[\"rootShare\"]}\n"

static int setup(void **state)
{
	return server_start(state, &(struct server_conf){0});
}

static int setup_four(void **state)
{
	return server_start(state, &(struct server_conf){.max_sessions = 4});
}

// By which every statement takes long.
static int64_t slow_clock_ns(void)
{
	static int64_t now_ns;

	return now_ns += 1000000000;
}

static int setup_slow(void **state)
{
	return server_start(state, &(struct server_conf){.clock_ns = slow_clock_ns});
}

static void say_many(int fd, char name)
{
	char statement[64];

	for (unsigned int i = 0; i < 50; i++) {
		snprintf(statement, sizeof(statement), "NewShare %c%u for (*) on rootShare.\n", name, i);
		say(fd, statement);
	}
	say(fd, "mode json.\nListShares.\n");
}

// How many of the shares with such names there were when this session had made its own.
static unsigned int hear_many(int fd, char name)
{
	const char named[] = {'"', 'n', 'a', 'm', 'e', '"', ':', '"', name, 0};
	static char line[32768];
	unsigned int n = 0;

	for (unsigned int i = 0; i < 50; i++)
		hear(fd, "True\nroot> ");
	hear(fd, "{\"ok\":true,\"mode\":\"json\"}\n");
	hear_line(fd, line, sizeof(line));
	for (const char *at = line; (at = strstr(at, named)) != NULL; at++)
		n++;
	return n;
}

// Both have said everything when the server comes to look.
static void who_has_slow_statements_does_not_hold_others_up(void **state)
{
	const struct fixture *f = *state;
	int a = join_as_root(f), b = join_as_root(f);

	kill(f->pid, SIGSTOP);
	say_many(a, 'a');
	say_many(b, 'b');
	kill(f->pid, SIGCONT);
	assert_in_range(hear_many(a, 'b'), 40, 50);
	assert_in_range(hear_many(b, 'a'), 40, 50);
	close(a);
	close(b);
}

static void login_answers_and_prompts_are_classic(void **state)
{
	int fd = join(*state);

	hear(fd, "Login: ");
	say(fd, "root.\n");
	hear(fd, "logged in\nroot> ");
	say(fd, "AddUser alice.\n");
	hear(fd, "True\nroot> ");
	say(fd, "AddUser alice."); // no newline: the dot ends it after a moment
	hear(fd, "False\nroot> ");
	say(fd, " ListShares. // mine\n");
	hear(fd, "1; rootShare\nroot> ");
	say(fd, "quit.\nAddUser never.\n");
	hear(fd, "True\n");
	hear_end(fd);
	close(fd);
}

static void a_principal_is_a_triple(void **state)
{
	int fd = join(*state);

	hear(fd, "Login: ");
	say(fd, "root@10.0.0.5/ssh.\n");
	hear(fd, "logged in\nroot@10.0.0.5/ssh> ");
	close(fd);
}

static void json_mode_has_one_object_a_line_and_no_prompt(void **state)
{
	int fd = join_as_root(*state);
	char line[1024];

	say(fd, "mode json.\nListShares.\nNonsense.\nmode classic.\nListShares.\n");
	hear(fd, "{\"ok\":true,\"mode\":\"json\"}\n" ROOT_SHARE_LISTED);
	hear_line(fd, line, sizeof(line));
	assert_non_null(strstr(line, "{\"ok\":false,\"code\":\"syntax\",\"why\":"));
	hear(fd, "True\nroot> 1; rootShare\nroot> ");
	close(fd);
}

static void json_mode_can_come_before_the_login(void **state)
{
	int fd = join(*state);

	say(fd, "mode json.\nroot.\nListShares.\nquit.\n");
	hear(fd, "Login: {\"ok\":true}\n{\"ok\":true}\n" ROOT_SHARE_LISTED "{\"ok\":true}\n");
	hear_end(fd);
	close(fd);
}

static void refused(const struct fixture *f, const char *name, const char *answer)
{
	int fd = join(f);

	hear(fd, "Login: ");
	say(fd, name);
	say(fd, "\nAddUser never.\n");
	hear(fd, answer);
	hear_end(fd);
	close(fd);
}

static void a_login_without_right_or_user_is_refused_and_closed(void **state)
{
	const struct fixture *f = *state;
	int status;
	pid_t pid;

	refused(f, "bob.", "login refused: there is no user bob (root can `AddUser bob.`)\n");
	refused(f, "b!b.", "login refused: a principal's user has a character that is not allowed\n");
	refused(f, ".", "login refused: a principal's user starts with a letter or digit\n");
	refused(f, "mode json. bob.",
		"{\"ok\":true}\n{\"ok\":false,\"code\":\"no_user\",\"why\":\"login refused: there is no user bob (root "
		"can "
		"`AddUser bob.`)\"}\n");
	if (geteuid() != 0 || chmod(f->dir, 0755) < 0)
		return;
	fflush(NULL);
	pid = fork();
	if (pid == 0) {
		if (setuid(65534) < 0)
			_exit(1);
		refused(f, "root.", "login refused: OS user nobody may not speak as root\n");
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void pipelined_statements_are_answered_in_order(void **state)
{
	int fd = join(*state);
	char text[64];

	hear(fd, "Login: ");
	say(fd, "root.\n");
	for (int i = 0; i < 3000; i++) {
		snprintf(text, sizeof(text), "AddUser u%d.%s", i / 2, i % 3 == 0 ? "\n" : " ");
		say(fd, text);
	}
	hear(fd, "logged in\nroot> ");
	for (int i = 0; i < 3000; i++)
		hear(fd, i % 2 == 0 ? "True\nroot> " : "False\nroot> ");
	close(fd);
}

static void statements_may_come_byte_by_byte(void **state)
{
	static const char text[] = "root.\n/* a comment. with a dot */ AddUser\n alice.\n// another.\nListShares.\n";
	int fd = join(*state);

	hear(fd, "Login: ");
	for (const char *c = text; *c != '\0'; c++)
		say_bytes(fd, c, 1);
	hear(fd, "logged in\nroot> True\nroot> 1; rootShare\nroot> ");
	close(fd);
}

// A statement of about n bytes (whole fillings), and its end.
static void say_long(int fd, size_t n, const char *filling, const char *end)
{
	char *text = malloc(n + 1);
	size_t len = strlen(filling);

	n -= n % len;
	for (size_t i = 0; i < n; i++)
		text[i] = filling[i % len];
	text[n] = '\0';
	say(fd, text);
	say(fd, end);
	free(text);
}

static void a_statement_over_64_kib_is_refused_and_skipped(void **state)
{
	static const struct {
		size_t n;
		const char *filling, *end;
	} cases[] = {
		{65536, "a", ".\n"}, // one byte too many
		{70000, "a ", ". "},
		{200000, "b", ".\n"},
		{3000000, "10.0.0.1/8 ", ".\n"}, // dots inside that end nothing
		{300000, "/* . */ x", ".// here it ends\n"},
		{300000, "1.\x01", ".\f"}, // any blank ends it, another control character does not
		{300000, "// . \nx", "./* and here */"},
		{300000, "x*/.5", "\n/* . */\n.\n"},
	};
	int fd = join_as_root(*state);
	char line[256];

	say(fd, "mode json.\n");
	hear_line(fd, line, sizeof(line));
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		say_long(fd, cases[i].n, cases[i].filling, cases[i].end);
		say(fd, "ListShares.\n");
		hear(fd, "{\"ok\":false,\"code\":\"too_long\",\"why\":\"a statement has at most 65536 bytes\"}\n");
		hear(fd, ROOT_SHARE_LISTED);
	}
	// The longest that may be: refused for what it says, not for its length.
	say_long(fd, 65535, "a", ".\n");
	hear_line(fd, line, sizeof(line));
	assert_non_null(strstr(line, "\"code\":\"syntax\""));
	close(fd);
}

static void binary_garbage_harms_nobody(void **state)
{
	unsigned int seed = (unsigned int)seed_from_env(1);
	int rounds = (int)rounds_from_env(50);

	printf("seed %u, %d rounds\n", seed, rounds);
	for (int i = 0; i < rounds; i++) {
		int fd = i % 2 == 0 ? join(*state) : join_as_root(*state);
		char bytes[4096], rest[65536];

		for (size_t n = 0; n < sizeof(bytes); n++)
			bytes[n] = (char)(rand_r(&seed) % 8 == 0 ? ". \n/*"[rand_r(&seed) % 5] : rand_r(&seed));
		// A login that is refused closes early: what cannot be sent any more does not matter.
		(void)!send(fd, bytes, sizeof(bytes), MSG_NOSIGNAL);
		shutdown(fd, SHUT_WR);
		hear_rest(fd, rest, sizeof(rest));
		close(fd);
	}
	close(join_as_root(*state));
}

static void a_slow_reader_is_not_read_and_holds_nobody_up(void **state)
{
	struct fixture *f = *state;
	int slow = join_as_root(f), other;
	size_t sent = 0, answered = 0;
	char *answer = malloc(1 << 20);
	ssize_t n;
	static const char text[] = "help.\n";

	// Until the server takes no more: its input and output, and the kernel's, are full then. It may be slow to
	// begin.
	for (struct pollfd p = {slow, POLLOUT, 0}; poll(&p, 1, sent < 1000 ? 30000 : 500) == 1; sent++)
		say(slow, text);
	assert_in_range(sent, 1000, 1000000);
	other = join_as_root(f);
	for (int i = 0; i < 100; i++) {
		say(other, "ListShares.\n");
		hear(other, "1; rootShare\nroot> ");
	}
	close(other);
	shutdown(slow, SHUT_WR);
	while ((n = read(slow, answer, 1 << 20)) > 0) {
		for (ssize_t i = 0; i < n; i++)
			answered += answer[i] == '\n';
	}
	assert_int_equal(answered, sent); // late, but every one
	close(slow);
	free(answer);
}

static void a_client_that_sends_no_more_gets_its_answers(void **state)
{
	int fd = join(*state);

	say(fd, "root.\nListShares.");
	shutdown(fd, SHUT_WR);
	hear(fd, "Login: logged in\nroot> 1; rootShare\nroot> ");
	hear_end(fd);
	close(fd);
}

static void clients_that_vanish_leave_nothing_behind(void **state)
{
	for (int i = 0; i < 300; i++) {
		int fd = join(*state);

		if (i % 3 > 0)
			say(fd, "root.\n");
		if (i % 3 > 1)
			say(fd, "help.\nhelp.\nhelp.\nListSha");
		close(fd);
	}
	close(join_as_root(*state));
}

static void sessions_over_the_limit_are_refused(void **state)
{
	struct fixture *f = *state;
	int fd[4], more;

	for (int i = 0; i < 4; i++)
		fd[i] = join_as_root(f);
	more = join(f);
	hear(more, "session refused: too many sessions\n");
	hear_end(more);
	close(more);
	say(fd[0], "quit.\n");
	hear(fd[0], "True\n");
	hear_end(fd[0]);
	close(fd[0]);
	for (int tries = 0;; tries++) { // the server notices the end in its own time
		char line[64];

		more = join(f);
		assert_true(read(more, line, 7) == 7 && tries < 3000);
		if (memcmp(line, "Login: ", 7) == 0)
			break;
		close(more);
		usleep(10000);
	}
	close(more);
	for (int i = 1; i < 4; i++)
		close(fd[i]);
}

static void loopback_tcp_is_the_same(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in addr = {.sin_family = AF_INET, .sin_port = htons(f->port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	hear(fd, "Login: ");
	say(fd, geteuid() == 0 ? "root.\n" : "bob.\n");
	if (geteuid() == 0) {
		hear(fd, "logged in\nroot> ");
		say(fd, "quit.\nAddUser never.\n");
		hear(fd, "True\n");
	} else {
		hear(fd, "login refused: ");
	}
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_has_slow_statements_does_not_hold_others_up, setup_slow,
						server_stop),
		cmocka_unit_test_setup_teardown(login_answers_and_prompts_are_classic, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_principal_is_a_triple, setup, server_stop),
		cmocka_unit_test_setup_teardown(json_mode_has_one_object_a_line_and_no_prompt, setup, server_stop),
		cmocka_unit_test_setup_teardown(json_mode_can_come_before_the_login, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_login_without_right_or_user_is_refused_and_closed, setup,
						server_stop),
		cmocka_unit_test_setup_teardown(pipelined_statements_are_answered_in_order, setup, server_stop),
		cmocka_unit_test_setup_teardown(statements_may_come_byte_by_byte, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_statement_over_64_kib_is_refused_and_skipped, setup, server_stop),
		cmocka_unit_test_setup_teardown(binary_garbage_harms_nobody, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_slow_reader_is_not_read_and_holds_nobody_up, setup, server_stop),
		cmocka_unit_test_setup_teardown(a_client_that_sends_no_more_gets_its_answers, setup, server_stop),
		cmocka_unit_test_setup_teardown(clients_that_vanish_leave_nothing_behind, setup, server_stop),
		cmocka_unit_test_setup_teardown(sessions_over_the_limit_are_refused, setup_four, server_stop),
		cmocka_unit_test_setup_teardown(loopback_tcp_is_the_same, setup, server_stop),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
