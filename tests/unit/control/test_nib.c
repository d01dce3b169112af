// SPDX-License-Identifier: Apache-2.0
// What the controller knows of hosts and ports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/nib.h"
#include "dataplane/proto.h"

static void host_is_found_by_its_name(void **state)
{
	struct nib *nib = nib_create();
	struct span128 addr;
	uint32_t kinds;

	assert_int_equal(nib_host_add(nib, "h1", "10.0.0.1", NULL), 0);
	assert_int_equal(nib_host_add(nib, "web.lab-1", "2001:db8::1", NULL), 0);
	assert_true(nib_host_find(nib, "h1", &addr, &kinds));
	assert_int_equal(kinds, MATCH_KINDS_V4);
	assert_true(addr.lo == match_ip4(0x0a000001) && addr.hi == addr.lo + ((((u128)1) << 96) - 1));
	assert_true(nib_host_find(nib, "web.lab-1", &addr, &kinds));
	assert_int_equal(kinds, MATCH_KINDS_V6);
	assert_true(addr.lo == addr.hi && addr.lo == ((u128)0x20010db8 << 96) + 1);
	assert_false(nib_host_find(nib, "H1", &addr, &kinds));
	nib_destroy(nib);
}

static void bad_hosts_are_refused_and_named(void **state)
{
	static const char *const names[] = {
		"",           "-h",    "h 1",
		".h",         "h.",    "10.0.0.1",
		"10.0.0.300", "h\xc3", "h0123456789012345678901234567890123456789012345678901234567890123"};
	static const char *const addresses[] = {"", "h2", "10.0.0", "10.0.0.1/8", "300.0.0.1", "2001:db8::/32"};
	struct nib *nib = nib_create();
	struct span128 addr;
	struct err err;
	uint32_t kinds;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(nib_host_add(nib, names[i], "10.0.0.1", &err), -EINVAL);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++)
		assert_int_equal(nib_host_add(nib, "h1", addresses[i], &err), -EINVAL);
	assert_non_null(strstr(err.msg, "h1"));
	assert_false(nib_host_find(nib, "h1", &addr, &kinds));
	nib_destroy(nib);
}

static void host_name_is_taken_once(void **state)
{
	struct nib *nib = nib_create();
	struct span128 addr;
	struct err err;
	uint32_t kinds;

	assert_int_equal(nib_host_add(nib, "h1", "10.0.0.1", &err), 0);
	assert_int_equal(nib_host_add(nib, "h1", "10.0.0.2", &err), -EEXIST);
	assert_true(nib_host_find(nib, "h1", &addr, &kinds));
	assert_true(addr.lo == match_ip4(0x0a000001));
	nib_destroy(nib);
}

static void ports_keep_their_counters_and_their_order(void **state)
{
	struct nib_port port = {.port = 5, .up = true, .name = "p5"};
	struct nib *nib = nib_create();
	uint64_t values[100] = {7, 8};

	nib_port_set(nib, &port);
	nib_port_counters(nib, 5, values, 2);
	nib_port_counters(nib, 6, values, 2); // nobody knows it
	port = (struct nib_port){.port = 2, .up = true, .name = "p2"};
	nib_port_set(nib, &port);
	assert_int_equal(nib_n_ports(nib), 2);
	assert_int_equal(nib_port_at(nib, 0)->port, 2);
	assert_int_equal(nib_port_at(nib, 0)->n_counters, 0);
	assert_null(nib_port_at(nib, 2));

	port = (struct nib_port){.port = 5, .rate_bps = 1000, .name = "five"};
	nib_port_set(nib, &port);
	assert_int_equal(nib_n_ports(nib), 2);
	assert_string_equal(nib_port_at(nib, 1)->name, "five");
	assert_int_equal(nib_port_at(nib, 1)->rate_bps, 1000);
	assert_int_equal(nib_port_at(nib, 1)->n_counters, 2);
	assert_int_equal(nib_port_at(nib, 1)->counter[1], 8);
	nib_port_counters(nib, 5, values, 100); // more than there is room for
	assert_int_equal(nib_port_at(nib, 1)->n_counters, 64);
	nib_destroy(nib);
}

static void a_port_told_without_a_name_is_removed(void **state)
{
	struct nib_port port = {.port = 1, .up = true, .name = "p1"};
	struct nib *nib = nib_create();

	nib_port_set(nib, &port);
	port = (struct nib_port){.port = 2, .up = true, .name = "p2"};
	nib_port_set(nib, &port);
	nib_port_set(nib, &(struct nib_port){.port = 1});
	nib_port_set(nib, &(struct nib_port){.port = 7}); // nobody knows it
	assert_int_equal(nib_n_ports(nib), 1);
	assert_string_equal(nib_port_at(nib, 0)->name, "p2");
	nib_destroy(nib);
}

static void without_a_dataplane_no_port_is_up(void **state)
{
	struct nib_port port = {.port = 1, .up = true, .name = "p1"};
	struct nib *nib = nib_create();

	nib_port_set(nib, &port);
	assert_true(nib_port_at(nib, 0)->up);
	nib_ports_down(nib);
	assert_false(nib_port_at(nib, 0)->up);
	nib_destroy(nib);
	nib_destroy(NULL);
}

static const struct nib_seen *find_seen(const struct nib *nib, const struct nib_seen *like)
{
	for (size_t i = 0; i < nib_n_seen(nib); i++) {
		const struct nib_seen *at = nib_seen_at(nib, i);

		if (at->mac == like->mac && at->vlan == like->vlan && at->has_ip == like->has_ip && at->ip == like->ip)
			return at;
	}
	return NULL;
}

// Against a table of all that can be.
static void what_was_seen_is_there_until_it_is_forgotten(void **state)
{
	static struct nib_seen known[40][2][4];
	static bool is_known[40][2][4];
	const char *text = getenv("PANE_SEED");
	uint64_t seed = text == NULL ? 5 : strtoull(text, NULL, 10);
	struct nib *nib = nib_create();
	size_t n = 0;

	print_message("PANE_SEED=%llu\n", (unsigned long long)seed);
	for (int round = 0; round < 20000; round++) {
		uint32_t r, mac, vlan, ip;

		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		r = (uint32_t)(seed >> 33);
		mac = r % 40;
		vlan = r / 40 % 2;
		ip = r / 80 % 4;
		if (r / 320 % 3 == 0) {
			nib_seen_forget(nib, mac, (uint16_t)vlan);
			for (ip = 0; ip < 4; ip++) {
				n -= is_known[mac][vlan][ip];
				is_known[mac][vlan][ip] = false;
			}
		} else {
			struct nib_seen *seen = &known[mac][vlan][ip];

			*seen = (struct nib_seen){
				.mac = mac, .vlan = (uint16_t)vlan, .port = (uint16_t)r, .has_ip = ip > 0, .ip = ip};
			nib_seen_set(nib, seen);
			n += !is_known[mac][vlan][ip];
			is_known[mac][vlan][ip] = true;
		}
		assert_int_equal(nib_n_seen(nib), n);
		mac = (uint32_t)round % 40;
		for (ip = 0; ip < 4; ip++) {
			const struct nib_seen like = {.mac = mac, .vlan = (uint16_t)vlan, .has_ip = ip > 0, .ip = ip};
			const struct nib_seen *at = find_seen(nib, &like);

			assert_int_equal(at != NULL, is_known[mac][vlan][ip]);
			assert_true(at == NULL || at->port == known[mac][vlan][ip].port);
		}
	}
	nib_destroy(nib);
	(void)state;
}

// And many are forgotten one by one in no time.
static void hosts_without_end_leave_room_for_what_shows_links(void **state)
{
	struct nib *nib = nib_create();
	struct nib_seen seen = {.port = 1};

	for (seen.mac = 1; seen.mac <= 2 * NIB_SEEN_MAX; seen.mac++)
		nib_seen_set(nib, &seen);
	assert_int_equal(nib_n_seen(nib), NIB_SEEN_MAX);
	for (uint64_t i = 0; i < 2 * NIB_MADE_UP_MAX; i++) {
		seen.mac = (PROTO_MADE_UP << 32) + i;
		nib_seen_set(nib, &seen);
	}
	assert_int_equal(nib_n_seen(nib), NIB_SEEN_MAX + NIB_MADE_UP_MAX);
	nib_seen_forget(nib, PROTO_MADE_UP << 32, 0);
	assert_int_equal(nib_n_seen(nib), NIB_SEEN_MAX + NIB_MADE_UP_MAX - 1);
	for (uint64_t mac = 1; mac <= NIB_SEEN_MAX; mac++)
		nib_seen_forget(nib, mac, 0);
	assert_int_equal(nib_n_seen(nib), NIB_MADE_UP_MAX - 1);
	nib_seen_set(nib, &(struct nib_seen){.mac = 9});
	assert_int_equal(nib_n_seen(nib), NIB_MADE_UP_MAX);
	nib_destroy(nib);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_is_found_by_its_name),
		cmocka_unit_test(bad_hosts_are_refused_and_named),
		cmocka_unit_test(host_name_is_taken_once),
		cmocka_unit_test(ports_keep_their_counters_and_their_order),
		cmocka_unit_test(a_port_told_without_a_name_is_removed),
		cmocka_unit_test(what_was_seen_is_there_until_it_is_forgotten),
		cmocka_unit_test(hosts_without_end_leave_room_for_what_shows_links),
		cmocka_unit_test(without_a_dataplane_no_port_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
