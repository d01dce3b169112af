// SPDX-License-Identifier: Apache-2.0
// `trace(PACKET FIELDS).`: what `explain` says of a packet, and what the dataplane finds for it: the rows, where they
// lie, the class it would queue in; and whether the two agree. The dataplane's part comes later, over the link: the
// answer is begun by query_trace and completed by trace_complete. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/proto.h"
#include "speaker.h"
#include "state.h"

// What is asked and what is expected: a value in one block, freed with free.
struct trace_question {
	struct proto_trace ask; // all but the number
	struct principal speaker;
	bool sees_queues;
	bool denied, background;
	struct idset reservations, limits;
	uint32_t n_requests;
	uint64_t request[]; // numbers of those that match
};

// Is given the question (and owns it), after reply has the controller's part. 0: reply->later names the answer to come.
// -1 with a refusal: nobody can be asked.
typedef int trace_ask_fn(void *ctx, struct trace_question *q, struct reply *reply);

// traced: the dataplane's answer. settled: all that was accepted before the question was in force when it was asked.
// reply is the one that was begun.
void trace_complete(const struct state *s, const struct trace_question *q, const struct proto_traced *traced,
		    bool settled, struct reply *reply);
