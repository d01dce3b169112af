// SPDX-License-Identifier: Apache-2.0
// The controller's session with a dataplane: connects (and reconnects with back-off), learns what is in force there,
// sends only differences, and reports what came into force. Implements the controller side of dataplane/proto.h.
// Thread: control only (libevent).
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/flowtab.h"
#include "nib.h"

struct dp_link;
struct event_base;
struct proto_meter;

struct dp_link_stats {
	bool connected; // and compared: the dataplane's table is known
	uint64_t sessions, commits, failed_commits, rows_added, rows_deleted, meters_set, meters_deleted;
	uint64_t txn_sent, txn_in_force; // transaction numbers
	int64_t in_force_ns;             // when the workers had the last one, ns since the epoch
};

// path: the dataplane's Unix socket. Learnt ports and counters go to nib (borrowed). Connects from the loop; what goes
// wrong later is logged and tried again. NULL with err: -ENOMEM, -ENAMETOOLONG.
struct dp_link *dp_link_create(struct event_base *base, const char *path, struct nib *nib, struct err *err);
void dp_link_destroy(struct dp_link *link); // accepts NULL
// The table and meters wanted from now on (copied). Sends the difference in one transaction now, or when the session is
// up and the transaction before is answered. meters: every reservation and limit the table names.
// 0; -EINVAL a rate no meter can have, -ENOMEM: what was wanted before stays wanted.
int dp_link_want(struct dp_link *link, const struct flowtab *table, const struct proto_meter *meters, uint32_t n_meters,
		 struct err *err);
void dp_link_stats(const struct dp_link *link, struct dp_link_stats *out);
