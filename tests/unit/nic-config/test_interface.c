// SPDX-License-Identifier: Apache-2.0
// What is changed of a kernel interface is changed back, also after those who changed it were killed. In a network
// namespace of this process; needs root, else it is skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nic-config/interface.h"

#define MTU 1500

static bool have_namespace;
static char dir[] = "/tmp/pane-interface-XXXXXX", file[64];

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

// state: what `ip link` shows between < and >, and mtu.
static void assert_shows(const char *pattern, bool wanted)
{
	char command[256];

	snprintf(command, sizeof(command), "ip link show pi0 | grep -qE '%s'", pattern);
	if ((system(command) == 0) != wanted) {
		run("ip link show pi0 >&2");
		fail_msg("%s: expected %s", pattern, wanted ? "so" : "not so");
	}
}

#define UP "[<,]UP[,>]"

// As a port does: the driver makes it promiscuous.
static void prepare(void)
{
	char why[WHY_BYTES];

	if (interface_prepare("pi0", MTU, why) < 0)
		fail_msg("%s", why);
	run("ip link set pi0 promisc on");
}

static void restore(void)
{
	interface_restore(if_nametoindex("pi0"));
}

static int make_interface(void **state)
{
	if (have_namespace)
		run("ip link add pi0 mtu 1400 type veth peer name pi1");
	return 0;
}

static int delete_interface(void **state)
{
	interface_keep_in(NULL);
	if (have_namespace)
		run("ip link del pi0 2>/dev/null; true");
	return unlink(file) < 0 && errno != ENOENT;
}

static void it_is_as_before_when_the_port_is_closed(void **state)
{
	if (!have_namespace)
		skip();
	for (int i = 0; i < 2; i++) {
		prepare();
		assert_shows(UP ".* mtu 1500", true);
		prepare(); // a second try of the same opening: what is now is not what was before
		restore();
		assert_shows(" mtu 1400 ", true);
		assert_shows("PROMISC|" UP, false);
		restore(); // nothing is known of it
		assert_shows("PROMISC|" UP, false);
	}
}

static void what_was_so_before_stays(void **state)
{
	if (!have_namespace)
		skip();
	run("ip link set pi0 up promisc on mtu 1600");
	prepare();
	restore();
	assert_shows("PROMISC", true);
	assert_shows(UP ".* mtu 1600 ", true);
}

static void an_mtu_that_somebody_changed_since_stays(void **state)
{
	if (!have_namespace)
		skip();
	prepare();
	run("ip link set pi0 mtu 2000");
	restore();
	assert_shows(" mtu 2000 ", true);
}

static void one_that_is_gone_is_forgotten(void **state)
{
	unsigned int if_index;

	if (!have_namespace)
		skip();
	interface_keep_in(file);
	prepare();
	if_index = if_nametoindex("pi0");
	run("ip link del pi0");
	assert_int_equal(access(file, F_OK), 0);
	interface_restore(if_index);
	assert_int_not_equal(access(file, F_OK), 0);
}

// A process that prepares it and ends without a word.
static void killed_process(void)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		char why[WHY_BYTES];

		interface_keep_in(file);
		_exit(interface_prepare("pi0", MTU, why) < 0 || system("ip link set pi0 promisc on") != 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_shows(UP ".* mtu 1500", true);
	assert_shows("PROMISC", true);
}

static void the_next_process_restores_what_was_before_the_killed_one(void **state)
{
	if (!have_namespace)
		skip();
	for (int i = 0; i < 3; i++)
		killed_process();
	interface_keep_in(file);
	prepare();
	interface_restore_left(); // it is prepared
	assert_shows(UP ".* mtu 1500", true);
	restore();
	assert_shows(" mtu 1400 ", true);
	assert_shows("PROMISC|" UP, false);
	assert_int_not_equal(access(file, F_OK), 0);
}

static void the_next_process_restores_what_it_does_not_use_itself(void **state)
{
	if (!have_namespace)
		skip();
	killed_process();
	interface_keep_in(file);
	assert_shows("PROMISC", true);
	interface_restore_left();
	assert_shows(" mtu 1400 ", true);
	assert_shows("PROMISC|" UP, false);
	assert_int_not_equal(access(file, F_OK), 0);
}

static const char *boot_id(void)
{
	static char id[64];
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	assert_non_null(f);
	assert_non_null(fgets(id, sizeof(id), f));
	fclose(f);
	id[strcspn(id, "\n")] = '\0';
	return id;
}

static void a_line_of_another_interface_counts_for_nothing(void **state)
{
	FILE *f;

	if (!have_namespace)
		skip();
	run("ip link set pi0 up promisc on");
	f = fopen(file, "we");
	assert_non_null(f);
	fprintf(f, "boot %s\n\nnonsense\n%u pi1 1 1 1280 1400\n%u pi0 1 1 1280 1400\n", boot_id(),
		if_nametoindex("pi0"), if_nametoindex("pi0") + 1000);
	fclose(f);
	interface_keep_in(file);
	interface_restore_left();
	assert_shows("PROMISC", true);
	assert_shows(UP ".* mtu 1400 ", true);
}

static void a_file_from_before_the_machine_started_counts_for_nothing(void **state)
{
	static const char *const boot[] = {"00000000-0000-0000-0000-000000000000", NULL};
	FILE *f;

	if (!have_namespace)
		skip();
	for (int i = 0; i < 2; i++) {
		run("ip link set pi0 up promisc on mtu 1400");
		f = fopen(file, "we");
		assert_non_null(f);
		fprintf(f, "boot %s\n%u pi0 0 1 1280 1400 0\n", boot[i] != NULL ? boot[i] : boot_id(),
			if_nametoindex("pi0"));
		fclose(f);
		interface_keep_in(file);
		interface_restore_left();
		assert_shows("PROMISC", i == 0);
		assert_shows(" mtu 1400 ", i == 0);
	}
}

static void without_a_place_for_its_file_it_works_too(void **state)
{
	if (!have_namespace)
		skip();
	interface_keep_in("/nowhere/to/be/found");
	prepare();
	restore();
	assert_shows("PROMISC|" UP, false);
}

static int setup(void **state)
{
	have_namespace = unshare(CLONE_NEWNET) == 0;
	if (mkdtemp(dir) == NULL)
		return -1;
	snprintf(file, sizeof(file), "%s/interfaces", dir);
	return 0;
}

static int teardown(void **state)
{
	return rmdir(dir);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_interface, delete_interface)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(it_is_as_before_when_the_port_is_closed),
		TEST(what_was_so_before_stays),
		TEST(an_mtu_that_somebody_changed_since_stays),
		TEST(one_that_is_gone_is_forgotten),
		TEST(the_next_process_restores_what_was_before_the_killed_one),
		TEST(the_next_process_restores_what_it_does_not_use_itself),
		TEST(a_line_of_another_interface_counts_for_nothing),
		TEST(a_file_from_before_the_machine_started_counts_for_nothing),
		TEST(without_a_place_for_its_file_it_works_too),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
