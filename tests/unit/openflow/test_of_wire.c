// SPDX-License-Identifier: Apache-2.0
// What is encoded is decoded to the same; what is cut, stretched or garbled is refused or read, never misread beyond
// its end (the sanitized build sees to that).
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/of_groups.h"
#include "control/of_priv.h"
#include "of_random.h"
#include "tests/rounds.h"

static const uint8_t payload[] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5, 1, 2, 3};

static void random_flow_mod(struct of_msg *m)
{
	struct of_flow_mod *f = &m->flow_mod;

	rnd_match(m->version, &f->match);
	rnd_instructions(m->version, &f->instructions);
	f->cookie = rnd64();
	f->command = (uint8_t)rnd(5);
	f->idle_s = (uint16_t)rnd(65536);
	f->hard_s = (uint16_t)rnd(65536);
	f->priority = (uint16_t)rnd(65536);
	f->flags = (uint16_t)rnd(4);
	f->buffer_id = OF_NO_BUFFER;
	f->out_port = rnd(2) == 0 ? OF_PORT_ANY : rnd_port();
	f->out_group = OF_GROUP_ANY;
	if (m->version == OF_VERSION_10)
		return;
	f->cookie_mask = rnd64();
	f->table = (uint8_t)rnd(256);
}

static void random_packet(struct of_msg *m)
{
	if (m->type == OF_PACKET_IN) {
		m->packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .in_port = rnd_port(), .data = payload};
		m->packet_in.data_len = (uint16_t)rnd(sizeof(payload));
		m->packet_in.total_len = m->packet_in.data_len;
		m->packet_in.reason = (uint8_t)rnd(2);
		return;
	}
	m->packet_out = (struct of_packet_out){.buffer_id = OF_NO_BUFFER, .in_port = rnd_port(), .data = payload};
	m->packet_out.data_len = (uint16_t)rnd(sizeof(payload));
	m->packet_out.n_actions = (uint8_t)rnd(5);
	for (int i = 0; i < m->packet_out.n_actions; i++)
		m->packet_out.actions[i] = rnd_action(m->version);
}

static void random_group(struct of_group_mod *g)
{
	g->command = (uint16_t)rnd(3);
	g->type = (uint8_t)rnd(4);
	g->group = rnd(1000);
	g->n_buckets = (uint8_t)rnd(OF_BUCKETS_MAX + 1);
	for (int i = 0; i < g->n_buckets; i++) {
		g->buckets[i].weight = (uint16_t)rnd(100);
		g->buckets[i].watch_port = OF_PORT_ANY;
		g->buckets[i].watch_group = OF_GROUP_ANY;
		g->buckets[i].n_actions = (uint8_t)rnd(4);
		for (int k = 0; k < g->buckets[i].n_actions; k++)
			g->buckets[i].actions[k] = rnd_action(OF_VERSION_13);
	}
}

static void random_multipart(struct of_msg *m)
{
	static const uint16_t kinds[] = {OF_MP_DESC,       OF_MP_FLOW,       OF_MP_AGGREGATE,     OF_MP_TABLE,
					 OF_MP_PORT_STATS, OF_MP_QUEUE,      OF_MP_METER_CONFIG,  OF_MP_METER_FEATURES,
					 OF_MP_PORT_DESC,  OF_MP_GROUP_DESC, OF_MP_GROUP_FEATURES};
	struct of_mp *mp = &m->mp;

	mp->kind = kinds[rnd(m->version == OF_VERSION_10 ? 6 : 11)];
	if (m->type == OF_MULTIPART_REPLY) {
		mp->body = payload;
		mp->body_len = (uint16_t)rnd(sizeof(payload));
		return;
	}
	rnd_match(m->version, &mp->match);
	mp->table = (uint8_t)rnd(256);
	mp->out_port = OF_PORT_ANY;
	mp->out_group = OF_GROUP_ANY;
	mp->port = rnd_port();
	mp->queue = rnd(1000);
	mp->meter = rnd(1000);
}

static void random_message(struct of_msg *m)
{
	memset(m, 0, sizeof(*m));
	m->version = rnd(2) == 0 ? OF_VERSION_10 : OF_VERSION_13;
	m->xid = rnd(UINT32_MAX);
	do {
		m->type = (uint8_t)rnd(OF_N_TYPES);
	} while (m->version == OF_VERSION_10 && (m->type == OF_GROUP_MOD || m->type == OF_METER_MOD ||
						 m->type == OF_ROLE_REQUEST || m->type == OF_ROLE_REPLY));
	switch (m->type) {
	case OF_HELLO:
		m->hello.versions = m->version == OF_VERSION_10 ? 0 : 0x12;
		break;
	case OF_ERROR:
		m->error = (struct of_error){.type = (uint16_t)rnd(14), .code = (uint16_t)rnd(10), .data = payload};
		m->error.data_len = (uint16_t)rnd(sizeof(payload));
		break;
	case OF_ECHO_REQUEST:
	case OF_ECHO_REPLY:
	case OF_EXPERIMENTER:
		m->raw.data = payload;
		m->raw.data_len = (uint16_t)rnd(sizeof(payload));
		break;
	case OF_FEATURES_REPLY:
		m->features.dpid = rnd64();
		m->features.n_tables = (uint8_t)rnd(256);
		break;
	case OF_SET_CONFIG:
		m->config.miss_send_len = 0xffff;
		break;
	case OF_PACKET_IN:
	case OF_PACKET_OUT:
		random_packet(m);
		break;
	case OF_FLOW_MOD:
		random_flow_mod(m);
		break;
	case OF_FLOW_REMOVED:
		rnd_match(m->version, &m->flow_removed.match);
		m->flow_removed.bytes = rnd64();
		m->flow_removed.reason = (uint8_t)rnd(3);
		break;
	case OF_PORT_STATUS:
		m->port_status.reason = (uint8_t)rnd(3);
		rnd_port_record(m->version, &m->port_status.port);
		break;
	case OF_GROUP_MOD:
		random_group(&m->group_mod);
		break;
	case OF_METER_MOD:
		m->meter_mod.flags = OF_METER_KBPS | OF_METER_BURST;
		m->meter_mod.meter = 1 + rnd(1000);
		m->meter_mod.n_bands = (uint8_t)rnd(OF_BANDS_MAX + 1);
		for (int i = 0; i < m->meter_mod.n_bands; i++)
			m->meter_mod.bands[i] = (struct of_band){.rate = rnd(1000000), .burst = rnd(1000)};
		break;
	case OF_MULTIPART_REQUEST:
	case OF_MULTIPART_REPLY:
		random_multipart(m);
		break;
	case OF_QUEUE_GET_CONFIG_REQUEST:
	case OF_QUEUE_GET_CONFIG_REPLY:
		m->queue_config.port = rnd_port();
		break;
	default:
		break;
	}
}

static unsigned long rounds(void)
{
	return rounds_from_env(20000);
}

static void seed(void)
{
	rnd_state = seed_from_env(7);
	print_message("PANE_SEED=%llu\n", (unsigned long long)rnd_state);
}

static void every_message_is_read_back_as_written(void **state)
{
	static uint8_t once[OF_MSG_MAX], twice[OF_MSG_MAX];
	struct of_msg m, back;
	struct err err;

	seed();
	for (unsigned int i = 0; i < rounds(); i++) {
		int n, again;

		random_message(&m);
		n = of_encode(&m, once, sizeof(once), &err);
		if (n < 0)
			fail_msg("round %u, type %u: %s", i, m.type, err.msg);
		if (of_decode(once, (size_t)n, &back, &err) < 0)
			fail_msg("round %u, type %u of version %u: %s", i, m.type, m.version, err.msg);
		assert_int_equal(back.type, m.type);
		assert_int_equal(back.xid, m.xid);
		again = of_encode(&back, twice, sizeof(twice), &err);
		assert_int_equal(again, n);
		assert_memory_equal(once, twice, (size_t)n);
		if (m.type == OF_FLOW_MOD) {
			assert_memory_equal(&m.flow_mod.match, &back.flow_mod.match, sizeof(struct of_match));
			assert_int_equal(m.flow_mod.instructions.n_actions, back.flow_mod.instructions.n_actions);
		}
	}
}

static void a_message_cut_anywhere_is_refused_or_shorter(void **state)
{
	static uint8_t bytes[OF_MSG_MAX];
	struct of_msg m, back;
	struct err err;

	seed();
	for (unsigned int i = 0; i < rounds() / 20; i++) {
		int n;

		random_message(&m);
		n = of_encode(&m, bytes, sizeof(bytes), &err);
		for (int cut = 0; cut < n; cut++) {
			uint8_t *copy = malloc((size_t)cut + 1);

			memcpy(copy, bytes, (size_t)cut);
			assert_true(of_decode(copy, (size_t)cut, &back, &err) < 0); // its length says otherwise
			if (cut >= OF_HEADER_BYTES) {
				copy[2] = (uint8_t)(cut >> 8);
				copy[3] = (uint8_t)cut;
				of_decode(copy, (size_t)cut, &back, &err);
			}
			free(copy);
		}
	}
}

static void garbled_messages_never_read_beyond_their_end(void **state)
{
	static uint8_t bytes[OF_MSG_MAX];
	struct of_msg m, back;
	struct err err;

	seed();
	for (unsigned int i = 0; i < rounds() * 2; i++) {
		union of_mp_entry entry;
		struct of_port port;
		uint16_t at = 0;
		uint8_t *copy;
		int n;

		random_message(&m);
		n = of_encode(&m, bytes, sizeof(bytes), &err);
		copy = malloc((size_t)n);
		memcpy(copy, bytes, (size_t)n);
		for (unsigned int k = rnd(4) + 1; k > 0; k--) {
			unsigned int where = rnd((uint32_t)n);

			if (where != 2 && where != 3)
				copy[where] = (uint8_t)rnd(256);
		}
		if (of_decode(copy, (size_t)n, &back, &err) == 0 && back.type == OF_MULTIPART_REPLY) {
			while (of_mp_next(&back, &at, &entry, &err) > 0)
				;
		} else if (back.type == OF_FEATURES_REPLY) {
			while (of_features_port_next(&back, &at, &port, &err) > 0)
				;
		}
		free(copy);
	}
}

static void what_a_version_lacks_is_refused_with_its_name(void **state)
{
	struct of_msg m = {.version = OF_VERSION_10, .type = OF_METER_MOD};
	uint8_t buf[256];
	struct err err;

	assert_int_equal(of_encode(&m, buf, sizeof(buf), &err), -EINVAL);
	assert_string_equal(err.msg, "OpenFlow 1.0 has no meter_mod message");
	m = (struct of_msg){.version = OF_VERSION_10, .type = OF_FLOW_MOD};
	m.flow_mod.match = (struct of_match){.has = OF_HAS_IP6_SRC};
	m.flow_mod.instructions.goto_table = OF_TABLE_ALL;
	assert_int_equal(of_encode(&m, buf, sizeof(buf), &err), -EINVAL);
	assert_string_equal(err.msg, "OpenFlow 1.0 cannot match IPv6 addresses");
	m.flow_mod.match.has = 0;
	m.flow_mod.instructions.meter = 3;
	assert_int_equal(of_encode(&m, buf, sizeof(buf), &err), -EINVAL);
	m.flow_mod.instructions.meter = 0;
	m.flow_mod.instructions.n_actions = 1;
	m.flow_mod.instructions.actions[0].type = OF_ACT_GROUP;
	assert_int_equal(of_encode(&m, buf, sizeof(buf), &err), -EINVAL);
	assert_string_equal(err.msg, "OpenFlow 1.0 has no action group");
}

static void a_message_longer_than_its_room_is_refused(void **state)
{
	struct of_msg m = {.version = OF_VERSION_13, .type = OF_ECHO_REQUEST, .raw = {payload, sizeof(payload)}};
	uint8_t buf[16];
	struct err err;

	assert_int_equal(of_encode(&m, buf, sizeof(buf), &err), -EMSGSIZE);
}

static void a_frame_tells_its_length_once_the_header_is_there(void **state)
{
	uint8_t head[8] = {4, 2, 0, 12, 0, 0, 0, 1};
	struct err err;

	assert_int_equal(of_frame(head, 7, &err), 0);
	assert_int_equal(of_frame(head, 8, &err), 12);
	head[3] = 7;
	assert_int_equal(of_frame(head, 8, &err), -EPROTO);
}

static void hello_of_any_version_is_read(void **state)
{
	static const uint8_t hello15[] = {6, 0, 0, 16, 0, 0, 0, 1, 0, 1, 0, 8, 0, 0, 0, 0x52};
	struct of_msg m;
	struct err err;

	assert_int_equal(of_decode(hello15, sizeof(hello15), &m, &err), 0);
	assert_int_equal(m.version, 6);
	assert_int_equal(m.hello.versions, 0x52);
}

// The 16 reserved ports of 1.0 keep their meaning in 32 bits and back.
static void reserved_ports_of_10_have_their_names(void **state)
{
	struct of_msg m = {.version = OF_VERSION_10, .type = OF_PACKET_OUT}, back;
	uint8_t buf[64];
	struct err err;
	int n;

	m.packet_out.buffer_id = OF_NO_BUFFER;
	m.packet_out.in_port = OF_PORT_ANY;
	m.packet_out.n_actions = 1;
	m.packet_out.actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = OF_PORT_CONTROLLER, .max_len = 128};
	n = of_encode(&m, buf, sizeof(buf), &err);
	assert_int_equal(n, 24);
	assert_int_equal(buf[12], 0xff);
	assert_int_equal(buf[13], 0xff);
	assert_int_equal(of_decode(buf, (size_t)n, &back, &err), 0);
	assert_int_equal(back.packet_out.in_port, OF_PORT_ANY);
	assert_int_equal(back.packet_out.actions[0].port, OF_PORT_CONTROLLER);
}

// --- groups

static void put_description(struct of_out *out, const struct of_group_mod *g)
{
	size_t at = out->n;

	of_put(out, 0, 2);
	of_put(out, g->type, 1);
	of_pad(out, 1);
	of_put(out, g->group, 4);
	assert_int_equal(of_put_buckets(out, g, NULL), 0);
	of_patch16(out, at, out->n - at);
}

static void descriptions_of_groups_are_read_one_by_one(void **state)
{
	static uint8_t body[OF_MSG_MAX];
	struct of_msg m = {.version = OF_VERSION_13, .type = OF_MULTIPART_REPLY, .mp = {.kind = OF_MP_GROUP_DESC}};

	seed();
	for (unsigned int i = 0; i < rounds() / 20; i++) {
		struct of_out out = {.p = body, .left = sizeof(body)};
		struct of_group_mod groups[3];
		union of_mp_entry entry;
		unsigned int broken = rnd(6);
		uint16_t at = 0;

		memset(groups, 0, sizeof(groups));
		for (unsigned int k = 0; k < 3; k++) {
			size_t start = out.n;

			random_group(&groups[k]);
			put_description(&out, &groups[k]);
			if (k == broken && out.n > start + 8) // a bucket that says that it has no length
				body[start + 8] = body[start + 9] = 0;
		}
		m.mp.body = body;
		m.mp.body_len = (uint16_t)out.n;
		for (unsigned int k = 0; k < 3; k++) {
			bool unread = k == broken && groups[k].n_buckets > 0;

			assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 1);
			assert_int_equal(entry.group.group, groups[k].group);
			assert_int_equal(entry.group.type, unread ? OF_GROUP_UNREAD : groups[k].type);
			assert_true(unread || of_group_same(&entry.group, &groups[k]));
		}
		assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 0);
		at = 0;
		m.mp.body_len--; // the last entry is cut off
		assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 1);
		assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 1);
		assert_int_equal(of_mp_next(&m, &at, &entry, NULL), -EPROTO);
	}
	(void)state;
}

// As Open vSwitch 3.1 answers.
static void features_of_groups_are_read(void **state)
{
	static const uint8_t body[40] = {0,   0, 0,   0x0f, 0,   0, 0,   7,   255, 255, 255, 0,    255,  255,
					 255, 1, 255, 255,  255, 0, 255, 255, 255, 0,   6,   0x7f, 0x98, 1};
	struct of_msg m = {.version = OF_VERSION_13, .type = OF_MULTIPART_REPLY, .mp = {.kind = OF_MP_GROUP_FEATURES}};
	union of_mp_entry entry;
	uint16_t at = 0;

	m.mp.body = body;
	m.mp.body_len = sizeof(body);
	assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 1);
	assert_int_equal(entry.group_features.types, 15);
	assert_int_equal(entry.group_features.max_groups[OF_GROUP_SELECT], 0xffffff01U);
	assert_int_equal(entry.group_features.actions[0], 0x067f9801);
	assert_int_equal(of_mp_next(&m, &at, &entry, NULL), 0);
	at = 0;
	m.mp.body_len = 39;
	assert_int_equal(of_mp_next(&m, &at, &entry, NULL), -EPROTO);
	(void)state;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_message_is_read_back_as_written),
		cmocka_unit_test(a_message_cut_anywhere_is_refused_or_shorter),
		cmocka_unit_test(garbled_messages_never_read_beyond_their_end),
		cmocka_unit_test(what_a_version_lacks_is_refused_with_its_name),
		cmocka_unit_test(a_message_longer_than_its_room_is_refused),
		cmocka_unit_test(a_frame_tells_its_length_once_the_header_is_there),
		cmocka_unit_test(hello_of_any_version_is_read),
		cmocka_unit_test(reserved_ports_of_10_have_their_names),
		cmocka_unit_test(descriptions_of_groups_are_read_one_by_one),
		cmocka_unit_test(features_of_groups_are_read),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
