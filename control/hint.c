// SPDX-License-Identifier: Apache-2.0
// Token schedules hold promises only. To see whether hints fit, their drains are put in for the length of a call.
#include "hint.h"

#include <stdlib.h>

#include "answer.h"
#include "request.h"
#include "state.h"

#define NS_PER_S 1000000000u

bool hint_is_background(const struct request *r)
{
	return r->verb == VERB_HINT && (r->hint->said.given & 1u << HINT_CLASS) != 0 &&
	       r->hint->said.class == CLASS_BACKGROUND;
}

bool hint_is_realised(const struct request *r)
{
	return r->verb == VERB_HINT && (r->rate_bps > 0 || hint_is_background(r));
}

uint64_t hint_rate_bps(const struct hint *said, int64_t start_ns, int64_t deadline_ns)
{
	const uint32_t both = 1u << HINT_SIZE | 1u << HINT_DEADLINE;
	u128 bit_ns = (u128)said->size_bytes * 8 * NS_PER_S, length;

	if ((said->given & both) != both || deadline_ns <= start_ns)
		return 0;
	length = (u128)(deadline_ns - start_ns);
	bit_ns = (bit_ns + length - 1) / length;
	return bit_ns > INT64_MAX ? UINT64_MAX : (uint64_t)bit_ns;
}

// Its drain from now on, in its share and all above.
static bool drain_fits(const struct state *s, struct share *share, int64_t start_ns, int64_t end_ns, uint64_t rate_bps)
{
	start_ns = start_ns < s->now_ns ? s->now_ns : start_ns;
	for (; share != NULL; share = share->parent) {
		timeline_advance(share->timeline, s->now_ns);
		if (!timeline_fits(share->timeline, start_ns, end_ns, rate_bps, NULL))
			return false;
	}
	return true;
}

static bool drain_add(const struct state *s, const struct request *r)
{
	int64_t start_ns = r->start_ns < s->now_ns ? s->now_ns : r->start_ns;
	struct share *share;

	for (share = r->share; share != NULL; share = share->parent)
		if (timeline_prepare(share->timeline) < 0)
			return false;
	for (share = r->share; share != NULL; share = share->parent)
		timeline_add(share->timeline, start_ns, r->end_ns, r->rate_bps);
	return true;
}

static void drain_remove(const struct state *s, const struct request *r)
{
	int64_t start_ns = r->start_ns < s->now_ns ? s->now_ns : r->start_ns;

	for (struct share *share = r->share; share != NULL; share = share->parent)
		timeline_remove(share->timeline, start_ns, r->end_ns, r->rate_bps);
}

static bool holds_bandwidth(const struct request *r)
{
	return r->verb == VERB_RESERVE || (r->verb == VERB_HINT && r->rate_bps > 0 && r->hint->gave_way_to == 0);
}

// Reservations and realised hints that meet the group anywhere, but for one: no fewer than meet in one packet of it.
static uint32_t count_neighbours(const struct state *s, const struct match *flows, const struct request *but)
{
	const struct share *root = s->shares.root;
	const struct request *r;
	uint32_t n = 0;

	for (const struct share *share = root; share != NULL && n < ACTION_SET_MAX;
	     share = share_next(root, share, true))
		TAILQ_FOREACH (r, &share->requests, link)
			n += r != but && holds_bandwidth(r) && match_overlaps(&r->flows, flows);
	return n;
}

const char *hint_obstacle(struct state *s, struct share *share, const struct match *flows, int64_t start_ns,
			  int64_t end_ns, uint64_t rate_bps)
{
	const struct hint_part *other, *last = NULL;
	bool fits = true;
	uint32_t n = 0;

	TAILQ_FOREACH (other, &s->hints, link)
		n++;
	if (n >= HINTS_REALISED_MAX)
		return "very many hints are realised already";
	if (share->privileges.reserve_max_bps == 0)
		return "the share may reserve nothing";
	if (rate_bps > INT64_MAX)
		return "no rate is that high";
	// what the network says is not asked: a restart, which reads the statement again, could not ask it
	if (count_neighbours(s, flows, NULL) >= ACTION_SET_MAX)
		return "too many reservations meet its flow group";
	if (!drain_fits(s, share, start_ns, end_ns, rate_bps))
		return "the share or one above has not so much bandwidth free";
	TAILQ_FOREACH (other, &s->hints, link) {
		fits = drain_fits(s, other->request->share, other->request->start_ns, other->request->end_ns,
				  other->request->rate_bps) &&
		       drain_add(s, other->request);
		if (!fits)
			break;
		last = other;
	}
	fits = fits && drain_fits(s, share, start_ns, end_ns, rate_bps);
	for (other = last; other != NULL; other = TAILQ_PREV(other, hint_list, link))
		drain_remove(s, other->request);
	return fits ? NULL : "earlier hints have the bandwidth that is free";
}

struct hint_part *hint_part_create(const struct hint *said, int64_t deadline_ns)
{
	struct hint_part *part = calloc(1, sizeof(*part));

	if (part != NULL) {
		part->said = *said;
		part->deadline_ns = deadline_ns;
	}
	return part;
}

void hint_stand(struct state *s, struct request *r)
{
	r->hint->request = r;
	if (r->rate_bps > 0)
		TAILQ_INSERT_TAIL(&s->hints, r->hint, link);
}

void hint_gone(struct state *s, struct request *r)
{
	if (r->verb == VERB_HINT && r->rate_bps > 0)
		TAILQ_REMOVE(&s->hints, r->hint, link);
}

// The promises are in the schedules already; earlier hints go before later ones.
void hints_give_way(struct state *s, const struct request *to)
{
	struct hint_part *part, *next;

	TAILQ_FOREACH_REVERSE(part, &s->hints, hint_list, link)
	{
		const struct request *r = part->request;

		if (match_overlaps(&r->flows, &to->flows) && count_neighbours(s, &r->flows, r) >= ACTION_SET_MAX)
			part->gave_way_to = to->id;
	}
	TAILQ_FOREACH (part, &s->hints, link) {
		const struct request *r = part->request;

		if (part->gave_way_to == 0 &&
		    (!drain_fits(s, r->share, r->start_ns, r->end_ns, r->rate_bps) || !drain_add(s, r)))
			part->gave_way_to = to->id;
	}
	TAILQ_FOREACH (part, &s->hints, link)
		if (part->gave_way_to == 0)
			drain_remove(s, part->request);
	for (part = TAILQ_FIRST(&s->hints); part != NULL; part = next) {
		next = TAILQ_NEXT(part, link);
		if (part->gave_way_to != 0)
			request_withdraw(s, part->request);
	}
}

void hint_answer(const struct request *r, const char *why_not, struct reply *reply)
{
	bool background = hint_is_background(r);

	answer_put(reply, "realised", json_boolean(hint_is_realised(r)));
	if (background)
		answer_put(reply, "background", json_true());
	if (r->rate_bps > 0)
		answer_put(reply, "rate", answer_number_json(r->rate_bps));
	else if (!background || hint_rate_bps(&r->hint->said, r->start_ns, r->hint->deadline_ns) > 0)
		answer_put(reply, "why_not", json_string(why_not));
}

json_t *hint_json(const struct hint_part *part)
{
	const struct hint *h = &part->said;
	json_t *all = json_object();

	if ((h->given & 1u << HINT_DURATION) != 0)
		json_object_set_new(all, "duration", answer_time_json(h->duration_ns));
	if ((h->given & 1u << HINT_SIZE) != 0)
		json_object_set_new(all, "size", json_integer((json_int_t)h->size_bytes));
	if ((h->given & 1u << HINT_DEADLINE) != 0)
		json_object_set_new(all, "deadline", answer_time_json(part->deadline_ns));
	if ((h->given & 1u << HINT_PREDICTABILITY) != 0)
		json_object_set_new(all, "predictability",
				    json_string(h->predictability == PREDICT_STEADY ? "steady" : "bursty"));
	if ((h->given & 1u << HINT_CLASS) != 0)
		json_object_set_new(all, "class",
				    json_string(h->class == CLASS_BACKGROUND ? "background" : "interactive"));
	return all;
}
