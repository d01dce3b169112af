// SPDX-License-Identifier: Apache-2.0
// Inside of struct dp_rows, shared by dp_rows.c, dp_rows_commit.c (commits) and dp_rows_cross.c (instants) only.
#pragma once
#include "calendar.h"
#include "dp_rows.h"

enum held_state {
	HELD,      // in force, or its start is in the calendar
	HELD_LATE, // its start has passed; on the list
	HELD_OVER, // its end has passed, and the table has it still; on the list
};

// A settled row of the table.
struct held {
	uint64_t key;
	const struct part_row *row; // the table's
	uint32_t slot;              // in the classifier; CLS_NO_ROW: not in force
	uint32_t prepared;          // slot in the prepared batch; CLS_NO_ROW: in none
	uint32_t prepared_at;       // in rows of that
	enum held_state state;
	struct calendar_item start, end;
	TAILQ_ENTRY(held) link;
};

TAILQ_HEAD(held_list, held);

// What the commit under way does to one key.
struct change {
	uint64_t key;
	const struct part_row *row; // as it shall be; NULL: gone
	uint32_t slot;              // in the batch; CLS_NO_ROW: not in force when the commit began
	bool stays;                 // the classifier has it already: only the table's row is another one
	struct held *next;          // takes the old one's place
};

struct dp_rows {
	struct dp_rows_conf conf;
	struct layers *layers;
	struct id_map held; // by key
	struct calendar calendar;
	struct held_list late, over;
	// the commit under way
	struct layers_batch *batch; // NULL: none
	struct change *changes;
	uint32_t n_changes, cap_changes;
	// rows that start together
	struct {
		struct layers_batch *batch; // NULL: none
		int64_t ns;                 // when
		struct held **rows;         // NULL: gone meanwhile
		uint32_t n;
		bool is_ready;
	} prepared;
	int64_t prepare_ns; // not before: the last one failed
	int64_t late_ns;    // when to try what is late, INT64_MAX: nothing is
	int64_t now_ns;
	int64_t back_ns;   // by how much the clock was set back in all: now_ns + back_ns is steady
	struct held **due; // of the instant that is crossed
	uint32_t cap_due;
	struct dp_rows_stats stats;
};

// The row as the classifier takes it; what it names is taken, too. 0 or -errno with err: nothing is taken.
int dp_rows_fill(struct dp_rows *r, const struct part_row *row, struct cls_row *out, struct err *err);
void dp_rows_give(struct dp_rows *r, const struct part_row *row); // what the row names, once for each fill
// The clock is there: also when it was set back, which the times of this file's own, not those of rows, are not.
void dp_rows_see(struct dp_rows *r, int64_t now_ns);
// Takes it out of wherever it is, the classifier excepted, and frees it.
void dp_rows_forget(struct dp_rows *r, struct held *h);
void dp_rows_unprepare(struct dp_rows *r, struct held *h); // takes it out of the prepared batch
void dp_rows_forget_prepared(struct dp_rows *r);
