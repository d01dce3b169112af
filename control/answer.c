// SPDX-License-Identifier: Apache-2.0
#include "answer.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)

struct quantity answer_time(int64_t ns)
{
	struct quantity q;
	int len;

	if (ns == INT64_MAX) {
		snprintf(q.text, sizeof(q.text), "forever");
		return q;
	}
	len = snprintf(q.text, sizeof(q.text), "%" PRId64, ns / SECOND);
	if (ns % SECOND != 0) {
		len += snprintf(q.text + len, sizeof(q.text) - (size_t)len, ".%09" PRId64, ns % SECOND);
		while (q.text[len - 1] == '0')
			q.text[--len] = '\0';
	}
	return q;
}

struct quantity answer_instant(int64_t ns)
{
	struct quantity q = answer_time(ns);
	char stamp[24], fraction[12] = "";
	time_t seconds = (time_t)(ns / SECOND);
	const char *dot = strchr(q.text, '.');
	struct tm tm;

	if (ns == INT64_MAX || gmtime_r(&seconds, &tm) == NULL ||
	    strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		return q;
	if (dot != NULL)
		snprintf(fraction, sizeof(fraction), "%s", dot);
	snprintf(q.text, sizeof(q.text), "%s%sZ", stamp, fraction);
	return q;
}

struct quantity answer_duration(int64_t ns)
{
	struct quantity q;

	if (ns == INT64_MAX)
		return answer_time(ns);
	if (ns > 0 && ns % (60 * SECOND) == 0)
		snprintf(q.text, sizeof(q.text), "%" PRId64 " min", ns / (60 * SECOND));
	else
		snprintf(q.text, sizeof(q.text), "%.30s s", answer_time(ns).text);
	return q;
}

struct quantity answer_rate(uint64_t bps)
{
	static const struct {
		uint64_t factor;
		const char *name;
	} units[] = {{1000000, "Mb"}, {1000, "kb"}, {1, "b"}};
	struct quantity q = answer_number(bps);

	for (size_t i = 0; bps != UINT64_MAX && i < sizeof(units) / sizeof(units[0]); i++)
		if (bps % units[i].factor == 0) {
			snprintf(q.text, sizeof(q.text), "%" PRIu64 " %s", bps / units[i].factor, units[i].name);
			break;
		}
	return q;
}

struct quantity answer_number(uint64_t value)
{
	struct quantity q;

	if (value == UINT64_MAX)
		snprintf(q.text, sizeof(q.text), "inf");
	else
		snprintf(q.text, sizeof(q.text), "%" PRIu64, value);
	return q;
}

json_t *answer_time_json(int64_t ns)
{
	return ns == INT64_MAX ? json_null() : json_string(answer_time(ns).text);
}

json_t *answer_number_json(uint64_t value)
{
	if (value == UINT64_MAX)
		return json_string("inf");
	return json_integer(value > INT64_MAX ? INT64_MAX : (json_int_t)value);
}

void answer_put(struct reply *reply, const char *key, json_t *value)
{
	json_object_set_new(reply->body, key, value);
}

static const char *user_name(void *ctx, uint32_t number)
{
	const struct user *user = users_at(ctx, number);

	return user == NULL ? NULL : user->name;
}

char *answer_group(const struct users *users, const struct box *box)
{
	size_t len = box_format(box, user_name, (void *)users, NULL, 0);
	char *text = malloc(len + 1);

	if (text != NULL)
		box_format(box, user_name, (void *)users, text, len + 1);
	return text;
}

// Only packets of users who do not exist.
static bool is_nobodys(const struct users *users, const struct box *box)
{
	return box->f[MATCH_SRC_USER].lo > users->n || box->f[MATCH_DST_USER].lo > users->n;
}

json_t *answer_boxes_json(const struct users *users, const struct match *match)
{
	json_t *all = json_array();

	for (uint32_t i = 0; i < match->n_boxes; i++) {
		char *group;
		json_t *item;

		if (is_nobodys(users, &match->boxes[i]))
			continue;
		group = answer_group(users, &match->boxes[i]);
		item = json_object();
		json_object_set_new(item, "group", json_string(group == NULL ? "" : group));
		json_object_set_new(item, "start", answer_time_json(box_start_ns(&match->boxes[i])));
		json_object_set_new(item, "end", answer_time_json(box_end_ns(&match->boxes[i])));
		json_array_append_new(all, item);
		free(group);
	}
	return all;
}

#define OUTSIDE_TOLD_MAX 20

int answer_not_contained(struct reply *reply, const struct users *users, const struct match *flows,
			 const struct match *outer, const char *share)
{
	struct match outside;
	char *first = NULL;

	match_init(&outside);
	// What is too large to be found is refused without it.
	if (match_subtract(&outside, flows, outer) == 0 && outside.n_boxes > 0)
		first = answer_group(users, &outside.boxes[0]);
	reply_refuse(reply, REPLY_NOT_CONTAINED, "the flow group is not contained in that of share %s%s%s%s", share,
		     first == NULL ? "" : ": outside lies ", first == NULL ? "" : first,
		     outside.n_boxes > 1 ? ", and more" : "");
	if (first != NULL) {
		json_t *all = json_array();

		for (uint32_t i = 0; i < outside.n_boxes && i < OUTSIDE_TOLD_MAX; i++) {
			char *group = answer_group(users, &outside.boxes[i]);

			json_array_append_new(all, json_string(group == NULL ? "" : group));
			free(group);
		}
		answer_put(reply, "outside", all);
	}
	free(first);
	match_fini(&outside);
	return -1;
}
