// SPDX-License-Identifier: Apache-2.0
// Who may capture what: the frames of a share's flow group are for who sees the share's traffic.
#include "capture.h"

#include "query.h"
#include "view.h"

static bool names_users(const struct box *box)
{
	return box->f[MATCH_SRC_USER].lo > 0 || box->f[MATCH_SRC_USER].hi < MATCH_USER_MAX ||
	       box->f[MATCH_DST_USER].lo > 0 || box->f[MATCH_DST_USER].hi < MATCH_USER_MAX;
}

// What is asked for, as far as the share has it.
static int fill(const struct statement *st, const struct share *share, struct proto_capture *out, struct reply *reply)
{
	struct match group;
	int rc = 0;

	match_init(&group);
	if (match_intersect(&group, &st->flows, &share->flows) < 0)
		rc = reply_refuse(reply, REPLY_LIMIT, "out of memory");
	else if (group.n_boxes == 0 || match_is_empty(&group))
		rc = reply_refuse(reply, REPLY_NOT_CONTAINED,
				  "the flow group and that of share %s have no packet in common", share->name);
	else if (group.n_boxes > PROTO_CAPTURE_BOXES)
		rc = reply_refuse(reply, REPLY_LIMIT,
				  "the flow group has %u parts, at most %d are captured at once: ask for fewer values",
				  group.n_boxes, PROTO_CAPTURE_BOXES);
	for (uint32_t i = 0; i < group.n_boxes && rc == 0; i++) {
		out->box[i] = group.boxes[i];
		if (names_users(&group.boxes[i]))
			rc = reply_refuse(reply, REPLY_BAD_VALUE,
					  "frames carry no users: name their addresses instead");
	}
	out->n_boxes = (uint16_t)group.n_boxes;
	match_fini(&group);
	return rc;
}

bool capture_allowed(const struct state *s, const struct capture_question *q)
{
	const struct share *share = share_at(&s->shares, q->share);

	return share != NULL && view_through(s, &q->speaker, share, VIEW_TRAFFIC) != NULL;
}

int query_capture(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = share_find(&s->shares, st->share);
	struct capture_question q = {.ask.n_frames = (uint32_t)st->number, .for_ns = st->last_ns};
	struct reply ignored;

	if (share == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->share);
	if (view_share(s, speaker, share, VIEW_TRAFFIC, reply) == NULL || fill(st, share, &q.ask, reply) < 0)
		return -1;
	if (s->ask_dataplane.capture == NULL)
		return reply_refuse(reply, REPLY_NETWORK, "there is no dataplane that could capture");
	reply_init(&ignored);
	q.speaker = *speaker;
	q.share = share->number;
	q.sees_ports = view_anywhere(s, speaker, VIEW_PORTS, &ignored) == 0;
	reply_fini(&ignored);
	return s->ask_dataplane.capture(s->ask_dataplane.ctx, &q, reply);
}
