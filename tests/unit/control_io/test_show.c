// SPDX-License-Identifier: Apache-2.0
// Answers as people read them: tables of hosts, ports, links and queues, and what a check of switches has found.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/cli/show.h"

static void assert_shown(const char *json, const char *expected)
{
	json_t *answer = json_loads(json, 0, NULL);
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	assert_non_null(answer);
	show_answer(answer, out);
	fclose(out);
	assert_string_equal(text, expected);
	json_decref(answer);
	free(text);
}

static void hosts_that_are_known_in_different_ways_are_one_table(void **state)
{
	assert_shown("{\"ok\":true,\"items\":["
		     "{\"address\":\"10.0.0.1\",\"name\":null,\"port\":\"p1\",\"seen\":\"0\"},"
		     "{\"address\":\"10.0.0.2\",\"name\":\"h2\",\"port\":\"s1\",\"seen\":\"60\",\"by\":\"arp\"},"
		     "{\"address\":\"10.0.0.3\",\"name\":\"h3\",\"port\":null,\"seen\":null}]}",
		     "ADDRESS   NAME  PORT  SEEN                  BY\n"
		     "10.0.0.1  -     p1    1970-01-01T00:00:00Z  -\n"
		     "10.0.0.2  h2    s1    1970-01-01T00:01:00Z  arp\n"
		     "10.0.0.3  h3    -     -                     -\n");
}

static void links_have_no_json_in_them(void **state)
{
	assert_shown("{\"ok\":true,\"items\":[{\"from\":{\"switch\":\"0001\",\"port\":\"e1\",\"number\":1},"
		     "\"to\":{\"switch\":\"0002\",\"port\":\"e2\",\"number\":7},\"rate\":10000000000,"
		     "\"both_ways\":true,\"seen\":\"60\"}]}",
		     "FROM     TO       RATE       BOTH-WAYS  SEEN\n"
		     "0001 e1  0002 e2  10 Gbit/s  yes        1970-01-01T00:01:00Z\n");
}

static void counters_that_are_not_known_are_no_zeros(void **state)
{
	assert_shown("{\"ok\":true,\"items\":["
		     "{\"name\":\"p1\",\"device\":\"null:\",\"up\":true,\"rate\":null,"
		     "\"counters\":{\"rx_packets\":0,\"tx_packets\":2,\"rx_bytes\":0,\"tx_bytes\":128}},"
		     "{\"switch\":\"0001\",\"port\":\"e1\",\"up\":true,\"rate\":1000,\"behind\":\"hosts\"}]}",
		     "PORT  DEVICE         STATE  RATE      RX-PACKETS  TX-PACKETS  RX-BYTES  TX-BYTES  OTHER\n"
		     "p1    null:          up     -         0           2           0         128\n"
		     "e1    openflow:0001  up     1 kbit/s  -           -           -         -\n");
}

static void queues_of_other_switches_have_a_table_of_their_own(void **state)
{
	assert_shown(
		"{\"ok\":true,\"items\":["
		"{\"share\":\"net0\",\"parent\":null,\"weight\":1,\"promised\":5000000,\"received\":0,\"queues\":1,"
		"\"backlog_bytes\":0,\"dropped\":0,\"marked\":0},"
		"{\"queue\":0,\"port\":\"p1\",\"share\":\"net0\",\"reservations\":[],\"dropped\":{\"full\":0}},"
		"{\"switch\":\"0001\",\"port\":\"e1\",\"queue\":2,\"request\":1,\"owner\":\"root\","
		"\"min_rate\":5000000,\"ignored\":true},"
		"{\"switch\":\"0001\",\"port\":\"e2\",\"queue\":3,\"request\":4,\"owner\":null,"
		"\"max_rate\":2000,\"ignored\":false}]}",
		"SHARE, REQUEST  PROMISED  RECEIVED  WAITING  DELAY 50, 99%  LOST  MARKED\n"
		"net0            5 Mbit/s   0 bit/s      0 B              -     0       0\n"
		"\n"
		"SWITCH  PORT  QUEUE  REQUEST  OWNER  RATE         KEPT\n"
		"0001    e1    2      1        root   >= 5 Mbit/s  no: its datapath ignores queues\n"
		"0001    e2    3      4        -      <= 2 kbit/s  yes\n");
}

static void a_check_tells_its_own_ports_and_parts_in_words(void **state)
{
	assert_shown("{\"ok\":true,\"round\":3,\"done\":true,\"switches\":2,\"entries\":46,\"pairs\":4,\"packets\":135,"
		     "\"sampled_pairs\":0,\"findings\":1,"
		     "\"unconnected\":{\"pairs\":2,\"parts\":[[null],[\"0001\",\"0002\"]]},"
		     "\"items\":[{\"finding\":\"leak\",\"why\":\"denied, but it leaves the network\",\"packet\":\"p\","
		     "\"from\":{\"switch\":null,\"port\":\"lo0\"},\"at\":{\"switch\":\"0001\",\"port\":\"e1\"},"
		     "\"path\":[{\"switch\":null,\"port\":\"lo0\"},{\"switch\":\"0001\",\"port\":\"e2\"}]}]}",
		     "leak: denied, but it leaves the network\n"
		     "  packet  p\n"
		     "  from    this switch/lo0\n"
		     "  at      0001/e1\n"
		     "  way     this switch/lo0 > 0001/e2\n"
		     "unconnected: no links join these parts of the network, so nothing passes between their hosts "
		     "(2 pairs of addresses)\n"
		     "  part 1  this switch\n"
		     "  part 2  0001 0002\n"
		     "1 found: 2 switches, 46 entries, 4 pairs of addresses, 135 packets\n");
}

static void a_check_under_way_says_how_to_ask_for_it(void **state)
{
	assert_shown("{\"ok\":true,\"round\":3,\"done\":false}",
		     "accepted, round 3 of checks is under way: verify 3. tells what it has found\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hosts_that_are_known_in_different_ways_are_one_table),
		cmocka_unit_test(links_have_no_json_in_them),
		cmocka_unit_test(counters_that_are_not_known_are_no_zeros),
		cmocka_unit_test(queues_of_other_switches_have_a_table_of_their_own),
		cmocka_unit_test(a_check_tells_its_own_ports_and_parts_in_words),
		cmocka_unit_test(a_check_under_way_says_how_to_ask_for_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
