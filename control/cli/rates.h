// SPDX-License-Identifier: Apache-2.0
// Counters of ports at two times -> what passed a second in between, and why frames were dropped. Values; thread: any.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

// Items of two `ports` answers, the second so many seconds later -> [{port, up, rx_pps, rx_bps, tx_pps, tx_bps,
// drop_pps, drops: {reason: pps}}] (new reference). Bits are those of frames. A counter that began anew (the dataplane
// was started again) counts from 0; a port that was not there before is left out.
json_t *rates_of(const json_t *before, const json_t *after, double seconds);
// Why the figures of a `ports` answer are not those of now, into words; false: they are.
bool rates_stale(const json_t *answer, char *words, size_t size);
void rates_show(const json_t *rates, FILE *out);
