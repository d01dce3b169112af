// SPDX-License-Identifier: Apache-2.0
// Exclusive locking keeps a second controller out and needs no shared-memory file. A transaction is a turn of the loop,
// so one sync to disk serves every statement that came with it (group commit).
#include "journal.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define APPLICATION_ID 0x50414e45 // "PANE"
#define FORMAT_VERSION 1

struct journal {
	sqlite3 *db;
	sqlite3_stmt *begin, *append, *commit;
	bool open; // a transaction is open
	char *path;
};

static int setup(struct journal *j, struct err *err);
static int run(struct journal *j, const char *sql, struct err *err);
static int step(struct journal *j, sqlite3_stmt *stmt, struct err *err);
static int fail(struct journal *j, struct err *err, const char *doing);

struct journal *journal_open(const char *path, struct err *err)
{
	struct journal *j = calloc(1, sizeof(*j));

	if (j == NULL || (j->path = strdup(path)) == NULL) {
		err_set(err, ENOMEM, "journal %s: out of memory", path);
	} else if (sqlite3_open_v2(path, &j->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
				   NULL) != SQLITE_OK) {
		fail(j, err, "open");
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
	sqlite3_close(j->db); // an open transaction is rolled back
	free(j->path);
	free(j);
}

int journal_append(struct journal *j, int64_t now_ns, const struct principal *speaker, const char *statement,
		   size_t len, struct err *err)
{
	if (len > INT32_MAX)
		return err_set(err, EMSGSIZE, "journal %s: a statement of %zu bytes", j->path, len);
	if (!j->open) {
		if (step(j, j->begin, err) < 0)
			return -EIO;
		j->open = true;
	}
	sqlite3_bind_int64(j->append, 1, now_ns);
	sqlite3_bind_text(j->append, 2, speaker->user, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 3, speaker->host, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 4, speaker->app, -1, SQLITE_STATIC);
	sqlite3_bind_text(j->append, 5, statement, (int)len, SQLITE_STATIC);
	return step(j, j->append, err);
}

int journal_commit(struct journal *j, struct err *err)
{
	if (!j->open)
		return 0;
	if (step(j, j->commit, err) < 0)
		return -EIO;
	j->open = false;
	return 0;
}

int journal_replay(struct journal *j,
		   int (*fn)(void *ctx, int64_t now_ns, const struct principal *speaker, const char *statement,
			     size_t len),
		   void *ctx, struct err *err)
{
	static const char sql[] = "SELECT time_ns, user, host, app, statement FROM entry ORDER BY seq";
	sqlite3_stmt *rows = NULL;
	int rc, result = 0;

	if (sqlite3_prepare_v2(j->db, sql, -1, &rows, NULL) != SQLITE_OK)
		return fail(j, err, "read");
	while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
		struct principal speaker = {0};
		const char *text = sqlite3_column_blob(rows, 4);

		snprintf(speaker.user, sizeof(speaker.user), "%s", (const char *)sqlite3_column_text(rows, 1));
		snprintf(speaker.host, sizeof(speaker.host), "%s", (const char *)sqlite3_column_text(rows, 2));
		snprintf(speaker.app, sizeof(speaker.app), "%s", (const char *)sqlite3_column_text(rows, 3));
		result = fn(ctx, sqlite3_column_int64(rows, 0), &speaker, text != NULL ? text : "",
			    (size_t)sqlite3_column_bytes(rows, 4));
	}
	if (result == 0 && rc != SQLITE_DONE)
		result = fail(j, err, "read");
	sqlite3_finalize(rows);
	return result;
}

// One number that a pragma or count answers.
static int ask(struct journal *j, const char *sql, int64_t *value, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int ret = 0;

	if (sqlite3_prepare_v2(j->db, sql, -1, &stmt, NULL) != SQLITE_OK || sqlite3_step(stmt) != SQLITE_ROW)
		ret = fail(j, err, "read");
	else
		*value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return ret;
}

static int check_format(struct journal *j, bool *is_new, struct err *err)
{
	int64_t application = 0, version = 0, tables = 0;

	// The first read takes the lock, and tells a database from any other file.
	if (ask(j, "SELECT count(*) FROM sqlite_master", &tables, err) < 0 ||
	    ask(j, "PRAGMA application_id", &application, err) < 0 || ask(j, "PRAGMA user_version", &version, err) < 0)
		return -EIO;
	*is_new = tables == 0 && application == 0 && version == 0;
	if (*is_new)
		return 0;
	if (application != APPLICATION_ID)
		return err_set(err, EINVAL, "journal %s: a database of another program, not a journal", j->path);
	if (version != FORMAT_VERSION)
		return err_set(err, EINVAL, "journal %s: format version %lld, this program reads version %d", j->path,
			       (long long)version, FORMAT_VERSION);
	return 0;
}

static int setup(struct journal *j, struct err *err)
{
	char create[512];
	bool is_new;

	snprintf(create, sizeof(create),
		 "BEGIN IMMEDIATE;"
		 "CREATE TABLE entry (seq INTEGER PRIMARY KEY, time_ns INTEGER NOT NULL, user TEXT NOT NULL,"
		 " host TEXT NOT NULL, app TEXT NOT NULL, statement TEXT NOT NULL);"
		 "PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT",
		 APPLICATION_ID, FORMAT_VERSION);
	if (run(j, "PRAGMA locking_mode = EXCLUSIVE", err) < 0 || check_format(j, &is_new, err) < 0 ||
	    run(j, "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL", err) < 0)
		return -EINVAL;
	if (is_new && run(j, create, err) < 0)
		return -EIO;
	// Takes the exclusive lock now rather than with the first statement.
	if (run(j, "BEGIN IMMEDIATE; COMMIT", err) < 0)
		return -EBUSY;
	if (sqlite3_prepare_v2(j->db, "BEGIN IMMEDIATE", -1, &j->begin, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db, "COMMIT", -1, &j->commit, NULL) != SQLITE_OK ||
	    sqlite3_prepare_v2(j->db, "INSERT INTO entry (time_ns, user, host, app, statement) VALUES (?, ?, ?, ?, ?)",
			       -1, &j->append, NULL) != SQLITE_OK)
		return fail(j, err, "prepare");
	return 0;
}

static int run(struct journal *j, const char *sql, struct err *err)
{
	return sqlite3_exec(j->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(j, err, "set up");
}

static int step(struct journal *j, sqlite3_stmt *stmt, struct err *err)
{
	int ret = sqlite3_step(stmt) == SQLITE_DONE ? 0 : fail(j, err, "write");

	sqlite3_reset(stmt);
	sqlite3_clear_bindings(stmt);
	return ret;
}

static int fail(struct journal *j, struct err *err, const char *doing)
{
	int rc = j->db != NULL ? sqlite3_errcode(j->db) : SQLITE_NOMEM;

	if (rc == SQLITE_NOTADB)
		return err_set(err, EINVAL, "journal %s: not a journal (%s)", j->path, sqlite3_errmsg(j->db));
	if (rc == SQLITE_BUSY)
		return err_set(err, EBUSY, "journal %s: in use by another process", j->path);
	return err_set(err, EIO, "journal %s: cannot %s: %s", j->path, doing,
		       j->db != NULL ? sqlite3_errmsg(j->db) : "out of memory");
}
