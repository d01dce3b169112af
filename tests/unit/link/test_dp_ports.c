// SPDX-License-Identifier: Apache-2.0
// What is done, told and logged when links change, devices vanish and come back, and devices refuse something. Devices
// are null: ports; what they say of themselves is the test's. Time is an argument.
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <errno.h>

#include "dataplane/dp_log.h"
#include "dataplane/dp_ports.h"
#include "dataplane/dp_priv.h"
#include "nic-config/drop_filter.h"
#include "nic-config/port_shaper.h"

#define S INT64_C(1000000000)
#define LOG_BYTES 8192
#define MANY 33

static struct dp dp;
static struct err err;
static char logged[LOG_BYTES];
static struct proto_port told[WORKER_PORTS_MAX];
static volatile bool reload_asked;
static struct dp_port_conf later[MANY];
static uint32_t n_later;
static int64_t now_ns = S;

static struct { // of port 0, "a"
	bool down, gone, not_there, queues_changed;
	uint16_t n_queues; // that it receives by, 0: as many as it is asked for
	int open_rc, keep_rc, shaper_rc, filter_rc;
	uint32_t n_opened;
} dev;

static uint32_t n_devices_changed; // opened, or closed

// --- these take the places of nic-config's, of the link's and of the log's

int __real_port_open(const struct port_conf *conf, uint16_t *port_id, char why[PORT_ERR_MAX]);
int __wrap_port_open(const struct port_conf *conf, uint16_t *port_id, char why[PORT_ERR_MAX]);
void __real_port_close(uint16_t port_id);
void __wrap_port_close(uint16_t port_id);
bool __real_port_is_up(uint16_t port_id);
bool __wrap_port_is_up(uint16_t port_id);
bool __wrap_port_is_gone(uint16_t port_id);
int __wrap_port_keep(uint16_t port_id, char why[PORT_ERR_MAX]);
bool __wrap_port_device_is_there(const char *device);
uint16_t __wrap_port_queues(const char *device, uint16_t wanted);
bool __wrap_port_queues_changed(uint16_t port_id, char why[PORT_ERR_MAX]);
int __wrap_port_shaper_set(uint16_t port_id, uint64_t rate_bps, uint32_t frame_bytes, char why[WHY_BYTES]);
int __wrap_drop_filter_open(const char *device, uint16_t port_id, struct drop_filter **out, char why[WHY_BYTES]);
void __wrap_link_port(struct link *link, const struct proto_port *port);
void __wrap_dp_log(enum dp_log_level level, const char *fmt, ...);

int __wrap_port_open(const struct port_conf *conf, uint16_t *port_id, char why[PORT_ERR_MAX])
{
	n_devices_changed++;
	if (strcmp(conf->name, "a") != 0)
		return __real_port_open(conf, port_id, why);
	dev.n_opened++;
	if (dev.open_rc < 0) {
		snprintf(why, PORT_ERR_MAX, "it is stuck");
		return dev.open_rc;
	}
	dev.queues_changed = false; // it is opened with these
	return __real_port_open(conf, port_id, why);
}

void __wrap_port_close(uint16_t port_id)
{
	n_devices_changed++;
	__real_port_close(port_id);
}

static bool is_a(uint16_t port_id)
{
	return dp.port[0].opened && dp.port[0].port_id == port_id;
}

bool __wrap_port_is_up(uint16_t port_id)
{
	return !is_a(port_id) || !dev.down;
}

bool __wrap_port_is_gone(uint16_t port_id)
{
	return is_a(port_id) && dev.gone;
}

int __wrap_port_keep(uint16_t port_id, char why[PORT_ERR_MAX])
{
	snprintf(why, PORT_ERR_MAX, "somebody pulled at it");
	return is_a(port_id) ? dev.keep_rc : 0;
}

bool __wrap_port_device_is_there(const char *device)
{
	return !dev.not_there;
}

uint16_t __wrap_port_queues(const char *device, uint16_t wanted)
{
	return dev.n_queues == 0 ? wanted : dev.n_queues;
}

bool __wrap_port_queues_changed(uint16_t port_id, char why[PORT_ERR_MAX])
{
	snprintf(why, PORT_ERR_MAX, "it has others");
	return is_a(port_id) && dev.queues_changed;
}

int __wrap_port_shaper_set(uint16_t port_id, uint64_t rate_bps, uint32_t frame_bytes, char why[WHY_BYTES])
{
	snprintf(why, WHY_BYTES, "no shaper is that slow");
	return dev.shaper_rc;
}

int __wrap_drop_filter_open(const char *device, uint16_t port_id, struct drop_filter **out, char why[WHY_BYTES])
{
	snprintf(why, WHY_BYTES, "rte_flow took no rule");
	return dev.filter_rc;
}

void __wrap_link_port(struct link *link, const struct proto_port *port)
{
	told[port->port] = *port;
}

void __wrap_dp_log(enum dp_log_level level, const char *fmt, ...)
{
	size_t n = strlen(logged);
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(logged + n, LOG_BYTES - n, fmt, ap);
	va_end(ap);
	n = strlen(logged);
	snprintf(logged + n, LOG_BYTES - n, "\n");
}

// --- what happened

static uint32_t n_ports(void)
{
	uint32_t n = 0;

	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++)
		n += dp_has_port(&dp, i);
	return n;
}

// Turns until nothing is due, each with one device opened or closed at most, or one port less or more: how many.
static uint32_t turns_until_quiet(void)
{
	uint32_t n = 0;
	bool more = true;

	for (; more; n++) {
		uint32_t before = n_devices_changed, n_before = n_ports();

		assert_in_range(n, 0, 4 * MANY);
		more = dp_ports_turn(&dp, now_ns);
		assert_in_range(n_devices_changed - before, 0, 1);
		assert_in_range(n_ports() + 1 - n_before, 0, 2);
	}
	return n;
}

static void turn_after(int64_t ns)
{
	now_ns += ns;
	turns_until_quiet();
}

// That and nothing else was logged since.
static void expect_log(const char *text)
{
	assert_string_equal(logged, text);
	logged[0] = '\0';
}

static void expect_in_log(const char *text)
{
	if (strstr(logged, text) == NULL)
		fail_msg("expected \"%s\" in the log:\n%s", text, logged);
	logged[0] = '\0';
}

static int give_ports(void *ctx, const struct dp_port_conf **ports, uint32_t *n, struct err *e)
{
	*ports = later;
	*n = n_later;
	return 0;
}

static void ask_reload(uint32_t n)
{
	n_later = n;
	reload_asked = true;
	dp_ports_reload(&dp);
	assert_false(reload_asked);
}

static void reload(uint32_t n)
{
	ask_reload(n);
	turns_until_quiet();
}

static int start(void **state)
{
	static char prefix[32];
	static const struct dp_port_conf ports[] = {{"a", "null:", 5000000}, {"b", "null:", 0}};
	static struct dp_conf conf = {.ports = ports,
				      .n_ports = 2,
				      .mac_ageing_s = 300,
				      .memory_mb = 192,
				      .mtu = 1500,
				      .simd_max_bits = 512,
				      .reload = give_ports,
				      .reload_asked = &reload_asked,
				      .file_prefix = prefix};

	memcpy(later, ports, sizeof(ports));
	dev.filter_rc = dev.shaper_rc = -ENOTSUP;
	dev.not_there = true;
	dev.open_rc = -ENODEV;
	snprintf(prefix, sizeof(prefix), "paneports%d", (int)getpid());
	if (dp_up(&dp, &conf, &err) < 0)
		fail_msg("%s", err.msg);
	dp.link = (struct link *)&dp; // only link_port is called, which is ours
	return 0;
}

static void a_device_that_is_not_there_at_the_start_is_waited_for(void **state)
{
	expect_in_log("port a (null:): it is stuck: waited for\n");
	turn_after(0);
	expect_log("port a: null:, down, 5.000 Mb/s\nport b: null:, up, no configured rate\n");
	assert_int_equal(told[0].up, 0);
	dev.not_there = false;
	dev.open_rc = 0;
	turn_after(S / 10);
	expect_log("port a: null:, up, 5.000 Mb/s\n");
	assert_int_equal(told[0].up, 1);
}

static void a_device_that_others_cut_off_is_down_and_that_is_said_once(void **state)
{
	dev.keep_rc = 1; // put back
	turn_after(S / 10);
	expect_log("port a (null:): somebody pulled at it\n");
	assert_int_equal(told[0].up, 1);
	dev.keep_rc = -EBUSY;
	turn_after(S / 10);
	expect_log("port a (null:): somebody pulled at it\nport a: null:, down, 5.000 Mb/s\n");
	assert_int_equal(told[0].up, 0);
	turn_after(S / 10);
	expect_log("");
	dev.keep_rc = 0;
	turn_after(S / 10);
	expect_log("port a: null:, up, 5.000 Mb/s\n");
}

static int finish(void **state)
{
	dp.link = NULL;
	dp_down(&dp);
	return 0;
}

static void a_link_that_changes_is_told_and_logged_once(void **state)
{
	for (int i = 0; i < 2; i++) {
		dev.down = true;
		turn_after(S / 10);
		expect_log("port a: null:, down, 5.000 Mb/s\n");
		assert_int_equal(told[0].up, 0);
		assert_int_equal(told[1].up, 1);
		turn_after(S / 10);
		expect_log("");
		dev.down = false;
		turn_after(S / 10);
		expect_log("port a: null:, up, 5.000 Mb/s\n");
		assert_int_equal(told[0].up, 1);
		assert_string_equal(told[0].name, "a");
		turn_after(S / 10);
		expect_log("");
	}
}

static void vanish(void)
{
	dev.gone = dev.not_there = true;
	turn_after(S / 10);
	expect_log("port a: null: is gone; it is opened again when it is back\n");
	assert_int_equal(told[0].up, 0);
	assert_string_equal(told[0].name, "a"); // it stays a port
	assert_false(dp.port[0].opened);
	assert_non_null(dp.port[0].sched);
	dev.gone = false;
}

static void a_device_that_vanishes_is_waited_for(void **state)
{
	uint32_t n = dev.n_opened;

	vanish();
	for (int i = 0; i < 30; i++)
		turn_after(S / 10);
	assert_int_equal(dev.n_opened, n); // not tried
	expect_log("");
	dev.not_there = false;
	turn_after(S / 10);
	expect_log("port a: null:, up, 5.000 Mb/s\n");
	assert_int_equal(dev.n_opened, n + 1);
	assert_int_equal(told[0].up, 1);
	assert_true(dp.port[0].opened);
}

static void a_device_that_does_not_open_is_tried_each_second_and_that_is_said_once(void **state)
{
	uint32_t n = dev.n_opened;

	vanish();
	dev.not_there = false;
	dev.open_rc = -EIO;
	turn_after(S / 10);
	expect_log(""); // it may be for an instant only
	turn_after(S / 10);
	expect_log("port a (null:): it is stuck: tried again each second\n");
	for (int i = 0; i < 35; i++)
		turn_after(S / 10);
	expect_log("");
	assert_in_range(dev.n_opened - n, 5, 6);
	dev.open_rc = 0;
	turn_after(S);
	expect_log("port a: null:, up, 5.000 Mb/s\n");
}

static void a_device_whose_queues_change_is_opened_again(void **state)
{
	uint32_t n = dev.n_opened;

	dev.queues_changed = true;
	turn_after(S / 10);
	expect_log("port a (null:): it has others; it is opened again with these\nport a: null:, up, 5.000 Mb/s\n");
	assert_int_equal(dev.n_opened, n + 1);
	turn_after(S / 10);
	expect_log("");
	assert_int_equal(dev.n_opened, n + 1);
	assert_int_equal(told[0].up, 1);
}

// Buffers are for a queue a worker of each port, of which some more may come.
static void a_device_with_more_queues_than_there_are_buffers_for_is_not_opened(void **state)
{
	uint32_t n = dev.n_opened, room = dp.n_workers * (1 + dp.n_parts - 2);

	vanish();
	dev.not_there = false;
	dev.n_queues = (uint16_t)(room + 1);
	turn_after(S);
	turn_after(S);
	assert_int_equal(dev.n_opened, n);
	if (strstr(logged, "there are packet buffers for") == NULL || strstr(logged, "raise memory_mb (192)") == NULL)
		fail_msg("%s", logged);
	logged[0] = '\0';
	turn_after(S);
	expect_log(""); // said once
	dev.n_queues = (uint16_t)room;
	turn_after(S);
	expect_log("port a: null:, up, 5.000 Mb/s\n");
	assert_int_equal(dev.n_opened, n + 1);
	dev.n_queues = 0;
}

static void what_a_device_refuses_is_done_without_and_said(void **state)
{
	vanish();
	dev.not_there = false;
	dev.shaper_rc = -ERANGE;
	dev.filter_rc = -EBUSY;
	turn_after(S);
	expect_log("port a: its rate is kept by the scheduler alone, not by the device: no shaper is that slow\n"
		   "port a: what is denied is dropped by the worker alone: rte_flow took no rule\n"
		   "port a: null:, up, 5.000 Mb/s\n");
	assert_int_equal(told[0].up, 1);
	vanish();
	dev.not_there = false;
	dev.filter_rc = -ENOTSUP; // that is as usual
	turn_after(S);
	expect_log("port a: null:, up, 5.000 Mb/s\n"); // the rate was said
	dev.shaper_rc = -ENOTSUP;
}

static void ports_that_are_taken_out_are_told_and_their_numbers_rest(void **state)
{
	uint16_t first = 0;

	for (int i = 0; i < 3; i++) {
		uint16_t number = 0;

		later[2] = (struct dp_port_conf){"c", "null:", 0};
		reload(3);
		expect_log("port c: null:, added\nport c: null:, up, no configured rate\n");
		while (number < WORKER_PORTS_MAX && strcmp(told[number].name, "c") != 0)
			number++;
		assert_in_range(number, 2, WORKER_PORTS_MAX - 1);
		assert_int_not_equal(number, first);
		first = number;
		reload(2);
		expect_log("port c: null:, removed\n");
		assert_string_equal(told[number].name, "");
		assert_int_equal(told[number].up, 0);
	}
}

static void a_configuration_that_is_wrong_changes_nothing(void **state)
{
	later[2] = (struct dp_port_conf){"c", "floppy:a", 0};
	reload(3);
	expect_in_log("ports stay as they are: port c: ");
	reload(0);
	expect_log("ports stay as they are: no ports\n");
	assert_true(dp_has_port(&dp, 0) && dp_has_port(&dp, 1));
	assert_true(dp.port[0].opened && dp.port[1].opened);
}

// Those that there is room for come, the others are named; all go again.
static void more_ports_than_there_are_buffers_for_are_refused_by_name(void **state)
{
	static char name[MANY][8];

	for (uint32_t i = 2; i < MANY; i++) {
		snprintf(name[i], sizeof(name[i]), "x%u", i);
		later[i] = (struct dp_port_conf){name[i], "null:", 0};
	}
	reload(MANY);
	expect_in_log("is not added: memory_mb: 192 has no buffers for one more port; a restart divides them anew");
	assert_int_equal(n_ports(), dp.n_parts);
	reload(2);
	expect_in_log("removed");
	assert_int_equal(n_ports(), 2);
}

// Between any two of its turns the link thread puts commits and instants in force.
static void a_configuration_is_followed_one_port_a_turn(void **state)
{
	static const char *const name[] = {"c", "d", "e"};

	for (uint32_t i = 0; i < 3; i++)
		later[2 + i] = (struct dp_port_conf){name[i], "null:", 0};
	ask_reload(5);
	expect_log(""); // as it was until the next turn
	assert_int_equal(n_ports(), 2);
	assert_in_range(turns_until_quiet(), 6, 8); // three to add, three to open
	assert_int_equal(n_ports(), 5);
	logged[0] = '\0';
	ask_reload(2);
	dp_ports_turn(&dp, now_ns);
	expect_log("port c: null:, removed\n");
	ask_reload(5); // what it was about to take away stays
	turns_until_quiet();
	expect_log("port c: null:, added\nport c: null:, up, no configured rate\n");
	later[2] = (struct dp_port_conf){"c", "floppy:a", 0};
	ask_reload(2);
	ask_reload(3); // what is wrong does not stop it
	expect_in_log("ports stay as they are: port c: ");
	assert_in_range(turns_until_quiet(), 3, 5);
	expect_in_log("removed");
	assert_int_equal(n_ports(), 2);
}

// The others' time comes as well.
static void a_device_that_does_not_open_does_not_keep_others_waiting(void **state)
{
	vanish();
	dev.not_there = false;
	dev.open_rc = -EIO;
	later[2] = (struct dp_port_conf){"c", "null:", 0};
	reload(3);
	expect_in_log("port c: null:, up");
	for (int i = 0; i < 20; i++) {
		now_ns += S;
		assert_in_range(turns_until_quiet(), 1, 2);
	}
	logged[0] = '\0';
	dev.open_rc = 0;
	now_ns += S;
	turns_until_quiet();
	expect_log("port a: null:, up, 5.000 Mb/s\n");
	reload(2);
	expect_log("port c: null:, removed\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_device_that_is_not_there_at_the_start_is_waited_for),
		cmocka_unit_test(a_link_that_changes_is_told_and_logged_once),
		cmocka_unit_test(a_device_that_others_cut_off_is_down_and_that_is_said_once),
		cmocka_unit_test(a_device_that_vanishes_is_waited_for),
		cmocka_unit_test(a_device_that_does_not_open_is_tried_each_second_and_that_is_said_once),
		cmocka_unit_test(a_device_whose_queues_change_is_opened_again),
		cmocka_unit_test(a_device_with_more_queues_than_there_are_buffers_for_is_not_opened),
		cmocka_unit_test(what_a_device_refuses_is_done_without_and_said),
		cmocka_unit_test(ports_that_are_taken_out_are_told_and_their_numbers_rest),
		cmocka_unit_test(a_configuration_that_is_wrong_changes_nothing),
		cmocka_unit_test(a_configuration_is_followed_one_port_a_turn),
		cmocka_unit_test(a_device_that_does_not_open_does_not_keep_others_waiting),
		cmocka_unit_test(more_ports_than_there_are_buffers_for_are_refused_by_name),
	};

	return cmocka_run_group_tests_name("dp_ports", tests, start, finish);
}
