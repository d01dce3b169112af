// SPDX-License-Identifier: Apache-2.0
// Capture files in, exactly the expected capture files out, through the real worker: deny, VLAN tags, fragments,
// learning.
#include "tests/unit/dataplane/net_fixture.h"

#define H1 0x020000000001ull
#define H2 0x020000000002ull
#define BROADCAST 0xffffffffffffull
#define N_PORTS 3
#define FILE_HEADER_BYTES 24
#define FILE_MAX (256 * 1024)

static char dir[] = "/tmp/pane-pcap-XXXXXX";

// A capture file in memory; times are zero.
struct capture {
	uint8_t *data;
	size_t len;
};

static void put32(struct capture *c, uint32_t v)
{
	memcpy(c->data + c->len, &v, 4); // in the machine's order, the magic number says which
	c->len += 4;
}

static void capture_init(struct capture *c)
{
	c->data = calloc(1, FILE_MAX);
	c->len = 0;
	put32(c, 0xa1b2c3d4);
	put32(c, 4 << 16 | 2); // version 2.4
	put32(c, 0);
	put32(c, 0);
	put32(c, 65535);
	put32(c, 1); // Ethernet
}

static void capture_add(struct capture *c, const struct frame *f)
{
	put32(c, 0);
	put32(c, 0);
	put32(c, f->len);
	put32(c, f->len);
	memcpy(c->data + c->len, f->data, f->len);
	c->len += f->len;
}

static void file_name(char *buf, size_t size, const char *what, int port)
{
	snprintf(buf, size, "%s/%s%d.pcap", dir, what, port);
}

static void capture_write(const struct capture *c, int port)
{
	char name[64];
	FILE *file;

	file_name(name, sizeof(name), "in", port);
	file = fopen(name, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(c->data, 1, c->len, file), c->len);
	assert_int_equal(fclose(file), 0);
}

// What the switch wrote; times are set to zero.
static void capture_read(struct capture *c, int port)
{
	char name[64];
	FILE *file;

	file_name(name, sizeof(name), "out", port);
	file = fopen(name, "r");
	assert_non_null(file);
	c->data = calloc(1, FILE_MAX);
	c->len = fread(c->data, 1, FILE_MAX, file);
	fclose(file);
	assert_true(c->len >= FILE_HEADER_BYTES);
	for (size_t at = FILE_HEADER_BYTES; at + 16 <= c->len;) {
		uint32_t len;

		memset(c->data + at, 0, 8);
		memcpy(&len, c->data + at + 8, 4);
		at += 16 + len;
	}
}

static struct frame tcp4(uint64_t dst, uint16_t vlan, uint16_t tpid, uint16_t dport, uint16_t frag, uint32_t payload)
{
	struct frame f;
	uint32_t at;

	frame_start(&f, dst, H2);
	if (tpid != 0)
		frame_tag(&f, tpid, vlan);
	at = frame_ip4(&f, 0x0a000002, 0x0a000001, 6, frag, 0);
	frame_ports(&f, 4000, dport);
	for (uint32_t i = 0; i < payload; i++)
		f.data[f.len++] = (uint8_t)(i * 7 + dport);
	frame_ip4_end(&f, at);
	return f;
}

static struct frame tcp6(uint16_t dport)
{
	static const uint8_t a[16] = {0xfd, [15] = 1}, b[16] = {0xfd, [15] = 2};
	struct frame f;
	uint32_t at;

	frame_start(&f, H1, H2);
	at = frame_ip6(&f, b, a, 60);
	frame_ip6_ext(&f, 6, 1);
	frame_ports(&f, 4000, dport);
	frame_pad(&f, 16, 9);
	frame_ip6_end(&f, at);
	return f;
}

enum fate {
	DROPPED,
	TO_H1,   // port 0 only
	FLOODED, // ports 0 and 2
};

// What H2 sends on port 1, and where each frame must come out.
static void script(struct capture *in, struct capture expected[N_PORTS])
{
	struct frame lldp, runt, double_tagged = tcp4(H1, 7, 0x8100, 22, 0, 40);
	const struct {
		struct frame f;
		enum fate fate;
	} steps[] = {
		{tcp4(H1, 0, 0, 22, 0, 6), TO_H1},           // 60 bytes, the minimum
		{tcp4(H1, 0, 0, 80, 0, 6), DROPPED},         // denied
		{tcp4(H1, 0, 0, 81, 0, 1456), TO_H1},        // 1514 bytes
		{tcp4(H1, 0, 0, 80, 0x2000, 1400), DROPPED}, // first fragment: has ports
		{tcp4(H1, 0, 0, 80, 0x20b0, 1400), TO_H1},   // later fragments pass
		{tcp4(H1, 0, 0, 80, 0x0160, 100), TO_H1},
		{tcp4(H1, 7, 0x8100, 80, 0, 40), DROPPED},        // denied in a VLAN, too
		{tcp4(H1, 0x6007, 0x8100, 22, 0, 1456), FLOODED}, // 1518 bytes; H1 is unknown in VLAN 7; priority kept
		{tcp4(H1, 100, 0x88a8, 22, 0, 40), FLOODED},
		{tcp4(H1, 0, 0x8100, 22, 0, 40), TO_H1}, // priority tag: the untagged VLAN
		{tcp4(BROADCAST, 0, 0, 22, 0, 40), FLOODED},
		{tcp4(BROADCAST, 0, 0, 80, 0, 40), DROPPED},
		{tcp4(H1, 0, 0, 22, 0, 1600), DROPPED}, // longer than the MTU
		{tcp6(80), DROPPED},
		{tcp6(443), TO_H1},
	};

	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		capture_add(in, &steps[i].f);
		if (steps[i].fate != DROPPED)
			capture_add(&expected[0], &steps[i].f);
		if (steps[i].fate == FLOODED)
			capture_add(&expected[2], &steps[i].f);
	}
	lldp = tcp4(0x0180c200000e, 0, 0, 22, 0, 40);
	capture_add(in, &lldp);
	runt = tcp4(H1, 0, 0, 22, 0, 40);
	runt.len = 13;
	capture_add(in, &runt);
	// a second tag in front of the first
	memmove(double_tagged.data + 16, double_tagged.data + 12, double_tagged.len - 12);
	memcpy(double_tagged.data + 12, "\x88\xa8\x00\x64", 4);
	double_tagged.len += 4;
	capture_add(in, &double_tagged);
	capture_add(&expected[0], &double_tagged);
	capture_add(&expected[2], &double_tagged);
}

static void publish_deny_port_80(struct net *net)
{
	struct box box = box_any();
	struct part_row deny;

	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_DST_PORT] = (struct span){80, 80};
	deny = net_row(&box, 1, ACCESS_DENY);
	net_publish(net, &deny, 1, NULL, 0);
}

static void capture_in_gives_exactly_the_expected_captures_out(void **state)
{
	struct capture in[2], expected[N_PORTS], got;
	char device[N_PORTS][160];
	const char *devices[N_PORTS] = {device[0], device[1], device[2]};
	struct frame hello;
	struct net net;

	for (int i = 0; i < N_PORTS; i++)
		capture_init(&expected[i]);
	capture_init(&in[0]);
	capture_init(&in[1]);
	frame_start(&hello, BROADCAST, H1);
	frame_put16(&hello, 0x0806);
	frame_pad(&hello, 46, 0x11);
	capture_add(&in[0], &hello);
	capture_add(&expected[1], &hello);
	capture_add(&expected[2], &hello);
	script(&in[1], expected);
	capture_write(&in[0], 0);
	capture_write(&in[1], 1);
	for (int i = 0; i < N_PORTS; i++) {
		char from[64] = "", to[64];

		if (i < 2)
			file_name(from, sizeof(from), "in", i);
		file_name(to, sizeof(to), "out", i);
		snprintf(device[i], sizeof(device[i]), "pcap:%s,%s", from, to);
	}
	net_open_on(&net, N_PORTS, devices, NET_HZ, 0, 1023);
	publish_deny_port_80(&net);
	for (int i = 0; i < 10; i++)
		net_turn(&net);
	net_expect_all_accounted_for(&net);
	assert_int_equal(net_counter(&net, 1, COUNTER_denied), 5);
	assert_int_equal(net_counter(&net, 1, COUNTER_oversize), 1);
	assert_int_equal(net_counter(&net, 1, COUNTER_runt), 1);
	assert_int_equal(net_counter(&net, 1, COUNTER_link_local), 1);
	net_close(&net);
	for (int i = 0; i < N_PORTS; i++) {
		capture_read(&got, i);
		assert_int_equal(got.len, expected[i].len);
		assert_memory_equal(got.data + FILE_HEADER_BYTES, expected[i].data + FILE_HEADER_BYTES,
				    expected[i].len - FILE_HEADER_BYTES);
		free(got.data);
		free(expected[i].data);
	}
	free(in[0].data);
	free(in[1].data);
}

static int setup(void **state)
{
	test_eal_init();
	return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	for (int i = 0; i < N_PORTS; i++) {
		char name[64];

		file_name(name, sizeof(name), "in", i);
		unlink(name);
		file_name(name, sizeof(name), "out", i);
		unlink(name);
	}
	rmdir(dir);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(capture_in_gives_exactly_the_expected_captures_out),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
