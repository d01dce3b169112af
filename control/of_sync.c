// SPDX-License-Identifier: Apache-2.0
// What the switches of the network have and should have: read back, planned, and the difference sent.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define COOKIE_MASK (0xffffffffULL << 32)
#define METER_ALL 0xffffffffU
#define GROUPS_PAUSE_NS 30000000000LL // a switch that was full is asked again, and then half as often, and so on
#define GROUPS_PAUSE_MAX_NS (3600 * 1000000000LL)
#define GROUPS_LATE_NS 5000000000LL
#define LOST_GROUPS_MAX 3 // somebody may have taken one out

// --- reading back what a switch has

bool of_sync_has_groups(const struct of_switch *sw)
{
	return of_conn_version(sw->conn) == OF_VERSION_13 &&
	       (of_conn_features(sw->conn)->capabilities & OF_CAN_GROUPS) != 0;
}

static void ask(struct of_switch *sw, enum sync_part part, struct of_mp mp)
{
	struct of_msg m = {.type = OF_MULTIPART_REQUEST, .mp = mp};

	sw->asked[part] = of_conn_send(sw->conn, &m, NULL);
}

void of_sync_read_back(struct of_switch *sw)
{
	sw->meters_bad &= sw->have_meters.n > 0; // else there are none by our own will
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	of_groups_fini(&sw->have_groups);
	sw->groups_max = sw->others_groups = 0;
	sw->groups_by_ns = INT64_MAX;
	sw->sync = SYNC_READING;
	sw->read_back_ns = INT64_MAX;
	memset(sw->asked, 0, sizeof(sw->asked));
	sw->read_ns = sw->net->now_ns;
	sw->read_by_ns = sw->read_ns + OF_READ_PART_NS;
	ask(sw, SYNC_ENTRIES,
	    (struct of_mp){
		    .kind = OF_MP_FLOW, .table = OF_TABLE_ALL, .out_port = OF_PORT_ANY, .out_group = OF_GROUP_ANY});
	if (of_conn_version(sw->conn) == OF_VERSION_13 && !sw->refuses_meters)
		ask(sw, SYNC_METERS, (struct of_mp){.kind = OF_MP_METER_CONFIG, .meter = METER_ALL});
	if (!of_sync_has_groups(sw))
		return;
	ask(sw, SYNC_GROUP_FEATURES, (struct of_mp){.kind = OF_MP_GROUP_FEATURES});
	ask(sw, SYNC_GROUPS, (struct of_mp){.kind = OF_MP_GROUP_DESC});
}

static int take_entry(struct of_switch *sw, const struct of_flow_stats *flow)
{
	struct of_rule r;

	if ((flow->cookie & COOKIE_MASK) != OF_COOKIE)
		return 0;
	memset(&r, 0, sizeof(r));
	r.match = flow->match;
	r.instructions = flow->instructions;
	r.cookie = flow->cookie;
	r.priority = flow->priority;
	r.ends_ns = flow->hard_s == 0 ? INT64_MAX
				      : sw->net->now_ns + sw->net->wall_minus_now_ns +
						((int64_t)flow->hard_s - flow->duration_s) * 1000000000;
	r.table = flow->table;
	return of_rules_add(&sw->have, &r);
}

// A meter that we would not have made so is to be made anew.
static int take_meter(struct of_switch *sw, const struct of_meter_config *c)
{
	struct of_meter m = {.id = c->meter};

	if (c->n_bands == 1 && (c->flags & ~OF_METER_STATS) == (OF_METER_KBPS | OF_METER_BURST)) {
		m.rate_kbps = c->bands[0].rate;
		m.burst_kb = c->bands[0].burst;
	}
	return of_meters_append(&sw->have_meters, &m);
}

static void take_group_features(struct of_switch *sw, const struct of_group_features *f)
{
	if ((f->types & 1U << OF_GROUP_SELECT) && !sw->refuses_groups)
		sw->groups_max = f->max_groups[OF_GROUP_SELECT];
}

// Of too many of ours the first ones: those go, and no more are made there.
static int take_group(struct of_switch *sw, const struct of_group_mod *group)
{
	bool ours = of_plan_is_group(group->group);
	int rc = ours ? of_groups_add(&sw->have_groups, group) : 0;

	sw->others_groups += !ours && (group->type == OF_GROUP_SELECT || group->type == OF_GROUP_UNREAD);
	if (rc != -E2BIG)
		return rc;
	if (!sw->refuses_groups)
		of_net_note(sw->net,
			    "switch %016" PRIx64 " says that it has more than %d groups of ours: it is given none",
			    of_net_dpid(sw), OF_GROUPS_MAX);
	sw->refuses_groups = true;
	sw->groups_max = 0;
	return 0;
}

static int take(struct of_switch *sw, enum sync_part part, const union of_mp_entry *entry)
{
	switch (part) {
	case SYNC_ENTRIES:
		return take_entry(sw, &entry->flow);
	case SYNC_METERS:
		return take_meter(sw, &entry->meter_config);
	case SYNC_GROUPS:
		return take_group(sw, &entry->group);
	default:
		take_group_features(sw, &entry->group_features);
		return 0;
	}
}

// Limits cannot be kept there, which the next plan tells; until its session ends.
static void refuse_meters(struct of_switch *sw, const char *why)
{
	of_net_note(sw->net, "switch %016" PRIx64 " %s: it is given none", of_net_dpid(sw), why);
	sw->refuses_meters = true;
	of_meters_fini(&sw->have_meters);
}

static void part_read(struct of_switch *sw, enum sync_part part)
{
	sw->asked[part] = 0;
	if (sw->asked[SYNC_ENTRIES] != 0 || sw->asked[SYNC_METERS] != 0)
		return;
	sw->read_by_ns = INT64_MAX;
	if (sw->asked[SYNC_GROUPS] != 0 || sw->asked[SYNC_GROUP_FEATURES] != 0) {
		if (sw->groups_by_ns == INT64_MAX)
			sw->groups_by_ns = sw->net->now_ns + GROUPS_LATE_NS;
		return;
	}
	sw->groups_by_ns = INT64_MAX;
	if (sw->meters_bad && sw->have_meters.n == 0)
		refuse_meters(sw, "answers meters with errors, and has none");
	sw->meters_bad = false;
	if (of_rules_sort(&sw->have) < 0 || of_meters_sort(&sw->have_meters) < 0 ||
	    of_groups_sort(&sw->have_groups) < 0) {
		sw->read_back_ns = sw->net->now_ns + OF_SYNC_RETRY_NS;
		return;
	}
	sw->sync = SYNC_KNOWN;
	sw->dirty = sw->net->recolour = sw->net->read_anew = true;
	if (sw->hold_ns != INT64_MIN && sw->have.n == 0)
		sw->hold_ns = INT64_MIN; // new to us
}

static int64_t next_part_ns(const struct of_switch *sw)
{
	int64_t part_ns = sw->net->now_ns + OF_READ_PART_NS, all_ns = sw->read_ns + OF_READ_NS;

	return part_ns < all_ns ? part_ns : all_ns;
}

// SYNC_PARTS: of none.
static enum sync_part part_of(const struct of_switch *sw, uint32_t xid)
{
	enum sync_part part = SYNC_PARTS;

	for (int i = 0; i < SYNC_PARTS && sw->sync == SYNC_READING && xid != 0; i++) {
		if (sw->asked[i] == xid)
			part = (enum sync_part)i;
	}
	return part;
}

void of_sync_stats(struct of_switch *sw, const struct of_msg *m)
{
	static const uint16_t kinds[] = {OF_MP_FLOW, OF_MP_METER_CONFIG, OF_MP_GROUP_DESC, OF_MP_GROUP_FEATURES};
	enum sync_part part = part_of(sw, m->xid);
	union of_mp_entry entry;
	uint16_t at = 0;
	struct err err;
	int rc;

	if (part == SYNC_PARTS || m->mp.kind != kinds[part])
		return;
	while ((rc = of_mp_next(m, &at, &entry, &err)) > 0) {
		rc = take(sw, part, &entry);
		if (rc < 0) {
			sw->read_back_ns = sw->net->now_ns + OF_SYNC_RETRY_NS;
			return;
		}
	}
	if (rc < 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be read: %s", of_net_dpid(sw), err.msg);
	if (of_shut_too_much(sw))
		return;
	if (sw->read_by_ns != INT64_MAX)
		sw->read_by_ns = next_part_ns(sw);
	if (!m->mp.more)
		part_read(sw, part);
}

void of_sync_no_meters(struct of_switch *sw, const char *why)
{
	refuse_meters(sw, why);
	part_read(sw, SYNC_METERS);
}

bool of_sync_refused(struct of_switch *sw, uint32_t xid)
{
	enum sync_part part = part_of(sw, xid);

	if (part == SYNC_PARTS || part == SYNC_ENTRIES)
		return false;
	if (part == SYNC_GROUPS || part == SYNC_GROUP_FEATURES)
		sw->refuses_groups = true;
	if (sw->refuses_groups)
		sw->groups_max = 0;
	if (part == SYNC_METERS)
		of_sync_no_meters(sw, "has no meters");
	else
		part_read(sw, part);
	return true;
}

static bool is_among(const struct of_xids *x, uint32_t xid)
{
	for (uint32_t i = 0; i < N_XIDS && i < x->n; i++) {
		if (x->last[i] == xid)
			return true;
	}
	return false;
}

// A meter that somebody took away (unknown) is no sign of a switch without meters: what it has is read again.
void of_sync_meter_error(struct of_switch *sw, uint32_t xid, const struct of_error *e)
{
	sw->meters_bad |= of_conn_version(sw->conn) == OF_VERSION_13 && !sw->refuses_meters &&
			  !(e->type == OF_ERROR_METER_MOD && e->code == OF_UNKNOWN_METER) &&
			  (e->type == OF_ERROR_METER_MOD || is_among(&sw->meter_xids, xid));
}

void of_sync_retry(struct of_switch *sw)
{
	int64_t now_ns = sw->net->now_ns, longer_ns = 2 * sw->retry_ns;

	if (sw->retry_ns == 0 || now_ns - sw->retried_ns > longer_ns)
		longer_ns = OF_SYNC_RETRY_NS; // all was well for a while
	sw->retry_ns = longer_ns < OF_SYNC_RETRY_MAX_NS ? longer_ns : OF_SYNC_RETRY_MAX_NS;
	sw->retried_ns = sw->read_back_ns = now_ns + sw->retry_ns;
}

static const char *wait_for_room(struct of_switch *sw)
{
	int64_t longer_ns = sw->groups_pause_ns == 0 ? GROUPS_PAUSE_NS : 2 * sw->groups_pause_ns;

	if (sw->net->now_ns < sw->groups_wait_ns)
		return NULL;
	sw->groups_pause_ns = longer_ns < GROUPS_PAUSE_MAX_NS ? longer_ns : GROUPS_PAUSE_MAX_NS;
	sw->groups_wait_ns = sw->net->now_ns + sw->groups_pause_ns;
	return ": it is given no more groups for a while";
}

const char *of_sync_group_error(struct of_switch *sw, uint32_t xid, const struct of_error *e)
{
	bool about_entry = e->type == OF_ERROR_BAD_ACTION && is_among(&sw->group_xids, xid);

	if (sw->refuses_groups || of_conn_version(sw->conn) != OF_VERSION_13)
		return NULL;
	if (e->type == OF_ERROR_GROUP_MOD && e->code == OF_GROUP_NO_ROOM)
		return wait_for_room(sw);
	if (e->type == OF_ERROR_GROUP_MOD && (e->code == OF_GROUP_EXISTS || e->code == OF_GROUP_UNKNOWN))
		return NULL;
	if (e->type != OF_ERROR_GROUP_MOD && !about_entry)
		return NULL;
	// of a group that there was no room for, or that is gone
	if (about_entry && e->code == OF_BAD_OUT_GROUP &&
	    (sw->net->now_ns < sw->groups_wait_ns || sw->n_lost_groups++ < LOST_GROUPS_MAX))
		return NULL;
	sw->refuses_groups = true;
	return ": it is given no groups";
}

void of_sync_groups_turn(struct of_switch *sw)
{
	if (sw->groups_wait_ns != INT64_MIN && sw->net->now_ns >= sw->groups_wait_ns) {
		sw->groups_wait_ns = INT64_MIN;
		sw->dirty = true;
	}
	if (sw->net->now_ns < sw->groups_by_ns)
		return;
	of_net_note(sw->net, "switch %016" PRIx64 " does not say which groups it has: it is given none",
		    of_net_dpid(sw));
	sw->refuses_groups = true;
	sw->groups_max = 0;
	sw->asked[SYNC_GROUP_FEATURES] = 0;
	part_read(sw, SYNC_GROUPS);
}

// What is to be taken out later has its place until then, and so has what others made.
uint32_t of_sync_groups_max(const struct of_switch *sw)
{
	uint32_t n = sw->have_groups.n, taken = n + sw->others_groups;

	if (sw->groups_max == 0 || sw->groups_max <= taken || sw->net->now_ns < sw->groups_wait_ns)
		return sw->groups_max == 0 ? 0 : n;
	return n + sw->groups_max - taken;
}

// --- what they should have

static int64_t sooner(int64_t at, int64_t now_ns, int64_t start_ns, int64_t end_ns)
{
	at = start_ns > now_ns && start_ns < at ? start_ns : at;
	return end_ns > now_ns && end_ns < at ? end_ns : at;
}

static int64_t next_boundary(const struct of_net *net, int64_t wall_ns)
{
	int64_t at = INT64_MAX, part_ns = net->conf.lease_ns / OF_PLAN_LEASE_PARTS;

	for (uint32_t i = 0; i < net->policy.flat.n_rows; i++)
		at = sooner(at, wall_ns, box_start_ns(&net->policy.flat.rows[i].box),
			    box_end_ns(&net->policy.flat.rows[i].box));
	for (uint32_t i = 0; i < net->policy.demands.n; i++)
		at = sooner(at, wall_ns, net->policy.demands.all[i].start_ns, net->policy.demands.all[i].end_ns);
	// entries on the way of a circuit have leases even where all its requests end
	if (net->policy.demands.n > 0 && part_ns > 0)
		at = sooner(at, wall_ns, (wall_ns / part_ns + 1) * part_ns, INT64_MIN);
	return at;
}

// The colour that a limit has on some switch: the table of its entries.
static uint8_t colour_now(void *ctx, uint64_t id)
{
	const struct of_net *net = ctx;

	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		for (uint32_t i = 0; sw->sync == SYNC_KNOWN && i < sw->have.n; i++) {
			const struct of_rule *r = &sw->have.rules[i];

			if (r->instructions.meter != 0 && (uint32_t)r->cookie == (uint32_t)id &&
			    r->table >= OF_PLAN_LIMIT && r->table < OF_PLAN_LEARN)
				return (uint8_t)(r->table - OF_PLAN_LIMIT);
		}
	}
	return OF_POLICY_UNSAID;
}

// The last entry of all is the flood of what no other entry knows. What it says is the tree that is in place.
static bool floods_to(void *ctx, uint32_t idx, uint32_t port)
{
	const struct of_switch *sw = ((const struct of_net *)ctx)->switches;
	const struct of_rule *last;

	while (sw != NULL && (sw->idx != idx || sw->sync != SYNC_KNOWN))
		sw = sw->next;
	last = sw == NULL || sw->have.n == 0 ? NULL : &sw->have.rules[sw->have.n - 1];
	if (last == NULL || last->priority != 0 || last->match.has != 0)
		return false;
	for (uint8_t i = 0; i < last->instructions.n_actions; i++) {
		if (last->instructions.actions[i].type == OF_ACT_OUTPUT && last->instructions.actions[i].port == port)
			return true;
	}
	return false;
}

uint32_t *of_sync_tree(struct of_net *net)
{
	uint32_t *tree = calloc(net->topo.n_switches + 1U, sizeof(*tree));

	if (tree != NULL && topo_tree(&net->topo, floods_to, net, tree) < 0) {
		free(tree);
		tree = NULL;
	}
	return tree;
}

static void tell_parts(const struct of_net *net, const struct of_plan_in *in)
{
	for (uint32_t i = 0; i < net->policy.demands.n && net->ops.parted != NULL; i++) {
		const struct demand *d = &net->policy.demands.all[i];

		if (d->kind == DEMAND_LIMIT)
			net->ops.parted(net->ops.ctx, d->id, of_plan_parts(in, &d->flows));
	}
}

void of_sync_plan(struct of_net *net, int64_t wall_ns)
{
	uint32_t n = net->topo.n_switches;
	uint32_t *tree = of_sync_tree(net);
	uint16_t *all = calloc((size_t)n * n + 1, sizeof(*all));
	const uint16_t **dist = calloc(n + 1U, sizeof(*dist));
	bool done;
	struct of_plan_in in = {.topo = &net->topo,
				.tree = tree,
				.dist = dist,
				.policy = &net->policy,
				.circuits = &net->circuits,
				.addrs = &net->addrs,
				.strays = &net->strays};
	int rc = tree == NULL || all == NULL || dist == NULL ? -ENOMEM : 0;

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		dist[i] = &all[(size_t)i * n];
		rc = topo_distances(&net->topo, tree, i, &all[(size_t)i * n]);
	}
	if ((net->policy_gen != net->planned_policy || net->recolour) && net->policy.demands.n > 0)
		of_policy_colour(&net->policy, colour_now, net);
	of_circuits_place(net, wall_ns);
	net->recolour = false;
	in.now_ns = net->now_ns;
	in.policy_ns = wall_ns;
	in.lease_ns = net->conf.lease_ns;
	in.queues = net->conf.queues;
	net->stats.plans++;
	tell_parts(net, &in);
	done = rc == 0 && of_update(net, &in);
	free(tree);
	free(all);
	free(dist);
	if (done) {
		net->planned_gen = net->topo.gen;
		net->planned_policy = net->policy_gen;
		net->news = net->host_news = 0;
		net->boundary_ns = next_boundary(net, wall_ns);
	}
}
