// SPDX-License-Identifier: Apache-2.0
// The hosts that workers have seen: interfaces (MAC address and VLAN), where each was last, and some of its addresses.
// What changes is told as messages of the link. Owner and only thread: the link thread. Time: any steady clock, in ns.
#pragma once
#include <stdint.h>

#include "hft/err.h"
#include "proto.h"

#define HOSTS_MAX 65536   // interfaces; over that new ones are not kept, but for those of PROTO_MADE_UP
#define HOSTS_ADDRS_MAX 8 // of one interface: a router has all the world's behind it

struct hosts;

typedef void hosts_tell(void *ctx, const struct proto_host *host);

// An interface that is not seen for ageing_ns is forgotten. NULL with err: -ENOMEM.
struct hosts *hosts_create(int64_t ageing_ns, struct err *err);
void hosts_destroy(struct hosts *h); // accepts NULL
// mac: 48 bits, not 0, instead of seen's. Tells what is new by that, and now and then that it was seen again; an
// interface that has an address is told with its addresses only.
void hosts_see(struct hosts *h, uint64_t mac, const struct proto_host *seen, int64_t now_ns, hosts_tell *tell,
	       void *ctx);
void hosts_age(struct hosts *h, int64_t now_ns, hosts_tell *tell, void *ctx);        // forgets, and tells so
void hosts_each(const struct hosts *h, int64_t now_ns, hosts_tell *tell, void *ctx); // all there is to tell
uint32_t hosts_n(const struct hosts *h);
