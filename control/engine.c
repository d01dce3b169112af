// SPDX-License-Identifier: Apache-2.0
#include "engine.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "cmd_parse.h"
#include "metered.h"
#include "network.h"
#include "override.h"
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

static bool is_root(const struct principal *speaker)
{
	return strcmp(speaker->user, USER_ROOT) == 0;
}

static int refuse_not_root(const struct principal *speaker, struct reply *reply)
{
	return reply_refuse(reply, REPLY_NOT_ROOT, "only %s may say this, not %s", USER_ROOT, speaker->user);
}

static int refuse_memory(struct reply *reply)
{
	return reply_refuse(reply, REPLY_LIMIT, "out of memory");
}

static int add_user(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	int rc;

	if (!is_root(speaker))
		return refuse_not_root(speaker, reply);
	rc = users_add(&s->users, st->name);
	if (rc == -EEXIST)
		return reply_refuse(reply, REPLY_DUP_USER, "there is a user %s already", st->name);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = true;
	return 0;
}

// A child of parent came (or went: NULL): who of them has a weight of its own may have changed.
static void note_weights(struct state *s, const struct share *parent, const struct share *child)
{
	if (child != NULL && parent->n_weighted == 0)
		return;
	s->policy_gen++;
	if (child != NULL && parent->n_weighted > (child->privileges.weight != 1))
		delta_share(&s->delta, child->number); // the others had one before
	else
		for (uint32_t i = 0; i < parent->n_children; i++)
			delta_share(&s->delta, parent->children[i]->number);
}

// The bindings of the user have changed.
static void note_user(struct state *s, const struct user *user)
{
	const struct share *root = s->shares.root;
	const struct request *r;

	TAILQ_FOREACH (r, &s->naming_users, naming_users_link) {
		if (policy_depends_on(&r->flows, user->number))
			delta_request(&s->delta, r->id);
	}
	for (const struct share *share = root; share != NULL && s->shares.n_weighted > 0;
	     share = share_next(root, share, true)) {
		if (share_has_weight(share) && policy_depends_on(&share->flows, user->number))
			delta_share(&s->delta, share->number);
	}
	s->policy_gen++;
}

static int new_share(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *parent = share_find(&s->shares, st->share), *share;
	struct privileges privileges;
	struct principal creator = {0};
	struct err err;

	if (parent == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->share);
	if (!share_speaks(parent, speaker, state_registered(s, speaker)))
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s", speaker->user,
				    parent->name);
	if (share_find(&s->shares, st->name) != NULL)
		return reply_refuse(reply, REPLY_DUP_SHARE, "there is a share %s already", st->name);
	if (!match_subset(&st->flows, &parent->flows))
		return answer_not_contained(reply, &s->users, &st->flows, &parent->flows, parent->name);
	if (privileges_resolve(&parent->privileges, &st->privileges, &privileges, &err) < 0)
		return reply_refuse(reply, REPLY_BAD_PRIVILEGE, "%s", err.msg);
	memcpy(creator.user, speaker->user, sizeof(creator.user));
	share = share_add(&s->shares, parent, st->name, &st->flows, &privileges, &creator, s->now_ns);
	if (share == NULL)
		return refuse_memory(reply);
	note_weights(s, parent, share);
	reply->mutated = true;
	return 0;
}

// The share that is granted, if it exists and the speaker may.
static struct share *granted_share(struct state *s, const struct principal *speaker, const char *name,
				   struct reply *reply)
{
	struct share *share = share_find(&s->shares, name);

	if (share == NULL)
		reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", name);
	else if (!share_speaks(share, speaker, state_registered(s, speaker))) {
		reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s", speaker->user, share->name);
		share = NULL;
	}
	return share;
}

static int grant(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);
	int rc;

	if (share == NULL)
		return -1;
	if (users_find(&s->users, st->principal.user) == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->principal.user);
	rc = share_grant(share, &st->principal);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = rc == 0;
	return 0;
}

static int grant_default(struct state *s, const struct principal *speaker, const struct statement *st,
			 struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);

	if (share == NULL)
		return -1;
	reply->mutated = !share->granted_default;
	share->granted_default = true;
	return 0;
}

static int revoke(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);
	char who[3 * PRINCIPAL_NAME_MAX];

	if (share == NULL)
		return -1;
	if (users_find(&s->users, st->principal.user) == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->principal.user);
	principal_format(&st->principal, who, sizeof(who));
	if (share_revoke(share, &st->principal) < 0)
		return reply_refuse(reply, REPLY_NOT_GRANTED, "share %s is not granted to %s", share->name, who);
	reply->mutated = true;
	return 0;
}

static int drop_share(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = share_find(&s->shares, st->name), *parent;
	bool had_weight;

	if (share == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->name);
	if (share->parent == NULL)
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "share %s has no parent whose principal could drop it",
				    share->name);
	if (!share_speaks(share->parent, speaker, state_registered(s, speaker)))
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s, the parent of %s",
				    speaker->user, share->parent->name, share->name);
	request_end_below(s, share);
	for (const struct share *gone = share; gone != NULL; gone = share_next(share, gone, true))
		traffic_forget_share(&s->traffic, gone);
	parent = share->parent;
	had_weight = share_has_weight(share);
	for (const struct share *gone = share; gone != NULL; gone = share_next(share, gone, true)) {
		if (share_has_weight(gone))
			delta_share(&s->delta, gone->number);
	}
	share_drop(&s->shares, share);
	if (had_weight && parent->n_weighted == 0)
		note_weights(s, parent, NULL);
	reply->mutated = true;
	return 0;
}

static int drop_user(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct share *root = s->shares.root;
	struct user *user = users_find(&s->users, st->name);
	struct override_watch watch;
	bool had_bindings;

	if (!is_root(speaker))
		return refuse_not_root(speaker, reply);
	if (user == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->name);
	if (user->number == USER_NUMBER_ROOT)
		return reply_refuse(reply, REPLY_BAD_VALUE, "%s cannot be dropped", user->name);
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		share_revoke_user(share_find(&s->shares, share->name), user->name);
	had_bindings = user->n_bindings > 0;
	override_before_binding(s, user, NULL, &watch);
	users_drop(user);
	override_after_binding(s, &watch);
	if (had_bindings)
		note_user(s, user);
	if (s->user_dropped.fn != NULL)
		s->user_dropped.fn(s->user_dropped.ctx, user->name);
	reply->mutated = true;
	return 0;
}

static struct user *bound_user(struct state *s, const struct principal *speaker, const struct statement *st,
			       struct reply *reply)
{
	struct user *user = users_find(&s->users, st->name);

	if (!is_root(speaker)) {
		refuse_not_root(speaker, reply);
		return NULL;
	}
	if (user == NULL)
		reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->name);
	return user;
}

static int refuse_bound(const struct state *s, const struct user *user, const struct match *where, struct reply *reply)
{
	const struct user *owner = users_owner(&s->users, user, where);
	char *text = answer_group(&s->users, &where->boxes[0]);

	reply_refuse(reply, REPLY_BOUND, "user %s has an address that %s overlaps",
		     owner == NULL ? "another" : owner->name, text == NULL ? "it" : text);
	free(text);
	return -1;
}

static int refuse_unbound(const struct state *s, const struct user *user, const struct statement *st,
			  struct reply *reply)
{
	char *text = st->has_binding ? answer_group(&s->users, &st->binding.boxes[0]) : NULL;

	reply_refuse(reply, REPLY_NO_BINDING, "user %s has %s%s", user->name,
		     text == NULL ? "no address" : "no such address: ", text == NULL ? "" : text);
	free(text);
	return -1;
}

static int bind_user(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct user *user = bound_user(s, speaker, st, reply);
	struct override_watch watch;
	int rc;

	if (user == NULL)
		return -1;
	override_before_binding(s, user, &st->binding, &watch);
	rc = users_bind(&s->users, user, &st->binding);
	override_after_binding(s, &watch);
	if (rc == -EEXIST)
		return refuse_bound(s, user, &st->binding, reply);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = rc == 0;
	if (rc == 0)
		note_user(s, user);
	return 0;
}

static int unbind_user(struct state *s, const struct principal *speaker, const struct statement *st,
		       struct reply *reply)
{
	struct user *user = bound_user(s, speaker, st, reply);
	struct override_watch watch;
	int rc;

	if (user == NULL)
		return -1;
	override_before_binding(s, user, st->has_binding ? &st->binding : NULL, &watch);
	rc = users_unbind(user, st->has_binding ? &st->binding : NULL);
	override_after_binding(s, &watch);
	if (rc < 0)
		return refuse_unbound(s, user, st, reply);
	reply->mutated = true;
	note_user(s, user);
	return 0;
}

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
	if (!is_root(speaker))
		return refuse_not_root(speaker, reply);
	if (__builtin_mul_overflow(st->number, SECOND, &now_ns) || __builtin_add_overflow(now_ns, s->now_ns, &now_ns) ||
	    now_ns == INT64_MAX)
		return reply_refuse(reply, REPLY_BAD_VALUE, "the time would be over 2^63-1 ns");
	advance(s, now_ns);
	reply->mutated = st->number > 0;
	return 0;
}

static handler_fn *const handlers[] = {
	[VERB_ADD_USER] = add_user,
	[VERB_NEW_SHARE] = new_share,
	[VERB_GRANT] = grant,
	[VERB_GRANT_DEFAULT] = grant_default,
	[VERB_REVOKE] = revoke,
	[VERB_DROP_SHARE] = drop_share,
	[VERB_DROP_USER] = drop_user,
	[VERB_BIND] = bind_user,
	[VERB_UNBIND] = unbind_user,
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
	struct checkpoint saved;
	int rc;

	if (checkpoint_save(&e->state, &saved) < 0)
		return err_set(err, ENOMEM, "out of memory");
	rc = load_again(e, &saved, now_ns, err);
	if (rc == -EINVAL) // what was accepted in two lives need not fit into one
		rc = load_again(e, &saved, INT64_MAX, err) < 0 ? -ENOMEM : -EAGAIN;
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
