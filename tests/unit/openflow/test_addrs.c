// SPDX-License-Identifier: Apache-2.0
// Who says that it has which address: what frames say, and a table of it against a list that is searched.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/addrs.h"
#include "of_random.h"

static const uint8_t mac1[6] = {2, 0, 0, 0, 0, 1}, mac9[6] = {2, 0, 0, 0, 0, 9};

struct frame {
	uint8_t b[400];
	size_t len;
};

static struct frame ethernet(uint16_t type, size_t payload)
{
	struct frame f = {.len = 14 + payload};

	memset(f.b, 0xff, 6);
	memcpy(f.b + 6, mac1, 6);
	f.b[12] = (uint8_t)(type >> 8);
	f.b[13] = (uint8_t)type;
	return f;
}

static struct frame arp(const uint8_t ip[4])
{
	static const uint8_t head[] = {0, 1, 8, 0, 6, 4, 0, 1};
	struct frame f = ethernet(0x0806, 28);

	memcpy(f.b + 14, head, 8);
	memcpy(f.b + 22, mac1, 6);
	memcpy(f.b + 28, ip, 4);
	return f;
}

// A DHCP message from a server about mac9 and 10.0.0.9.
static struct frame dhcp(uint8_t type)
{
	static const uint8_t magic[] = {0x63, 0x82, 0x53, 0x63, 0, 12, 2, 'h', '9', 53, 1};
	struct frame f = ethernet(0x0800, 20 + 8 + 240 + 12);
	uint8_t *ip = f.b + 14, *udp = ip + 20, *bootp = udp + 8;

	ip[0] = 0x45;
	ip[9] = 17;
	memcpy(ip + 12, (uint8_t[]){10, 0, 0, 3}, 4);
	udp[1] = 67;
	udp[3] = 68;
	memcpy(bootp, (uint8_t[]){2, 1, 6}, 3);
	memcpy(bootp + 16, (uint8_t[]){10, 0, 0, 9}, 4);
	memcpy(bootp + 28, mac9, 6);
	memcpy(bootp + 236, magic, sizeof(magic));
	bootp[236 + sizeof(magic)] = type;
	bootp[236 + sizeof(magic) + 1] = 255;
	return f;
}

// Neighbour solicitation from, or advertisement of, 2001:db8::1.
static struct frame nd(uint8_t type)
{
	static const uint8_t address[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1};
	struct frame f = ethernet(0x86dd, 40 + 24);
	uint8_t *ip = f.b + 14;

	ip[0] = 0x60;
	ip[6] = 58;
	ip[7] = 255;
	ip[40] = type;
	memcpy(type == 135 ? ip + 8 : ip + 48, address, 16);
	return f;
}

static bool says(const struct frame *f, enum addr_how how, const uint8_t *mac, uint32_t last_byte)
{
	struct addr_claim c;

	if (!addr_claim_read(f->b, f->len, &c) || c.how != how || memcmp(c.mac, mac, 6) != 0)
		return false;
	return ((uint32_t)(c.ip6 ? c.ip : c.ip >> 96) & 255) == last_byte;
}

static void frames_say_who_has_an_address(void **state)
{
	struct frame f = arp((const uint8_t[]){10, 0, 0, 1});

	assert_true(says(&f, ADDR_ARP, mac1, 1));
	memmove(f.b + 18, f.b + 14, 28); // the same with a tag
	memcpy(f.b + 14, (uint8_t[]){0, 7, 8, 6}, 4);
	f.b[12] = 0x81;
	f.b[13] = 0;
	f.len += 4;
	f.b[16] = 8;
	f.b[17] = 6;
	assert_true(says(&f, ADDR_ARP, mac1, 1));
	f = dhcp(5);
	assert_true(says(&f, ADDR_DHCP, mac9, 9));
	f = nd(135);
	assert_true(says(&f, ADDR_ND, mac1, 1));
	f = nd(136);
	assert_true(says(&f, ADDR_ND, mac1, 1));
	f = ethernet(0x0800, 20);
	f.b[14] = 0x45;
	f.b[26] = 10;
	f.b[29] = 4;
	assert_true(says(&f, ADDR_IP, mac1, 4));
	(void)state;
}

static void frames_that_contradict_themselves_say_nothing(void **state)
{
	struct frame f = arp((const uint8_t[]){10, 0, 0, 1});
	struct addr_claim c;

	f.b[27] = 7; // another sender than that of the frame
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = arp((const uint8_t[]){0, 0, 0, 0}); // asks whether an address is free (RFC 5227)
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = arp((const uint8_t[]){224, 0, 0, 1});
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = dhcp(2); // an offer
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = nd(135);
	f.b[14 + 7] = 64; // from off the link
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = nd(135);
	memset(f.b + 14 + 8, 0, 16); // its address is not its own yet
	assert_false(addr_claim_read(f.b, f.len, &c));
	f = ethernet(0x0806, 28);
	f.b[6] = 1; // a group as source
	assert_false(addr_claim_read(f.b, f.len, &c));
	(void)state;
}

static bool comes_from(const struct frame *f, uint32_t last_byte)
{
	struct addr_claim c;

	return addr_source_read(f->b, f->len, &c) && c.how == ADDR_IP && memcmp(c.mac, mac1, 6) == 0 &&
	       ((uint32_t)(c.ip6 ? c.ip : c.ip >> 96) & 255) == last_byte;
}

static void a_packet_has_a_source_whatever_it_says(void **state)
{
	struct frame f = dhcp(5);
	struct addr_claim c;

	assert_true(comes_from(&f, 3)); // from the server, about 9
	memset(f.b + 26, 0, 4);
	assert_false(addr_source_read(f.b, f.len, &c));
	f = nd(136);
	f.b[22] = 0xfe; // about 1
	f.b[37] = 7;
	assert_true(comes_from(&f, 7));
	f = nd(135);
	assert_true(comes_from(&f, 1));
	memcpy(f.b + 14 + 48, f.b + 14 + 8, 16);
	memset(f.b + 14 + 8, 0, 16);
	f.b[14 + 63] = 5;
	assert_true(comes_from(&f, 5)); // is 5 free?
	f.b[14 + 40] = 136;
	assert_false(addr_source_read(f.b, f.len, &c));
	f = arp((const uint8_t[]){10, 0, 0, 1});
	assert_false(addr_source_read(f.b, f.len, &c));
	(void)state;
}

static void no_cut_frame_is_read_past_its_end(void **state)
{
	struct frame all[] = {arp((const uint8_t[]){10, 0, 0, 1}), dhcp(5), nd(135), nd(136), dhcp(2)};
	struct addr_claim c;

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		for (size_t len = 0; len < all[i].len; len++) {
			uint8_t *cut = malloc(len + 1); // the sanitizer sees a byte too many

			memcpy(cut + 1, all[i].b, len);
			addr_claim_read(cut + 1, len, &c);
			addr_source_read(cut + 1, len, &c);
			free(cut);
		}
	}
	for (unsigned int i = 0; i < 20000; i++) {
		struct frame f = all[rnd(5)];

		for (unsigned int k = rnd(6); k > 0; k--)
			f.b[12 + rnd((uint32_t)f.len - 12)] = (uint8_t)rnd(256);
		addr_claim_read(f.b, rnd((uint32_t)f.len + 1), &c);
	}
	(void)state;
}

// --- the table

#define MAX 200

struct claim { // of the list
	u128 ip;
	uint8_t mac;
	enum addr_how how;
	int64_t seen_ns;
};

static struct addr *entry_of(const struct addrs *a, u128 ip, uint8_t mac)
{
	struct addr *at = addrs_first(a, ip, true);

	while (at != NULL && at->mac[5] != mac)
		at = addrs_after(a, at);
	assert_non_null(at);
	return at;
}

static bool keeps(void *ctx, const struct addr *entry)
{
	return entry->mac[5] != *(const uint8_t *)ctx;
}

static void check_equal(const struct addrs *a, const struct claim *list, uint32_t n)
{
	assert_int_equal(a->n, n);
	for (uint8_t k = 0; k < 8; k++) {
		const uint8_t mac[6] = {2, 0, 0, 0, 0, k};
		int n_of = 0;

		for (const struct addr *at = addrs_of(a, mac, true); at != NULL; at = addrs_of_after(a, at))
			n_of += at->mac[5] == k ? 1 : 1000;
		for (uint32_t i = 0; i < n; i++)
			n_of -= list[i].mac == k;
		assert_int_equal(n_of, 0);
	}
	for (uint32_t i = 0; i < n; i++) {
		const struct addr *at = entry_of(a, list[i].ip, list[i].mac);

		assert_int_equal(at->how, list[i].how);
		assert_int_equal(at->seen_ns, list[i].seen_ns);
	}
}

static void claims_of_a_mac_are_told_by_family(void **state)
{
	const uint8_t mac[6] = {2, 0, 0, 0, 0, 1}, other[6] = {2, 0, 0, 0, 0, 2};
	struct addrs a;

	addrs_init(&a, MAX);
	for (uint32_t i = 0; i < 20; i++) {
		assert_non_null(addrs_set(&a, match_ip4(i), false, mac, ADDR_ARP, i));
		assert_non_null(addrs_set(&a, match_ip4(i), true, i % 2 == 0 ? mac : other, ADDR_ND, i));
	}
	for (int ip6 = 0; ip6 < 2; ip6++) {
		int n = 0;

		for (const struct addr *at = addrs_of(&a, mac, ip6 != 0); at != NULL; at = addrs_of_after(&a, at))
			n += at->ip6 == (ip6 != 0) && at->mac[5] == 1 ? 1 : 1000;
		assert_int_equal(n, ip6 ? 10 : 20);
	}
	assert_null(addrs_of(&a, other, false));
	addrs_fini(&a);
	(void)state;
}

static void the_table_answers_as_a_list_does(void **state)
{
	struct claim list[MAX];
	struct addrs a;
	uint32_t n = 0;

	addrs_init(&a, MAX);
	rnd_state = 5;
	assert_null(addrs_first(&a, 1, true));
	for (int64_t now = 0; now < 6000; now++) {
		struct claim c = {match_ip4(rnd(60)), (uint8_t)rnd(8), (enum addr_how)rnd(4), now};
		uint8_t mac[6] = {2, 0, 0, 0, 0, c.mac};
		uint32_t i = 0;
		bool has_room;

		if (rnd(300) == 0) {
			addrs_keep(&a, keeps, &c.mac);
			for (uint32_t k = i = 0; k < n; k++) {
				if (list[k].mac != c.mac)
					list[i++] = list[k];
			}
			n = i;
			continue;
		}
		while (i < n && (list[i].ip != c.ip || list[i].mac != c.mac))
			i++;
		if (i < n && rnd(4) == 0) {
			addrs_forget(&a, entry_of(&a, c.ip, c.mac));
			list[i] = list[--n];
			continue;
		}
		has_room = i < n || n < MAX;
		assert_int_equal(addrs_set(&a, c.ip, true, mac, c.how, now) != NULL, has_room);
		if (!has_room)
			continue;
		c.how = i < n && list[i].how > c.how ? list[i].how : c.how;
		list[i] = c;
		n += i == n;
		if (now % 16 == 0)
			check_equal(&a, list, n);
	}
	check_equal(&a, list, n);
	addrs_fini(&a);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_say_who_has_an_address),
		cmocka_unit_test(frames_that_contradict_themselves_say_nothing),
		cmocka_unit_test(a_packet_has_a_source_whatever_it_says),
		cmocka_unit_test(no_cut_frame_is_read_past_its_end),
		cmocka_unit_test(the_table_answers_as_a_list_does),
		cmocka_unit_test(claims_of_a_mac_are_told_by_family),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
