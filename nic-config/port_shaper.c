// SPDX-License-Identifier: Apache-2.0
#include "port_shaper.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>

#include <rte_ethdev.h>
#include <rte_tm.h>

#define PROFILE 0      // the one shaper's
#define BURST_FRAMES 8 // of the longest, back to back

// The scheduler counts a shortest frame as 60 bytes; a card may add checksum, preamble and gap (24).
#define SHORTEST_BYTES 60
#define SHORTEST_WIRE_BYTES (SHORTEST_BYTES + RTE_TM_ETH_FRAMING_OVERHEAD_FCS)

struct tree {
	uint16_t port_id, n_queues;
	uint32_t leaf_level; // one node on each level above
	uint32_t root;       // number of the root; those below count down
	uint64_t rate;       // bytes a second
	uint32_t n_made;     // nodes, in order of tree_node
	bool has_profile;
};

static const char *said(const struct rte_tm_error *error)
{
	return error->message != NULL ? error->message : "refused";
}

static int root_check(const struct rte_tm_level_capabilities *level, const struct tree *t, char why[WHY_BYTES])
{
	uint64_t min = level->nonleaf.shaper_private_rate_min, max = level->nonleaf.shaper_private_rate_max;

	if (!level->nonleaf.shaper_private_supported)
		return why_fail(why, ENOSYS, "its root has no shaper");
	if (level->nonleaf.shaper_private_packet_mode_supported && !level->nonleaf.shaper_private_byte_mode_supported)
		return why_fail(why, ENOSYS, "its shaper counts packets only");
	if (t->rate < min || t->rate > max)
		return why_fail(why, ERANGE,
				"its shaper takes %" PRIu64 " to %" PRIu64 " bytes a second, %" PRIu64 " are needed",
				min, max, t->rate);
	return 0;
}

// A node with no room for its children would be refused only at the last of them.
static int parent_check(const struct rte_tm_level_capabilities *level, uint32_t n_children, char why[WHY_BYTES])
{
	if (level->n_nodes_nonleaf_max == 0)
		return why_fail(why, ENOSYS, "it has no nodes between the root and the queues");
	// 0: the driver does not say how it serves equals; 1: it does not
	if (level->nonleaf.sched_n_children_max < n_children ||
	    (n_children > 1 && level->nonleaf.sched_wfq_n_children_per_group_max == 1))
		return why_fail(why, ENOSYS, "a node does not serve %u equal queues", n_children);
	return 0;
}

// Finds the level of the leaves: the first below the root with room for all queues.
static int levels_check(struct tree *t, uint32_t n_levels, char why[WHY_BYTES])
{
	struct rte_tm_level_capabilities level = {0}, above;
	struct rte_tm_error error = {0};
	int rc;

	for (uint32_t l = 0; l < n_levels; l++) {
		above = level;
		level = (struct rte_tm_level_capabilities){0};
		if (rte_tm_level_capabilities_get(t->port_id, l, &level, &error) < 0)
			return why_fail(why, ENOSYS, "its level %u: %s", l, said(&error));
		if (l > 0 && level.n_nodes_leaf_max >= t->n_queues) {
			t->leaf_level = l;
			return parent_check(&above, t->n_queues, why);
		}
		rc = parent_check(&level, 1, why);
		if (rc == 0 && l == 0)
			rc = root_check(&level, t, why);
		if (rc < 0)
			return rc;
	}
	return why_fail(why, ENOSYS, "no level has %u leaves", t->n_queues);
}

static int caps_check(struct tree *t, char why[WHY_BYTES])
{
	struct rte_tm_capabilities caps = {0};
	struct rte_tm_error error = {0};
	int rc;

	if (rte_tm_capabilities_get(t->port_id, &caps, &error) < 0 || caps.n_levels_max == 0)
		return why_fail(why, ENOTSUP, "the device offers no traffic management");
	if (caps.shaper_private_n_max == 0)
		return why_fail(why, ENOSYS, "it has no shapers");
	rc = levels_check(t, caps.n_levels_max, why);
	if (rc < 0)
		return rc;
	if (caps.n_nodes_max < t->n_queues + t->leaf_level)
		return why_fail(why, ENOSYS, "it has %u nodes, %u are needed", caps.n_nodes_max,
				t->n_queues + t->leaf_level);
	// queues are 0, 1, ... by definition; some cards want the root to be the last that there can be
	t->root = caps.n_nodes_max - 1;
	return 0;
}

// The i-th node made: the chain from the root, then the queues.
static uint32_t tree_node(const struct tree *t, uint32_t i)
{
	return i < t->leaf_level ? t->root - i : i - t->leaf_level;
}

static int node_add(struct tree *t, struct rte_tm_error *error)
{
	uint32_t i = t->n_made, level = RTE_MIN(i, t->leaf_level);
	uint32_t parent = level == 0 ? RTE_TM_NODE_ID_NULL : tree_node(t, level - 1);
	struct rte_tm_node_params params = {.shaper_profile_id = i == 0 ? PROFILE : RTE_TM_SHAPER_PROFILE_ID_NONE};

	if (level < t->leaf_level)
		params.nonleaf.n_sp_priorities = 1;
	else
		params.leaf.wred.wred_profile_id = RTE_TM_WRED_PROFILE_ID_NONE;
	if (rte_tm_node_add(t->port_id, tree_node(t, i), parent, 0, 1, level, &params, error) < 0)
		return -EIO;
	t->n_made++;
	return 0;
}

// Some cards take no size of bursts, others want one.
static int profile_add(struct tree *t, uint32_t frame_bytes, struct rte_tm_error *error)
{
	struct rte_tm_shaper_params params = {.peak = {.rate = t->rate, .size = BURST_FRAMES * (uint64_t)frame_bytes}};

	t->has_profile = rte_tm_shaper_profile_add(t->port_id, PROFILE, &params, error) == 0;
	if (!t->has_profile) {
		params.peak.size = 0;
		t->has_profile = rte_tm_shaper_profile_add(t->port_id, PROFILE, &params, error) == 0;
	}
	return t->has_profile ? 0 : -EIO;
}

// What the driver has cleared by itself it does not find: no matter.
static void tree_undo(struct tree *t)
{
	struct rte_tm_error error;

	for (; t->n_made > 0; t->n_made--)
		rte_tm_node_delete(t->port_id, tree_node(t, t->n_made - 1), &error);
	if (t->has_profile)
		rte_tm_shaper_profile_delete(t->port_id, PROFILE, &error);
}

static int tree_make(struct tree *t, uint32_t frame_bytes, char why[WHY_BYTES])
{
	struct rte_tm_error error = {0};
	int rc = profile_add(t, frame_bytes, &error);

	while (rc == 0 && t->n_made < t->leaf_level + t->n_queues)
		rc = node_add(t, &error);
	if (rc == 0 && rte_tm_hierarchy_commit(t->port_id, 1, &error) < 0)
		rc = -EIO;
	if (rc < 0)
		why_fail(why, -rc, "it refused %s: %s",
			 !t->has_profile                           ? "the shaper"
			 : t->n_made < t->leaf_level + t->n_queues ? "a node"
								   : "the hierarchy",
			 said(&error));
	return rc;
}

int port_shaper_set(uint16_t port_id, uint64_t rate_bps, uint32_t frame_bytes, char why[WHY_BYTES])
{
	struct rte_eth_dev_info info;
	struct tree t = {.port_id = port_id};
	int rc = rte_eth_dev_info_get(port_id, &info);

	if (rc < 0)
		return why_fail(why, -rc, "the device cannot be asked what it is");
	t.n_queues = info.nb_tx_queues;
	t.rate = rate_bps / 8 / SHORTEST_BYTES * SHORTEST_WIRE_BYTES + SHORTEST_WIRE_BYTES;
	rc = caps_check(&t, why);
	if (rc == 0)
		rc = tree_make(&t, frame_bytes, why);
	if (rc < 0)
		tree_undo(&t);
	return rc;
}
