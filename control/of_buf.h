// SPDX-License-Identifier: Apache-2.0
// Big-endian numbers into and out of a bounded stretch of bytes. Going over the end sets `bad` and does nothing else,
// so that a caller checks once. Inside of_*.c only. Thread: any, values only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct of_in {
	const uint8_t *p;
	size_t left;
	bool bad;
};

struct of_out {
	uint8_t *p;
	size_t left, n; // n: bytes written
	bool bad;
};

static inline const uint8_t *of_take(struct of_in *in, size_t n)
{
	const uint8_t *at = in->p;

	if (in->bad || n > in->left) {
		in->bad = true;
		in->left = 0;
		return NULL;
	}
	in->p += n;
	in->left -= n;
	return at;
}

static inline uint64_t of_get(struct of_in *in, unsigned int n)
{
	const uint8_t *at = of_take(in, n);
	uint64_t value = 0;

	for (unsigned int i = 0; at != NULL && i < n; i++)
		value = value << 8 | at[i];
	return value;
}

static inline uint8_t of_get8(struct of_in *in)
{
	return (uint8_t)of_get(in, 1);
}

static inline uint16_t of_get16(struct of_in *in)
{
	return (uint16_t)of_get(in, 2);
}

static inline uint32_t of_get32(struct of_in *in)
{
	return (uint32_t)of_get(in, 4);
}

static inline void of_get_bytes(struct of_in *in, void *out, size_t n)
{
	const uint8_t *at = of_take(in, n);

	if (at != NULL)
		memcpy(out, at, n);
	else
		memset(out, 0, n);
}

static inline void of_skip(struct of_in *in, size_t n)
{
	of_take(in, n);
}

// The next n bytes as a stretch of their own.
static inline struct of_in of_sub(struct of_in *in, size_t n)
{
	const uint8_t *at = of_take(in, n);

	return (struct of_in){.p = at, .left = at == NULL ? 0 : n, .bad = at == NULL};
}

static inline void of_put_bytes(struct of_out *out, const void *data, size_t n)
{
	if (out->bad || n > out->left) {
		out->bad = true;
		return;
	}
	if (n > 0)
		memcpy(out->p, data, n);
	out->p += n;
	out->left -= n;
	out->n += n;
}

static inline void of_put(struct of_out *out, uint64_t value, unsigned int n)
{
	uint8_t bytes[8];

	for (unsigned int i = 0; i < n; i++)
		bytes[i] = (uint8_t)(value >> (8 * (n - 1 - i)));
	of_put_bytes(out, bytes, n);
}

static inline void of_pad(struct of_out *out, size_t n)
{
	static const uint8_t zero[64];

	of_put_bytes(out, zero, n);
}

// Overwrites two bytes written before, at `at` from the start.
static inline void of_patch16(struct of_out *out, size_t at, size_t value)
{
	if (out->bad)
		return;
	out->p[(ptrdiff_t)at - (ptrdiff_t)out->n] = (uint8_t)(value >> 8);
	out->p[(ptrdiff_t)at - (ptrdiff_t)out->n + 1] = (uint8_t)value;
}
