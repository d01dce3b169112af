// SPDX-License-Identifier: Apache-2.0
// What the parser says of frames: a table of well-formed ones, malformed ones, several segments, and garbage.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include <rte_mbuf.h>

#include "hft/match.h"
#include "tests/rounds.h"
#include "tests/unit/dataplane/eal.h"
#include "tests/unit/dataplane/pkt_fixture.h"

static struct rte_mempool *pool;

static struct frame udp4(uint16_t frag, unsigned int option_words)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip4(&f, IP1, IP2, 17, frag, option_words);
	frame_ports(&f, 1000, 53);
	frame_pad(&f, 4, 0);
	frame_ip4_end(&f, at);
	return f;
}

static void ports_of_tcp_udp_sctp_are_found_and_of_nothing_else(void **state)
{
	for (unsigned int proto = 0; proto < 256; proto++) {
		struct frame f = udp4(0, 0);
		bool has = proto == 6 || proto == 17 || proto == 132;

		f.data[14 + 9] = (uint8_t)proto;
		assert_ip4(&f, 0, (uint8_t)proto, has ? 1000 : -1, 53);
	}
}

static void ip4_options_are_stepped_over(void **state)
{
	for (unsigned int words = 0; words <= 10; words++) {
		struct frame f = udp4(0, words);

		assert_ip4(&f, 0, 17, 1000, 53);
	}
}

static void first_fragment_has_ports_later_ones_have_none(void **state)
{
	struct frame first = udp4(0x2000, 0), later = udp4(0x2001, 0), last = udp4(0x0100, 0), whole = udp4(0x4000, 0);

	assert_ip4(&first, 0, 17, 1000, 53);
	assert_ip4(&later, 0, 17, -1, -1);
	assert_ip4(&last, 0, 17, -1, -1);
	assert_ip4(&whole, 0, 17, 1000, 53); // DF is not a fragment
}

static void header_too_short_for_ports_has_none(void **state)
{
	for (uint32_t l4 = 0; l4 < 4; l4++) {
		struct frame f = udp4(0, 0);

		frame_set16(&f, 14 + 2, (uint16_t)(20 + l4)); // the frame's other bytes are padding
		assert_ip4(&f, 0, 17, -1, -1);
	}
}

static void malformed_ip4_is_plain_ethernet(void **state)
{
	struct frame f = udp4(0, 0);

	f.data[14] = 0x65; // version 6
	assert_nonip(&f, 0);
	f = udp4(0, 0);
	f.data[14] = 0x44; // header of 16 bytes
	assert_nonip(&f, 0);
	f = udp4(0, 0);
	f.data[14] = 0x4f; // header longer than the packet
	assert_nonip(&f, 0);
	f = udp4(0, 0);
	frame_set16(&f, 16, 19); // total length below a header
	assert_nonip(&f, 0);
	f = udp4(0, 0);
	frame_set16(&f, 16, (uint16_t)(f.len - 14 + 1)); // total length beyond the frame
	assert_nonip(&f, 0);
	f = udp4(0, 0);
	f.len = 14 + 19;
	assert_nonip(&f, 0);
}

static void outer_tag_is_the_vlan_and_two_tags_are_looked_through(void **state)
{
	static const uint16_t tpid[] = {0x8100, 0x88a8};
	struct frame f;
	uint32_t at;

	for (int i = 0; i < 2; i++) {
		frame_start(&f, H2, H1);
		frame_tag(&f, tpid[i], 0x6000 | 100); // priority 3
		at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
		frame_ports(&f, 5, 6);
		frame_ip4_end(&f, at);
		assert_ip4(&f, 100, 6, 5, 6);

		frame_start(&f, H2, H1);
		frame_tag(&f, tpid[i], 4095);
		frame_tag(&f, 0x8100, 7);
		at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
		frame_ports(&f, 5, 6);
		frame_ip4_end(&f, at);
		assert_ip4(&f, 4095, 6, 5, 6);
	}
	frame_start(&f, H2, H1); // a third one hides the packet
	frame_tag(&f, 0x8100, 9);
	frame_tag(&f, 0x8100, 8);
	frame_tag(&f, 0x8100, 7);
	at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
	frame_ip4_end(&f, at);
	assert_nonip(&f, 9);
}

static void priority_tag_counts_as_untagged(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	frame_tag(&f, 0x8100, 0xe000);
	at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
	frame_ports(&f, 5, 6);
	frame_ip4_end(&f, at);
	assert_ip4(&f, 0, 6, 5, 6);
}

static void a_tag_behind_a_priority_tag_names_the_vlan(void **state)
{
	struct frame f;

	frame_start(&f, H2, H1);
	frame_tag(&f, 0x8100, 0xe000);
	frame_tag(&f, 0x8100, 5);
	frame_put16(&f, 0x88b5);
	frame_pad(&f, 46, 0x45);
	assert_nonip(&f, 5);
}

static void arp_llc_and_unknown_types_are_nonip(void **state)
{
	static const uint16_t type[] = {0x0806, 0x0026, 0x88cc, 0x0000, 0xffff};
	struct frame f;

	for (size_t i = 0; i < sizeof(type) / sizeof(type[0]); i++) {
		frame_start(&f, H2, H1);
		frame_put16(&f, type[i]);
		frame_pad(&f, 46, 0x45);
		assert_nonip(&f, 0);
	}
}

static void unfit_frames_get_their_verdict(void **state)
{
	struct frame f = udp4(0, 0);

	for (f.len = 0; f.len < 14; f.len++)
		assert_verdict(&f, PKT_RUNT);
	assert_verdict(&f, PKT_OK);
	frame_start(&f, H2, H1);
	frame_tag(&f, 0x8100, 5);
	for (f.len = 14; f.len < 18; f.len++)
		assert_verdict(&f, PKT_RUNT);
	f = udp4(0, 0);
	f.len = MAX_FRAME;
	assert_verdict(&f, PKT_OK);
	f.len = MAX_FRAME + 1;
	assert_verdict(&f, PKT_OVERSIZE);
	frame_start(&f, H2, 0x010000000001); // group bit
	frame_put16(&f, 0x0806);
	assert_verdict(&f, PKT_BAD_SOURCE);
	frame_start(&f, H2, 0xffffffffffff);
	frame_put16(&f, 0x0806);
	assert_verdict(&f, PKT_BAD_SOURCE);
	frame_start(&f, H2, 0);
	frame_put16(&f, 0x0806);
	assert_verdict(&f, PKT_BAD_SOURCE);
	for (uint64_t i = 0; i < 0x12; i++) {
		frame_start(&f, 0x0180c2000000 + i, H1);
		frame_put16(&f, 0x88cc);
		assert_verdict(&f, i < 0x10 ? PKT_LINK_LOCAL : PKT_OK);
	}
}

static void ip6_extension_headers_are_stepped_over(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, 0);
	frame_ip6_ext(&f, 43, 0);     // hop-by-hop
	frame_ip6_ext(&f, 60, 2);     // routing
	frame_ip6_ext(&f, 51, 1);     // destination options
	frame_put16(&f, 44 << 8 | 4); // AH of 24 bytes
	frame_pad(&f, 22, 0);
	frame_ip6_fragment(&f, 17, 0, 1);
	frame_ports(&f, 1000, 53);
	frame_pad(&f, 4, 0);
	frame_ip6_end(&f, at);
	assert_ip6(&f, 17, 1000, 53);
}

static void later_ip6_fragment_has_no_ports(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, 44);
	frame_ip6_fragment(&f, 6, 3, 0);
	frame_ports(&f, 1000, 53);
	frame_ip6_end(&f, at);
	assert_ip6(&f, 6, -1, -1);
}

// The frame cut into segments of seg bytes.
static struct rte_mbuf *in_segments(const struct frame *f, uint32_t seg)
{
	struct rte_mbuf *head = NULL;

	for (uint32_t at = 0; at < f->len; at += seg) {
		struct rte_mbuf *m = rte_pktmbuf_alloc(pool);
		uint16_t n = (uint16_t)RTE_MIN(seg, f->len - at);

		memcpy(rte_pktmbuf_append(m, n), f->data + at, n);
		if (head == NULL)
			head = m;
		else
			assert_int_equal(rte_pktmbuf_chain(head, m), 0);
	}
	return head;
}

// The verdict where fragments are refused.
static void assert_refused(const struct frame *f, bool refused)
{
	struct rte_mbuf *m = in_segments(f, 100);
	struct pkt pkt;

	assert_int_equal(pkt_parse(m, MAX_FRAME, &pkt), PKT_OK);
	pkt_refuse_fragment(m, &pkt);
	assert_int_equal(pkt.verdict, refused ? PKT_FRAGMENT : PKT_OK);
	rte_pktmbuf_free(m);
}

static void fragments_are_refused_where_the_configuration_says_so(void **state)
{
	static const struct {
		uint16_t bits;
		bool refused;
	} ip4[] = {{0, false}, {0x4000, false}, {0x2000, true}, {0x2001, true}, {0x0100, true}};
	static const struct {
		uint16_t offset, more;
		bool refused;
	} ip6[] = {{0, 0, false}, {0, 1, true}, {3, 0, true}, {3, 1, true}};
	struct frame f;
	uint32_t at;

	for (size_t i = 0; i < sizeof(ip4) / sizeof(ip4[0]); i++) {
		f = udp4(ip4[i].bits, i % 2);
		assert_refused(&f, ip4[i].refused);
	}
	for (size_t i = 0; i < sizeof(ip6) / sizeof(ip6[0]); i++) {
		frame_start(&f, H2, H1);
		at = frame_ip6(&f, ip6_a, ip6_b, 60);
		frame_ip6_ext(&f, 44, 0);
		frame_ip6_fragment(&f, 6, ip6[i].offset, ip6[i].more);
		frame_ports(&f, 1000, 53);
		frame_ip6_end(&f, at);
		assert_refused(&f, ip6[i].refused);
	}
	for (int n = 0; n < 36; n++) { // behind priority tags and extension headers
		frame_start(&f, H2, H1);
		for (int i = 0; i < n; i++)
			frame_tag(&f, 0x8100, 0);
		at = frame_ip6(&f, ip6_a, ip6_b, 60);
		for (int i = 0; i < n; i++)
			frame_ip6_ext(&f, i + 1 < n ? 60 : 44, 0);
		if (n == 0)
			f.data[at + 6] = 44;
		frame_ip6_fragment(&f, 6, 3, 0);
		frame_ip6_end(&f, at);
		assert_refused(&f, true);
	}
	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, 17);
	frame_ports(&f, 1000, 53);
	frame_ip6_end(&f, at);
	assert_refused(&f, false);
}

static void extension_header_beyond_the_packet_ends_the_search(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, 0);
	frame_ip6_ext(&f, 17, 0);
	frame_ports(&f, 1000, 53);
	frame_ip6_end(&f, at);
	f.data[at + 41] = 1; // says 16 bytes, 12 are there
	assert_ip6(&f, 0, -1, -1);
}

static void malformed_ip6_is_plain_ethernet(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, 17);
	frame_ports(&f, 1, 2);
	frame_ip6_end(&f, at);
	assert_ip6(&f, 17, 1, 2);
	frame_set16(&f, at + 4, 5); // one byte more than there is
	assert_nonip(&f, 0);
	frame_set16(&f, at + 4, 4);
	f.data[at] = 0x40;
	assert_nonip(&f, 0);
	f.data[at] = 0x60;
	f.len = at + 39;
	assert_nonip(&f, 0);
}

static void match_packet_says_the_same(void **state)
{
	struct frame f = udp4(0, 0);
	struct pkt p = parse(&f);
	struct match_packet m;

	pkt_to_match_packet(&p, 42, &m);
	assert_int_equal(m.kind, MATCH_IP4PORTS);
	assert_true(m.src == match_ip4(IP1) && m.dst == match_ip4(IP2));
	assert_int_equal(m.f[MATCH_TIME], 42);
	assert_int_equal(m.f[MATCH_SRC_ETH], H1);
	assert_int_equal(m.f[MATCH_DST_ETH], H2);
	assert_int_equal(m.f[MATCH_PROTO], 17);
	assert_int_equal(m.f[MATCH_SRC_PORT], 1000);
	assert_int_equal(m.f[MATCH_DST_PORT], 53);
	assert_int_equal(m.f[MATCH_SRC_USER] | m.f[MATCH_DST_USER] | m.f[MATCH_VLAN], 0);

	frame_start(&f, H2, H1);
	frame_tag(&f, 0x8100, 5);
	frame_ip6(&f, ip6_a, ip6_b, 59);
	p = parse(&f);
	pkt_to_match_packet(&p, 42, &m);
	assert_int_equal(m.kind, MATCH_IP6);
	assert_true(m.src == match_ip6_prefix(ip6_a, 128).lo && m.dst == match_ip6_prefix(ip6_b, 128).lo);
	assert_int_equal(m.f[MATCH_PROTO], 59);
	assert_int_equal(m.f[MATCH_VLAN], 5);
}

static void segments_make_no_difference(void **state)
{
	static const uint32_t seg[] = {1, 7, 14, 20, 33, 100, 128};
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	frame_tag(&f, 0x8100, 3);
	at = frame_ip6(&f, ip6_a, ip6_b, 0);
	frame_ip6_ext(&f, 6, 3);
	frame_ports(&f, 77, 88);
	frame_pad(&f, 100, 1);
	frame_ip6_end(&f, at);
	for (size_t i = 0; i < sizeof(seg) / sizeof(seg[0]); i++) {
		struct rte_mbuf *m = in_segments(&f, seg[i]);
		struct pkt whole = parse(&f), cut;

		assert_int_equal(pkt_parse(m, MAX_FRAME, &cut), PKT_OK);
		assert_memory_equal(&cut, &whole, sizeof(cut));
		rte_pktmbuf_free(m);
	}
	assert_int_equal(rte_mempool_in_use_count(pool), 0);
}

// Half noise, half a good frame with some bytes changed and the end cut off.
static void random_frames_crash_nothing(void **state)
{
	unsigned int seed = (unsigned int)seed_from_env(1);
	long rounds = (long)rounds_from_env(20000);

	print_message("seed %u, %ld rounds\n", seed, rounds);
	srand(seed);
	for (long i = 0; i < rounds; i++) {
		struct frame f = udp4(0, (unsigned int)rand() % 11);
		struct pkt p;

		if (rand() % 2 == 0) {
			uint32_t at;

			frame_start(&f, H2, H1);
			at = frame_ip6(&f, ip6_a, ip6_b, 0);
			frame_ip6_ext(&f, 60, (uint8_t)(rand() % 4));
			frame_ip6_ext(&f, 44, (uint8_t)(rand() % 4));
			frame_ip6_fragment(&f, 6, (uint16_t)(rand() % 2), 0);
			frame_ports(&f, 1, 2);
			frame_ip6_end(&f, at);
		}
		for (int n = rand() % 8; n > 0; n--)
			f.data[(uint32_t)rand() % f.len] = (uint8_t)rand();
		if (rand() % 4 == 0) {
			f.len = (uint32_t)rand() % 200;
			for (uint32_t j = 0; j < f.len; j++)
				f.data[j] = (uint8_t)rand();
		}
		f.len = (uint32_t)rand() % (f.len + 1);
		p = parse(&f);
		assert_true(p.verdict <= PKT_LINK_LOCAL && p.family < PKT_N_FAMILIES);
		assert_true((f.len < 14) <= (p.verdict == PKT_RUNT));
		if (p.verdict == PKT_OK) {
			struct match_packet m;

			pkt_to_match_packet(&p, 0, &m);
			assert_int_equal(m.kind & (m.kind - 1), 0);
		}
	}
}

static int setup(void **state)
{
	test_eal_init();
	pool = rte_pktmbuf_pool_create("pool", 2047, 0, 0, 256, 0);
	return pool == NULL;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_of_tcp_udp_sctp_are_found_and_of_nothing_else),
		cmocka_unit_test(ip4_options_are_stepped_over),
		cmocka_unit_test(first_fragment_has_ports_later_ones_have_none),
		cmocka_unit_test(header_too_short_for_ports_has_none),
		cmocka_unit_test(malformed_ip4_is_plain_ethernet),
		cmocka_unit_test(outer_tag_is_the_vlan_and_two_tags_are_looked_through),
		cmocka_unit_test(priority_tag_counts_as_untagged),
		cmocka_unit_test(a_tag_behind_a_priority_tag_names_the_vlan),
		cmocka_unit_test(arp_llc_and_unknown_types_are_nonip),
		cmocka_unit_test(unfit_frames_get_their_verdict),
		cmocka_unit_test(ip6_extension_headers_are_stepped_over),
		cmocka_unit_test(later_ip6_fragment_has_no_ports),
		cmocka_unit_test(fragments_are_refused_where_the_configuration_says_so),
		cmocka_unit_test(extension_header_beyond_the_packet_ends_the_search),
		cmocka_unit_test(malformed_ip6_is_plain_ethernet),
		cmocka_unit_test(match_packet_says_the_same),
		cmocka_unit_test(segments_make_no_difference),
		cmocka_unit_test(random_frames_crash_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
