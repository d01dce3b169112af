// SPDX-License-Identifier: Apache-2.0
#include "port_queues.h"

#include <errno.h>
#include <string.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>

#include "memif_frames.h"
#include "port.h"
#include "port_kind.h"

#define RSS_FIELDS (RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_SCTP)

// Sixteen bits over and over: the Toeplitz hash is then the same when source and destination change places (Woo and
// Park, "Scalable TCP session monitoring with symmetric receive-side scaling", 2012).
// Drivers may keep the pointer as long as the device is configured.
uint8_t *port_rss_key(void)
{
	static uint8_t key[PORT_RSS_KEY_BYTES];

	for (int i = 0; i < PORT_RSS_KEY_BYTES; i += 2) {
		key[i] = 0x6d;
		key[i + 1] = 0x5a;
	}
	return key;
}

const char *port_driver_words(int rc)
{
	return rc == -1 ? "see the driver's own words above" : strerror(-rc);
}

static void spread_by_flow(const struct rte_eth_dev_info *info, struct rte_eth_conf *eth)
{
	uint64_t fields = info->flow_type_rss_offloads & RSS_FIELDS;

	if (fields == 0)
		return;
	eth->rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
	eth->rx_adv_conf.rss_conf.rss_hf = fields;
	if (info->hash_key_size <= PORT_RSS_KEY_BYTES) {
		eth->rx_adv_conf.rss_conf.rss_key = port_rss_key();
		eth->rx_adv_conf.rss_conf.rss_key_len = info->hash_key_size;
	}
}

static int setup_queues(const struct port_conf *conf, uint16_t port_id, uint16_t n_queues, char why[PORT_ERR_MAX])
{
	uint16_t n_rx = conf->rx_desc, n_tx = conf->tx_desc;
	int rc = 0;

	if (n_rx != 0 && n_tx != 0)
		rc = rte_eth_dev_adjust_nb_rx_tx_desc(port_id, &n_rx, &n_tx);
	for (uint16_t q = 0; q < n_queues && rc == 0; q++)
		rc = rte_eth_rx_queue_setup(port_id, q, n_rx, SOCKET_ID_ANY, NULL, conf->pool);
	if (rc < 0)
		return why_fail(why, -rc, "%s: receive queue: %s", conf->device, port_driver_words(rc));
	for (uint16_t q = 0; q < n_queues && rc == 0; q++)
		rc = rte_eth_tx_queue_setup(port_id, q, n_tx, SOCKET_ID_ANY, NULL);
	if (rc < 0)
		return why_fail(why, -rc, "%s: transmit queue: %s", conf->device, port_driver_words(rc));
	return 0;
}

static uint16_t mtus[RTE_MAX_ETHPORTS];

uint16_t port_mtu(uint16_t port_id)
{
	return mtus[port_id];
}

// Some drivers say less than they can: those are told less.
static uint16_t mtu_told(const struct port_conf *conf, const struct rte_eth_dev_info *info)
{
	const char *arg;
	const struct port_kind *kind = port_kind_find(conf->device, &arg);

	return kind != NULL && kind->longer_than_said
		       ? (uint16_t)RTE_MIN(conf->mtu, info->max_rx_pktlen - RTE_ETHER_HDR_LEN - RTE_ETHER_CRC_LEN)
		       : conf->mtu;
}

static int set_mtu(const struct port_conf *conf, uint16_t port_id, const struct rte_eth_dev_info *info,
		   char why[PORT_ERR_MAX])
{
	int rc = info->if_index == 0 ? rte_eth_dev_set_mtu(port_id, mtu_told(conf, info)) : 0;

	if (rc < 0 && rc != -ENOTSUP)
		return why_fail(why, -rc, "%s: MTU %u: %s", conf->device, conf->mtu, port_driver_words(rc));
	mtus[port_id] = conf->mtu;
	return 0;
}

static int refused(const struct port_conf *conf, const struct rte_eth_dev_info *info, uint16_t n_queues, int rc,
		   char why[PORT_ERR_MAX])
{
	char longest[48] = "";

	if (info->max_rx_pktlen < conf->mtu + (uint32_t)PORT_L2_OVERHEAD_BYTES)
		snprintf(longest, sizeof(longest), " (its longest frame has %u bytes)", info->max_rx_pktlen);
	return why_fail(why, -rc, "%s: the driver refused %u queues in each direction, frames of MTU %u%s: %s",
			conf->device, n_queues, conf->mtu, longest, port_driver_words(rc));
}

// Tags stay in the frames: no VLAN stripping, no filter.
int port_configure(const struct port_conf *conf, uint16_t port_id, char why[PORT_ERR_MAX])
{
	struct rte_eth_conf eth = {0};
	struct rte_eth_dev_info info;
	uint16_t n_queues;
	uint32_t room = rte_pktmbuf_data_room_size(conf->pool) - RTE_PKTMBUF_HEADROOM;
	int rc = rte_eth_dev_info_get(port_id, &info);

	if (rc < 0)
		return why_fail(why, -rc, "%s: cannot be asked what it is: %s", conf->device, port_driver_words(rc));
	if (room < port_room_bytes(conf->mtu))
		return why_fail(why, EINVAL, "%s: MTU %u does not fit buffers of %u bytes", conf->device, conf->mtu,
				room);
	n_queues = RTE_MIN(conf->n_queues, RTE_MIN(info.max_rx_queues, info.max_tx_queues));
	n_queues = RTE_MAX(n_queues, 1);
	eth.rxmode.mtu = mtu_told(conf, &info);
	if (n_queues > 1)
		spread_by_flow(&info, &eth);
	rc = rte_eth_dev_configure(port_id, n_queues, n_queues, &eth);
	if (rc < 0 && eth.rxmode.mq_mode == RTE_ETH_MQ_RX_RSS) { // perhaps by rules: flow_spread.h
		eth = (struct rte_eth_conf){.rxmode = {.mtu = mtu_told(conf, &info)}};
		rc = rte_eth_dev_configure(port_id, n_queues, n_queues, &eth);
	}
	if (rc < 0)
		return refused(conf, &info, n_queues, rc, why);
	rc = setup_queues(conf, port_id, n_queues, why);
	if (rc < 0)
		return rc;
	rc = set_mtu(conf, port_id, &info, why);
	if (rc < 0)
		return rc;
	rc = rte_eth_promiscuous_enable(port_id);
	if (rc < 0 && rc != -ENOTSUP)
		return why_fail(why, -rc, "%s: promiscuous mode: %s", conf->device, port_driver_words(rc));
	return 0;
}

void port_forget_received(uint16_t port_id)
{
	struct rte_eth_dev_info info;
	struct rte_mbuf *m[32];

	if (rte_eth_dev_info_get(port_id, &info) < 0 || strcmp(info.driver_name, "net_af_packet") != 0)
		return;
	for (uint16_t q = 0; q < info.nb_rx_queues; q++) {
		for (unsigned int i = 0; i < PORT_AF_PACKET_FRAMES / RTE_DIM(m); i++) {
			uint16_t n = rte_eth_rx_burst(port_id, q, m, RTE_DIM(m));

			rte_pktmbuf_free_bulk(m, n);
			if (n == 0)
				break;
		}
	}
}
