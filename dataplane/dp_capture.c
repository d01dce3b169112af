// SPDX-License-Identifier: Apache-2.0
#include "dp_capture.h"

#include <assert.h>
#include <string.h>

#include "dp_log.h"
#include "dp_priv.h"

static_assert(WORKERS_CAPTURE_BOXES == PROTO_CAPTURE_BOXES && WORKERS_CAPTURE_BYTES == PROTO_CAPTURE_BYTES,
	      "the link carries what workers copy");

#define FRAMES_A_TURN 256

static void acknowledge(struct dp *dp, uint32_t number)
{
	const struct proto_msg msg = {
		.type = PROTO_CAPTURED,
		.captured = {.number = number, .n_missed = workers_capture_missed(dp->workers)},
	};

	if (number != 0)
		link_tell(dp->link, &msg);
}

static void follow(struct dp *dp)
{
	struct proto_capture asked;

	if (!link_next_capture(dp->link, &asked))
		return;
	if (asked.n_frames > 0 || dp->capture.left > 0) {
		dp->capture.number = asked.number;
		dp->capture.left = asked.n_frames;
		if (workers_capture(dp->workers, asked.box, asked.n_frames == 0 ? 0 : asked.n_boxes) < 0) {
			dp_error("no memory for a capture");
			dp->capture.left = 0;
			return;
		}
	}
	acknowledge(dp, asked.number);
}

void dp_capture_turn(struct dp *dp)
{
	struct proto_msg msg = {.type = PROTO_CAPTURED};
	struct workers_captured frame;

	follow(dp);
	for (int i = 0; i < FRAMES_A_TURN && dp->capture.left > 0 && workers_next_captured(dp->workers, &frame); i++) {
		struct proto_captured *c = &msg.captured;

		c->number = dp->capture.number;
		c->n_missed = workers_capture_missed(dp->workers);
		c->time_ns = frame.time_ns;
		c->len_bytes = frame.len_bytes;
		c->port = frame.port;
		c->n = frame.n;
		memcpy(c->data, frame.data, frame.n);
		link_tell(dp->link, &msg);
		if (--dp->capture.left == 0)
			workers_capture(dp->workers, NULL, 0);
	}
}
