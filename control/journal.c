// SPDX-License-Identifier: Apache-2.0
// Exclusive locking keeps a second controller out and needs no shared-memory file. A transaction is a turn of the loop,
// so one sync to disk serves every statement that came with it (group commit).
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "journal_db.h"

#define APPLICATION_ID 0x50414e45 // "PANE"
#define FORMAT_VERSION 2          // 1: no checkpoint, no checksums

static int setup(struct journal *j, struct err *err);

struct journal *journal_open(const char *path, struct err *err)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->path = strdup(path)) == NULL) {
		err_set(err, ENOMEM, "journal %s: out of memory", path);
	} else if (sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
				   NULL) != SQLITE_OK) {
		journal_fail(j, err, "open");
	} else if (setup(j, err) == 0) {
		return j;
	}
	journal_close(j);
	return NULL;
}

void journal_close(struct journal *j)
{
	if (j == NULL)
		return;
	sqlite3_finalize(j->begin);
	sqlite3_finalize(j->append);
	sqlite3_finalize(j->commit);
	sqlite3_finalize(j->tail);
	sqlite3_close(j->db); // an open transaction is rolled back
	free(j->next.bytes);
	free(j->path);
	free(j);
}

uint64_t journal_sum(uint64_t sum, const void *bytes, size_t n)
{
	for (const uint8_t *at = bytes, *end = at + n; at < end; at++)
		sum = (sum ^ *at) * UINT64_C(1099511628211);
	return sum;
}

static uint64_t entry_sum(int64_t seq, int64_t now_ns, const struct principal *speaker, const char *statement,
			  size_t len)
{
	uint64_t sum = journal_sum(JOURNAL_SUM, &seq, sizeof(seq));

	sum = journal_sum(sum, &now_ns, sizeof(now_ns));
	// With their ends, so that a letter does not wander from one to the next.
	sum = journal_sum(sum, speaker->user, strlen(speaker->user) + 1);
	sum = journal_sum(sum, speaker->host, strlen(speaker->host) + 1);
	sum = journal_sum(sum, speaker->app, strlen(speaker->app) + 1);
	return journal_sum(sum, statement, len);
}

int journal_begin(struct journal *j, struct err *err)
{
	if (j->open)
		return 0;
	if (journal_step(j, j->begin, err) < 0)
		return -EIO;
	j->open = true;
	return 0;
}

int journal_append(struct journal *j, int64_t now_ns, const struct principal *speaker, const char *statement,
		   size_t len, struct err *err)
{
	int64_t seq = (int64_t)j->last_seq + 1;

	if (len > INT32_MAX)
		return err_set(err, EMSGSIZE, "journal %s: a statement of %zu bytes", j->path, len);
	if (journal_begin(j, err) < 0)
		return -EIO;
	sqlite3_bind_int64(j->append, 1, seq);
	sqlite3_bind_int64(j->append, 2, now_ns);
	sqlite3_bind_text(j->append, 3, speaker->user, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 4, speaker->host, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 5, speaker->app, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 6, statement, (int)len, SQLITE_STATIC);
	sqlite3_bind_int64(j->append, 7, (int64_t)entry_sum(seq, now_ns, speaker, statement, len));
	if (journal_step(j, j->append, err) < 0)
		return -EIO;
	j->last_seq++;
	return 0;
}

uint64_t journal_behind(const struct journal *j)
{
	return j->last_seq - (j->work == JOURNAL_WRITE ? j->next_seq : j->checkpoint_seq);
}

int journal_commit(struct journal *j, struct err *err)
{
	if (!j->open)
		return 0;
	if (j->last_seq != j->tail_seq) {
		sqlite3_bind_int64(j->tail, 1, (int64_t)j->last_seq);
		if (journal_step(j, j->tail, err) < 0)
			return -EIO;
	}
	if (journal_step(j, j->commit, err) < 0)
		return -EIO;
	j->tail_seq = j->last_seq;
	j->open = false;
	return 0;
}

static void copy_text(char *out, size_t size, sqlite3_stmt *row, int column)
{
	const char *text = (const char *)sqlite3_column_text(row, column);

	snprintf(out, size, "%s", text != NULL ? text : "");
}

static int missing(const struct journal *j, uint64_t seq, struct err *err)
{
	return err_set(err, EIO, "journal %s: damaged: entry %" PRIu64 " is missing", j->path, seq);
}

// One row of the log, checked; -EIO when it is not what was written.
static int read_entry(const struct journal *j, sqlite3_stmt *row, uint64_t expected_seq, struct principal *speaker,
		      struct err *err)
{
	int64_t seq = sqlite3_column_int64(row, 0), now_ns = sqlite3_column_int64(row, 1);
	const char *text = sqlite3_column_blob(row, 5);
	size_t len = (size_t)sqlite3_column_bytes(row, 5);

	memset(speaker, 0, sizeof(*speaker));
	copy_text(speaker->user, sizeof(speaker->user), row, 2);
	copy_text(speaker->host, sizeof(speaker->host), row, 3);
	copy_text(speaker->app, sizeof(speaker->app), row, 4);
	if ((uint64_t)seq != expected_seq)
		return missing(j, expected_seq, err);
	if (sqlite3_column_type(row, 6) != SQLITE_NULL &&
	    (uint64_t)sqlite3_column_int64(row, 6) != entry_sum(seq, now_ns, speaker, text != NULL ? text : "", len))
		return err_set(err, EIO, "journal %s: damaged: entry %" PRIu64 " is not what was written", j->path,
			       expected_seq);
	return 0;
}

int journal_replay(struct journal *j,
		   int (*fn)(void *ctx, int64_t now_ns, const struct principal *speaker, const char *statement,
			     size_t len),
		   void *ctx, struct err *err)
{
	static const char sql[] =
		"SELECT seq, time_ns, user, host, app, statement, sum FROM entry WHERE seq > ? ORDER BY seq";
	uint64_t seq = j->checkpoint_seq;
	sqlite3_stmt *rows = NULL;
	int rc = SQLITE_DONE, result = 0;

	if (sqlite3_prepare_v2(j->db, sql, -1, &rows, NULL) != SQLITE_OK)
		return journal_fail(j, err, "read");
	sqlite3_bind_int64(rows, 1, (int64_t)seq);
	while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
		struct principal speaker;
		const char *text = sqlite3_column_blob(rows, 5);

		result = read_entry(j, rows, ++seq, &speaker, err);
		if (result == 0)
			result = fn(ctx, sqlite3_column_int64(rows, 1), &speaker, text != NULL ? text : "",
				    (size_t)sqlite3_column_bytes(rows, 5));
	}
	if (result == 0 && rc != SQLITE_DONE)
		result = journal_fail(j, err, "read");
	if (result == 0 && seq != j->last_seq)
		result = missing(j, seq + 1, err);
	sqlite3_finalize(rows);
	return result;
}

// One number that a pragma or count answers.
int journal_ask(struct journal *j, const char *sql, int64_t *value, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int ret = 0;

	if (sqlite3_prepare_v2(j->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		ret = journal_fail(j, err, "read");
	else
		*value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return ret;
}

static int check_format(struct journal *j, int64_t *format, struct err *err)
{
	int64_t application = 0, version = 0, tables = 0;

	// The first read takes the lock, and tells a database from any other file.
	if (journal_ask(j, "SELECT count(*) FROM sqlite_master", &tables, err) < 0 ||
	    journal_ask(j, "PRAGMA application_id", &application, err) < 0 ||
	    journal_ask(j, "PRAGMA user_version", &version, err) < 0)
		return -EIO;
	*format = version;
	if (tables == 0 && application == 0 && version == 0)
		return 0;
	if (application != APPLICATION_ID)
		return err_set(err, EINVAL, "journal %s: a database of another program, not a journal", j->path);
	if (version < 1 || version > FORMAT_VERSION)
		return err_set(err, EINVAL, "journal %s: format version %lld, this program reads versions up to %d",
			       j->path, (long long)version, FORMAT_VERSION);
	return 0;
}

// What a database of an older format (0: a new one) lacks.
static int upgrade(struct journal *j, int64_t format, struct err *err)
{
	static const char entries[] =
		"CREATE TABLE entry (seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, user TEXT NOT NULL,"
		" host TEXT NOT NULL, app TEXT NOT NULL, statement TEXT NOT NULL);";
	char sql[1024];

	if (format == FORMAT_VERSION)
		return 0;
	snprintf(sql, sizeof(sql),
		 "BEGIN IMMEDIATE; %s"
		 "ALTER TABLE entry ADD COLUMN sum INTEGER;"
		 "CREATE TABLE checkpoint (id INTEGER PRIMARY KEY CHECK (id = 1), gen INTEGER NOT NULL,"
		 " seq INTEGER NOT NULL, n_pieces INTEGER NOT NULL, n_bytes INTEGER NOT NULL);"
		 "CREATE TABLE piece (gen INTEGER NOT NULL, idx INTEGER NOT NULL, sum INTEGER NOT NULL,"
		 " bytes BLOB NOT NULL, PRIMARY KEY (gen, idx));"
		 "CREATE TABLE tail (id INTEGER PRIMARY KEY CHECK (id = 1), seq INTEGER NOT NULL);"
		 "INSERT INTO tail SELECT 1, ifnull(max(seq), 0) FROM entry;"
		 "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		 format == 0 ? entries : "", APPLICATION_ID, FORMAT_VERSION);
	return journal_run(j, sql, err);
}

static int setup(struct journal *j, struct err *err)
{
	int64_t format = 0, last = 0, tail = 0, gen = 0, seq = 0;

	if (journal_run(j, "PRAGMA locking_mode = EXCLUSIVE", err) < 0 || check_format(j, &format, err) < 0 ||
	    journal_run(j, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", err) < 0)
		return -EINVAL;
	// Takes the exclusive lock now rather than with the first statement.
	if (upgrade(j, format, err) < 0 || journal_run(j, "BEGIN IMMEDIATE; COMMIT", err) < 0)
		return -EBUSY;
	if (sqlite3_prepare_v2(j->db, "BEGIN IMMEDIATE", -1, &j->begin, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db, "COMMIT", -1, &j->commit, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db, "UPDATE tail SET seq = ?", -1, &j->tail, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db,
			       "INSERT INTO entry (seq, time_ns, user, host, app, statement, sum)"
			       " VALUES (?, ?, ?, ?, ?, ?, ?)",
			       -1, &j->append, NULL) != SQLITE_OK)
		return journal_fail(j, err, "prepare");
	if (journal_ask(j, "SELECT ifnull(max(seq), 0) FROM entry", &last, err) < 0 ||
	    journal_ask(j, "SELECT ifnull(max(seq), -1) FROM tail", &tail, err) < 0 ||
	    journal_ask(j, "SELECT ifnull(max(gen), 0) FROM checkpoint", &gen, err) < 0 ||
	    journal_ask(j, "SELECT ifnull(max(seq), 0) FROM checkpoint", &seq, err) < 0)
		return -EIO;
	j->checkpoint_gen = (uint64_t)gen;
	j->checkpoint_seq = (uint64_t)seq;
	if (seq < 0 || tail < seq || tail < last)
		return err_set(err, EIO, "journal %s: damaged: its tables contradict each other", j->path);
	j->last_seq = j->tail_seq = (uint64_t)tail;
	j->work = JOURNAL_TRIM; // what a crash may have left
	return 0;
}

int journal_run(struct journal *j, const char *sql, struct err *err)
{
	return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : journal_fail(j, err, "set up");
}

int journal_step(struct journal *j, sqlite3_stmt *stmt, struct err *err)
{
	int ret = sqlite3_step(stmt) == SQLITE_DONE ? 0 : journal_fail(j, err, "write");

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ret;
}

int journal_fail(struct journal *j, struct err *err, const char *doing)
{
	int rc = j->db != NULL ? sqlite3_errcode(j->db) : SQLITE_NOMEM;

	if (rc == SQLITE_NOTADB)
		return err_set(err, EINVAL, "journal %s: not a journal (%s)", j->path, sqlite3_errmsg(j->db));
	if (rc == SQLITE_BUSY)
		return err_set(err, EBUSY, "journal %s: in use by another process", j->path);
	return err_set(err, EIO, "journal %s: cannot %s: %s", j->path, doing,
		       j->db != NULL ? sqlite3_errmsg(j->db) : "out of memory");
}
