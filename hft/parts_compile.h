// SPDX-License-Identifier: Apache-2.0
// Policy tree -> rows by parts. Thread: any, one at a time for each struct parts.
#pragma once
#include "err.h"
#include "parts.h"
#include "tree.h"

// The row of one box of an atom, without categories. false: the atom says nothing that a row could hold.
bool parts_row_of(const struct tree *tree, const struct atom *atom, const struct box *box, struct part_row *row);
// Adds the tree's nodes to nodes (which p was created with) and a row for each box of each atom that has not ended at
// now_ns; boxes that one atom has twice count once. Both start without rows and nodes, or with what belongs to the
// tree. -E2BIG, -ENOMEM, with err; p is then incomplete.
int parts_compile(const struct tree *tree, int64_t now_ns, struct parts_nodes *nodes, struct parts *p, struct err *err);
