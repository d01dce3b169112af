// SPDX-License-Identifier: Apache-2.0
// Which source addresses a worker meets, told to the link thread: frames whose sender was not met for a moment, and one
// of a burst now and then, are looked at; what was told lately is left out, the rest goes into a ring. What finds the
// ring full is told when it is met again. Writer: one worker (sights_note). Reader: the link thread (sights_next).
// Neither waits for the other.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/match.h"
#include "pkt.h"

struct sights;

struct sight {
	u128 addr;    // as in hft/match.h
	uint64_t mac; // 48 bits
	uint16_t vlan, port;
	uint8_t kinds; // of addr: MATCH_KINDS_V4, MATCH_KINDS_V6, or 0: none that a host has
};

// again_ticks: what is met so long after it was told is told again. NULL with err: -ENOMEM.
struct sights *sights_create(uint32_t again_ticks, struct err *err);
void sights_destroy(struct sights *s); // accepts NULL
// The sender of a frame (verdict PKT_OK) that came in at port. tick: any clock that may wrap.
void sights_note(struct sights *s, const struct pkt *pkt, uint16_t port, uint32_t tick);
// One of the frames of a burst, any: who sends is met again.
void sights_note_burst(struct sights *s, const struct pkt *pkts, uint32_t n, uint16_t port, uint32_t tick);
bool sights_next(struct sights *s, struct sight *out); // false: no more
