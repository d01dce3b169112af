// SPDX-License-Identifier: Apache-2.0
// Which class packets of a set have at a port: asked by the link thread, answered by the worker that owns the port's
// scheduler, within some milliseconds. One question at a time. Each field but `open` belongs to the asker while it is
// false, and to the worker while it is true.
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sched.h"

struct class_ask {
	_Atomic bool open;
	uint16_t port; // the worker's number
	struct sched_set set;
	uint32_t class; // the answer
};

// Link thread. set is sealed. false: the question before is still open, though perhaps nobody waits for it any more.
static inline bool class_ask_put(struct class_ask *a, uint16_t port, const struct sched_set *set)
{
	if (atomic_load_explicit(&a->open, memory_order_acquire))
		return false;
	a->port = port;
	a->set = *set;
	atomic_store_explicit(&a->open, true, memory_order_release);
	return true;
}

// Link thread, after a question. true: *class is its answer; UINT32_MAX: no such packet came in the last second or two.
static inline bool class_ask_take(const struct class_ask *a, uint32_t *class)
{
	if (atomic_load_explicit(&a->open, memory_order_acquire))
		return false;
	*class = a->class;
	return true;
}

// Worker.
static inline bool class_ask_is_open(const struct class_ask *a)
{
	return atomic_load_explicit(&a->open, memory_order_acquire);
}

static inline void class_ask_answer(struct class_ask *a, const struct sched *sched)
{
	a->class = sched == NULL ? UINT32_MAX : sched_class_find(sched, &a->set); // NULL: the port is gone
	atomic_store_explicit(&a->open, false, memory_order_release);
}
