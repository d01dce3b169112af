// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal_fixture.h"
#include "tests/rounds.h"

struct seen {
	size_t n;
	int64_t time_ns;
	struct principal speaker;
	char text[256];
	size_t len;
	int stop_at;
};

static int see(void *ctx, int64_t time_ns, const struct principal *speaker, const char *text, size_t len)
{
	struct seen *seen = ctx;

	seen->n++;
	seen->time_ns = time_ns;
	seen->speaker = *speaker;
	seen->len = len;
	memcpy(seen->text, text, len < sizeof(seen->text) ? len : sizeof(seen->text));
	return seen->stop_at != 0 && seen->n == (size_t)seen->stop_at ? 7 : 0;
}

static void append(struct journal *j, int64_t time_ns, const char *user, const char *text)
{
	struct principal p = {0};
	struct err err;

	snprintf(p.user, sizeof(p.user), "%s", user);
	assert_int_equal(journal_append(j, time_ns, &p, text, strlen(text), &err), 0);
}

static size_t count(const char *path)
{
	struct journal *j = open_good(path);
	struct seen seen = {0};
	struct err err;

	assert_int_equal(journal_replay(j, see, &seen, &err), 0);
	journal_close(j);
	return seen.n;
}

static void what_is_committed_is_replayed_exactly(void **state)
{
	struct fixture *f = *state;
	const struct principal p = {"alice", "10.0.0.5", "ssh"};
	static const char bytes[] = "deny(*) on s.\0\n\xff'\"; DROP TABLE entry";
	struct journal *j = open_good(f->path);
	struct seen seen = {0};
	struct err err;

	assert_int_equal(journal_append(j, INT64_MAX - 1, &p, bytes, sizeof(bytes), &err), 0);
	assert_int_equal(journal_commit(j, &err), 0);
	journal_close(j);
	j = open_good(f->path);
	assert_int_equal(journal_replay(j, see, &seen, &err), 0);
	assert_int_equal(seen.n, 1);
	assert_true(seen.time_ns == INT64_MAX - 1);
	assert_string_equal(seen.speaker.user, "alice");
	assert_string_equal(seen.speaker.host, "10.0.0.5");
	assert_string_equal(seen.speaker.app, "ssh");
	assert_int_equal(seen.len, sizeof(bytes));
	assert_memory_equal(seen.text, bytes, sizeof(bytes));
	journal_close(j);
}

static void replay_is_in_order_and_stops_when_told(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	struct seen seen = {.stop_at = 2};
	struct err err;

	append(j, 30, "root", "a.");
	append(j, 10, "root", "b."); // a clock that was set back does not change the order
	append(j, 20, "root", "c.");
	assert_int_equal(journal_commit(j, &err), 0);
	assert_int_equal(journal_replay(j, see, &seen, &err), 7);
	assert_int_equal(seen.n, 2);
	assert_memory_equal(seen.text, "b.", 2);
	journal_close(j);
}

static void uncommitted_is_lost(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	struct err err;

	append(j, 1, "root", "kept.");
	assert_int_equal(journal_commit(j, &err), 0);
	append(j, 2, "root", "lost.");
	journal_close(j);
	assert_int_equal(count(f->path), 1);
}

static void empty_commit_does_nothing(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	struct err err;

	assert_int_equal(journal_commit(j, &err), 0);
	journal_close(j);
	assert_int_equal(count(f->path), 0);
}

static void assert_refused(const char *path, const char *words)
{
	struct err err = {0};

	assert_null(journal_open(path, &err));
	if (strstr(err.msg, words) == NULL || strstr(err.msg, path) == NULL)
		fail_msg("\"%s\" does not say \"%s\" and the file", err.msg, words);
}

static void sql(const char *path, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void foreign_files_are_refused(void **state)
{
	struct fixture *f = *state;
	char noise[5000];

	memset(noise, 'x', sizeof(noise));
	write_file(f->path, noise, sizeof(noise));
	assert_refused(f->path, "not a journal");
	unlink(f->path);
	sql(f->path, "CREATE TABLE other (a)");
	assert_refused(f->path, "another program");
	unlink(f->path);
	assert_refused("/nowhere/journal.db", "cannot open");
}

static void another_version_is_refused(void **state)
{
	struct fixture *f = *state;

	journal_close(open_good(f->path));
	sql(f->path, "PRAGMA user_version = 3");
	assert_refused(f->path, "format version 3, this program reads versions up to 2");
	sql(f->path, "PRAGMA user_version = 0");
	assert_refused(f->path, "format version 0");
}

static void a_journal_in_use_is_refused(void **state)
{
	struct fixture *f = *state;
	pid_t pid;
	int status;
	struct journal *j = open_good(f->path);

	pid = fork(); // POSIX locks do not hold within one process
	if (pid == 0) {
		struct err err = {0};

		_exit(journal_open(f->path, &err) == NULL && strstr(err.msg, "in use") != NULL ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	journal_close(j);
}

static void a_full_disk_is_an_error_not_a_loss(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	struct err err;
	pid_t pid;
	int status;

	append(j, 1, "root", "kept.");
	assert_int_equal(journal_commit(j, &err), 0);
	journal_close(j);
	pid = fork();
	if (pid == 0) {
		struct journal *k = journal_open(f->path, &err);
		const struct rlimit limit = {65536, 65536}; // files may not grow over 64 KiB: as a full disk
		const struct principal p = {"root", "", ""};
		char big[4096];
		int ret = 0;

		memset(big, 'x', sizeof(big));
		signal(SIGXFSZ, SIG_IGN);
		if (k == NULL || setrlimit(RLIMIT_FSIZE, &limit) < 0)
			_exit(2);
		for (int i = 0; i < 100 && ret == 0; i++)
			ret = journal_append(k, 2, &p, big, sizeof(big), &err);
		if (ret == 0)
			ret = journal_commit(k, &err);
		_exit(ret < 0 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(count(f->path), 1);
}

// Kill -9 at any moment: what was reported as committed is there, and nothing is half there.
static void kill_in_the_middle_loses_nothing_committed(void **state)
{
	struct fixture *f = *state;
	int rounds = (int)rounds_from_env(10);
	unsigned int seed = (unsigned int)seed_from_env(1);

	printf("seed %u, %d rounds\n", seed, rounds);
	for (int i = 0; i < rounds; i++) {
		size_t before = i == 0 ? 0 : count(f->path), told = 0;
		int fds[2], status;
		char byte;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			struct err err;
			struct journal *j = journal_open(f->path, &err);
			const struct principal p = {"root", "", ""};

			while (j != NULL) {
				// two in each transaction: never one of them alone
				if (journal_append(j, 1, &p, "one.", 4, &err) < 0 ||
				    journal_append(j, 1, &p, "two.", 4, &err) < 0 || journal_commit(j, &err) < 0 ||
				    write(fds[1], "x", 1) != 1)
					_exit(1);
			}
			_exit(1);
		}
		close(fds[1]);
		assert_int_equal(read(fds[0], &byte, 1), 1);
		told = 1;
		usleep((useconds_t)(rand_r(&seed) % 20000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		while (read(fds[0], &byte, 1) == 1)
			told++;
		close(fds[0]);
		assert_true(count(f->path) >= before + 2 * told);
		assert_int_equal(count(f->path) % 2, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_is_committed_is_replayed_exactly, setup, teardown),
		cmocka_unit_test_setup_teardown(replay_is_in_order_and_stops_when_told, setup, teardown),
		cmocka_unit_test_setup_teardown(uncommitted_is_lost, setup, teardown),
		cmocka_unit_test_setup_teardown(empty_commit_does_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(foreign_files_are_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(another_version_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_in_use_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_full_disk_is_an_error_not_a_loss, setup, teardown),
		cmocka_unit_test_setup_teardown(kill_in_the_middle_loses_nothing_committed, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
