// SPDX-License-Identifier: Apache-2.0
// A whole switch to measure: the controller with its journal in a process of its own, the dataplane in threads of this
// one between two ring: ports, and the benchmark as its applications (as root, on the command socket) and as its
// network. Owner and only thread: the benchmark's.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "hft/err.h"

#define RIG_FLOWS 4096 // that probes are of; each is one source address, RIG_FLOW_IP and on
#define RIG_FLOW_IP 0xac100000u
#define RIG_FREE UINT16_MAX // of a probe: a flow that nobody denies
#define RIG_BURST 32        // probes, the free one at the end included

struct rig;

// passed: it came out. got_ns: when it was certain, at the latest. CLOCK_REALTIME.
typedef void rig_judge_fn(void *ctx, uint16_t flow, bool passed, int64_t sent_ns, int64_t got_ns);

// NULL with err. Only as root (the command socket's proof), once in a process, before other threads.
struct rig *rig_start(rig_judge_fn *judge, void *ctx, struct err *err);
void rig_stop(struct rig *r); // accepts NULL
void rig_kill_controller(struct rig *r);

// Statements, and their answers in order: JSON text without newline; events are left out. rig_hear: false: none has
// come yet, or after wait_ms. 0, or -EPIPE: the controller is gone.
int rig_say(struct rig *r, const char *statement);
bool rig_hear(struct rig *r, char *line, size_t size, int wait_ms);

// Sends up to RIG_BURST - 1 probes as one burst, all of them looked up in one snapshot, and a free one. Their verdicts
// come to judge from rig_drain, in order. How many frames the switch had no room for: they are not judged.
uint32_t rig_probe(struct rig *r, const uint16_t *flows, uint32_t n);
void rig_drain(struct rig *r);
uint64_t rig_n_frames(const struct rig *r); // sent
int64_t rig_now_ns(void);
