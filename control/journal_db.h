// SPDX-License-Identifier: Apache-2.0
// Inside journal*.c only: the database of a journal.
#pragma once
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "journal.h"

enum journal_work { // what journal_checkpoint_step has to do
	JOURNAL_IDLE,
	JOURNAL_WRITE, // pieces of the new checkpoint
	JOURNAL_TRIM,  // what it replaces
};

struct journal {
	sqlite3 *db;
	sqlite3_stmt *begin, *append, *tail, *commit;
	bool open; // a transaction is open
	char *path;
	uint64_t last_seq;                       // of the last entry
	uint64_t tail_seq;                       // the same, as told to the database: a lost end shows
	uint64_t checkpoint_gen, checkpoint_seq; // of the checkpoint that counts; 0: none

	enum journal_work work;
	struct checkpoint next; // being written
	uint64_t next_seq;
	size_t next_at; // bytes of it written
};

int journal_begin(struct journal *j, struct err *err); // a transaction, unless one is open
int journal_run(struct journal *j, const char *sql, struct err *err);
int journal_step(struct journal *j, sqlite3_stmt *stmt, struct err *err);             // to its end, and resets it
int journal_ask(struct journal *j, const char *sql, int64_t *value, struct err *err); // one number
int journal_fail(struct journal *j, struct err *err, const char *doing);
uint64_t journal_sum(uint64_t sum, const void *bytes, size_t n); // FNV-1a, from JOURNAL_SUM on
#define JOURNAL_SUM UINT64_C(14695981039346656037)
