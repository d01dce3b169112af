// SPDX-License-Identifier: Apache-2.0
// The dataplane without a controller: ports, one worker on its core, a policy that stays. What it costs.
// Owner: pane-bench's main thread; once in a process (EAL).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/counters.h"
#include "dataplane/dp.h"
#include "dataplane/workers.h"
#include "forward.h"

struct forward_net;

struct forward_figures {
	uint64_t cpu_ns;                     // of the workers, together
	uint64_t worker_cpu_ns[WORKERS_MAX]; // 0: it cannot be asked, or there is none
	uint64_t wall_ns;                    // monotonic
	uint64_t tsc;
	uint64_t counters[COUNTER_N]; // of all ports
	struct worker_phases phases;
};

// What the rules are: every deny_every'th denies (0: none), the others allow; rule i is in category i % categories. A
// packet is denied if the first rule of some category is a denial; the default is to allow.
struct forward_policy {
	uint32_t deny_every, categories;
	uint32_t limits; // 0: none; else rule i is under limit i % limits, too, which never stops
};

static inline bool forward_denies(const struct forward_policy *how, uint32_t rule)
{
	return how->deny_every != 0 && rule % how->deny_every == 0;
}

// conf: borrowed until forward_net_close. NULL with err.
struct forward_net *forward_net_open(const struct dp_conf *conf, const struct rules *rules,
				     const struct forward_policy *how, struct err *err);
void forward_net_close(struct forward_net *net); // accepts NULL
// Everything so far.
void forward_net_read(const struct forward_net *net, struct forward_figures *out);
// The worker ends; its counters stay.
void forward_net_stop(struct forward_net *net);
uint64_t forward_net_counter(const struct forward_net *net, uint16_t port, enum counter_id id);
double forward_net_tsc_hz(void);
