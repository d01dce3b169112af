// SPDX-License-Identifier: Apache-2.0
// Boxes as rules of the XDP program: the same packets, on a small universe, or no rule.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>

#include "dataplane/deny_rules.h"
#include "hft/match.h"
#include "tests/rounds.h"
#include "tests/unit/nic-config/xdp_oracle.h"

static uint64_t seed;

static uint32_t draw(uint32_t n)
{
	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33) % n;
}

static uint32_t draw_addr4(void)
{
	return 0x0a000000 | draw(2) << 16 | draw(3);
}

static void draw_addr6(uint8_t out[16])
{
	memset(out, 0, 16);
	out[0] = 0xfd;
	out[5] = (uint8_t)draw(2);
	out[15] = (uint8_t)draw(3);
}

static struct span128 draw_side(bool v4)
{
	static const unsigned int lens4[] = {8, 16, 24, 32, 32, 32}, lens6[] = {8, 48, 64, 128, 128, 128};
	uint8_t addr[16];

	draw_addr6(addr);
	return v4 ? match_ip4_prefix(draw_addr4(), lens4[draw(6)]) : match_ip6_prefix(addr, lens6[draw(6)]);
}

static void draw_ports(struct span *s)
{
	s->lo = draw(3);
	s->hi = draw(3) == 0 ? s->lo + 1 : s->lo;
}

static struct box draw_box(void)
{
	static const uint8_t protos[] = {6, 17, 1, 132, 58};
	struct box box = box_any();
	bool v4 = draw(2) == 0;

	if (draw(3) != 0)
		box.kinds &= v4 ? MATCH_KINDS_V4 : MATCH_KINDS_V6;
	if (draw(2) == 0 && box.kinds != MATCH_KINDS_ALL)
		box.src = draw_side(v4);
	if (draw(2) == 0 && box.kinds != MATCH_KINDS_ALL)
		box.dst = draw_side(v4);
	if (draw(3) == 0)
		box.f[MATCH_PROTO] = (struct span){protos[draw(5)], 0};
	if (box.f[MATCH_PROTO].hi == 0)
		box.f[MATCH_PROTO].hi = box.f[MATCH_PROTO].lo + (draw(6) == 0);
	if (draw(3) == 0)
		draw_ports(&box.f[MATCH_SRC_PORT]);
	if (draw(3) == 0)
		draw_ports(&box.f[MATCH_DST_PORT]);
	if (box.f[MATCH_SRC_PORT].hi < 10 || box.f[MATCH_DST_PORT].hi < 10)
		box.kinds &= MATCH_KINDS_PORTS;
	if (draw(12) == 0)
		box.f[MATCH_VLAN] = (struct span){5, 5};
	if (draw(12) == 0)
		box.f[MATCH_DST_ETH] = (struct span){7, 7};
	return box;
}

static struct pkt draw_pkt(void)
{
	static const uint8_t protos[] = {6, 17, 1, 132, 58, 7};
	struct pkt p = {.src_mac = 1, .dst_mac = 7, .vlan = (uint16_t)(draw(2) * 5), .family = PKT_IP4};
	uint8_t proto = protos[draw(6)];
	bool has_ports = (proto == 6 || proto == 17 || proto == 132) && draw(5) != 0;
	uint16_t sport = has_ports ? (uint16_t)draw(4) : 0, dport = has_ports ? (uint16_t)draw(4) : 0;

	if (draw(2) == 0) {
		p.ip4 = (struct pkt_key_ip4){.proto = proto,
					     .src_be = htonl(draw_addr4()),
					     .dst_be = htonl(draw_addr4()),
					     .sport_be = htons(sport),
					     .dport_be = htons(dport),
					     .has_ports = has_ports};
		return p;
	}
	p.family = PKT_IP6;
	p.ip6 = (struct pkt_key_ip6){
		.proto = proto, .sport_be = htons(sport), .dport_be = htons(dport), .has_ports = has_ports};
	draw_addr6((uint8_t *)p.ip6.src_be);
	draw_addr6((uint8_t *)p.ip6.dst_be);
	return p;
}

static uint32_t families(const struct box *box)
{
	return ((box->kinds & MATCH_KINDS_V4) != 0) + ((box->kinds & MATCH_KINDS_V6) != 0);
}

// exact: the rules stand for the whole box.
static void check(const struct box *box, const struct xdp_rule *rules, uint32_t n, bool exact)
{
	struct pkt p = draw_pkt();
	struct seen s = seen_of(&p);
	struct match_packet m;
	bool dropped = false, denied;

	pkt_to_match_packet(&p, 0, &m);
	denied = box_covers(box, &m);
	for (uint32_t i = 0; i < n; i++)
		dropped |= rule_matches(&rules[i], &s);
	if (dropped && !denied)
		fail_msg("a rule drops a packet that is not in the box");
	if (exact && denied && !dropped)
		fail_msg("no rule drops a packet of the box");
}

static void rules_drop_what_the_box_holds_and_nothing_else(void **state)
{
	uint32_t rounds = (uint32_t)rounds_from_env(4000), n_with_rules = 0;

	seed = seed_from_env(11);
	print_message("seed %lu\n", seed);
	for (uint32_t i = 0; i < rounds; i++) {
		struct xdp_rule rules[DENY_RULES_MAX];
		struct box box = draw_box();
		uint32_t n;

		if (!box_normalize(&box))
			continue;
		n = deny_rules(&box, rules);
		assert_in_range(n, 0, DENY_RULES_MAX);
		n_with_rules += n > 0;
		for (int k = 0; k < 200; k++)
			check(&box, rules, n, n > 0 && n == families(&box));
	}
	assert_true(n_with_rules > rounds / 8);
}

static void a_host_pair_is_one_exact_rule(void **state)
{
	struct xdp_rule rules[DENY_RULES_MAX];
	struct box box = box_any();

	box.kinds = MATCH_KINDS_V4;
	box.src = match_ip4_prefix(0x0a000001, 32);
	box.dst = match_ip4_prefix(0x0a000002, 32);
	assert_true(box_normalize(&box));
	assert_int_equal(deny_rules(&box, rules), 1);
	assert_int_equal(rules[0].kind, XDP_RULE_EXACT);
	assert_int_equal(rules[0].exact.fields, XDP_SRC | XDP_DST);
	assert_int_equal(rules[0].exact.src_be[0], htonl(0x0a000001));
	assert_int_equal(rules[0].exact.src_be[1], 0);
	assert_int_equal(rules[0].exact.dst_be[0], htonl(0x0a000002));
}

static void everything_is_one_empty_prefix_a_family(void **state)
{
	struct xdp_rule rules[DENY_RULES_MAX];
	struct box box = box_any();

	assert_int_equal(deny_rules(&box, rules), 2);
	assert_int_equal(rules[0].kind, XDP_RULE_SRC4);
	assert_int_equal(rules[0].prefix4.prefix_len, 0);
	assert_int_equal(rules[1].kind, XDP_RULE_SRC6);
}

static void what_names_ethernet_or_ranges_has_no_rule(void **state)
{
	struct xdp_rule rules[DENY_RULES_MAX];
	struct box box = box_any();

	box.f[MATCH_VLAN] = (struct span){5, 5};
	assert_int_equal(deny_rules(&box, rules), 0);
	box = box_any();
	box.f[MATCH_SRC_USER] = (struct span){1, 1};
	assert_int_equal(deny_rules(&box, rules), 0);
	box = box_any();
	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_DST_PORT] = (struct span){80, 90};
	assert_int_equal(deny_rules(&box, rules), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(rules_drop_what_the_box_holds_and_nothing_else),
		cmocka_unit_test(a_host_pair_is_one_exact_rule),
		cmocka_unit_test(everything_is_one_empty_prefix_a_family),
		cmocka_unit_test(what_names_ethernet_or_ranges_has_no_rule),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
