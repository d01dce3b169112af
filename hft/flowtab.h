// SPDX-License-Identifier: Apache-2.0
// The network flow table: rows in decision order, the compiler's result. The matching row of the highest rank decides;
// no row: the default action (forward best effort).
// Rank is the number of request boxes that meet in the row: for any packet the row of exactly its matching boxes has
// the highest rank among the matching ones, so equal ranks never compete, and adding a request renames no other row.
// Rows carry their interval in the time field of their box.
// Owner: the caller. Thread: any, values only.
#pragma once
#include "action.h"
#include "match.h"

struct row {
	struct box box;
	uint32_t rank;
	struct action action;
};

struct flowtab {
	struct row *rows; // rank descending
	uint32_t n_rows, cap;
};

void flowtab_init(struct flowtab *ft);
void flowtab_fini(struct flowtab *ft);
int flowtab_add(struct flowtab *ft, const struct row *row); // appends; 0 or -ENOMEM
void flowtab_sort(struct flowtab *ft);                      // rank descending, then by key: a total order
// First row that covers the packet at packet->f[MATCH_TIME], or NULL. Linear: the reference for every classifier.
const struct row *flowtab_find(const struct flowtab *ft, const struct match_packet *packet);
// 64-bit content hash of box, rank and action: equal content, equal key, on every run. Names a row on the link.
uint64_t row_key(const struct row *row);
