// SPDX-License-Identifier: Apache-2.0
// All that switches have installed, other controllers' entries included, read for whoever looks at it from outside:
// what of_sync.c believes is not touched.
#include <string.h>

#include "of_net_priv.h"

static void forget(struct of_switch *sw)
{
	of_rules_fini(&sw->seen);
	of_groups_fini(&sw->seen_groups);
	sw->seen_xid = sw->seen_groups_xid = 0;
	sw->seen_whole = false;
}

void of_net_read(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		struct of_msg m = {.type = OF_MULTIPART_REQUEST};

		forget(sw);
		if (sw->idx == TOPO_NONE)
			continue;
		m.mp = (struct of_mp){
			.kind = OF_MP_FLOW, .table = OF_TABLE_ALL, .out_port = OF_PORT_ANY, .out_group = OF_GROUP_ANY};
		sw->seen_xid = of_conn_send(sw->conn, &m, NULL);
		m.mp = (struct of_mp){.kind = OF_MP_GROUP_DESC};
		if (of_sync_has_groups(sw))
			sw->seen_groups_xid = of_conn_send(sw->conn, &m, NULL);
	}
}

static int take(struct of_switch *sw, uint16_t kind, const union of_mp_entry *entry)
{
	struct of_rule r;

	if (kind == OF_MP_GROUP_DESC)
		return of_groups_add(&sw->seen_groups, &entry->group);
	memset(&r, 0, sizeof(r));
	r.match = entry->flow.match;
	r.instructions = entry->flow.instructions;
	r.cookie = entry->flow.cookie;
	r.priority = entry->flow.priority;
	r.table = entry->flow.table;
	return of_rules_add(&sw->seen, &r);
}

bool of_read_stats(struct of_switch *sw, const struct of_msg *m)
{
	uint32_t *xid = m->mp.kind == OF_MP_FLOW ? &sw->seen_xid : &sw->seen_groups_xid;
	union of_mp_entry entry;
	uint16_t at = 0;
	bool full = false;
	int rc;

	if (*xid == 0 || m->xid != *xid || (m->mp.kind != OF_MP_FLOW && m->mp.kind != OF_MP_GROUP_DESC))
		return false;
	while ((rc = of_mp_next(m, &at, &entry, NULL)) > 0 && !full)
		full = take(sw, m->mp.kind, &entry) < 0;
	if (rc < 0 || full || !of_shut_seen_fits(sw)) {
		forget(sw); // stays unanswered
		return true;
	}
	if (m->mp.more)
		return true;
	if (m->mp.kind == OF_MP_FLOW)
		sw->seen_whole = of_rules_sort(&sw->seen) == 0;
	else if (of_groups_sort(&sw->seen_groups) < 0)
		forget(sw);
	*xid = 0;
	return true;
}

bool of_read_refused(struct of_switch *sw, uint32_t xid)
{
	if (sw->seen_groups_xid == 0 || sw->seen_groups_xid != xid)
		return false;
	sw->seen_groups_xid = 0;
	return true;
}

void of_net_read_stop(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->seen_xid != 0 || sw->seen_groups_xid != 0)
			forget(sw);
	}
}

bool of_net_is_read(const struct of_net *net)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->seen_xid != 0 || sw->seen_groups_xid != 0)
			return false;
	}
	return true;
}

const struct of_rules *of_net_tables(const struct of_net *net, uint32_t idx)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->idx == idx && sw->seen_whole)
			return &sw->seen;
	}
	return NULL;
}

const struct of_groups *of_net_groups(const struct of_net *net, uint32_t idx)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->idx == idx && sw->seen_whole)
			return &sw->seen_groups;
	}
	return NULL;
}

void of_net_read_end(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		forget(sw);
}
