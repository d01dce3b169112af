// SPDX-License-Identifier: Apache-2.0
#include "hosts.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "hft/id_map.h"

#define AGAIN_NS INT64_C(10000000000) // it is told so often that a host is still seen

struct interface {
	uint64_t id; // vlan << 48 | mac
	int64_t seen_ns;
	int64_t told_ns; // that it was seen
	uint16_t port;
	uint8_t n_addrs;
	struct {
		u128 addr;
		uint8_t kinds;
	} addrs[HOSTS_ADDRS_MAX];
	TAILQ_ENTRY(interface) link;
};

TAILQ_HEAD(by_age, interface); // the one seen longest ago first

struct hosts {
	struct id_map by_id;
	struct by_age by_age, made_up;
	uint32_t n_made_up;
	int64_t ageing_ns;
};

struct hosts *hosts_create(int64_t ageing_ns, struct err *err)
{
	struct hosts *h = calloc(1, sizeof(*h));

	if (h == NULL) {
		err_set(err, ENOMEM, "no memory for hosts");
		return NULL;
	}
	TAILQ_INIT(&h->by_age);
	TAILQ_INIT(&h->made_up);
	h->ageing_ns = ageing_ns;
	return h;
}

static bool is_made_up(uint64_t id)
{
	return proto_is_made_up(id & UINT64_C(0xffffffffffff));
}

static struct by_age *list_of(struct hosts *h, uint64_t id)
{
	return is_made_up(id) ? &h->made_up : &h->by_age;
}

static void forget(struct hosts *h, struct interface *i)
{
	h->n_made_up -= is_made_up(i->id);
	TAILQ_REMOVE(list_of(h, i->id), i, link);
	id_map_take(&h->by_id, i->id);
	free(i);
}

void hosts_destroy(struct hosts *h)
{
	struct interface *i;

	if (h == NULL)
		return;
	while ((i = TAILQ_FIRST(&h->by_age)) != NULL || (i = TAILQ_FIRST(&h->made_up)) != NULL)
		forget(h, i);
	id_map_fini(&h->by_id);
	free(h);
}

uint32_t hosts_n(const struct hosts *h)
{
	return h->by_id.n;
}

// Its address number `addr`; none is told when there is no such one.
static void tell_one(const struct interface *i, uint16_t port, uint8_t addr, int64_t now_ns, hosts_tell *tell,
		     void *ctx)
{
	struct proto_host msg = {.port = port,
				 .vlan = (uint16_t)(i->id >> 48),
				 .age_ns = now_ns > i->seen_ns ? (uint64_t)(now_ns - i->seen_ns) : 0};

	for (int b = 0; b < 6; b++)
		msg.mac[b] = (uint8_t)(i->id >> (40 - 8 * b));
	if (addr < i->n_addrs && addr < HOSTS_ADDRS_MAX) {
		msg.addr = i->addrs[addr].addr;
		msg.kinds = i->addrs[addr].kinds;
	}
	tell(ctx, &msg);
}

static void tell_gone(const struct interface *i, hosts_tell *tell, void *ctx)
{
	tell_one(i, PROTO_NO_PORT, HOSTS_ADDRS_MAX, i->seen_ns, tell, ctx);
}

static void tell_all(const struct interface *i, int64_t now_ns, hosts_tell *tell, void *ctx)
{
	uint8_t addr = 0;

	do
		tell_one(i, i->port, addr, now_ns, tell, ctx);
	while (++addr < i->n_addrs);
}

static struct interface *add(struct hosts *h, uint64_t id)
{
	bool room = is_made_up(id) || h->by_id.n - h->n_made_up < HOSTS_MAX;
	struct interface *i = room ? calloc(1, sizeof(*i)) : NULL;

	if (i == NULL || id_map_put(&h->by_id, id, i) < 0) {
		free(i);
		return NULL;
	}
	i->id = id;
	h->n_made_up += is_made_up(id);
	return i;
}

// Of those at one port the oldest ones go: who sends many only takes room from what else comes in there.
static void keep_latest(struct hosts *h, uint16_t port, hosts_tell *tell, void *ctx)
{
	struct interface *i, *oldest = NULL;
	uint32_t n = 0;

	TAILQ_FOREACH_REVERSE(i, &h->made_up, by_age, link)
	{
		n += i->port == port;
		if (i->port == port)
			oldest = i;
	}
	if (n <= PROTO_MADE_UP_MAX)
		return;
	tell_gone(oldest, tell, ctx);
	forget(h, oldest);
}

// The address's number; n_addrs: it is not there.
static uint8_t find_addr(const struct interface *i, u128 addr, uint8_t kinds)
{
	uint8_t k = 0;

	while (k < i->n_addrs && (i->addrs[k].addr != addr || i->addrs[k].kinds != kinds))
		k++;
	return k;
}

// Returns whether it is new and there is room.
static bool add_addr(struct interface *i, u128 addr, uint8_t kinds)
{
	if (kinds == 0 || i->n_addrs == HOSTS_ADDRS_MAX || find_addr(i, addr, kinds) < i->n_addrs)
		return false;
	i->addrs[i->n_addrs].addr = addr;
	i->addrs[i->n_addrs++].kinds = kinds;
	return true;
}

void hosts_see(struct hosts *h, uint64_t mac, const struct proto_host *seen, int64_t now_ns, hosts_tell *tell,
	       void *ctx)
{
	uint64_t id = (uint64_t)seen->vlan << 48 | mac;
	struct interface *i = id_map_find(&h->by_id, id);
	bool is_new = i == NULL, moved, more;
	uint8_t addr;

	if (is_new)
		i = add(h, id);
	else
		TAILQ_REMOVE(list_of(h, id), i, link);
	if (i == NULL)
		return; // seen again, tried again
	TAILQ_INSERT_TAIL(list_of(h, id), i, link);
	i->seen_ns = now_ns;
	moved = is_new || i->port != seen->port;
	i->port = seen->port;
	if (moved && is_made_up(id))
		keep_latest(h, i->port, tell, ctx);
	more = add_addr(i, seen->addr, seen->kinds);
	if (more && i->n_addrs == 1 && !is_new)
		tell_gone(i, tell, ctx); // it was told without
	addr = find_addr(i, seen->addr, seen->kinds);
	if (moved)
		tell_all(i, now_ns, tell, ctx);
	else if ((more || now_ns - i->told_ns >= AGAIN_NS) && (addr < i->n_addrs || i->n_addrs == 0))
		tell_one(i, i->port, addr, now_ns, tell, ctx);
	else
		return;
	i->told_ns = now_ns;
}

static void age(struct hosts *h, const struct by_age *list, int64_t now_ns, hosts_tell *tell, void *ctx)
{
	struct interface *i;

	while ((i = TAILQ_FIRST(list)) != NULL && now_ns - i->seen_ns >= h->ageing_ns) {
		tell_gone(i, tell, ctx);
		forget(h, i);
	}
}

void hosts_age(struct hosts *h, int64_t now_ns, hosts_tell *tell, void *ctx)
{
	age(h, &h->by_age, now_ns, tell, ctx);
	age(h, &h->made_up, now_ns, tell, ctx);
}

void hosts_each(const struct hosts *h, int64_t now_ns, hosts_tell *tell, void *ctx)
{
	const struct interface *i;

	TAILQ_FOREACH (i, &h->by_age, link)
		tell_all(i, now_ns, tell, ctx);
	TAILQ_FOREACH (i, &h->made_up, link)
		tell_all(i, now_ns, tell, ctx);
}
