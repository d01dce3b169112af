// SPDX-License-Identifier: Apache-2.0
// What is sent to the switches, and in which order, so that no frame circles, is lost, or passes a denial because some
// switches have followed and others have not yet. A step waits for the barriers of the one before; every step begins
// with a new plan, so that news in between needs no care:
//
//  ahead   ways of circuits, and ports towards other switches from which frames are let in: who sends comes after.
//  open    ports from the bridge that learns (topo.h), with the floods. It sends through them unasked: so what is to
//          leave the tree for it leaves before (shrink), and it must know where hosts are before ways lead through it.
//          It is told whenever ways come next (of_member.h): sooner than all that is farther from the host.
//  ways    to hosts, those nearest to the host first: a frame that meets a switch that has followed meets none that has
//          not from there on, and the others still lead as they did (Ito et al., "Loop-free convergence by ordered FIB
//          updates", RFC 6976).
//  shrink  floods leave links that are not on the tree any more, before others take their place. What is left of the
//          old tree is in the new one (topo_tree), so that floods of both make no loop together.
//  rest    all else, and ways to hosts that are gone, farthest first: one that is taken out gives way to a flood.
//
// Without a second way between any two switches there is nothing to order. Open vSwitch answers a barrier some
// milliseconds before its cache of flows follows, which is why entries of circuits stay for a while.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define AHEAD_NS 2000000000LL // a switch that answers no barrier for so long is not waited for
#define LEAVE_NS 1000000000LL
#define STEPS_SPARE 8
#define PLAN_SPARE 32 // entries more than there are, before more room is made

enum step { STEP_AHEAD, STEP_OPEN, STEP_WAYS, STEP_SHRINK, STEP_REST };

struct pending { // what some switch lacks
	bool ahead, opens, shrinks, grows;
	uint16_t nearest;  // of the ways that are to change; 0: none
	uint16_t farthest; // of those that are to go
};

struct wanted { // by one switch
	struct of_rules rules;
	struct of_meters meters;
	struct of_groups groups;
};

struct update {
	struct of_net *net;
	const struct of_plan_in *in;
	bool ordered;     // there are loops in the network
	bool same_policy; // as all switches have it
	struct pending pending;
	enum step step;
	// of one switch
	struct of_switch *sw;
	struct of_rules kept, gone; // to be known as there, or as not there any more
	uint32_t n_sent, n_groups;
	bool groups_short; // there is no room for all
	int rc;
};

static bool is_ready(const struct of_switch *sw)
{
	return sw->sync == SYNC_KNOWN && sw->hold_ns == INT64_MIN;
}

// --- barriers

static void send_barrier(struct of_switch *sw)
{
	struct of_msg barrier = {.type = OF_BARRIER_REQUEST};

	sw->net->stats.barriers++;
	sw->barrier_xid = of_conn_send(sw->conn, &barrier, NULL);
}

void of_update_barrier(struct of_switch *sw, uint32_t xid)
{
	if (sw->barrier_xid != xid)
		return;
	sw->barrier_xid = 0;
	sw->deaf = false;
}

static bool some_owe(const struct of_net *net)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->barrier_xid != 0 && !sw->deaf)
			return true;
	}
	return false;
}

bool of_update_awaits(const struct of_net *net)
{
	return net->now_ns < net->ahead_ns && some_owe(net);
}

// Those that have not answered in time are not waited for until they do.
static void note_deaf(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		sw->deaf |= sw->barrier_xid != 0 && net->ahead_ns != INT64_MIN && net->now_ns >= net->ahead_ns;
}

// --- what belongs to which step

static bool is_link(const struct update *u, uint32_t port)
{
	uint32_t peer, peer_port;

	return topo_link(u->in->topo, u->sw->idx, port, &peer, &peer_port);
}

// Frames are let in from another switch.
static bool is_letting_in(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	if (change == OF_RULE_ADD)
		return of_plan_lets_in(rule);
	return change == OF_RULE_DELETE && of_plan_keeps_out(rule) && is_link(u, rule->match.in_port);
}

static bool is_from_bridge(const struct update *u, const struct of_rule *rule)
{
	uint32_t peer, peer_port;

	return topo_link(u->in->topo, u->sw->idx, rule->match.in_port, &peer, &peer_port) &&
	       peer == u->in->topo->bridge;
}

static bool is_ahead(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	if (is_letting_in(u, change, rule))
		return !is_from_bridge(u, rule);
	return change == OF_RULE_ADD && of_plan_is_ahead(rule);
}

static bool is_opening(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	return is_letting_in(u, change, rule) && is_from_bridge(u, rule);
}

// In a switch with one table a new row of the policy comes in its own order, with the ways that it has.
static bool is_way(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	const struct of_rule *old = change == OF_RULE_MODIFY ? of_rules_find(&u->sw->have, rule) : NULL;

	if (!u->ordered || rule->hops == 0 || change == OF_RULE_DELETE)
		return false;
	if (change == OF_RULE_ADD)
		return rule->table == OF_PLAN_FORWARD || u->same_policy;
	return old != NULL && old->instructions.meter == rule->instructions.meter;
}

static bool is_gone(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	return u->ordered && change == OF_RULE_DELETE && rule->hops > 0;
}

static bool sends_to(const struct of_rule *rule, uint32_t port)
{
	for (uint8_t i = 0; i < rule->instructions.n_actions; i++) {
		if (rule->instructions.actions[i].type == OF_ACT_OUTPUT && rule->instructions.actions[i].port == port)
			return true;
	}
	return false;
}

// The links that a flood begins or ends to go along.
static void compare_floods(struct update *u, const struct of_rule *old, const struct of_rule *new)
{
	const struct topo_switch *sw = &u->in->topo->switches[u->sw->idx];

	for (uint32_t i = 0; i < sw->n_ports; i++) {
		bool before = sends_to(old, sw->ports[i].no), after = sends_to(new, sw->ports[i].no);

		u->pending.shrinks |= before && !after && sw->ports[i].up;
		u->pending.grows |= after && !before && is_link(u, sw->ports[i].no);
	}
}

static void find_pending(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct update *u = ctx;
	struct pending *p = &u->pending;
	const struct of_rule *old = NULL;

	p->ahead |= is_ahead(u, change, rule);
	p->opens |= is_opening(u, change, rule);
	if (is_way(u, change, rule) && (p->nearest == 0 || rule->hops < p->nearest))
		p->nearest = rule->hops;
	if (is_gone(u, change, rule) && rule->hops > p->farthest)
		p->farthest = rule->hops;
	if (u->ordered && rule->flood && change == OF_RULE_MODIFY)
		old = of_rules_find(&u->sw->have, rule);
	if (old != NULL)
		compare_floods(u, old, rule);
}

// --- sending

static void send_rule(struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	struct of_net *net = u->net;
	struct of_msg m;
	struct err err;
	uint32_t xid;

	of_rule_message(change, rule, net->now_ns + net->wall_minus_now_ns, &m);
	net->stats.flow_mods++;
	u->n_sent++;
	xid = of_conn_send(u->sw->conn, &m, &err);
	if (xid == 0)
		of_net_note(net, "switch %016" PRIx64 ": an entry cannot be sent: %s", of_net_dpid(u->sw), err.msg);
	for (uint8_t i = 0; i < m.flow_mod.instructions.n_actions; i++) {
		if (m.flow_mod.instructions.actions[i].type == OF_ACT_GROUP)
			of_xids_note(&u->sw->group_xids, xid);
	}
	if (m.flow_mod.instructions.meter != 0)
		of_xids_note(&u->sw->meter_xids, xid);
}

static void keep(struct update *u, const struct of_rule *rule)
{
	u->rc = u->rc < 0 ? u->rc : of_rules_add(&u->kept, rule);
}

static bool is_now(const struct update *u, enum of_rules_change change, const struct of_rule *rule)
{
	if (u->step == STEP_AHEAD)
		return is_ahead(u, change, rule);
	if (u->step == STEP_OPEN)
		return is_opening(u, change, rule) || (change == OF_RULE_MODIFY && rule->flood);
	return is_way(u, change, rule) && rule->hops == u->pending.nearest;
}

static void send_step(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct update *u = ctx;

	if (!is_now(u, change, rule))
		return;
	send_rule(u, change, rule);
	if (change != OF_RULE_DELETE)
		keep(u, rule);
	else
		u->rc = u->rc < 0 ? u->rc : of_rules_add(&u->gone, rule);
}

// The flood without the links that are new to it.
static void send_shrunk(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct update *u = ctx;
	const struct of_rule *old = change == OF_RULE_MODIFY && rule->flood ? of_rules_find(&u->sw->have, rule) : NULL;
	struct of_rule less;

	if (old == NULL)
		return;
	less = *rule;
	less.instructions.n_actions = 0;
	for (uint8_t i = 0; i < rule->instructions.n_actions; i++) {
		const struct of_action *a = &rule->instructions.actions[i];

		if (a->type != OF_ACT_OUTPUT || sends_to(old, a->port) || !is_link(u, a->port))
			less.instructions.actions[less.instructions.n_actions++] = *a;
	}
	send_rule(u, change, &less);
	keep(u, &less);
}

// Frames may still be on the way to an entry of a circuit when the circuit has gone.
static void send_rest(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct update *u = ctx;
	struct of_net *net = u->net;
	struct of_rule later = *rule;

	if (is_gone(u, change, rule) && rule->hops < u->pending.farthest) {
		keep(u, rule);
		u->sw->dirty = true;
	} else if (change == OF_RULE_DELETE && of_plan_is_ahead(rule) &&
		   (rule->leave_ns == 0 || net->now_ns < rule->leave_ns)) {
		later.leave_ns = rule->leave_ns == 0 ? net->now_ns + LEAVE_NS : rule->leave_ns;
		net->leave_ns = later.leave_ns < net->leave_ns ? later.leave_ns : net->leave_ns;
		keep(u, &later);
	} else {
		send_rule(u, change, rule);
	}
}

static void send_meter(void *ctx, enum of_rules_change change, const struct of_meter *meter)
{
	struct of_switch *sw = ctx;
	struct of_msg m;

	of_meter_message(change, meter, &m);
	sw->net->stats.meter_mods++;
	of_xids_note(&sw->meter_xids, of_conn_send(sw->conn, &m, NULL));
}

// Entries name meters: those come before and go after.
static void send_new_meter(void *ctx, enum of_rules_change change, const struct of_meter *meter)
{
	if (change != OF_RULE_DELETE)
		send_meter(ctx, change, meter);
}

static void send_old_meter(void *ctx, enum of_rules_change change, const struct of_meter *meter)
{
	if (change == OF_RULE_DELETE)
		send_meter(ctx, change, meter);
}

static void send_group(struct update *u, enum of_rules_change change, const struct of_group_mod *what)
{
	struct of_msg m;

	of_group_message(change, what, &m);
	u->net->stats.group_mods++;
	u->n_groups++;
	of_conn_send(u->sw->conn, &m, NULL);
}

static void send_new_group(void *ctx, enum of_rules_change change, const struct of_group_mod *what)
{
	struct update *u = ctx;

	send_group(u, change, what);
	if (of_groups_set(&u->sw->have_groups, what) < 0)
		u->sw->read_back_ns = u->net->now_ns;
}

// All of them at once, whichever step their entries belong to. A barrier, as entries must not overtake them.
static void send_new_groups(struct update *u, const struct of_groups *want)
{
	struct of_msg barrier = {.type = OF_BARRIER_REQUEST};

	of_groups_diff(&u->sw->have_groups, want, send_new_group, u);
	for (uint32_t i = 0; i < want->n; i++) {
		struct of_group *g = of_groups_find(&u->sw->have_groups, want->groups[i].what.group);

		if (g != NULL)
			g->leave_ns = 0;
	}
	if (u->n_groups == 0)
		return;
	u->net->stats.barriers++;
	of_conn_send(u->sw->conn, &barrier, NULL);
}

// A switch that takes out a group takes out the entries that name it, and its cache of flows may follow later.
static void send_old_groups(struct update *u, const struct of_groups *want)
{
	struct of_net *net = u->net;
	struct of_groups *have = &u->sw->have_groups;

	for (uint32_t i = have->n; i-- > 0;) {
		struct of_group *g = &have->groups[i];

		if (of_groups_find(want, g->what.group) != NULL)
			continue;
		if (of_rules_use_group(&u->sw->have, g->what.group)) {
			g->leave_ns = 0;
			u->sw->dirty = true;
			continue;
		}
		if (g->leave_ns == 0)
			g->leave_ns = net->now_ns + LEAVE_NS;
		if (net->now_ns >= g->leave_ns) {
			send_group(u, OF_RULE_DELETE, &g->what);
			of_groups_del(have, g->what.group);
			u->sw->dirty |= u->groups_short;
		} else if (g->leave_ns < net->leave_ns) {
			net->leave_ns = g->leave_ns;
		}
	}
}

// --- one switch

static void take_queues(struct of_switch *sw, const struct of_plan_stats *stats)
{
	size_t size = stats->n_queues * sizeof(*sw->queues);
	struct of_plan_queue *queues;

	sw->net->place_gen += !sw->planned;
	sw->planned = true;
	if (stats->n_queues == sw->n_queues && (size == 0 || memcmp(sw->queues, stats->queues, size) == 0))
		return;
	queues = malloc(size + 1);
	if (queues == NULL)
		return; // at the next plan
	memcpy(queues, stats->queues, size);
	free(sw->queues);
	sw->queues = queues;
	sw->n_queues = stats->n_queues;
	sw->net->place_gen++;
}

static void wanted_fini(struct wanted *w)
{
	of_rules_fini(&w->rules);
	of_meters_fini(&w->meters);
	of_groups_fini(&w->groups);
}

static int plan_switch(struct update *u, struct wanted *want)
{
	struct of_plan_in in = *u->in;
	struct of_plan_stats stats;
	int rc;

	in.version = of_conn_version(u->sw->conn);
	in.n_tables = of_conn_features(u->sw->conn)->n_tables;
	in.no_meters = u->sw->refuses_meters;
	u->net->topo.switches[u->sw->idx].no_limits = in.version == OF_VERSION_10 ? !in.queues : in.no_meters;
	in.groups_max = of_sync_groups_max(u->sw);
	in.groups = &u->sw->have_groups;
	of_rules_init(&want->rules);
	of_rules_reserve(&want->rules, u->sw->have.n + PLAN_SPARE); // else it grows by itself
	of_meters_init(&want->meters);
	of_groups_init(&want->groups);
	rc = of_plan(&in, u->sw->idx, &want->rules, &want->meters, &want->groups, &stats);
	if (rc < 0) {
		of_net_lacks(u->sw, 1, 0,
			     rc == -E2BIG ? "more ports than one entry can flood to" : "no memory for entries");
		wanted_fini(want);
		return rc;
	}
	of_net_lacks(u->sw, stats.rows_unsayable, stats.denials_unsayable, stats.why);
	take_queues(u->sw, &stats);
	u->groups_short = stats.groups_short > 0;
	return 0;
}

// The ones kept come before those of their name.
static int take_kept(struct update *u, struct of_rules *have)
{
	for (uint32_t i = 0; i < u->gone.n; i++)
		of_rules_del(have, &u->gone.rules[i]);
	if (u->kept.n > 0) {
		for (uint32_t i = 0; i < have->n && u->rc == 0; i++)
			u->rc = of_rules_add(&u->kept, &have->rules[i]);
		if (u->rc == 0)
			u->rc = of_rules_sort(&u->kept);
		if (u->rc == 0) {
			of_rules_fini(have);
			*have = u->kept;
			of_rules_init(&u->kept);
		}
	}
	of_rules_fini(&u->kept);
	of_rules_fini(&u->gone);
	return u->rc;
}

static void begin(struct update *u, struct of_switch *sw)
{
	u->sw = sw;
	u->n_sent = u->n_groups = 0;
	u->rc = 0;
}

static void look_at(struct update *u, struct of_switch *sw)
{
	struct wanted want;

	begin(u, sw);
	if (plan_switch(u, &want) < 0)
		return;
	of_rules_diff(&sw->have, &want.rules, find_pending, u);
	wanted_fini(&want);
}

static void send_part(struct update *u, struct of_switch *sw)
{
	struct wanted want;

	begin(u, sw);
	if (plan_switch(u, &want) < 0)
		return;
	send_new_groups(u, &want.groups);
	of_rules_diff(&sw->have, &want.rules, u->step == STEP_SHRINK ? send_shrunk : send_step, u);
	if (u->n_sent > 0)
		send_barrier(sw);
	if (take_kept(u, &sw->have) < 0)
		sw->read_back_ns = u->net->now_ns;
	wanted_fini(&want);
}

static void bring_up_to_date(struct update *u, struct of_switch *sw)
{
	struct of_net *net = u->net;
	uint64_t n_meters = net->stats.meter_mods;
	struct wanted want;

	begin(u, sw);
	if (plan_switch(u, &want) < 0)
		return;
	sw->dirty = false;
	send_new_groups(u, &want.groups);
	of_meters_diff(&sw->have_meters, &want.meters, send_new_meter, sw);
	of_rules_diff(&sw->have, &want.rules, send_rest, u);
	of_meters_diff(&sw->have_meters, &want.meters, send_old_meter, sw);
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	sw->have = want.rules;
	sw->have_meters = want.meters;
	if (take_kept(u, &sw->have) < 0)
		sw->read_back_ns = net->now_ns;
	send_old_groups(u, &want.groups);
	of_groups_fini(&want.groups);
	n_meters = net->stats.meter_mods - n_meters;
	if (u->n_sent + n_meters + u->n_groups == 0)
		return;
	of_net_note(net, "switch %016" PRIx64 ": %u entries, %" PRIu64 " meters and %u groups are changed",
		    of_net_dpid(sw), u->n_sent, n_meters, u->n_groups);
	send_barrier(sw);
}

// --- all of them

// Two ways between two switches, or a link that was lost and may still carry frames.
static bool has_loops(const struct of_plan_in *in)
{
	for (uint32_t sw = 0; sw < in->topo->n_switches; sw++) {
		for (uint32_t i = 0; i < in->topo->switches[sw].n_ports; i++) {
			const struct topo_port *p = &in->topo->switches[sw].ports[i];

			if (p->up && p->inner && !topo_on_tree(in->topo, in->tree, sw, p->no))
				return true;
		}
	}
	return false;
}

// Hosts that come or move all the time would give every step a successor, and what is denied would wait for ever.
static uint32_t steps_max(const struct update *u)
{
	return 2 * u->in->topo->n_switches + STEPS_SPARE; // ways to a host may take a step for each switch
}

static enum step choose(const struct update *u)
{
	const struct pending *p = &u->pending;

	if (u->net->n_steps >= steps_max(u))
		return STEP_REST;
	if (p->ahead)
		return STEP_AHEAD;
	if (p->opens)
		return p->shrinks ? STEP_SHRINK : STEP_OPEN;
	if (p->nearest > 0)
		return STEP_WAYS;
	return p->shrinks && p->grows ? STEP_SHRINK : STEP_REST;
}

// What is to be sent must not overtake what was sent last, elsewhere.
static bool has_order(const struct update *u)
{
	return u->step != STEP_REST || u->pending.shrinks || u->pending.grows || u->pending.farthest > 0;
}

bool of_update(struct of_net *net, const struct of_plan_in *in)
{
	struct update u = {.net = net, .in = in, .step = STEP_REST};
	bool settled;

	note_deaf(net);
	u.ordered = has_loops(in);
	// without another way to a host what is news of hosts alone has no order
	settled = net->topo.gen - net->planned_gen == (u.ordered ? 0 : net->host_news) && net->circuits.n == 0;
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		settled = settled && !(is_ready(sw) && sw->dirty);
	u.same_policy = net->policy_gen == net->planned_policy && in->policy_ns < net->boundary_ns;
	for (struct of_switch *sw = net->switches; sw != NULL && !settled; sw = sw->next) {
		if (is_ready(sw))
			look_at(&u, sw);
	}
	u.step = choose(&u);
	if (has_order(&u) && some_owe(net)) {
		net->ahead_ns = net->now_ns + AHEAD_NS;
		return false;
	}
	net->ahead_ns = u.step == STEP_REST ? INT64_MIN : net->now_ns + AHEAD_NS;
	net->n_steps = u.step == STEP_REST ? 0 : net->n_steps + 1;
	if (u.step == STEP_REST)
		net->leave_ns = INT64_MAX;
	if (u.step == STEP_WAYS || u.step == STEP_REST)
		of_member_teach(net, in->tree);
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (is_ready(sw) && u.step == STEP_REST)
			bring_up_to_date(&u, sw);
		else if (is_ready(sw))
			send_part(&u, sw);
	}
	return u.step == STEP_REST;
}
