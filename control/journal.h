// SPDX-License-Identifier: Apache-2.0
// The durable log of accepted statements (SQLite, WAL, full sync). A statement is answered when it is in here.
// Thread: control only. Errors carry SQLite's words and the file.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"
#include "speaker.h"

struct journal;

struct journal *journal_open(const char *path,
			     struct err *err); // creates it; refuses a file of another format or version
void journal_close(struct journal *j);
// Appends to the open transaction (begun on demand).
int journal_append(struct journal *j, int64_t now_ns, const struct principal *speaker, const char *statement,
		   size_t len, struct err *err);
// Commits what was appended since the last commit; nothing appended: nothing done.
int journal_commit(struct journal *j, struct err *err);
// Calls fn for every entry in order. fn returning non-zero stops, and that value is returned.
int journal_replay(struct journal *j,
		   int (*fn)(void *ctx, int64_t now_ns, const struct principal *speaker, const char *statement,
			     size_t len),
		   void *ctx, struct err *err);
