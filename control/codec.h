// SPDX-License-Identifier: Apache-2.0
// Values as bytes. One description serves both directions: each function below writes *v, or reads into it, so what is
// written and what is read cannot differ. Integers take as many bytes as they need (LEB128).
// Owner: the caller (codec_writer or codec_reader ... codec_fini). Thread: any, values only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/match.h"
#include "ip_list.h"

struct codec {
	uint8_t *data; // a writer's own, a reader's borrowed
	size_t n, cap; // n: written, or there to be read
	size_t at;     // read so far
	bool reading;
	bool failed; // no memory, or no such bytes: values read from here on are zero
};

struct codec codec_writer(void);
struct codec codec_reader(const uint8_t *data, size_t n);
void codec_fini(struct codec *c);

void codec_u64(struct codec *c, uint64_t *v);
void codec_u32(struct codec *c, uint32_t *v);
void codec_i64(struct codec *c, int64_t *v); // small when not negative
void codec_bool(struct codec *c, bool *v);
void codec_u128(struct codec *c, u128 *v);
void codec_text(struct codec *c, char *text, size_t size);         // at most size - 1 characters and NUL
void codec_bytes(struct codec *c, const uint8_t *bytes, size_t n); // a writer's, as they are
// How many there are: read, never more than bytes are left, so that memory for them may be taken.
uint32_t codec_count(struct codec *c, uint32_t n);
void codec_match(struct codec *c, struct match *m);         // read into an initialised one
void codec_ip_list(struct codec *c, struct ip_list **list); // read into NULL: a reference of the caller's
