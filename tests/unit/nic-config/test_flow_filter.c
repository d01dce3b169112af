// SPDX-License-Identifier: Apache-2.0
// Drop rules in a played NIC: what it is asked for, against a slow reading of the rules; NICs that refuse, that are
// full, that do not count, that keep what they should give back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "nic-config/flow_filter.h"
#include "nic-config/flow_spread.h"
#include "tests/rounds.h"
#include "tests/unit/dataplane/eal.h"
#include "xdp_oracle.h"

#define FLOWS_MAX 4096
#define PORT 3

// --- the NIC: these take the places of rte_flow's

struct rte_flow {
	bool used, v6, with_l4, counted;
	enum rte_flow_item_type l4;
	union {
		struct rte_flow_item_ipv4 v4;
		struct rte_flow_item_ipv6 v6;
	} ip, ip_mask;
	struct rte_flow_item_udp ports, ports_mask; // of any protocol
	uint64_t hits;
};

static struct {
	bool refuses, cannot_count, cannot_tell_fragments, keeps;
	uint16_t n_queues; // that it does not fill by itself
	uint32_t room, n;
	struct rte_flow flow[FLOWS_MAX];
} nic;

static struct rte_flow *refuse(int why)
{
	rte_errno = why;
	return NULL;
}

static bool takes_actions(const struct rte_flow_action *a, bool *counted)
{
	*counted = a->type == RTE_FLOW_ACTION_TYPE_COUNT;
	if (a->type == RTE_FLOW_ACTION_TYPE_RSS)
		return true;
	a += *counted;
	return a[0].type == RTE_FLOW_ACTION_TYPE_DROP && a[1].type == RTE_FLOW_ACTION_TYPE_END &&
	       !(*counted && nic.cannot_count);
}

static bool takes_pattern(const struct rte_flow_item *item, struct rte_flow *flow)
{
	size_t ip_bytes;

	if (item++->type != RTE_FLOW_ITEM_TYPE_ETH ||
	    (item->type != RTE_FLOW_ITEM_TYPE_IPV4 && item->type != RTE_FLOW_ITEM_TYPE_IPV6))
		return false;
	flow->v6 = item->type == RTE_FLOW_ITEM_TYPE_IPV6;
	ip_bytes = flow->v6 ? sizeof(flow->ip.v6) : sizeof(flow->ip.v4);
	if (item->spec != NULL) {
		memcpy(&flow->ip, item->spec, ip_bytes);
		memcpy(&flow->ip_mask, item->mask, ip_bytes);
	}
	if (!flow->v6 && flow->ip_mask.v4.hdr.fragment_offset != 0 && nic.cannot_tell_fragments)
		return false;
	item++;
	flow->l4 = item->type;
	flow->with_l4 = item->type != RTE_FLOW_ITEM_TYPE_END;
	if (flow->with_l4 && item->spec != NULL) {
		memcpy(&flow->ports, item->spec, 4);
		memcpy(&flow->ports_mask, item->mask, 4);
	}
	item += flow->with_l4;
	return item->type == RTE_FLOW_ITEM_TYPE_END;
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
				 const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
				 struct rte_flow_error *error)
{
	struct rte_flow made = {.used = true};

	assert_int_equal(port_id, PORT);
	assert_int_equal(attr->ingress, 1);
	if (nic.refuses || !takes_actions(actions, &made.counted) || !takes_pattern(pattern, &made))
		return refuse(ENOTSUP);
	if (nic.n == nic.room)
		return refuse(ENOSPC);
	for (uint32_t i = 0; i < FLOWS_MAX; i++) {
		if (!nic.flow[i].used) {
			nic.flow[i] = made;
			nic.n++;
			return &nic.flow[i];
		}
	}
	return refuse(ENOSPC);
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
		      const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	return 0;
}

int rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	memset(info, 0, sizeof(*info));
	info->nb_rx_queues = nic.n_queues;
	return 0;
}

int rte_eth_dev_conf_get(uint16_t port_id, struct rte_eth_conf *eth)
{
	memset(eth, 0, sizeof(*eth));
	return 0;
}

int rte_flow_destroy(uint16_t port_id, struct rte_flow *flow, struct rte_flow_error *error)
{
	assert_true(flow->used);
	if (nic.keeps)
		return -EIO;
	flow->used = false;
	nic.n--;
	return 0;
}

int rte_flow_flush(uint16_t port_id, struct rte_flow_error *error)
{
	for (uint32_t i = 0; i < FLOWS_MAX; i++)
		nic.flow[i].used = false;
	nic.n = 0;
	return 0;
}

int rte_flow_query(uint16_t port_id, struct rte_flow *flow, const struct rte_flow_action *action, void *data,
		   struct rte_flow_error *error)
{
	struct rte_flow_query_count *q = data;

	assert_true(flow->used && flow->counted);
	assert_int_equal(action->type, RTE_FLOW_ACTION_TYPE_COUNT);
	*q = (struct rte_flow_query_count){.hits_set = 1, .bytes_set = 1, .hits = flow->hits, .bytes = 60 * flow->hits};
	return 0;
}

// A frame as a card sees it: in a later fragment, too, it takes the first bytes of the payload for ports.
struct frame {
	struct seen seen;
	bool later_fragment;
	uint16_t payload[2]; // of it
};

static bool masked_equal(const void *spec, const void *mask, const void *value, size_t n)
{
	const uint8_t *s = spec, *m = mask, *v = value;

	for (size_t i = 0; i < n; i++) {
		if (((s[i] ^ v[i]) & m[i]) != 0)
			return false;
	}
	return true;
}

static bool flow_matches(const struct rte_flow *flow, const struct frame *f)
{
	const struct seen *s = &f->seen;
	uint16_t ports[2] = {f->later_fragment ? f->payload[0] : s->sport_be,
			     f->later_fragment ? f->payload[1] : s->dport_be};
	uint16_t fragment_be = f->later_fragment ? htons(0x2005) : 0;
	uint8_t l4 = flow->l4 == RTE_FLOW_ITEM_TYPE_TCP ? 6 : flow->l4 == RTE_FLOW_ITEM_TYPE_UDP ? 17 : 132;

	if (s->family != (flow->v6 ? 6 : 4))
		return false;
	if (flow->v6 && (!masked_equal(flow->ip.v6.hdr.src_addr, flow->ip_mask.v6.hdr.src_addr, s->src_be, 16) ||
			 !masked_equal(flow->ip.v6.hdr.dst_addr, flow->ip_mask.v6.hdr.dst_addr, s->dst_be, 16) ||
			 !masked_equal(&flow->ip.v6.hdr.proto, &flow->ip_mask.v6.hdr.proto, &s->proto, 1)))
		return false;
	if (!flow->v6 &&
	    (!masked_equal(&flow->ip.v4.hdr.src_addr, &flow->ip_mask.v4.hdr.src_addr, s->src_be, 4) ||
	     !masked_equal(&flow->ip.v4.hdr.dst_addr, &flow->ip_mask.v4.hdr.dst_addr, s->dst_be, 4) ||
	     !masked_equal(&flow->ip.v4.hdr.next_proto_id, &flow->ip_mask.v4.hdr.next_proto_id, &s->proto, 1) ||
	     !masked_equal(&flow->ip.v4.hdr.fragment_offset, &flow->ip_mask.v4.hdr.fragment_offset, &fragment_be, 2)))
		return false;
	return !flow->with_l4 || (s->proto == l4 && (s->has_ports || f->later_fragment) &&
				  masked_equal(&flow->ports, &flow->ports_mask, ports, 4));
}

static bool nic_drops(const struct frame *f)
{
	for (uint32_t i = 0; i < FLOWS_MAX; i++) {
		if (nic.flow[i].used && flow_matches(&nic.flow[i], f)) {
			nic.flow[i].hits++;
			return true;
		}
	}
	return false;
}

// --- a small world

static uint32_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static uint8_t draw_proto(void)
{
	static const uint8_t protos[] = {6, 17, 1, 132, 58};

	return protos[draw(sizeof(protos))];
}

static void draw_addr(uint32_t out[4], uint8_t family)
{
	memset(out, 0, 16);
	out[0] = htonl(0x0a000000 | draw(2) << 8 | draw(3));
	if (family == 6) {
		out[0] = htonl(0xfd000000);
		out[3] = htonl(draw(2) << 16 | draw(3));
	}
}

static struct xdp_rule draw_exact(void)
{
	struct xdp_rule r;
	struct xdp_exact *e = &r.exact;
	uint32_t scratch[4];

	memset(&r, 0, sizeof(r));
	e->family = draw(2) ? 4 : 6;
	e->fields = (uint8_t)(1 + draw(31));
	draw_addr(e->fields & XDP_SRC ? e->src_be : scratch, e->family);
	draw_addr(e->fields & XDP_DST ? e->dst_be : scratch, e->family);
	e->proto = e->fields & XDP_PROTO ? draw_proto() : 0;
	e->sport_be = e->fields & XDP_SPORT ? htons((uint16_t)draw(3)) : 0;
	e->dport_be = e->fields & XDP_DPORT ? htons((uint16_t)draw(3)) : 0;
	return r;
}

static struct xdp_rule draw_rule(void)
{
	static const uint8_t lens4[] = {0, 8, 23, 24, 31, 32}, lens6[] = {0, 8, 105, 112, 127, 128};
	struct xdp_rule r = draw_exact();
	uint32_t addr[4];

	if (draw(3) != 0)
		return r;
	memset(&r, 0, sizeof(r));
	r.kind = (enum xdp_rule_kind)(1 + draw(4));
	draw_addr(addr, r.kind <= XDP_RULE_DST4 ? 4 : 6);
	if (r.kind <= XDP_RULE_DST4) {
		r.prefix4.prefix_len = lens4[draw(sizeof(lens4))];
		r.prefix4.addr_be =
			htonl(ntohl(addr[0]) & (uint32_t)(UINT64_C(0xffffffff) << (32 - r.prefix4.prefix_len)));
		return r;
	}
	r.prefix6.prefix_len = lens6[draw(sizeof(lens6))];
	for (uint32_t i = 0; i < 128; i++) {
		if (i < r.prefix6.prefix_len)
			((uint8_t *)r.prefix6.addr_be)[i / 8] |= ((uint8_t *)addr)[i / 8] & (0x80 >> i % 8);
	}
	return r;
}

static struct frame draw_frame(void)
{
	struct frame f = {.later_fragment = false};
	struct seen *s = &f.seen;

	s->family = draw(2) ? 4 : 6;
	s->proto = draw_proto();
	draw_addr(s->src_be, s->family);
	draw_addr(s->dst_be, s->family);
	f.later_fragment = s->family == 4 && draw(4) == 0; // of IPv6 it has another next header
	s->has_ports = !f.later_fragment && (s->proto == 6 || s->proto == 17 || s->proto == 132);
	f.payload[0] = htons((uint16_t)draw(3));
	f.payload[1] = htons((uint16_t)draw(3));
	if (s->has_ports) {
		s->sport_be = f.payload[0];
		s->dport_be = f.payload[1];
	}
	return f;
}

static int reset(void **state)
{
	memset(&nic, 0, sizeof(nic));
	nic.room = FLOWS_MAX;
	return 0;
}

static struct drop_filter *open_filter(void)
{
	char why[PORT_ERR_MAX];
	struct drop_filter *f = NULL;

	assert_int_equal(flow_filter_open(PORT, &f, why), 0);
	assert_int_equal(nic.n, 0);
	return f;
}

// --- tests

static void what_the_nic_drops_is_what_the_rules_say(void **state)
{
	uint32_t rounds = (uint32_t)rounds_from_env(300), n_dropped = 0;

	seed = (uint32_t)seed_from_env(5);
	print_message("seed %u\n", seed);
	for (uint32_t round = 0; round < rounds; round++) {
		struct drop_filter *filter = open_filter();
		struct xdp_rule rule[6];
		bool in[6];
		uint32_t n = 1 + draw(6);

		for (uint32_t i = 0; i < n; i++) {
			rule[i] = draw_rule();
			in[i] = drop_filter_add(filter, &rule[i]) == 0;
		}
		for (uint32_t i = 0; i < n; i++) {
			if (in[i] && draw(3) == 0) {
				assert_int_equal(drop_filter_del(filter, &rule[i]), 0);
				in[i] = false;
			}
		}
		for (int k = 0; k < 200; k++) {
			struct frame f = draw_frame();
			bool dropped = nic_drops(&f), right = false;

			for (uint32_t i = 0; i < n; i++)
				right |= in[i] && rule_matches(&rule[i], &f.seen);
			if (dropped != right)
				fail_msg("round %u: the NIC %s", round, dropped ? "drops too much" : "lets pass");
			n_dropped += dropped;
		}
		drop_filter_close(filter);
		assert_int_equal(nic.n, 0);
	}
	assert_true(n_dropped > rounds);
}

static struct xdp_rule host(uint32_t n)
{
	struct xdp_rule r;

	memset(&r, 0, sizeof(r));
	r.exact = (struct xdp_exact){.family = 4, .fields = XDP_SRC, .src_be = {htonl(0x0a000000 | n)}};
	return r;
}

static void equal_rules_are_one_on_the_nic(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1);

	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(nic.n, 1);
	assert_int_equal(drop_filter_del(f, &r), 0);
	assert_int_equal(nic.n, 1);
	assert_int_equal(drop_filter_del(f, &r), 0);
	assert_int_equal(nic.n, 0);
	assert_int_equal(drop_filter_del(f, &r), -ENOENT);
	drop_filter_close(f);
}

static void ports_without_a_protocol_are_a_flow_for_each(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r;

	memset(&r, 0, sizeof(r));
	r.exact = (struct xdp_exact){.family = 4, .fields = XDP_DPORT, .dport_be = htons(80)};
	nic.room = 2;
	assert_int_equal(drop_filter_add(f, &r), -ENOSPC);
	assert_int_equal(nic.n, 0);
	nic.room = 3;
	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(nic.n, 3);
	drop_filter_close(f);
}

static void a_nic_that_takes_no_rules_is_left_alone(void **state)
{
	char why[PORT_ERR_MAX] = "";
	struct drop_filter *f = NULL;

	nic.refuses = true;
	assert_int_equal(flow_filter_open(PORT, &f, why), -ENOTSUP);
	assert_non_null(strstr(why, "no drop rules"));
	assert_null(f);
}

static void a_full_nic_refuses_and_keeps_what_it_has(void **state)
{
	struct drop_filter *f = open_filter();

	nic.room = 10;
	for (uint32_t i = 0; i < 12; i++) {
		struct xdp_rule r = host(i);

		assert_int_equal(drop_filter_add(f, &r), i < 10 ? 0 : -ENOSPC);
	}
	assert_int_equal(nic.n, 10);
	drop_filter_close(f);
	assert_int_equal(nic.n, 0);
}

static void a_nic_that_cannot_tell_fragments_gets_no_ports(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1), with_port = host(1);

	nic.cannot_tell_fragments = true;
	with_port.exact.fields |= XDP_PROTO | XDP_DPORT;
	with_port.exact.proto = 17;
	with_port.exact.dport_be = htons(53);
	assert_int_equal(drop_filter_add(f, &with_port), -ENOTSUP);
	assert_int_equal(drop_filter_add(f, &r), 0);
	drop_filter_close(f);
}

static void what_was_dropped_is_counted_and_outlives_its_rule(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1);
	struct frame frame = {.seen = {.family = 4, .proto = 1, .src_be = {htonl(0x0a000001)}}};
	struct xdp_count n;

	assert_int_equal(drop_filter_count(f, &r, &n), -ENOENT);
	assert_int_equal(drop_filter_add(f, &r), 0);
	for (int i = 0; i < 3; i++)
		assert_true(nic_drops(&frame));
	assert_int_equal(drop_filter_count(f, &r, &n), 0);
	assert_int_equal(n.packets, 3);
	assert_int_equal(n.bytes, 180);
	assert_true(nic_drops(&frame));
	assert_int_equal(drop_filter_del(f, &r), 0);
	assert_int_equal(drop_filter_total(f, &n), 0);
	assert_int_equal(n.packets, 4);
	drop_filter_close(f);
}

static void a_nic_that_does_not_count_drops_all_the_same(void **state)
{
	struct drop_filter *f;
	struct xdp_rule r = host(1);
	struct xdp_count n;

	nic.cannot_count = true;
	f = open_filter();
	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(nic.n, 1);
	assert_int_equal(drop_filter_count(f, &r, &n), 0);
	assert_int_equal(n.packets, 0);
	drop_filter_close(f);
}

static void a_nic_that_keeps_a_rule_is_emptied_and_not_asked_again(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1), other = host(2);

	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(drop_filter_add(f, &other), 0);
	nic.keeps = true;
	assert_int_equal(drop_filter_del(f, &r), 0);
	assert_int_equal(nic.n, 0);
	assert_int_equal(drop_filter_add(f, &r), -ENOTSUP);
	assert_int_equal(drop_filter_del(f, &other), 0);
	drop_filter_close(f);
}

static void a_nic_that_is_emptied_has_lost_its_queue_rules(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1);

	nic.n_queues = 2;
	assert_int_equal(flow_spread_set(PORT), 6);
	assert_int_equal(drop_filter_add(f, &r), 0);
	assert_int_equal(nic.n, 7);
	nic.keeps = true;
	assert_int_equal(drop_filter_del(f, &r), 0);
	assert_int_equal(nic.n, 0);
	flow_spread_clear(PORT); // asks for none of them
	drop_filter_close(f);
}

static void bad_rules_are_refused(void **state)
{
	struct drop_filter *f = open_filter();
	struct xdp_rule r = host(1);

	r.exact.dport_be = 1; // not named
	assert_int_equal(drop_filter_add(f, &r), -EINVAL);
	r = host(1);
	r.kind = (enum xdp_rule_kind)9;
	assert_int_equal(drop_filter_add(f, &r), -EINVAL);
	assert_int_equal(nic.n, 0);
	drop_filter_close(f);
}

#define NIC_TEST(test) cmocka_unit_test_setup(test, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NIC_TEST(what_the_nic_drops_is_what_the_rules_say),
		NIC_TEST(equal_rules_are_one_on_the_nic),
		NIC_TEST(ports_without_a_protocol_are_a_flow_for_each),
		NIC_TEST(a_nic_that_takes_no_rules_is_left_alone),
		NIC_TEST(a_full_nic_refuses_and_keeps_what_it_has),
		NIC_TEST(a_nic_that_cannot_tell_fragments_gets_no_ports),
		NIC_TEST(what_was_dropped_is_counted_and_outlives_its_rule),
		NIC_TEST(a_nic_that_does_not_count_drops_all_the_same),
		NIC_TEST(a_nic_that_keeps_a_rule_is_emptied_and_not_asked_again),
		NIC_TEST(a_nic_that_is_emptied_has_lost_its_queue_rules),
		NIC_TEST(bad_rules_are_refused),
	};

	test_eal_init();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
