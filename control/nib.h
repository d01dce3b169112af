// SPDX-License-Identifier: Apache-2.0
// What the controller knows of the network: named hosts, users' bindings, ports of the dataplane with their counters.
// Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/match.h"

struct nib;

struct nib_port {
	uint16_t port;
	bool up;
	uint8_t mac[6];
	uint64_t rate_bps; // 0: not configured
	char name[32];
	char device[64];
	uint16_t n_counters;
	uint64_t counter[64]; // order of dataplane/counters.def
};

struct nib *nib_create(void);
void nib_destroy(struct nib *nib);

// Address text: IPv4 or IPv6 without prefix. -EEXIST: the name is taken; -EINVAL.
int nib_host_add(struct nib *nib, const char *name, const char *address, struct err *err);
// true and the address as a one-address span plus its kinds (MATCH_KINDS_V4 or _V6).
bool nib_host_find(const struct nib *nib, const char *name, struct span128 *addr, uint32_t *kinds);

void nib_port_set(struct nib *nib, const struct nib_port *port); // add or update, counters kept
void nib_port_counters(struct nib *nib, uint16_t port, const uint64_t *value, uint16_t n);
size_t nib_n_ports(const struct nib *nib);
const struct nib_port *nib_port_at(const struct nib *nib, size_t i);
void nib_ports_down(struct nib *nib); // the dataplane is gone: nothing is known to be up
