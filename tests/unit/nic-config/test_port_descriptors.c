// SPDX-License-Identifier: Apache-2.0
// Ports that come and go for years: a closed one, and one that does not open, leave no descriptor behind and no mapping
// of one. Kinds over a kernel interface run in a network namespace of this process and need root; without it they are
// skipped.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xdp/xsk.h>

#include <rte_eal.h>
#include <rte_mbuf.h>

#include "gapless_pool.h"
#include "nic-config/drop_filter.h"
#include "nic-config/port.h"
#include "tests/unit/dataplane/eal.h"

#define MTU 1500
#define CYCLES 24
#define FAILURES 6
#define PATIENCE_MS 60000

static struct rte_mempool *pool;
static bool have_namespace;
static char dir[64] = "/tmp/pane-fds-XXXXXX";

// libxdp keeps one small block of every socket it made.
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void)
{
	return "leak:xsk_umem__create";
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

// --- what this process has open

// Without that of the EAL's interrupt thread, which makes it anew whenever what it waits for changes.
static int n_descriptors(void)
{
	DIR *fds = opendir("/proc/self/fd");
	char target[64];
	int n = -1; // the directory itself

	assert_non_null(fds);
	for (struct dirent *e; (e = readdir(fds)) != NULL;) {
		ssize_t len = readlinkat(dirfd(fds), e->d_name, target, sizeof(target) - 1);

		target[len < 0 ? 0 : len] = '\0';
		n += len >= 0 && strstr(target, "eventpoll") == NULL;
	}
	closedir(fds);
	return n;
}

// Of descriptors that are no files: rings of sockets, maps of programs.
static int n_mappings(void)
{
	FILE *maps = fopen("/proc/self/maps", "re");
	char line[512];
	int n = 0;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps) != NULL)
		n += strstr(line, "socket:[") != NULL || strstr(line, "anon_inode:") != NULL;
	fclose(maps);
	return n;
}

struct open_now {
	int descriptors, mappings;
};

static struct open_now look(void)
{
	return (struct open_now){n_descriptors(), n_mappings()};
}

static void show_descriptors(void)
{
	char command[64];

	snprintf(command, sizeof(command), "ls -l /proc/%d/fd >&2", (int)getpid());
	if (system(command) != 0)
		fprintf(stderr, "cannot be shown\n");
}

static void assert_as_before(const struct open_now *before, const char *device, int i)
{
	struct open_now now = look();

	if (now.descriptors == before->descriptors && now.mappings == before->mappings)
		return;
	show_descriptors();
	fail_msg("%s, time %d: %d descriptors and %d mappings, before %d and %d", device, i, now.descriptors,
		 now.mappings, before->descriptors, before->mappings);
}

// --- ports

static bool without_program;

// With all that the switch opens for one.
static int open_port(const char *device, uint16_t *port_id, struct drop_filter **filter, char why[PORT_ERR_MAX])
{
	struct port_conf conf = {.name = "k",
				 .device = device,
				 .n_queues = 1,
				 .mtu = MTU,
				 .without_program = without_program,
				 .pool = pool};
	char ignored[PORT_ERR_MAX];
	int rc = port_open(&conf, port_id, why);

	*filter = NULL;
	if (rc < 0)
		return rc;
	rc = port_start(*port_id, why);
	if (rc < 0)
		port_close(*port_id);
	else if (drop_filter_open(device, *port_id, filter, ignored) < 0)
		*filter = NULL;
	return rc;
}

// The kernel lets go of the queue of an interface some time after its socket is closed.
static void cycle(const char *device)
{
	int64_t until_ms = now_ms() + PATIENCE_MS;
	struct drop_filter *filter;
	char why[PORT_ERR_MAX];
	uint16_t id;

	while (open_port(device, &id, &filter, why) < 0) {
		if (now_ms() > until_ms)
			fail_msg("%s", why);
		usleep(10000);
	}
	drop_filter_close(filter);
	port_close(id);
}

static void comes_and_goes(const char *device)
{
	struct open_now before;

	cycle(device); // libraries open what they keep
	before = look();
	for (int i = 0; i < CYCLES; i++) {
		cycle(device);
		assert_as_before(&before, device, i);
	}
}

static void make_interface(void)
{
	assert_int_equal(system("ip link del pd0 2>/dev/null; ip link add pd0 numtxqueues 1 numrxqueues 1 type veth "
				"peer name pd1 "
				"numtxqueues 1 numrxqueues 1 && ip link set pd1 up"),
			 0);
}

static void delete_interface(void)
{
	assert_int_equal(system("ip link del pd0"), 0);
}

static void ports_without_an_interface_leave_nothing_behind(void **state)
{
	char device[128];

	comes_and_goes("null:");
	comes_and_goes("ring:d0");
	snprintf(device, sizeof(device), "vhost:%s/vhost.sock", dir);
	comes_and_goes(device);
}

static void memif_ports_leave_nothing_behind(void **state)
{
	char device[128];

	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s/m.sock,socket-abstract=no", dir);
	comes_and_goes(device);
	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s/abstract", dir);
	comes_and_goes(device);
}

// The second of two that share a socket is reached there when the first has gone.
static void a_memif_socket_stays_as_long_as_a_port_uses_it(void **state)
{
	struct port_conf conf = {.n_queues = 1, .mtu = MTU, .pool = pool};
	char device[2][128], why[PORT_ERR_MAX];
	struct open_now none = look(), one;
	uint16_t id[2];

	for (int i = 0; i < 2; i++) {
		snprintf(device[i], sizeof(device[i]), "memif:role=server,id=%d,socket=%s/both.sock,socket-abstract=no",
			 i, dir);
		conf.name = i == 0 ? "first" : "second";
		conf.device = device[i];
		if (port_open(&conf, &id[i], why) < 0)
			fail_msg("%s", why);
		if (i == 0)
			one = look();
	}
	assert_as_before(&one, "both of one socket", 0);
	port_close(id[0]);
	assert_as_before(&one, "the second alone", 0);
	port_close(id[1]);
	assert_as_before(&none, "none", 0);
}

static void tap_ports_leave_nothing_behind(void **state)
{
	if (!have_namespace || access("/dev/net/tun", R_OK | W_OK) != 0)
		skip();
	comes_and_goes("tap:pd2");
}

static void af_packet_ports_leave_nothing_behind(void **state)
{
	if (!have_namespace)
		skip();
	make_interface();
	comes_and_goes("af_packet:pd0");
	delete_interface();
}

static void af_xdp_ports_leave_nothing_behind(void **state)
{
	if (!have_namespace)
		skip();
	make_interface();
	comes_and_goes("af_xdp:pd0");
	without_program = true; // by libxdp's own
	comes_and_goes("af_xdp:pd0");
	without_program = false;
	delete_interface();
}

// --- ports that do not open

static void does_not_open(const char *device, const char *because)
{
	struct drop_filter *filter;
	struct open_now before;
	char why[PORT_ERR_MAX];
	uint16_t id;

	for (int i = -1; i < FAILURES; i++) {
		assert_true(open_port(device, &id, &filter, why) < 0);
		if (strstr(why, because) == NULL)
			fail_msg("%s: expected %s", why, because);
		if (i < 0)
			before = look();
		else
			assert_as_before(&before, device, i);
	}
}

static void a_port_that_waits_for_its_interface_leaves_nothing_behind(void **state)
{
	does_not_open("af_xdp:pd9", "there is none of this name");
	does_not_open("af_packet:pd9", "there is none of this name");
}

// Somebody else's socket, who knows nothing of our lock.
static void a_port_whose_queue_is_taken_leaves_nothing_behind(void **state)
{
	struct xsk_socket_config conf = {
		.rx_size = 64, .tx_size = 64, .libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD};
	struct xsk_ring_prod fill, tx;
	struct xsk_ring_cons comp, rx;
	struct xsk_socket *xsk;
	struct xsk_umem *umem;
	void *area;

	if (!have_namespace)
		skip();
	make_interface();
	assert_int_equal(system("ip link set pd0 up"), 0);
	area = aligned_alloc(4096, (size_t)4096 * 64);
	assert_non_null(area);
	assert_int_equal(xsk_umem__create(&umem, area, (uint64_t)4096 * 64, &fill, &comp, NULL), 0);
	assert_int_equal(xsk_socket__create(&xsk, "pd0", 0, umem, &rx, &tx, &conf), 0);
	does_not_open("af_xdp:pd0", "another socket has queue 0");
	xsk_socket__delete(xsk);
	assert_int_equal(xsk_umem__delete(umem), 0);
	free(area);
	cycle("af_xdp:pd0");
	delete_interface();
}

// --- too few descriptors

#define FILES 256

static int filler[FILES], n_fillers;

static void fill_up(void)
{
	for (int fd; (fd = dup(STDERR_FILENO)) >= 0;)
		filler[n_fillers++] = fd;
	assert_int_equal(errno, EMFILE);
}

static void empty(int n)
{
	while (n-- > 0 && n_fillers > 0)
		close(filler[--n_fillers]);
}

// With ever more descriptors, until it opens: each time before, that is what is said, and nothing is left.
static void opens_when_there_are_enough(const char *device)
{
	struct open_now before;
	int rc = -1, spare = 0;

	cycle(device);
	before = look();
	fill_up();
	while (rc < 0) {
		struct drop_filter *filter;
		char why[PORT_ERR_MAX] = "";
		uint16_t id;

		rc = open_port(device, &id, &filter, why);
		if (rc == 0) {
			drop_filter_close(filter);
			port_close(id);
		} else if (rc == -EBUSY) { // not yet let go of
			usleep(10000);
		} else if (rc == -EMFILE && strstr(why, "file descriptors") != NULL) {
			spare++;
			empty(1);
		} else {
			fail_msg("%d descriptors to spare: %s", spare, why);
		}
	}
	empty(FILES);
	assert_true(spare > 0);
	assert_as_before(&before, device, spare);
}

static void too_few_descriptors_are_said_and_it_opens_when_there_are_more(void **state)
{
	const struct rlimit files = {FILES, FILES}; // to the end of the process
	char device[128];

	assert_int_equal(setrlimit(RLIMIT_NOFILE, &files), 0);
	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s/few.sock,socket-abstract=no", dir);
	opens_when_there_are_enough("null:");
	opens_when_there_are_enough(device);
	if (!have_namespace)
		return;
	make_interface();
	opens_when_there_are_enough("af_packet:pd0");
	opens_when_there_are_enough("af_xdp:pd0");
	delete_interface();
}

static void as_many_descriptors_as_allowed_are_taken_when_a_port_needs_them(void **state)
{
	struct rlimit usual, few;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
	few = (struct rlimit){(rlim_t)n_descriptors() + 2, usual.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	cycle("null:");
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
}

static void a_memif_port_opens_when_what_was_in_its_way_is_gone(void **state)
{
	char device[160], missing[96];
	struct drop_filter *filter;
	char why[PORT_ERR_MAX];
	uint16_t id;

	snprintf(missing, sizeof(missing), "%s/missing", dir);
	snprintf(device, sizeof(device), "memif:role=server,id=0,socket=%s/m.sock,socket-abstract=no", missing);
	for (int i = 0; i < 2 * RTE_MAX_ETHPORTS; i++)
		assert_true(open_port(device, &id, &filter, why) < 0);
	assert_int_equal(mkdir(missing, 0700), 0);
	cycle(device);
	assert_int_equal(rmdir(missing), 0);
}

static int setup(void **state)
{
	have_namespace = unshare(CLONE_NEWNET) == 0 && system("ip link set lo up") == 0;
	test_eal_init();
	pool = gapless_pool("pool", 16383);
	return pool == NULL || mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
	rmdir(dir);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ports_without_an_interface_leave_nothing_behind),
		cmocka_unit_test(memif_ports_leave_nothing_behind),
		cmocka_unit_test(a_memif_socket_stays_as_long_as_a_port_uses_it),
		cmocka_unit_test(tap_ports_leave_nothing_behind),
		cmocka_unit_test(af_packet_ports_leave_nothing_behind),
		cmocka_unit_test(af_xdp_ports_leave_nothing_behind),
		cmocka_unit_test(a_port_that_waits_for_its_interface_leaves_nothing_behind),
		cmocka_unit_test(a_port_whose_queue_is_taken_leaves_nothing_behind),
		cmocka_unit_test(a_memif_port_opens_when_what_was_in_its_way_is_gone),
		cmocka_unit_test(as_many_descriptors_as_allowed_are_taken_when_a_port_needs_them),
		cmocka_unit_test(too_few_descriptors_are_said_and_it_opens_when_there_are_more),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
