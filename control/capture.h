// SPDX-License-Identifier: Apache-2.0
// `capture(FG) on S [count N] [for TIME].`: frames of a flow group as they come in at the dataplane's ports, whatever
// becomes of them. The answer comes when there are enough, or the time is over: captures.h. Thread: control only.
#pragma once
#include <stdint.h>

#include "dataplane/proto.h"
#include "reply.h"
#include "speaker.h"

struct state;

#define CAPTURE_FRAMES_MAX 5000
#define CAPTURE_FRAMES_DEFAULT 1000
#define CAPTURE_NS_MAX INT64_C(60000000000)
#define CAPTURE_NS_DEFAULT INT64_C(10000000000)

struct capture_question {
	struct proto_capture ask; // all but the number
	int64_t for_ns;
	bool sees_ports; // and may be told their names
	struct principal speaker;
	uint32_t share; // its number
};

// Is given the question, copied. 0: reply->later names the answer to come. -1 with a refusal.
typedef int capture_ask_fn(void *ctx, const struct capture_question *q, struct reply *reply);
// Whether who asked may still see the traffic: grants and shares go while a capture is under way.
bool capture_allowed(const struct state *s, const struct capture_question *q);
