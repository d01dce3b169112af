// SPDX-License-Identifier: Apache-2.0
// What would become of a packet, asked by the controller: looked up in the live snapshot as a worker does, by the link
// thread with a reader and answers of its own. Owner and only thread: the link thread.
#pragma once
#include <stdbool.h>

#include "hft/err.h"
#include "proto.h"
#include "snapshot.h"

struct dp_trace;
struct layers;
struct names_node;
struct sched_set;

// Borrowed: layers, nodes (names_nodes). NULL with err: -ENOMEM.
// drop_fragments: as workers do.
struct dp_trace *dp_trace_create(const struct layers *layers, const struct names_node *nodes, bool drop_fragments,
				 struct err *err);
void dp_trace_destroy(struct dp_trace *t); // accepts NULL
// s: the live snapshot, NULL: nothing is forwarded yet, and so dropped. NULL, or the set whose class at the question's
// port is the packet's queue: only the worker knows it (class_ask.h), and out->queue is not filled in. Valid until the
// next call.
const struct sched_set *dp_trace_answer(struct dp_trace *t, const struct snapshot *s,
					const struct proto_trace *question, struct proto_traced *out);
