// SPDX-License-Identifier: Apache-2.0
// Which Ethernet address says that it has which IP address, and how it said so. An address that several claim has
// several entries: who is right is not decided here. No I/O, no clock of its own.
// Owner: the caller. Thread: control only. Time: ns, monotonic, an argument.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/match.h"

#define ADDRS_FRESH_NS 60000000000LL // a claim not repeated for so long does not contest another one

enum addr_how {    // weakest first: a stronger one is not replaced by a weaker one
	ADDR_IP,   // the source of a packet
	ADDR_ND,   // IPv6 neighbour discovery (RFC 4861)
	ADDR_ARP,  // RFC 826
	ADDR_DHCP, // a server's acknowledgement (RFC 2131)
};

struct addr {
	u128 ip; // as in hft/match.h
	bool ip6;
	uint8_t how; // enum addr_how
	uint8_t mac[6];
	int64_t seen_ns;
	int64_t contest_ns; // when another one claimed it while this claim was fresh; INT64_MIN: never
	uint32_t next;      // of the same slot
	uint32_t next_of;   // of the same slot of Ethernet addresses
};

// Two hosts say that they have an address.
struct addr_contest {
	u128 ip;
	bool ip6;
	uint8_t holder[6], claims[6]; // who had it, and who says so now
};

struct addrs {
	struct addr *all;
	uint32_t *slots; // first of each slot + 1, 0: none; of IP addresses, then of Ethernet addresses
	uint32_t n, cap, max;
};

void addrs_init(struct addrs *a, uint32_t max);
void addrs_fini(struct addrs *a);
// The claims of one address: first, and then after each; NULL: no more. Valid until the next addrs_set, _forget or
// _keep.
struct addr *addrs_first(const struct addrs *a, u128 ip, bool ip6);
struct addr *addrs_after(const struct addrs *a, const struct addr *entry);
// That of mac; NULL: it has none. Valid likewise.
struct addr *addrs_find(const struct addrs *a, u128 ip, bool ip6, const uint8_t mac[6]);
// Likewise the claims of one Ethernet address, of one family.
struct addr *addrs_of(const struct addrs *a, const uint8_t mac[6], bool ip6);
struct addr *addrs_of_after(const struct addrs *a, const struct addr *entry);
void addrs_forget(struct addrs *a, struct addr *entry); // moves others
// mac has the address. The entry; NULL: `max` of them, or out of memory.
struct addr *addrs_set(struct addrs *a, u128 ip, bool ip6, const uint8_t mac[6], enum addr_how how, int64_t now_ns);
// Forgets what fn does not want to keep.
void addrs_keep(struct addrs *a, bool (*fn)(void *ctx, const struct addr *entry), void *ctx);
const char *addr_how_name(enum addr_how how); // "arp"

// What a frame says of addresses: the Ethernet address and the IP address it has. false: nothing. Truncated and
// contradicting frames (an ARP reply for somebody else, an ND message from off the link) say nothing.
struct addr_claim {
	u128 ip;
	bool ip6;
	enum addr_how how;
	uint8_t mac[6];
};
bool addr_claim_read(const uint8_t *frame, size_t len, struct addr_claim *out);
// The source address of an IP packet, and of its frame, as ADDR_IP; of one that asks whether an address is free (RFC
// 4862, 5.4.2) that one. false: none that a host can have.
bool addr_source_read(const uint8_t *frame, size_t len, struct addr_claim *out);
