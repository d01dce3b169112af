// SPDX-License-Identifier: Apache-2.0
// What a worker has lately asked the address table, close together: for the addresses that send and receive now it is
// a few pages, where the table itself is one for each of them. An answer holds until the table changes or a period is
// over, a thousandth of the time in which addresses age; so an address expires, or is noted as seen, that much late.
// Owner: one worker. Sets of four by a hash; whatever is not found here is asked of the table, and never wrong.
#pragma once
#include <stdalign.h>
#include <stdbool.h>
#include <stdint.h>

#include "fdb.h"

#define FDB_NEAR_WAYS 4
#define FDB_NEAR_SETS 512 // power of two
#define FDB_NEAR_SET_BITS 9
#define FDB_NEAR_MANY 4        // questions to the table in a burst
#define FDB_NEAR_VALID 0x8000u // so that no stamp is 0

typedef uint64_t fdb_near_pair __attribute__((vector_size(16)));

struct fdb_near_set {
	alignas(64) fdb_near_pair key[FDB_NEAR_WAYS / 2]; // vlan << 48 | mac
	fdb_near_pair word[FDB_NEAR_WAYS / 2];            // period 16, changes 32, a 1, port 14 bits, sender or not
};

struct fdb_near {
	struct fdb *fdb; // borrowed
	uint64_t stamp;  // of words that hold now, in its place
	uint32_t shift, now;
	uint32_t n_asked, n_before; // of the table so far, and at the last burst's beginning
	struct fdb_near_set set[FDB_NEAR_SETS];
};

void fdb_near_init(struct fdb_near *near, struct fdb *fdb);
// Before a burst: now as in fdb.h.
void fdb_near_begin(struct fdb_near *near, uint32_t now);
// Before fdb_near_begin: are more addresses in use than fit, so that the table's lines had better be prefetched?
static inline bool fdb_near_is_full(const struct fdb_near *near)
{
	return near->n_asked - near->n_before >= FDB_NEAR_MANY;
}
// As fdb_learn and fdb_find, now.
enum fdb_learned fdb_near_learn(struct fdb_near *near, uint16_t vlan, uint64_t mac, uint16_t port);
uint16_t fdb_near_find(struct fdb_near *near, uint16_t vlan, uint64_t mac);

// The word beside the address; 0: none. No branch on which place it is in: that would be guessed wrong.
static inline uint64_t fdb_near_word(const struct fdb_near *near, uint16_t vlan, uint64_t mac)
{
	uint64_t key = (uint64_t)vlan << 48 | mac;
	const struct fdb_near_set *set = &near->set[key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - FDB_NEAR_SET_BITS)];
	fdb_near_pair found = ((fdb_near_pair)(set->key[0] == key) & set->word[0]) |
			      ((fdb_near_pair)(set->key[1] == key) & set->word[1]);

	return found[0] | found[1];
}

// true: fdb_learn would say FDB_KNOWN, and has. false: ask fdb_near_learn.
static inline bool fdb_near_is_known(const struct fdb_near *near, uint16_t vlan, uint64_t mac, uint16_t port)
{
	return fdb_near_word(near, vlan, mac) == (near->stamp | (uint64_t)port << 1 | 1);
}

// FDB_PORT_NONE: ask fdb_near_find.
static inline uint16_t fdb_near_look(const struct fdb_near *near, uint16_t vlan, uint64_t mac)
{
	uint64_t rest = fdb_near_word(near, vlan, mac) ^ near->stamp;

	return rest < FDB_NEAR_VALID ? (uint16_t)(rest >> 1) : FDB_PORT_NONE;
}
