// SPDX-License-Identifier: Apache-2.0
// Equal ways. Where several ports are equally near to a switch, what goes to its hosts is given to a select group with
// the ports as buckets, and the switch spreads flows over them by a hash of its own (RFC 2992). A group is named by its
// ports, and is never changed: another set of ports is another group, so that entries alone say who sends where.
//
// Switches of one make hash alike, and by the low bits: what the first one sent here would all leave by one port (hash
// polarization). So each port has several buckets, and each switch an order of its own of them.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "of_plan_priv.h"

#define GROUP_ID_BITS 28

static uint64_t mix(uint64_t h, uint64_t with)
{
	h = (h ^ with) * UINT64_C(0xd6e8feb86659fd93);
	h = (h ^ h >> 32) * UINT64_C(0xd6e8feb86659fd93);
	return h ^ h >> 32;
}

// Ports equally near to switch `to`, by number; of too many the lowest. A link through a bridge takes no part: the
// bridge sends frames where it has learnt their addresses, from floods.
static unsigned int equal_ports(const struct plan *p, uint32_t to, uint32_t ports[OF_BUCKETS_MAX])
{
	const uint16_t *dist = p->in->dist[to];
	unsigned int n = 0;

	if (to == p->idx || dist[p->idx] == TOPO_FAR)
		return 0;
	for (uint32_t i = 0; i < p->n_links; i++) {
		uint32_t port = p->links[i].port, at = n;

		if (dist[p->links[i].peer] + 1 != dist[p->idx] || topo_is_shared(p->in->topo, p->idx, port) ||
		    !topo_leads(p->in->topo, p->in->tree, p->idx, port, to))
			continue;
		while (at > 0 && ports[at - 1] > port)
			at--;
		if (at == OF_BUCKETS_MAX)
			continue;
		n -= n == OF_BUCKETS_MAX;
		memmove(&ports[at + 1], &ports[at], (n - at) * sizeof(*ports));
		ports[at] = port;
		n++;
	}
	return n;
}

static void make_group(const struct plan *p, const uint32_t *ports, unsigned int n, struct of_group_mod *g)
{
	uint64_t keys[OF_BUCKETS_MAX], id = 0;

	memset(g, 0, sizeof(*g));
	g->type = OF_GROUP_SELECT;
	for (unsigned int i = 0; i < n; i++)
		id = mix(id + 1, ports[i]);
	g->group = OF_PLAN_GROUPS | (uint32_t)(id >> (64 - GROUP_ID_BITS));
	for (unsigned int k = 0; k < OF_BUCKETS_MAX / n * n; k++) {
		uint32_t port = ports[k % n];
		uint64_t key = mix(mix(p->sw->dpid + 1, port), k / n);
		unsigned int at = g->n_buckets++;
		struct of_bucket *b;

		for (; at > 0 && keys[at - 1] > key; at--) {
			keys[at] = keys[at - 1];
			g->buckets[at] = g->buckets[at - 1];
		}
		keys[at] = key;
		b = &g->buckets[at];
		memset(b, 0, sizeof(*b));
		b->weight = 1;
		b->watch_port = port; // where it is down the switch takes another bucket by itself
		b->watch_group = OF_GROUP_ANY;
		b->n_actions = 1;
		b->actions[0].type = OF_ACT_OUTPUT;
		b->actions[0].port = port;
	}
}

// Of two sets of one number (1 of 2^28 pairs) one must give way, whichever was met first.
static bool is_before(const struct of_group_mod *a, const struct of_group_mod *b)
{
	for (unsigned int i = 0; i < a->n_buckets && i < b->n_buckets; i++) {
		if (a->buckets[i].watch_port != b->buckets[i].watch_port)
			return a->buckets[i].watch_port < b->buckets[i].watch_port;
	}
	return a->n_buckets < b->n_buckets;
}

static bool make_for(const struct plan *p, uint32_t to, struct of_group_mod *g)
{
	uint32_t ports[OF_BUCKETS_MAX];
	unsigned int n = equal_ports(p, to, ports);

	if (n >= 2)
		make_group(p, ports, n, g);
	return n >= 2;
}

static bool is_there(const struct plan *p, uint32_t id)
{
	return p->in->groups != NULL && of_groups_find(p->in->groups, id) != NULL;
}

// Of those that are to be made, only as many as there is room for beside those that are there, wanted or not.
static void fit_groups(const struct plan *p)
{
	uint32_t taken = p->in->groups == NULL ? 0 : p->in->groups->n, n_new = 0;
	uint32_t room = p->in->groups_max > taken ? p->in->groups_max - taken : 0;

	for (uint32_t i = 0; i < p->groups->n; i++)
		n_new += !is_there(p, p->groups->groups[i].what.group);
	for (uint32_t i = p->groups->n; i-- > 0 && n_new > room;) {
		uint32_t id = p->groups->groups[i].what.group;

		if (is_there(p, id))
			continue;
		of_groups_del(p->groups, id);
		p->stats->groups_short++;
		n_new--;
	}
}

void plan_groups(struct plan *p)
{
	uint32_t n = p->in->topo->n_switches;
	struct of_group_mod g;

	p->group_to = calloc(n + 1U, sizeof(*p->group_to));
	if (p->group_to == NULL) {
		p->rc = -ENOMEM;
		return;
	}
	if (!p->tables || p->in->groups_max == 0)
		return;
	for (uint32_t to = 0; to < n; to++) {
		const struct of_group *other;

		if (!make_for(p, to, &g))
			continue;
		other = of_groups_find(p->groups, g.group);
		if ((other == NULL || is_before(&g, &other->what)) && p->rc == 0)
			p->rc = of_groups_set(p->groups, &g);
	}
	fit_groups(p);
	for (uint32_t to = 0; to < n; to++) {
		const struct of_group *mine;

		if (!make_for(p, to, &g))
			continue;
		mine = of_groups_find(p->groups, g.group);
		if (mine != NULL && of_group_same(&mine->what, &g))
			p->group_to[to] = g.group;
	}
}

bool of_plan_is_group(uint32_t id)
{
	return id >> GROUP_ID_BITS == OF_PLAN_GROUPS >> GROUP_ID_BITS;
}
