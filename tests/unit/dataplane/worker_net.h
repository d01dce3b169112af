// SPDX-License-Identifier: Apache-2.0
// Three hosts behind three ports of a worker: frames between them, and what the tests of the worker do with each.
#pragma once
#include "tests/unit/dataplane/net_fixture.h"

#define H1 0x020000000001ull // behind port 0
#define H2 0x020000000002ull // behind port 1
#define H3 0x020000000003ull // behind port 2
#define BROADCAST 0xffffffffffffull
#define IP(n) (0x0a000000u + (n))

static struct net net;

static inline int open_net(void **state)
{
	net_open(&net, 3, NET_HZ, 0, 1023);
	return 0;
}

static inline int close_net(void **state)
{
	net_expect_all_accounted_for(&net);
	net_close(&net);
	return 0;
}

static inline struct frame udp(uint64_t dst, uint64_t src, uint32_t src_ip, uint32_t dst_ip, uint32_t payload)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, dst, src);
	at = frame_ip4(&f, src_ip, dst_ip, 17, 0, 0);
	frame_ports(&f, 1000, 2000);
	frame_put32(&f, 0);
	frame_pad(&f, payload, 0x5a);
	frame_ip4_end(&f, at);
	return f;
}

static inline struct frame arp(uint64_t dst, uint64_t src)
{
	struct frame f;

	frame_start(&f, dst, src);
	frame_put16(&f, 0x0806);
	frame_pad(&f, 28, 1);
	return f;
}

// H1, H2 and H3 have spoken; outputs are empty.
static inline void learn_all(void)
{
	static const uint64_t mac[] = {H1, H2, H3};

	for (uint16_t i = 0; i < 3; i++) {
		struct frame f = arp(BROADCAST, mac[i]);

		net_inject(&net, i, &f);
		net_turn(&net);
	}
	for (uint16_t i = 0; i < 3; i++)
		net_drain(net.tx[i]);
}

static inline void send_from(uint16_t port, const struct frame *f)
{
	net_inject(&net, port, f);
	net_turn(&net);
}

static inline struct box box_between(uint32_t src_ip, uint32_t dst_ip)
{
	struct box box = box_any();

	box.kinds = MATCH_KINDS_V4;
	box.src = match_ip4_prefix(src_ip, 32);
	box.dst = match_ip4_prefix(dst_ip, 32);
	return box;
}
