// SPDX-License-Identifier: Apache-2.0
// The rate of a port in a played NIC: what it is told, at which rate, and that a NIC that lacks or refuses anything is
// left as it was.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include <rte_ethdev.h>
#include <rte_tm.h>

#include "nic-config/port_shaper.h"

#define PORT 3
#define NODES 32
#define LEVELS 4
#define FRAME 1522
#define GBIT UINT64_C(1000000000)

// --- the NIC: these take the places of rte_tm's and rte_ethdev's

struct node {
	uint32_t id, parent, level, profile;
	bool leaf;
};

static struct {
	uint16_t n_queues;
	bool absent, no_bursts, needs_bursts, clears_itself;
	uint32_t fail_at; // the call that changes something, from 1; 0: none fails
	struct rte_tm_capabilities caps;
	struct rte_tm_level_capabilities level[LEVELS];

	uint32_t n_changes, n_nodes, n_profiles;
	struct node node[NODES];
	struct rte_tm_shaper_params profile;
	bool committed;
} nic;

static int refuse(struct rte_tm_error *error, const char *why)
{
	*error = (struct rte_tm_error){.type = RTE_TM_ERROR_TYPE_UNSPECIFIED, .message = why};
	return -EINVAL;
}

static bool fails(void)
{
	return ++nic.n_changes == nic.fail_at;
}

int rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	assert_int_equal(port_id, PORT);
	memset(info, 0, sizeof(*info));
	info->nb_tx_queues = nic.n_queues;
	return 0;
}

int rte_tm_capabilities_get(uint16_t port_id, struct rte_tm_capabilities *cap, struct rte_tm_error *error)
{
	assert_int_equal(port_id, PORT);
	if (nic.absent)
		return -ENOSYS;
	*cap = nic.caps;
	return 0;
}

int rte_tm_level_capabilities_get(uint16_t port_id, uint32_t level, struct rte_tm_level_capabilities *cap,
				  struct rte_tm_error *error)
{
	assert_true(level < nic.caps.n_levels_max);
	*cap = nic.level[level];
	return 0;
}

int rte_tm_shaper_profile_add(uint16_t port_id, uint32_t id, struct rte_tm_shaper_params *profile,
			      struct rte_tm_error *error)
{
	if (fails())
		return refuse(error, "no profile");
	assert_int_equal(nic.n_profiles, 0);
	assert_int_equal(profile->committed.rate, 0);
	assert_int_equal(profile->packet_mode, 0);
	if ((nic.no_bursts && profile->peak.size != 0) || (nic.needs_bursts && profile->peak.size == 0))
		return refuse(error, "size of bursts");
	nic.profile = *profile;
	nic.n_profiles++;
	return 0;
}

int rte_tm_shaper_profile_delete(uint16_t port_id, uint32_t id, struct rte_tm_error *error)
{
	for (uint32_t i = 0; i < nic.n_nodes; i++)
		assert_int_not_equal(nic.node[i].profile, id); // it would be in use
	if (nic.n_profiles == 0)
		return refuse(error, "no such profile");
	nic.n_profiles--;
	return 0;
}

static struct node *find(uint32_t id)
{
	for (uint32_t i = 0; i < nic.n_nodes; i++) {
		if (nic.node[i].id == id)
			return &nic.node[i];
	}
	return NULL;
}

int rte_tm_node_add(uint16_t port_id, uint32_t id, uint32_t parent, uint32_t priority, uint32_t weight, uint32_t level,
		    struct rte_tm_node_params *params, struct rte_tm_error *error)
{
	bool leaf = id < nic.n_queues;

	if (fails())
		return refuse(error, "no node");
	assert_null(find(id));
	assert_int_equal(priority, 0);
	assert_int_equal(weight, 1);
	if (parent == RTE_TM_NODE_ID_NULL) {
		assert_int_equal(level, 0);
		assert_int_equal(id, nic.caps.n_nodes_max - 1);
	} else {
		assert_non_null(find(parent));
		assert_int_equal(find(parent)->level + 1, level);
		assert_false(find(parent)->leaf);
	}
	if (leaf)
		assert_int_equal(params->leaf.wred.wred_profile_id, RTE_TM_WRED_PROFILE_ID_NONE);
	else
		assert_int_equal(params->nonleaf.n_sp_priorities, 1);
	nic.node[nic.n_nodes++] = (struct node){id, parent, level, params->shaper_profile_id, leaf};
	return 0;
}

int rte_tm_node_delete(uint16_t port_id, uint32_t id, struct rte_tm_error *error)
{
	struct node *n = find(id);

	if (n == NULL)
		return refuse(error, "no such node");
	for (uint32_t i = 0; i < nic.n_nodes; i++)
		assert_int_not_equal(nic.node[i].parent, id); // children first
	*n = nic.node[--nic.n_nodes];
	return 0;
}

int rte_tm_hierarchy_commit(uint16_t port_id, int clear_on_fail, struct rte_tm_error *error)
{
	if (fails()) {
		if (clear_on_fail && nic.clears_itself)
			nic.n_nodes = nic.n_profiles = 0;
		return refuse(error, "no commit");
	}
	nic.committed = true;
	return 0;
}

// --- cards

static void set_nonleaf(uint32_t l)
{
	nic.level[l] = (struct rte_tm_level_capabilities){.n_nodes_max = 8, .n_nodes_nonleaf_max = 8};
	nic.level[l].nonleaf.sched_n_children_max = 64;
}

// A root, more nodes on the way, and the queues.
static void card(uint32_t n_levels, uint16_t n_queues)
{
	memset(&nic, 0, sizeof(nic));
	nic.n_queues = n_queues;
	nic.caps.n_levels_max = n_levels;
	nic.caps.n_nodes_max = 73;
	nic.caps.shaper_private_n_max = 9;
	for (uint32_t l = 0; l + 1 < n_levels; l++)
		set_nonleaf(l);
	nic.level[0].nonleaf.shaper_private_supported = 1;
	nic.level[0].nonleaf.shaper_private_rate_min = 125000;
	nic.level[0].nonleaf.shaper_private_rate_max = 10 * GBIT / 8;
	nic.level[n_levels - 1] = (struct rte_tm_level_capabilities){.n_nodes_max = 64, .n_nodes_leaf_max = 64};
}

static int set_rate(uint64_t rate_bps, char why[WHY_BYTES])
{
	why[0] = '\0';
	return port_shaper_set(PORT, rate_bps, FRAME, why);
}

static void assert_untouched(void)
{
	assert_int_equal(nic.n_nodes, 0);
	assert_int_equal(nic.n_profiles, 0);
	assert_false(nic.committed);
}

static void assert_refused(const char *reason)
{
	char why[WHY_BYTES];
	int rc = set_rate(GBIT, why);

	assert_true(rc < 0 && rc != -ENOTSUP);
	if (strstr(why, reason) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, reason);
	assert_untouched();
	assert_int_equal(nic.n_changes, 0); // asked, not tried
}

// --- tests

static void root_bounds_and_queues_are_equal_leaves(void **state)
{
	char why[WHY_BYTES];

	for (uint32_t n_levels = 2; n_levels <= LEVELS; n_levels++) {
		for (uint16_t n_queues = 1; n_queues <= 8; n_queues++) {
			uint32_t n_leaves = 0, n_shaped = 0;

			card(n_levels, n_queues);
			assert_int_equal(set_rate(GBIT, why), 0);
			assert_true(nic.committed);
			assert_int_equal(nic.n_nodes, n_levels - 1 + n_queues);
			for (uint32_t i = 0; i < nic.n_nodes; i++) {
				n_leaves += nic.node[i].leaf && nic.node[i].level == n_levels - 1;
				n_shaped += nic.node[i].profile != RTE_TM_SHAPER_PROFILE_ID_NONE;
			}
			assert_int_equal(n_leaves, n_queues);
			assert_int_equal(n_shaped, 1);
			assert_int_not_equal(nic.node[0].profile, RTE_TM_SHAPER_PROFILE_ID_NONE);
		}
	}
}

// Whether the card counts 0 or 24 bytes more than the scheduler does for each frame.
static void card_is_never_slower_than_the_scheduler(void **state)
{
	static const uint64_t rates[] = {1000000, 1234567, 100000000, GBIT, 7 * GBIT};
	char why[WHY_BYTES];

	for (size_t r = 0; r < sizeof(rates) / sizeof(rates[0]); r++) {
		card(3, 2);
		assert_int_equal(set_rate(rates[r], why), 0);
		for (uint64_t len = 60; len <= FRAME; len++)
			assert_true((double)(len + 24) / (double)nic.profile.peak.rate <=
				    (double)len * 8 / (double)rates[r]);
		assert_true(nic.profile.peak.rate <= rates[r] / 8 * 3 / 2);
		assert_true(nic.profile.peak.size >= FRAME);
	}
}

static void card_without_traffic_management_is_left_alone(void **state)
{
	char why[WHY_BYTES];

	card(3, 4);
	nic.absent = true;
	assert_int_equal(set_rate(GBIT, why), -ENOTSUP);
	assert_untouched();
	card(3, 4);
	nic.caps.n_levels_max = 0;
	assert_int_equal(set_rate(GBIT, why), -ENOTSUP);
	assert_untouched();
}

static void card_that_lacks_something_is_not_tried(void **state)
{
	card(3, 4);
	nic.caps.shaper_private_n_max = 0;
	assert_refused("no shapers");
	card(3, 4);
	nic.caps.n_nodes_max = 5;
	assert_refused("5 nodes, 6 are needed");
	card(3, 4);
	nic.level[0].nonleaf.shaper_private_supported = 0;
	assert_refused("root has no shaper");
	card(3, 4);
	nic.level[0].nonleaf.shaper_private_packet_mode_supported = 1;
	assert_refused("packets only");
	card(3, 4);
	nic.level[2].n_nodes_leaf_max = 3;
	assert_refused("no nodes between");
	card(2, 4);
	nic.level[0].nonleaf.sched_n_children_max = 3;
	assert_refused("4 equal queues");
	card(3, 4);
	nic.level[1].nonleaf.sched_wfq_n_children_per_group_max = 1;
	assert_refused("4 equal queues");
	card(3, 4);
	nic.level[1].n_nodes_nonleaf_max = 0;
	assert_refused("no nodes between");
}

static void rate_out_of_the_range_of_the_card_is_not_tried(void **state)
{
	card(3, 4);
	nic.level[0].nonleaf.shaper_private_rate_max = GBIT / 8; // no room above the scheduler's
	assert_refused("takes 125000 to 125000000");
	card(3, 4);
	nic.level[0].nonleaf.shaper_private_rate_min = GBIT;
	assert_refused("takes 1000000000 to");
}

static void size_of_bursts_is_named_where_it_may_be(void **state)
{
	char why[WHY_BYTES];

	card(3, 4);
	nic.no_bursts = true;
	assert_int_equal(set_rate(GBIT, why), 0);
	assert_int_equal(nic.profile.peak.size, 0);
	card(3, 4);
	nic.needs_bursts = true;
	assert_int_equal(set_rate(GBIT, why), 0);
	assert_int_equal(nic.profile.peak.size, 8 * FRAME);
}

static void refusal_at_any_step_leaves_the_card_as_it_was(void **state)
{
	char why[WHY_BYTES];

	for (int clears = 0; clears < 2; clears++) {
		// one profile, root, node, 4 queues, commit
		for (uint32_t at = 2; at <= 8; at++) {
			card(3, 4);
			nic.clears_itself = clears;
			nic.fail_at = at;
			assert_int_equal(set_rate(GBIT, why), -EIO);
			assert_non_null(strstr(why, at == 8 ? "the hierarchy: no commit" : "a node: no node"));
			assert_int_equal(nic.n_changes, at);
			assert_untouched();
		}
	}
	card(3, 4);
	nic.no_bursts = nic.needs_bursts = true; // never content
	assert_int_equal(set_rate(GBIT, why), -EIO);
	assert_non_null(strstr(why, "the shaper: size of bursts"));
	assert_untouched();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_bounds_and_queues_are_equal_leaves),
		cmocka_unit_test(card_is_never_slower_than_the_scheduler),
		cmocka_unit_test(card_without_traffic_management_is_left_alone),
		cmocka_unit_test(card_that_lacks_something_is_not_tried),
		cmocka_unit_test(rate_out_of_the_range_of_the_card_is_not_tried),
		cmocka_unit_test(size_of_bursts_is_named_where_it_may_be),
		cmocka_unit_test(refusal_at_any_step_leaves_the_card_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
