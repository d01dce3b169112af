// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "hft/match.h"

#define HOST(a, b, c, d) match_ip4_prefix((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d), 32)

static struct box v4_box(struct span128 src)
{
	struct box box = box_any();

	box.src = src;
	box.kinds = MATCH_KINDS_V4;
	return box;
}

static struct box field_box(enum match_field field, uint64_t lo, uint64_t hi)
{
	struct box box = box_any();

	box.f[field] = (struct span){lo, hi};
	assert_true(box_normalize(&box));
	return box;
}

static const char *user_name(void *ctx, uint32_t user)
{
	return user == 7 ? ctx : NULL;
}

static void assert_text(struct box box, const char *want)
{
	char text[512];

	assert_true(box_normalize(&box));
	assert_int_equal(box_format(&box, user_name, "alice", text, sizeof(text)), strlen(want));
	assert_string_equal(text, want);
}

static void port_test_holds_only_kinds_with_ports(void **state)
{
	assert_int_equal(field_box(MATCH_DST_PORT, 80, 80).kinds, MATCH_KINDS_PORTS);
}

static void transport_test_excludes_non_ip(void **state)
{
	assert_int_equal(field_box(MATCH_PROTO, 6, 6).kinds, MATCH_KINDS_IP);
	assert_int_equal(field_box(MATCH_PROTO, 1, 1).kinds, MATCH_IP4 | MATCH_IP6);
}

static void ports_without_port_protocol_are_empty(void **state)
{
	struct box box = box_any();

	box.f[MATCH_PROTO] = (struct span){7, 16};
	box.f[MATCH_SRC_PORT] = (struct span){80, 80};
	assert_false(box_normalize(&box));
}

static void ports_only_box_has_one_form(void **state)
{
	struct box box = field_box(MATCH_DST_PORT, 80, 80);

	box.f[MATCH_PROTO] = (struct span){5, 140};
	assert_true(box_normalize(&box));
	assert_int_equal(box.f[MATCH_PROTO].lo, 0);
	assert_int_equal(box.f[MATCH_PROTO].hi, 255);
	box.f[MATCH_PROTO] = (struct span){7, 131};
	assert_true(box_normalize(&box));
	assert_int_equal(box.f[MATCH_PROTO].lo, 17);
	assert_int_equal(box.f[MATCH_PROTO].hi, 17);
}

static void empty_spans_make_an_empty_box(void **state)
{
	struct box box = box_any();

	box.f[MATCH_VLAN] = (struct span){5, 4};
	assert_false(box_normalize(&box));
	box = v4_box((struct span128){1, 0});
	assert_false(box_normalize(&box));
	box = box_any();
	box.kinds = 0;
	assert_false(box_normalize(&box));
}

// Common kinds all have ports, and the common protocols are none of TCP, UDP, SCTP.
static void boxes_that_share_no_port_protocol_do_not_overlap(void **state)
{
	struct box a = field_box(MATCH_PROTO, 6, 16), b = field_box(MATCH_PROTO, 7, 17), out;

	a.kinds = MATCH_IP4PORTS | MATCH_IP6;
	b.kinds = MATCH_IP4PORTS | MATCH_IP4;
	assert_false(box_overlaps(&a, &b));
	assert_false(box_intersect(&a, &b, &out));
}

static void any_protocol_with_ports_lies_within_the_three(void **state)
{
	struct box inner = field_box(MATCH_DST_PORT, 80, 80), outer = field_box(MATCH_PROTO, 6, 132);

	assert_true(box_contains(&outer, &inner));
	outer = field_box(MATCH_PROTO, 6, 131);
	assert_false(box_contains(&outer, &inner));
}

static void time_is_half_open_and_forever_has_no_end(void **state)
{
	struct match_packet packet = {.kind = MATCH_NONIP};
	struct box box = box_any();

	assert_true(box_set_time(&box, 10, 20));
	assert_int_equal(box_start_ns(&box), 10);
	assert_int_equal(box_end_ns(&box), 20);
	packet.f[MATCH_TIME] = 19;
	assert_true(box_covers(&box, &packet));
	packet.f[MATCH_TIME] = 20;
	assert_false(box_covers(&box, &packet));
	assert_true(box_set_time(&box, 10, INT64_MAX));
	assert_int_equal(box_end_ns(&box), INT64_MAX);
	packet.f[MATCH_TIME] = MATCH_TIME_MAX;
	assert_true(box_covers(&box, &packet));
	assert_false(box_set_time(&box, 20, 20));
	assert_true(box_set_time(&box, -5, 20));
	assert_int_equal(box_start_ns(&box), 0);
}

static void prefix_ignores_host_bits(void **state)
{
	struct span128 a = match_ip4_prefix(0x0a0b0c0d, 8), b = match_ip4_prefix(0x0a000000, 8);
	struct span128 all = match_ip4_prefix(0x0a0b0c0d, 0);
	const uint8_t addr[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct span128 host = match_ip6_prefix(addr, 128);

	assert_true(a.lo == b.lo && a.hi == b.hi && a.lo == match_ip4(0x0a000000));
	assert_true(a.hi == (match_ip4(0x0b000000) - 1));
	assert_true(all.lo == 0 && all.hi == ~(u128)0);
	assert_true(host.lo == host.hi && (uint64_t)host.lo == 1 && host.lo >> 96 == 0x20010db8);
}

static void difference_of_a_range_is_two_ranges(void **state)
{
	struct box wide = field_box(MATCH_DST_PORT, 1000, 2000), hole = field_box(MATCH_DST_PORT, 1024, 1024);
	struct match a = {0}, b = {0}, out = {0};

	assert_int_equal(match_add(&a, &wide), 0);
	assert_int_equal(match_add(&b, &hole), 0);
	assert_int_equal(match_subtract(&out, &a, &b), 0);
	assert_int_equal(out.n_boxes, 2);
	assert_false(match_overlaps(&out, &b));
	assert_text(out.boxes[0], "(dstPort=1000-1023)");
	assert_text(out.boxes[1], "(dstPort=1025-2000)");
	match_fini(&a);
	match_fini(&b);
	match_fini(&out);
}

static void moved_match_leaves_an_empty_one(void **state)
{
	struct box box = box_any();
	struct match a = {0}, b;

	assert_int_equal(match_add(&a, &box), 0);
	match_move(&b, &a);
	assert_int_equal(a.n_boxes, 0);
	assert_null(a.boxes);
	assert_int_equal(b.n_boxes, 1);
	match_fini(&b);
}

static void box_text_names_addresses(void **state)
{
	const uint8_t addr[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 1};
	struct box box = box_any();

	assert_text(box, "(*)");
	assert_text(v4_box(match_ip4_prefix(0x0a000000, 8)), "(srcHost=10.0.0.0/8)");
	assert_text(v4_box(HOST(10, 0, 0, 1)), "(srcHost=10.0.0.1)");
	assert_text(v4_box((struct span128){match_ip4(0x0a000001), match_ip4(0x0a000004) - 1}),
		    "(srcHost={10.0.0.1,10.0.0.2/31})");
	assert_text(v4_box((struct span128){match_ip4(0xfffffffe), ~(u128)0}), "(srcHost=255.255.255.254/31)");
	assert_text(v4_box((struct span128){match_ip4(0xfffffffd), ~(u128)0}),
		    "(srcHost={255.255.255.253,255.255.255.254/31})");
	box.dst = match_ip6_prefix(addr, 128);
	box.kinds = MATCH_KINDS_V6;
	assert_text(box, "(dstHost=2001:db8::1)");
	box.dst = match_ip6_prefix(addr, 32);
	assert_text(box, "(dstHost=2001:db8::/32)");
}

static void box_text_names_kinds_only_when_needed(void **state)
{
	struct box box = box_any();

	box.kinds = MATCH_KINDS_V4;
	assert_text(box, "(kind={ip4,ip4ports})");
	box = field_box(MATCH_DST_PORT, 80, 80);
	assert_text(box, "(dstPort=80)");
	box.kinds = MATCH_IP4PORTS;
	assert_text(box, "(kind={ip4ports}, dstPort=80)");
	assert_text(field_box(MATCH_PROTO, 1, 1), "(transport=ICMP)");
	box = field_box(MATCH_DST_PORT, 80, 80);
	box.f[MATCH_PROTO] = (struct span){6, 17};
	assert_text(box, "(transport={TCP,UDP}, dstPort=80)");
	assert_text(field_box(MATCH_PROTO, 2, 4), "(transport=2-4)");
}

static void box_text_names_users_and_links(void **state)
{
	struct box box = field_box(MATCH_SRC_USER, 7, 7);

	assert_text(box, "(srcUser=alice)");
	box.f[MATCH_DST_USER] = (struct span){8, MATCH_USER_MAX};
	assert_text(box, "(srcUser=alice, dstUser=#8-#4294967295)");
	assert_text(field_box(MATCH_DST_USER, 9, 9), "(dstUser=#9)");
	box = field_box(MATCH_SRC_ETH, 0x0200000000ffULL, 0x0200000000ffULL);
	box.f[MATCH_VLAN] = (struct span){5, 5};
	assert_text(box, "(srcEth=02:00:00:00:00:ff, vlan=5)");
}

static void box_text_is_cut_at_the_buffer(void **state)
{
	struct box box = field_box(MATCH_DST_PORT, 80, 80);
	char text[6] = "xxxxx";

	assert_int_equal(box_format(&box, NULL, NULL, text, sizeof(text)), strlen("(dstPort=80)"));
	assert_string_equal(text, "(dstP");
	assert_int_equal(box_format(&box, NULL, NULL, NULL, 0), strlen("(dstPort=80)"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(port_test_holds_only_kinds_with_ports),
		cmocka_unit_test(transport_test_excludes_non_ip),
		cmocka_unit_test(ports_without_port_protocol_are_empty),
		cmocka_unit_test(ports_only_box_has_one_form),
		cmocka_unit_test(empty_spans_make_an_empty_box),
		cmocka_unit_test(boxes_that_share_no_port_protocol_do_not_overlap),
		cmocka_unit_test(any_protocol_with_ports_lies_within_the_three),
		cmocka_unit_test(time_is_half_open_and_forever_has_no_end),
		cmocka_unit_test(prefix_ignores_host_bits),
		cmocka_unit_test(difference_of_a_range_is_two_ranges),
		cmocka_unit_test(moved_match_leaves_an_empty_one),
		cmocka_unit_test(box_text_names_addresses),
		cmocka_unit_test(box_text_names_kinds_only_when_needed),
		cmocka_unit_test(box_text_names_users_and_links),
		cmocka_unit_test(box_text_is_cut_at_the_buffer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
