// SPDX-License-Identifier: Apache-2.0
// Linear probing with deletion by shifting back, so there are no tombstones and an unsuccessful search stays short.
// A flushed port gets a new epoch: entries of older epochs count as expired and are swept like those.
#include "fdb.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PROBES_MAX 64 // more than chance ever needs at half load; a bound on what a hostile sender can cost

struct entry {
	uint64_t key; // vlan << 48 | mac; 0: free
	uint32_t seen;
	uint16_t port;
	uint16_t epoch;
};

struct fdb {
	uint64_t seed;
	uint32_t mask, n, n_max, ageing_ticks, cursor;
	uint16_t epoch[FDB_PORTS_MAX];
	struct entry slot[];
};

static uint64_t key_of(uint16_t vlan, uint64_t mac)
{
	return (uint64_t)vlan << 48 | mac;
}

static uint32_t home_of(const struct fdb *fdb, uint64_t key)
{
	__extension__ unsigned __int128 wide = (unsigned __int128)(key ^ fdb->seed) * 0x9e3779b97f4a7c15u;
	uint64_t h = (uint64_t)wide ^ (uint64_t)(wide >> 64);

	h = (h ^ (fdb->seed >> 32)) * 0xd6e8feb86659fd93u;
	return (uint32_t)(h >> 32) & fdb->mask;
}

static bool is_stale(const struct fdb *fdb, const struct entry *e, uint32_t now)
{
	return now - e->seen >= fdb->ageing_ticks || e->epoch != fdb->epoch[e->port];
}

// The slot of the key, or a free one; NULL: neither within the bound.
static struct entry *probe(struct fdb *fdb, uint64_t key)
{
	uint32_t i = home_of(fdb, key);

	for (int n = 0; n < PROBES_MAX; n++, i = (i + 1) & fdb->mask) {
		if (fdb->slot[i].key == key || fdb->slot[i].key == 0)
			return &fdb->slot[i];
	}
	return NULL;
}

struct fdb *fdb_create(uint32_t n_entries, uint32_t ageing_ticks, uint64_t seed, struct err *err)
{
	uint64_t n_slots = 2;
	struct fdb *fdb;

	while (n_slots < (uint64_t)n_entries * 2)
		n_slots *= 2;
	if (n_entries == 0 || n_slots > UINT32_MAX || ageing_ticks == 0 || ageing_ticks > INT32_MAX) {
		err_set(err, EINVAL, "address table: %u entries, ageing %u ticks", n_entries, ageing_ticks);
		return NULL;
	}
	fdb = aligned_alloc(64, (sizeof(*fdb) + n_slots * sizeof(fdb->slot[0]) + 63) & ~63ul);
	if (fdb == NULL) {
		err_set(err, ENOMEM, "address table: no memory for %u entries", n_entries);
		return NULL;
	}
	memset(fdb, 0, sizeof(*fdb) + n_slots * sizeof(fdb->slot[0]));
	fdb->seed = seed;
	fdb->mask = (uint32_t)(n_slots - 1);
	fdb->n_max = n_entries;
	fdb->ageing_ticks = ageing_ticks;
	return fdb;
}

void fdb_destroy(struct fdb *fdb)
{
	free(fdb);
}

enum fdb_learned fdb_learn(struct fdb *fdb, uint16_t vlan, uint64_t mac, uint16_t port, uint32_t now)
{
	uint64_t key = key_of(vlan, mac);
	struct entry *e = probe(fdb, key), old;
	enum fdb_learned how;

	if (e == NULL || (e->key == 0 && fdb->n == fdb->n_max))
		return FDB_FULL;
	old = *e;
	*e = (struct entry){.key = key, .seen = now, .port = port, .epoch = fdb->epoch[port]};
	if (old.key == 0) {
		fdb->n++;
		how = FDB_NEW;
	} else if (is_stale(fdb, &old, now)) {
		how = FDB_NEW;
	} else {
		how = old.port == port ? FDB_KNOWN : FDB_MOVED;
	}
	return how;
}

uint16_t fdb_find(const struct fdb *fdb, uint16_t vlan, uint64_t mac, uint32_t now)
{
	const struct entry *e = probe((struct fdb *)(uintptr_t)fdb, key_of(vlan, mac));

	if (e == NULL || e->key == 0 || is_stale(fdb, e, now))
		return FDB_PORT_NONE;
	return e->port;
}

void fdb_flush_port(struct fdb *fdb, uint16_t port)
{
	fdb->epoch[port]++;
}

// Closes the gap at i: each later entry of the run moves back unless that would put it before its home.
static void remove_slot(struct fdb *fdb, uint32_t i)
{
	uint32_t j = i;

	for (;;) {
		j = (j + 1) & fdb->mask;
		if (fdb->slot[j].key == 0)
			break;
		if (((j - home_of(fdb, fdb->slot[j].key)) & fdb->mask) >= ((j - i) & fdb->mask)) {
			fdb->slot[i] = fdb->slot[j];
			i = j;
		}
	}
	fdb->slot[i].key = 0;
	fdb->n--;
}

void fdb_age(struct fdb *fdb, uint32_t n_slots, uint32_t now)
{
	for (; n_slots > 0; n_slots--) {
		struct entry *e = &fdb->slot[fdb->cursor];

		if (e->key != 0 && is_stale(fdb, e, now))
			remove_slot(fdb, fdb->cursor); // what moves here is looked at in the next step
		else
			fdb->cursor = (fdb->cursor + 1) & fdb->mask;
	}
}

uint32_t fdb_n_slots(const struct fdb *fdb)
{
	return fdb->mask + 1;
}

uint32_t fdb_n_entries(const struct fdb *fdb)
{
	return fdb->n;
}
