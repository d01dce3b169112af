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

void of_sync_plan(struct of_net *net, int64_t wall_ns)
{
	uint32_t n = net->topo.n_switches;
	uint32_t *tree = calloc(n + 1U, sizeof(*tree));
	uint16_t *all = calloc((size_t)n * n + 1, sizeof(*all));
	const uint16_t **dist = calloc(n + 1U, sizeof(*dist));
	bool done;
	struct of_plan_in in = {
		.topo = &net->topo, .tree = tree, .dist = dist, .policy = &net->policy, .circuits = &net->circuits};
	int rc = tree == NULL || all == NULL || dist == NULL ? -ENOMEM : topo_tree(&net->topo, floods_to, net, tree);

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
	done = rc == 0 && of_update(net, &in);
	free(tree);
	free(all);
	free(dist);
	if (done) {
		net->planned_gen = net->topo.gen;
		net->planned_policy = net->policy_gen;
		net->boundary_ns = next_boundary(net, wall_ns);
	}
}
