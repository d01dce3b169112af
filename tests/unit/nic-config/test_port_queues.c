// SPDX-License-Identifier: Apache-2.0
// Queues of a played device: how many it gets, by which hash they are filled, and what is done without when it refuses.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_thash.h>

#include "nic-config/port.h"
#include "nic-config/port_queues.h"

#define PORT 5
#define ROOM_BYTES 2048
#define MTU 1500
#define FLOWS 4096
#define SLOTS 128 // of a card's table from hash to queue
#define QUEUES_MAX 8

// --- the device: these take the places of rte_ethdev's

static struct {
	struct rte_eth_dev_info info;
	bool refuses_rss;
	int configure_rc, rx_rc, tx_rc, mtu_rc, promiscuous_rc;
	uint32_t n_configured, n_rx, n_tx, n_mtu;
	uint16_t rx_queues, tx_queues, rx_desc, tx_desc;
	struct rte_eth_conf eth;
} nic;

int rte_eth_dev_info_get(uint16_t port_id, struct rte_eth_dev_info *info)
{
	assert_int_equal(port_id, PORT);
	*info = nic.info;
	return 0;
}

int rte_eth_dev_configure(uint16_t port_id, uint16_t n_rx, uint16_t n_tx, const struct rte_eth_conf *eth)
{
	nic.n_configured++;
	nic.rx_queues = n_rx;
	nic.tx_queues = n_tx;
	nic.eth = *eth;
	assert_true(n_rx <= nic.info.max_rx_queues || n_rx == 1);
	assert_true(n_tx <= nic.info.max_tx_queues || n_tx == 1);
	if (eth->rxmode.mq_mode == RTE_ETH_MQ_RX_RSS && nic.refuses_rss)
		return -ENOTSUP;
	return nic.configure_rc;
}

int rte_eth_dev_adjust_nb_rx_tx_desc(uint16_t port_id, uint16_t *n_rx, uint16_t *n_tx)
{
	*n_rx = RTE_MIN(*n_rx, nic.info.rx_desc_lim.nb_max);
	*n_tx = RTE_MIN(*n_tx, nic.info.tx_desc_lim.nb_max);
	return 0;
}

int rte_eth_rx_queue_setup(uint16_t port_id, uint16_t queue, uint16_t n_desc, unsigned int socket,
			   const struct rte_eth_rxconf *conf, struct rte_mempool *pool)
{
	assert_int_equal(queue, nic.n_rx);
	nic.n_rx++;
	nic.rx_desc = n_desc;
	return nic.rx_rc;
}

int rte_eth_tx_queue_setup(uint16_t port_id, uint16_t queue, uint16_t n_desc, unsigned int socket,
			   const struct rte_eth_txconf *conf)
{
	assert_int_equal(queue, nic.n_tx);
	nic.n_tx++;
	nic.tx_desc = n_desc;
	return nic.tx_rc;
}

int rte_eth_dev_set_mtu(uint16_t port_id, uint16_t mtu)
{
	assert_int_equal(mtu, MTU);
	nic.n_mtu++;
	return nic.mtu_rc;
}

int rte_eth_promiscuous_enable(uint16_t port_id)
{
	return nic.promiscuous_rc;
}

static struct rte_mempool *pool_of(uint32_t room)
{
	static _Alignas(64) uint8_t memory[sizeof(struct rte_mempool) + sizeof(struct rte_pktmbuf_pool_private)];
	struct rte_mempool *pool = (struct rte_mempool *)memory;
	struct rte_pktmbuf_pool_private *private = rte_mempool_get_priv(pool);

	private->mbuf_data_room_size = (uint16_t)(room + RTE_PKTMBUF_HEADROOM);
	return pool;
}

static struct port_conf wanted(uint16_t n_queues)
{
	return (struct port_conf){.name = "p",
				  .device = "pci:0000:03:00.0",
				  .n_queues = n_queues,
				  .mtu = MTU,
				  .pool = pool_of(ROOM_BYTES)};
}

// A card of the usual kind.
static int plug_in(void **state)
{
	memset(&nic, 0, sizeof(nic));
	nic.info.max_rx_queues = 16;
	nic.info.max_tx_queues = 16;
	nic.info.max_rx_pktlen = 9728;
	nic.info.hash_key_size = 40;
	nic.info.flow_type_rss_offloads = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP | RTE_ETH_RSS_L2_PAYLOAD;
	nic.info.rx_desc_lim.nb_max = 512;
	nic.info.tx_desc_lim.nb_max = 256;
	return 0;
}

static void configured(const struct port_conf *conf)
{
	char why[PORT_ERR_MAX] = "";

	if (port_configure(conf, PORT, why) != 0)
		fail_msg("refused: %s", why);
	assert_int_equal(nic.n_rx, nic.rx_queues);
	assert_int_equal(nic.n_tx, nic.tx_queues);
	assert_int_equal(nic.eth.rxmode.mtu, conf->mtu);
}

static void refused(const struct port_conf *conf, int rc, const char *what)
{
	char why[PORT_ERR_MAX] = "";

	assert_int_equal(port_configure(conf, PORT, why), rc);
	if (strstr(why, what) == NULL || strstr(why, conf->device) == NULL)
		fail_msg("expected \"%s\" and the device, got \"%s\"", what, why);
}

// --- queues

static void it_gets_as_many_queues_as_it_has_in_both_directions(void **state)
{
	static const struct {
		uint16_t wanted, max_rx, max_tx, n;
	} cases[] = {{4, 16, 16, 4}, {4, 2, 16, 2},  {4, 16, 3, 3}, {4, 1, 1, 1},
		     {1, 16, 16, 1}, {0, 16, 16, 1}, {4, 8, 0, 1}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct port_conf conf = wanted(cases[i].wanted);

		plug_in(NULL);
		nic.info.max_rx_queues = cases[i].max_rx;
		nic.info.max_tx_queues = cases[i].max_tx;
		configured(&conf);
		assert_int_equal(nic.rx_queues, cases[i].n);
		assert_int_equal(nic.tx_queues, cases[i].n);
		assert_int_equal(nic.eth.rxmode.mq_mode, cases[i].n > 1 ? RTE_ETH_MQ_RX_RSS : RTE_ETH_MQ_RX_NONE);
	}
}

static void only_fields_that_it_can_hash_are_asked_for(void **state)
{
	struct port_conf conf = wanted(4);

	nic.info.flow_type_rss_offloads = RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP | RTE_ETH_RSS_L2_PAYLOAD;
	configured(&conf);
	assert_int_equal(nic.eth.rx_adv_conf.rss_conf.rss_hf, RTE_ETH_RSS_IPV4 | RTE_ETH_RSS_NONFRAG_IPV4_UDP);
	assert_ptr_equal(nic.eth.rx_adv_conf.rss_conf.rss_key, port_rss_key());
	assert_int_equal(nic.eth.rx_adv_conf.rss_conf.rss_key_len, 40);
}

static void a_key_longer_than_ours_is_left_to_the_device(void **state)
{
	struct port_conf conf = wanted(4);

	nic.info.hash_key_size = PORT_RSS_KEY_BYTES + 1;
	configured(&conf);
	assert_null(nic.eth.rx_adv_conf.rss_conf.rss_key);
	assert_int_equal(nic.eth.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
}

static void without_a_hash_it_keeps_its_queues(void **state)
{
	struct port_conf conf = wanted(4);

	nic.info.flow_type_rss_offloads = RTE_ETH_RSS_L2_PAYLOAD;
	configured(&conf);
	assert_int_equal(nic.rx_queues, 4);
	assert_int_equal(nic.eth.rxmode.mq_mode, RTE_ETH_MQ_RX_NONE);
	assert_int_equal(nic.n_configured, 1);
}

static void a_device_that_refuses_the_hash_is_asked_without(void **state)
{
	struct port_conf conf = wanted(4);

	nic.refuses_rss = true;
	configured(&conf);
	assert_int_equal(nic.n_configured, 2);
	assert_int_equal(nic.rx_queues, 4);
	assert_int_equal(nic.eth.rxmode.mq_mode, RTE_ETH_MQ_RX_NONE);
	assert_null(nic.eth.rx_adv_conf.rss_conf.rss_key);
}

static void a_refusal_says_what_was_asked_and_what_there_is(void **state)
{
	struct port_conf conf = wanted(4);

	nic.configure_rc = -EINVAL;
	refused(&conf, -EINVAL, "the driver refused 4 queues in each direction, frames of MTU 1500: Invalid argument");
	assert_int_equal(nic.n_configured, 2); // with a hash, without
	assert_int_equal(nic.n_rx + nic.n_tx, 0);
	plug_in(NULL);
	nic.rx_rc = -ENOMEM;
	refused(&conf, -ENOMEM, "receive queue: Cannot allocate memory");
	plug_in(NULL);
	nic.tx_rc = -EBUSY;
	refused(&conf, -EBUSY, "transmit queue: Device or resource busy");
	plug_in(NULL);
	nic.mtu_rc = -EINVAL;
	refused(&conf, -EINVAL, "MTU 1500: Invalid argument");
	plug_in(NULL);
	nic.promiscuous_rc = -EACCES;
	refused(&conf, -EACCES, "promiscuous mode: Permission denied");
	plug_in(NULL);
	nic.promiscuous_rc = -1; // what drivers say that have no reason
	refused(&conf, -1, "promiscuous mode: see the driver's own words above");
}

static void frames_that_fit_no_buffer_are_refused_before_anything_is_changed(void **state)
{
	struct port_conf conf = wanted(1);

	conf.mtu = ROOM_BYTES - PORT_L2_OVERHEAD_BYTES - 256; // what the kernel keeps of a buffer of af_xdp
	nic.info.if_index = 1;                                // its MTU is the kernel's
	configured(&conf);
	plug_in(NULL);
	conf.mtu++;
	refused(&conf, -EINVAL, "MTU 1771 does not fit buffers of 2048 bytes");
	assert_int_equal(nic.n_configured, 0);
}

static void what_a_device_does_not_know_is_done_without(void **state)
{
	struct port_conf conf = wanted(2);

	nic.mtu_rc = -ENOTSUP;
	nic.promiscuous_rc = -ENOTSUP;
	configured(&conf);
	assert_int_equal(nic.n_mtu, 1);
	plug_in(NULL);
	nic.info.if_index = 3; // port.c has set the interface's
	configured(&conf);
	assert_int_equal(nic.n_mtu, 0);
}

static void rings_are_as_long_as_it_can(void **state)
{
	struct port_conf conf = wanted(2);

	conf.rx_desc = 4096;
	conf.tx_desc = 128;
	configured(&conf);
	assert_int_equal(nic.rx_desc, 512);
	assert_int_equal(nic.tx_desc, 128);
}

// --- the key, against DPDK's Toeplitz hash in software

static uint32_t rnd(void)
{
	static uint64_t state;

	if (state == 0) {
		const char *text = getenv("PANE_SEED");

		state = text != NULL ? strtoull(text, NULL, 0) | 1 : 7;
		print_message("seed %llu\n", (unsigned long long)state);
	}
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(state >> 32);
}

struct way {
	uint32_t src[4], dst[4];
	uint16_t sport, dport;
};

static uint32_t hash(const struct way *w, uint32_t addr_words, bool ports)
{
	_Alignas(uint32_t) uint8_t key[PORT_RSS_KEY_BYTES];
	uint32_t tuple[9];

	memcpy(key, port_rss_key(), sizeof(key));
	memcpy(tuple, w->src, 4 * addr_words);
	memcpy(tuple + addr_words, w->dst, 4 * addr_words);
	tuple[2 * addr_words] = (uint32_t)w->sport << 16 | w->dport;
	return rte_softrss(tuple, 2 * addr_words + ports, key);
}

static struct way back(const struct way *w)
{
	struct way out = {.sport = w->dport, .dport = w->sport};

	memcpy(out.src, w->dst, sizeof(out.src));
	memcpy(out.dst, w->src, sizeof(out.dst));
	return out;
}

// kind 0: anybody with anybody; 1: neighbours with one server; 2: one pair of hosts, ports of one after the other.
static struct way any_way(unsigned int kind, uint32_t i)
{
	struct way w = {.sport = (uint16_t)(32768 + i), .dport = 443};

	for (int k = 0; k < 4; k++) {
		w.src[k] = kind == 0 ? rnd() : 0x0a000000;
		w.dst[k] = kind == 0 ? rnd() : 0xc0a80101;
	}
	if (kind == 1)
		w.src[0] = w.src[3] = 0x0a000000 + i;
	if (kind == 0)
		w.dport = (uint16_t)rnd();
	if (kind != 2)
		w.sport = (uint16_t)rnd();
	return w;
}

static void both_directions_of_a_flow_hash_alike(void **state)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct way there = any_way(i % 3, i), home = back(&there);

		for (uint32_t words = 1; words <= 4; words += 3) {
			assert_int_equal(hash(&there, words, true), hash(&home, words, true));
			assert_int_equal(hash(&there, words, false), hash(&home, words, false)); // fragments
		}
	}
}

// Each of n queues gets its share of the flows, and at most half as many again, or half of it less.
static void flows_are_spread_over_all_queues(void **state)
{
	for (unsigned int kind = 0; kind < 3; kind++) {
		for (uint32_t words = 1; words <= 4; words += 3) {
			uint32_t n_of[SLOTS] = {0};

			for (uint32_t i = 0; i < FLOWS; i++) {
				struct way w = any_way(kind, i);

				n_of[hash(&w, words, true) % SLOTS]++;
			}
			for (uint32_t queues = 2; queues <= QUEUES_MAX; queues++) {
				uint32_t n[QUEUES_MAX] = {0}, share = FLOWS / queues;

				for (uint32_t s = 0; s < SLOTS; s++)
					n[s % queues] += n_of[s];
				for (uint32_t q = 0; q < queues; q++)
					assert_in_range(n[q], share / 2, share + share / 2);
			}
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(it_gets_as_many_queues_as_it_has_in_both_directions, plug_in),
		cmocka_unit_test_setup(only_fields_that_it_can_hash_are_asked_for, plug_in),
		cmocka_unit_test_setup(a_key_longer_than_ours_is_left_to_the_device, plug_in),
		cmocka_unit_test_setup(without_a_hash_it_keeps_its_queues, plug_in),
		cmocka_unit_test_setup(a_device_that_refuses_the_hash_is_asked_without, plug_in),
		cmocka_unit_test_setup(a_refusal_says_what_was_asked_and_what_there_is, plug_in),
		cmocka_unit_test_setup(frames_that_fit_no_buffer_are_refused_before_anything_is_changed, plug_in),
		cmocka_unit_test_setup(what_a_device_does_not_know_is_done_without, plug_in),
		cmocka_unit_test_setup(rings_are_as_long_as_it_can, plug_in),
		cmocka_unit_test(both_directions_of_a_flow_hash_alike),
		cmocka_unit_test(flows_are_spread_over_all_queues),
	};

	return cmocka_run_group_tests_name("port_queues", tests, NULL, NULL);
}
