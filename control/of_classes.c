// SPDX-License-Identifier: Apache-2.0
#include "of_classes.h"

#include <string.h>

#define ETH_IP4 0x0800
#define ETH_IP6 0x86dd

bool of_packet_has_ports(const struct of_packet *p)
{
	return p->ip_proto == 6 || p->ip_proto == 17 || p->ip_proto == 132;
}

static void cut(struct of_cuts *c, uint64_t at)
{
	if (at > c->max)
		return;
	for (uint32_t i = 0; i < c->n; i++) {
		if (c->at[i] == at)
			return;
	}
	if (c->n == OF_CUTS_MAX)
		c->full = true;
	else
		c->at[c->n++] = (uint32_t)at;
}

static void cut_span(struct of_cuts *c, const struct span *s)
{
	if (s->lo == 0 && s->hi >= c->max)
		return;
	cut(c, s->lo);
	cut(c, s->hi + 1);
}

static void cut_masked(struct of_cuts *c, uint16_t value, uint16_t mask)
{
	cut(c, value & mask);
	cut(c, (uint64_t)(value | (uint16_t)~mask) + 1);
}

// Can the entry meet packets of this pair, whatever their ports, protocol and tag?
static bool meets(const struct of_match *m, const struct of_packet *p)
{
	struct of_match wide = *m;

	wide.has &= OF_HAS_ETH_DST | OF_HAS_ETH_SRC | OF_HAS_ETH_TYPE | OF_HAS_IP4_SRC | OF_HAS_IP4_DST |
		    OF_HAS_IP6_SRC | OF_HAS_IP6_DST;
	return of_packet_matches(p, 0, &wide);
}

static void cut_by_entries(struct of_classes *c, const struct of_packet *p, const struct of_rule *const *rules,
			   uint32_t n_rules)
{
	for (uint32_t i = 0; i < n_rules; i++) {
		const struct of_match *m = &rules[i]->match;

		if (!meets(m, p))
			continue;
		if (m->has & OF_HAS_IP_PROTO)
			cut_span(&c->proto, &(struct span){m->ip_proto, m->ip_proto});
		if (m->has & OF_HAS_L4_SRC)
			cut_masked(&c->sport, m->l4_src, m->l4_src_mask);
		if (m->has & OF_HAS_L4_DST)
			cut_masked(&c->dport, m->l4_dst, m->l4_dst_mask);
		if ((m->has & OF_HAS_VLAN) && m->vlan != OF_VLAN_NONE && m->vlan != OF_VLAN_UPPER)
			cut(&c->vlan, m->vlan == OF_VLAN_ANY ? 1 : m->vlan);
	}
}

static void cut_by_policy(struct of_classes *c, uint32_t kinds, u128 src, u128 dst, const struct tree *policy)
{
	for (uint32_t i = 0; i < policy->n_atoms; i++) {
		const struct match *m = &policy->atoms[i].match;

		for (uint32_t k = 0; k < m->n_boxes; k++) {
			const struct box *box = &m->boxes[k];

			if (!(box->kinds & kinds) || src < box->src.lo || src > box->src.hi || dst < box->dst.lo ||
			    dst > box->dst.hi)
				continue;
			cut_span(&c->proto, &box->f[MATCH_PROTO]);
			cut_span(&c->sport, &box->f[MATCH_SRC_PORT]);
			cut_span(&c->dport, &box->f[MATCH_DST_PORT]);
			cut_span(&c->vlan, &box->f[MATCH_VLAN]);
		}
	}
}

void of_classes_find(struct of_classes *c, const struct of_packet *p, u128 src, u128 dst, const struct tree *policy,
		     const struct of_rule *const *rules, uint32_t n_rules)
{
	static const uint8_t usual[] = {6, 17, 253}; // TCP, UDP, one that nobody has
	bool ip4 = p->eth_type == ETH_IP4, ip6 = p->eth_type == ETH_IP6;

	*c = (struct of_classes){
		.proto = {.max = 255}, .sport = {.max = 65535}, .dport = {.max = 65535}, .vlan = {.max = 4095}};
	cut(&c->sport, 0);
	cut(&c->dport, 0);
	cut(&c->vlan, 0);
	cut(&c->proto, ip6 ? 58 : ip4 ? 1 : 0);
	for (size_t i = 0; (ip4 || ip6) && i < sizeof(usual); i++)
		cut(&c->proto, usual[i]);
	cut_by_entries(c, p, rules, n_rules);
	cut_by_policy(c, ip4 ? MATCH_KINDS_V4 : ip6 ? MATCH_KINDS_V6 : MATCH_NONIP, src, dst, policy);
	if (!ip4 && !ip6)
		c->proto.n = c->sport.n = c->dport.n = 1;
	c->n = (uint64_t)c->proto.n * c->sport.n * c->dport.n * c->vlan.n;
	c->full = c->proto.full || c->sport.full || c->dport.full || c->vlan.full;
}

bool of_classes_packet(const struct of_classes *c, uint64_t i, struct of_packet *p)
{
	p->ip_proto = (uint8_t)c->proto.at[i % c->proto.n];
	i /= c->proto.n;
	p->vlan = (uint16_t)c->vlan.at[i % c->vlan.n];
	i /= c->vlan.n;
	p->l4_src = (uint16_t)c->sport.at[i % c->sport.n];
	p->l4_dst = (uint16_t)c->dport.at[i / c->sport.n];
	p->icmp_type = p->ip_proto == 58 ? 128 : p->ip_proto == 1 ? 8 : 0;
	return of_packet_has_ports(p) || (p->l4_src == 0 && p->l4_dst == 0);
}
