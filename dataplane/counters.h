// SPDX-License-Identifier: Apache-2.0
// What is counted of a port: counters.def as an enum, as texts, and as a block with one writer.
// Writer: the worker that owns the block. Readers: any thread, each value whole, the set not at one instant.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum counter_id {
#define COUNTER(name, unit, help) COUNTER_##name,
#define COUNTER_DROP_RX COUNTER
#define COUNTER_DROP_TX COUNTER
#define COUNTER_DEVICE COUNTER
#include "counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
	COUNTER_N,
};

enum counter_kind {
	COUNTER_KIND_INFO,
	COUNTER_KIND_DROP,   // a packet ended here
	COUNTER_KIND_DEVICE, // read from the device, outside the sum
};

struct counter_desc {
	const char *name, *unit, *help;
	enum counter_kind kind;
};

extern const struct counter_desc counter_desc[COUNTER_N];

struct counters {
	_Alignas(64) _Atomic uint64_t v[COUNTER_N];
};

// The single writer needs no locked instruction.
static inline void counters_add(struct counters *c, enum counter_id id, uint64_t n)
{
	uint64_t old = atomic_load_explicit(&c->v[id], memory_order_relaxed);

	atomic_store_explicit(&c->v[id], old + n, memory_order_relaxed);
}

void counters_read(const struct counters *c, uint64_t value[COUNTER_N]);
