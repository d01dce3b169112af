// SPDX-License-Identifier: Apache-2.0
#include "dataplane/proto.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "gen.h"

// A message of each type, i counting up.
static struct proto_msg sample(struct gen *g, unsigned int i)
{
	struct proto_msg msg = {.type = (enum proto_type)(1 + i % PROTO_COUNTERS)};

	switch (msg.type) {
	case PROTO_HELLO:
		msg.hello = (struct proto_hello){PROTO_VERSION, gen_u64(g), gen_u64(g)};
		break;
	case PROTO_ROW_ADD:
		msg.row = gen_row(g, 30);
		break;
	case PROTO_ROW_DEL:
	case PROTO_HAVE_ROW:
		msg.row_key = gen_u64(g);
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

	for (unsigned int i = 0, n = gen_rounds(20000); i < n; i++) {
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
			assert_int_equal(in.row.rank, out.row.rank);
			assert_true(action_equal(&in.row.action, &out.row.action));
			assert_true(row_key(&in.row) == row_key(&out.row));
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
	assert_memory_equal(buf, "\x13\0\0\0\x04\0\x11\0\0\0\0\0\0\0\x40\x4b\x4c\0\0\0\0\0\x02", 23); // little-endian
}

static void a_part_of_a_frame_is_not_complete(void **state)
{
	struct gen g = gen_init(__func__);
	uint8_t buf[PROTO_FRAME_MAX];
	struct proto_msg in, out;
	struct err err;

	for (unsigned int i = 0; i < 26 * 4; i++) {
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

	for (unsigned int i = 0; i < 26 * 8; i++) {
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

static void assert_row_is_valid(const struct row *row)
{
	struct box normal = row->box;

	assert_true(box_normalize(&normal));
	assert_int_equal(normal.kinds, row->box.kinds);
	assert_true(box_equal(&normal, &row->box));
	assert_true(row->action.reservations.n <= ACTION_SET_MAX && row->action.limits.n <= ACTION_SET_MAX);
	assert_true(row->action.access <= ACCESS_DENY);
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

	for (unsigned int i = 0, n = gen_rounds(26 * 8); i < n; i++) {
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
		{6, 0, "no kinds"},
		{6, 0x20, "unknown kind"},
		{6, MATCH_KINDS_ALL, "address with all kinds"},
		{6, MATCH_KINDS_IP, "address with kinds of both families"},
		{11, 3, "unknown access"},
		{12, 9, "nine reservations"},
		{13, 9, "reservations not ascending"},
		{13, 8, "a reservation twice"},
		{32, 0xff, "unknown field bit"},
		{33 + 8, 0xff, "lo above hi"},
		{33, 1, "an IPv4 address with host bits below"},
	};

	msg.row = gen_simple_row(0x0a000001, 5, ACCESS_DENY, 1000, 2000);
	idset_add(&msg.row.action.reservations, 4);
	idset_add(&msg.row.action.reservations, 8);
	len = proto_encode(&msg, buf);
	// header 6, kinds, rank 4, access, n 1, ids 16, n 0, mask 2, src 32, time 16
	assert_int_equal(len, 6 + 1 + 4 + 1 + 1 + 16 + 1 + 2 + 32 + 16);
	assert_int_equal(proto_decode(buf, len, &out, &err), len);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(bad, buf, len);
		if (cases[i].at == 33 + 8) // top bytes of lo
			bad[30 + 2 + 15] = cases[i].value;
		else if (cases[i].at == 33)
			bad[32] = cases[i].value;
		else if (cases[i].at == 32)
			bad[31] = cases[i].value;
		else
			bad[cases[i].at] = cases[i].value;
		if (proto_decode(bad, len, &out, &err) != -EPROTO)
			fail_msg("accepted: %s", cases[i].what);
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
		cmocka_unit_test(frames_out_of_bounds_are_refused_at_once),
	};

	return cmocka_run_group_tests_name("proto", tests, NULL, NULL);
}
