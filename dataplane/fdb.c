// SPDX-License-Identifier: Apache-2.0
// Linear probing with deletion by shifting back, so there are no tombstones and an unsuccessful search stays short.
// A flushed port gets a new epoch: entries of older epochs count as expired and are swept like those.
// An entry is two words. Readers take no lock: they read the key, what is known of it, and the key again; ten bits of
// the key's hash lie in the second word, so that the words of two entries do not pass for one. Changes take a lock, and
// give up where another has it; "seen again" is a compare-and-swap of the second word. While an entry moves back a
// reader may miss it: such a frame is flooded, as if it had come a moment earlier.
#include "fdb.h"

#include <assert.h>
#include <errno.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <rte_spinlock.h>

#define PROBES_MAX 64 // more than chance ever needs at half load; a bound on what a hostile sender can cost
#define PORT_BITS 6
#define EPOCH_BITS 16
#define TAG_BITS 10

static_assert(FDB_PORTS_MAX <= 1 << PORT_BITS, "a port fits its bits");

struct entry {
	_Atomic uint64_t key;  // vlan << 48 | mac; 0: free
	_Atomic uint64_t info; // struct info, packed
};

// What is known of a key: seen 32, port 6, epoch 16, tag 10 bits.
struct info {
	uint32_t seen;
	uint16_t port, epoch, tag;
};

struct fdb {
	uint64_t seed;
	uint32_t mask, n_max, ageing_ticks, cursor;
	rte_spinlock_t lock;
	_Atomic uint32_t n, changes;
	_Atomic uint16_t epoch[FDB_PORTS_MAX];
	alignas(64) struct entry slot[];
};

static uint64_t pack(struct info i)
{
	return (uint64_t)i.seen << 32 | (uint64_t)i.port << (EPOCH_BITS + TAG_BITS) | (uint64_t)i.epoch << TAG_BITS |
	       i.tag;
}

static struct info unpack(uint64_t w)
{
	return (struct info){.seen = (uint32_t)(w >> 32),
			     .port = (uint16_t)(w >> (EPOCH_BITS + TAG_BITS) & ((1u << PORT_BITS) - 1)),
			     .epoch = (uint16_t)(w >> TAG_BITS),
			     .tag = (uint16_t)(w & ((1u << TAG_BITS) - 1))};
}

static uint64_t key_of(uint16_t vlan, uint64_t mac)
{
	return (uint64_t)vlan << 48 | mac;
}

static uint64_t hash_of(const struct fdb *fdb, uint64_t key)
{
	__extension__ unsigned __int128 wide = (unsigned __int128)(key ^ fdb->seed) * 0x9e3779b97f4a7c15u;
	uint64_t h = (uint64_t)wide ^ (uint64_t)(wide >> 64);

	return (h ^ (fdb->seed >> 32)) * 0xd6e8feb86659fd93u;
}

static uint32_t home_of(const struct fdb *fdb, uint64_t hash)
{
	return (uint32_t)(hash >> 32) & fdb->mask;
}

static uint16_t tag_of(uint64_t hash)
{
	return (uint16_t)(hash >> (32 - TAG_BITS) & ((1u << TAG_BITS) - 1));
}

static uint16_t epoch_of(const struct fdb *fdb, uint16_t port)
{
	return atomic_load_explicit(&fdb->epoch[port], memory_order_relaxed);
}

static bool is_stale(const struct fdb *fdb, const struct info *i, uint32_t now)
{
	// signed: another worker's clock may be a tick ahead of ours
	return (int32_t)(now - i->seen) >= (int32_t)fdb->ageing_ticks || i->epoch != epoch_of(fdb, i->port);
}

static uint64_t key_at(const struct entry *e)
{
	return atomic_load_explicit(&e->key, memory_order_acquire);
}

// The slot of the key, or a free one; NULL: neither within the bound.
static struct entry *probe(const struct fdb *fdb, uint64_t key, uint64_t hash)
{
	uint32_t i = home_of(fdb, hash);

	for (int n = 0; n < PROBES_MAX; n++, i = (i + 1) & fdb->mask) {
		uint64_t at = key_at(&fdb->slot[i]);

		if (at == key || at == 0)
			return (struct entry *)(uintptr_t)&fdb->slot[i];
	}
	return NULL;
}

// true: *info belongs to key, and *word is how it is stored.
static bool read_entry(const struct entry *e, uint64_t key, uint64_t hash, struct info *info, uint64_t *word)
{
	*word = atomic_load_explicit(&e->info, memory_order_acquire);
	*info = unpack(*word);
	return info->tag == tag_of(hash) && atomic_load_explicit(&e->key, memory_order_relaxed) == key;
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
	rte_spinlock_init(&fdb->lock);
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

void fdb_prefetch(const struct fdb *fdb, uint16_t vlan, uint64_t mac)
{
	__builtin_prefetch(&fdb->slot[home_of(fdb, hash_of(fdb, key_of(vlan, mac)))]);
}

// Known on this port, and noted as seen now, without the lock.
static bool seen_again(struct fdb *fdb, uint64_t key, uint64_t hash, uint16_t port, uint32_t now)
{
	struct entry *e = probe(fdb, key, hash);
	struct info info;
	uint64_t word;

	if (e == NULL || key_at(e) != key || !read_entry(e, key, hash, &info, &word) || info.port != port ||
	    is_stale(fdb, &info, now))
		return false;
	if ((int32_t)(now - info.seen) <= 0)
		return true;
	info.seen = now;
	return atomic_compare_exchange_strong_explicit(&e->info, &word, pack(info), memory_order_relaxed,
						       memory_order_relaxed);
}

// Nobody may read one half of it with the other half of what was there.
static void write_entry(struct entry *e, uint64_t key, uint64_t word)
{
	if (atomic_load_explicit(&e->key, memory_order_relaxed) != key)
		atomic_store_explicit(&e->key, 0, memory_order_release);
	atomic_store_explicit(&e->info, word, memory_order_release);
	atomic_store_explicit(&e->key, key, memory_order_release);
}

static enum fdb_learned learn_locked(struct fdb *fdb, uint64_t key, uint64_t hash, uint16_t port, uint32_t now)
{
	struct info new = {.seen = now, .port = port, .epoch = epoch_of(fdb, port), .tag = tag_of(hash)}, old;
	struct entry *e = probe(fdb, key, hash);
	uint32_t n = atomic_load_explicit(&fdb->n, memory_order_relaxed);
	uint64_t was;

	if (e == NULL || (key_at(e) == 0 && n == fdb->n_max))
		return FDB_FULL;
	was = key_at(e);
	old = unpack(atomic_load_explicit(&e->info, memory_order_relaxed));
	write_entry(e, key, pack(new));
	if (was == 0)
		atomic_store_explicit(&fdb->n, n + 1, memory_order_relaxed);
	if (was != 0 && old.port != port)
		atomic_fetch_add_explicit(&fdb->changes, 1, memory_order_release);
	if (was == 0 || is_stale(fdb, &old, now))
		return FDB_NEW;
	return old.port == port ? FDB_KNOWN : FDB_MOVED;
}

enum fdb_learned fdb_learn(struct fdb *fdb, uint16_t vlan, uint64_t mac, uint16_t port, uint32_t now)
{
	uint64_t key = key_of(vlan, mac), hash = hash_of(fdb, key);
	enum fdb_learned how;

	if (seen_again(fdb, key, hash, port, now))
		return FDB_KNOWN;
	if (rte_spinlock_trylock(&fdb->lock) == 0)
		return FDB_FULL; // the address's next frame will do
	how = learn_locked(fdb, key, hash, port, now);
	rte_spinlock_unlock(&fdb->lock);
	return how;
}

uint16_t fdb_find(const struct fdb *fdb, uint16_t vlan, uint64_t mac, uint32_t now)
{
	uint64_t key = key_of(vlan, mac), hash = hash_of(fdb, key), word;
	const struct entry *e = probe(fdb, key, hash);
	struct info info;

	if (e == NULL || key_at(e) == 0 || !read_entry(e, key, hash, &info, &word) || is_stale(fdb, &info, now))
		return FDB_PORT_NONE;
	return info.port;
}

void fdb_flush_port(struct fdb *fdb, uint16_t port)
{
	atomic_fetch_add_explicit(&fdb->epoch[port], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&fdb->changes, 1, memory_order_release);
}

uint32_t fdb_changes(const struct fdb *fdb)
{
	return atomic_load_explicit(&fdb->changes, memory_order_acquire);
}

uint32_t fdb_ageing_ticks(const struct fdb *fdb)
{
	return fdb->ageing_ticks;
}

static void copy_entry(struct entry *to, const struct entry *from)
{
	write_entry(to, key_at(from), atomic_load_explicit(&from->info, memory_order_relaxed));
}

// Closes the gap at i: each later entry of the run moves back unless that would put it before its home.
static void remove_slot(struct fdb *fdb, uint32_t i)
{
	uint32_t j = i;

	for (;;) {
		uint64_t key;

		j = (j + 1) & fdb->mask;
		key = key_at(&fdb->slot[j]);
		if (key == 0)
			break;
		if (((j - home_of(fdb, hash_of(fdb, key))) & fdb->mask) >= ((j - i) & fdb->mask)) {
			copy_entry(&fdb->slot[i], &fdb->slot[j]);
			i = j;
		}
	}
	atomic_store_explicit(&fdb->slot[i].key, 0, memory_order_release);
	atomic_store_explicit(&fdb->n, atomic_load_explicit(&fdb->n, memory_order_relaxed) - 1, memory_order_relaxed);
}

void fdb_age(struct fdb *fdb, uint32_t n_slots, uint32_t now)
{
	uint32_t n_before;

	if (rte_spinlock_trylock(&fdb->lock) == 0)
		return; // the next time will do
	n_before = fdb_n_entries(fdb);
	for (; n_slots > 0; n_slots--) {
		struct entry *e = &fdb->slot[fdb->cursor];
		struct info info = unpack(atomic_load_explicit(&e->info, memory_order_relaxed));

		if (key_at(e) != 0 && is_stale(fdb, &info, now))
			remove_slot(fdb, fdb->cursor); // what moves here is looked at in the next step
		else
			fdb->cursor = (fdb->cursor + 1) & fdb->mask;
	}
	if (fdb_n_entries(fdb) != n_before)
		atomic_fetch_add_explicit(&fdb->changes, 1, memory_order_release);
	rte_spinlock_unlock(&fdb->lock);
}

uint32_t fdb_n_slots(const struct fdb *fdb)
{
	return fdb->mask + 1;
}

uint32_t fdb_n_entries(const struct fdb *fdb)
{
	return atomic_load_explicit(&fdb->n, memory_order_relaxed);
}
