// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <errno.h>
#include <stdlib.h>

#include "authority.h"
#include "cmd_parse.h"
#include "metered.h"
#include "network.h"
#include "policy.h"
#include "query.h"
#include "request.h"
#include "route.h"
#include "state.h"

#define SECOND 1000000000

struct engine {
	struct state state;
};

// 0, or -1 with the refusal in reply and nothing changed.
typedef int handler_fn(struct state *s, const struct principal *speaker, const struct statement *st,
		       struct reply *reply);

static int cancel(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	return request_cancel(s, speaker, st->number, reply);
}

static void advance(struct state *s, int64_t now_ns)
{
	// The largest value is "never": no clock reaches it.
	if (now_ns == INT64_MAX)
		now_ns--;
	if (now_ns > s->now_ns)
		s->now_ns = now_ns;
	// Starts and ends in the order in which they came; at one instant what ends goes first.
	for (;;) {
		int64_t start_ns = start_queue_next(&s->starts), end_ns = request_next_end(s);
		const struct request *r;

		if (start_ns > s->now_ns && end_ns > s->now_ns)
			return;
		if (end_ns <= start_ns) {
			request_expire(s, end_ns);
			if (route_changed(s))
				route_review(s);
			continue;
		}
		r = request_find(&s->requests, start_queue_take(&s->starts, start_ns));
		if (r != NULL)
			event_started(s, r);
	}
}

static int tick(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	int64_t now_ns;

	if (!s->offline)
		return reply_refuse(reply, REPLY_SYNTAX, "Tick exists in trace files only");
	if (!authority_is_root(speaker))
		return authority_refuse_not_root(speaker, reply);
	if (__builtin_mul_overflow(st->number, SECOND, &now_ns) || __builtin_add_overflow(now_ns, s->now_ns, &now_ns) ||
	    now_ns == INT64_MAX)
		return reply_refuse(reply, REPLY_BAD_VALUE, "the time would be over 2^63-1 ns");
	advance(s, now_ns);
	reply->mutated = st->number > 0;
	return 0;
}

static handler_fn *const handlers[] = {
	[VERB_ADD_USER] = authority_add_user,
	[VERB_NEW_SHARE] = authority_new_share,
	[VERB_GRANT] = authority_grant,
	[VERB_GRANT_DEFAULT] = authority_grant_default,
	[VERB_REVOKE] = authority_revoke,
	[VERB_DROP_SHARE] = authority_drop_share,
	[VERB_DROP_USER] = authority_drop_user,
	[VERB_BIND] = authority_bind_user,
	[VERB_UNBIND] = authority_unbind_user,
	[VERB_ALLOW] = request_admit,
	[VERB_DENY] = request_admit,
	[VERB_RESERVE] = request_admit,
	[VERB_RATELIMIT] = request_admit,
	[VERB_WAYPOINT] = request_admit,
	[VERB_AVOID] = request_admit,
	[VERB_HINT] = request_admit,
	[VERB_CANCEL] = cancel,
	[VERB_RENEW] = request_renew,
	[VERB_GET_SCHEDULE] = query_schedule,
	[VERB_LIST_SHARES] = query_shares,
	[VERB_LIST_SHARES_BY_FLOW_GROUP] = query_shares_by_group,
	[VERB_LIST_REQUESTS] = query_requests,
	[VERB_TRAFFIC] = query_traffic,
	[VERB_TRAFFIC_BETWEEN] = query_between,
	[VERB_PORTS] = query_ports,
	[VERB_LINKS] = query_links,
	[VERB_HOSTS] = query_hosts,
	[VERB_QUEUES] = query_queues,
	[VERB_VERIFY] = query_verify,
	[VERB_WHERE] = query_where,
	[VERB_EXPLAIN] = query_explain,
	[VERB_TRACE] = query_trace,
	[VERB_CAPTURE] = query_capture,
	[VERB_TIME] = query_time,
	[VERB_HELP] = query_help,
	[VERB_TICK] = tick,
	[VERB_MODE] = query_mode,
	[VERB_QUIT] = query_quit,
};

struct engine *engine_create(const struct engine_conf *conf, struct nib *nib, int64_t now_ns)
{
	struct engine *e = calloc(1, sizeof(*e));

	if (e == NULL)
		return NULL;
	e->state.nib = nib;
	e->state.offline = conf->offline;
	e->state.drop_fragments = conf->drop_fragments;
	if (state_init(&e->state, conf->offline ? 0 : now_ns) < 0) {
		engine_destroy(e);
		return NULL;
	}
	return e;
}

void engine_destroy(struct engine *e)
{
	if (e == NULL)
		return;
	state_fini(&e->state);
	free(e);
}

static uint32_t look_up_user(void *ctx, const char *name)
{
	const struct state *s = ctx;
	const struct user *user = users_find(&s->users, name);

	return user == NULL ? 0 : user->number;
}

static bool look_up_host(void *ctx, const char *name, struct span128 *addr, uint32_t *kinds)
{
	const struct state *s = ctx;

	return s->nib != NULL && nib_host_find(s->nib, name, addr, kinds);
}

void engine_exec(struct engine *e, const struct principal *speaker, const char *statement, size_t len, int64_t now_ns,
		 struct reply *reply)
{
	struct cmd_names names = {&e->state, look_up_user, look_up_host};
	struct statement st;

	engine_advance(e, now_ns);
	statement_init(&st);
	if (cmd_parse(statement, len, &names, &st, reply) == 0)
		handlers[st.verb](&e->state, speaker, &st, reply);
	if (route_changed(&e->state) || (e->state.n_suspended > 0 && reply->mutated))
		route_review(&e->state);
	statement_fini(&st);
}

void engine_advance(struct engine *e, int64_t now_ns)
{
	advance(&e->state, e->state.offline ? e->state.now_ns : now_ns);
}

int64_t engine_next_ns(const struct engine *e)
{
	int64_t start_ns = start_queue_next(&e->state.starts), end_ns = request_next_end(&e->state);

	return start_ns < end_ns ? start_ns : end_ns;
}

void engine_listen(struct engine *e, const struct event_sink *sink)
{
	e->state.events = *sink;
}

void engine_on_user_dropped(struct engine *e, void (*fn)(void *ctx, const char *user), void *ctx)
{
	e->state.user_dropped.fn = fn;
	e->state.user_dropped.ctx = ctx;
}

void engine_limit_requests(struct engine *e, uint32_t max_open)
{
	e->state.max_open = max_open;
}

int64_t engine_now_ns(const struct engine *e)
{
	return e->state.now_ns;
}

uint64_t engine_policy_gen(const struct engine *e)
{
	return e->state.policy_gen;
}

void engine_changes(struct engine *e, struct delta *out)
{
	delta_take(&e->state.delta, out);
}

bool engine_changed(const struct engine *e)
{
	return delta_any(&e->state.delta);
}

void engine_count_begins(struct engine *e, int64_t now_ns)
{
	if (e->state.traffic.since_ns == INT64_MAX)
		traffic_begin(&e->state.traffic, now_ns);
}

void engine_count(struct engine *e, uint64_t id, uint64_t packets, uint64_t bytes, int64_t now_ns)
{
	struct state *s = &e->state;

	traffic_count(&s->traffic, id, request_find(&s->requests, id), packets, bytes,
		      now_ns > s->now_ns ? now_ns : s->now_ns);
}

void engine_queues_told(struct engine *e, uint16_t port)
{
	promises_round(&e->state, port);
}

void engine_skip_number(struct engine *e)
{
	e->state.requests.next_id++;
}

void engine_set_network(struct engine *e, const char *why)
{
	network_set(&e->state, why);
}

int engine_policy_all(const struct engine *e, int64_t now_ns, struct tree *tree, struct demands *demands)
{
	return policy_build_all(&e->state, now_ns, tree, demands);
}

void engine_ask_network(struct engine *e, engine_fit_fn *fn, void *ctx)
{
	e->state.ask_network = (struct network_ask){fn, ctx};
}

void engine_ask_dataplane(struct engine *e, const struct dataplane_ask *ask)
{
	e->state.ask_dataplane = *ask;
}

int engine_limit_metered(struct engine *e)
{
	return metered_begin(&e->state);
}

void engine_kept(struct engine *e, uint64_t id, const char *why)
{
	network_kept(&e->state, id, why);
}

int engine_save(const struct engine *e, struct checkpoint *out)
{
	return checkpoint_save(&e->state, out);
}

static int load_again(struct engine *e, const struct checkpoint *saved, int64_t back_to_ns, struct err *err)
{
	state_fini(&e->state);
	if (state_init(&e->state, 0) < 0)
		return err_set(err, ENOMEM, "out of memory");
	return checkpoint_load(&e->state, saved->bytes, saved->n, back_to_ns, err);
}

int engine_set_back(struct engine *e, int64_t now_ns, struct err *err)
{
	uint64_t policy_gen = e->state.policy_gen + 1;
	struct network_saved *unkept = network_save(&e->state); // who says it does so once
	struct checkpoint saved;
	int rc;

	if (unkept == NULL || checkpoint_save(&e->state, &saved) < 0) {
		free(unkept);
		return err_set(err, ENOMEM, "out of memory");
	}
	rc = load_again(e, &saved, now_ns, err);
	if (rc == -EINVAL) // what was accepted in two lives need not fit into one
		rc = load_again(e, &saved, INT64_MAX, err) < 0 ? -ENOMEM : -EAGAIN;
	network_load(&e->state, unkept);
	e->state.policy_gen = policy_gen;
	free(saved.bytes);
	return rc;
}

size_t engine_n_requests(const struct engine *e)
{
	return e->state.requests.n - e->state.requests.n_gone;
}

int engine_load(struct engine *e, const uint8_t *bytes, size_t n, struct err *err)
{
	return checkpoint_load(&e->state, bytes, n, INT64_MAX, err);
}

bool engine_user_exists(const struct engine *e, const char *name)
{
	return users_find(&e->state.users, name) != NULL;
}

const struct state *engine_state(const struct engine *e)
{
	return &e->state;
}
