// SPDX-License-Identifier: Apache-2.0
// The slow, obvious evaluator of SPEC 5, straight from its definition: the oracle of every table, and `explain`.
// Pure. Thread: any.
#pragma once
#include "tree.h"

// eval(root, packet); packet->f[MATCH_TIME] says when.
struct action eval_packet(const struct tree *tree, const struct match_packet *packet);
