// SPDX-License-Identifier: Apache-2.0
// Rows are taken by their lowest request number, so that an earlier request has the first choice; a link that a circuit
// or its reservation had before costs next to nothing: nothing is moved without need.
#include "circuit_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define COST_KEPT 1
#define COST_HELD 500 // by a reservation of the row, for other hosts or other rows
#define COST_NEW 1000
#define FNV_START 2166136261U
#define FNV_PRIME 16777619U

void circuits_init(struct circuits *c)
{
	*c = (struct circuits){0};
}

void circuits_fini(struct circuits *c)
{
	for (uint32_t i = 0; i < c->n; i++)
		free(c->all[i].hops);
	free(c->all);
	free(c->holds);
	free(c->failures);
	circuits_init(c);
}

// Room for one more of `size` bytes in *array.
static int grow(void **array, uint32_t n, uint32_t *cap, size_t size)
{
	uint32_t more = *cap == 0 ? 16 : *cap * 2;
	void *grown;

	if (n < *cap)
		return 0;
	grown = reallocarray(*array, more, size);
	if (grown == NULL)
		return -ENOMEM;
	*array = grown;
	*cap = more;
	return 0;
}

uint32_t circuit_queue(uint64_t reservation)
{
	return 1 + (uint32_t)(reservation % 60000); // linux-htb has 0xf000 of them
}

static uint32_t hash_bytes(uint32_t hash, uint64_t value)
{
	for (int i = 0; i < 8; i++)
		hash = (hash ^ (uint8_t)(value >> (8 * i))) * FNV_PRIME;
	return hash;
}

static uint64_t mac_number(const uint8_t mac[6])
{
	uint64_t n = 0;

	for (int i = 0; i < 6; i++)
		n = n << 8 | mac[i];
	return n;
}

static uint32_t key_of(const struct idset *ids, const struct topo_host *src, const struct topo_host *dst, bool ip6)
{
	uint32_t hash = FNV_START;

	for (unsigned int i = 0; i < ids->n; i++)
		hash = hash_bytes(hash, ids->id[i]);
	if (!ip6)
		return hash_bytes(hash, (uint64_t)src->ip4 << 32 | dst->ip4);
	hash = hash_bytes(hash, mac_number(src->mac));
	return hash_bytes(hash, mac_number(dst->mac));
}

// The row's requests have a circuit between the two hosts.
static bool is_placed(const struct circuit_place *p)
{
	uint32_t key = key_of(&p->row_ids, p->src, p->dst, p->ip6);

	for (uint32_t i = 0; i < p->c->n; i++) {
		if (p->c->all[i].key == key && p->c->all[i].ip6 == p->ip6)
			return true;
	}
	return false;
}

// --- one segment

// A switch that has something to avoid behind it carries nothing on; where the circuit itself starts or ends it may.
static bool is_avoided(const struct circuit_place *p, uint32_t sw)
{
	if (sw == p->src->sw || sw == p->dst->sw)
		return false;
	for (unsigned int i = 0; i < p->ids.n; i++) {
		const struct demand *d = circuit_demand(p, p->ids.id[i]);

		if (d == NULL || d->kind != DEMAND_AVOID || d->addresses == NULL)
			continue;
		for (uint32_t k = 0; k < d->addresses->n; k++) {
			const struct topo_host *h = circuit_ends_host(&p->ends, &d->addresses->at[k]);

			if (h != NULL && h->sw == sw)
				return true;
		}
	}
	return false;
}

static bool was_here(const struct circuit_place *p, uint32_t sw, uint32_t port)
{
	const struct circuits *before = p->in->before;

	for (uint32_t i = 0; before != NULL && i < before->n; i++) {
		for (uint32_t k = 0; before->all[i].key == p->key && k < before->all[i].n_hops; k++) {
			if (before->all[i].hops[k].sw == sw && before->all[i].hops[k].out_port == port)
				return true;
		}
	}
	return p->in->leaves != NULL && p->in->leaves(p->in->ctx, p->key, sw, port);
}

static bool was_held(const struct circuit_place *p, uint32_t sw, uint32_t port)
{
	for (unsigned int i = 0; i < p->ids.n; i++) {
		if (p->in->before != NULL && circuit_holds(p->in->before, p->ids.id[i], sw, port))
			return true;
	}
	return false;
}

static bool may_cross(const struct circuit_place *p, uint32_t sw, uint32_t peer)
{
	if (sw == p->in->topo->bridge)
		return peer == p->to_side;
	return peer != p->in->topo->bridge || sw == p->from_side;
}

static uint32_t cost(void *ctx, uint32_t sw, uint32_t port)
{
	struct circuit_place *p = ctx;
	uint32_t peer, peer_port;

	if (!topo_link(p->in->topo, sw, port, &peer, &peer_port) || !may_cross(p, sw, peer) || is_avoided(p, peer) ||
	    !circuit_has_room(p, sw, port))
		return 0;
	if (sw == p->in->topo->bridge)
		return COST_KEPT; // it has no entries that would tell
	return was_here(p, sw, port) ? COST_KEPT : was_held(p, sw, port) ? COST_HELD : COST_NEW;
}

static int add_hold(struct circuit_place *p, const struct demand *d, uint32_t sw, uint32_t port)
{
	struct circuits *c = p->c;

	if (circuit_holds(c, d->id, sw, port))
		return 0;
	if (grow((void **)&c->holds, c->n_holds, &c->cap_holds, sizeof(*c->holds)) < 0)
		return -ENOMEM;
	c->holds[c->n_holds++] = (struct circuit_hold){d->id, sw, port, d->rate_bps, d->start_ns, d->end_ns};
	return 0;
}

static int hold_hop(struct circuit_place *p, const struct circuit_hop *hop)
{
	int rc = 0;

	for (unsigned int i = 0; i < p->ids.n && rc == 0; i++) {
		const struct demand *d = circuit_demand(p, p->ids.id[i]);

		if (d != NULL && d->kind == DEMAND_RESERVE)
			rc = add_hold(p, d, hop->sw, hop->out_port);
	}
	return rc;
}

// Frames from own hosts of the bridge are addressed to the last destination still.
static void set_sides(struct circuit_place *p, const struct topo_host *from, const struct topo_host *to)
{
	const struct topo *t = p->in->topo;

	if (t->bridge == TOPO_NONE)
		return;
	p->from_side = topo_side(t, p->in->tree, from->sw);
	p->to_side = topo_side(t, p->in->tree, from->sw == t->bridge ? p->dst->sw : to->sw);
}

static void begin_segment(struct circuit *c, const struct topo_host *to)
{
	memcpy(c->eth_dst[c->n_segments++], to->mac, 6);
}

// From where the circuit is now to the next host. 0, -ENOENT, -ENOMEM.
static int add_segment(struct circuit_place *p, struct circuit *c, const struct topo_host *from,
		       const struct topo_host *to)
{
	const struct topo *t = p->in->topo;
	struct circuit_hop *hops = reallocarray(c->hops, (size_t)c->n_hops + t->n_switches + 1, sizeof(*hops));
	uint8_t first = c->n_segments;
	int n;

	if (hops == NULL)
		return -ENOMEM;
	c->hops = hops;
	hops += c->n_hops;
	set_sides(p, from, to);
	n = circuit_has_room(p, to->sw, to->port) ? circuit_path(t, from->sw, to->sw, cost, p, hops) : -ENOENT;
	if (n < 0)
		return n;
	hops[0].in_port = from->port;
	hops[n - 1].out_port = to->port;
	for (int i = 0; i < n; i++) {
		if (i == 0 || hops[i].sw == t->bridge || hops[i - 1].sw == t->bridge)
			begin_segment(c, to);
		hops[i].segment = (uint8_t)(c->n_segments - 1);
		if (hold_hop(p, &hops[i]) < 0)
			return -ENOMEM;
	}
	for (uint8_t k = first; k < c->n_segments && c->n_segments > first + 1; k++)
		memcpy(c->eth_src[k], from->mac, 6);
	c->n_hops += (uint32_t)n;
	return 0;
}

// --- a whole circuit

static int fail(struct circuit_place *p, uint64_t id, const char *why)
{
	struct circuits *c = p->c;
	struct circuit_failure *f;

	if (circuit_has_failed(c, id))
		return 0;
	if (grow((void **)&c->failures, c->n_failures, &c->cap_failures, sizeof(*c->failures)) < 0)
		return -ENOMEM;
	f = &c->failures[c->n_failures++];
	memset(f, 0, sizeof(*f));
	f->id = id;
	memcpy(f->why, why, strnlen(why, sizeof(f->why) - 1));
	return 0;
}

// The youngest request of the row is the one that does not fit.
static int fail_row(struct circuit_place *p, const char *why)
{
	return fail(p, p->ids.id[p->ids.n - 1], why);
}

// The middleboxes in the order that frames meet them. Their number, -ENOENT: one is not known, -EOPNOTSUPP: one is
// behind the bridge.
static int via_of(struct circuit_place *p, const struct topo_host **via)
{
	const struct ip_list *list = p->list == NULL ? NULL : p->list->addresses;
	uint32_t n = list == NULL ? 0 : list->n < CIRCUIT_VIA_MAX ? list->n : CIRCUIT_VIA_MAX;

	for (uint32_t i = 0; i < n; i++) {
		const struct ip_addr *a = &list->at[p->backwards ? n - 1 - i : i];

		via[i] = circuit_ends_host(&p->ends, a);
		if (via[i] == NULL)
			return -ENOENT;
		if (via[i]->sw == p->in->topo->bridge)
			return -EOPNOTSUPP;
	}
	return (int)n;
}

static void set_reservation(const struct circuit_place *p, struct circuit *c)
{
	uint64_t best = 0;

	for (unsigned int i = 0; i < p->ids.n; i++) {
		const struct demand *d = circuit_demand(p, p->ids.id[i]);

		if (d != NULL && d->kind == DEMAND_RESERVE && d->rate_bps > best) {
			best = d->rate_bps;
			c->reservation = d->id;
		}
	}
}

// 1: placed; 0: it failed and that is noted; -ENOMEM.
static int try_pair(struct circuit_place *p)
{
	const struct topo_host *via[CIRCUIT_VIA_MAX + 2];
	struct circuit c = {.ids = p->row_ids, .ip6 = p->ip6};
	uint32_t n_holds = p->c->n_holds;
	int rc = 0, n;

	p->key = c.key = key_of(&p->row_ids, p->src, p->dst, p->ip6);
	memcpy(c.src, p->src->mac, 6);
	memcpy(c.dst, p->dst->mac, 6);
	circuit_ends_ips(&p->ends, p->src, p->ip6, &p->box->src, &c.src_ips);
	circuit_ends_ips(&p->ends, p->dst, p->ip6, &p->box->dst, &c.dst_ips);
	p->full = false;
	n = via_of(p, via + 1);
	if (n < 0)
		return fail_row(p, n == -ENOENT ? "a middlebox of its list is not known"
						: "a middlebox of its list is behind the local dataplane, which sends "
						  "by address only");
	c.n_via = (uint8_t)n;
	via[0] = p->src;
	via[n + 1] = p->dst;
	for (int i = 0; i <= n && rc == 0; i++)
		rc = add_segment(p, &c, via[i], via[i + 1]);
	if (rc == 0)
		rc = circuit_give_tags(p->c, p->in, &c);
	set_reservation(p, &c);
	if (rc == 0)
		rc = grow((void **)&p->c->all, p->c->n, &p->c->cap, sizeof(*p->c->all));
	if (rc == 0) {
		p->c->all[p->c->n++] = c;
		return 1;
	}
	free(c.hops);
	p->c->n_holds = n_holds;
	if (rc == -ENOMEM)
		return rc;
	return fail_row(p, rc == -ENOSPC ? "all tags for circuits are in use"
			   : p->full     ? "no path has that much capacity left"
					 : "there is no path");
}

// Whether packets of the row go the way the list was asked for, not its mirror's.
static bool is_forward(const struct circuit_place *p, const struct demand *list)
{
	for (uint32_t i = 0; i < list->flows.n_boxes; i++) {
		if (circuit_ends_within(&p->ends, p->src, p->ip6, &list->flows.boxes[i].src) &&
		    circuit_ends_within(&p->ends, p->dst, p->ip6, &list->flows.boxes[i].dst))
			return true;
	}
	return false;
}

static void choose_list(struct circuit_place *p)
{
	uint64_t ruling = p->probe != NULL && p->probe->kind == DEMAND_WAYPOINT
				  ? p->probe->id
				  : of_policy_ruling(p->in->policy, &p->ids);

	p->list = ruling == 0 ? NULL : circuit_demand(p, ruling);
	p->backwards = p->list != NULL && !is_forward(p, p->list);
}

// What the requests that stand and are kept have in common with the row at hand.
static int meet(struct circuit_place *p)
{
	const struct demands *all = &p->in->policy->demands;
	struct box row = *p->box;

	p->n_met = 0;
	row.kinds &= p->ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	for (uint32_t i = 0; i < all->n; i++) {
		const struct demand *d = &all->all[i];

		for (uint32_t b = 0; b < d->flows.n_boxes && d->kind != DEMAND_LIMIT; b++) {
			if (grow((void **)&p->met, p->n_met, &p->cap_met, sizeof(*p->met)) < 0)
				return -ENOMEM;
			p->met[p->n_met].id = d->id;
			p->n_met += !circuit_has_failed(p->placed, d->id) &&
				    box_intersect(&row, &d->flows.boxes[b], &p->met[p->n_met].box);
		}
	}
	return 0;
}

static bool has_one_within(const struct circuit_ips *ips, const struct span128 *s)
{
	for (uint32_t i = 0; i < ips->n; i++) {
		if (s->lo <= ips->ip[i] && ips->ip[i] <= s->hi)
			return true;
	}
	return false;
}

// The requests that the probe's packets between two hosts meet.
static void meet_pair(struct circuit_place *p)
{
	struct circuit_ips src, dst;

	p->row_ids = (struct idset){0};
	circuit_ends_ips(&p->ends, p->src, p->ip6, &p->box->src, &src);
	circuit_ends_ips(&p->ends, p->dst, p->ip6, &p->box->dst, &dst);
	for (uint32_t i = 0; i < p->n_met && p->row_ids.n + 1 < ACTION_SET_MAX; i++) {
		const struct box *both = &p->met[i].box;

		if (has_one_within(&src, &both->src) && has_one_within(&dst, &both->dst))
			idset_add(&p->row_ids, p->met[i].id);
	}
	idset_add(&p->row_ids, p->probe->id);
}

// Without the youngest request where not all can be kept.
static int place_pair(struct circuit_place *p)
{
	int rc = 0;

	if (p->probe != NULL)
		meet_pair(p);
	if (is_placed(p))
		return 0; // another row of the same requests
	for (p->ids = p->row_ids; p->ids.n > 0 && rc == 0; p->ids.n -= rc == 0) {
		choose_list(p);
		rc = try_pair(p);
	}
	return rc < 0 ? rc : 0;
}

// --- rows

static int place_family(struct circuit_place *p, bool ip6)
{
	const struct topo *t = p->in->topo;
	uint32_t n_pairs = 0;
	int rc = 0;

	p->ip6 = ip6;
	if (p->probe != NULL)
		rc = meet(p);
	circuit_ends_mark(&p->ends, t, ip6, &p->box->src, p->is_src);
	circuit_ends_mark(&p->ends, t, ip6, &p->box->dst, p->is_dst);
	for (uint32_t s = 0; s < t->n_hosts && rc == 0; s++) {
		for (uint32_t d = 0; d < t->n_hosts && rc == 0 && p->is_src[s]; d++) {
			if (d == s || !p->is_dst[d])
				continue;
			if (++n_pairs > CIRCUIT_PAIRS_MAX)
				return fail(p, p->row_ids.id[p->row_ids.n - 1],
					    "it is about too many pairs of hosts: name them");
			p->src = &t->hosts[s];
			p->dst = &t->hosts[d];
			rc = place_pair(p);
		}
	}
	return rc;
}

static int place_row(struct circuit_place *p)
{
	int rc = p->row_ids.n > 0 && (p->box->kinds & MATCH_KINDS_V4) ? place_family(p, false) : 0;

	return rc == 0 && p->row_ids.n > 0 && (p->box->kinds & MATCH_KINDS_V6) ? place_family(p, true) : rc;
}

static int place_init(struct circuit_place *p, const struct circuit_in *in, struct circuits *c)
{
	*p = (struct circuit_place){.in = in, .c = c};
	p->is_src = calloc(in->topo->n_hosts + 1U, 1);
	p->is_dst = calloc(in->topo->n_hosts + 1U, 1);
	return p->is_src == NULL || p->is_dst == NULL ? -ENOMEM : circuit_ends_init(&p->ends, in->topo, in->addrs);
}

static void place_fini(struct circuit_place *p)
{
	free(p->is_src);
	free(p->is_dst);
	free(p->met);
	circuit_ends_fini(&p->ends);
}

static int compare_rows(const void *a, const void *b)
{
	const struct row *const *x = a, *const *y = b;
	const struct idset *i = &(*x)->action.reservations, *k = &(*y)->action.reservations;

	for (unsigned int at = 0; at < i->n && at < k->n; at++) {
		if (i->id[at] != k->id[at])
			return i->id[at] < k->id[at] ? -1 : 1;
	}
	return i->n != k->n ? (i->n < k->n ? -1 : 1) : *x < *y ? -1 : *x > *y;
}

static int place_all(struct circuits *c, const struct circuit_in *in)
{
	const struct flowtab *ft = &in->policy->paths;
	const struct row **rows = malloc((ft->n_rows + 1U) * sizeof(*rows));
	struct circuit_place p;
	int rc = place_init(&p, in, c);
	uint32_t n = 0;

	rc = rows == NULL ? -ENOMEM : rc;

	for (uint32_t i = 0; i < ft->n_rows && rc == 0; i++) {
		if (box_end_ns(&ft->rows[i].box) > in->now_ns)
			rows[n++] = &ft->rows[i];
	}
	if (n > 1)
		qsort(rows, n, sizeof(*rows), compare_rows);
	for (uint32_t i = 0; i < n && rc == 0; i++) {
		p.row_ids = rows[i]->action.reservations;
		p.box = &rows[i]->box;
		rc = place_row(&p);
	}
	free(rows);
	place_fini(&p);
	return rc;
}

// What was promised to older requests may not have been needed where links have come or gone: then there is more room.
int circuits_place(struct circuits *c, const struct circuit_in *in)
{
	struct circuit_in once_more = *in;
	struct circuits second;
	int rc = place_all(c, in);

	if (rc < 0 || c->n_failures == 0 || in->before == NULL || in->before->n_holds == 0)
		return rc;
	once_more.before = c;
	circuits_init(&second);
	if (place_all(&second, &once_more) == 0 && second.n_failures < c->n_failures) {
		struct circuits first = *c;

		*c = second;
		second = first;
	}
	circuits_fini(&second);
	return 0;
}

void circuits_live(struct circuits *c, const struct of_policy *policy, int64_t now_ns)
{
	for (uint32_t i = 0; i < c->n; i++)
		c->all[i].live = false;
	for (uint32_t r = 0; r < policy->paths.n_rows; r++) {
		const struct row *row = &policy->paths.rows[r];
		const struct idset *ids = &row->action.reservations;

		if (ids->n == 0 || box_start_ns(&row->box) > now_ns || box_end_ns(&row->box) <= now_ns)
			continue;
		for (uint32_t i = 0; i < c->n; i++) {
			if (c->all[i].ids.n == ids->n &&
			    memcmp(c->all[i].ids.id, ids->id, ids->n * sizeof(ids->id[0])) == 0)
				c->all[i].live = true;
		}
	}
}

// --- one more

// What all hold, but for one request.
static int copy_circuits(struct circuits *to, const struct circuits *from, uint64_t but)
{
	circuits_init(to);
	to->holds = malloc((from->n_holds + 1U) * sizeof(*to->holds));
	if (to->holds == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < from->n_holds; i++) {
		if (from->holds[i].id != but)
			to->holds[to->n_holds++] = from->holds[i];
	}
	to->cap_holds = from->n_holds + 1;
	return 0;
}

int circuits_fit(const struct circuits *c, const struct circuit_in *in, const struct demand *probe, struct err *err)
{
	const struct demand *now = demands_find(&in->policy->demands, probe->id);
	struct demand whole = *probe;
	struct circuits trial;
	struct circuit_place p;
	int rc = copy_circuits(&trial, c, probe->id);

	if (place_init(&p, in, &trial) < 0)
		rc = -ENOMEM;
	p.probe = &whole;
	p.placed = c;
	idset_add(&p.row_ids, probe->id);
	if (now != NULL && now->start_ns < whole.start_ns) // it is to last longer: on one way, all its time
		whole.start_ns = now->start_ns;

	for (uint32_t i = 0; probe->kind == DEMAND_WAYPOINT && i < probe->addresses->n && rc == 0; i++) {
		if (circuit_ends_host(&p.ends, &probe->addresses->at[i]) == NULL)
			rc = err_set(err, EBUSY, "no middlebox %s is known",
				     ip_addr_text(&probe->addresses->at[i]).text);
	}
	for (uint32_t i = 0; i < probe->flows.n_boxes && rc == 0; i++) {
		p.box = &probe->flows.boxes[i];
		rc = place_row(&p);
	}
	if (rc == 0 && trial.n_failures > 0)
		rc = err_set(err, EBUSY, "%s", trial.failures[0].why);
	if (rc == -ENOMEM)
		err_set(err, ENOMEM, "out of memory");
	place_fini(&p);
	circuits_fini(&trial);
	return rc;
}
