// SPDX-License-Identifier: Apache-2.0
// The ends of circuits: hosts, and their addresses of both families.
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "circuit_priv.h"

static void add(struct circuit_ends *e, const struct topo_host *h, u128 ip, bool ip6, int64_t seen_ns)
{
	e->all[e->n++] = (struct circuit_end){.host = h, .ip = ip, .ip6 = ip6, .seen_ns = seen_ns};
}

// Another host said so long after this one did: the address has moved.
static bool is_over(const struct topo *t, const struct addrs *a, const struct addr *claim)
{
	for (const struct addr *other = addrs_first(a, claim->ip, claim->ip6); other != NULL;
	     other = addrs_after(a, other)) {
		if (other->seen_ns - claim->seen_ns >= ADDRS_FRESH_NS && other->how != ADDR_IP &&
		    topo_host(t, other->mac) != NULL)
			return true;
	}
	return false;
}

int circuit_ends_init(struct circuit_ends *e, const struct topo *t, const struct addrs *a)
{
	uint32_t n_addrs = a == NULL ? 0 : a->n;

	e->n = 0;
	e->all = calloc((size_t)t->n_hosts + n_addrs + 1, sizeof(*e->all));
	if (e->all == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (t->hosts[i].ip4 != 0)
			add(e, &t->hosts[i], match_ip4(t->hosts[i].ip4), false, 0);
	}
	for (uint32_t i = 0; i < n_addrs; i++) {
		const struct addr *claim = &a->all[i];
		const struct topo_host *h = claim->ip6 && claim->how != ADDR_IP ? topo_host(t, claim->mac) : NULL;

		if (h != NULL && !is_over(t, a, claim)) // what only comes from a router is not the router's
			add(e, h, claim->ip, true, claim->seen_ns);
	}
	return 0;
}

void circuit_ends_fini(struct circuit_ends *e)
{
	free(e->all);
	*e = (struct circuit_ends){0};
}

const struct topo_host *circuit_ends_host(const struct circuit_ends *e, const struct ip_addr *ip)
{
	for (uint32_t i = 0; i < e->n; i++) {
		if (e->all[i].ip6 == ip->ip6 && e->all[i].ip == ip->addr)
			return e->all[i].host;
	}
	return NULL;
}

static bool is_within(const struct circuit_end *end, bool ip6, const struct span128 *s)
{
	return end->ip6 == ip6 && s->lo <= end->ip && end->ip <= s->hi;
}

bool circuit_ends_within(const struct circuit_ends *e, const struct topo_host *h, bool ip6, const struct span128 *s)
{
	for (uint32_t i = 0; i < e->n; i++) {
		if (e->all[i].host == h && is_within(&e->all[i], ip6, s))
			return true;
	}
	return false;
}

void circuit_ends_mark(const struct circuit_ends *e, const struct topo *t, bool ip6, const struct span128 *s,
		       uint8_t *marks)
{
	memset(marks, 0, t->n_hosts);
	for (uint32_t i = 0; i < e->n; i++) {
		if (is_within(&e->all[i], ip6, s))
			marks[e->all[i].host - t->hosts] = 1;
	}
}

static bool is_ahead(const struct circuit_end *a, const struct circuit_end *b, const struct span128 *s)
{
	bool a_within = is_within(a, a->ip6, s), b_within = is_within(b, b->ip6, s);

	if (a_within != b_within)
		return a_within;
	return a->seen_ns != b->seen_ns ? a->seen_ns > b->seen_ns : a->ip < b->ip;
}

void circuit_ends_ips(const struct circuit_ends *e, const struct topo_host *h, bool ip6, const struct span128 *s,
		      struct circuit_ips *out)
{
	const struct circuit_end *best[CIRCUIT_IPS_MAX];

	out->n = 0;
	for (uint32_t i = 0; i < e->n; i++) {
		uint32_t at = out->n;

		if (e->all[i].host != h || e->all[i].ip6 != ip6)
			continue;
		while (at > 0 && is_ahead(&e->all[i], best[at - 1], s))
			at--;
		if (at == CIRCUIT_IPS_MAX)
			continue;
		out->n -= out->n == CIRCUIT_IPS_MAX;
		memmove(&best[at + 1], &best[at], (out->n - at) * sizeof(best[0]));
		best[at] = &e->all[i];
		out->n++;
	}
	for (uint32_t i = 0; i < out->n; i++)
		out->ip[i] = best[i]->ip;
	out->more = out->n == CIRCUIT_IPS_MAX;
}
