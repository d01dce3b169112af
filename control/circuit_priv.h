// SPDX-License-Identifier: Apache-2.0
// What circuit.c and circuit_tag.c share. Thread: control only.
#pragma once
#include "circuit.h"

// A tag for each segment of c that leads over a link. 0; -ENOSPC: all are in use.
int circuit_give_tags(const struct circuits *all, const struct circuit_in *in, struct circuit *c);
