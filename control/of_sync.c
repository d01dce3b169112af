// SPDX-License-Identifier: Apache-2.0
// What the switches of the network have and should have: read back, planned, and the difference sent.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define COOKIE_MASK (0xffffffffULL << 32)

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
	sw->sync = SYNC_READING;
	sw->read_back_ns = INT64_MAX;
	of_conn_send(sw->conn, &m, NULL);
}

void of_sync_flow_stats(struct of_switch *sw, const struct of_msg *m)
{
	union of_mp_entry entry;
	uint16_t at = 0;
	struct err err;
	int rc;

	if (sw->sync != SYNC_READING)
		return;
	while ((rc = of_mp_next(m, &at, &entry, &err)) > 0) {
		struct of_rule r;

		memset(&r, 0, sizeof(r));
		r.match = entry.flow.match;
		r.instructions = entry.flow.instructions;
		r.cookie = entry.flow.cookie;
		r.priority = entry.flow.priority;
		r.hard_s = entry.flow.hard_s;
		r.table = entry.flow.table;
		if ((r.cookie & COOKIE_MASK) == OF_COOKIE && of_rules_add(&sw->have, &r) < 0)
			rc = -ENOMEM;
	}
	if (rc < 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be read: %s", dpid_of(sw), err.msg);
	if (m->mp.more)
		return;
	if (of_rules_sort(&sw->have) < 0) {
		sw->read_back_ns = sw->net->now_ns + OF_SYNC_RETRY_NS;
		return;
	}
	sw->sync = SYNC_KNOWN;
	sw->dirty = true;
	if (sw->hold_ns != INT64_MIN && sw->have.n == 0)
		sw->hold_ns = INT64_MIN; // new to us
}

// --- what they should have

static void send_change(void *ctx, enum of_rules_change change, const struct of_rule *rule)
{
	struct of_switch *sw = ctx;
	struct of_msg m;
	struct err err;

	of_rule_message(change, rule, &m);
	sw->net->stats.flow_mods++;
	if (of_conn_send(sw->conn, &m, &err) == 0)
		of_net_note(sw->net, "switch %016" PRIx64 ": an entry cannot be sent: %s", dpid_of(sw), err.msg);
}

static void bring_up_to_date(struct of_net *net, struct of_switch *sw, const struct of_plan_in *plan_in)
{
	struct of_msg barrier = {.type = OF_BARRIER_REQUEST};
	uint64_t before = net->stats.flow_mods;
	struct of_plan_in in = *plan_in;
	struct of_plan_stats stats;
	struct of_rules want;
	int rc;

	in.version = of_conn_version(sw->conn);
	in.n_tables = of_conn_features(sw->conn)->n_tables;
	of_rules_init(&want);
	rc = of_plan(&in, sw->idx, &want, &stats);
	if (rc < 0) {
		of_net_note(net, "switch %016" PRIx64 ": %s", dpid_of(sw),
			    rc == -E2BIG ? "more ports than one entry can flood to" : "no memory for its entries");
		of_rules_fini(&want);
		return;
	}
	net->stats.rows_unsayable = stats.rows_unsayable;
	of_rules_diff(&sw->have, &want, send_change, sw);
	of_rules_fini(&sw->have);
	sw->have = want;
	sw->dirty = false;
	if (net->stats.flow_mods == before)
		return;
	of_conn_send(sw->conn, &barrier, NULL);
	net->stats.barriers++;
}

static int64_t next_boundary(const struct of_net *net, int64_t wall_ns)
{
	int64_t at = INT64_MAX;

	for (uint32_t i = 0; i < net->policy.n_rows; i++) {
		int64_t start = box_start_ns(&net->policy.rows[i].box), end = box_end_ns(&net->policy.rows[i].box);

		at = start > wall_ns && start < at ? start : at;
		at = end > wall_ns && end < at ? end : at;
	}
	return at;
}

void of_sync_plan(struct of_net *net, int64_t wall_ns)
{
	uint32_t n = net->topo.n_switches;
	uint32_t *tree = calloc(n + 1U, sizeof(*tree)), *paths = calloc((size_t)n * n + 1, sizeof(*paths));
	const uint32_t **next = calloc(n + 1U, sizeof(*next));
	struct of_plan_in in = {.topo = &net->topo, .tree = tree, .next = next, .policy = &net->policy};
	int rc = tree == NULL || paths == NULL || next == NULL ? -ENOMEM : topo_tree(&net->topo, tree);

	for (uint32_t i = 0; i < n && rc == 0; i++) {
		next[i] = &paths[(size_t)i * n];
		rc = topo_paths_to(&net->topo, i, &paths[(size_t)i * n]);
	}
	in.now_ns = net->now_ns;
	in.policy_ns = wall_ns;
	for (struct of_switch *sw = net->switches; sw != NULL && rc == 0; sw = sw->next) {
		if (sw->sync == SYNC_KNOWN && sw->hold_ns == INT64_MIN)
			bring_up_to_date(net, sw, &in);
	}
	free(tree);
	free(paths);
	free(next);
	if (rc == 0) {
		net->planned_gen = net->topo.gen;
		net->planned_policy = net->policy_gen;
		net->boundary_ns = next_boundary(net, wall_ns);
	}
}
