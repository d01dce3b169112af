// SPDX-License-Identifier: Apache-2.0
// What time does to switches: entries that end, leases, queues of switches that are away, updates that never find rest.
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/ovsdb.h"
#include "played_net.h"

#define SECOND PLAYED_NET_SECOND

static struct played_net net;

static void up(int n_switches, uint8_t version, const struct of_net_conf *conf)
{
	played_net_init(&net, n_switches, version, conf);
	played_net_start(&net);
	played_net_run(&net, 5 * SECOND);
	for (int i = 0; i < n_switches; i++)
		played_net_say(&net, i);
	played_net_run(&net, SECOND);
	assert_int_equal(played_net_stats(&net).n_links, 2 * (n_switches - 1));
	assert_int_equal(played_net_stats(&net).n_hosts, n_switches);
	assert_int_equal(played_net_stats(&net).n_synced, n_switches);
}

// --- queues of switches that are away

// How many queues of limits are wanted, and which switches are known, as bits by dpid; the rest: bit 0.
static int queues_now(uint64_t *gen, uint32_t *known)
{
	struct ovsdb_queue *queues;
	bool rest;
	uint64_t *but;
	int n = of_net_queues(net.of, gen, &queues), n_but;

	if (n < 0)
		return n;
	free(queues);
	n_but = of_net_queues_of(net.of, &rest, &but);
	assert_true(n_but >= 0);
	*known = rest ? ~0U : 0;
	for (int i = 0; i < n_but; i++)
		*known ^= 1U << but[i];
	free(but);
	return n;
}

static void queues_of_a_switch_that_is_away_are_left_to_it_for_a_day(void **state)
{
	const struct of_net_conf conf = {.hosts_max = 64, .queues = true};
	const struct played_want limit = {7, 0, 1, PLAYED_LIMIT, 1000000, INT64_MAX};
	uint64_t gen = 0;
	uint32_t known;
	int64_t left_ns;

	up(2, OF_VERSION_10, &conf);
	played_net_policy(&net, &limit, 1);
	played_net_run(&net, SECOND);
	assert_int_equal(queues_now(&gen, &known), 1);
	assert_int_equal(known, 1U << 1 | 1U << 2);
	assert_int_equal(queues_now(&gen, &known), -EAGAIN); // nothing new
	played_net_leave(&net, 0);
	assert_int_equal(queues_now(&gen, &known), 0);
	assert_int_equal(known, 1U << 2);
	played_net_run(&net, 2 * SECOND);
	played_net_join(&net, 0);
	queues_now(&gen, &known);
	assert_int_equal(known, 1U << 2); // its entries are still being read
	played_net_run(&net, 5 * SECOND);
	assert_int_equal(queues_now(&gen, &known), 1);
	assert_int_equal(known, 1U << 1 | 1U << 2);
	played_net_leave(&net, 0); // for a day, while the other one comes back soon
	played_net_leave(&net, 1);
	left_ns = net.now_ns;
	net.now_ns += OF_NET_GONE_NS - 3600 * SECOND;
	played_net_join(&net, 1);
	played_net_run(&net, 5 * SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, 1U << 2);
	played_net_run(&net, left_ns + OF_NET_GONE_NS - net.now_ns - SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, ~(1U << 1)); // who has never been here in a day is not waited for
	played_net_run(&net, 3 * SECOND);
	queues_now(&gen, &known);
	assert_int_equal(known, ~0U);
	played_net_fini(&net);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(queues_of_a_switch_that_is_away_are_left_to_it_for_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
