// SPDX-License-Identifier: Apache-2.0
// Drawings for a terminal: the free bandwidth of a share over time, the share tree. No line is wider than width
// columns. Thread: one.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#define DRAW_WIDTH_MIN 40

struct draw {
	unsigned int width; // columns; taken as DRAW_WIDTH_MIN when less
	bool utf8;          // blocks and lines; otherwise ASCII
	FILE *out;
};

// items: GetSchedule's. A column shows the least free bandwidth of its time, lightly the most where that is more.
void draw_schedule(const struct draw *d, const char *share, const json_t *items);
// shares: of ListShares' answer. A share whose parent is not among them stands at the left margin.
void draw_tree(const struct draw *d, const json_t *shares);
