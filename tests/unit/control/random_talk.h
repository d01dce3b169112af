// SPDX-License-Identifier: Apache-2.0
// For tests: random statements of random speakers, most of which mean something, about a dozen shares s0, s1, ... and a
// few users u0, u1, ...
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "talk.h"

#define RANDOM_SHARES 12

struct random_statement {
	const char *speaker;
	char text[1024];
	size_t len;
};

// next_id: of the next request, so that those of late are cancelled and renewed.
void random_statement(struct random_statement *r, struct dice *d, uint64_t next_id);
void random_spoil(struct random_statement *r, struct dice *d); // any byte anywhere
