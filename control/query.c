// SPDX-License-Identifier: Apache-2.0
#include "query.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "view.h"

static const struct share *query_share(const struct state *s, const struct principal *speaker, const char *name,
				       uint32_t bits, struct reply *reply)
{
	const struct share *share = share_find(&s->shares, name);

	if (share == NULL) {
		reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", name);
		return NULL;
	}
	return view_share(s, speaker, share, bits, reply) == NULL ? NULL : share;
}

static int schedule_item(void *ctx, const struct timeline_point *point)
{
	json_t *item = json_object();
	char text[160];

	json_object_set_new(item, "at", answer_time_json(point->at_ns));
	json_object_set_new(item, "bandwidth", answer_number_json(point->free_bps));
	json_object_set_new(item, "tokens", answer_number_json(point->tokens_bits));
	snprintf(text, sizeof(text), "%s,%s,%s", answer_time(point->at_ns).text, answer_number(point->free_bps).text,
		 answer_number(point->tokens_bits).text);
	reply_item(ctx, item, text);
	return 0;
}

int query_schedule(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct share *share = query_share(s, speaker, st->name, VIEW_SCHEDULE, reply);

	if (share == NULL)
		return -1;
	reply->is_list = true;
	timeline_advance(share->timeline, s->now_ns);
	return timeline_each(share->timeline, schedule_item, reply);
}

static int first_free(void *ctx, const struct timeline_point *point)
{
	*(uint64_t *)ctx = point->free_bps;
	return 1;
}

// What is reserved now in the share and below. A share without a limit has no schedule: there it is summed up.
static uint64_t reserved_now(const struct state *s, const struct share *share)
{
	uint64_t max = share->privileges.reserve_max_bps, sum = 0, value = 0;
	const struct request *r;

	if (max == 0)
		return 0;
	if (max != RATE_UNLIMITED) {
		timeline_advance(share->timeline, s->now_ns);
		timeline_each(share->timeline, first_free, &value);
		return max - value;
	}
	TAILQ_FOREACH (r, &share->requests, link)
		if (r->verb == VERB_RESERVE && r->start_ns <= s->now_ns)
			sum = answer_sum(sum, r->rate_bps);
	for (uint32_t i = 0; i < share->n_children; i++)
		sum = answer_sum(sum, reserved_now(s, share->children[i]));
	return sum;
}

// How much of that the network of switches does not keep now.
static uint64_t suspended_now(const struct state *s, const struct share *top)
{
	uint64_t sum = 0;

	if (s->n_unkept == 0)
		return 0;
	for (const struct share *share = top; share != NULL; share = share_next(top, share, true)) {
		const struct request *r;

		TAILQ_FOREACH (r, &share->requests, link)
			if (r->verb == VERB_RESERVE && r->unkept && r->start_ns <= s->now_ns)
				sum = answer_sum(sum, r->rate_bps);
	}
	return sum;
}

static json_t *share_details(const struct state *s, const struct share *share, bool speaks, bool schedule)
{
	json_t *item = json_object(), *principals = json_array();
	char name[3 * PRINCIPAL_NAME_MAX];
	uint64_t suspended;

	for (uint32_t i = 0; i < share->n_principals; i++) {
		principal_format(&share->principals[i], name, sizeof(name));
		json_array_append_new(principals, json_string(name));
	}
	json_object_set_new(item, "name", json_string(share->name));
	json_object_set_new(item, "parent", share->parent == NULL ? json_null() : json_string(share->parent->name));
	json_object_set_new(item, "speaks", json_boolean(speaks));
	json_object_set_new(item, "principals", principals);
	json_object_set_new(item, "reserve_max", answer_number_json(share->privileges.reserve_max_bps));
	json_object_set_new(item, "reserved", schedule ? answer_number_json(reserved_now(s, share)) : json_null());
	if (schedule && (suspended = suspended_now(s, share)) > 0)
		json_object_set_new(item, "suspended", answer_number_json(suspended));
	json_object_set_new(item, "requests",
			    json_integer((json_int_t)share->n_access[ACCESS_NONE] + share->n_access[ACCESS_ALLOW] +
					 share->n_access[ACCESS_DENY]));
	return item;
}

// The items are the shares that the speaker speaks for. "shares" has them and those below them that may be seen.
int query_shares(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct share *root = s->shares.root;
	bool registered = state_registered(s, speaker);

	json_t *details = json_array();

	reply->is_list = true;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		bool speaks = share_speaks(share, speaker, registered);

		if (speaks)
			reply_item(reply, json_string(share->name), share->name);
		if (view_through(s, speaker, share, 0) != NULL)
			json_array_append_new(details,
					      share_details(s, share, speaks,
							    view_through(s, speaker, share, VIEW_SCHEDULE) != NULL));
	}
	answer_put(reply, "shares", details);
	return 0;
}

int query_shares_by_group(struct state *s, const struct principal *speaker, const struct statement *st,
			  struct reply *reply)
{
	const struct share *root = s->shares.root;
	bool contains;

	reply->is_list = true;
	for (const struct share *share = root; share != NULL; share = share_next(root, share, contains)) {
		contains = match_subset(&st->flows, &share->flows);
		if (contains)
			reply_item(reply, json_string(share->name), share->name);
	}
	return 0;
}

static const char *request_state(const struct state *s, const struct request *r)
{
	if (request_suspended(r) != NULL)
		return "suspended";
	if (r->start_ns > s->now_ns)
		return "waiting";
	return r->hint != NULL && !hint_is_realised(r) ? "hint only" : "active";
}

static void request_item(const struct state *s, const struct request *r, json_t *details, struct reply *reply)
{
	json_t *item = json_object();
	char text[24];

	json_object_set_new(item, "id", json_integer((json_int_t)r->id));
	json_object_set_new(item, "verb", json_string(cmd_table_get(r->verb)->name));
	json_object_set_new(item, "share", json_string(r->share->name));
	json_object_set_new(item, "start", answer_time_json(r->start_ns));
	json_object_set_new(item, "end", answer_time_json(r->end_ns));
	if (r->verb == VERB_RESERVE || r->verb == VERB_RATELIMIT || (r->verb == VERB_HINT && r->rate_bps > 0))
		json_object_set_new(item, "rate", answer_number_json(r->rate_bps));
	if (r->addresses != NULL)
		json_object_set_new(item, "addresses", ip_list_json(r->addresses));
	json_object_set_new(item, "state", json_string(request_state(s, r)));
	if (request_suspended(r) != NULL) {
		json_object_set_new(item, "suspended", json_true());
		json_object_set_new(item, "why", json_string(request_suspended(r)));
	}
	if (r->hint != NULL) {
		json_object_set_new(item, "hint", hint_json(r->hint));
		json_object_set_new(item, "realised", json_boolean(hint_is_realised(r)));
	}
	json_t *groups = json_array();
	for (uint32_t i = 0; i < r->flows.n_boxes; i++) {
		char *group = answer_group(&s->users, &r->flows.boxes[i]);

		json_array_append_new(groups, json_string(group == NULL ? "" : group));
		free(group);
	}
	json_object_set_new(item, "groups", groups);
	json_array_append_new(details, item);
	snprintf(text, sizeof(text), "%" PRIu64, r->id);
	reply_item(reply, json_integer((json_int_t)r->id), text);
}

int query_requests(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct share *share = NULL;
	json_t *details;

	if (st->name[0] != '\0') {
		share = query_share(s, speaker, st->name, 0, reply);
		if (share == NULL)
			return -1;
	}
	reply->is_list = true;
	details = json_array();
	for (const struct request *r = request_from(&s->requests, 1); r != NULL;
	     r = request_from(&s->requests, r->id + 1))
		if (share != NULL ? r->share == share : view_through(s, speaker, r->share, 0) != NULL)
			request_item(s, r, details, reply);
	answer_put(reply, "requests", details);
	return 0;
}

int query_time(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	reply->is_list = true;
	answer_put(reply, "time", answer_time_json(s->now_ns));
	reply_item(reply, answer_time_json(s->now_ns), answer_time(s->now_ns).text);
	return 0;
}

int query_help(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct cmd_info *row;

	if (st->name[0] != '\0' && cmd_table_find(st->name, strlen(st->name)) == NULL)
		return reply_refuse(reply, REPLY_BAD_VALUE, "there is no verb %s", st->name);
	reply->is_list = true;
	for (size_t i = 0; (row = cmd_table_at(i)) != NULL; i++) {
		json_t *item;
		char text[512];

		if (st->name[0] != '\0' && strcmp(row->name, st->name) != 0)
			continue;
		item = json_object();
		json_object_set_new(item, "verb", json_string(row->name));
		json_object_set_new(item, "syntax", json_string(row->syntax));
		json_object_set_new(item, "help", json_string(row->help));
		json_object_set_new(item, "example", json_string(row->example));
		snprintf(text, sizeof(text), "%s. -- %s", row->syntax, row->help);
		reply_item(reply, item, text);
	}
	return 0;
}

int query_mode(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	reply->set_json = strcmp(st->name, "json") == 0;
	answer_put(reply, "mode", json_string(st->name));
	return 0;
}

int query_quit(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	reply->close = true;
	return 0;
}
