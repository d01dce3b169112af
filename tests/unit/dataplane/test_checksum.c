// SPDX-License-Identifier: Apache-2.0
// Checksums against their definitions, byte by byte (RFC 9293, RFC 768, RFC 8200, RFC 9260). Every segment of a frame
// is memory of its own, of just its size: a sanitizer sees a read behind it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <rte_mbuf.h>

#include "dataplane/checksum.h"
#include "tests/rounds.h"
#include "tests/unit/dataplane/pkt_fixture.h"

#define SEGMENTS_MAX 4

enum { TCP = 6, UDP = 17, SCTP = 132, ICMP = 1, ICMP6 = 58, ROUTING = 43, DST_OPTIONS = 60 };

struct sample {
	struct frame f;
	uint32_t ip, l4, end; // offsets
	uint8_t proto;
	bool is_ip6;
};

static uint32_t below(uint32_t n)
{
	return (uint32_t)rand() % n;
}

static uint32_t field_of(uint8_t proto)
{
	return proto == TCP ? 16 : proto == UDP ? 6 : 8;
}

// --- what the standards say

static uint16_t fold(uint32_t sum)
{
	while (sum >> 16 != 0)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static uint32_t sum_of(const uint8_t *bytes, uint32_t n)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i < n; i++)
		sum += i % 2 == 0 ? (uint32_t)bytes[i] << 8 : bytes[i];
	return sum;
}

static uint16_t pseudo(const struct sample *s)
{
	uint32_t addresses = s->is_ip6 ? sum_of(s->f.data + s->ip + 8, 32) : sum_of(s->f.data + s->ip + 12, 8);

	return fold(addresses + s->proto + (s->end - s->l4));
}

static uint32_t crc32c(const uint8_t *bytes, uint32_t n)
{
	uint32_t crc = UINT32_MAX;

	for (uint32_t i = 0; i < n; i++) {
		crc ^= bytes[i];
		for (int k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static uint16_t get_field(const struct sample *s)
{
	const uint8_t *p = s->f.data + s->l4 + field_of(s->proto);

	return (uint16_t)(p[0] << 8 | p[1]);
}

static void set_field(struct sample *s, uint16_t v)
{
	frame_set16(&s->f, s->l4 + field_of(s->proto), v);
}

// As a sender leaves it that has a device to do the rest.
static void make_partial(struct sample *s)
{
	if (s->proto == SCTP)
		memset(s->f.data + s->l4 + 8, 0, 4);
	else
		set_field(s, pseudo(s));
}

static void make_right(struct sample *s)
{
	uint32_t crc;
	uint16_t v;

	set_field(s, 0);
	if (s->proto == SCTP) {
		memset(s->f.data + s->l4 + 8, 0, 4);
		crc = crc32c(s->f.data + s->l4, s->end - s->l4);
		for (uint32_t i = 0; i < 4; i++)
			s->f.data[s->l4 + 8 + i] = (uint8_t)(crc >> 8 * i);
		return;
	}
	v = (uint16_t)~fold(pseudo(s) + sum_of(s->f.data + s->l4, s->end - s->l4));
	set_field(s, v == 0 && s->proto == UDP ? 0xffff : v);
}

// --- frames

static uint8_t header_bytes(uint8_t proto)
{
	return proto == TCP ? 20 : proto == UDP ? 8 : 12;
}

// proto 0: any of the three; l4_bytes behind its header.
static void random_sample(struct sample *s, uint8_t proto, uint32_t payload)
{
	static const uint8_t protos[] = {TCP, UDP, SCTP};
	uint8_t a[16], b[16], n_ext;
	struct frame *f = &s->f;

	s->proto = proto != 0 ? proto : protos[below(3)];
	s->is_ip6 = below(2) == 0;
	for (int i = 0; i < 16; i++) {
		a[i] = (uint8_t)rand();
		b[i] = (uint8_t)rand();
	}
	frame_start(f, H2, H1);
	for (uint32_t n = below(3); n > 0; n--)
		frame_tag(f, below(2) == 0 ? 0x8100 : 0x88a8, (uint16_t)(0xa000 + below(0xfff)));
	if (s->is_ip6) {
		n_ext = (uint8_t)below(4);
		s->ip = frame_ip6(f, a, b, n_ext > 0 ? DST_OPTIONS : s->proto);
		for (; n_ext > 0; n_ext--)
			frame_ip6_ext(f, n_ext > 1 ? DST_OPTIONS : s->proto, (uint8_t)below(4));
	} else {
		s->ip = frame_ip4(f, (uint32_t)rand() * 3, (uint32_t)rand() * 5, s->proto, 0x4000, below(11));
	}
	s->l4 = f->len;
	payload += header_bytes(s->proto);
	for (uint32_t i = 0; i < payload; i++)
		f->data[f->len++] = (uint8_t)rand();
	s->end = f->len;
	if (s->is_ip6)
		frame_ip6_end(f, s->ip);
	else
		frame_ip4_end(f, s->ip);
	frame_pad(f, below(30), 0xee); // what lies behind the packet is no part of it
}

// What becomes of the frame, cut into so many segments.
static bool completed(struct frame *f, uint32_t n_segments)
{
	struct rte_mbuf m[SEGMENTS_MAX];
	uint32_t at[SEGMENTS_MAX + 1] = {0};
	struct pkt pkt;
	bool written = false;

	memset(m, 0, sizeof(m));
	for (uint32_t i = 1; i < n_segments; i++)
		at[i] = at[i - 1] + below(f->len - at[i - 1] < 80 || below(2) ? f->len - at[i - 1] + 1 : 80);
	at[n_segments] = f->len;
	for (uint32_t i = 0; i < n_segments; i++) {
		m[i].data_len = (uint16_t)(at[i + 1] - at[i]);
		m[i].buf_addr = malloc(m[i].data_len + (m[i].data_len == 0));
		memcpy(m[i].buf_addr, f->data + at[i], m[i].data_len);
		m[i].next = i + 1 < n_segments ? &m[i + 1] : NULL;
	}
	m[0].nb_segs = (uint16_t)n_segments;
	m[0].pkt_len = f->len;
	if (pkt_parse(m, FRAME_MAX, &pkt) == PKT_OK)
		written = checksum_complete(m, &pkt);
	for (uint32_t i = 0; i < n_segments; i++) {
		memcpy(f->data + at[i], m[i].buf_addr, m[i].data_len);
		free(m[i].buf_addr);
	}
	return written;
}

static void assert_untouched(const struct frame *f)
{
	struct frame after = *f;

	completed(&after, 1 + below(SEGMENTS_MAX));
	assert_int_equal(after.len, f->len);
	assert_memory_equal(after.data, f->data, f->len);
}

// --- tests

static void what_was_left_to_the_device_is_completed(void **state)
{
	for (unsigned long n = rounds_from_env(20000); n > 0; n--) {
		struct sample s, right;

		random_sample(&s, 0, below(3) == 0 ? below(1400) : below(40));
		right = s;
		make_right(&right);
		make_partial(&s);
		completed(&s.f, 1 + below(SEGMENTS_MAX));
		assert_memory_equal(s.f.data, right.f.data, s.f.len);
	}
}

static void what_is_right_or_wrong_already_stays(void **state)
{
	for (unsigned long n = rounds_from_env(20000); n > 0; n--) {
		struct sample s;

		random_sample(&s, 0, below(100));
		make_right(&s);
		assert_untouched(&s.f);
		if (s.proto == SCTP)
			s.f.data[s.l4 + 8 + below(4)] ^= (uint8_t)(1 + below(255));
		else
			set_field(&s, (uint16_t)(pseudo(&s) + 1 + below(0xfffe)));
		if (s.proto != SCTP || memcmp(s.f.data + s.l4 + 8, "\0\0\0\0", 4) != 0)
			assert_untouched(&s.f);
	}
}

static void a_right_checksum_that_looks_partial_stays(void **state)
{
	for (unsigned long n = rounds_from_env(5000); n > 0; n--) {
		struct sample s;
		uint16_t p, d;

		random_sample(&s, below(2) == 0 ? TCP : UDP, 2 + below(60));
		p = pseudo(&s);
		set_field(&s, p);
		frame_set16(&s.f, s.l4 + header_bytes(s.proto), 0);
		d = fold(p + (uint32_t)sum_of(s.f.data + s.l4, s.end - s.l4)); // now 2P + D; one word makes it 0
		frame_set16(&s.f, s.l4 + header_bytes(s.proto), (uint16_t)~d);
		make_right(&s);
		if (p != 0xffff) // otherwise 0 is as right
			assert_int_equal(get_field(&s), p);
		assert_untouched(&s.f);
	}
}

static void a_udp_datagram_without_checksum_stays_so(void **state)
{
	for (int n = 0; n < 2000; n++) {
		struct sample s;

		random_sample(&s, UDP, below(60));
		set_field(&s, 0);
		assert_untouched(&s.f);
	}
}

static void a_udp_checksum_of_0_is_sent_as_its_other_form(void **state)
{
	for (int n = 0; n < 2000; n++) {
		struct sample s;
		uint16_t d;

		random_sample(&s, UDP, 2);
		set_field(&s, 0);
		frame_set16(&s.f, s.l4 + 8, 0);
		d = fold(pseudo(&s) + sum_of(s.f.data + s.l4, s.end - s.l4));
		frame_set16(&s.f, s.l4 + 8, (uint16_t)~d); // the sum of all is 0
		make_partial(&s);
		assert_true(completed(&s.f, 1 + below(SEGMENTS_MAX)));
		assert_int_equal(get_field(&s), 0xffff);
	}
}

static void fragments_and_other_protocols_stay(void **state)
{
	static const uint8_t others[] = {ICMP, ICMP6, 2, 47, 89, 136};

	for (int n = 0; n < 2000; n++) {
		struct sample s;

		random_sample(&s, 0, 8 + below(60));
		make_partial(&s);
		if (!s.is_ip6) {
			struct sample fragment = s;

			frame_set16(&fragment.f, s.ip + 6, (uint16_t)(below(2) == 0 ? 0x2000 : 1 + below(0x1fff)));
			assert_untouched(&fragment.f);
			s.f.data[s.ip + 9] = others[below(sizeof(others))];
			assert_untouched(&s.f);
		} else if (s.l4 == s.ip + 40) {
			s.f.data[s.ip + 6] = others[below(sizeof(others))];
			assert_untouched(&s.f);
		}
	}
}

static struct sample behind_extension(uint8_t type, uint16_t word)
{
	struct sample s = {.proto = UDP, .is_ip6 = true};

	frame_start(&s.f, H2, H1);
	s.ip = frame_ip6(&s.f, ip6_a, ip6_b, type);
	frame_put16(&s.f, UDP << 8);
	frame_put16(&s.f, word);
	frame_put32(&s.f, 0);
	s.l4 = s.f.len;
	frame_pad(&s.f, 30, 7);
	s.end = s.f.len;
	frame_ip6_end(&s.f, s.ip);
	make_partial(&s);
	return s;
}

static void behind_routing_and_fragment_headers_it_stays(void **state)
{
	static const uint16_t words[] = {0, 1, 8, 9}; // of a fragment header: offset, more to come
	struct sample s = behind_extension(DST_OPTIONS, 0), right = s;

	make_right(&right);
	assert_true(completed(&s.f, 1));
	assert_memory_equal(s.f.data, right.f.data, s.f.len);
	for (size_t i = 0; i < 4; i++) {
		s = behind_extension(44, words[i]);
		assert_untouched(&s.f);
	}
	s = behind_extension(ROUTING, 0);
	assert_untouched(&s.f);
}

static void nothing_is_touched_behind_the_end(void **state)
{
	for (int n = 0; n < 300; n++) {
		struct sample s;
		uint32_t len;

		random_sample(&s, 0, below(20));
		make_partial(&s);
		for (len = s.f.len; len > 0; len--) {
			struct frame cut = s.f;
			bool whole = len >= s.end;

			cut.len = len;
			if (!whole)
				assert_untouched(&cut);
			// lengths that lie about what is there
			cut.data[s.ip + (s.is_ip6 ? 5 : 3)] = (uint8_t)rand();
			completed(&cut, 1 + below(SEGMENTS_MAX));
			cut.data[14 + below(40)] = (uint8_t)rand();
			completed(&cut, 1 + below(SEGMENTS_MAX));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_left_to_the_device_is_completed),
		cmocka_unit_test(what_is_right_or_wrong_already_stays),
		cmocka_unit_test(a_right_checksum_that_looks_partial_stays),
		cmocka_unit_test(a_udp_datagram_without_checksum_stays_so),
		cmocka_unit_test(a_udp_checksum_of_0_is_sent_as_its_other_form),
		cmocka_unit_test(fragments_and_other_protocols_stay),
		cmocka_unit_test(behind_routing_and_fragment_headers_it_stays),
		cmocka_unit_test(nothing_is_touched_behind_the_end),
	};
	unsigned int seed = (unsigned int)seed_from_env(1);

	print_message("seed %u\n", seed);
	srand(seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
