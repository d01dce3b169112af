// SPDX-License-Identifier: Apache-2.0
// Where sources come in. A row about one source lies where hosts are that say that they have the address, or that it
// was seen of; nowhere known: everywhere. Elsewhere a watch stands for its denials: one entry for the address, however
// many rows are about it. What comes from there all the same is held until the controller has seen it, which puts the
// rows there, too. So a row may be taken out as soon as the watch is in: no packet passes in between, nor when a host
// sends from an address that is another's.
#include <string.h>

#include "of_plan_priv.h"

// --- who has an address

// What was only seen of a host, as a router, says nothing about limits of IPv6: it would be divided for good. The
// bridge tells no more of its own hosts.
static bool counts(const struct topo *t, const struct addr *claim, const struct topo_host *h, bool strays)
{
	return h != NULL && (strays || !claim->ip6 || claim->how != ADDR_IP || h->sw == t->bridge);
}

static bool has(const struct topo *t, const struct addrs *claims, const struct of_source *source, uint32_t sw,
		bool strays, bool *known)
{
	const struct addr *at = claims == NULL ? NULL : addrs_first(claims, source->ip, source->ip6);

	for (; at != NULL; at = addrs_after(claims, at)) {
		const struct topo_host *h = topo_host(t, at->mac);
		bool counted = counts(t, at, h, strays);

		*known |= counted;
		if (counted && h->sw == sw)
			return true;
	}
	return false;
}

bool of_plan_has(const struct topo *t, const struct addrs *claims, const struct of_source *source, uint32_t sw,
		 bool *known)
{
	return has(t, claims, source, sw, true, known);
}

bool plan_is_elsewhere(const struct plan *p, uint32_t sw, const struct box *box, bool strays)
{
	const struct topo *t = p->in->topo;
	struct of_source source;
	bool known = false;

	if (!of_policy_source(box, &source) || has(t, p->in->addrs, &source, sw, strays, &known) ||
	    (strays && has(t, p->in->strays, &source, sw, true, &known)))
		return false;
	return known;
}

// --- entries

static void match_source(struct of_match *m, const struct of_source *source)
{
	m->has |= OF_HAS_ETH_TYPE | (source->ip6 ? OF_HAS_IP6_SRC : OF_HAS_IP4_SRC);
	m->eth_type = source->ip6 ? 0x86dd : 0x0800;
	if (!source->ip6) {
		m->ip4_src = (uint32_t)(source->ip >> 96);
		m->ip4_src_mask = UINT32_MAX;
		return;
	}
	for (int i = 0; i < 16; i++)
		m->ip6_src[i] = (uint8_t)(source->ip >> (8 * (15 - i)));
	memset(m->ip6_src_mask, 0xff, 16);
}

// Of several rows about one source once: entries of one name are one (of_rules_sort).
void plan_watch(struct plan *p, const struct box *box)
{
	struct of_source source;
	struct of_rule r;

	if (!of_policy_source(box, &source))
		return;
	plan_blank(&r, OF_PLAN_POLICY, PRIORITY_WATCH);
	match_source(&r.match, &source);
	plan_output(p, &r, OF_PORT_CONTROLLER);
	plan_add(p, &r);
}

#define COOKIE_STRAY 1

// The host's own entry for frames in general says its IPv4 address.
static bool is_told(const struct topo_host *h, const struct of_source *source)
{
	return !source->ip6 && h->ip4 == (uint32_t)(source->ip >> 96);
}

static void tell(struct plan *p, const struct addr *claim, bool stray)
{
	const struct topo_host *h = topo_host(p->in->topo, claim->mac);
	const struct of_source source = {claim->ip, claim->ip6};
	bool ends = claim->ip6 && !stray && p->in->policy->demands.n > 0; // circuits end there
	struct of_rule r;

	if (h == NULL || h->sw != p->idx || is_told(h, &source) || !(ends || of_policy_names(p->in->policy, &source)))
		return;
	plan_blank(&r, OF_PLAN_LEARN, PRIORITY_LEARN + 1);
	plan_in_port(&r, h->port);
	r.match.has |= OF_HAS_ETH_SRC;
	memcpy(r.match.eth_src, h->mac, 6);
	memset(r.match.eth_src_mask, 0xff, 6);
	match_source(&r.match, &source);
	r.cookie |= stray ? COOKIE_STRAY : 0;
	plan_goto(&r, OF_PLAN_PATH);
	plan_add(p, &r);
}

// Which addresses hosts have fits into no cookie: without these entries the next life of the controller knew no end of
// a circuit, nor where denials lie, until each host was heard of.
void plan_tells(struct plan *p)
{
	const struct addrs *a = p->in->addrs, *strays = p->in->strays;

	if (p->in->policy->demands.n == 0 && p->in->policy->n_sources == 0)
		return;
	for (uint32_t i = 0; a != NULL && i < a->n; i++)
		tell(p, &a->all[i], a->all[i].how == ADDR_IP);
	for (uint32_t i = 0; strays != NULL && i < strays->n; i++)
		tell(p, &strays->all[i], true);
}

bool of_plan_tells(const struct of_rule *rule, struct of_source *what, bool *stray)
{
	const struct of_match *m = &rule->match;
	const uint32_t rest = OF_HAS_IN_PORT | OF_HAS_ETH_SRC | OF_HAS_ETH_TYPE;

	*what = (struct of_source){.ip6 = m->has == (rest | OF_HAS_IP6_SRC)};
	what->ip = what->ip6 ? match_ip6_prefix(m->ip6_src, 128).lo : match_ip4(m->ip4_src);
	*stray = (rule->cookie & COOKIE_STRAY) != 0;
	return rule->table == OF_PLAN_LEARN && rule->priority == PRIORITY_LEARN + 1 &&
	       (what->ip6 || m->has == (rest | OF_HAS_IP4_SRC));
}
