// SPDX-License-Identifier: Apache-2.0
#include "meter.h"

#include <stdlib.h>
#include <string.h>

#include "name_map.h"
#include "speaker.h"

#define SECOND 1000000000

// Counted in statements * ns/s, so that a filling of any length is exact: one statement is a SECOND of them.
struct bucket {
	char name[PRINCIPAL_NAME_MAX];
	int64_t seen_ns;
	uint64_t level;
};

struct meter {
	uint32_t per_second;
	struct name_map by_name;
	struct bucket **all;
	size_t n, cap;
	struct bucket *last; // of the last question: pipelined statements come in rows
};

struct meter *meter_create(uint32_t per_second)
{
	struct meter *m = calloc(1, sizeof(*m));

	if (m != NULL)
		*m = (struct meter){.per_second = per_second};
	return m;
}

void meter_destroy(struct meter *m)
{
	if (m == NULL)
		return;
	for (size_t i = 0; i < m->n; i++)
		free(m->all[i]);
	free(m->all);
	name_map_fini(&m->by_name);
	free(m);
}

// The user's bucket, a full one when there was none. NULL: out of memory.
static struct bucket *bucket_get(struct meter *m, const char *user, int64_t now_ns)
{
	struct bucket *b = m->last;

	if (b != NULL && strcmp(b->name, user) == 0)
		return b;
	b = name_map_find(&m->by_name, user);
	if (b != NULL)
		return m->last = b;
	if (m->n == m->cap) {
		size_t cap = m->cap == 0 ? 16 : m->cap * 2;
		struct bucket **all = realloc(m->all, cap * sizeof(struct bucket *));

		if (all == NULL)
			return NULL;
		m->all = all;
		m->cap = cap;
	}
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return NULL;
	strncpy(b->name, user, sizeof(b->name) - 1);
	b->seen_ns = now_ns;
	b->level = (uint64_t)m->per_second * SECOND;
	if (name_map_add(&m->by_name, b->name, b) < 0) {
		free(b);
		return NULL;
	}
	m->all[m->n++] = b;
	return m->last = b;
}

bool meter_take(struct meter *m, const char *user, int64_t now_ns)
{
	uint64_t full = (uint64_t)m->per_second * SECOND, passed;
	struct bucket *b;

	if (m->per_second == 0)
		return true;
	b = bucket_get(m, user, now_ns);
	if (b == NULL)
		return true;
	// After a second it is full whatever it was.
	passed = now_ns > b->seen_ns ? (uint64_t)now_ns - (uint64_t)b->seen_ns : 0;
	if (passed >= SECOND || full - b->level <= passed * m->per_second)
		b->level = full;
	else
		b->level += passed * m->per_second;
	b->seen_ns += (int64_t)passed;
	if (b->level < SECOND)
		return false;
	b->level -= SECOND;
	return true;
}
