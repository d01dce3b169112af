// SPDX-License-Identifier: Apache-2.0
#include "of_bridge.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int of_bridge_init(struct of_bridge *b, uint32_t n_hosts)
{
	*b = (struct of_bridge){.n_slots = 64};
	while (b->n_slots < 4 * (uint64_t)n_hosts)
		b->n_slots *= 2;
	b->slots = calloc(b->n_slots, sizeof(*b->slots));
	return b->slots == NULL ? -ENOMEM : 0;
}

void of_bridge_fini(struct of_bridge *b)
{
	free(b->slots);
	*b = (struct of_bridge){0};
}

// Its entry, or the free one where it belongs: there always is one.
static struct of_bridge_entry *entry_of(const struct of_bridge *b, const uint8_t mac[6])
{
	uint64_t h = 0;

	for (int i = 0; i < 6; i++)
		h = h << 8 | mac[i];
	h *= UINT64_C(0x9e3779b97f4a7c15);
	for (uint32_t at = (uint32_t)(h >> 32);; at++) {
		struct of_bridge_entry *e = &b->slots[at & (b->n_slots - 1)];

		if (!e->used || memcmp(e->mac, mac, 6) == 0)
			return e;
	}
}

void of_bridge_learn(struct of_bridge *b, const uint8_t mac[6], uint32_t port)
{
	struct of_bridge_entry *e = entry_of(b, mac);

	if (!e->used && b->n >= b->n_slots / 2)
		return;
	b->n += !e->used;
	e->used = true;
	memcpy(e->mac, mac, 6);
	e->port = port;
}

bool of_bridge_find(const struct of_bridge *b, const uint8_t mac[6], uint32_t *port)
{
	const struct of_bridge_entry *e = entry_of(b, mac);

	*port = e->port;
	return e->used;
}
