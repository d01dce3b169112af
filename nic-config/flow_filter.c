// SPDX-License-Identifier: Apache-2.0
#include "flow_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_errno.h>
#include <rte_flow.h>
#include <rte_hash.h>
#include <rte_jhash.h>

#include "flow_spread.h"
#include "why.h"

#define PATTERN_ITEMS 4        // Ethernet, IP, ports, the end
#define FLOWS_MAX 3            // a rule of ports alone is one flow for each protocol that has some
#define NOT_FRAGMENT_BE 0x3fff // offset and more-fragments; the flag "don't fragment" may be anything

// A rule on the device.
struct flow_rule {
	struct xdp_rule rule; // plain
	uint32_t times;
	uint32_t n_flows;
	struct rte_flow *flow[FLOWS_MAX];
	struct xdp_count seen;
};

struct flow_filter {
	struct drop_filter base;
	uint16_t port_id;
	bool counts;    // the device does
	bool is_broken; // it has not given a rule back: all are off
	struct rte_hash *rules;
	struct xdp_count total;
};

// The source and destination port are at the same place in all three.
struct ports_be {
	rte_be16_t src, dst;
};

union l4_item {
	struct ports_be ports;
	struct rte_flow_item_tcp tcp;
	struct rte_flow_item_udp udp;
	struct rte_flow_item_sctp sctp;
};

union ip_item {
	struct rte_flow_item_ipv4 v4;
	struct rte_flow_item_ipv6 v6;
};

struct pattern {
	struct rte_flow_item item[PATTERN_ITEMS];
	union ip_item ip, ip_mask;
	union l4_item l4, l4_mask;
};

// A rule of either kind in one form.
struct wanted {
	bool v6, src, dst, ports;
	uint32_t src_len, dst_len; // bits
	uint32_t src_be[4], dst_be[4];
	uint8_t proto;
	bool has_proto;
};

static void mask_be(uint32_t len, uint8_t *out, uint32_t n_bytes)
{
	for (uint32_t i = 0; i < n_bytes; i++)
		out[i] = len >= 8 * (i + 1) ? 0xff : len <= 8 * i ? 0 : (uint8_t)(0xff00 >> (len - 8 * i));
}

static struct wanted wanted_of(const struct xdp_rule *rule)
{
	struct wanted w = {0};
	const struct xdp_exact *e = &rule->exact;

	switch (rule->kind) {
	case XDP_RULE_SRC4:
		return (struct wanted){
			.src = true, .src_len = rule->prefix4.prefix_len, .src_be = {rule->prefix4.addr_be}};
	case XDP_RULE_DST4:
		return (struct wanted){
			.dst = true, .dst_len = rule->prefix4.prefix_len, .dst_be = {rule->prefix4.addr_be}};
	case XDP_RULE_SRC6:
		w = (struct wanted){.v6 = true, .src = true, .src_len = rule->prefix6.prefix_len};
		memcpy(w.src_be, rule->prefix6.addr_be, sizeof(w.src_be));
		return w;
	case XDP_RULE_DST6:
		w = (struct wanted){.v6 = true, .dst = true, .dst_len = rule->prefix6.prefix_len};
		memcpy(w.dst_be, rule->prefix6.addr_be, sizeof(w.dst_be));
		return w;
	case XDP_RULE_EXACT:
		break;
	}
	w.v6 = e->family == 6;
	w.src = (e->fields & XDP_SRC) != 0;
	w.dst = (e->fields & XDP_DST) != 0;
	w.src_len = w.dst_len = w.v6 ? 128 : 32;
	memcpy(w.src_be, e->src_be, sizeof(w.src_be));
	memcpy(w.dst_be, e->dst_be, sizeof(w.dst_be));
	w.ports = (e->fields & (XDP_SPORT | XDP_DPORT)) != 0;
	w.has_proto = (e->fields & XDP_PROTO) != 0;
	w.proto = e->proto;
	return w;
}

static bool has_ports(uint8_t proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static void ip4_item(const struct wanted *w, uint8_t proto, struct pattern *p)
{
	struct rte_ipv4_hdr *spec = &p->ip.v4.hdr, *mask = &p->ip_mask.v4.hdr;

	spec->src_addr = w->src_be[0];
	spec->dst_addr = w->dst_be[0];
	mask_be(w->src ? w->src_len : 0, (uint8_t *)&mask->src_addr, sizeof(mask->src_addr));
	mask_be(w->dst ? w->dst_len : 0, (uint8_t *)&mask->dst_addr, sizeof(mask->dst_addr));
	spec->next_proto_id = proto;
	mask->next_proto_id = w->has_proto || w->ports ? 0xff : 0;
	mask->fragment_offset = w->ports ? RTE_BE16(NOT_FRAGMENT_BE) : 0;
}

// The protocol of a frame with extension headers is that of the last one: such frames do not match here.
static void ip6_item(const struct wanted *w, uint8_t proto, struct pattern *p)
{
	struct rte_ipv6_hdr *spec = &p->ip.v6.hdr, *mask = &p->ip_mask.v6.hdr;

	memcpy(spec->src_addr, w->src_be, sizeof(spec->src_addr));
	memcpy(spec->dst_addr, w->dst_be, sizeof(spec->dst_addr));
	mask_be(w->src ? w->src_len : 0, mask->src_addr, sizeof(mask->src_addr));
	mask_be(w->dst ? w->dst_len : 0, mask->dst_addr, sizeof(mask->dst_addr));
	spec->proto = proto;
	mask->proto = w->has_proto || w->ports ? 0xff : 0;
}

static void ports_item(const struct xdp_exact *e, struct pattern *p)
{
	p->l4.ports = (struct ports_be){e->sport_be, e->dport_be};
	p->l4_mask.ports = (struct ports_be){(e->fields & XDP_SPORT) != 0 ? UINT16_MAX : 0,
					     (e->fields & XDP_DPORT) != 0 ? UINT16_MAX : 0};
}

static void pattern_make(const struct xdp_rule *rule, const struct wanted *w, uint8_t proto, struct pattern *p)
{
	bool tests_ip = w->src || w->dst || w->has_proto || w->ports;
	struct rte_flow_item *item = p->item;

	memset(p, 0, sizeof(*p));
	item++->type = RTE_FLOW_ITEM_TYPE_ETH;
	item->type = w->v6 ? RTE_FLOW_ITEM_TYPE_IPV6 : RTE_FLOW_ITEM_TYPE_IPV4;
	if (w->v6)
		ip6_item(w, proto, p);
	else
		ip4_item(w, proto, p);
	if (tests_ip) {
		item->spec = &p->ip;
		item->mask = &p->ip_mask;
	}
	item++;
	if (w->ports) {
		item->type = proto == 6    ? RTE_FLOW_ITEM_TYPE_TCP
			     : proto == 17 ? RTE_FLOW_ITEM_TYPE_UDP
					   : RTE_FLOW_ITEM_TYPE_SCTP;
		ports_item(&rule->exact, p);
		item->spec = &p->l4;
		item->mask = &p->l4_mask;
		item++;
	}
	item->type = RTE_FLOW_ITEM_TYPE_END;
}

// NULL with rte_errno.
static struct rte_flow *flow_make(const struct flow_filter *f, const struct xdp_rule *rule, uint8_t proto)
{
	static const struct rte_flow_attr attr = {.ingress = 1};
	const struct rte_flow_action_count counter = {0};
	const struct rte_flow_action counted[] = {{.type = RTE_FLOW_ACTION_TYPE_COUNT, .conf = &counter},
						  {.type = RTE_FLOW_ACTION_TYPE_DROP},
						  {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct wanted w = wanted_of(rule);
	struct rte_flow_error error = {0};
	struct pattern p;

	pattern_make(rule, &w, proto, &p);
	rte_errno = 0;
	return rte_flow_create(f->port_id, &attr, p.item, f->counts ? counted : counted + 1, &error);
}

// A device that keeps a rule it should give back would drop what is allowed by now: everything is taken off it, and it
// gets no more.
static void flows_destroy(struct flow_filter *f, struct flow_rule *r)
{
	struct rte_flow_error error;

	for (; r->n_flows > 0; r->n_flows--) {
		if (!f->is_broken && rte_flow_destroy(f->port_id, r->flow[r->n_flows - 1], &error) < 0) {
			f->is_broken = true;
			rte_flow_flush(f->port_id, &error);
			flow_spread_forget(f->port_id);
		}
	}
}

// All flows of the rule or none. 0 or -errno.
static int flows_create(struct flow_filter *f, struct flow_rule *r)
{
	static const uint8_t protos[FLOWS_MAX] = {6, 17, 132};
	const struct xdp_exact *e = &r->rule.exact;
	struct wanted w = wanted_of(&r->rule);
	bool each = w.ports && !w.has_proto;

	if (w.ports && w.has_proto && !has_ports(e->proto))
		return -ENOTSUP; // nothing has
	for (uint32_t i = 0; i < (each ? FLOWS_MAX : 1); i++) {
		r->flow[i] = flow_make(f, &r->rule, each ? protos[i] : w.proto);
		if (r->flow[i] == NULL) {
			int rc = rte_errno != 0 ? -rte_errno : -ENOTSUP;

			flows_destroy(f, r);
			return rc;
		}
		r->n_flows++;
	}
	return 0;
}

static struct flow_rule *rule_find(const struct flow_filter *f, const struct xdp_rule *plain)
{
	void *data = NULL;

	return rte_hash_lookup_data(f->rules, plain, &data) < 0 ? NULL : data;
}

static int add(struct drop_filter *base, const struct xdp_rule *rule)
{
	struct flow_filter *f = (struct flow_filter *)base;
	struct xdp_rule plain;
	struct flow_rule *r;
	int rc;

	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	r = rule_find(f, &plain);
	if (r != NULL) {
		r->times++;
		return 0;
	}
	if (f->is_broken)
		return -ENOTSUP;
	if (rte_hash_count(f->rules) >= FLOW_RULES_MAX)
		return -ENOSPC;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->rule = plain;
	r->times = 1;
	rc = flows_create(f, r);
	if (rc == 0 && rte_hash_add_key_data(f->rules, &plain, r) < 0) {
		flows_destroy(f, r);
		rc = -ENOSPC;
	}
	if (rc < 0)
		free(r);
	return rc;
}

// What a device cannot tell is nothing.
static void rule_look(struct flow_filter *f, struct flow_rule *r)
{
	static const struct rte_flow_action counter = {.type = RTE_FLOW_ACTION_TYPE_COUNT};
	struct xdp_count now = {0};

	for (uint32_t i = 0; f->counts && !f->is_broken && i < r->n_flows; i++) {
		struct rte_flow_query_count q = {0};
		struct rte_flow_error error;

		if (rte_flow_query(f->port_id, r->flow[i], &counter, &q, &error) < 0)
			return;
		now.packets += q.hits_set ? q.hits : 0;
		now.bytes += q.bytes_set ? q.bytes : 0;
	}
	if (now.packets < r->seen.packets || now.bytes < r->seen.bytes)
		return; // the device has lost count
	f->total.packets += now.packets - r->seen.packets;
	f->total.bytes += now.bytes - r->seen.bytes;
	r->seen = now;
}

static int del(struct drop_filter *base, const struct xdp_rule *rule)
{
	struct flow_filter *f = (struct flow_filter *)base;
	struct xdp_rule plain;
	struct flow_rule *r;

	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	r = rule_find(f, &plain);
	if (r == NULL)
		return -ENOENT;
	if (--r->times > 0)
		return 0;
	rule_look(f, r);
	flows_destroy(f, r);
	rte_hash_del_key(f->rules, &plain);
	free(r);
	return 0;
}

static int count(struct drop_filter *base, const struct xdp_rule *rule, struct xdp_count *out)
{
	struct flow_filter *f = (struct flow_filter *)base;
	struct xdp_rule plain;
	struct flow_rule *r;

	memset(out, 0, sizeof(*out));
	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	r = rule_find(f, &plain);
	if (r == NULL)
		return -ENOENT;
	rule_look(f, r);
	*out = r->seen;
	return 0;
}

static int total(struct drop_filter *base, struct xdp_count *out)
{
	*out = ((struct flow_filter *)base)->total;
	return 0;
}

static void close_filter(struct drop_filter *base)
{
	struct flow_filter *f = (struct flow_filter *)base;
	const void *key;
	void *data;
	uint32_t at = 0;

	while (rte_hash_iterate(f->rules, &key, &data, &at) >= 0) {
		flows_destroy(f, data);
		free(data);
	}
	rte_hash_free(f->rules);
	free(f);
}

static const struct drop_filter_ops flow_ops = {
	.add = add, .del = del, .count = count, .total = total, .close = close_filter};

// Whether the device takes a rule: it is made and taken back at once, for some take in validation what they then
// refuse.
static bool takes(struct flow_filter *f, bool counts)
{
	// 192.0.2.1 to 192.0.2.1 (RFC 5737): nobody's
	struct flow_rule probe = {.rule.exact = {.family = 4,
						 .fields = XDP_SRC | XDP_DST,
						 .src_be = {RTE_BE32(0xc0000201)},
						 .dst_be = {RTE_BE32(0xc0000201)}}};

	f->counts = counts;
	if (flows_create(f, &probe) < 0)
		return false;
	flows_destroy(f, &probe);
	return true;
}

int flow_filter_open(uint16_t port_id, struct drop_filter **out, char why[PORT_ERR_MAX])
{
	struct flow_filter *f = calloc(1, sizeof(*f));
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters params = {
		.name = name,
		.entries = FLOW_RULES_MAX,
		.key_len = sizeof(struct xdp_rule),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	if (f == NULL)
		return why_fail(why, ENOMEM, "no memory for rules of the device");
	f->base.ops = &flow_ops;
	f->port_id = port_id;
	if (!takes(f, true) && !takes(f, false)) {
		free(f);
		return why_fail(why, ENOTSUP, "the device takes no drop rules: %s",
				rte_errno != 0 ? strerror(rte_errno) : "refused");
	}
	snprintf(name, sizeof(name), "flow_%p", (void *)f);
	f->rules = rte_hash_create(&params);
	if (f->rules == NULL) {
		free(f);
		return why_fail(why, ENOMEM, "no memory for rules of the device");
	}
	*out = &f->base;
	return 0;
}
