// SPDX-License-Identifier: Apache-2.0
// The XDP program in the kernel, on a real af_xdp port over veth, against a slow reading of rules and frames.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <rte_mbuf.h>

#include "dataplane/pkt.h"
#include "gapless_pool.h"
#include "nic-config/xdp_filter.h"
#include "tests/rounds.h"
#include "tests/unit/dataplane/eal.h"
#include "xdp_oracle.h"

#define RULES 24
#define MAX_FRAME 1522

static struct rte_mempool *pool;
static struct xdp_filter *filter;
static uint16_t port;
static bool have_namespace;
static uint32_t seed;

const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

static uint32_t draw(uint32_t n)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % n;
}

static int open_port(uint16_t *id, char why[PORT_ERR_MAX])
{
	struct port_conf conf = {.name = "x0", .device = "af_xdp:xf0", .n_queues = 1, .mtu = 1500, .pool = pool};
	int rc = port_open(&conf, id, why);

	return rc < 0 ? rc : port_start(*id, why);
}

static bool attached(void)
{
	uint32_t id = 0;

	return bpf_xdp_query_id((int)if_nametoindex("xf0"), 0, &id) == 0 && id != 0;
}

// --- a small world ---

static uint32_t draw_addr(uint32_t out[4], uint8_t family)
{
	memset(out, 0, 16);
	out[0] = htonl(0x0a000000 | draw(2) << 8 | draw(3));
	if (family == 6) {
		out[0] = htonl(0xfd000000);
		out[3] = htonl(draw(2) << 16 | draw(3));
	}
	return out[0];
}

static uint8_t draw_proto(void)
{
	static const uint8_t protos[] = {6, 17, 1, 132, 58};

	return protos[draw(sizeof(protos))];
}

static struct xdp_rule draw_rule(void)
{
	static const uint8_t templates[] = {3, 31, 2, 1, 22, 20};
	static const uint8_t lens[] = {0, 8, 23, 24, 31, 32};
	struct xdp_rule r;

	memset(&r, 0, sizeof(r));
	r.kind = draw(3) == 0 ? 1 + draw(4) : XDP_RULE_EXACT;
	if (r.kind == XDP_RULE_EXACT) {
		struct xdp_exact *e = &r.exact;
		uint32_t scratch[4];

		e->family = draw(2) ? 4 : 6;
		e->fields = templates[draw(sizeof(templates))];
		draw_addr(e->fields & XDP_SRC ? e->src_be : scratch, e->family);
		draw_addr(e->fields & XDP_DST ? e->dst_be : scratch, e->family);
		e->proto = e->fields & XDP_PROTO ? draw_proto() : 0;
		e->sport_be = e->fields & XDP_SPORT ? htons((uint16_t)draw(3)) : 0;
		e->dport_be = e->fields & XDP_DPORT ? htons((uint16_t)draw(3)) : 0;
	} else if (r.kind <= XDP_RULE_DST4) {
		r.prefix4.prefix_len = lens[1 + draw(sizeof(lens) - 1)];
		r.prefix4.addr_be = htonl(ntohl(htonl(0x0a000000 | draw(2) << 8 | draw(3))) &
					  (uint32_t)(UINT64_C(0xffffffff) << (32 - r.prefix4.prefix_len)));
	} else {
		r.prefix6.prefix_len = 128;
		draw_addr(r.prefix6.addr_be, 6);
	}
	return r;
}

// A frame as hosts send it. plain: nothing in it that the program may fail to understand.
static uint32_t draw_frame(uint8_t *f, bool *plain)
{
	uint32_t at = 14, addr[4], payload = 8 + draw(12);
	uint8_t family = draw(2) ? 4 : 6, proto = draw_proto();
	bool fragment = draw(8) == 0, options = draw(8) == 0;

	*plain = !fragment && !options;
	memset(f, 0, 128);
	memcpy(f, "\2\0\0\0\0\2\2\0\0\0\0\1", 12);
	for (uint32_t tags = draw(3); tags > 0; tags--) {
		memcpy(f + at - 2, "\x81\0\0\5", 4);
		at += 4;
	}
	f[at - 2] = family == 4 ? 0x08 : 0x86;
	f[at - 1] = family == 4 ? 0x00 : 0xdd;
	if (family == 4) {
		uint32_t header = options ? 24 : 20;

		f[at] = (uint8_t)(0x40 | header / 4);
		f[at + 3] = (uint8_t)(header + payload);
		f[at + 6] = fragment ? (uint8_t)(draw(2) << 5) : 0x40;
		f[at + 7] = fragment ? (uint8_t)draw(2) : 0;
		f[at + 9] = proto;
		memcpy(f + at + 12, (draw_addr(addr, 4), addr), 4);
		memcpy(f + at + 16, (draw_addr(addr, 4), addr), 4);
		at += header;
	} else {
		f[at] = 0x60;
		f[at + 5] = (uint8_t)(payload + (options ? 8 : 0));
		f[at + 6] = options ? 60 : proto;
		memcpy(f + at + 8, (draw_addr(addr, 6), addr), 16);
		memcpy(f + at + 24, (draw_addr(addr, 6), addr), 16);
		at += 40;
		if (options) {
			f[at] = proto;
			at += 8;
		}
	}
	f[at + 1] = (uint8_t)draw(3);
	f[at + 3] = (uint8_t)draw(3);
	return at + payload;
}

static void rules_put(const struct xdp_rule *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(xdp_filter_add(filter, &rules[i]), 0);
}

static void rules_take(const struct xdp_rule *rules, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(xdp_filter_del(filter, &rules[i]), 0);
	assert_int_equal(xdp_filter_n_rules(filter), 0);
}

static void check_frame(const struct xdp_rule *rules, uint32_t n, const uint8_t *frame, uint32_t len, bool plain)
{
	struct pkt pkt;
	bool wanted = false;
	int dropped = xdp_filter_try(filter, frame, len);

	assert_in_range(dropped, 0, 1);
	if (pkt_parse_bytes(frame, len, len, MAX_FRAME, &pkt) != PKT_OK)
		return;
	for (uint32_t i = 0; i < n; i++) {
		struct seen s = seen_of(&pkt);

		wanted |= rule_matches(&rules[i], &s);
	}
	if (dropped && !wanted)
		fail_msg("a frame that no rule denies was dropped");
	if (plain && wanted && !dropped)
		fail_msg("a plain frame that a rule denies got through");
}

static void only_frames_that_a_rule_denies_are_dropped_and_plain_ones_all(void **state)
{
	uint32_t rounds = (uint32_t)rounds_from_env(60), drops = 0;
	struct xdp_rule rules[RULES];

	if (!have_namespace)
		skip();
	seed = (uint32_t)seed_from_env(7);
	print_message("seed %u\n", seed);
	for (uint32_t round = 0; round < rounds; round++) {
		uint32_t n = 1 + draw(RULES);

		for (uint32_t i = 0; i < n; i++)
			rules[i] = draw_rule();
		rules_put(rules, n);
		for (int k = 0; k < 200; k++) {
			uint8_t frame[128];
			bool plain;
			uint32_t len = draw_frame(frame, &plain);

			drops += xdp_filter_try(filter, frame, len) == 1;
			check_frame(rules, n, frame, len, plain);
			frame[draw(len)] = (uint8_t)draw(256);
			len = draw(4) == 0 ? 14 + draw(len - 14) : len;
			check_frame(rules, n, frame, len, false);
		}
		rules_take(rules, n);
	}
	assert_true(drops > rounds);
}

static struct xdp_rule host_pair(uint32_t src, uint32_t dst)
{
	struct xdp_rule r = {.kind = XDP_RULE_EXACT};

	r.exact = (struct xdp_exact){.family = 4, .fields = XDP_SRC | XDP_DST};
	r.exact.src_be[0] = htonl(src);
	r.exact.dst_be[0] = htonl(dst);
	return r;
}

static const uint8_t ping[] = {2, 0,  0, 0, 0, 2,  2, 0, 0, 0,  0, 1, 8, 0, 0x45, 0, 0, 28, 0, 0, 0,
			       0, 64, 1, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 8, 0,    0, 0, 0,  0, 0, 0};

static void a_rule_added_twice_ends_with_the_second_end(void **state)
{
	struct xdp_rule rule = host_pair(0x0a000001, 0x0a000002);

	if (!have_namespace)
		skip();
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 0);
	assert_int_equal(xdp_filter_add(filter, &rule), 0);
	assert_int_equal(xdp_filter_add(filter, &rule), 0);
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 1);
	assert_int_equal(xdp_filter_del(filter, &rule), 0);
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 1);
	assert_int_equal(xdp_filter_del(filter, &rule), 0);
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 0);
	assert_int_equal(xdp_filter_del(filter, &rule), -ENOENT);
}

static void what_is_dropped_is_counted_by_rule_and_in_total(void **state)
{
	struct xdp_rule rule = host_pair(0x0a000001, 0x0a000002);
	struct xdp_count before, total, count;

	if (!have_namespace)
		skip();
	assert_int_equal(xdp_filter_add(filter, &rule), 0);
	assert_int_equal(xdp_filter_total(filter, &before), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 1);
	assert_int_equal(xdp_filter_count(filter, &rule, &count), 0);
	assert_int_equal(count.packets, 5);
	assert_int_equal(count.bytes, 5 * sizeof(ping));
	assert_int_equal(xdp_filter_total(filter, &total), 0);
	assert_int_equal(total.packets - before.packets, 5);
	assert_int_equal(xdp_filter_del(filter, &rule), 0);
	assert_int_equal(xdp_filter_count(filter, &rule, &count), -ENOENT);
}

static void a_ninth_set_of_fields_finds_no_room_and_changes_nothing(void **state)
{
	struct xdp_rule rule[XDP_TEMPLATES_MAX + 1];

	if (!have_namespace)
		skip();
	for (uint8_t i = 0; i <= XDP_TEMPLATES_MAX; i++) {
		memset(&rule[i], 0, sizeof(rule[i]));
		rule[i].exact = (struct xdp_exact){.family = 4, .fields = (uint8_t)(i + 1)};
		assert_int_equal(xdp_filter_add(filter, &rule[i]), i < XDP_TEMPLATES_MAX ? 0 : -ENOSPC);
	}
	assert_int_equal(xdp_filter_n_rules(filter), XDP_TEMPLATES_MAX);
	assert_int_equal(xdp_filter_del(filter, &rule[3]), 0);
	assert_int_equal(xdp_filter_add(filter, &rule[XDP_TEMPLATES_MAX]), 0);
	assert_int_equal(xdp_filter_add(filter, &rule[3]), -ENOSPC);
	rule[3] = rule[XDP_TEMPLATES_MAX];
	rules_take(rule, XDP_TEMPLATES_MAX);
}

static void a_rule_with_values_for_fields_it_does_not_name_is_refused(void **state)
{
	struct xdp_rule rule = host_pair(1, 2);

	if (!have_namespace)
		skip();
	rule.exact.dport_be = 1;
	assert_int_equal(xdp_filter_add(filter, &rule), -EINVAL);
	rule = (struct xdp_rule){.kind = XDP_RULE_SRC4, .prefix4 = {33, 0}};
	assert_int_equal(xdp_filter_add(filter, &rule), -EINVAL);
	rule = (struct xdp_rule){.kind = (enum xdp_rule_kind)99};
	assert_int_equal(xdp_filter_add(filter, &rule), -EINVAL);
	assert_int_equal(xdp_filter_n_rules(filter), 0);
}

static int leave_other_program(const char *interface)
{
	const struct bpf_insn pass[] = {{.code = 0xb7, .imm = XDP_PASS}, {.code = 0x95}}; // r0 = XDP_PASS; exit
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "other", "GPL", pass, 2, NULL), rc;

	if (fd < 0)
		return fd;
	rc = bpf_xdp_attach((int)if_nametoindex(interface), fd, 0, NULL);
	close(fd);
	return rc;
}

static void another_program_on_the_interface_is_left_alone_and_named(void **state)
{
	struct xdp_filter *none = NULL;
	char why[PORT_ERR_MAX] = "";

	if (!have_namespace)
		skip();
	assert_int_equal(system("ip link add xg0 type veth peer name xg1"), 0);
	assert_int_equal(xdp_program_clear("xg0", why), 0);
	assert_int_equal(leave_other_program("xg0"), 0);
	assert_int_equal(xdp_program_clear("xg0", why), -EBUSY);
	assert_non_null(strstr(why, "\"other\""));
	assert_int_equal(xdp_program_clear("nosuchif0", why), -ENODEV);
	assert_non_null(strstr(why, "nosuchif0"));
	assert_int_equal(xdp_filter_open("xg0", &none, why), -ENOENT);
	assert_int_equal(system("ip link del xg0"), 0);
}

static void a_program_taken_off_under_the_port_is_put_back(void **state)
{
	char why[PORT_ERR_MAX] = "";

	if (!have_namespace)
		skip();
	assert_int_equal(port_keep(port, why), 0);
	assert_int_equal(system("ip link set xf0 xdp off"), 0);
	assert_false(attached());
	assert_int_equal(port_keep(port, why), 1);
	assert_non_null(strstr(why, "taken off"));
	assert_true(attached());
	assert_int_equal(port_keep(port, why), 0);
	assert_int_equal(system("ip link set xf0 xdp off"), 0);
	assert_int_equal(leave_other_program("xf0"), 0);
	assert_int_equal(port_keep(port, why), -EBUSY); // theirs is left alone
	assert_non_null(strstr(why, "\"other\""));
	assert_int_equal(system("ip link set xf0 xdp off"), 0);
	assert_int_equal(port_keep(port, why), 1);
	assert_int_equal(port_keep(port, why), 0);
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 0);
}

// What kill -9 leaves: the program on the interface, nobody who knows its maps.
static int leave_program(const char *interface)
{
	struct bpf_object *object;
	struct bpf_program *program;
	char path[64];
	int fd, rc = xdp_program_file(path, sizeof(path), &fd);

	if (rc < 0)
		return rc;
	object = bpf_object__open_file(path, NULL);
	close(fd);
	program = object != NULL ? bpf_object__next_program(object, NULL) : NULL;
	if (program == NULL)
		return -EINVAL;
	rc = bpf_object__load(object);
	if (rc == 0)
		rc = bpf_xdp_attach((int)if_nametoindex(interface), bpf_program__fd(program), 0, NULL);
	bpf_object__close(object);
	return rc;
}

// Without sockets: as a queue that the switch does not serve.
static void check_nothing_passes(void)
{
	char why[PORT_ERR_MAX] = "";
	struct xdp_count n;

	if (xdp_filter_open("xf0", &filter, why) < 0)
		fail_msg("%s", why);
	for (int i = 0; i < 3; i++)
		assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 1);
	assert_int_equal(xdp_filter_unserved(filter, &n), 0);
	assert_int_equal(n.packets, 3);
	assert_int_equal(n.bytes, 3 * sizeof(ping));
	assert_int_equal(xdp_filter_total(filter, &n), 0);
	assert_int_equal(n.packets, 0);
	xdp_filter_close(filter);
	filter = NULL;
}

static void a_program_left_by_a_killed_switch_lets_nothing_pass_and_is_replaced(void **state)
{
	char why[PORT_ERR_MAX] = "";

	if (!have_namespace)
		skip();
	xdp_filter_close(filter);
	filter = NULL;
	port_close(port);
	assert_false(attached());
	assert_int_equal(leave_program("xf0"), 0);
	assert_true(attached());
	check_nothing_passes();
	for (int i = 0; open_port(&port, why) < 0; i++) { // the kernel frees the closed port's queue a moment later
		assert_true(i < 600);
		usleep(50000);
		assert_int_equal(leave_program("xf0"), 0);
	}
	assert_int_equal(xdp_filter_open("xf0", &filter, why), 0);
	assert_int_equal(xdp_filter_try(filter, ping, sizeof(ping)), 0);
}

static int setup(void **state)
{
	char why[PORT_ERR_MAX] = "";

	have_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
	test_eal_init();
	pool = gapless_pool("pool", 16383);
	if (pool == NULL || !have_namespace)
		return pool == NULL;
	if (system("ip link add xf0 type veth peer name xf1 && ip link set xf1 up") != 0)
		return 1;
	if (open_port(&port, why) < 0 || xdp_filter_open("xf0", &filter, why) < 0) {
		fprintf(stderr, "%s\n", why);
		return 1;
	}
	return 0;
}

static int teardown(void **state)
{
	xdp_filter_close(filter);
	if (have_namespace)
		port_close(port);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_frames_that_a_rule_denies_are_dropped_and_plain_ones_all),
		cmocka_unit_test(a_rule_added_twice_ends_with_the_second_end),
		cmocka_unit_test(what_is_dropped_is_counted_by_rule_and_in_total),
		cmocka_unit_test(a_ninth_set_of_fields_finds_no_room_and_changes_nothing),
		cmocka_unit_test(a_rule_with_values_for_fields_it_does_not_name_is_refused),
		cmocka_unit_test(another_program_on_the_interface_is_left_alone_and_named),
		cmocka_unit_test(a_program_taken_off_under_the_port_is_put_back),
		cmocka_unit_test(a_program_left_by_a_killed_switch_lets_nothing_pass_and_is_replaced),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
