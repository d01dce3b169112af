// SPDX-License-Identifier: Apache-2.0
// A checkpoint is written in pieces over many transactions, beside the one that counts, and becomes the one that counts
// by one row, together with its last piece. Only then are older pieces and the entries it replaces deleted, a few in
// each transaction: a crash at any point leaves one whole checkpoint and all entries behind it.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "journal_db.h"

#define PIECE_BYTES 65536
#define TRIM_ENTRIES 2000 // deleted in one step
#define TRIM_PIECES 32

static int prepare(struct journal *j, const char *sql, sqlite3_stmt **stmt, struct err *err)
{
	return sqlite3_prepare_v2(j->db, sql, -1, stmt, NULL) == SQLITE_OK ? 0 : journal_fail(j, err, "prepare");
}

static int damaged(const struct journal *j, const char *how, struct err *err)
{
	return err_set(err, EIO, "journal %s: damaged: the checkpoint %s", j->path, how);
}

static int read_pieces(struct journal *j, int64_t n_pieces, size_t n_bytes, uint8_t *bytes, struct err *err)
{
	sqlite3_stmt *rows = NULL;
	int64_t n = 0;
	size_t at = 0;
	int rc = SQLITE_DONE, result;

	result = prepare(j, "SELECT idx, sum, bytes FROM piece WHERE gen = ? ORDER BY idx", &rows, err);
	if (result < 0)
		return result;
	sqlite3_bind_int64(rows, 1, (int64_t)j->checkpoint_gen);
	while (result == 0 && (rc = sqlite3_step(rows)) == SQLITE_ROW) {
		const void *piece = sqlite3_column_blob(rows, 2);
		size_t len = (size_t)sqlite3_column_bytes(rows, 2);

		if (sqlite3_column_int64(rows, 0) != n++ || piece == NULL || len > n_bytes - at)
			result = damaged(j, "lacks a piece", err);
		else if ((uint64_t)sqlite3_column_int64(rows, 1) != journal_sum(JOURNAL_SUM, piece, len))
			result = damaged(j, "is not what was written", err);
		else
			memcpy(bytes + at, piece, len);
		at += len;
	}
	if (result == 0 && rc != SQLITE_DONE)
		result = journal_fail(j, err, "read");
	if (result == 0 && (n != n_pieces || at != n_bytes))
		result = damaged(j, "lacks a piece", err);
	sqlite3_finalize(rows);
	return result;
}

int journal_checkpoint_read(struct journal *j, struct checkpoint *out, struct err *err)
{
	int64_t n_pieces, n_bytes, n_there;
	int rc;

	*out = (struct checkpoint){0};
	if (j->checkpoint_gen == 0)
		return 0;
	if (journal_ask(j, "SELECT n_pieces FROM checkpoint", &n_pieces, err) < 0 ||
	    journal_ask(j, "SELECT n_bytes FROM checkpoint", &n_bytes, err) < 0 ||
	    journal_ask(j, "SELECT count(*) FROM piece", &n_there, err) < 0)
		return -EIO;
	if (n_bytes < 0 || n_pieces != n_bytes / PIECE_BYTES + (n_bytes % PIECE_BYTES > 0))
		return damaged(j, "has no possible size", err);
	if (n_pieces > n_there)
		return damaged(j, "lacks a piece", err);
	out->n = (size_t)n_bytes;
	out->bytes = malloc(out->n + 1);
	if (out->bytes == NULL)
		return err_set(err, ENOMEM, "journal %s: out of memory", j->path);
	rc = read_pieces(j, n_pieces, out->n, out->bytes, err);
	if (rc == 0)
		return 1;
	free(out->bytes);
	*out = (struct checkpoint){0};
	return rc;
}

void journal_checkpoint_begin(struct journal *j, struct checkpoint *taken)
{
	free(j->next.bytes);
	j->next = *taken;
	*taken = (struct checkpoint){0};
	j->next_seq = j->last_seq;
	j->next_at = 0;
	j->work = JOURNAL_WRITE;
}

static int write_piece(struct journal *j, sqlite3_stmt *insert, struct err *err)
{
	size_t left = j->next.n - j->next_at, len = left < PIECE_BYTES ? left : PIECE_BYTES;
	const uint8_t *bytes = j->next.bytes + j->next_at;

	sqlite3_bind_int64(insert, 1, (int64_t)j->checkpoint_gen + 1);
	sqlite3_bind_int64(insert, 2, (int64_t)(j->next_at / PIECE_BYTES));
	sqlite3_bind_int64(insert, 3, (int64_t)journal_sum(JOURNAL_SUM, bytes, len));
	sqlite3_bind_blob(insert, 4, bytes, (int)len, SQLITE_STATIC);
	j->next_at += len;
	return journal_step(j, insert, err);
}

// The new one counts when this transaction is committed, and it never half counts: what fails here is not committed.
static int finish(struct journal *j, struct err *err)
{
	sqlite3_stmt *row = NULL;
	int rc =
		prepare(j, "INSERT OR REPLACE INTO checkpoint (id, gen, seq, n_pieces, n_bytes) VALUES (1, ?, ?, ?, ?)",
			&row, err);

	if (rc < 0)
		return rc;
	j->checkpoint_gen++;
	j->checkpoint_seq = j->next_seq;
	sqlite3_bind_int64(row, 1, (int64_t)j->checkpoint_gen);
	sqlite3_bind_int64(row, 2, (int64_t)j->checkpoint_seq);
	sqlite3_bind_int64(row, 3, (int64_t)((j->next.n + PIECE_BYTES - 1) / PIECE_BYTES));
	sqlite3_bind_int64(row, 4, (int64_t)j->next.n);
	rc = journal_step(j, row, err);
	sqlite3_finalize(row);
	free(j->next.bytes);
	j->next = (struct checkpoint){0};
	j->work = JOURNAL_TRIM;
	return rc;
}

static int write_some(struct journal *j, size_t budget, struct err *err)
{
	size_t until = budget < j->next.n - j->next_at ? j->next_at + budget : j->next.n;
	sqlite3_stmt *insert = NULL;
	int rc = 0;

	// Pieces of one that was given up, here or in an earlier life, are in the way.
	if (j->next_at == 0) {
		char sql[80];

		sqlite3_snprintf(sizeof(sql), sql, "DELETE FROM piece WHERE gen <> %lld", (long long)j->checkpoint_gen);
		rc = journal_run(j, sql, err);
	}
	if (rc == 0)
		rc = prepare(j, "INSERT INTO piece (gen, idx, sum, bytes) VALUES (?, ?, ?, ?)", &insert, err);
	while (rc == 0 && j->next_at < until)
		rc = write_piece(j, insert, err);
	sqlite3_finalize(insert);
	if (rc == 0 && j->next_at == j->next.n)
		rc = finish(j, err);
	return rc < 0 ? rc : 1;
}

static int trim(struct journal *j, struct err *err)
{
	char sql[320];
	int64_t first = 0;
	int changes;

	if (journal_ask(j, "SELECT ifnull(min(seq), 0) FROM entry", &first, err) < 0)
		return -EIO;
	if (first > 0 && (uint64_t)first <= j->checkpoint_seq) {
		int64_t last = first + TRIM_ENTRIES - 1;

		if ((uint64_t)last > j->checkpoint_seq)
			last = (int64_t)j->checkpoint_seq;
		sqlite3_snprintf(sizeof(sql), sql, "DELETE FROM entry WHERE seq <= %lld", (long long)last);
		return journal_run(j, sql, err) < 0 ? -EIO : 1;
	}
	sqlite3_snprintf(sizeof(sql), sql,
			 "DELETE FROM piece WHERE rowid IN (SELECT rowid FROM piece WHERE gen <> %lld LIMIT %d)",
			 (long long)j->checkpoint_gen, TRIM_PIECES);
	changes = sqlite3_total_changes(j->db);
	if (journal_run(j, sql, err) < 0)
		return -EIO;
	if (sqlite3_total_changes(j->db) != changes)
		return 1;
	j->work = JOURNAL_IDLE;
	return 0;
}

int journal_checkpoint_step(struct journal *j, size_t budget, struct err *err)
{
	if (j->work == JOURNAL_IDLE)
		return 0;
	if (journal_begin(j, err) < 0)
		return -EIO;
	return j->work == JOURNAL_WRITE ? write_some(j, budget, err) : trim(j, err);
}
