// SPDX-License-Identifier: Apache-2.0
// A segment that goes the way it went keeps its tag; another way gets one that no switch knows any more.
#include <errno.h>

#include "circuit_priv.h"

static bool tag_is_taken(const struct circuits *all, const struct circuit_in *in, uint16_t tag)
{
	for (uint32_t i = 0; i < all->n; i++) {
		for (uint8_t k = 0; k < all->all[i].n_segments; k++) {
			if (all->all[i].tags[k] == tag)
				return true;
		}
	}
	for (uint32_t i = 0; in->before != NULL && i < in->before->n; i++) {
		for (uint8_t k = 0; k < in->before->all[i].n_segments; k++) {
			if (in->before->all[i].tags[k] == tag)
				return true;
		}
	}
	return in->tag_in_use != NULL && in->tag_in_use(in->ctx, tag);
}

static bool has_tag(const struct circuit *c, uint8_t n_segments, uint16_t tag)
{
	for (uint8_t k = 0; k < n_segments; k++) {
		if (c->tags[k] == tag)
			return true;
	}
	return false;
}

// mine: the circuit so far; two of its segments may go the same way.
static uint16_t tag_before(const struct circuit_in *in, const struct circuit *mine, const struct circuit_hop *hops,
			   uint32_t n)
{
	const struct circuits *before = in->before;
	uint16_t tag;

	for (uint32_t i = 0; before != NULL && i < before->n; i++) {
		const struct circuit *c = &before->all[i];

		for (uint32_t at = 0; c->key == mine->key && at + n <= c->n_hops; at++) {
			bool whole = (at == 0 || c->hops[at - 1].segment != c->hops[at].segment) &&
				     (at + n == c->n_hops || c->hops[at + n].segment != c->hops[at].segment);
			bool same = true;

			for (uint32_t k = 0; k < n && same; k++)
				same = c->hops[at + k].sw == hops[k].sw &&
				       (k == 0 || c->hops[at + k].in_port == hops[k].in_port) &&
				       c->hops[at + k].out_port == hops[k].out_port;
			if (whole && same && !has_tag(mine, hops->segment, c->tags[c->hops[at].segment]))
				return c->tags[c->hops[at].segment];
		}
	}
	tag = in->tag == NULL ? 0 : in->tag(in->ctx, mine->key, hops, n);
	return has_tag(mine, hops->segment, tag) ? 0 : tag;
}

int circuit_give_tags(const struct circuits *all, const struct circuit_in *in, struct circuit *c)
{
	for (uint32_t at = 0, n; at < c->n_hops; at += n) {
		uint8_t segment = c->hops[at].segment;
		uint16_t tag = 0;

		for (n = 1; at + n < c->n_hops && c->hops[at + n].segment == segment; n++)
			;
		if (n > 1)
			tag = tag_before(in, c, &c->hops[at], n);
		for (uint16_t try = CIRCUIT_TAG_FIRST; n > 1 && tag == 0; try++) {
			if (try > CIRCUIT_TAG_LAST)
				return -ENOSPC;
			if (!has_tag(c, segment, try) && !tag_is_taken(all, in, try))
				tag = try;
		}
		c->tags[segment] = tag;
	}
	return 0;
}
