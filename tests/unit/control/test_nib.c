// SPDX-License-Identifier: Apache-2.0
// What the controller knows of hosts and ports.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "control/nib.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_is_found_by_its_name),
		cmocka_unit_test(bad_hosts_are_refused_and_named),
		cmocka_unit_test(host_name_is_taken_once),
		cmocka_unit_test(ports_keep_their_counters_and_their_order),
		cmocka_unit_test(a_port_told_without_a_name_is_removed),
		cmocka_unit_test(without_a_dataplane_no_port_is_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
