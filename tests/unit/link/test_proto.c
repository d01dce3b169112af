// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"

static struct proto_traced traced_sample(struct gen *g)
{
	struct proto_traced t = {.number = (uint32_t)gen_u64(g), .gen = 5, .drop = gen_u64(g) & 1, .node = 7};

	idset_add(&t.reservations, 1 + gen_below(g, 100));
	for (uint64_t n = gen_below(g, 20); n > 0; n--)
		idset_add(&t.limits, gen_u64(g) | 1);
	t.limits.overflow = false; // not told
	t.n_rows = (uint16_t)gen_below(g, PROTO_TRACED_ROWS_MAX + 1);
	for (int i = 0; i < t.n_rows; i++)
		t.row[i] = (struct proto_traced_row){.key = gen_u64(g),
						     .id = gen_u64(g),
						     .node = 3,
						     .part = PART_LIMIT,
						     .access = ACCESS_ALLOW,
						     .access_category = 3,
						     .meter_category = 127,
						     .layer = (uint8_t)gen_below(g, PROTO_N_LAYERS),
						     .layer_idx = 2};
	return t;
}

static struct proto_queues queues_sample(struct gen *g)
{
	struct proto_queues q = {.port = (uint16_t)gen_u64(g), .is_end = gen_u64(g) & 1};

	if (q.is_end)
		q.of_port = (struct proto_port_queues){(uint32_t)gen_u64(g), 9, gen_u64(g), gen_u64(g), gen_u64(g)};
	q.n = (uint8_t)gen_below(g, PROTO_QUEUES_MAX + 1);
	for (int i = 0; i < q.n; i++) {
		q.queue[i] = (struct proto_queue){.number = (uint32_t)gen_u64(g),
						  .node = (uint32_t)gen_u64(g),
						  .packets = gen_u64(g),
						  .bytes = gen_u64(g),
						  .dropped = {1, 2, gen_u64(g), 4},
						  .dropped_bytes = gen_u64(g),
						  .marked = gen_u64(g),
						  .backlog_packets = gen_u64(g),
						  .backlog_bytes = gen_u64(g),
						  .delay_us = {8, (uint32_t)gen_u64(g), UINT32_MAX},
						  .time_ns = gen_u64(g)};
		for (uint64_t id = 1; id <= ACTION_SET_MAX; id++) { // the largest there is
			idset_add(&q.queue[i].reservations, id);
			idset_add(&q.queue[i].limits, id << 60 | id);
		}
	}
	return q;
}

// A message of each type, i counting up.
static struct proto_msg sample(struct gen *g, unsigned int i)
{
	struct proto_msg msg = {.type = (enum proto_type)(1 + i % PROTO_CAPTURED)};

	switch (msg.type) {
	case PROTO_HELLO:
		msg.hello = (struct proto_hello){PROTO_VERSION, gen_u64(g), gen_u64(g)};
		break;
	case PROTO_ROW_ADD:
		msg.row = gen_row(g, 30, 40);
		break;
	case PROTO_ROW_DEL:
		msg.row_key = gen_u64(g);
		break;
	case PROTO_HAVE_ROW:
		msg.have_row = (struct proto_have_row){gen_u64(g), (uint8_t)gen_below(g, PARTS_CATEGORIES_MAX),
						       PARTS_NO_CATEGORY};
		break;
	case PROTO_NODE_SET:
	case PROTO_HAVE_NODE:
		msg.node = gen_node(1 + (uint32_t)gen_below(g, 60000));
		break;
	case PROTO_NODE_DEL:
		msg.node.number = (uint32_t)gen_u64(g);
		break;
	case PROTO_METER_SET:
	case PROTO_HAVE_METER:
		msg.meter = (struct proto_meter){gen_u64(g), 1 + gen_below(g, INT64_MAX), 1 + gen_below(g, 2)};
		break;
	case PROTO_METER_DEL:
		msg.meter.id = gen_u64(g);
		break;
	case PROTO_COMMIT:
		msg.commit.txn = gen_u64(g);
		break;
	case PROTO_IN_FORCE:
		msg.commit.txn = gen_u64(g);
		msg.commit.time_ns = (int64_t)gen_u64(g);
		break;
	case PROTO_COMMIT_FAILED:
		msg.commit.txn = gen_u64(g);
		memset(msg.commit.why, 'x', gen_below(g, PROTO_TEXT_MAX));
		break;
	case PROTO_HAVE_END:
		break;
	case PROTO_PORT:
		msg.port = (struct proto_port){.port = (uint16_t)gen_u64(g),
					       .up = gen_u64(g) & 1,
					       .mac = {1, 2, 3, 4, 5, 6},
					       .rate_bps = gen_u64(g),
					       .name = "p1",
					       .device = "af_packet:veth0"};
		break;
	case PROTO_COUNTERS:
		msg.counters.port = (uint16_t)gen_u64(g);
		msg.counters.n = (uint16_t)gen_below(g, PROTO_COUNTERS_MAX + 1);
		for (int k = 0; k < msg.counters.n; k++)
			msg.counters.value[k] = gen_u64(g);
		break;
	case PROTO_HOST:
		msg.host = (struct proto_host){.port = (uint16_t)gen_u64(g), .vlan = 5, .mac = {2, 0, 0, 0, 0, 9}};
		msg.host.age_ns = gen_u64(g) >> 1;
		if (gen_below(g, 2) == 0) {
			msg.host.kinds = MATCH_KINDS_V4;
			msg.host.addr = match_ip4((uint32_t)gen_u64(g));
		}
		break;
	case PROTO_ROW_COUNTS:
		msg.row_counts.n = (uint16_t)gen_below(g, PROTO_ROW_COUNTS_MAX + 1);
		for (int k = 0; k < msg.row_counts.n; k++)
			msg.row_counts.count[k] = (struct proto_row_count){gen_u64(g), gen_u64(g), gen_u64(g)};
		break;
	case PROTO_TRACE:
		msg.trace = (struct proto_trace){.number = (uint32_t)gen_u64(g), .port = (uint16_t)gen_u64(g)};
		msg.trace.packet = (struct match_packet){.kind = 1u << gen_below(g, 5), .src = gen_u64(g), .dst = 7};
		for (int k = 0; k < MATCH_N_FIELDS; k++)
			msg.trace.packet.f[k] = gen_u64(g) & match_field_max(k);
		break;
	case PROTO_TRACED:
		msg.traced = traced_sample(g);
		break;
	case PROTO_QUEUES:
		msg.queues = queues_sample(g);
		break;
	case PROTO_CAPTURE:
		msg.capture = (struct proto_capture){.number = (uint32_t)gen_u64(g), .n_frames = (uint32_t)gen_u64(g)};
		msg.capture.n_boxes = (uint16_t)gen_below(g, PROTO_CAPTURE_BOXES + 1);
		for (int k = 0; k < msg.capture.n_boxes; k++)
			msg.capture.box[k] = gen_simple_row((uint32_t)gen_u64(g), 1, ACCESS_DENY, 0, INT64_MAX).box;
		break;
	case PROTO_CAPTURED:
		msg.captured = (struct proto_captured){.number = (uint32_t)gen_u64(g),
						       .n_missed = (uint32_t)gen_u64(g),
						       .time_ns = (int64_t)(gen_u64(g) >> 1),
						       .len_bytes = PROTO_CAPTURE_BYTES + (uint32_t)gen_below(g, 100),
						       .port = (uint16_t)gen_u64(g),
						       .n = (uint16_t)gen_below(g, PROTO_CAPTURE_BYTES + 1)};
		for (int k = 0; k < msg.captured.n; k++)
			msg.captured.data[k] = (uint8_t)gen_u64(g);
		break;
	}
	return msg;
}

// The frame in a block of its own, so that reading past it is seen by the sanitizer.
static int decode_exact(const uint8_t *buf, size_t len, struct proto_msg *msg, struct err *err)
{
	uint8_t *copy = malloc(len == 0 ? 1 : len);
	int n;

	assert_non_null(copy);
	memcpy(copy, buf, len);
	n = proto_decode(copy, len, msg, err);
	free(copy);
	return n;
}

static void every_message_survives_the_way(void **state)
{
	struct gen g = gen_init(__func__);
	uint8_t buf[PROTO_FRAME_MAX], again[PROTO_FRAME_MAX];
	struct proto_msg in, out;
	struct err err;

	for (unsigned int i = 0, n = rounds_from_env(20000); i < n; i++) {
		size_t len;

		in = sample(&g, i);
		len = proto_encode(&in, buf);
		assert_in_range(len, 6, PROTO_FRAME_MAX);
		assert_int_equal(decode_exact(buf, len, &out, &err), len);
		assert_int_equal(out.type, in.type);
		assert_int_equal(proto_encode(&out, again), len);
		assert_memory_equal(buf, again, len);
		if (in.type == PROTO_ROW_ADD) {
			assert_true(box_equal(&in.row.box, &out.row.box));
			assert_int_equal(in.row.box.kinds, out.row.box.kinds);
			assert_int_equal(in.row.access_category, out.row.access_category);
			assert_int_equal(in.row.meter_category, out.row.meter_category);
			assert_true(part_row_key(&in.row) == part_row_key(&out.row));
		}
	}
}

static void values_arrive_in_their_fields(void **state)
{
	struct proto_msg in = {.type = PROTO_PORT,
			       .port = {.port = 3, .up = 1, .rate_bps = 100000000, .name = "p1", .device = "null:"}};
	struct proto_msg out;
	uint8_t buf[PROTO_FRAME_MAX];
	struct err err;

	in.port.mac[5] = 7;
	assert_true(proto_decode(buf, proto_encode(&in, buf), &out, &err) > 0);
	assert_memory_equal(&out.port, &in.port, sizeof(in.port));
	in = (struct proto_msg){.type = PROTO_IN_FORCE, .commit = {.txn = 9, .time_ns = -5}};
	assert_true(proto_decode(buf, proto_encode(&in, buf), &out, &err) > 0);
	assert_int_equal(out.commit.txn, 9);
	assert_int_equal(out.commit.time_ns, -5);
	in = (struct proto_msg){.type = PROTO_COMMIT_FAILED, .commit = {.txn = 9, .why = "no"}};
	assert_true(proto_decode(buf, proto_encode(&in, buf), &out, &err) > 0);
	assert_string_equal(out.commit.why, "no");
	in = (struct proto_msg){.type = PROTO_METER_SET, .meter = {17, 5000000, PROTO_METER_LIMIT}};
	assert_int_equal(proto_encode(&in, buf), 23);
	assert_memory_equal(buf, "\x13\0\0\0\x06\0\x11\0\0\0\0\0\0\0\x40\x4b\x4c\0\0\0\0\0\x02", 23); // little-endian
}

static void a_part_of_a_frame_is_not_complete(void **state)
{
	struct gen g = gen_init(__func__);
	uint8_t buf[PROTO_FRAME_MAX];
	struct proto_msg in, out;
	struct err err;

	for (unsigned int i = 0; i < 40 * 4; i++) {
		size_t len;

		in = sample(&g, i);
		len = proto_encode(&in, buf);
		for (size_t part = 0; part < len; part++)
			assert_int_equal(decode_exact(buf, part, &out, &err), 0);
	}
}

// With the length field corrected, a shorter or longer body is an error (or, for a few, another whole message).
static void a_truncated_or_longer_body_is_refused(void **state)
{
	struct gen g = gen_init(__func__);
	uint8_t buf[PROTO_FRAME_MAX + 1];
	struct proto_msg in, out;
	struct err err;

	for (unsigned int i = 0; i < 40 * 8; i++) {
		size_t len;

		in = sample(&g, i);
		len = proto_encode(&in, buf);
		buf[len] = 0;
		for (size_t part = 4; part <= len + 1; part++) {
			if (part == len)
				continue;
			buf[0] = (uint8_t)(part - 4);
			buf[1] = (uint8_t)((part - 4) >> 8);
			assert_int_equal(decode_exact(buf, part, &out, &err), -EPROTO);
			assert_int_equal(err.code, EPROTO);
			assert_true(err.msg[0] != '\0');
		}
	}
}

static void assert_row_is_valid(const struct part_row *row)
{
	struct box normal = row->box;

	assert_true(box_normalize(&normal));
	assert_int_equal(normal.kinds, row->box.kinds);
	assert_true(box_equal(&normal, &row->box));
	assert_true(row->part < PART_N && row->access <= ACCESS_DENY);
	assert_true(row->access_category >= PARTS_CATEGORIES_MAX || row->access != ACCESS_NONE);
	assert_true(row->access_category < PARTS_CATEGORIES_MAX || row->access != ACCESS_DENY);
	assert_true(row->access_category < PARTS_CATEGORIES_MAX || row->meter_category < PARTS_CATEGORIES_MAX);
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		assert_true(row->box.f[i].lo <= row->box.f[i].hi && row->box.f[i].hi <= match_field_max(i));
}

static void a_corrupted_byte_is_refused_or_still_a_valid_message(void **state)
{
	struct gen g = gen_init(__func__);
	uint8_t buf[PROTO_FRAME_MAX], again[PROTO_FRAME_MAX];
	unsigned int n_refused = 0, n_valid = 0;
	struct proto_msg in, out;
	struct err err;

	for (unsigned int i = 0, n = rounds_from_env(40 * 8); i < n; i++) {
		size_t len;

		in = sample(&g, i);
		len = proto_encode(&in, buf);
		for (size_t k = 0; k < len; k++) {
			uint8_t was = buf[k];
			int used;

			buf[k] ^= (uint8_t)(1 + gen_below(&g, 255));
			used = decode_exact(buf, len, &out, &err);
			if (used > 0) {
				if (out.type == PROTO_ROW_ADD)
					assert_row_is_valid(&out.row);
				// One content, one encoding: what is accepted is what would have been sent.
				assert_int_equal(proto_encode(&out, again), used);
				assert_memory_equal(buf, again, used);
				n_valid++;
			} else {
				assert_true(used == 0 || used == -EPROTO);
				n_refused += used != 0;
			}
			buf[k] = was;
		}
	}
	assert_true(n_refused > 100 && n_valid > 100);
}

// Row frames made by hand from a good one; the offsets are those of the encoding.
static void rows_that_cannot_be_are_refused(void **state)
{
	struct proto_msg msg = {.type = PROTO_ROW_ADD}, out;
	uint8_t buf[PROTO_FRAME_MAX], bad[PROTO_FRAME_MAX];
	struct err err;
	size_t len;
	static const struct {
		size_t at;
		uint8_t value;
		const char *what;
	} cases[] = {
		{6, PART_N, "unknown part"},
		{6, PART_ACCESS, "an access row with a meter category"},
		{6, PART_SHARE, "a share that decides"},
		{6, PART_BACKGROUND, "a hint that decides"},
		{7, 3, "unknown access"},
		{7, ACCESS_NONE, "an access category without access"},
		{8, PARTS_CATEGORIES_MAX, "unknown category"},
		{9, PARTS_NO_CATEGORY, "a limit without a category"},
		{10, 0, "no request"},
		{18, 1, "a node at depth 0"},
		{22, 1, "the root at depth 1"},
		{24, 0, "no kinds"},
		{24, 0x20, "unknown kind"},
		{24, MATCH_KINDS_ALL, "address with all kinds"},
		{24, MATCH_KINDS_IP, "address with kinds of both families"},
		{26, 0xff, "unknown field bit"},
		{27 + 15, 0xff, "lo above hi"},
		{27, 1, "an IPv4 address with host bits below"},
	};

	msg.row = gen_limit_row(0x0a000001, 5, 1000, 2000);
	len = proto_encode(&msg, buf);
	// header 6, part, access, categories 2, id 8, node 4, depth 2, kinds, mask 2, src 32, time 16
	assert_int_equal(len, 6 + 1 + 1 + 2 + 8 + 4 + 2 + 1 + 2 + 32 + 16);
	assert_int_equal(proto_decode(buf, len, &out, &err), len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bad, buf, len);
		bad[cases[i].at] = cases[i].value;
		if (proto_decode(bad, len, &out, &err) != -EPROTO)
			fail_msg("accepted: %s", cases[i].what);
	}
}

static void nodes_that_cannot_be_are_refused(void **state)
{
	static const struct proto_node cases[] = {
		{0, 0, 1, 1}, // the root is not sent
		{5, 5, 2, 1}, // its own parent
		{5, 0, 2, 1}, // a child of the root at depth 2
		{5, 3, 1, 1}, // not a child of the root at depth 1
		{5, 3, 0, 1}, {5, 3, 2, PROTO_WEIGHT_MAX + 1},
	};
	struct proto_msg msg = {.type = PROTO_NODE_SET}, out;
	uint8_t buf[PROTO_FRAME_MAX];
	struct err err;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		msg.node = cases[i];
		assert_int_equal(proto_decode(buf, proto_encode(&msg, buf), &out, &err), -EPROTO);
	}
}

static void frames_out_of_bounds_are_refused_at_once(void **state)
{
	static const uint8_t huge[4] = {0xff, 0xff, 0xff, 0xff}, tiny[4] = {1, 0, 0, 0};
	uint8_t over[4] = {(PROTO_FRAME_MAX - 3) & 0xff, (PROTO_FRAME_MAX - 3) >> 8};
	struct proto_msg out;
	struct err err;

	assert_int_equal(proto_decode(huge, 4, &out, &err), -EPROTO);
	assert_int_equal(proto_decode(tiny, 4, &out, &err), -EPROTO);
	assert_int_equal(proto_decode(over, 4, &out, &err), -EPROTO);
	over[0]--;
	assert_int_equal(proto_decode(over, 4, &out, &err), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_survives_the_way),
		cmocka_unit_test(values_arrive_in_their_fields),
		cmocka_unit_test(a_part_of_a_frame_is_not_complete),
		cmocka_unit_test(a_truncated_or_longer_body_is_refused),
		cmocka_unit_test(a_corrupted_byte_is_refused_or_still_a_valid_message),
		cmocka_unit_test(rows_that_cannot_be_are_refused),
		cmocka_unit_test(nodes_that_cannot_be_are_refused),
		cmocka_unit_test(frames_out_of_bounds_are_refused_at_once),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
