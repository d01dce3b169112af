// SPDX-License-Identifier: Apache-2.0
// An engine that outlives its process: checkpoint and log together are all that ever happened; clocks that are set.
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/journal.h"
#include "control/log.h"
#include "control/recovery.h"
#include "tests/unit/control/random_talk.h"
#include "tests/unit/control/talk.h"
#include "tmpdir.h"

#define SECOND INT64_C(1000000000)
#define YEAR (365 * 86400 * SECOND)
#define NOW (INT64_C(1800000000) * SECOND)

struct fixture {
	char dir[64], path[128];
	struct config_host hosts[2];
	struct recovery_conf conf;
	struct recovery *recovery;
	struct talk t;
	int log_fd, real_stderr;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tmpdir_make(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/journal.db", f->dir);
	f->hosts[0] = (struct config_host){"h1", "10.0.0.1"};
	f->hosts[1] = (struct config_host){"h2", "2001:db8::2"};
	f->conf = (struct recovery_conf){.path = f->path, .hosts = f->hosts, .n_hosts = 2};
	f->t.now_ns = NOW;
	f->log_fd = memfd_create("log", MFD_CLOEXEC);
	f->real_stderr = dup(STDERR_FILENO);
	log_init("test", LOG_LEVEL_INFO, NULL);
	*state = f;
	return f->log_fd < 0;
}

// What the log says goes to the file; failures of the test to the real one.
static void quiet(struct fixture *f, bool on)
{
	log_flush(true);
	dup2(on ? f->log_fd : f->real_stderr, STDERR_FILENO);
}

static void forget_log(struct fixture *f)
{
	quiet(f, true);
	assert_int_equal(ftruncate(f->log_fd, 0), 0);
	lseek(f->log_fd, 0, SEEK_SET);
	quiet(f, false);
}

static bool logged(struct fixture *f, const char *words)
{
	char buf[16384];
	ssize_t n = pread(f->log_fd, buf, sizeof(buf) - 1, 0);

	assert_true(n >= 0);
	buf[n] = '\0';
	return strstr(buf, words) != NULL;
}

static int open_or(struct fixture *f, struct err *err)
{
	const struct engine_conf conf = {.offline = false};
	int64_t now_ns = f->t.now_ns;

	f->t = (struct talk){.nib = nib_create(), .now_ns = now_ns};
	for (unsigned int i = 0; i < f->conf.n_hosts; i++)
		assert_int_equal(nib_host_add(f->t.nib, f->hosts[i].name, f->hosts[i].address, err), 0);
	f->t.engine = engine_create(&conf, f->t.nib, 0);
	reply_init(&f->t.reply);
	quiet(f, true);
	f->recovery = recovery_open(&f->conf, f->t.engine, f->t.nib, now_ns, err);
	quiet(f, false);
	return f->recovery != NULL ? 0 : -1;
}

static void up(struct fixture *f)
{
	struct err err = {0};

	if (open_or(f, &err) < 0)
		fail_msg("%s", err.msg);
}

// clean: as on SIGTERM; otherwise what a kill leaves.
static void down(struct fixture *f, bool clean)
{
	recovery_close(f->recovery, clean);
	f->recovery = NULL;
	talk_fini(&f->t);
	f->t.engine = NULL;
	f->t.nib = NULL;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	if (f->t.engine != NULL)
		down(f, false);
	close(f->log_fd);
	close(f->real_stderr);
	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

// A turn of the controller: the clock, statements, and their commit. NULL: none.
static enum reply_code tell(struct fixture *f, const char *speaker, const char *statement)
{
	enum reply_code code = REPLY_OK;
	struct principal who;
	struct err err = {0};
	int rc;

	quiet(f, true);
	rc = recovery_advance(f->recovery, f->t.now_ns, &err);
	quiet(f, false);
	assert_int_equal(rc, 0);
	if (statement != NULL) {
		assert_int_equal(principal_parse(speaker, &who, NULL), 0);
		code = say(&f->t, speaker, statement);
		if (f->t.reply.mutated)
			assert_int_equal(recovery_append(f->recovery, &who, statement, strlen(statement), &err), 0);
	}
	assert_true(recovery_commit(f->recovery, &err) >= 0);
	return code;
}

static void settle(struct fixture *f) // until no checkpoint is being written
{
	struct err err;

	while (recovery_commit(f->recovery, &err) > 0)
		;
}

static void assert_same(const char *a, const char *b, const char *when)
{
	size_t same = 0;

	while (a[same] != '\0' && a[same] == b[same])
		same++;
	while (same > 0 && a[same - 1] != '\n')
		same--;
	if (strcmp(a, b) != 0)
		fail_msg("%s:\n%.*s\n%.*s", when, (int)strcspn(a + same, "\n"), a + same, (int)strcspn(b + same, "\n"),
			 b + same);
}

// The property: whatever was said, whenever it is killed, whatever of a checkpoint is written then, the next life is
// the one that was never killed.
static void a_life_with_kills_is_the_same_as_one_without(void **state)
{
	struct fixture *f = *state;
	struct dice d = dice_from_env();
	unsigned long rounds = rounds_from_env(4000), lives = 0;
	struct talk never = {0};

	f->conf.checkpoint_every = 23;
	talk_init(&never, false);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(nib_host_add(never.nib, f->hosts[i].name, f->hosts[i].address, &(struct err){0}), 0);
	never.now_ns = f->t.now_ns = 100 * SECOND; // tokens are not full
	up(f);
	for (unsigned long i = 0; i < rounds; i++) {
		struct random_statement r;
		char *of_never, *of_f, when[64];

		if (dice_roll(&d, 4) == 0)
			never.now_ns += (int64_t)dice_roll(&d, 4 * SECOND);
		f->t.now_ns = never.now_ns;
		random_statement(&r, &d, engine_state(never.engine)->requests.next_id);
		say(&never, r.speaker, r.text);
		if (never.reply.mutated) {
			assert_int_equal(tell(f, r.speaker, r.text), REPLY_OK);
			assert_string_equal(f->t.classic, never.classic);
		}
		if (dice_roll(&d, 30) > 0)
			continue;
		snprintf(when, sizeof(when), "after statement %lu", i);
		down(f, dice_roll(&d, 4) == 0);
		if (dice_roll(&d, 2) == 0)
			never.now_ns += (int64_t)dice_roll(&d, 20 * SECOND); // a while without a controller
		f->t.now_ns = never.now_ns;
		engine_advance(never.engine, never.now_ns);
		up(f);
		of_never = talk_dump(&never);
		of_f = talk_dump(&f->t);
		assert_same(of_never, of_f, when);
		free(of_never);
		free(of_f);
		lives++;
	}
	printf("%lu lives\n", lives);
	assert_true(rounds < 1000 || lives > 20);
	talk_fini(&never);
}

static int64_t behind(const struct fixture *f)
{
	struct err err = {0};
	struct journal *j = journal_open(f->path, &err);
	int64_t n;

	assert_non_null(j);
	n = (int64_t)journal_behind(j);
	journal_close(j);
	return n;
}

static void only_what_is_behind_the_checkpoint_is_read_again(void **state)
{
	struct fixture *f = *state;
	char text[64];

	f->conf.checkpoint_every = 100;
	up(f);
	for (int i = 0; i < 250; i++) {
		snprintf(text, sizeof(text), "AddUser u%d.", i);
		assert_int_equal(tell(f, "root", text), REPLY_OK);
		settle(f);
	}
	down(f, false);
	assert_int_equal(behind(f), 50);
	forget_log(f);
	up(f);
	assert_true(logged(f, " 50 statements read again"));
	assert_int_equal(tell(f, "root", "AddUser u249."), REPLY_DUP_USER);
	assert_int_equal(tell(f, "root", "AddUser u0."), REPLY_DUP_USER);
	assert_int_equal(tell(f, "root", "AddUser more."), REPLY_OK);
	down(f, true);
	assert_int_equal(behind(f), 0); // a clean end leaves nothing to read again
}

static void run_sql(const char *path, const char *text)
{
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
}

static void a_journal_of_format_1_becomes_a_checkpoint(void **state)
{
	struct fixture *f = *state;

	run_sql(f->path, "CREATE TABLE entry (seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, user TEXT NOT NULL,"
			 " host TEXT NOT NULL, app TEXT NOT NULL, statement TEXT NOT NULL);"
			 "PRAGMA application_id = 1346457157; PRAGMA user_version = 1; PRAGMA journal_mode = WAL;"
			 "INSERT INTO entry (time_ns, user, host, app, statement) VALUES"
			 " (5000000000, 'root', '', '', 'AddUser alice.'),"
			 " (6000000000, 'root', '', '', 'Grant rootShare to alice.'),"
			 " (7000000000, 'root', '', '', 'deny(srcHost=gone) on rootShare.')," // request 1
			 " (8000000000, 'alice', '10.0.0.9', 'ssh', 'deny(srcHost=h1) on rootShare.'),"
			 " (9000000000, 'alice', '', '', 'deny(dstPort=80) on rootShare.'),"
			 " (9500000000, 'alice', '', '', 'cancel 3.')");
	up(f);
	assert_true(logged(f, "root : deny(srcHost=gone) on rootShare.")); // what cannot be read any more
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "1; 2"); // kept its number
	assert_int_equal(tell(f, "alice", "deny(dstPort=81) on rootShare."), REPLY_OK);
	assert_int_equal(talk_number(&f->t, "id"), 4);
	down(f, false);
	assert_int_equal(behind(f), 1);
	up(f);
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "2; 2; 4");
}

// Who gives a name another address does not move what was asked for it: not now, and not by a restart later.
static void requests_keep_the_addresses_their_names_had(void **state)
{
	struct fixture *f = *state;
	char *before, *after;

	up(f);
	assert_int_equal(tell(f, "root", "deny(srcHost=h1) on rootShare."), REPLY_OK);
	assert_int_equal(tell(f, "root", "deny(srcHost=h2) on rootShare."), REPLY_OK);
	before = talk_dump(&f->t);
	down(f, false);
	f->hosts[0].address = "10.0.0.77";
	f->hosts[1].name = "other";
	for (int i = 0; i < 2; i++) {
		forget_log(f);
		up(f);
		assert_int_equal(logged(f, "host h1 was 10.0.0.1 and is 10.0.0.77 now"), i == 0);
		assert_int_equal(logged(f, "host h2 was 2001:db8::2 and is unknown now"), i == 0);
		after = talk_dump(&f->t);
		assert_same(before, after, i == 0 ? "names changed" : "and again");
		free(after);
		assert_int_equal(tell(f, "root", "deny(srcHost=h2) on rootShare."), REPLY_UNKNOWN_HOST);
		down(f, false);
	}
	free(before);
	// what is said now means the new address
	up(f);
	assert_int_equal(tell(f, "root", "deny(srcHost=h1) on rootShare."), REPLY_OK);
	before = talk_dump(&f->t);
	down(f, false);
	up(f);
	after = talk_dump(&f->t);
	assert_same(before, after, "the new name");
	free(before);
	free(after);
}

// The clock was in the year 2036, by mistake, and comes back.
static void a_clock_that_was_set_back_does_not_hold_the_engine(void **state)
{
	struct fixture *f = *state;
	char *before, *after;

	up(f);
	assert_int_equal(
		tell(f, "root", "NewShare a for (*) [reserve <= 100b reserveTBCapacity = 1000b] on rootShare."),
		REPLY_OK);
	assert_int_equal(tell(f, "root", "deny(dstPort=1) on a to +1h."), REPLY_OK);
	assert_int_equal(tell(f, "root", "deny(dstPort=2) on a."), REPLY_OK);
	f->t.now_ns = NOW + 10 * YEAR;
	tell(f, "root", NULL);
	assert_true(logged(f, "the clock went on by "));
	assert_int_equal(tell(f, "root", "deny(dstPort=3) on a to +1h."), REPLY_OK);
	f->t.now_ns = NOW + 10 * SECOND;
	tell(f, "root", NULL);
	assert_true(logged(f, "behind what it once was: goes on at t=1800000010"));
	assert_int_equal(engine_now_ns(f->t.engine), NOW + 10 * SECOND);
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "2; 2; 3"); // what was over stays over
	assert_int_equal(tell(f, "root", "deny(dstPort=4) on a to +20."), REPLY_OK);
	assert_int_equal(talk_number(&f->t, "id"), 4);
	before = talk_dump(&f->t);
	down(f, false);
	up(f); // and that is how it is remembered
	after = talk_dump(&f->t);
	assert_same(before, after, "set back and killed");
	free(before);
	free(after);
	f->t.now_ns = NOW + 30 * SECOND;
	tell(f, "root", NULL);
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "2; 2; 3");
	// and while nobody is there
	down(f, false);
	f->t.now_ns = NOW - 10 * YEAR;
	up(f);
	assert_int_equal(engine_now_ns(f->t.engine), NOW - 10 * YEAR);
}

static void a_clock_a_little_behind_is_waited_for(void **state)
{
	struct fixture *f = *state;

	up(f);
	tell(f, "root", NULL);
	forget_log(f);
	f->t.now_ns = NOW - SECOND;
	assert_int_equal(tell(f, "root", "AddUser alice."), REPLY_OK);
	assert_int_equal(engine_now_ns(f->t.engine), NOW);
	assert_false(logged(f, "clock"));
}

// What was accepted before a clock was set back and after it may not fit into one time: then time stands still.
static void a_clock_that_cannot_be_followed_is_waited_for_with_a_warning(void **state)
{
	struct fixture *f = *state;

	f->t.now_ns = 0;
	up(f);
	assert_int_equal(tell(f, "root",
			      "NewShare a for (*) [reserve <= 100b reserveTBFill = 10b reserveTBCapacity = 1000b]"
			      " on rootShare."),
			 REPLY_OK);
	f->t.now_ns = 2000 * SECOND;
	assert_int_equal(tell(f, "root", "reserve(dstPort=1) = 20b on a to +100."), REPLY_OK); // all the tokens
	f->t.now_ns = 2090 * SECOND;
	tell(f, "root", NULL);
	f->t.now_ns = 2050 * SECOND;
	tell(f, "root", NULL);
	assert_int_equal(engine_now_ns(f->t.engine), 2050 * SECOND);
	assert_int_equal(tell(f, "root", "reserve(dstPort=2) = 11b on a from 2052 to 2095."), REPLY_OK);
	f->t.now_ns = 2090 * SECOND;
	tell(f, "root", NULL);
	forget_log(f);
	for (int i = 0; i < 3; i++) {
		f->t.now_ns = (2010 + i) * SECOND;
		tell(f, "root", NULL);
		assert_int_equal(engine_now_ns(f->t.engine), 2090 * SECOND);
		assert_true(logged(f, "the reservations do not fit from there on"));
	}
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "2; 1; 2");
	down(f, false);
	forget_log(f);
	up(f); // also when it starts so: at the time of the last entry
	assert_true(logged(f, "the reservations do not fit from there on"));
	assert_int_equal(engine_now_ns(f->t.engine), 2050 * SECOND);
	f->t.now_ns = 2101 * SECOND;
	tell(f, "root", NULL);
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "0");
}

// Nanoseconds end in 2262: a clock that says 9999 is taken for that (loop.c), and the way back is open.
static void the_last_instant_is_survived(void **state)
{
	struct fixture *f = *state;

	up(f);
	assert_int_equal(tell(f, "root", "deny(dstPort=1) on rootShare."), REPLY_OK);
	assert_int_equal(tell(f, "root", "deny(dstPort=2) on rootShare to +1."), REPLY_OK);
	f->t.now_ns = INT64_MAX - 1;
	assert_int_equal(tell(f, "root", "AddUser alice."), REPLY_OK);
	down(f, false);
	up(f);
	assert_int_equal(tell(f, "root", "ListRequests."), REPLY_OK);
	assert_string_equal(f->t.classic, "1; 1"); // for ever is longer
	f->t.now_ns = NOW;
	assert_int_equal(tell(f, "root", "deny(dstPort=3) on rootShare to +1."), REPLY_OK);
	assert_int_equal(engine_now_ns(f->t.engine), NOW);
}

static int no_room(void *ctx, const struct demand *demand, struct err *err)
{
	return err_set(err, EBUSY, "no room");
}

static void what_was_set_up_outlives_a_clock_that_is_set_back(void **state)
{
	struct fixture *f = *state;
	struct delta delta;

	up(f);
	engine_limit_requests(f->t.engine, 1);
	engine_set_network(f->t.engine, "the network is on fire");
	engine_ask_network(f->t.engine, no_room, NULL);
	assert_int_equal(tell(f, "root", "AddUser alice."), REPLY_OK);
	assert_int_equal(tell(f, "root", "Grant rootShare to alice."), REPLY_OK);
	engine_changes(f->t.engine, &delta);
	delta_fini(&delta);
	assert_false(engine_changed(f->t.engine));
	f->t.now_ns -= 10 * SECOND;
	assert_int_equal(tell(f, "alice", "deny(dstPort=1) on rootShare."), REPLY_NETWORK);
	assert_true(engine_changed(f->t.engine));
	engine_set_network(f->t.engine, NULL);
	assert_int_equal(tell(f, "alice", "deny(dstPort=1) on rootShare."), REPLY_OK);
	assert_int_equal(tell(f, "alice", "deny(dstPort=1) on rootShare."), REPLY_LIMIT);
	assert_int_equal(tell(f, "root", "reserve(dstPort=2) = 1 on rootShare."), REPLY_NETWORK);
}

static void damage_stops_the_start_and_names_the_journal(void **state)
{
	static const struct {
		const char *sql, *words;
	} cases[] = {
		{"UPDATE entry SET statement = 'AddUser eve.' WHERE seq = 3", "damaged: entry 3 is not"},
		{"DELETE FROM entry WHERE seq = 2", "damaged: entry 2 is missing"},
		{"DELETE FROM piece", "damaged: the checkpoint lacks a piece"},
		{"PRAGMA user_version = 9", "format version 9"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct err err = {0};

		up(f);
		for (int k = 0; k < 5; k++) {
			char text[64];

			snprintf(text, sizeof(text), "AddUser u%d.", k);
			assert_int_equal(tell(f, "root", text), REPLY_OK);
		}
		down(f, false);
		run_sql(f->path, cases[i].sql);
		for (int k = 0; k < 2; k++) { // a start that fails changes nothing: the next one says the same
			assert_int_equal(open_or(f, &err), -1);
			if (strstr(err.msg, cases[i].words) == NULL || strstr(err.msg, f->path) == NULL)
				fail_msg("\"%s\" instead of \"%s\" and the file", err.msg, cases[i].words);
			down(f, false);
		}
		assert_int_equal(unlink(f->path), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_life_with_kills_is_the_same_as_one_without, setup, teardown),
		cmocka_unit_test_setup_teardown(only_what_is_behind_the_checkpoint_is_read_again, setup, teardown),
		cmocka_unit_test_setup_teardown(a_journal_of_format_1_becomes_a_checkpoint, setup, teardown),
		cmocka_unit_test_setup_teardown(requests_keep_the_addresses_their_names_had, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_was_set_back_does_not_hold_the_engine, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_a_little_behind_is_waited_for, setup, teardown),
		cmocka_unit_test_setup_teardown(a_clock_that_cannot_be_followed_is_waited_for_with_a_warning, setup,
						teardown),
		cmocka_unit_test_setup_teardown(the_last_instant_is_survived, setup, teardown),
		cmocka_unit_test_setup_teardown(what_was_set_up_outlives_a_clock_that_is_set_back, setup, teardown),
		cmocka_unit_test_setup_teardown(damage_stops_the_start_and_names_the_journal, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
