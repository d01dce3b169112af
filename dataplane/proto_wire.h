// SPDX-License-Identifier: Apache-2.0
// Inside proto.c only: values as bytes, little-endian. One description serves both directions: each function writes the
// value that it is given, or reads into it, so what is written and what is read cannot differ. What is read is checked
// against the frame's end first; what is written was made here, and fits.
#pragma once
#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "proto.h"

struct wire {
	const uint8_t *in, *end; // reading
	uint8_t *out;            // writing
	bool reading;
	const char *bad; // first thing found wrong, reading
};

static inline void wire_fail(struct wire *w, const char *what)
{
	if (w->bad == NULL)
		w->bad = what;
	w->in = w->end;
}

// What was read cannot be.
static inline void wire_check(struct wire *w, bool good, const char *what)
{
	if (w->reading && !good)
		wire_fail(w, what);
}

static inline void wire_put(struct wire *w, uint64_t value, unsigned int n_bytes)
{
	for (unsigned int i = 0; i < n_bytes; i++)
		*w->out++ = (uint8_t)(value >> (8 * i));
}

static inline uint64_t wire_get(struct wire *w, unsigned int n_bytes)
{
	uint64_t value = 0;

	if ((size_t)(w->end - w->in) < n_bytes) {
		wire_fail(w, "body too short");
		return 0;
	}
	for (unsigned int i = 0; i < n_bytes; i++)
		value |= (uint64_t)*w->in++ << (8 * i);
	return value;
}

// A number in so many bytes, or in as many as it has. The field is not touched by writing: the message is const.
#define WIRE_NUM(w, field, n_bytes) \
	do { \
		if ((w)->reading) \
			(field) = (__typeof__(field))wire_get(w, n_bytes); \
		else \
			wire_put(w, (uint64_t)(field), n_bytes); \
	} while (0)
#define WIRE(w, field) WIRE_NUM(w, field, sizeof(field))

// How many follow: read, never more than there is room for.
#define WIRE_COUNT(w, field, max, what) \
	do { \
		assert((w)->reading || (field) <= (max)); \
		WIRE(w, field); \
		wire_check(w, (field) <= (max), what); \
		if ((w)->reading && (w)->bad != NULL) \
			(field) = 0; \
	} while (0)

static inline void wire_bytes(struct wire *w, uint8_t *bytes, size_t n_bytes)
{
	if (!w->reading) {
		memcpy(w->out, bytes, n_bytes);
		w->out += n_bytes;
	} else if ((size_t)(w->end - w->in) < n_bytes) {
		wire_fail(w, "body too short");
		memset(bytes, 0, n_bytes);
	} else {
		memcpy(bytes, w->in, n_bytes);
		w->in += n_bytes;
	}
}

static inline void wire_u128(struct wire *w, u128 *value)
{
	uint64_t low = (uint64_t)*value, high = (uint64_t)(*value >> 64);

	WIRE(w, low);
	WIRE(w, high);
	if (w->reading)
		*value = low | (u128)high << 64;
}

// Without NUL or control bytes: it will be read by people and written to logs.
static inline void wire_text(struct wire *w, char *text, size_t size)
{
	size_t len = w->reading ? 0 : strnlen(text, size - 1);

	WIRE_NUM(w, len, 2);
	wire_check(w, len < size && len <= (size_t)(w->end - w->in), "text too long");
	if (w->bad != NULL)
		len = 0;
	wire_bytes(w, (uint8_t *)text, len);
	if (!w->reading)
		return;
	text[len] = '\0';
	for (size_t i = 0; i < len; i++)
		wire_check(w, (unsigned char)text[i] >= ' ' && text[i] != 0x7f, "control character in a text");
}
