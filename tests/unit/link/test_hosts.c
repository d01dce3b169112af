// SPDX-License-Identifier: Apache-2.0
// Whoever follows what hosts tells knows what was seen: against a plain list, over random histories.
#include "dataplane/hosts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"

#define S INT64_C(1000000000)
#define KNOWN_MAX 1024

// What a listener knows, as control/nib.h keeps it.
struct listener {
	struct proto_host known[KNOWN_MAX];
	unsigned int n, n_told;
	uint64_t age_ns; // of the last one
};

static struct err err;

static bool same_interface(const struct proto_host *a, const struct proto_host *b)
{
	return a->vlan == b->vlan && memcmp(a->mac, b->mac, sizeof(a->mac)) == 0;
}

static void hear(void *ctx, const struct proto_host *host)
{
	struct listener *l = ctx;
	unsigned int n = 0;

	l->n_told++;
	l->age_ns = host->age_ns;
	for (unsigned int i = 0; i < l->n; i++) {
		const struct proto_host *k = &l->known[i];

		if (same_interface(k, host) &&
		    (host->port == PROTO_NO_PORT || (k->kinds == host->kinds && k->addr == host->addr)))
			continue;
		l->known[n++] = *k;
	}
	l->n = n;
	if (host->port == PROTO_NO_PORT)
		return;
	assert_true(l->n < KNOWN_MAX);
	l->known[l->n++] = *host;
}

static bool knows(const struct listener *l, const struct proto_host *host)
{
	for (unsigned int i = 0; i < l->n; i++) {
		const struct proto_host *k = &l->known[i];

		if (same_interface(k, host) && k->kinds == host->kinds && k->addr == host->addr &&
		    k->port == host->port)
			return true;
	}
	return false;
}

static void see(struct hosts *h, uint64_t mac, uint16_t port, uint32_t ip, int64_t now_ns, struct listener *l)
{
	struct proto_host host = {.port = port, .kinds = ip == 0 ? 0 : MATCH_KINDS_V4, .addr = ip};

	hosts_see(h, mac, &host, now_ns, hear, l);
}

static struct proto_host host_of(uint64_t mac, uint16_t port, uint32_t ip)
{
	struct proto_host host = {.port = port, .kinds = ip == 0 ? 0 : MATCH_KINDS_V4, .addr = ip};

	for (int b = 0; b < 6; b++)
		host.mac[b] = (uint8_t)(mac >> (40 - 8 * b));
	return host;
}

static void an_interface_with_addresses_is_not_told_without(void **state)
{
	struct hosts *h = hosts_create(100 * S, &err);
	struct listener l = {0};
	struct proto_host bare = host_of(1, 4, 0), one = host_of(1, 4, 7), two = host_of(1, 4, 8);

	see(h, 1, 4, 0, 0, &l);
	assert_true(knows(&l, &bare));
	see(h, 1, 4, 7, S, &l);
	assert_true(l.n == 1 && knows(&l, &one));
	see(h, 1, 4, 0, 2 * S, &l); // as a frame without IP shows it
	see(h, 1, 4, 8, 3 * S, &l);
	assert_true(l.n == 2 && knows(&l, &one) && knows(&l, &two));
	hosts_destroy(h);
}

static void who_is_seen_again_and_again_is_told_now_and_then(void **state)
{
	struct hosts *h = hosts_create(100 * S, &err);
	struct listener l = {0};

	for (int i = 0; i < 1000; i++)
		see(h, 1, 4, 7, i * S / 10, &l);
	assert_in_range(l.n_told, 5, 20);
	hosts_destroy(h);
}

static void a_listener_knows_what_was_seen(void **state)
{
	struct gen g = gen_init("hosts");
	unsigned int rounds = rounds_from_env(20);

	while (rounds-- > 0) {
		struct hosts *h = hosts_create(60 * S, &err);
		struct listener all = {0}, late = {0};
		int64_t seen_ns[16] = {0}, now_ns = S;
		uint16_t port[16] = {0};

		for (int i = 0; i < 500; i++) {
			uint64_t mac = 1 + gen_below(&g, 15);

			now_ns += (int64_t)gen_below(&g, 5) * S;
			hosts_age(h, now_ns, hear, &all);
			port[mac] = (uint16_t)gen_below(&g, 3);
			see(h, mac, port[mac], (uint32_t)(gen_below(&g, 3) == 0 ? 0 : mac * 10 + gen_below(&g, 3)),
			    now_ns, &all);
			seen_ns[mac] = now_ns;
			assert_int_equal(all.age_ns, 0);
		}
		now_ns += S / 2;
		hosts_each(h, now_ns, hear, &late);
		assert_int_equal(all.n, late.n);
		for (unsigned int i = 0; i < late.n; i++) {
			assert_true(knows(&all, &late.known[i]));
			assert_int_equal(late.known[i].port, port[late.known[i].mac[5]]);
			assert_int_equal(late.known[i].age_ns, now_ns - seen_ns[late.known[i].mac[5]]);
		}
		for (uint64_t mac = 1; mac < 16; mac++) {
			struct proto_host any = host_of(mac, 0, 0);
			bool there = false;

			for (unsigned int i = 0; i < late.n; i++)
				there = there || same_interface(&late.known[i], &any);
			assert_int_equal(there, seen_ns[mac] > 0 && now_ns - seen_ns[mac] < 60 * S);
		}
		hosts_destroy(h);
	}
}

static void a_router_shows_some_of_the_addresses_behind_it(void **state)
{
	struct hosts *h = hosts_create(60 * S, &err);
	struct listener l = {0};

	for (uint32_t ip = 1; ip < 1000; ip++)
		see(h, 1, 4, ip, ip, &l);
	assert_int_equal(l.n, HOSTS_ADDRS_MAX);
	assert_int_equal(hosts_n(h), 1);
	hosts_destroy(h);
}

static void new_interfaces_are_not_kept_when_there_are_too_many(void **state)
{
	static struct listener l;
	struct hosts *h = hosts_create(60 * S, &err);

	for (uint64_t mac = 1; mac <= HOSTS_MAX + 10; mac++) {
		l.n = 0;
		see(h, mac, 0, 0, S, &l);
	}
	assert_int_equal(hosts_n(h), HOSTS_MAX);
	assert_int_equal(l.n_told, HOSTS_MAX);
	l.n = 0;
	hosts_age(h, 61 * S, hear, &l);
	assert_int_equal(hosts_n(h), 0);
	hosts_destroy(h);
}

// Addresses like the controller's: at each port the latest ones, however many hosts there are, and of however many.
static void what_shows_links_has_room_of_its_own_at_each_port(void **state)
{
	static struct listener l;
	struct hosts *h = hosts_create(60 * S, &err);
	const uint64_t ours = PROTO_MADE_UP << 32;

	for (uint64_t mac = 1; mac <= HOSTS_MAX; mac++) {
		l.n = 0;
		see(h, mac, 0, 0, S, &l);
	}
	l.n = 0;
	see(h, ours + 1, 1, 0, S, &l);
	for (uint64_t mac = 2; mac < 5000; mac++) {
		see(h, ours + mac, 2, 0, S, &l);
		assert_true(l.n <= PROTO_MADE_UP_MAX + 1);
	}
	for (uint64_t mac = 5000 - PROTO_MADE_UP_MAX; mac < 5000; mac++) {
		struct proto_host latest = host_of(ours + mac, 2, 0);

		assert_true(knows(&l, &latest));
		see(h, ours + mac, 3, 0, S, &l); // it moves
	}
	assert_int_equal(l.n, PROTO_MADE_UP_MAX + 1);
	see(h, ours + 1, 3, 0, S, &l);
	assert_int_equal(l.n, PROTO_MADE_UP_MAX);
	assert_int_equal(hosts_n(h), HOSTS_MAX + PROTO_MADE_UP_MAX);
	hosts_age(h, 61 * S, hear, &l);
	assert_int_equal(l.n, 0);
	assert_int_equal(hosts_n(h), 0);
	hosts_destroy(h);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_interface_with_addresses_is_not_told_without),
		cmocka_unit_test(who_is_seen_again_and_again_is_told_now_and_then),
		cmocka_unit_test(a_listener_knows_what_was_seen),
		cmocka_unit_test(a_router_shows_some_of_the_addresses_behind_it),
		cmocka_unit_test(what_shows_links_has_room_of_its_own_at_each_port),
		cmocka_unit_test(new_interfaces_are_not_kept_when_there_are_too_many),
	};

	return cmocka_run_group_tests_name("hosts", tests, NULL, NULL);
}
