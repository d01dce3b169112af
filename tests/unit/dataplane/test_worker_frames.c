// SPDX-License-Identifier: Apache-2.0
// Frames that are not plain, through the worker: what a policy by ports, by VLAN and by protocol does to each, and in
// which counter it ends. What passes comes out byte by byte. Expectations are written down, not computed.
#include "tests/unit/dataplane/worker_net.h"

#define DENIED_PORT 53
#define DENIED_VLAN 20
#define LONGEST_BYTES NET_MAX_FRAME
#define TCP 6
#define UDP 17
#define OSPF 89
#define MORE_FRAGMENTS 0x2000

static const uint8_t ip6_h1[16] = {0x20, 1, 0xd, 0xb8, [15] = 1}, ip6_h2[16] = {0x20, 1, 0xd, 0xb8, [15] = 2};

// Port 53 of any protocol, VLAN 20, and protocol 89 are denied.
static void publish_policy(void)
{
	struct box by_port = box_any(), by_vlan = box_any(), by_proto = box_any();
	struct part_row rows[3];

	by_port.kinds = MATCH_KINDS_PORTS;
	by_port.f[MATCH_DST_PORT] = (struct span){DENIED_PORT, DENIED_PORT};
	by_vlan.f[MATCH_VLAN] = (struct span){DENIED_VLAN, DENIED_VLAN};
	by_proto.kinds = MATCH_KINDS_IP;
	by_proto.f[MATCH_PROTO] = (struct span){OSPF, OSPF};
	assert_true(box_normalize(&by_port) && box_normalize(&by_vlan) && box_normalize(&by_proto));
	rows[0] = net_row(&by_port, 1, ACCESS_DENY);
	rows[1] = net_row(&by_vlan, 2, ACCESS_DENY);
	rows[2] = net_row(&by_proto, 3, ACCESS_DENY);
	for (uint8_t i = 0; i < 3; i++)
		rows[i].access_category = i;
	net_publish(&net, rows, 3, NULL, 0);
}

static int open_with_policy(void **state)
{
	open_net(state);
	publish_policy();
	learn_all();
	return 0;
}

static int open_without_fragments(void **state)
{
	net_drops_fragments = true;
	open_with_policy(state);
	net_drops_fragments = false;
	return 0;
}

// Sent from H1 to H2: it comes out there.
static void passes(const struct frame *f)
{
	uint64_t denied = net_counter(&net, 0, COUNTER_denied);

	send_from(0, f);
	net_expect_out(&net, 1, f);
	for (uint16_t i = 0; i < 3; i++) // tagged ones are flooded
		net_drain(net.tx[i]);
	assert_int_equal(net_counter(&net, 0, COUNTER_denied), denied);
	net_expect_all_accounted_for(&net);
}

static void ends_in(enum counter_id id, const struct frame *f)
{
	uint64_t before[COUNTER_N], after[COUNTER_N];

	workers_counters_get(net.all, 0, before);
	send_from(0, f);
	workers_counters_get(net.all, 0, after);
	for (uint16_t i = 0; i < 3; i++)
		net_expect_silence(&net, i);
	for (int c = 0; c < COUNTER_N; c++) {
		if (counter_desc[c].kind == COUNTER_KIND_DROP && after[c] - before[c] != ((int)id == c))
			fail_msg("%s: %d more, expected one of %s", counter_desc[c].name, (int)(after[c] - before[c]),
				 counter_desc[id].name);
	}
	net_expect_all_accounted_for(&net);
}

// --- IPv4

static struct frame ip4(uint8_t proto, uint16_t frag, unsigned int option_words, uint16_t dport, uint32_t payload)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	at = frame_ip4(&f, IP(1), IP(2), proto, frag, option_words);
	frame_ports(&f, 1000, dport);
	frame_pad(&f, payload, 0x5a);
	frame_ip4_end(&f, at);
	return f;
}

static void ports_behind_ip4_options_decide(void **state)
{
	for (unsigned int words = 0; words <= 10; words++) {
		struct frame denied = ip4(UDP, 0, words, DENIED_PORT, 20), allowed = ip4(TCP, 0, words, 54, 20);

		ends_in(COUNTER_denied, &denied);
		passes(&allowed);
	}
}

static void an_ip4_datagram_in_fragments_is_known_by_its_first(void **state)
{
	struct frame first = ip4(UDP, MORE_FRAGMENTS, 0, DENIED_PORT, 20), later = ip4(UDP, 5, 0, DENIED_PORT, 20),
		     middle = ip4(UDP, MORE_FRAGMENTS | 5, 2, DENIED_PORT, 20), later_ospf = ip4(OSPF, 5, 0, 0, 20);

	ends_in(COUNTER_denied, &first);
	passes(&later); // where ports would be is payload
	passes(&middle);
	ends_in(COUNTER_denied, &later_ospf); // protocol and addresses are there
}

static void ports_that_are_cut_off_are_none(void **state)
{
	struct frame f = ip4(UDP, 0, 0, DENIED_PORT, 0);

	f.len -= 1;
	frame_ip4_end(&f, 14);
	passes(&f);
}

// Lengths that contradict themselves make it no IP: no test of IP meets it, those of Ethernet do.
static void malformed_ip4_is_judged_as_plain_ethernet(void **state)
{
	struct frame too_long = ip4(OSPF, 0, 0, 0, 20), short_header = too_long, version = too_long;

	ends_in(COUNTER_denied, &too_long);
	frame_set16(&too_long, 16, 1400); // of 44 bytes
	passes(&too_long);
	short_header.data[14] = 0x44;
	passes(&short_header);
	version.data[14] = 0x65;
	passes(&version);
}

// --- IPv6

static struct frame ip6_start(uint8_t next)
{
	struct frame f;

	frame_start(&f, H2, H1);
	frame_ip6(&f, ip6_h1, ip6_h2, next);
	return f;
}

static void ip6_end(struct frame *f, uint16_t dport)
{
	frame_ports(f, 1000, dport);
	frame_pad(f, 20, 0x5a);
	frame_ip6_end(f, 14);
}

static struct frame ip6_behind(const uint8_t *ext, unsigned int n_ext, uint8_t last, uint16_t dport)
{
	struct frame f = ip6_start(n_ext > 0 ? ext[0] : last);

	for (unsigned int i = 0; i < n_ext; i++)
		frame_ip6_ext(&f, i + 1 < n_ext ? ext[i + 1] : last, (uint8_t)(i % 3));
	ip6_end(&f, dport);
	return f;
}

static void ports_behind_ip6_extension_headers_decide(void **state)
{
	static const uint8_t ext[] = {0, 60, 43, 60}; // hop by hop, destination, routing, destination

	for (unsigned int n = 0; n <= 4; n++) {
		struct frame denied = ip6_behind(ext, n, UDP, DENIED_PORT), allowed = ip6_behind(ext, n, TCP, 54),
			     ospf = ip6_behind(ext, n, OSPF, 54);

		ends_in(COUNTER_denied, &denied);
		passes(&allowed);
		ends_in(COUNTER_denied, &ospf);
	}
}

static struct frame ip6_fragment(uint16_t offset8, unsigned int more, uint8_t proto)
{
	struct frame f = ip6_start(60);

	frame_ip6_ext(&f, 44, 0);
	frame_ip6_fragment(&f, proto, offset8, more);
	ip6_end(&f, DENIED_PORT);
	return f;
}

static void an_ip6_datagram_in_fragments_is_known_by_its_first(void **state)
{
	struct frame first = ip6_fragment(0, 1, UDP), later = ip6_fragment(8, 0, UDP), atomic = ip6_fragment(0, 0, UDP),
		     later_ospf = ip6_fragment(8, 1, OSPF);

	ends_in(COUNTER_denied, &first);
	ends_in(COUNTER_denied, &atomic);
	passes(&later);
	ends_in(COUNTER_denied, &later_ospf);
}

static void extension_headers_hide_no_ports(void **state)
{
	uint8_t ext[64];
	struct frame few, many, cut = ip6_start(60);

	memset(ext, 60, sizeof(ext));
	few = ip6_behind(ext, 25, UDP, DENIED_PORT);
	ends_in(COUNTER_denied, &few);
	many = ip6_behind(ext, sizeof(ext), UDP, 54);
	ends_in(COUNTER_deep, &many);
	frame_put16(&cut, UDP << 8 | 200); // it would be longer than the frame
	ip6_end(&cut, DENIED_PORT);
	passes(&cut);
}

static void malformed_ip6_is_judged_as_plain_ethernet(void **state)
{
	struct frame f = ip6_behind(NULL, 0, OSPF, 54);

	ends_in(COUNTER_denied, &f);
	frame_set16(&f, 18, 1400);
	passes(&f);
}

// --- fragments where none are wanted

static void fragments_are_dropped_where_the_configuration_says_so(void **state)
{
	struct frame first = ip4(UDP, MORE_FRAGMENTS, 0, 54, 20), later = ip4(UDP, 5, 1, 54, 20),
		     whole = ip4(UDP, 0x4000, 0, 54, 20), first6 = ip6_fragment(0, 1, UDP),
		     later6 = ip6_fragment(8, 0, UDP), atomic6 = ip6_fragment(0, 0, TCP);

	ends_in(COUNTER_fragment, &first);
	ends_in(COUNTER_fragment, &later);
	ends_in(COUNTER_fragment, &first6);
	ends_in(COUNTER_fragment, &later6);
	passes(&whole);                    // "don't fragment" is none
	ends_in(COUNTER_denied, &atomic6); // one that is whole: by its ports
}

// --- tags

static struct frame tagged(uint16_t outer_tpid, uint16_t outer, int inner, uint16_t dport)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, H2, H1);
	frame_tag(&f, outer_tpid, outer);
	if (inner >= 0)
		frame_tag(&f, 0x8100, (uint16_t)inner);
	at = frame_ip4(&f, IP(1), IP(2), UDP, 0, 0);
	frame_ports(&f, 1000, dport);
	frame_pad(&f, 30, 0x5a);
	frame_ip4_end(&f, at);
	return f;
}

static void the_outer_tag_is_the_vlan_and_ports_are_looked_for_behind_both(void **state)
{
	static const uint16_t tpid[] = {0x8100, 0x88a8};

	for (int i = 0; i < 2; i++) {
		struct frame one = tagged(tpid[i], DENIED_VLAN, -1, 54), outer = tagged(tpid[i], DENIED_VLAN, 7, 54),
			     inner = tagged(tpid[i], 7, DENIED_VLAN, 54), port = tagged(tpid[i], 7, 9, DENIED_PORT),
			     priority = tagged(tpid[i], 0xe000 | DENIED_VLAN, 7, 54),
			     plain = tagged(tpid[i], 7, -1, 54),
			     behind_priority = tagged(tpid[i], 0xe000, DENIED_VLAN, 54);

		ends_in(COUNTER_denied, &one);
		ends_in(COUNTER_denied, &outer);
		ends_in(COUNTER_denied, &priority);
		ends_in(COUNTER_denied, &port);
		ends_in(COUNTER_denied, &behind_priority); // a priority tag names no VLAN
		passes(&inner);
		passes(&plain);
	}
}

// --- too short, too long

static void frames_too_short_or_too_long_end_in_their_counters(void **state)
{
	struct frame f = ip4(UDP, 0, 0, 54, 20), longest = tagged(0x88a8, 7, 9, 54),
		     tag_cut = tagged(0x8100, 7, -1, 54);

	for (f.len = 1; f.len < 14; f.len++)
		ends_in(COUNTER_runt, &f);
	for (f.len = 14; f.len < 34; f.len++)
		passes(&f); // a header of Ethernet, nothing of IP
	for (tag_cut.len = 14; tag_cut.len < 18; tag_cut.len++)
		ends_in(COUNTER_runt, &tag_cut);
	frame_pad(&longest, LONGEST_BYTES - longest.len, 0x5a);
	passes(&longest);
	frame_pad(&longest, 1, 0x5a);
	ends_in(COUNTER_oversize, &longest);
}

#define frames_test(fn) cmocka_unit_test_setup_teardown(fn, open_with_policy, close_net)

int main(void)
{
	const struct CMUnitTest tests[] = {
		frames_test(ports_behind_ip4_options_decide),
		frames_test(an_ip4_datagram_in_fragments_is_known_by_its_first),
		frames_test(ports_that_are_cut_off_are_none),
		frames_test(malformed_ip4_is_judged_as_plain_ethernet),
		frames_test(ports_behind_ip6_extension_headers_decide),
		frames_test(an_ip6_datagram_in_fragments_is_known_by_its_first),
		frames_test(extension_headers_hide_no_ports),
		frames_test(malformed_ip6_is_judged_as_plain_ethernet),
		cmocka_unit_test_setup_teardown(fragments_are_dropped_where_the_configuration_says_so,
						open_without_fragments, close_net),
		frames_test(the_outer_tag_is_the_vlan_and_ports_are_looked_for_behind_both),
		frames_test(frames_too_short_or_too_long_end_in_their_counters),
	};

	test_eal_init();
	return cmocka_run_group_tests_name("worker_frames", tests, NULL, NULL);
}
