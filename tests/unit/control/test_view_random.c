// SPDX-License-Identifier: Apache-2.0
// A principal never learns what its shares may not see: two worlds that differ only in that answer each of its queries
// with the same bytes. Shares: root > mid > own > sub, mid > beside, root > second; alice speaks for own and second.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "talk.h"

enum { TRAFFIC, PORTS, LINKS, HOSTS, QUEUES, SCHEDULE, N_VIEWS };

struct share_view {
	bool query, sees[N_VIEWS];
};

struct world {
	struct talk a, b;
	struct share_view own, second;
	uint64_t n_requests;
	const char *share_of[32]; // by number
};

static void both(struct world *w, const char *speaker, const char *statement)
{
	enum reply_code a = say(&w->a, speaker, statement), b = say(&w->b, speaker, statement);

	if (a != REPLY_OK || b != REPLY_OK)
		fail_msg("%s: %s, %s", statement, talk_why(&w->a), talk_why(&w->b));
}

static bool sees(const struct world *w, int view)
{
	return (w->own.query && w->own.sees[view]) || (w->second.query && w->second.sees[view]);
}

static struct share_view random_view(struct dice *d, char *text, size_t size)
{
	static const char *const names[] = {"traffic", "ports", "links", "hosts", "queues", "schedule"};
	struct share_view v = {.query = dice_roll(d, 4) > 0};
	size_t len = (size_t)snprintf(text, size, "query = %s, view = {", v.query ? "True" : "False"), n = 0;

	for (int i = 0; i < N_VIEWS; i++) {
		v.sees[i] = dice_roll(d, 2) == 0;
		if (v.sees[i])
			len += (size_t)snprintf(text + len, size - len, "%s%s", n++ > 0 ? ", " : "", names[i]);
	}
	if (n == 0) { // an empty view is tested elsewhere
		v.sees[TRAFFIC] = true;
		len += (size_t)snprintf(text + len, size - len, "traffic");
	}
	snprintf(text + len, size - len, "}");
	return v;
}

static void make_shares(struct world *w, struct dice *d)
{
	char text[256], view[128];

	both(w, "root", "AddUser alice.");
	both(w, "root", "AddUser zed.");
	both(w, "root", "NewShare mid for (dstPort=1-99) [reserve <= 1Gb, ratelimit >= 0] on rootShare.");
	w->own = random_view(d, view, sizeof(view));
	snprintf(text, sizeof(text), "NewShare own for (dstPort=1-50) [reserve <= 100Mb, ratelimit >= 0, %s] on mid.",
		 view);
	both(w, "root", text);
	both(w, "root",
	     w->own.query ? "NewShare sub for (dstPort=1-20) [ratelimit >= 0] on own."
			  : "NewShare sub for (dstPort=1-20) [ratelimit >= 0, query = False] on own.");
	both(w, "root", "NewShare beside for (dstPort=1-99) [reserve <= 500Mb, ratelimit >= 0] on mid.");
	w->second = random_view(d, view, sizeof(view));
	snprintf(text, sizeof(text), "NewShare second for (dstPort=60-80) [ratelimit >= 0, %s] on rootShare.", view);
	both(w, "root", text);
	both(w, "root", "Grant own to alice.");
	both(w, "root", "Grant second to alice.");
}

static void random_request(struct dice *d, const char *share, char *text, size_t size)
{
	static const char *const verbs[][2] = {
		{"deny", ""}, {"allow", ""}, {"ratelimit", " = 3Mb"}, {"ratelimit", " = 9Mb"}};
	unsigned int verb = (unsigned int)dice_roll(d, 4);
	unsigned int low = strcmp(share, "second") == 0 ? 60 : 1, port = low + (unsigned int)dice_roll(d, 20);

	snprintf(text, size,
		 "%s(transport=TCP, srcHost=10.0.0.%d, dstHost=10.0.0.%d, dstPort=%u)%s partial on %s to +%dmin.",
		 verbs[verb][0], (int)dice_roll(d, 3), (int)dice_roll(d, 3), port, verbs[verb][1], share,
		 1 + (int)dice_roll(d, 90));
}

// A request of a share that alice sees is the same in both worlds; of another one it has the same number only.
static void make_request(struct world *w, struct dice *d)
{
	static const char *const shares[] = {"rootShare", "mid", "beside", "own", "sub", "second"};
	unsigned int which = (unsigned int)dice_roll(d, 6);
	bool shown = which >= 3 && (which == 5 ? w->second.query : w->own.query);
	char text[256];

	random_request(d, shares[which], text, sizeof(text));
	if (shown) {
		both(w, "root", text);
	} else {
		assert_int_equal(say(&w->a, "root", text), REPLY_OK);
		random_request(d, shares[which], text, sizeof(text));
		assert_int_equal(say(&w->b, "root", text), REPLY_OK);
	}
	w->share_of[++w->n_requests] = shares[which];
}

// What of a request's counters alice may see: none of it in traffic nor as a queue.
static bool counts_are_hidden(const struct world *w, uint64_t id)
{
	const char *share = w->share_of[id];
	const struct share_view *v = strcmp(share, "second") == 0 ? &w->second : &w->own;

	if (strcmp(share, "second") != 0 && strcmp(share, "own") != 0 && strcmp(share, "sub") != 0)
		return true;
	return !v->query || (!v->sees[TRAFFIC] && !v->sees[QUEUES]);
}

static void count(struct world *w, struct dice *d)
{
	uint64_t id = 1 + dice_roll(d, w->n_requests), packets = dice_roll(d, 1000);
	bool hidden = counts_are_hidden(w, id);

	engine_count(w->a.engine, id, packets, packets * 100, 0);
	packets = hidden ? dice_roll(d, 1000) : packets;
	engine_count(w->b.engine, id, packets, packets * 100, 0);
}

static void make_network(struct world *w, struct dice *d)
{
	struct nib_port port = {.port = 3, .up = true, .name = "p1", .device = "null", .rate_bps = 1000000};
	struct nib_seen seen = {.mac = 0x020000000001, .port = 3, .has_ip = true, .ip = match_ip4(0x0a000001)};
	uint64_t counters[8];

	nib_port_set(w->a.nib, &port);
	nib_seen_set(w->a.nib, &seen);
	for (int i = 0; i < 8; i++)
		counters[i] = dice_roll(d, 1000);
	nib_port_counters(w->a.nib, 3, counters, 8);
	if (!sees(w, PORTS) && !sees(w, QUEUES)) {
		port.rate_bps = 7000000;
		port.up = false;
		counters[dice_roll(d, 8)]++;
	}
	nib_port_set(w->b.nib, &port);
	nib_port_counters(w->b.nib, 3, counters, 8);
	if (!sees(w, HOSTS)) {
		seen.mac = 0x020000000007;
		seen.ip = match_ip4(0x0a000000 + (uint32_t)dice_roll(d, 3));
	}
	nib_seen_set(w->b.nib, &seen);
	assert_int_equal(say(&w->a, "root", "Bind zed to 10.9.9.1."), REPLY_OK);
	assert_int_equal(say(&w->b, "root", sees(w, HOSTS) ? "Bind zed to 10.9.9.1." : "Bind zed to 10.9.9.2."),
			 REPLY_OK);
}

static json_t *answer(struct talk *t, const char *statement)
{
	char *text;
	json_t *all;

	say(t, "alice", statement);
	text = reply_render_json(&t->reply);
	all = json_loads(text, 0, NULL);
	assert_non_null(all);
	free(text);
	return all;
}

static void ask(struct world *w, const char *statement)
{
	// That others decide of a packet of hers she may know; not who, nor why.
	static const char *const outcome[] = {"access", "action", "by", "queue"};
	json_t *a = answer(&w->a, statement), *b = answer(&w->b, statement);

	if (!json_equal(json_object_get(a, outcome[0]), json_object_get(b, outcome[0])))
		for (size_t i = 0; i < sizeof(outcome) / sizeof(outcome[0]); i++) {
			json_object_del(a, outcome[i]);
			json_object_del(b, outcome[i]);
		}
	if (!json_equal(a, b))
		fail_msg("%s tells what alice may not see:\n%s\n%s", statement, json_dumps(a, JSON_SORT_KEYS),
			 json_dumps(b, JSON_SORT_KEYS));
	json_decref(a);
	json_decref(b);
}

static void ask_everything(struct world *w, struct dice *d)
{
	static const char *const statements[] = {
		"ListShares.",
		"ListRequests.",
		"ListRequests own.",
		"ListRequests sub.",
		"ListRequests beside.",
		"ListRequests mid.",
		"ListRequests second.",
		"ListSharesByFlowGroup (dstPort=5).",
		"GetSchedule own.",
		"GetSchedule mid.",
		"GetSchedule beside.",
		"GetSchedule second.",
		"traffic(*) on own.",
		"traffic(dstPort=1-20) on own last 1h.",
		"traffic(dstPort=1-10) on sub.",
		"traffic(dstPort=60-80) on second.",
		"traffic(dstPort=1-99) on beside.",
		"traffic(dstPort=1-99) on mid.",
		"TrafficBetween 10.0.0.1 10.0.0.2.",
		"TrafficBetween 10.0.0.0 10.0.0.1.",
		"TrafficBetween 10.0.0.0 10.0.0.2.",
		"ports.",
		"links.",
		"hosts.",
		"hosts behind p1.",
		"queues.",
		"where 10.0.0.1.",
		"where 10.9.9.1.",
		"verify.",
		"time.",
		"help.",
		"cancel 99999.",
	};

	for (size_t i = 0; i < sizeof(statements) / sizeof(statements[0]); i++)
		ask(w, statements[i]);
	for (int i = 0; i < 20; i++) {
		char text[160];

		snprintf(text, sizeof(text),
			 "explain(transport=TCP, srcHost=10.0.0.%d, dstHost=10.0.0.%d, dstPort=%d)%s.",
			 (int)dice_roll(d, 3), (int)dice_roll(d, 3), 1 + (int)dice_roll(d, 99),
			 dice_roll(d, 3) == 0 ? " at +20min" : "");
		ask(w, text);
	}
}

static void what_may_not_be_seen_changes_no_answer(void **state)
{
	struct dice d = dice_from_env();

	for (unsigned long round = rounds_from_env(200); round > 0; round--) {
		struct world w = {0};

		talk_init(&w.a, true);
		talk_init(&w.b, true);
		make_shares(&w, &d);
		for (int i = 0; i < 14; i++)
			make_request(&w, &d);
		make_network(&w, &d);
		for (int i = 0; i < 10; i++)
			count(&w, &d);
		ask_everything(&w, &d);
		both(&w, "root", "Tick 600.");
		for (int i = 0; i < 10; i++)
			count(&w, &d);
		ask_everything(&w, &d);
		talk_fini(&w.a);
		talk_fini(&w.b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_may_not_be_seen_changes_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
