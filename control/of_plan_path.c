// SPDX-License-Identifier: Apache-2.0
// Entries of circuits. Where a segment starts frames are told by the row and the two hosts, and get the segment's tag;
// on the way by port and tag; where it ends the tag goes.
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "of_lower.h"
#include "of_plan_priv.h"

#define RETURN_RANK_MAX 1000

static void act(struct plan *p, struct of_rule *r, const struct of_action *action)
{
	struct of_instructions *i = &r->instructions;

	if (i->n_actions == OF_ACTIONS_MAX)
		p->rc = -E2BIG;
	else
		i->actions[i->n_actions++] = *action;
}

static void leave_by(struct plan *p, struct of_rule *r, const struct circuit *c, uint32_t port)
{
	uint32_t queue = c->reservation == 0 ? 0 : circuit_queue(c->reservation);
	bool one = p->in->version == OF_VERSION_10;

	if (queue == 0) {
		plan_output(p, r, port);
		return;
	}
	act(p, r,
	    &(struct of_action){.type = one ? OF_ACT_ENQUEUE : OF_ACT_QUEUE, .port = one ? port : 0, .queue = queue});
	if (!one)
		plan_output(p, r, port);
}

static bool is_behind_bridge(const struct plan *p, const struct circuit *c, const struct circuit_hop *hop)
{
	return hop > c->hops && hop[-1].sw == p->in->topo->bridge;
}

static void start_actions(struct plan *p, struct of_rule *r, const struct circuit *c, const struct circuit_hop *hop)
{
	static const uint8_t none[6];
	uint16_t tag = c->tags[hop->segment];
	struct of_action to = {.type = OF_ACT_ETH_DST}, from = {.type = OF_ACT_ETH_SRC};

	memcpy(to.eth, c->eth_dst[hop->segment], 6);
	r->cookie |= c->key;
	if (c->n_via > 0)
		act(p, r, &to);
	if (hop->segment > 0 && !is_behind_bridge(p, c, hop) && memcmp(c->eth_src[hop->segment], none, 6) != 0) {
		memcpy(from.eth, c->eth_src[hop->segment], 6);
		act(p, r, &from);
	}
	if (tag != 0 && p->in->version != OF_VERSION_10)
		act(p, r, &(struct of_action){.type = OF_ACT_PUSH_VLAN});
	if (tag != 0)
		act(p, r, &(struct of_action){.type = OF_ACT_VLAN, .vlan = tag});
	leave_by(p, r, c, hop->out_port);
}

static struct box pair_box(const struct circuit *c, u128 src, u128 dst)
{
	struct box pair = box_any();

	pair.kinds = c->ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	pair.src = c->ip6 ? (struct span128){src, src} : match_ip4_prefix((uint32_t)(src >> 96), 32);
	pair.dst = c->ip6 ? (struct span128){dst, dst} : match_ip4_prefix((uint32_t)(dst >> 96), 32);
	return pair;
}

static bool is_link_local(u128 ip)
{
	return ip >> 118 == 0xfe80 >> 6;
}

static void host_unsaid(struct plan *p, const struct row *row, const struct circuit *c, const uint8_t m[6])
{
	struct err err;

	err_set(&err, E2BIG,
		"host %02x:%02x:%02x:%02x:%02x:%02x has more than %u IPv6 addresses: request %" PRIu64
		" holds for the latest only",
		m[0], m[1], m[2], m[3], m[4], m[5], PLAN_IPS_MAX, c->ids.id[0]);
	plan_row_unsaid(p, row, &err);
}

// Those in the span: their number. *more: others are left out.
static uint32_t ips_within(const struct circuit_ips *ips, const struct span128 *s, u128 *out, bool *more)
{
	uint32_t n = 0;

	*more = ips->more && s->lo != s->hi;
	for (uint32_t i = 0; i < ips->n; i++) {
		if (ips->ip[i] < s->lo || ips->ip[i] > s->hi)
			continue;
		if (n < PLAN_IPS_MAX)
			out[n++] = ips->ip[i];
		else
			*more = true;
	}
	return n;
}

// The matches of a row for two hosts, in each pair of their addresses of one scope (RFC 6724, 5: rule 2): their number,
// 0: none or none that can be said. What there are too many of for is left out, and told.
static int match_pair(struct plan *p, const struct row *row, const struct circuit *c, struct of_match *matches)
{
	u128 srcs[PLAN_IPS_MAX], dsts[PLAN_IPS_MAX];
	bool more_srcs, more_dsts;
	uint32_t n_srcs = ips_within(&c->src_ips, &row->box.src, srcs, &more_srcs);
	uint32_t n_dsts = ips_within(&c->dst_ips, &row->box.dst, dsts, &more_dsts);
	struct err err;
	int n = 0;

	if (n_srcs > 0 && n_dsts > 0 && (more_srcs || more_dsts))
		host_unsaid(p, row, c, more_srcs ? c->src : c->dst);
	for (uint32_t s = 0; s < n_srcs; s++) {
		for (uint32_t d = 0; d < n_dsts; d++) {
			struct box pair = pair_box(c, srcs[s], dsts[d]), both;
			int more;

			if ((c->ip6 && is_link_local(srcs[s]) != is_link_local(dsts[d])) ||
			    !box_intersect(&row->box, &pair, &both))
				continue;
			more = of_lower_box(&both, p->in->version, matches + n, PLAN_MATCHES_MAX - (unsigned int)n,
					    &err);
			if (more == -E2BIG)
				err_set(&err, E2BIG, "request %" PRIu64 " needs more than %u OpenFlow entries of a row",
					c->ids.id[0], PLAN_MATCHES_MAX);
			if (more < 0)
				plan_row_unsaid(p, row, &err);
			else
				n += more;
		}
	}
	return n;
}

// What the bridge sends on in this segment, among segments of other middleboxes.
static bool match_segment(struct of_rule *r, const struct circuit *c, const struct circuit_hop *hop)
{
	const uint8_t *to = c->eth_dst[hop == &c->hops[1] ? c->n_segments - 1 : hop->segment];
	struct of_match all = r->match;

	if (!of_match_to(&all, to, &r->match))
		return false;
	r->match.has |= OF_HAS_ETH_SRC;
	memcpy(r->match.eth_src, c->eth_src[hop->segment], 6);
	memset(r->match.eth_src_mask, 0xff, 6);
	return true;
}

// Where circuits of the row start anew here: behind a middlebox or the bridge, or at the source. From the bridge frames
// of two segments may come, which differ by their Ethernet addresses.
static void add_starts(struct plan *p, const struct row *row, const struct circuit *c, bool sources,
		       unsigned int priority)
{
	static struct of_match matches[PLAN_MATCHES_MAX];
	int n = -1;

	for (uint32_t i = 0; i < c->n_hops; i++) {
		const struct circuit_hop *hop = &c->hops[i];
		bool first = i == 0 || c->hops[i - 1].segment != hop->segment;

		if (!first || hop->sw != p->idx || (hop->segment == 0) != sources)
			continue;
		if (n < 0)
			n = match_pair(p, row, c, matches);
		for (int k = 0; k < n; k++) {
			struct of_rule r;

			plan_blank(&r, sources && p->tables ? OF_PLAN_PATH : OF_PLAN_POLICY, priority);
			r.match = matches[k];
			if (c->n_via > 0 && is_behind_bridge(p, c, hop) && !match_segment(&r, c, hop))
				continue;
			r.ends_ns = plan_end(p, c->key, box_end_ns(&row->box), sources ? 1 : 2);
			if (!sources)
				plan_in_port(&r, hop->in_port);
			if (is_behind_bridge(p, c, hop))
				r.priority = (uint16_t)(PRIORITY_BEHIND + priority - PRIORITY_RETURN);
			start_actions(p, &r, c, hop);
			plan_add(p, &r);
		}
	}
}

static void add_passing(struct plan *p, const struct circuit *c)
{
	for (uint32_t i = 1; i < c->n_hops; i++) {
		const struct circuit_hop *hop = &c->hops[i];
		struct of_rule r;

		if (hop->sw != p->idx || c->hops[i - 1].segment != hop->segment)
			continue;
		plan_blank(&r, OF_PLAN_POLICY, PRIORITY_TAGGED);
		plan_in_port(&r, hop->in_port);
		r.match.has |= OF_HAS_VLAN;
		r.match.vlan = c->tags[hop->segment];
		r.cookie |= c->key;
		r.ends_ns = plan_end(p, c->key, INT64_MAX, 2);
		if (i + 1 == c->n_hops || c->hops[i + 1].segment != hop->segment)
			act(p, &r, &(struct of_action){.type = OF_ACT_POP_VLAN});
		leave_by(p, &r, c, hop->out_port);
		plan_add(p, &r);
	}
}

// A host may not put a frame into a circuit by tagging it.
static void add_guard(struct plan *p, uint16_t tag)
{
	struct of_rule r;

	plan_blank(&r, OF_PLAN_POLICY, PRIORITY_GUARD);
	r.match.has = OF_HAS_VLAN;
	r.match.vlan = tag;
	plan_add(p, &r);
}

static bool in_force(const struct row *row, int64_t now_ns)
{
	return box_start_ns(&row->box) <= now_ns && box_end_ns(&row->box) > now_ns;
}

static void each_circuit(struct plan *p, const struct row *row, bool sources, unsigned int priority)
{
	const struct circuits *all = p->in->circuits;

	for (uint32_t i = 0; i < all->n; i++) {
		const struct idset *ids = &all->all[i].ids;

		if (ids->n == row->action.reservations.n &&
		    memcmp(ids->id, row->action.reservations.id, ids->n * sizeof(ids->id[0])) == 0)
			add_starts(p, row, &all->all[i], sources, priority);
	}
}

void plan_circuits(struct plan *p)
{
	const struct circuits *all = p->in->circuits;
	const struct flowtab *rows = &p->in->policy->paths;

	if (p->tables)
		add_guard(p, OF_VLAN_UPPER);
	for (uint32_t i = 0; i < rows->n_rows; i++) {
		unsigned int rank = rows->rows[i].rank, up_to = rank < RETURN_RANK_MAX ? rank : RETURN_RANK_MAX;

		if (rows->rows[i].action.reservations.n == 0 || !in_force(&rows->rows[i], p->in->policy_ns))
			continue;
		each_circuit(p, &rows->rows[i], false, PRIORITY_RETURN + up_to);
		if (p->tables)
			each_circuit(p, &rows->rows[i], true, PRIORITY_ROW + PRIORITY_STEP * rank);
	}
	for (uint32_t i = 0; i < all->n; i++) {
		if (!all->all[i].live)
			continue;
		add_passing(p, &all->all[i]);
		for (uint8_t k = 0; !p->tables && k < all->all[i].n_segments; k++) {
			if (all->all[i].tags[k] != 0)
				add_guard(p, all->all[i].tags[k]);
		}
	}
}

void plan_row_circuits(struct plan *p, const struct row *row, unsigned int priority)
{
	if (row->action.reservations.n > 0)
		each_circuit(p, row, true, priority);
}

bool of_plan_is_ahead(const struct of_rule *rule)
{
	return rule->table == OF_PLAN_POLICY &&
	       (rule->priority == PRIORITY_TAGGED ||
		(rule->priority >= PRIORITY_RETURN && rule->priority <= PRIORITY_RETURN + RETURN_RANK_MAX) ||
		(rule->priority >= PRIORITY_BEHIND && rule->priority <= PRIORITY_BEHIND + RETURN_RANK_MAX));
}
