// SPDX-License-Identifier: Apache-2.0
// Checkpoints in the journal: written in pieces beside the work, crashes in the middle, older formats, damage.
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "journal_fixture.h"
#include "tests/rounds.h"

#define PIECE 65536

// Entry n says n, with a length of its own.
static size_t entry_text(uint64_t n, char text[256])
{
	return (size_t)sprintf(
		text, "entry %" PRIu64 " %.*s.", n, (int)(n * 7 % 100),
		"....................................................................................................");
}

static void append(struct journal *j, uint64_t n)
{
	const struct principal p = {.user = "root"};
	struct err err;
	char text[256];

	assert_int_equal(journal_append(j, (int64_t)n, &p, text, entry_text(n, text), &err), 0);
}

// A state after n entries: which bytes follows from n alone.
static struct checkpoint state_after(uint64_t n)
{
	struct checkpoint c = {.n = 1000 + (size_t)(n * 7919 % (5 * PIECE))};

	c.bytes = malloc(c.n);
	assert_non_null(c.bytes);
	for (size_t i = 0; i < c.n; i++)
		c.bytes[i] = (uint8_t)(n * 31 + i * 7 + (i >> 8));
	memcpy(c.bytes, &n, sizeof(n));
	return c;
}

static int see(void *ctx, int64_t time_ns, const struct principal *speaker, const char *text, size_t len)
{
	uint64_t *n = ctx;
	char expected[256];

	++*n;
	if ((uint64_t)time_ns != *n || len != entry_text(*n, expected) || memcmp(text, expected, len) != 0)
		return 1;
	return strcmp(speaker->user, "root") == 0 ? 0 : 1;
}

// How many entries the journal stands for: those of the checkpoint and those behind it. -1: it says that it is damaged.
// Anything else than what was written fails the test.
static int64_t read_whole(struct journal *j, const char *path, uint64_t *of_checkpoint)
{
	struct checkpoint saved;
	struct err err = {0};
	uint64_t n = 0;
	int rc = journal_checkpoint_read(j, &saved, &err);

	if (rc > 0) {
		struct checkpoint expected;

		memcpy(&n, saved.bytes, sizeof(n));
		expected = state_after(n);
		assert_int_equal(saved.n, expected.n);
		assert_memory_equal(saved.bytes, expected.bytes, saved.n);
		free(expected.bytes);
		free(saved.bytes);
	}
	*of_checkpoint = n;
	if (rc >= 0)
		rc = journal_replay(j, see, &n, &err);
	assert_true(rc <= 0); // an entry that was not written
	if (rc < 0 && strstr(err.msg, path) == NULL)
		fail_msg("\"%s\" does not name the file", err.msg);
	return rc < 0 ? -1 : (int64_t)n;
}

static int64_t read_again(const char *path, uint64_t *of_checkpoint)
{
	struct journal *j = open_good(path);
	int64_t n = read_whole(j, path, of_checkpoint);

	journal_close(j);
	return n;
}

static void begin(struct journal *j, uint64_t n)
{
	struct checkpoint taken = state_after(n);

	journal_checkpoint_begin(j, &taken);
	assert_null(taken.bytes); // the journal's now
}

// One step and a commit; true: there is more to do.
static bool step(struct journal *j)
{
	struct err err;
	int rc = journal_checkpoint_step(j, PIECE, &err);

	assert_true(rc >= 0);
	assert_int_equal(journal_commit(j, &err), 0);
	return rc > 0;
}

static int64_t count_rows(const char *path, const char *table)
{
	sqlite3 *db;
	sqlite3_stmt *stmt;
	char text[64];
	int64_t n;

	snprintf(text, sizeof(text), "SELECT count(*) FROM %s", table);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, text, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	n = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(db);
	return n;
}

static void sql(const char *path, const char *text)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
}

static void a_checkpoint_replaces_the_entries_before_it(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	uint64_t n = 0, of_checkpoint;

	while (n < 5000)
		append(j, ++n);
	begin(j, n);
	assert_int_equal(journal_behind(j), 0);
	while (step(j))
		append(j, ++n); // the work goes on meanwhile
	assert_int_equal(journal_behind(j), n - 5000);
	journal_close(j);
	assert_int_equal(read_again(f->path, &of_checkpoint), n);
	assert_int_equal(of_checkpoint, 5000);
	assert_int_equal(count_rows(f->path, "entry"), n - 5000);
	assert_int_equal(count_rows(f->path, "piece"), (int64_t)((1000 + 5000ull * 7919 % (5 * PIECE)) / PIECE + 1));
}

static void one_that_is_begun_again_is_written_anew(void **state)
{
	struct fixture *f = *state;
	struct journal *j = open_good(f->path);
	uint64_t n = 0, of_checkpoint;

	while (n < 100)
		append(j, ++n);
	begin(j, n);
	step(j);
	append(j, ++n);
	begin(j, n);
	while (step(j))
		;
	journal_close(j);
	assert_int_equal(read_again(f->path, &of_checkpoint), 101);
	assert_int_equal(of_checkpoint, 101);
}

// A crash after each step of writing the second checkpoint and of deleting what it replaces.
static void whichever_step_is_the_last_one_whole_checkpoint_counts(void **state)
{
	struct fixture *f = *state;
	bool more = true;

	for (int steps = 0; more; steps++) {
		struct journal *j;
		uint64_t n = 0, of_checkpoint;
		struct err err;
		char path[160];

		snprintf(path, sizeof(path), "%s.%d", f->path, steps);
		j = open_good(path);
		while (n < 3000)
			append(j, ++n);
		begin(j, n);
		while (step(j))
			;
		while (n < 9000)
			append(j, ++n);
		begin(j, n);
		more = true;
		for (int i = 0; i < steps && more; i++)
			more = step(j);
		append(j, ++n);
		assert_int_equal(journal_commit(j, &err), 0);
		append(j, n + 1); // not committed
		journal_close(j);

		assert_int_equal(read_again(path, &of_checkpoint), n);
		assert_true(of_checkpoint == 3000 || of_checkpoint == 9000);
		j = open_good(path); // and the next life goes on where this one ended, and tidies up
		append(j, ++n);
		while (step(j))
			;
		begin(j, n);
		while (step(j))
			;
		journal_close(j);
		assert_int_equal(read_again(path, &of_checkpoint), n);
		assert_int_equal(of_checkpoint, n);
		assert_int_equal(count_rows(path, "entry"), 0);
	}
}

static void write_until_killed(const char *path, int told_fd)
{
	struct err err;
	struct journal *j = journal_open(path, &err);
	uint64_t n = 0, of_checkpoint;
	bool more = false;

	if (j == NULL)
		_exit(1);
	n = (uint64_t)read_whole(j, path, &of_checkpoint);
	for (;;) {
		for (int i = 0; i < 20; i++)
			append(j, ++n);
		if (!more)
			begin(j, n);
		more = step(j);
		if (write(told_fd, &n, sizeof(n)) != sizeof(n))
			_exit(1);
	}
}

static void a_kill_while_checkpoints_are_written_loses_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = seed_from_env(1), rounds = rounds_from_env(10), checkpoints = 0;
	uint64_t of_last = 0;

	printf("seed %u, %u rounds\n", seed, rounds);
	for (unsigned int i = 0; i < rounds; i++) {
		uint64_t told = 0, n, of_checkpoint;
		int fds[2], status;
		int64_t found;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		fflush(NULL);
		pid = fork();
		if (pid == 0)
			write_until_killed(f->path, fds[1]);
		close(fds[1]);
		assert_int_equal(read(fds[0], &told, sizeof(told)), sizeof(told));
		usleep((useconds_t)(rand_r(&seed) % 20000));
		kill(pid, SIGKILL);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		while (read(fds[0], &n, sizeof(n)) == sizeof(n))
			told = n;
		close(fds[0]);
		found = read_again(f->path, &of_checkpoint);
		assert_true(found >= (int64_t)told && found % 20 == 0);
		assert_true(of_checkpoint >= of_last);
		checkpoints += of_checkpoint > of_last;
		of_last = of_checkpoint;
	}
	printf("%u kills after another checkpoint, %" PRIu64 " entries replaced\n", checkpoints, of_last);
	assert_true(checkpoints > 0);
}

static void make_format_1(const char *path)
{
	sql(path, "CREATE TABLE entry (seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, user TEXT NOT NULL,"
		  " host TEXT NOT NULL, app TEXT NOT NULL, statement TEXT NOT NULL);"
		  "PRAGMA application_id = 1346457157; PRAGMA user_version = 1; PRAGMA journal_mode = WAL");
	for (uint64_t n = 1; n <= 3; n++) {
		char text[256], insert[400];

		entry_text(n, text);
		snprintf(insert, sizeof(insert),
			 "INSERT INTO entry (time_ns, user, host, app, statement)"
			 " VALUES (%" PRIu64 ", 'root', '', '', '%s')",
			 n, text);
		sql(path, insert);
	}
}

static void a_journal_of_format_1_is_read_and_goes_on(void **state)
{
	struct fixture *f = *state;
	uint64_t of_checkpoint;
	struct journal *j;
	struct err err;

	make_format_1(f->path);
	j = open_good(f->path);
	assert_int_equal(read_whole(j, f->path, &of_checkpoint), 3);
	assert_int_equal(of_checkpoint, 0);
	append(j, 4);
	assert_int_equal(journal_commit(j, &err), 0);
	journal_close(j);
	assert_int_equal(read_again(f->path, &of_checkpoint), 4);
	j = open_good(f->path);
	begin(j, 4);
	while (step(j))
		;
	journal_close(j);
	assert_int_equal(read_again(f->path, &of_checkpoint), 4);
	assert_int_equal(of_checkpoint, 4);
}

// 40 entries in a checkpoint of several pieces, 200 behind it, nothing left to do.
static void build(const char *path)
{
	struct journal *j = open_good(path);
	uint64_t n = 0;
	struct err err;

	while (n < 40)
		append(j, ++n);
	begin(j, n);
	while (step(j))
		;
	while (n < 240)
		append(j, ++n);
	assert_int_equal(journal_commit(j, &err), 0);
	journal_close(j);
}

static void damage_is_told_by_what_is_damaged(void **state)
{
	static const struct {
		const char *sql, *words;
	} cases[] = {
		{"UPDATE entry SET statement = 'deny(*) on rootShare.' WHERE seq = 77",
		 "damaged: entry 77 is not what was written"},
		{"UPDATE entry SET user = 'eve' WHERE seq = 240", "damaged: entry 240 is not what was written"},
		{"UPDATE entry SET time_ns = 0 WHERE seq = 41", "damaged: entry 41 is not what was written"},
		{"UPDATE entry SET app = user, user = app WHERE seq = 50", "damaged: entry 50 is not"},
		{"DELETE FROM entry WHERE seq = 41", "damaged: entry 41 is missing"},
		{"DELETE FROM entry WHERE seq = 100", "damaged: entry 100 is missing"},
		{"DELETE FROM entry WHERE seq >= 230", "damaged: entry 230 is missing"},
		{"DELETE FROM entry", "damaged: entry 41 is missing"},
		{"DELETE FROM piece WHERE idx = 0", "damaged: the checkpoint lacks a piece"},
		{"DELETE FROM piece WHERE idx = 3", "damaged: the checkpoint lacks a piece"},
		{"DELETE FROM piece", "damaged: the checkpoint lacks a piece"},
		{"UPDATE piece SET bytes = zeroblob(65536) WHERE idx = 1",
		 "damaged: the checkpoint is not what was written"},
		{"UPDATE checkpoint SET n_bytes = n_bytes + 1", "damaged: the checkpoint lacks a piece"},
		{"UPDATE checkpoint SET n_bytes = -1", "damaged: the checkpoint has no possible size"},
		{"UPDATE checkpoint SET n_bytes = 1 << 60, n_pieces = 1 << 50", "has no possible size"},
		{"UPDATE checkpoint SET n_bytes = 1 << 60, n_pieces = 1 << 44",
		 "damaged: the checkpoint lacks a piece"},
		{"DELETE FROM checkpoint", "damaged: entry 1 is missing"},
		{"DELETE FROM tail", "damaged: its tables contradict each other"},
		{"UPDATE tail SET seq = 239", "damaged: its tables contradict each other"},
		{"UPDATE tail SET seq = 241", "damaged: entry 241 is missing"},
		{"DROP TABLE piece", "no such table: piece"},
		{"DROP TABLE entry", "no such table: entry"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct checkpoint saved = {0};
		struct err err = {0};
		struct journal *j;
		uint64_t n = 40;
		int rc = -1;

		build(f->path);
		sql(f->path, cases[i].sql);
		j = journal_open(f->path, &err);
		if (j != NULL) {
			rc = journal_checkpoint_read(j, &saved, &err);
			if (rc >= 0)
				rc = journal_replay(j, see, &n, &err);
			free(saved.bytes);
		}
		journal_close(j);
		if (rc >= 0 || strstr(err.msg, cases[i].words) == NULL || strstr(err.msg, f->path) == NULL)
			fail_msg("%s: %d \"%s\" instead of \"%s\" and the file", cases[i].sql, rc, err.msg,
				 cases[i].words);
		assert_int_equal(unlink(f->path), 0);
	}
}

static char *slurp(const char *path, size_t *n)
{
	FILE *file = fopen(path, "r");
	struct stat st;
	char *bytes;

	assert_non_null(file);
	assert_int_equal(fstat(fileno(file), &st), 0);
	*n = (size_t)st.st_size;
	bytes = malloc(*n);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, *n, file), *n);
	fclose(file);
	return bytes;
}

// Any bytes of the file changed, or its end lost: an error that names the file, or all is there nevertheless. No crash,
// nothing that was not written, nothing silently missing.
static void damage_anywhere_in_the_file_is_told_or_harmless(void **state)
{
	struct fixture *f = *state;
	unsigned int seed = seed_from_env(1), rounds = rounds_from_env(400), told = 0;
	size_t n;
	char *good, *bad;

	build(f->path);
	good = slurp(f->path, &n);
	bad = malloc(n);
	assert_non_null(bad);
	printf("seed %u, %u rounds, %zu bytes\n", seed, rounds, n);
	for (unsigned int i = 0; i < rounds; i++) {
		size_t len = n, page = (size_t)rand_r(&seed) % (n / 4096) * 4096;
		struct err err = {0};
		uint64_t of_checkpoint;
		struct journal *j;
		char name[160];

		memcpy(bad, good, n);
		switch (rand_r(&seed) % 4) {
		case 0: // the end is missing
			len = (size_t)rand_r(&seed) % n;
			break;
		case 1: // a page is lost
			memset(bad + page, 0, 4096);
			break;
		case 2: // a few bits, where SQLite keeps its own
			bad[page + (size_t)rand_r(&seed) % 16] ^= (char)(1 << rand_r(&seed) % 8);
			break;
		default:
			for (int k = rand_r(&seed) % 8; k >= 0; k--)
				bad[(size_t)rand_r(&seed) % n] = (char)rand_r(&seed);
		}
		write_file(f->path, bad, len);
		j = journal_open(f->path, &err);
		if (j == NULL && strstr(err.msg, f->path) == NULL)
			fail_msg("round %u: \"%s\" does not name the file", i, err.msg);
		// an empty file is a new journal: what is not there at all cannot be told from what never was
		if (j == NULL || (len > 0 && read_whole(j, f->path, &of_checkpoint) != 240))
			told++;
		journal_close(j);
		for (int k = 0; k < 2; k++) {
			snprintf(name, sizeof(name), "%s%s", f->path, k == 0 ? "-wal" : "-shm");
			unlink(name);
		}
	}
	printf("%u of %u told\n", told, rounds);
	assert_true(rounds < 100 || told > rounds / 3);
	free(bad);
	free(good);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_checkpoint_replaces_the_entries_before_it, setup, teardown),
		cmocka_unit_test_setup_teardown(one_that_is_begun_again_is_written_anew, setup, teardown),
		cmocka_unit_test_setup_teardown(whichever_step_is_the_last_one_whole_checkpoint_counts, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_kill_while_checkpoints_are_written_loses_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_of_format_1_is_read_and_goes_on, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_is_told_by_what_is_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_anywhere_in_the_file_is_told_or_harmless, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
