// SPDX-License-Identifier: Apache-2.0
// Requests on a switch without a network of switches: what it cannot keep is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/alone.h"
#include "talk.h"

static void add_host(struct talk *t, uint16_t at, uint8_t last, int64_t when)
{
	const struct nib_seen seen = {.mac = last,
				      .port = at,
				      .has_ip = true,
				      .ip = match_ip4(0x0a000000u | last),
				      .last_ns = when,
				      .at_ns = when};

	nib_seen_set(t->nib, &seen);
}

// Port 1 with 100 Mb and 10.0.0.1, port 2 with 100 Mb and 10.0.0.2, port 3 without a rate and 10.0.0.3.
static int setup(void **state)
{
	const struct nib_port ports[] = {{.port = 1, .up = true, .name = "p1", .rate_bps = 100000000},
					 {.port = 2, .up = true, .name = "p2", .rate_bps = 100000000},
					 {.port = 3, .up = true, .name = "p3"}};
	struct talk *t = calloc(1, sizeof(*t));

	talk_init(t, true);
	for (size_t i = 0; i < 3; i++) {
		nib_port_set(t->nib, &ports[i]);
		add_host(t, ports[i].port, (uint8_t)ports[i].port, 1);
	}
	engine_ask_network(t->engine, alone_fit, t->nib);
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	talk_fini(*state);
	free(*state);
	return 0;
}

static const char *note_of(const struct talk *t)
{
	const char *note = json_string_value(json_object_get(t->reply.body, "note"));

	return note == NULL ? "" : note;
}

static void a_reservation_by_a_port_without_a_rate_is_accepted_with_a_note(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "reserve(dstHost=10.0.0.3) = 5 on rootShare."), REPLY_OK);
	assert_non_null(strstr(note_of(t), "port p3 has no rate"));
	assert_int_equal(say(t, "root", "reserve(dstHost=10.0.0.1) = 5 on rootShare."), REPLY_OK);
	assert_string_equal(note_of(t), "");
	assert_int_equal(say(t, "root", "reserve(dstPort=80) = 5 on rootShare."), REPLY_OK); // by any port
	assert_non_null(strstr(note_of(t), "port p3 has no rate"));
	assert_int_equal(say(t, "root", "ratelimit(dstHost=10.0.0.3) = 5 on rootShare."), REPLY_OK);
	assert_string_equal(note_of(t), "");
}

static void a_limit_that_a_switch_cannot_keep_is_accepted_with_a_note(void **state)
{
	struct talk *t = *state;
	struct topo topo;
	const struct nib_net net = {.topo = &topo};

	topo_init(&topo, 16);
	topo_switch_up(&topo, topo_switch(&topo, 7), true);
	topo_switch_up(&topo, topo_switch(&topo, 8), true);
	nib_net_set(t->nib, &net);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=10.0.0.1) = 5 on rootShare."), REPLY_OK);
	assert_string_equal(note_of(t), "");
	topo.switches[1].no_limits = true;
	assert_int_equal(say(t, "root", "ratelimit(srcHost=10.0.0.2) = 5 on rootShare."), REPLY_OK);
	assert_non_null(strstr(note_of(t), "1 of the switches, as 0000000000000008, can keep no limit"));
	topo_switch_up(&topo, 1, false);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=10.0.0.3) = 5 on rootShare."), REPLY_OK);
	assert_string_equal(note_of(t), "");
	nib_net_set(t->nib, NULL);
	topo_fini(&topo);
}

static void a_waypoint_is_refused_where_nothing_can_lead_there(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "waypoint(srcHost=10.0.0.1) = 10.7.0.99 on rootShare."), REPLY_NETWORK);
	assert_non_null(strstr(talk_why(t), "openflow_listen"));
	assert_int_equal(say(t, "root", "avoid(srcHost=10.0.0.1) = 10.7.0.99 on rootShare."), REPLY_OK);
	assert_int_equal(say(t, "root", "ratelimit(srcHost=10.0.0.1) = 5 on rootShare."), REPLY_OK);
}

static void a_reservation_beyond_the_port_of_its_destination_is_refused(void **state)
{
	struct talk *t = *state;

	assert_int_equal(say(t, "root", "reserve(srcHost=10.0.0.1, dstHost=10.0.0.2) = 200Mb on rootShare."),
			 REPLY_NETWORK);
	assert_string_equal(talk_why(t), "the network cannot keep it: 200 Mb asked, but port p2 carries 100 Mb");
	assert_int_equal(say(t, "root", "reserve(srcHost=10.0.0.1, dstHost=10.0.0.2) = 100Mb on rootShare."), REPLY_OK);
	add_host(t, 2, 4, 1);
	assert_int_equal(say(t, "root", "reserve(dstHost={10.0.0.1,10.0.0.4}, dstPort=80) = 200Mb on rootShare."),
			 REPLY_OK);
	assert_int_equal(say(t, "root", "reserve(dstHost={10.0.0.1,10.0.0.4}, dstPort=81) = 201Mb on rootShare."),
			 REPLY_NETWORK);
}

static void of_what_is_not_known_nothing_is_refused(void **state)
{
	static const char *const said[] = {
		"reserve(srcHost=10.0.0.1) = 200Mb on rootShare.",  "reserve(dstHost=10.0.0.0/8) = 200Mb on rootShare.",
		"reserve(dstHost=10.0.0.3) = 200Mb on rootShare.",  "reserve(dstHost=10.0.0.9) = 200Mb on rootShare.",
		"reserve(dstHost=2001:db8::1) = 1Gb on rootShare.",
	};
	struct talk *t = *state;

	for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++)
		assert_int_equal(say(t, "root", said[i]), REPLY_OK);
}

static void a_host_that_moved_is_where_it_was_seen_last(void **state)
{
	struct talk *t = *state;

	add_host(t, 3, 2, 5);
	assert_int_equal(say(t, "root", "reserve(dstHost=10.0.0.2) = 200Mb on rootShare."), REPLY_OK);
	add_host(t, 1, 2, 9);
	assert_int_equal(say(t, "root", "reserve(dstHost=10.0.0.2) = 200Mb on rootShare."), REPLY_NETWORK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_reservation_by_a_port_without_a_rate_is_accepted_with_a_note, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_limit_that_a_switch_cannot_keep_is_accepted_with_a_note, setup,
						teardown),
		cmocka_unit_test_setup_teardown(a_waypoint_is_refused_where_nothing_can_lead_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_reservation_beyond_the_port_of_its_destination_is_refused, setup,
						teardown),
		cmocka_unit_test_setup_teardown(of_what_is_not_known_nothing_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(a_host_that_moved_is_where_it_was_seen_last, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
