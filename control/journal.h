// SPDX-License-Identifier: Apache-2.0
// The durable memory of the controller (SQLite, WAL, full sync): a checkpoint, and the accepted statements behind it in
// order. A statement is answered when it is in here. What is read is checked: entries by number and checksum, the
// checkpoint by its pieces' checksums, so that damage is an error and never a loss that nobody notices.
// Thread: control only. Errors carry SQLite's words and the file.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "checkpoint.h"
#include "hft/err.h"
#include "speaker.h"

struct journal;

// Creates it, or brings one of format 1 (without checkpoint) to this format. Refuses a file of another program or of a
// later format. NULL with err.
struct journal *journal_open(const char *path, struct err *err);
void journal_close(struct journal *j); // what was not committed is forgotten
// Appends to the open transaction (begun on demand).
int journal_append(struct journal *j, int64_t now_ns, const struct principal *speaker, const char *statement,
		   size_t len, struct err *err);
// Commits what was written since the last commit; nothing written: nothing done.
int journal_commit(struct journal *j, struct err *err);
// Calls fn for every entry behind the checkpoint, in order. fn returning non-zero stops, and that value is returned.
int journal_replay(struct journal *j,
		   int (*fn)(void *ctx, int64_t now_ns, const struct principal *speaker, const char *statement,
			     size_t len),
		   void *ctx, struct err *err);
uint64_t journal_behind(const struct journal *j); // how many entries there are behind the last checkpoint begun

// The checkpoint: 1 and its bytes (the caller's), 0: there is none, or an error.
int journal_checkpoint_read(struct journal *j, struct checkpoint *out, struct err *err);
// A new one, of the state after all entries appended so far; the bytes become the journal's. It counts when
// journal_checkpoint_step has written all of it; until then, and after a crash, the one before it does. One that is
// still being written is given up.
void journal_checkpoint_begin(struct journal *j, struct checkpoint *taken);
// Writes at most about `budget` bytes of it into the open transaction, later the entries it replaces are deleted, a few
// at a time. 1: there is more to do; 0: all is done; or an error.
int journal_checkpoint_step(struct journal *j, size_t budget, struct err *err);
