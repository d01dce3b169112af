// SPDX-License-Identifier: Apache-2.0
#include "sights.h"

#include <endian.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <rte_hash_crc.h>

#define LATELY 1024 // places for what was told, power of two
#define RING 1024   // power of two
#define FULL_BITS 3 // of 2^3 full bursts a frame is noted: they come by the hundred thousand a second

struct told {
	struct sight sight; // mac 0: free
	uint32_t tick;
};

struct sights {
	uint32_t again_ticks;
	uint32_t n_bursts;           // writer's
	_Atomic uint32_t head, tail; // writer; reader
	struct told lately[LATELY];
	struct sight ring[RING];
};

struct sights *sights_create(uint32_t again_ticks, struct err *err)
{
	struct sights *s = calloc(1, sizeof(*s));

	if (s == NULL)
		err_set(err, ENOMEM, "no memory for addresses seen");
	else
		s->again_ticks = again_ticks;
	return s;
}

void sights_destroy(struct sights *s)
{
	free(s);
}

static u128 ip6(const uint32_t be[4])
{
	u128 addr = 0;

	for (int i = 0; i < 4; i++)
		addr = addr << 32 | be32toh(be[i]);
	return addr;
}

// Unspecified, loopback and group addresses are nobody's.
static struct sight sight_of(const struct pkt *pkt, uint16_t port)
{
	struct sight s = {.mac = pkt->src_mac, .vlan = pkt->vlan, .port = port};

	if (pkt->family == PKT_IP4) {
		uint32_t addr = be32toh(pkt->ip4.src_be);

		if (addr >> 24 == 0 || addr >> 24 == 127 || addr >> 28 >= 0xe)
			return s;
		s.addr = match_ip4(addr);
		s.kinds = MATCH_KINDS_V4;
	} else if (pkt->family == PKT_IP6) {
		s.addr = ip6(pkt->ip6.src_be);
		s.kinds = MATCH_KINDS_V6;
		if (s.addr <= 1 || s.addr >> 120 == 0xff) {
			s.addr = 0;
			s.kinds = 0;
		}
	}
	return s;
}

static bool same(const struct sight *a, const struct sight *b)
{
	return a->mac == b->mac && a->addr == b->addr && a->vlan == b->vlan && a->port == b->port &&
	       a->kinds == b->kinds;
}

void sights_note(struct sights *s, const struct pkt *pkt, uint16_t port, uint32_t tick)
{
	struct sight sight = sight_of(pkt, port);
	uint32_t hash = rte_hash_crc_8byte((uint64_t)sight.addr, (uint32_t)sight.vlan << 16 | port);
	uint32_t head = atomic_load_explicit(&s->head, memory_order_relaxed);
	struct told *told;

	hash = rte_hash_crc_8byte(sight.mac, rte_hash_crc_8byte((uint64_t)(sight.addr >> 64), hash));
	told = &s->lately[hash & (LATELY - 1)];
	if (same(&told->sight, &sight) && tick - told->tick < s->again_ticks)
		return;
	if (head - atomic_load_explicit(&s->tail, memory_order_acquire) == RING)
		return;
	s->ring[head & (RING - 1)] = sight;
	atomic_store_explicit(&s->head, head + 1, memory_order_release);
	*told = (struct told){sight, tick};
}

// Which bursts of all are looked at is as good as random, so that no queue of those that take turns is left out.
void sights_note_burst(struct sights *s, const struct pkt *pkts, uint32_t n, uint16_t port, uint32_t tick)
{
	uint32_t any = ++s->n_bursts * 0x9e3779b1u;
	const struct pkt *pkt = &pkts[(uint64_t)(uint32_t)(any << FULL_BITS) * n >> 32];

	if (n == PKT_BURST && any >> (32 - FULL_BITS) != 0)
		return;
	if (pkt->verdict == PKT_OK)
		sights_note(s, pkt, port, tick);
}

bool sights_next(struct sights *s, struct sight *out)
{
	uint32_t tail = atomic_load_explicit(&s->tail, memory_order_relaxed);

	if (tail == atomic_load_explicit(&s->head, memory_order_acquire))
		return false;
	*out = s->ring[tail & (RING - 1)];
	atomic_store_explicit(&s->tail, tail + 1, memory_order_release);
	return true;
}
