// SPDX-License-Identifier: Apache-2.0
#include "fdb_near.h"

#include <string.h>

#define PERIOD_PARTS 1024 // of the time in which addresses age

void fdb_near_init(struct fdb_near *near, struct fdb *fdb)
{
	memset(near, 0, sizeof(*near));
	memset(near->set, 0xff, sizeof(near->set)); // nobody's key
	near->fdb = fdb;
	while ((fdb_ageing_ticks(fdb) >> near->shift) > PERIOD_PARTS)
		near->shift++;
}

void fdb_near_begin(struct fdb_near *near, uint32_t now)
{
	near->now = now;
	near->n_before = near->n_asked;
	// the period's number may wrap: an entry that expires is a change
	near->stamp = (uint64_t)(now >> near->shift) << 48 | (uint64_t)fdb_changes(near->fdb) << 16 | FDB_NEAR_VALID;
}

static void keep(struct fdb_near *near, uint64_t key, uint64_t word)
{
	struct fdb_near_set *set = &near->set[key * UINT64_C(0x9e3779b97f4a7c15) >> (64 - FDB_NEAR_SET_BITS)];
	uint32_t at = near->n_asked % FDB_NEAR_WAYS;

	for (uint32_t i = 0; i < FDB_NEAR_WAYS; i++) {
		if ((set->word[i / 2][i % 2] ^ near->stamp) >= FDB_NEAR_VALID)
			at = i; // holds no more
	}
	for (uint32_t i = 0; i < FDB_NEAR_WAYS; i++) {
		if (set->key[i / 2][i % 2] == key)
			at = i;
	}
	set->key[at / 2][at % 2] = key;
	set->word[at / 2][at % 2] = word;
}

enum fdb_learned fdb_near_learn(struct fdb_near *near, uint16_t vlan, uint64_t mac, uint16_t port)
{
	enum fdb_learned how = fdb_learn(near->fdb, vlan, mac, port, near->now);

	near->n_asked++;
	if (how != FDB_FULL)
		keep(near, (uint64_t)vlan << 48 | mac, near->stamp | (uint64_t)port << 1 | 1);
	return how;
}

uint16_t fdb_near_find(struct fdb_near *near, uint16_t vlan, uint64_t mac)
{
	uint16_t port = fdb_find(near->fdb, vlan, mac, near->now);

	near->n_asked++;
	if (port != FDB_PORT_NONE)
		keep(near, (uint64_t)vlan << 48 | mac, near->stamp | (uint64_t)port << 1);
	return port;
}
