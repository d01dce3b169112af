// SPDX-License-Identifier: Apache-2.0
#include "codec.h"

#include <stdlib.h>
#include <string.h>

struct codec codec_writer(void)
{
	return (struct codec){0};
}

struct codec codec_reader(const uint8_t *data, size_t n)
{
	return (struct codec){.data = (uint8_t *)data, .n = n, .reading = true};
}

void codec_fini(struct codec *c)
{
	if (!c->reading)
		free(c->data);
	*c = (struct codec){0};
}

static void put(struct codec *c, uint8_t byte)
{
	if (c->failed)
		return;
	if (c->n == c->cap) {
		size_t cap = c->cap == 0 ? 4096 : c->cap * 2;
		uint8_t *data = realloc(c->data, cap);

		if (data == NULL) {
			c->failed = true;
			return;
		}
		c->data = data;
		c->cap = cap;
	}
	c->data[c->n++] = byte;
}

static uint8_t get(struct codec *c)
{
	if (c->at == c->n)
		c->failed = true;
	return c->failed ? 0 : c->data[c->at++];
}

void codec_u64(struct codec *c, uint64_t *v)
{
	uint64_t rest = *v;
	uint8_t byte;

	if (!c->reading) {
		for (; rest >= 0x80; rest >>= 7)
			put(c, (uint8_t)(rest | 0x80));
		put(c, (uint8_t)rest);
		return;
	}
	*v = 0;
	for (unsigned int shift = 0; shift < 64; shift += 7) {
		byte = get(c);
		*v |= (uint64_t)(byte & 0x7f) << shift;
		if (byte < 0x80)
			return;
	}
	c->failed = true;
}

void codec_u32(struct codec *c, uint32_t *v)
{
	uint64_t wide = *v;

	codec_u64(c, &wide);
	c->failed |= wide > UINT32_MAX;
	*v = c->failed ? 0 : (uint32_t)wide;
}

void codec_i64(struct codec *c, int64_t *v)
{
	uint64_t bits = (uint64_t)*v;

	codec_u64(c, &bits);
	*v = (int64_t)bits;
}

void codec_bool(struct codec *c, bool *v)
{
	uint32_t bit = *v;

	codec_u32(c, &bit);
	*v = bit != 0;
}

void codec_u128(struct codec *c, u128 *v)
{
	uint64_t hi = (uint64_t)(*v >> 64), lo = (uint64_t)*v;

	codec_u64(c, &hi);
	codec_u64(c, &lo);
	*v = (u128)hi << 64 | lo;
}

void codec_text(struct codec *c, char *text, size_t size)
{
	uint32_t len = c->reading ? 0 : (uint32_t)strlen(text);

	codec_u32(c, &len);
	c->failed |= len >= size || (c->reading && len > c->n - c->at);
	for (uint32_t i = 0; i < len && !c->failed; i++) {
		if (c->reading)
			text[i] = (char)get(c);
		else
			put(c, (uint8_t)text[i]);
	}
	if (!c->reading)
		return;
	memset(text + (c->failed ? 0 : len), 0, size - (c->failed ? 0 : len));
}

void codec_bytes(struct codec *c, const uint8_t *bytes, size_t n)
{
	uint8_t *data = c->failed ? NULL : realloc(c->data, c->n + n + 1);

	if (data == NULL) {
		c->failed = true;
		return;
	}
	if (n > 0)
		memcpy(data + c->n, bytes, n);
	c->data = data;
	c->cap = c->n + n + 1;
	c->n += n;
}

uint32_t codec_count(struct codec *c, uint32_t n)
{
	codec_u32(c, &n);
	if (c->reading && n > c->n - c->at)
		c->failed = true;
	return c->failed ? 0 : n;
}

#define LOW_96 (~(u128)0 >> 32)

enum span_form {
	SPAN_FULL,
	SPAN_TOP_32, // IPv4: all that lies under the top 32 bits belongs to it
	SPAN_ANY,
};

static void codec_span128(struct codec *c, struct span128 *span)
{
	uint32_t form = SPAN_ANY, lo = (uint32_t)(span->lo >> 96), hi = (uint32_t)(span->hi >> 96);

	if (span->lo == 0 && span->hi == ~(u128)0)
		form = SPAN_FULL;
	else if ((span->lo & LOW_96) == 0 && (span->hi & LOW_96) == LOW_96)
		form = SPAN_TOP_32;
	codec_u32(c, &form);
	if (form == SPAN_TOP_32) {
		codec_u32(c, &lo);
		codec_u32(c, &hi);
		*span = (struct span128){(u128)lo << 96, (u128)hi << 96 | LOW_96};
	} else if (form == SPAN_ANY) {
		codec_u128(c, &span->lo);
		codec_u128(c, &span->hi);
	} else {
		*span = (struct span128){0, ~(u128)0};
	}
}

static void codec_box(struct codec *c, struct box *box)
{
	uint32_t narrowed = 0;

	for (unsigned int i = 0; i < MATCH_N_FIELDS && !c->reading; i++)
		if (box->f[i].lo != 0 || box->f[i].hi != match_field_max((enum match_field)i))
			narrowed |= 1u << i;
	codec_u32(c, &box->kinds);
	codec_span128(c, &box->src);
	codec_span128(c, &box->dst);
	codec_u32(c, &narrowed);
	for (unsigned int i = 0; i < MATCH_N_FIELDS; i++)
		if ((narrowed >> i & 1) != 0) {
			codec_u64(c, &box->f[i].lo);
			codec_u64(c, &box->f[i].hi);
		}
}

void codec_match(struct codec *c, struct match *m)
{
	uint32_t n = codec_count(c, m->n_boxes);

	for (uint32_t i = 0; i < n && !c->failed; i++) {
		struct box box;

		if (!c->reading) {
			codec_box(c, &m->boxes[i]);
			continue;
		}
		box = box_any();
		codec_box(c, &box);
		// What a group holds was never empty.
		c->failed |= !box_normalize(&box) || match_add(m, &box) < 0;
	}
}

void codec_ip_list(struct codec *c, struct ip_list **list)
{
	bool any = *list != NULL && (*list)->any;
	uint32_t n = *list == NULL ? 0 : (*list)->n;

	codec_bool(c, &any);
	n = codec_count(c, n);
	if (c->reading && any) {
		*list = ip_list_any();
		c->failed |= *list == NULL;
	}
	for (uint32_t i = 0; i < n && !c->failed && !any; i++) {
		struct ip_addr addr = {0};

		if (!c->reading)
			addr = (*list)->at[i];
		codec_u128(c, &addr.addr);
		codec_bool(c, &addr.ip6);
		if (c->reading && !c->failed)
			c->failed |= ip_list_add(list, &addr) < 0;
	}
}
