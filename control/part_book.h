// SPDX-License-Identifier: Apache-2.0
// The rows, nodes and meters that the policy asks of the dataplane, kept up to date request by request: what was made
// of each is remembered, so a change costs as much as it changes. Rows get their categories from hft/parts; whatever
// comes and goes is told to a link_state. Owner: realize. Thread: control only. Time: ns since the epoch, an argument.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/parts.h"
#include "link_state.h"
#include "prove.h"
#include "state.h"

struct part_book;

// want is borrowed. NULL: out of memory.
struct part_book *part_book_create(struct link_state *want);
void part_book_destroy(struct part_book *b); // accepts NULL; want keeps what it was told

// From now on each change is told to a struct prove as well, which the book owns. The book is empty. 0 or -ENOMEM.
int part_book_prove(struct part_book *b, enum prove_mode mode);
struct prove *part_book_proof(struct part_book *b); // NULL: not asked for

// Compares the request, or the share's part by weight, as it is now with what was made of it, and makes up the
// difference. What is over, unknown or matches no packet has no rows. 0; -E2BIG (it would need more categories than
// there are, or its users are bound to too many addresses), -ENOMEM, with err: then it has none.
int part_book_request(struct part_book *b, const struct state *s, uint64_t id, int64_t now_ns, struct err *err);
int part_book_share(struct part_book *b, const struct state *s, uint32_t number, struct err *err);
// Takes over the categories that rows have at the dataplane. 0, or -errno with err: nothing has changed.
int part_book_recolour(struct part_book *b, struct err *err);

const struct parts *part_book_parts(const struct part_book *b);
const struct parts_nodes *part_book_nodes(const struct part_book *b);
