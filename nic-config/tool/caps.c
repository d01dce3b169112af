// SPDX-License-Identifier: Apache-2.0
#include "caps.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_mbuf.h>
#include <rte_tm.h>

#include "host.h"
#include "nic-config/channels.h"
#include "nic-config/port.h"

#define MBUFS 4095
#define AF_PACKET_QUEUES_MAX 16

static int eal_start(void)
{
	char prefix[48];
	char *argv[] = {"pane-nic", "--no-huge", "--no-shconf", "--no-telemetry",         "-m",
			"64",       "-l",        "0",           "--log-level=*:critical", "--log-level=pmd.*:error",
			prefix};

	snprintf(prefix, sizeof(prefix), "--file-prefix=pane-nic-%d", (int)getpid());
	return rte_eal_init(sizeof(argv) / sizeof(argv[0]), argv) < 0 ? -rte_errno : 0;
}

// Would the device itself drop what one address sends?
static bool can_drop(uint16_t port)
{
	const struct rte_flow_item_ipv4 from = {.hdr = {.src_addr = RTE_BE32(0x0a000001)}};
	const struct rte_flow_item_ipv4 whole = {.hdr = {.src_addr = RTE_BE32(0xffffffff)}};
	const struct rte_flow_item pattern[] = {
		{.type = RTE_FLOW_ITEM_TYPE_ETH},
		{.type = RTE_FLOW_ITEM_TYPE_IPV4, .spec = &from, .mask = &whole},
		{.type = RTE_FLOW_ITEM_TYPE_END},
	};
	const struct rte_flow_action actions[] = {{.type = RTE_FLOW_ACTION_TYPE_DROP},
						  {.type = RTE_FLOW_ACTION_TYPE_END}};
	const struct rte_flow_attr ingress = {.ingress = 1};
	struct rte_flow_error error;

	return rte_flow_validate(port, &ingress, pattern, actions, &error) == 0;
}

static uint32_t tm_levels(uint16_t port)
{
	struct rte_tm_capabilities caps = {0};
	struct rte_tm_error error;

	return rte_tm_capabilities_get(port, &caps, &error) == 0 ? caps.n_levels_max : 0;
}

// These drivers have as many as they were asked for when they were opened, here one.
static void most_queues(const char *device, uint16_t *rx, uint16_t *tx)
{
	char interface[NAME_MAX_BYTES];
	struct channels now;

	if (strncmp(device, "af_packet:", 10) == 0)
		*rx = *tx = AF_PACKET_QUEUES_MAX;
	if (strncmp(device, "af_xdp:", 7) != 0)
		return;
	snprintf(interface, sizeof(interface), "%.*s", (int)strcspn(device + 7, ","), device + 7);
	if (channels_get(interface, &now) < 0)
		return;
	*rx = now.rx;
	*tx = now.tx;
}

// What the switch takes.
static uint32_t max_mtu(const char *device, const struct rte_eth_dev_info *info)
{
	uint32_t by_kind = port_mtu_max(device);

	return strncmp(device, "pci:", 4) == 0 ? RTE_MIN(by_kind, (uint32_t)info->max_mtu) : by_kind;
}

static void print_head(FILE *to)
{
	fprintf(to, "%-26s %-14s %9s %8s %8s %-5s %-9s %-9s %s\n", "DEVICE", "DRIVER", "QUEUES", "MAX MTU", "Mb/s",
		"RSS", "CHECKSUM", "FLOW DROP", "TM");
}

static void print_port(const char *device, uint16_t port, FILE *to)
{
	uint16_t n_rx, n_tx;
	struct rte_eth_dev_info info = {0};
	struct port_caps caps;
	char queues[32], speed[32] = "-";

	if (rte_eth_dev_info_get(port, &info) < 0 || port_caps_get(port, &caps) < 0)
		return;
	n_rx = info.max_rx_queues;
	n_tx = info.max_tx_queues;
	most_queues(device, &n_rx, &n_tx);
	snprintf(queues, sizeof(queues), "%u+%u", n_rx, n_tx);
	if (caps.link_bps != 0)
		snprintf(speed, sizeof(speed), "%lu", caps.link_bps / 1000000);
	fprintf(to, "%-26s %-14s %9s %8u %8s %-5s %-9s %-9s %s\n", device, caps.driver, queues, max_mtu(device, &info),
		speed, info.flow_type_rss_offloads != 0 ? "yes" : "no",
		(info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_CHECKSUM) != 0 ? "yes" : "no", can_drop(port) ? "yes" : "no",
		tm_levels(port) != 0 ? "yes" : "no");
}

int caps_print(char **devices, int n, FILE *to)
{
	struct rte_mempool *pool;
	int rc = eal_start(), bad = 0, shown = 0;

	if (rc < 0) {
		fprintf(stderr, "pane-nic: DPDK does not start: %s\n", strerror(-rc));
		return rc;
	}
	pool = rte_pktmbuf_pool_create("caps", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (pool == NULL)
		return -ENOMEM;
	for (int i = 0; i < n; i++) {
		struct port_conf conf = {
			.device = devices[i], .n_queues = 1, .mtu = 1500, .without_program = true, .pool = pool};
		char why[PORT_ERR_MAX], name[16];
		uint16_t port;

		snprintf(name, sizeof(name), "c%d", i);
		conf.name = name;
		rc = port_open(&conf, &port, why);
		if (rc < 0) {
			fprintf(stderr, "pane-nic: %s\n", why);
			bad = rc;
			continue;
		}
		if (shown++ == 0)
			print_head(to);
		print_port(devices[i], port, to);
		port_close(port);
	}
	rte_eal_cleanup();
	return bad;
}
