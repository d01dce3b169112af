// SPDX-License-Identifier: Apache-2.0
// The forwarding database of a learning bridge: (VLAN id, MAC) -> port, of fixed size, entries expire.
// Threads: any number of workers, for all functions but create and destroy; nobody ever waits. Time is an argument in
// ticks of the caller's choice that may wrap; ages are compared by difference, so ageing_ticks < 2^31, and fdb_age must
// get through the table once in 2^31 ticks.
//
// Open addressing at most half full, 16 bytes an entry: a lookup is nearly always one cache line. The hash is keyed
// with a secret seed, since senders choose the addresses.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"

#define FDB_PORT_NONE UINT16_MAX
#define FDB_PORTS_MAX 64

struct fdb;

enum fdb_learned {
	FDB_KNOWN, // same port as before
	FDB_NEW,
	FDB_MOVED, // from another port; the last one wins
	FDB_FULL,  // not learned: the table is full, or another thread is changing it
};

struct fdb *fdb_create(uint32_t n_entries, uint32_t ageing_ticks, uint64_t seed, struct err *err);
void fdb_destroy(struct fdb *fdb); // accepts NULL

// Where the two will look.
void fdb_prefetch(const struct fdb *fdb, uint16_t vlan, uint64_t mac);
// mac: 48 bits, not zero. port < FDB_PORTS_MAX.
enum fdb_learned fdb_learn(struct fdb *fdb, uint16_t vlan, uint64_t mac, uint16_t port, uint32_t now);
// FDB_PORT_NONE: unknown or expired.
uint16_t fdb_find(const struct fdb *fdb, uint16_t vlan, uint64_t mac, uint32_t now);
// Forgets all addresses behind the port, at once.
void fdb_flush_port(struct fdb *fdb, uint16_t port);
// Another number whenever what fdb_find has said may be otherwise, but for age.
uint32_t fdb_changes(const struct fdb *fdb);
// Removes expired and flushed entries among the next n_slots places of the table.
void fdb_age(struct fdb *fdb, uint32_t n_slots, uint32_t now);
uint32_t fdb_ageing_ticks(const struct fdb *fdb);
uint32_t fdb_n_slots(const struct fdb *fdb);
// Entries held, those expired but not yet removed included.
uint32_t fdb_n_entries(const struct fdb *fdb);
