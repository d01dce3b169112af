// SPDX-License-Identifier: Apache-2.0
// Queue rules in a played NIC: both directions of a flow, and all its fragments, come by one queue; flows by all of
// them. NICs that spread by themselves, that take one kind of hash or none, that take some rules only.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_thash.h>

#include "nic-config/flow_spread.h"

#define PORT 3
#define RULES 8
#define QUEUES 4
#define KINDS 6
#define KEY_MAX 64

// --- the NIC: these take the places of rte_flow's and rte_ethdev's

struct rte_flow {
	bool used;
	enum rte_flow_item_type ip, l4;
	uint64_t fields;
	enum rte_eth_hash_function func;
	_Alignas(uint32_t) uint8_t key[KEY_MAX];
	uint32_t n_queues;
};

static struct {
	bool spreads, no_symmetric, no_toeplitz, no_ip6, no_priorities, refuses_late, general_first, keeps;
	uint16_t n_queues;
	uint8_t key_bytes;
	uint32_t n, n_validated, n_tried;
	struct rte_flow flow[RULES];
} nic;

int rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	assert_int_equal(port_id, PORT);
	memset(info, 0, sizeof(*info));
	info->nb_rx_queues = nic.n_queues;
	info->hash_key_size = nic.key_bytes;
	return 0;
}

int rte_eth_dev_conf_get(uint16_t port_id, struct rte_eth_conf *eth)
{
	memset(eth, 0, sizeof(*eth));
	eth->rxmode.mq_mode = nic.spreads ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE;
	return 0;
}

static bool takes(const struct rte_flow_item *item, const struct rte_flow_action *action, struct rte_flow *out)
{
	const struct rte_flow_action_rss *rss = action->conf;

	assert_int_equal(action[0].type, RTE_FLOW_ACTION_TYPE_RSS);
	assert_int_equal(action[1].type, RTE_FLOW_ACTION_TYPE_END);
	assert_int_equal(item[0].type, RTE_FLOW_ITEM_TYPE_ETH);
	assert_int_equal(rss->queue_num, nic.n_queues);
	for (uint32_t q = 0; q < rss->queue_num; q++)
		assert_int_equal(rss->queue[q], q);
	*out = (struct rte_flow){true, item[1].type, item[2].type, rss->types, rss->func, {0}, rss->queue_num};
	if (rss->func == RTE_ETH_HASH_FUNCTION_TOEPLITZ) {
		assert_int_equal(rss->key_len, nic.key_bytes);
		memcpy(out->key, rss->key, rss->key_len);
		return !nic.no_toeplitz && !(nic.no_ip6 && out->ip == RTE_FLOW_ITEM_TYPE_IPV6);
	}
	assert_int_equal(rss->func, RTE_ETH_HASH_FUNCTION_SYMMETRIC_TOEPLITZ);
	return !nic.no_symmetric && !(nic.no_ip6 && out->ip == RTE_FLOW_ITEM_TYPE_IPV6);
}

int rte_flow_validate(uint16_t port_id, const struct rte_flow_attr *attr, const struct rte_flow_item pattern[],
		      const struct rte_flow_action actions[], struct rte_flow_error *error)
{
	struct rte_flow unused;

	assert_int_equal(attr->ingress, 1);
	nic.n_tried++;
	if ((nic.no_priorities && attr->priority != 0) || !takes(pattern, actions, &unused))
		return -ENOTSUP;
	nic.n_validated++;
	return 0;
}

struct rte_flow *rte_flow_create(uint16_t port_id, const struct rte_flow_attr *attr,
				 const struct rte_flow_item *pattern, const struct rte_flow_action *actions,
				 struct rte_flow_error *error)
{
	assert_true(nic.n_validated > 0); // just now, this one
	nic.n_validated--;
	if (nic.refuses_late)
		return NULL;
	assert_int_equal(attr->priority, nic.no_priorities ? 0 : 1); // drop rules have 0: they come first
	assert_true(takes(pattern, actions, &nic.flow[nic.n]));
	return &nic.flow[nic.n++];
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

// --- frames

struct frame {
	bool v6, fragment;
	uint8_t proto;
	uint32_t src[4], dst[4];
	uint16_t sport, dport;
};

static bool rule_matches(const struct rte_flow *r, const struct frame *f)
{
	uint8_t proto = r->l4 == RTE_FLOW_ITEM_TYPE_TCP ? 6 : 17;

	if (!r->used || f->v6 != (r->ip == RTE_FLOW_ITEM_TYPE_IPV6))
		return false;
	return r->l4 == RTE_FLOW_ITEM_TYPE_END || (f->proto == proto && !f->fragment);
}

static uint32_t hash(const struct rte_flow *r, const struct frame *f)
{
	uint32_t n = f->v6 ? 4 : 1, tuple[9];
	bool ports = (r->fields & (RTE_ETH_RSS_NONFRAG_IPV4_TCP | RTE_ETH_RSS_NONFRAG_IPV4_UDP |
				   RTE_ETH_RSS_NONFRAG_IPV6_TCP | RTE_ETH_RSS_NONFRAG_IPV6_UDP)) != 0;
	_Alignas(uint32_t) uint8_t any_key[KEY_MAX];

	memcpy(tuple, f->src, 4 * n);
	memcpy(tuple + n, f->dst, 4 * n);
	tuple[2 * n] = (uint32_t)f->sport << 16 | f->dport;
	if (r->func == RTE_ETH_HASH_FUNCTION_TOEPLITZ)
		return rte_softrss(tuple, 2 * n + ports, r->key);
	for (uint32_t i = 0; i < n; i++)
		tuple[i] = f->src[i] ^ f->dst[i];
	tuple[n] = f->sport ^ f->dport;
	for (uint32_t i = 0; i < KEY_MAX; i++)
		any_key[i] = (uint8_t)(i * 37 + 11);
	return rte_softrss(tuple, n + ports, any_key);
}

// Which of two rules that match is the card's affair: the first or the last.
static uint32_t queue_of(const struct frame *f)
{
	const struct rte_flow *by = NULL;

	for (uint32_t i = 0; i < RULES; i++) {
		if (rule_matches(&nic.flow[i], f) && (by == NULL || nic.general_first))
			by = &nic.flow[i];
	}
	return by == NULL ? 0 : hash(by, f) % by->n_queues;
}

static uint32_t seed;

static uint32_t draw(void)
{
	seed = seed * 1664525u + 1013904223u;
	return seed >> 8;
}

static struct frame draw_frame(void)
{
	static const uint8_t protos[] = {6, 17, 1, 132};
	struct frame f = {.v6 = draw() % 2, .fragment = draw() % 4 == 0, .proto = protos[draw() % 4]};

	for (int i = 0; i < 4; i++) {
		f.src[i] = draw() << 8 | draw() % 256;
		f.dst[i] = draw() << 8 | draw() % 256;
	}
	f.sport = (uint16_t)draw();
	f.dport = (uint16_t)draw();
	return f;
}

static struct frame reversed(const struct frame *f)
{
	struct frame r = *f;

	memcpy(r.src, f->dst, sizeof(r.src));
	memcpy(r.dst, f->src, sizeof(r.dst));
	r.sport = f->dport;
	r.dport = f->sport;
	return r;
}

static void check_spread(void)
{
	const char *seed_text = getenv("PANE_SEED");
	uint32_t n[2][QUEUES] = {{0}};

	seed = seed_text != NULL ? (uint32_t)atoi(seed_text) : 5;
	print_message("seed %u\n", seed);
	for (int k = 0; k < 4000; k++) {
		struct frame f = draw_frame(), back = reversed(&f);
		uint32_t q = queue_of(&f);

		assert_true(q < QUEUES);
		assert_int_equal(queue_of(&back), q);
		if (f.fragment) { // what lies where ports would be is payload
			f.sport = (uint16_t)draw();
			assert_int_equal(queue_of(&f), q);
		}
		n[f.v6][q]++;
	}
	for (int q = 0; q < QUEUES; q++) {
		assert_true(n[0][q] > 300);
		assert_true(n[1][q] > 300);
	}
}

static int reset(void **state)
{
	memset(&nic, 0, sizeof(nic));
	nic.n_queues = QUEUES;
	nic.key_bytes = 52;
	return 0;
}

// --- tests

static void flows_spread_and_both_directions_stay_together(void **state)
{
	for (int way = 0; way < 8; way++) {
		reset(NULL);
		nic.no_symmetric = way % 2;
		nic.general_first = way / 2 % 2;
		nic.no_priorities = way / 4;
		assert_int_equal(flow_spread_set(PORT), KINDS);
		check_spread();
		flow_spread_clear(PORT);
		assert_int_equal(nic.n, 0);
	}
}

static void device_that_spreads_by_itself_gets_no_rules(void **state)
{
	nic.spreads = true;
	assert_int_equal(flow_spread_set(PORT), 0);
	assert_int_equal(nic.n_tried, 0);
}

static void one_queue_needs_no_rules(void **state)
{
	nic.n_queues = 1;
	assert_int_equal(flow_spread_set(PORT), 0);
	assert_int_equal(nic.n_tried, 0);
}

static void device_without_a_symmetric_hash_is_left_alone(void **state)
{
	nic.no_symmetric = nic.no_toeplitz = true;
	assert_int_equal(flow_spread_set(PORT), 0);
	assert_int_equal(nic.n, 0);
	flow_spread_clear(PORT);
}

static void key_that_is_too_long_or_unknown_is_not_made_up(void **state)
{
	static const uint8_t sizes[] = {0, 65};

	for (int i = 0; i < 2; i++) {
		reset(NULL);
		nic.no_symmetric = true;
		nic.key_bytes = sizes[i];
		assert_int_equal(flow_spread_set(PORT), 0);
		assert_int_equal(nic.n_tried, 2 * KINDS); // with and without priorities; no other hash
	}
}

static void what_is_refused_leaves_the_rest(void **state)
{
	nic.no_ip6 = true;
	assert_int_equal(flow_spread_set(PORT), KINDS / 2);
	flow_spread_clear(PORT);
	assert_int_equal(nic.n, 0);
	reset(NULL);
	nic.refuses_late = true; // what it took in validation
	assert_int_equal(flow_spread_set(PORT), 0);
	flow_spread_clear(PORT);
}

static void rules_somebody_flushed_are_not_given_back(void **state)
{
	assert_int_equal(flow_spread_set(PORT), KINDS);
	for (uint32_t i = 0; i < RULES; i++)
		nic.flow[i].used = false;
	flow_spread_forget(PORT);
	flow_spread_clear(PORT); // would meet an unused one
}

static void rules_the_device_keeps_are_forgotten(void **state)
{
	assert_int_equal(flow_spread_set(PORT), KINDS);
	nic.keeps = true;
	flow_spread_clear(PORT);
	nic.keeps = false;
	flow_spread_clear(PORT);
	assert_int_equal(nic.n, KINDS);
}

#define NIC_TEST(test) cmocka_unit_test_setup(test, reset)

int main(void)
{
	const struct CMUnitTest tests[] = {
		NIC_TEST(flows_spread_and_both_directions_stay_together),
		NIC_TEST(device_that_spreads_by_itself_gets_no_rules),
		NIC_TEST(one_queue_needs_no_rules),
		NIC_TEST(device_without_a_symmetric_hash_is_left_alone),
		NIC_TEST(key_that_is_too_long_or_unknown_is_not_made_up),
		NIC_TEST(what_is_refused_leaves_the_rest),
		NIC_TEST(rules_somebody_flushed_are_not_given_back),
		NIC_TEST(rules_the_device_keeps_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
