// SPDX-License-Identifier: Apache-2.0
// What a port is and how it is, read from ethdev and from the kernel.
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_bus.h>
#include <rte_dev.h>
#include <rte_ethdev.h>

#include "interface.h"
#include "port.h"
#include "port_channels.h"
#include "port_queues.h"

int port_caps_get(uint16_t port_id, struct port_caps *out)
{
	struct rte_eth_dev_info info;
	struct rte_ether_addr mac;
	struct rte_eth_link link;
	char name[IFNAMSIZ];
	int rc = rte_eth_dev_info_get(port_id, &info);

	memset(out, 0, sizeof(*out));
	if (rc == 0)
		rc = rte_eth_macaddr_get(port_id, &mac);
	if (rc < 0)
		return rc;
	snprintf(out->driver, sizeof(out->driver), "%s", info.driver_name);
	memcpy(out->mac, mac.addr_bytes, sizeof(out->mac));
	out->max_frame_bytes = (uint16_t)RTE_MIN(port_mtu(port_id) + PORT_L2_OVERHEAD_BYTES, UINT16_MAX);
	out->n_rx_queues = info.nb_rx_queues;
	out->n_tx_queues = port_channels_tx(port_id, info.nb_tx_queues);
	out->rx_copies = strncmp(info.driver_name, "net_af_", 7) == 0;
	out->partial_checksums =
		out->rx_copies && if_indextoname(info.if_index, name) != NULL && !interface_is_card(name);
	out->up = port_is_up(port_id);
	// what virtual drivers say of their speed is made up
	if (strcmp(rte_bus_name(rte_dev_bus(info.device)), "pci") == 0 &&
	    rte_eth_link_get_nowait(port_id, &link) == 0 && link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		out->link_bps = link.link_speed * UINT64_C(1000000);
	return 0;
}

bool port_is_up(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	struct rte_eth_link link;
	char name[IFNAMSIZ];

	if (rte_eth_dev_info_get(port_id, &info) < 0)
		return false;
	// the drivers over a kernel interface do not all follow its state
	if (info.if_index != 0)
		return if_indextoname(info.if_index, name) != NULL && interface_is_up(name);
	return rte_eth_link_get_nowait(port_id, &link) == 0 && link.link_status == RTE_ETH_LINK_UP;
}

bool port_is_gone(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	char name[IFNAMSIZ];

	if (rte_eth_dev_info_get(port_id, &info) < 0)
		return true;
	if (info.if_index != 0)
		return if_indextoname(info.if_index, name) == NULL;
	return rte_eth_dev_is_removed(port_id) == 1;
}
