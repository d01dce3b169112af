// SPDX-License-Identifier: Apache-2.0
// Circuits on random networks with random reservations, waypoint lists and avoids, against what is obvious: they lead
// where they should, no link is promised twice at any instant, what fails has no path, and nothing moves without need.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/circuit.h"
#include "demand_fixture.h"
#include "of_random.h"
#include "tests/rounds.h"

#define N 7 // switches, with a host at port 20 of each: 10.0.0.1, 2001:db8::1 and fe80::1 ...
#define HOST_PORT 20
#define SPEED 10
#define T_MAX 8
#define DEMANDS 10

static uint32_t address(uint32_t host)
{
	return 0x0a000001 + host;
}

static u128 address6(uint32_t host, bool link_local)
{
	return (link_local ? (u128)0xfe80 << 112 : (u128)0x20010db8 << 96) + host + 1;
}

static struct ip_addr either_address(uint32_t host)
{
	if (rnd(2) == 0)
		return (struct ip_addr){.addr = match_ip4(address(host))};
	return (struct ip_addr){.addr = address6(host, rnd(2) == 0), .ip6 = true};
}

struct network {
	struct topo topo;
	struct addrs addrs;
	bool linked[N][N];
	struct of_policy policy;
};

static void make_topology(struct network *n)
{
	topo_init(&n->topo, 64);
	addrs_init(&n->addrs, 64);
	for (uint32_t i = 0; i < N; i++) {
		uint8_t mac[6] = {2, 0, 0, 0, 0, (uint8_t)(i + 1)};

		topo_switch(&n->topo, i + 1);
		topo_switch_up(&n->topo, i, true);
		for (uint32_t port = 1; port <= N; port++)
			topo_port_set(&n->topo, i, port, true, SPEED, 0);
		topo_port_set(&n->topo, i, HOST_PORT, true, 0, 0);
		assert_int_equal(topo_host_seen(&n->topo, mac, i, HOST_PORT, 0, NULL), 1);
		topo_host(&n->topo, mac)->ip4 = address(i);
		addrs_set(&n->addrs, address6(i, true), true, mac, ADDR_ND, 0);
		addrs_set(&n->addrs, address6(i, false), true, mac, ADDR_ND, 0);
		addrs_set(&n->addrs, address6((i + 1) % N, false), true, mac, ADDR_IP, 0); // it routes
	}
	memset(n->linked, 0, sizeof(n->linked));
	for (uint32_t a = 0; a < N; a++) {
		for (uint32_t b = a + 1; b < N; b++) {
			if (rnd(3) != 0)
				continue;
			topo_probe(&n->topo, a, b + 1, b, a + 1, 0);
			topo_probe(&n->topo, b, a + 1, a, b + 1, 0);
			n->linked[a][b] = n->linked[b][a] = true;
		}
	}
}

static void random_demand(struct demand *d, uint64_t id)
{
	uint32_t src = rnd(N), dst = (src + 1 + rnd(N - 1)) % N;
	struct box box = box_any();

	*d = (struct demand){.id = id, .kind = DEMAND_RESERVE};
	if (rnd(4) == 0)
		d->kind = rnd(2) == 0 ? DEMAND_WAYPOINT : DEMAND_AVOID;
	d->rate_bps = d->kind == DEMAND_RESERVE ? 1 + rnd(SPEED) : 0;
	d->start_ns = rnd(T_MAX);
	d->end_ns = d->start_ns + 1 + rnd(T_MAX);
	for (unsigned int i = d->kind == DEMAND_RESERVE ? 0 : 1 + rnd(2); i > 0; i--) {
		const struct ip_addr via = either_address(rnd(N));

		assert_int_equal(ip_list_add(&d->addresses, &via), 0);
	}
	box.kinds = MATCH_KINDS_V4;
	box.src = match_ip4_prefix(address(src), 32);
	box.dst = match_ip4_prefix(address(dst), 32);
	if (rnd(3) == 0) {
		bool link_local = rnd(4) == 0;

		box.kinds = MATCH_KINDS_V6;
		box.src.lo = box.src.hi = address6(src, link_local);
		box.dst.lo = box.dst.hi = address6(dst, link_local);
	}
	if (rnd(3) == 0) {
		box.kinds &= MATCH_KINDS_PORTS;
		box.f[MATCH_DST_PORT] = (struct span){0, rnd(3)};
	}
	box_set_time(&box, d->start_ns, d->end_ns);
	match_init(&d->flows);
	assert_int_equal(match_add(&d->flows, &box), 0);
}

static void check_ips(const struct circuit_ips *ips, uint32_t host, bool ip6)
{
	assert_int_equal(ips->n, ip6 ? 2 : 1);
	if (ip6)
		assert_true((ips->ip[0] == address6(host, false) && ips->ip[1] == address6(host, true)) ||
			    (ips->ip[0] == address6(host, true) && ips->ip[1] == address6(host, false)));
	else
		assert_true(ips->ip[0] == match_ip4(address(host)));
}

static void check_way(const struct network *n, const struct circuit *c)
{
	uint32_t at = c->src[5] - 1U, segment = 0;

	check_ips(&c->src_ips, at, c->ip6);
	check_ips(&c->dst_ips, c->dst[5] - 1U, c->ip6);
	assert_true(c->n_hops > 0);
	for (uint32_t i = 0; i < c->n_hops; i++) {
		const struct circuit_hop *hop = &c->hops[i];
		bool last = i + 1 == c->n_hops || c->hops[i + 1].segment != hop->segment;
		uint32_t peer, peer_port;

		assert_int_equal(hop->sw, at);
		assert_int_equal(hop->segment, segment);
		if (last) {
			assert_int_equal(hop->out_port, HOST_PORT);
			assert_int_equal(c->eth_dst[segment][5], at + 1);
			segment++;
			continue;
		}
		assert_true(topo_link(&n->topo, hop->sw, hop->out_port, &peer, &peer_port));
		assert_int_equal(c->hops[i + 1].in_port, peer_port);
		assert_int_equal(c->hops[i + 1].sw, peer);
		assert_int_not_equal(c->tags[segment], 0);
		at = peer;
	}
	assert_int_equal(segment, c->n_segments);
	assert_int_equal(at, c->dst[5] - 1U);
}

static void check_capacity(const struct network *n, const struct circuits *c)
{
	for (uint32_t sw = 0; sw < N; sw++) {
		for (uint32_t port = 1; port <= N; port++) {
			for (int64_t t = 0; t < 2 * T_MAX; t++) {
				uint64_t sum = 0;

				for (uint32_t i = 0; i < c->n_holds; i++) {
					const struct circuit_hold *h = &c->holds[i];

					if (h->sw == sw && h->port == port && h->start_ns <= t && t < h->end_ns)
						sum += h->rate_bps;
				}
				assert_true(sum <= SPEED);
			}
		}
	}
	(void)n;
}

static void check_tags(const struct circuits *c)
{
	bool used[4096] = {false};

	for (uint32_t i = 0; i < c->n; i++) {
		for (uint8_t k = 0; k < c->all[i].n_segments; k++) {
			if (c->all[i].tags[k] == 0)
				continue;
			assert_false(used[c->all[i].tags[k]]);
			used[c->all[i].tags[k]] = true;
		}
	}
}

static void check_same(const struct circuits *a, const struct circuits *b)
{
	assert_int_equal(a->n, b->n);
	assert_int_equal(a->n_failures, b->n_failures);
	for (uint32_t i = 0; i < a->n; i++) {
		assert_int_equal(a->all[i].key, b->all[i].key);
		assert_int_equal(a->all[i].n_hops, b->all[i].n_hops);
		assert_memory_equal(a->all[i].hops, b->all[i].hops, a->all[i].n_hops * sizeof(*a->all[i].hops));
		assert_memory_equal(a->all[i].tags, b->all[i].tags, sizeof(a->all[i].tags));
	}
}

static void circuits_lead_there_and_no_link_is_promised_twice(void **state)
{
	unsigned int n_placed = 0, n_failed = 0, n_via = 0, n_ip6 = 0;

	rnd_state = seed_from_env(17);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
	for (unsigned int i = 0; i < rounds_from_env(400); i++) {
		struct network n;
		struct circuits c, again;
		struct circuit_in in = {.topo = &n.topo, .addrs = &n.addrs, .policy = &n.policy};

		make_topology(&n);
		policy_of_demands(&n.policy, DEMANDS, random_demand);
		circuits_init(&c);
		assert_int_equal(circuits_place(&c, &in), 0);
		for (uint32_t k = 0; k < c.n; k++) {
			check_way(&n, &c.all[k]);
			n_via += c.all[k].n_segments > 1;
			n_ip6 += c.all[k].ip6;
		}
		check_capacity(&n, &c);
		check_tags(&c);
		n_placed += c.n;
		n_failed += c.n_failures;
		in.before = &c;
		circuits_init(&again);
		assert_int_equal(circuits_place(&again, &in), 0);
		check_same(&c, &again);
		circuits_fini(&again);
		circuits_fini(&c);
		of_policy_fini(&n.policy);
		topo_fini(&n.topo);
		addrs_fini(&n.addrs);
	}
	assert_true(n_placed > 100 && n_failed > 100 && n_via > 20 && n_ip6 > 50 && n_placed - n_ip6 > 50);
}

static uint32_t host_in(const struct box *box, const struct span128 *s)
{
	return box->kinds & MATCH_KINDS_V4 ? (uint32_t)(s->lo >> 96) - address(0) : (uint32_t)s->lo - 1;
}

// One reservation after the other between two hosts: accepted as long as a path with room is left, by a search of all.
static bool reaches(const struct network *n, const uint64_t left[N][N], uint64_t rate, uint32_t from, uint32_t to,
		    bool *seen)
{
	if (from == to)
		return true;
	seen[from] = true;
	for (uint32_t next = 0; next < N; next++) {
		if (n->linked[from][next] && !seen[next] && left[from][next] >= rate &&
		    reaches(n, left, rate, next, to, seen))
			return true;
	}
	return false;
}

static void a_reservation_is_refused_only_where_no_path_has_room(void **state)
{
	unsigned int n_fit = 0, n_not = 0;

	rnd_state = 19;
	for (unsigned int i = 0; i < rounds_from_env(300); i++) {
		struct demands demands;
		struct network n;
		struct circuits c;
		struct circuit_in in = {.topo = &n.topo, .addrs = &n.addrs, .policy = &n.policy};
		uint64_t left[N][N];
		struct tree tree;
		struct err err;

		make_topology(&n);
		demands_init(&demands);
		tree_init(&tree);
		tree_add_node(&tree, TREE_NO_PARENT);
		of_policy_build(&n.policy, &tree, &demands, 0, NULL, &err);
		circuits_init(&c);
		for (uint32_t a = 0; a < N; a++) {
			for (uint32_t b = 0; b < N; b++)
				left[a][b] = SPEED;
		}
		for (uint32_t k = rnd(40); k > 0; k--) { // taken already
			uint32_t a = rnd(N), b = rnd(N);
			struct circuit_hold hold = {1000 + k, a, b + 1, 1 + rnd(SPEED), 0, 100};

			if (!n.linked[a][b] || left[a][b] < hold.rate_bps)
				continue;
			c.holds = realloc(c.holds, (c.n_holds + 1) * sizeof(hold));
			c.holds[c.n_holds++] = hold;
			left[a][b] -= hold.rate_bps;
		}
		c.cap_holds = c.n_holds;
		for (int k = 0; k < 10; k++) {
			struct demand d;
			bool seen[N] = {false}, fits;

			do {
				random_demand(&d, 5);
				if (d.kind != DEMAND_RESERVE) {
					ip_list_unref(d.addresses);
					match_fini(&d.flows);
				}
			} while (d.kind != DEMAND_RESERVE);
			fits = reaches(&n, left, d.rate_bps, host_in(&d.flows.boxes[0], &d.flows.boxes[0].src),
				       host_in(&d.flows.boxes[0], &d.flows.boxes[0].dst), seen);
			assert_int_equal(circuits_fit(&c, &in, &d, &err) == 0, fits);
			n_fit += fits;
			n_not += !fits;
			match_fini(&d.flows);
		}
		circuits_fini(&c);
		of_policy_fini(&n.policy);
		tree_fini(&tree);
		topo_fini(&n.topo);
		addrs_fini(&n.addrs);
	}
	assert_true(n_fit > 100 && n_not > 100);
}

// A way for all pairs, whatever else there is.
static void make_star(struct network *n)
{
	for (uint32_t i = 1; i < N; i++) {
		topo_probe(&n->topo, 0, i + 1, i, 1, 0);
		topo_probe(&n->topo, i, 1, 0, i + 1, 0);
	}
}

// A request that names no addresses is about both families; each has its way, and they share what is held.
static void what_names_no_address_has_circuits_of_both_families(void **state)
{
	struct demand d = {.id = 3, .kind = DEMAND_RESERVE, .rate_bps = 4, .end_ns = 10};
	struct box box = box_any();
	struct demands demands;
	struct network n = {0};
	struct circuits c;
	struct circuit_in in = {.topo = &n.topo, .addrs = &n.addrs, .policy = &n.policy};
	unsigned int n_of[2] = {0};
	struct tree tree;
	struct err err;

	rnd_state = 23;
	make_topology(&n);
	make_star(&n);
	demands_init(&demands);
	tree_init(&tree);
	tree_add_node(&tree, TREE_NO_PARENT);
	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_DST_PORT] = (struct span){80, 80};
	assert_true(box_normalize(&box));
	box_set_time(&box, d.start_ns, d.end_ns);
	match_init(&d.flows);
	match_add(&d.flows, &box);
	demands_add(&demands, &d);
	assert_int_equal(of_policy_build(&n.policy, &tree, &demands, 0, NULL, &err), 0);
	circuits_init(&c);
	assert_int_equal(circuits_place(&c, &in), 0);
	assert_int_equal(c.n_failures, 0);
	for (uint32_t i = 0; i < c.n; i++) {
		check_way(&n, &c.all[i]);
		n_of[c.all[i].ip6]++;
	}
	assert_int_equal(n_of[0], N * (N - 1));
	assert_int_equal(n_of[1], N * (N - 1));
	check_capacity(&n, &c);
	check_tags(&c);
	circuits_fini(&c);
	of_policy_fini(&n.policy);
	tree_fini(&tree);
	topo_fini(&n.topo);
	addrs_fini(&n.addrs);
	(void)state;
}

// --- one after the other

#define ASKED 8

// Of all hosts or of two, for all time: so that requests overlap.
static void wide_demand(struct demand *d, uint64_t id)
{
	uint32_t src = rnd(N), dst = (src + 1 + rnd(N - 1)) % N;
	struct box box = box_any();

	*d = (struct demand){.id = id, .kind = DEMAND_RESERVE, .rate_bps = 1 + rnd(SPEED), .end_ns = T_MAX};
	box.kinds = MATCH_KINDS_V4;
	if (rnd(3) > 0)
		box.src = match_ip4_prefix(address(src), 32);
	if (rnd(3) > 0)
		box.dst = match_ip4_prefix(address(dst), 32);
	if (rnd(3) == 0) {
		box.kinds = MATCH_IP4PORTS;
		box.f[MATCH_DST_PORT] = (struct span){80, 80};
		d->rate_bps = 1;
	}
	box_set_time(&box, d->start_ns, d->end_ns);
	match_init(&d->flows);
	assert_int_equal(match_add(&d->flows, &box), 0);
}

static void policy_of(struct of_policy *policy, const struct demand *asked, const bool *accepted, unsigned int n)
{
	struct demands demands;
	struct tree tree;
	struct err err;

	demands_init(&demands);
	tree_init(&tree);
	assert_int_equal(tree_add_node(&tree, TREE_NO_PARENT), 0);
	for (unsigned int i = 0; i < n; i++) {
		struct demand d = asked[i];

		if (!accepted[i])
			continue;
		match_init(&d.flows);
		assert_int_equal(match_add(&d.flows, &asked[i].flows.boxes[0]), 0);
		assert_int_equal(demands_add(&demands, &d), 0);
	}
	assert_int_equal(of_policy_build(policy, &tree, &demands, 0, NULL, &err), 0);
	tree_fini(&tree);
}

// Whatever is lost, no link is promised twice.
static void cut_links_of(struct network *n, uint32_t sw, const struct circuits *before)
{
	struct circuit_in in = {.topo = &n->topo, .addrs = &n->addrs, .policy = &n->policy, .before = before};
	struct circuits after;

	for (uint32_t port = 1; port <= N; port++) {
		if (rnd(2) == 0)
			topo_port_set(&n->topo, sw, port, false, SPEED, 0);
	}
	circuits_init(&after);
	assert_int_equal(circuits_place(&after, &in), 0);
	check_capacity(n, &after);
	circuits_fini(&after);
}

// As long as the network stays, what was accepted is kept, whoever comes later.
static void what_is_accepted_takes_the_place_of_nothing(void **state)
{
	unsigned int n_accepted = 0, n_refused = 0;

	rnd_state = seed_from_env(29);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
	for (unsigned int i = 0; i < rounds_from_env(300); i++) {
		struct demand asked[ASKED];
		bool accepted[ASKED] = {false};
		struct circuits now, next;
		struct network n;

		make_topology(&n);
		policy_of(&n.policy, asked, accepted, 0);
		circuits_init(&now);
		for (unsigned int k = 0; k < ASKED; k++) {
			struct circuit_in in = {.topo = &n.topo, .addrs = &n.addrs, .policy = &n.policy};
			struct err err;

			wide_demand(&asked[k], k + 1);
			accepted[k] = circuits_fit(&now, &in, &asked[k], &err) == 0;
			n_accepted += accepted[k];
			n_refused += !accepted[k];
			of_policy_fini(&n.policy);
			policy_of(&n.policy, asked, accepted, k + 1);
			in.before = &now;
			circuits_init(&next);
			assert_int_equal(circuits_place(&next, &in), 0);
			if (next.n_failures > 0)
				fail_msg("round %u: request %u %s, then %u has no place: %s", i, k + 1,
					 accepted[k] ? "was accepted" : "was refused",
					 (unsigned int)next.failures[0].id, next.failures[0].why);
			check_capacity(&n, &next);
			circuits_fini(&now);
			now = next;
		}
		for (unsigned int k = 0; k < ASKED; k++)
			match_fini(&asked[k].flows);
		cut_links_of(&n, rnd(N), &now);
		circuits_fini(&now);
		of_policy_fini(&n.policy);
		topo_fini(&n.topo);
		addrs_fini(&n.addrs);
	}
	print_message("%u accepted, %u refused\n", n_accepted, n_refused);
	assert_true(n_accepted > rounds_from_env(300) && n_refused > rounds_from_env(300) / 2);
}

// Of the reservations that it meets, only those of the same two hosts take their path's room with it.
static void what_is_about_all_hosts_is_not_refused_for_what_others_hold_elsewhere(void **state)
{
	struct demand asked[3];
	const bool accepted[3] = {true, true, false};
	struct network n;
	struct circuit_in in = {.topo = &n.topo, .addrs = &n.addrs, .policy = &n.policy};
	struct circuits c;
	struct err err;

	rnd_state = 31;
	make_topology(&n);
	make_star(&n);
	for (uint32_t k = 0; k < 3; k++) {
		struct box box = box_any();

		asked[k] = (struct demand){.id = k + 1, .kind = DEMAND_RESERVE, .rate_bps = 6, .end_ns = T_MAX};
		box.kinds = MATCH_KINDS_V4;
		box.src = k < 2 ? match_ip4_prefix(address(2 * k + 1), 32) : box.src;
		box.dst = k < 2 ? match_ip4_prefix(address(2 * k + 2), 32) : box.dst;
		box_set_time(&box, 0, T_MAX);
		match_init(&asked[k].flows);
		assert_int_equal(match_add(&asked[k].flows, &box), 0);
	}
	policy_of(&n.policy, asked, accepted, 3);
	circuits_init(&c);
	assert_int_equal(circuits_place(&c, &in), 0);
	assert_int_equal(c.n_failures, 0);
	asked[2].rate_bps = SPEED - 6 + 1;
	assert_int_equal(circuits_fit(&c, &in, &asked[2], &err), -EBUSY);
	asked[2].rate_bps = SPEED - 6;
	assert_int_equal(circuits_fit(&c, &in, &asked[2], &err), 0);
	for (int k = 0; k < 3; k++)
		match_fini(&asked[k].flows);
	circuits_fini(&c);
	of_policy_fini(&n.policy);
	topo_fini(&n.topo);
	addrs_fini(&n.addrs);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(circuits_lead_there_and_no_link_is_promised_twice),
		cmocka_unit_test(what_names_no_address_has_circuits_of_both_families),
		cmocka_unit_test(what_is_accepted_takes_the_place_of_nothing),
		cmocka_unit_test(what_is_about_all_hosts_is_not_refused_for_what_others_hold_elsewhere),
		cmocka_unit_test(a_reservation_is_refused_only_where_no_path_has_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
