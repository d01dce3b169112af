// SPDX-License-Identifier: Apache-2.0
// Words -> values (SPEC 2): numbers, rates, durations, times, addresses. Pure; exact integers; nothing allocated.
// All return 0, -EINVAL (not such a word), -ERANGE (such a word, but out of range). Text is not NUL-terminated.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hft/match.h"
#include "statement.h"

int value_number(const char *text, size_t len, uint64_t max, uint64_t *out); // decimal digits
int value_rate(const char *text, size_t len, uint64_t *bps);    // 5Mb, 10kbps, 1b; a bare integer is Mb; at most 2^63-1
int value_amount(const char *text, size_t len, uint64_t *bits); // 5Mb, 10kb; a bare integer is Mb; at most 2^63-1
int value_size(const char *text, size_t len, uint64_t *bytes);  // 10MB, 4GiB; a bare integer is bytes; at most 2^63-1
int value_duration(const char *text, size_t len, int64_t *ns);  // 10, 10s, 10min, 2h, 1d
// now, +10min, 1763600000, 2026-11-20T10:00:00Z, forever.
int value_time(const char *text, size_t len, struct time_spec *out);
int value_mac(const char *text, size_t len, uint64_t *mac); // aa:bb:cc:dd:ee:ff
// An address or prefix, short or whole, of either family; kinds is MATCH_KINDS_V4 or _V6.
// -ENOENT: it looks like neither, so it may be a host's name.
int value_address(const char *text, size_t len, struct span128 *addr, uint32_t *kinds);
