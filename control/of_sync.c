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
#define AHEAD_NS 2000000000LL // a switch that answers no barrier for so long is not waited for
#define LEAVE_NS 1000000000LL

static uint64_t dpid_of(const struct of_switch *sw)
{
	return of_conn_features(sw->conn)->dpid;
}

// --- reading back what a switch has

void of_sync_read_back(struct of_switch *sw)
{
	struct of_msg m = {.type = OF_MULTIPART_REQUEST};

	m.mp = (struct of_mp){
		.kind = OF_MP_FLOW, .table = OF_TABLE_ALL, .out_port = OF_PORT_ANY, .out_group = OF_GROUP_ANY};
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	sw->sync = SYNC_READING;
	sw->read_back_ns = INT64_MAX;
	sw->reading_entries = true;
	of_conn_send(sw->conn, &m, NULL);
	sw->reading_meters = of_conn_version(sw->conn) == OF_VERSION_13;
	if (!sw->reading_meters)
		return;
	m.mp = (struct of_mp){.kind = OF_MP_METER_CONFIG, .meter = METER_ALL};
	sw->meters_xid = of_conn_send(sw->conn, &m, NULL);
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
	return of_meters_add(&sw->have_meters, &m);
}

static void all_read(struct of_switch *sw)
{
	if (of_rules_sort(&sw->have) < 0) {
		sw->read_back_ns = sw->net->now_ns + OF_SYNC_RETRY_NS;
		return;
	}
	sw->sync = SYNC_KNOWN;
	sw->dirty = sw->net->recolour = sw->net->read_anew = true;
	if (sw->hold_ns != INT64_MIN && sw->have.n == 0)
		sw->hold_ns = INT64_MIN; // new to us
}

void of_sync_stats(struct of_switch *sw, const struct of_msg *m)
{
	bool *reading = m->mp.kind == OF_MP_FLOW ? &sw->reading_entries : &sw->reading_meters;
	union of_mp_entry entry;
	uint16_t at = 0;
	struct err err;
	int rc;

	if (sw->sync != SYNC_READING || !*reading || (m->mp.kind != OF_MP_FLOW && m->mp.kind != OF_MP_METER_CONFIG))
		return;
	while ((rc = of_mp_next(m, &at, &entry, &err)) > 0) {
		rc = m->mp.kind == OF_MP_FLOW ? take_entry(sw, &entry.flow) : take_meter(sw, &entry.meter_config);
		if (rc < 0) {
			sw->read_back_ns = sw->net->now_ns + OF_SYNC_RETRY_NS;
			return;
		}
	}
	if (rc < 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be read: %s", dpid_of(sw), err.msg);
	*reading = m->mp.more;
	if (!sw->reading_entries && !sw->reading_meters)
		all_read(sw);
}

bool of_sync_refused(struct of_switch *sw, uint32_t xid)
{
	if (xid != sw->meters_xid || sw->sync != SYNC_READING || !sw->reading_meters)
		return false;
	sw->reading_meters = false;
	if (!sw->reading_entries)
		all_read(sw);
	return true;
}

// --- what they should have

static void send_rule(struct of_switch *sw, enum of_rules_change change, const struct of_rule *rule)
{
	struct of_net *net = sw->net;
	struct of_msg m;
	struct err err;

	of_rule_message(change, rule, net->now_ns + net->wall_minus_now_ns, &m);
	net->stats.flow_mods++;
	if (of_conn_send(sw->conn, &m, &err) == 0)
		of_net_note(net, "switch %016" PRIx64 ": an entry cannot be sent: %s", dpid_of(sw), err.msg);
}

struct changing {
	struct of_switch *sw;
	struct of_rules kept; // laid ahead, or not to go yet
	int rc;
};

// Frames may still be on the way to an entry of a circuit when the circuit has gone, and Open vSwitch answers a barrier
// before its cache of flows follows: such entries stay for a while.
static void send_change(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct changing *c = ctx;
	struct of_net *net = c->sw->net;
	struct of_rule later = *rule;

	if (change == OF_RULE_DELETE && of_plan_is_ahead(rule) &&
	    (rule->leave_ns == 0 || net->now_ns < rule->leave_ns)) {
		later.leave_ns = rule->leave_ns == 0 ? net->now_ns + LEAVE_NS : rule->leave_ns;
		net->leave_ns = later.leave_ns < net->leave_ns ? later.leave_ns : net->leave_ns;
		c->rc = c->rc < 0 ? c->rc : of_rules_add(&c->kept, &later);
		return;
	}
	send_rule(c->sw, change, rule);
}

static void send_ahead(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct changing *c = ctx;

	if (change != OF_RULE_ADD || !of_plan_is_ahead(rule))
		return;
	send_rule(c->sw, change, rule);
	c->rc = c->rc < 0 ? c->rc : of_rules_add(&c->kept, rule);
}

static uint32_t send_barrier(struct of_switch *sw)
{
	struct of_msg barrier = {.type = OF_BARRIER_REQUEST};

	sw->net->stats.barriers++;
	return of_conn_send(sw->conn, &barrier, NULL);
}

void of_sync_barrier(struct of_switch *sw, uint32_t xid)
{
	if (sw->barrier_xid == xid)
		sw->barrier_xid = 0;
}

bool of_sync_awaits(const struct of_net *net)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->barrier_xid != 0 && net->now_ns < net->ahead_ns)
			return true;
	}
	return false;
}

static int take_kept(struct of_rules *into, struct changing *c)
{
	for (uint32_t i = 0; i < c->kept.n && c->rc == 0; i++)
		c->rc = of_rules_add(into, &c->kept.rules[i]);
	if (c->rc == 0 && c->kept.n > 0)
		c->rc = of_rules_sort(into);
	of_rules_fini(&c->kept);
	return c->rc;
}

static void send_meter(void *ctx, enum of_rules_change change, const struct of_meter *meter)
{
	struct of_switch *sw = ctx;
	struct of_msg m;

	of_meter_message(change, meter, &m);
	sw->net->stats.meter_mods++;
	of_conn_send(sw->conn, &m, NULL);
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

static int plan_switch(struct of_net *net, struct of_switch *sw, const struct of_plan_in *plan_in,
		       struct of_rules *want, struct of_meters *meters)
{
	struct of_plan_in in = *plan_in;
	struct of_plan_stats stats;
	int rc;

	in.version = of_conn_version(sw->conn);
	in.n_tables = of_conn_features(sw->conn)->n_tables;
	of_rules_init(want);
	of_meters_init(meters);
	rc = of_plan(&in, sw->idx, want, meters, &stats);
	if (rc < 0) {
		of_net_note(net, "switch %016" PRIx64 ": %s", dpid_of(sw),
			    rc == -E2BIG ? "more ports than one entry can flood to" : "no memory for its entries");
		of_rules_fini(want);
		of_meters_fini(meters);
		return rc;
	}
	net->stats.rows_unsayable = stats.rows_unsayable;
	return 0;
}

static void lay_ahead(struct of_net *net, struct of_switch *sw, const struct of_plan_in *in)
{
	struct changing c = {.sw = sw};
	struct of_meters meters;
	struct of_rules want;

	if (plan_switch(net, sw, in, &want, &meters) < 0)
		return;
	of_rules_diff(&sw->have, &want, send_ahead, &c);
	if (c.kept.n > 0) {
		sw->barrier_xid = send_barrier(sw);
		net->ahead_ns = net->now_ns + AHEAD_NS;
	}
	if (take_kept(&sw->have, &c) < 0)
		sw->read_back_ns = net->now_ns;
	of_rules_fini(&want);
	of_meters_fini(&meters);
}

static void bring_up_to_date(struct of_net *net, struct of_switch *sw, const struct of_plan_in *in)
{
	uint64_t n_entries = net->stats.flow_mods, n_meters = net->stats.meter_mods;
	struct changing c = {.sw = sw};
	struct of_rules want;
	struct of_meters meters;

	if (plan_switch(net, sw, in, &want, &meters) < 0)
		return;
	of_meters_diff(&sw->have_meters, &meters, send_new_meter, sw);
	of_rules_diff(&sw->have, &want, send_change, &c);
	of_meters_diff(&sw->have_meters, &meters, send_old_meter, sw);
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	sw->have = want;
	sw->have_meters = meters;
	sw->dirty = false;
	if (take_kept(&sw->have, &c) < 0)
		sw->read_back_ns = net->now_ns;
	n_entries = net->stats.flow_mods - n_entries;
	n_meters = net->stats.meter_mods - n_meters;
	if (n_entries + n_meters == 0)
		return;
	of_net_note(net, "switch %016" PRIx64 ": %" PRIu64 " entries and %" PRIu64 " meters are changed", dpid_of(sw),
		    n_entries, n_meters);
	send_barrier(sw);
}

static bool is_ready(const struct of_switch *sw)
{
	return sw->sync == SYNC_KNOWN && sw->hold_ns == INT64_MIN;
}

// First what is new on the way of circuits, and only when all switches have it, everything else: no frame is put on a
// way that is not there yet. The next turn goes on when the barriers are answered. true: all is sent.
static bool update(struct of_net *net, const struct of_plan_in *in)
{
	for (struct of_switch *sw = net->switches; sw != NULL && net->circuits.n > 0; sw = sw->next) {
		if (is_ready(sw))
			lay_ahead(net, sw, in);
	}
	if (of_sync_awaits(net))
		return false;
	net->leave_ns = INT64_MAX;
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (is_ready(sw))
			bring_up_to_date(net, sw, in);
	}
	return true;
}

static int64_t sooner(int64_t at, int64_t now_ns, int64_t start_ns, int64_t end_ns)
{
	at = start_ns > now_ns && start_ns < at ? start_ns : at;
	return end_ns > now_ns && end_ns < at ? end_ns : at;
}

static int64_t next_boundary(const struct of_net *net, int64_t wall_ns)
{
	int64_t at = INT64_MAX;

	for (uint32_t i = 0; i < net->policy.flat.n_rows; i++)
		at = sooner(at, wall_ns, box_start_ns(&net->policy.flat.rows[i].box),
			    box_end_ns(&net->policy.flat.rows[i].box));
	for (uint32_t i = 0; i < net->policy.demands.n; i++)
		at = sooner(at, wall_ns, net->policy.demands.all[i].start_ns, net->policy.demands.all[i].end_ns);
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

void of_sync_plan(struct of_net *net, int64_t wall_ns)
{
	uint32_t n = net->topo.n_switches;
	uint32_t *tree = calloc(n + 1U, sizeof(*tree)), *paths = calloc((size_t)n * n + 1, sizeof(*paths));
	const uint32_t **next = calloc(n + 1U, sizeof(*next));
	bool done;
	struct of_plan_in in = {
		.topo = &net->topo, .tree = tree, .next = next, .policy = &net->policy, .circuits = &net->circuits};
	int rc = tree == NULL || paths == NULL || next == NULL ? -ENOMEM : topo_tree(&net->topo, tree);

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		next[i] = &paths[(size_t)i * n];
		rc = topo_paths_to(&net->topo, i, &paths[(size_t)i * n]);
	}
	if ((net->policy_gen != net->planned_policy || net->recolour) && net->policy.demands.n > 0)
		of_policy_colour(&net->policy, colour_now, net);
	of_circuits_place(net, wall_ns);
	net->recolour = false;
	in.now_ns = net->now_ns;
	in.policy_ns = wall_ns;
	done = rc == 0 && update(net, &in);
	free(tree);
	free(paths);
	free(next);
	if (done) {
		net->planned_gen = net->topo.gen;
		net->planned_policy = net->policy_gen;
		net->boundary_ns = next_boundary(net, wall_ns);
	}
}
