// SPDX-License-Identifier: Apache-2.0
#include "addrs.h"

#include <stdlib.h>
#include <string.h>

void addrs_init(struct addrs *a, uint32_t max)
{
	*a = (struct addrs){.max = max};
}

void addrs_fini(struct addrs *a)
{
	free(a->all);
	free(a->slots);
	*a = (struct addrs){0};
}

static uint32_t *slot_of(const struct addrs *a, u128 ip)
{
	uint64_t h = ((uint64_t)(ip >> 64) ^ (uint64_t)ip) * UINT64_C(0x9e3779b97f4a7c15);

	return &a->slots[(h >> 32) & (a->cap - 1)]; // cap is a power of 2
}

static uint32_t *slot_of_mac(const struct addrs *a, const uint8_t mac[6])
{
	uint64_t h = 0;

	for (int i = 0; i < 6; i++)
		h = h << 8 | mac[i];
	return &a->slots[a->cap + ((h * UINT64_C(0x9e3779b97f4a7c15)) >> 32 & (a->cap - 1))];
}

static void link_entry(struct addrs *a, uint32_t i)
{
	struct addr *at = &a->all[i];
	uint32_t *slot = slot_of(a, at->ip);

	at->next = *slot;
	*slot = i + 1;
	slot = slot_of_mac(a, at->mac);
	at->next_of = *slot;
	*slot = i + 1;
}

static void unlink_entry(struct addrs *a, uint32_t i)
{
	uint32_t *at = slot_of(a, a->all[i].ip);

	while (*at != i + 1)
		at = &a->all[*at - 1].next;
	*at = a->all[i].next;
	at = slot_of_mac(a, a->all[i].mac);
	while (*at != i + 1)
		at = &a->all[*at - 1].next_of;
	*at = a->all[i].next_of;
}

static void link_all(struct addrs *a)
{
	memset(a->slots, 0, 2 * (size_t)a->cap * sizeof(*a->slots));
	for (uint32_t i = 0; i < a->n; i++)
		link_entry(a, i);
}

static struct addr *same_address(const struct addrs *a, uint32_t i, u128 ip, bool ip6)
{
	for (; i != 0; i = a->all[i - 1].next) {
		if (a->all[i - 1].ip == ip && a->all[i - 1].ip6 == ip6)
			return &a->all[i - 1];
	}
	return NULL;
}

struct addr *addrs_first(const struct addrs *a, u128 ip, bool ip6)
{
	return a->n == 0 ? NULL : same_address(a, *slot_of(a, ip), ip, ip6);
}

struct addr *addrs_after(const struct addrs *a, const struct addr *entry)
{
	return same_address(a, entry->next, entry->ip, entry->ip6);
}

struct addr *addrs_find(const struct addrs *a, u128 ip, bool ip6, const uint8_t mac[6])
{
	struct addr *at = addrs_first(a, ip, ip6);

	while (at != NULL && memcmp(at->mac, mac, 6) != 0)
		at = addrs_after(a, at);
	return at;
}

static struct addr *same_mac(const struct addrs *a, uint32_t i, const uint8_t mac[6], bool ip6)
{
	while (i != 0 && (memcmp(a->all[i - 1].mac, mac, 6) != 0 || a->all[i - 1].ip6 != ip6))
		i = a->all[i - 1].next_of;
	return i == 0 ? NULL : &a->all[i - 1];
}

struct addr *addrs_of(const struct addrs *a, const uint8_t mac[6], bool ip6)
{
	return a->n == 0 ? NULL : same_mac(a, *slot_of_mac(a, mac), mac, ip6);
}

struct addr *addrs_of_after(const struct addrs *a, const struct addr *entry)
{
	return same_mac(a, entry->next_of, entry->mac, entry->ip6);
}

void addrs_forget(struct addrs *a, struct addr *entry)
{
	uint32_t i = (uint32_t)(entry - a->all), last = a->n - 1;

	unlink_entry(a, i);
	if (i != last) {
		unlink_entry(a, last);
		a->all[i] = a->all[last];
		link_entry(a, i);
	}
	a->n--;
}

static bool grow(struct addrs *a)
{
	uint32_t cap = a->cap == 0 ? 64 : a->cap * 2;
	struct addr *all = reallocarray(a->all, cap, sizeof(*all));
	uint32_t *slots;

	if (all == NULL)
		return false;
	a->all = all;
	slots = reallocarray(a->slots, 2 * (size_t)cap, sizeof(*slots));
	if (slots == NULL)
		return false;
	a->slots = slots;
	a->cap = cap;
	link_all(a);
	return true;
}

struct addr *addrs_set(struct addrs *a, u128 ip, bool ip6, const uint8_t mac[6], enum addr_how how, int64_t now_ns)
{
	struct addr *at = addrs_find(a, ip, ip6, mac);

	if (at == NULL) {
		if (a->n == a->max || (a->n == a->cap && !grow(a)))
			return NULL;
		at = &a->all[a->n];
		*at = (struct addr){.ip = ip, .ip6 = ip6, .how = (uint8_t)how, .contest_ns = INT64_MIN};
		memcpy(at->mac, mac, 6);
		link_entry(a, a->n++);
	}
	at->how = at->how < how ? (uint8_t)how : at->how;
	at->seen_ns = now_ns;
	return at;
}

void addrs_keep(struct addrs *a, bool (*fn)(void *ctx, const struct addr *entry), void *ctx)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < a->n; i++) {
		if (fn(ctx, &a->all[i]))
			a->all[kept++] = a->all[i];
	}
	if (kept == a->n)
		return;
	a->n = kept;
	link_all(a);
}

const char *addr_how_name(enum addr_how how)
{
	static const char *const names[] = {"ip", "nd", "arp", "dhcp"};

	return names[how];
}

// --- frames

struct bytes {
	const uint8_t *p;
	size_t len;
};

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static u128 ip4_at(const uint8_t *p)
{
	return match_ip4((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3]);
}

static u128 ip6_at(const uint8_t *p)
{
	return match_ip6_prefix(p, 128).lo;
}

// An address that one host can have.
static bool is_host4(u128 ip)
{
	uint32_t a = (uint32_t)(ip >> 96);

	return a != 0 && a >> 24 != 127 && a >> 28 < 14;
}

static bool is_host6(const uint8_t *p)
{
	static const uint8_t zero[15];

	return p[0] != 0xff && memcmp(p, zero, 15) != 0; // no group, neither :: nor ::1
}

static bool read_arp(struct bytes b, struct addr_claim *out)
{
	static const uint8_t ethernet_ip4[] = {0, 1, 8, 0, 6, 4};

	if (b.len < 28 || memcmp(b.p, ethernet_ip4, 6) != 0 || memcmp(b.p + 8, out->mac, 6) != 0)
		return false;
	out->how = ADDR_ARP;
	out->ip = ip4_at(b.p + 14);
	return is_host4(out->ip);
}

// BOOTP reply with DHCP message type 5: the client named in it has the address, not who sends it.
static bool read_dhcp(struct bytes b, struct addr_claim *out)
{
	static const uint8_t magic[] = {0x63, 0x82, 0x53, 0x63};
	size_t at = 240;

	if (b.len < at || b.p[0] != 2 || b.p[1] != 1 || b.p[2] != 6 || memcmp(b.p + 236, magic, 4) != 0)
		return false;
	while (at + 2 < b.len && !(b.p[at] == 53 && b.p[at + 1] == 1)) {
		if (b.p[at] == 255)
			return false;
		at += b.p[at] == 0 ? 1 : 2U + b.p[at + 1];
	}
	if (at + 2 >= b.len || b.p[at + 2] != 5)
		return false;
	out->how = ADDR_DHCP;
	out->ip = ip4_at(b.p + 16);
	memcpy(out->mac, b.p + 28, 6);
	return is_host4(out->ip) && !(out->mac[0] & 1);
}

static bool read_ip4(struct bytes b, struct addr_claim *out)
{
	size_t head = b.len < 20 ? 0 : (size_t)(b.p[0] & 15) * 4;
	const uint8_t *udp = b.p + head;

	if (head < 20 || b.p[0] >> 4 != 4)
		return false;
	if (b.p[9] == 17 && (be16(b.p + 6) & 0x3fff) == 0 && b.len >= head + 8 && be16(udp) == 67 &&
	    be16(udp + 2) == 68)
		return read_dhcp((struct bytes){udp + 8, b.len - head - 8}, out);
	out->how = ADDR_IP;
	out->ip = ip4_at(b.p + 12);
	return is_host4(out->ip);
}

// Solicitation: its sender's own address; advertisement: the target. Hop limit 255: from this link (RFC 4861, 7.1).
static bool read_ip6(struct bytes b, struct addr_claim *out)
{
	const uint8_t *who;

	if (b.len < 40 || b.p[0] >> 4 != 6)
		return false;
	who = b.p + 8;
	out->how = ADDR_IP;
	if (b.p[6] == 58 && b.len >= 64 && (b.p[40] == 135 || b.p[40] == 136)) {
		if (b.p[7] != 255)
			return false;
		out->how = ADDR_ND;
		who = b.p[40] == 135 ? who : b.p + 48;
	}
	out->ip6 = true;
	out->ip = ip6_at(who);
	return is_host6(who);
}

// The Ethernet type, behind a tag if there is one; 0: no frame of a host.
static uint16_t read_frame(const uint8_t *frame, size_t len, struct bytes *b, struct addr_claim *out)
{
	uint16_t type;

	if (len < 14 || frame[6] & 1)
		return 0;
	*b = (struct bytes){frame + 14, len - 14};
	*out = (struct addr_claim){0};
	memcpy(out->mac, frame + 6, 6);
	type = be16(frame + 12);
	if (type == 0x8100 && len >= 18) {
		type = be16(frame + 16);
		*b = (struct bytes){frame + 18, len - 18};
	}
	return type;
}

// A solicitation without a source: the target is the address that it would have.
static bool asks_for_itself(struct bytes b)
{
	static const uint8_t none[16];

	return b.len >= 64 && b.p[6] == 58 && b.p[7] == 255 && b.p[40] == 135 && memcmp(b.p + 8, none, 16) == 0;
}

bool addr_source_read(const uint8_t *frame, size_t len, struct addr_claim *out)
{
	struct bytes b;
	uint16_t type = read_frame(frame, len, &b, out);
	const uint8_t *who;

	out->how = ADDR_IP;
	out->ip6 = type == 0x86dd;
	if (type == 0x0800 && b.len >= 20 && b.p[0] >> 4 == 4) {
		out->ip = ip4_at(b.p + 12);
		return is_host4(out->ip);
	}
	if (!out->ip6 || b.len < 40 || b.p[0] >> 4 != 6)
		return false;
	who = asks_for_itself(b) ? b.p + 48 : b.p + 8;
	out->ip = ip6_at(who);
	return is_host6(who);
}

bool addr_claim_read(const uint8_t *frame, size_t len, struct addr_claim *out)
{
	struct bytes b;
	uint16_t type = read_frame(frame, len, &b, out);

	return type == 0x0806   ? read_arp(b, out)
	       : type == 0x0800 ? read_ip4(b, out)
				: type == 0x86dd && read_ip6(b, out);
}
