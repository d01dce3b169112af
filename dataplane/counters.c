// SPDX-License-Identifier: Apache-2.0
#include "counters.h"

const struct counter_desc counter_desc[COUNTER_N] = {
#define ENTRY(name, unit, help, kind) [COUNTER_##name] = {#name, unit, help, kind},
#define COUNTER(name, unit, help) ENTRY(name, unit, help, COUNTER_KIND_INFO)
#define COUNTER_DROP_RX(name, unit, help) ENTRY(name, unit, help, COUNTER_KIND_DROP)
#define COUNTER_DROP_TX(name, unit, help) ENTRY(name, unit, help, COUNTER_KIND_DROP)
#define COUNTER_DEVICE(name, unit, help) ENTRY(name, unit, help, COUNTER_KIND_DEVICE)
#include "counters.def"
};

void counters_read(const struct counters *c, uint64_t value[COUNTER_N])
{
	for (int i = 0; i < COUNTER_N; i++)
		value[i] = atomic_load_explicit(&c->v[i], memory_order_relaxed);
}
