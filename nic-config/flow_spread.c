// SPDX-License-Identifier: Apache-2.0
#include "flow_spread.h"

#include <stdbool.h>

#include <rte_common.h>
#include <rte_ethdev.h>
#include <rte_flow.h>

#include "port_queues.h"

#define PATTERN_ITEMS 4 // Ethernet, IP, ports, the end

// What has a rule of its own. A frame that two rules match goes by either: both hash all frames of its kind alike.
struct spread_kind {
	enum rte_flow_item_type ip, l4; // END: any
	uint64_t fields;
};

static const struct spread_kind kinds[] = {
	{RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_TCP, RTE_ETH_RSS_NONFRAG_IPV4_TCP},
	{RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_UDP, RTE_ETH_RSS_NONFRAG_IPV4_UDP},
	{RTE_FLOW_ITEM_TYPE_IPV4, RTE_FLOW_ITEM_TYPE_END,
	 RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_FRAG_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_OTHER},
	{RTE_FLOW_ITEM_TYPE_IPV6, RTE_FLOW_ITEM_TYPE_TCP, RTE_ETH_RSS_NONFRAG_IPV6_TCP},
	{RTE_FLOW_ITEM_TYPE_IPV6, RTE_FLOW_ITEM_TYPE_UDP, RTE_ETH_RSS_NONFRAG_IPV6_UDP},
	{RTE_FLOW_ITEM_TYPE_IPV6, RTE_FLOW_ITEM_TYPE_END,
	 RTE_ETH_RSS_IPV6 | RTE_ETH_RSS_FRAG_IPV6 | RTE_ETH_RSS_NONFRAG_IPV6_OTHER},
};

static struct {
	uint32_t n;
	struct rte_flow *flow[RTE_DIM(kinds)];
} rules[RTE_MAX_ETHPORTS];

// Below the drop rules (flow_filter.h) where the device knows priorities. Validated first: what is refused then has
// changed nothing. NULL: refused.
static struct rte_flow *rule_make(uint16_t port_id, const struct spread_kind *kind, struct rte_flow_action_rss rss)
{
	struct rte_flow_attr attr = {.ingress = 1, .priority = 1};
	const struct rte_flow_item pattern[PATTERN_ITEMS] = {{.type = RTE_FLOW_ITEM_TYPE_ETH},
							     {.type = kind->ip},
							     {.type = kind->l4},
							     {.type = RTE_FLOW_ITEM_TYPE_END}};
	const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_RSS, .conf = &rss},
						  {.type = RTE_FLOW_ACTION_TYPE_END}};
	struct rte_flow_error error = {0};

	rss.types = kind->fields;
	if (rte_flow_validate(port_id, &attr, pattern, actions, &error) < 0) {
		attr.priority = 0;
		if (rte_flow_validate(port_id, &attr, pattern, actions, &error) < 0)
			return NULL;
	}
	return rte_flow_create(port_id, &attr, pattern, actions, &error);
}

static bool spreads_by_itself(uint16_t port_id)
{
	struct rte_eth_conf eth;

	return rte_eth_dev_conf_get(port_id, &eth) < 0 || (eth.rxmode.mq_mode & RTE_ETH_MQ_RX_RSS_FLAG) != 0;
}

uint32_t flow_spread_set(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	uint16_t queue[RTE_MAX_QUEUES_PER_PORT];
	struct rte_flow_action_rss rss = {.queue = queue};

	flow_spread_forget(port_id); // of a device that had this number before
	if (rte_eth_dev_info_get(port_id, &info) < 0 || info.nb_rx_queues < 2 || spreads_by_itself(port_id))
		return 0;
	for (uint16_t q = 0; q < info.nb_rx_queues; q++)
		queue[q] = q;
	rss.queue_num = info.nb_rx_queues;
	for (uint32_t k = 0; k < RTE_DIM(kinds); k++) {
		struct rte_flow *flow;

		rss.func = RTE_ETH_HASH_FUNCTION_SYMMETRIC_TOEPLITZ;
		rss.key = NULL;
		rss.key_len = 0;
		flow = rule_make(port_id, &kinds[k], rss);
		if (flow == NULL && info.hash_key_size > 0 && info.hash_key_size <= PORT_RSS_KEY_BYTES) {
			rss.func = RTE_ETH_HASH_FUNCTION_TOEPLITZ;
			rss.key = port_rss_key();
			rss.key_len = info.hash_key_size;
			flow = rule_make(port_id, &kinds[k], rss);
		}
		if (flow != NULL)
			rules[port_id].flow[rules[port_id].n++] = flow;
	}
	return rules[port_id].n;
}

void flow_spread_clear(uint16_t port_id)
{
	struct rte_flow_error error;

	// one that the device keeps goes when the port is closed, and does no harm until then
	for (; rules[port_id].n > 0; rules[port_id].n--)
		rte_flow_destroy(port_id, rules[port_id].flow[rules[port_id].n - 1], &error);
}

void flow_spread_forget(uint16_t port_id)
{
	rules[port_id].n = 0;
}
