// SPDX-License-Identifier: Apache-2.0
// What the two halves of the link's messages share: proto.c writes, proto_decode.c reads. A row carries only the spans
// that constrain: a bit mask of fields, then their spans.
#pragma once
#include <stdbool.h>

#include "proto.h"

#define HEADER_BYTES 6 // u32 length, u16 type
#define MASK_SRC (1U << 0)
#define MASK_DST (1U << 1)
#define MASK_FIELD(i) (1U << (2 + (i)))
#define MASK_ALL (MASK_FIELD(MATCH_N_FIELDS) - 1)
#define U128_MAX (~(u128)0)

static inline bool span_is_full(const struct span *span, enum match_field field)
{
	return span->lo == 0 && span->hi == match_field_max(field);
}

static inline bool span128_is_full(const struct span128 *span)
{
	return span->lo == 0 && span->hi == U128_MAX;
}
