// SPDX-License-Identifier: Apache-2.0
// Headers that lie behind many others: found, or the frame is refused; never passed for something simpler.
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/rounds.h"
#include "tests/unit/dataplane/pkt_fixture.h"

static void any_number_of_priority_tags_is_looked_through(void **state)
{
	for (int n = 0; n < 140; n++) {
		struct frame f;
		uint32_t at;
		bool deep;

		frame_start(&f, H2, H1);
		for (int i = 0; i < n; i++)
			frame_tag(&f, i % 2 == 0 ? 0x8100 : 0x88a8, 0xe000);
		if (n % 3 == 1)
			frame_tag(&f, 0x8100, 20);
		at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
		frame_ports(&f, 5, 6);
		frame_ip4_end(&f, at);
		deep = f.len > PKT_WINDOW_BYTES;
		if (deep)
			assert_verdict(&f, PKT_DEEP);
		else
			assert_ip4(&f, n % 3 == 1 ? 20 : 0, 6, 5, 6);
		frame_start(&f, H2, H1);
		for (int i = 0; i < n; i++)
			frame_tag(&f, 0x8100, 0);
		for (f.len = f.len - (n > 0); f.len < 14u + 4u * (uint32_t)n && f.len < PKT_WINDOW_BYTES; f.len++)
			assert_verdict(&f, PKT_RUNT); // it ends in a tag
	}
}

static void priority_tags_between_others_are_not_counted(void **state)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	for (int i = 0; i < 2; i++) {
		frame_tag(&f, 0x8100, 0x2000);
		frame_tag(&f, 0x8100, (uint16_t)(30 + i));
	}
	frame_tag(&f, 0x8100, 0);
	at = frame_ip4(&f, IP1, IP2, 6, 0, 0);
	frame_ports(&f, 5, 6);
	frame_ip4_end(&f, at);
	assert_ip4(&f, 30, 6, 5, 6);
}

// Options of 8 bytes each.
static struct frame udp6_behind(int n_options)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip6(&f, ip6_a, ip6_b, n_options > 0 ? 60 : 17);
	for (int i = 1; i <= n_options; i++)
		frame_ip6_ext(&f, i < n_options ? 60 : 17, 0);
	frame_ports(&f, 1000, 53);
	frame_pad(&f, 4, 0);
	frame_ip6_end(&f, at);
	return f;
}

static void ports_are_found_behind_any_extension_headers_or_the_frame_is_refused(void **state)
{
	const int most = (PKT_WINDOW_BYTES - 14 - 40 - 4) / 8;
	struct frame f;
	uint32_t at;

	for (int n = 0; n <= most; n++) {
		f = udp6_behind(n);
		assert_ip6(&f, 17, 1000, 53);
	}
	for (int n = most + 1; n <= most + 20; n++) {
		f = udp6_behind(n);
		assert_verdict(&f, PKT_DEEP);
	}
	frame_start(&f, H2, H1); // one header is longer than the window
	at = frame_ip6(&f, ip6_a, ip6_b, 60);
	frame_ip6_ext(&f, 17, 100);
	frame_ports(&f, 1000, 53);
	frame_ip6_end(&f, at);
	assert_verdict(&f, PKT_DEEP);
}

static void ip6_headers_without_an_end_are_refused_only_beyond_the_window(void **state)
{
	struct frame f = udp6_behind(20);

	f.len = 14 + 40 + 20 * 8; // the last one says UDP, which is not there
	frame_ip6_end(&f, 14);
	assert_ip6(&f, 17, -1, -1);
	f.len -= 8;
	frame_ip6_end(&f, 14);
	assert_ip6(&f, 60, -1, -1);
	frame_start(&f, H2, H1); // an end is reached within the window: what is long is the payload
	frame_ip6(&f, ip6_a, ip6_b, 44);
	frame_ip6_fragment(&f, 60, 3, 0);
	frame_pad(&f, 1000, 60);
	frame_ip6_end(&f, 14);
	assert_ip6(&f, 60, -1, -1);
	frame_start(&f, H2, H1);
	frame_ip6(&f, ip6_a, ip6_b, 58);
	frame_pad(&f, 1000, 60);
	frame_ip6_end(&f, 14);
	assert_ip6(&f, 58, -1, -1);
}

static void ip6_length_zero_behind_a_hop_by_hop_header_is_the_rest_of_the_frame(void **state)
{
	struct frame f;

	for (uint8_t first = 0; first <= 60; first += 60) {
		frame_start(&f, H2, H1);
		frame_ip6(&f, ip6_a, ip6_b, first);
		frame_ip6_ext(&f, 17, 0);
		frame_ports(&f, 1000, 53);
		if (first == 0)
			assert_ip6(&f, 17, 1000, 53);
		else
			assert_ip6(&f, 60, -1, -1);
	}
}

// --- random frames against a reader that sees all of the frame

struct want {
	enum pkt_verdict verdict;
	enum pkt_family family;
	uint16_t vlan;
	uint8_t proto;
	int dport; // -1: none
};

static uint32_t word(const struct frame *f, uint32_t at)
{
	return (uint32_t)(f->data[at] << 8 | f->data[at + 1]);
}

static bool is_one_of(uint8_t proto, const char *set, size_t n)
{
	return memchr(set, proto, n) != NULL;
}

static bool has_ports(uint8_t proto)
{
	return is_one_of(proto, "\x06\x11\x84", 3);
}

static void want_ip4(const struct frame *f, uint32_t at, struct want *want)
{
	uint32_t header = (f->data[at] & 15u) * 4, end = at + word(f, at + 2), ports = at + header + 4;

	if (f->len < at + 20 || f->data[at] >> 4 != 4 || header < 20 || end < at + header || end > f->len)
		return;
	want->family = PKT_IP4;
	want->proto = f->data[at + 9];
	if ((word(f, at + 6) & 0x1fff) != 0 || !has_ports(want->proto) || end < ports)
		return;
	want->dport = (int)word(f, ports - 2);
	if (ports > PKT_WINDOW_BYTES)
		want->verdict = PKT_DEEP;
}

static void want_ip6(const struct frame *f, uint32_t at, struct want *want)
{
	uint32_t end = at + 40 + word(f, at + 4), need = 0;
	uint8_t proto = f->data[at + 6];

	if (f->len < at + 40 || f->data[at] >> 4 != 6)
		return;
	if (proto == 0 && word(f, at + 4) == 0)
		end = f->len;
	if (end > f->len)
		return;
	want->family = PKT_IP6;
	for (at += 40; is_one_of(proto, "\x00\x2b\x2c\x33\x3c", 5); at = need) {
		bool later = proto == 44 && (word(f, at + 2) & 0xfff8) != 0;

		need = at + 8;
		if (need <= end && proto == 51)
			need = at + (f->data[at + 1] + 2u) * 4;
		else if (need <= end && proto != 44)
			need = at + (f->data[at + 1] + 1u) * 8;
		if (need > PKT_WINDOW_BYTES && end > PKT_WINDOW_BYTES)
			want->verdict = PKT_DEEP;
		if (need > end)
			break;
		proto = f->data[at];
		if (later) {
			want->proto = proto;
			return;
		}
	}
	want->proto = proto;
	if (!has_ports(proto))
		return;
	if (at + 4 > PKT_WINDOW_BYTES && end > PKT_WINDOW_BYTES)
		want->verdict = PKT_DEEP;
	if (at + 4 <= end)
		want->dport = (int)word(f, at + 2);
}

static struct want want_of(const struct frame *f)
{
	struct want want = {.family = PKT_NONIP, .dport = -1};
	uint32_t at = 12, n_ids = 0;

	for (; word(f, at) == 0x8100 || word(f, at) == 0x88a8; at += 4) {
		uint16_t id = word(f, at + 2) & 0xfff;

		if (f->len < at + 6) {
			want.verdict = f->len > PKT_WINDOW_BYTES ? PKT_DEEP : PKT_RUNT;
			return want;
		}
		if (at + 6 > PKT_WINDOW_BYTES) {
			want.verdict = PKT_DEEP;
			return want;
		}
		if (id != 0 && ++n_ids > 2)
			return want;
		if (want.vlan == 0)
			want.vlan = id;
	}
	if ((word(f, at) == 0x0800 && at + 22 > PKT_WINDOW_BYTES && at + 22 <= f->len) ||
	    (word(f, at) == 0x86dd && at + 42 > PKT_WINDOW_BYTES && at + 42 <= f->len))
		want.verdict = PKT_DEEP;
	else if (word(f, at) == 0x0800)
		want_ip4(f, at + 2, &want);
	else if (word(f, at) == 0x86dd)
		want_ip6(f, at + 2, &want);
	return want;
}

static uint32_t draw(uint32_t n)
{
	return (uint32_t)rand() % n;
}

// Often as many headers as just reach the end of the window.
static void draw_frame(struct frame *f)
{
	static const uint8_t chain[] = {0, 43, 44, 51, 60, 60, 60, 60}, last[] = {6, 17, 132, 58, 60};
	uint32_t n_tags = draw(3) == 0 ? draw(135) : draw(4), n = draw(3) == 0 ? draw(66) : draw(12), at, next_at;

	frame_start(f, H2, H1);
	for (uint32_t i = 0; i < n_tags; i++)
		frame_tag(f, draw(2) ? 0x8100 : 0x88a8, (uint16_t)(draw(8) << 13 | (draw(n_tags) < 2 ? draw(50) : 0)));
	if (draw(3) == 0) {
		at = frame_ip4(f, IP1, IP2, last[draw(sizeof(last))], draw(8) == 0 ? (uint16_t)draw(3) : 0, draw(11));
		frame_pad(f, draw(4) == 0 ? draw(100) : 4, (uint8_t)draw(256));
		frame_ip4_end(f, at);
		return;
	}
	at = frame_ip6(f, ip6_a, ip6_b, 0);
	next_at = at + 6;
	for (uint32_t i = 0; i < n && f->len < MAX_FRAME - 100; i++) {
		uint8_t kind = draw(30) == 0 ? 44 : chain[draw(sizeof(chain))];

		if (kind == 44 && draw(8) != 0)
			kind = 60;
		f->data[next_at] = kind;
		next_at = f->len;
		if (kind == 44)
			frame_ip6_fragment(f, 0, draw(3) == 0, draw(2));
		else if (kind == 51)
			frame_ip6_ext(f, 0, 0), f->data[f->len - 7] = 0; // 8 bytes
		else
			frame_ip6_ext(f, 0, draw(20) == 0 ? (uint8_t)draw(60) : 0);
	}
	f->data[next_at] = last[draw(sizeof(last))];
	frame_pad(f, draw(4) == 0 ? draw(100) : draw(9), (uint8_t)draw(256));
	if (f->len > MAX_FRAME)
		f->len = MAX_FRAME;
	if (draw(4) != 0)
		frame_ip6_end(f, at);
}

static void what_lies_beyond_the_window_is_never_taken_for_something_else(void **state)
{
	unsigned int seed = (unsigned int)seed_from_env(1);
	long rounds = (long)rounds_from_env(50000), n_deep = 0, n_ports = 0;

	print_message("seed %u, %ld rounds\n", seed, rounds);
	srand(seed);
	for (long i = 0; i < rounds; i++) {
		struct frame f = {.len = 0};
		struct want want;
		struct pkt p;

		draw_frame(&f);
		if (draw(3) == 0)
			f.data[12 + draw(f.len - 12)] = (uint8_t)draw(256);
		if (draw(8) == 0)
			f.len = 14 + draw(f.len - 14);
		want = want_of(&f);
		p = parse(&f);
		assert_int_equal(p.verdict, want.verdict);
		n_deep += want.verdict == PKT_DEEP;
		if (p.verdict != PKT_OK)
			continue;
		n_ports += want.dport >= 0;
		assert_int_equal(p.family, want.family);
		assert_int_equal(p.vlan, want.vlan);
		if (p.family == PKT_NONIP)
			continue;
		assert_int_equal(p.family == PKT_IP4 ? p.ip4.proto : p.ip6.proto, want.proto);
		assert_int_equal(p.family == PKT_IP4 ? p.ip4.has_ports : p.ip6.has_ports, want.dport >= 0);
		if (want.dport >= 0)
			assert_int_equal(rte_be_to_cpu_16(p.family == PKT_IP4 ? p.ip4.dport_be : p.ip6.dport_be),
					 want.dport);
	}
	assert_true(n_deep > rounds / 20 && n_ports > rounds / 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_number_of_priority_tags_is_looked_through),
		cmocka_unit_test(priority_tags_between_others_are_not_counted),
		cmocka_unit_test(ports_are_found_behind_any_extension_headers_or_the_frame_is_refused),
		cmocka_unit_test(ip6_headers_without_an_end_are_refused_only_beyond_the_window),
		cmocka_unit_test(ip6_length_zero_behind_a_hop_by_hop_header_is_the_rest_of_the_frame),
		cmocka_unit_test(what_lies_beyond_the_window_is_never_taken_for_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
