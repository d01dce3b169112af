// SPDX-License-Identifier: Apache-2.0
// Builders of the classifier that fail or are too slow, in a whole switch: what is in force stays in force, with all
// that ends meanwhile; new requests are refused (network) rather than accepted without effect; metrics and log say so;
// and when builders work again all that was accepted comes into force.
#include "switch_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdatomic.h>

#include "dataplane/layer.h"

#define FLOOD 3000 // more than arrays hold

static _Atomic int fails_with;     // errno of builds, 0: they work
static _Atomic uint32_t from_rows; // of so many rows and more
static _Atomic unsigned int slow_ms;
static char log_path[96], metrics_address[32];
static uint16_t metrics_port;

struct layer *__real_layer_build(const struct layer_conf *conf, uint32_t *slot, uint32_t n, struct err *err);
struct layer *__wrap_layer_build(const struct layer_conf *conf, uint32_t *slot, uint32_t n, struct err *err);

// Takes the place of layer_build in this program.
struct layer *__wrap_layer_build(const struct layer_conf *conf, uint32_t *slot, uint32_t n, struct err *err)
{
	int code = atomic_load(&fails_with);

	usleep(1000 * atomic_load(&slow_ms));
	if (code == 0 || n < atomic_load(&from_rows))
		return __real_layer_build(conf, slot, n, err);
	free(slot);
	err_set(err, code, "the test fails it");
	return NULL;
}

static struct flow from(uint32_t n)
{
	return (struct flow){.src = 0x0a010000 + n, .dst = 0x0a000002, .proto = 253};
}

static bool gets_through(uint32_t n)
{
	const struct flow flow = from(n);

	return !switch_denies(&flow);
}

static bool surely_gets_through(uint32_t n)
{
	const struct flow flow = from(n);

	return switch_passes(&flow);
}

static void deny(uint32_t n, const char *until)
{
	char text[100];

	snprintf(text, sizeof(text), "deny(srcHost=10.1.%u.%u) on rootShare%s.", n >> 8, n & 255, until);
	switch_do(text);
}

static json_t *try_deny(uint32_t n)
{
	char text[100];

	snprintf(text, sizeof(text), "deny(srcHost=10.1.%u.%u) on rootShare to +60.", n >> 8, n & 255);
	return switch_ask(text);
}

// A sample of the controller's metrics.
static uint64_t metric(const char *name)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(metrics_port)};
	static char text[1 << 17];
	size_t n = 0, len = strlen(name);
	ssize_t got;
	int s = socket(AF_INET, SOCK_STREAM, 0);

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(connect(s, (struct sockaddr *)&to, sizeof(to)), 0);
	say(s, "GET /metrics HTTP/1.0\r\n\r\n");
	while (n < sizeof(text) - 1 && (got = read(s, text + n, sizeof(text) - 1 - n)) > 0)
		n += (size_t)got;
	text[n] = '\0';
	close(s);
	for (char *at = text; (at = strstr(at, name)) != NULL; at++)
		if (at[-1] == '\n' && at[len] == ' ')
			return strtoull(at + len, NULL, 10);
	return UINT64_MAX; // not told yet
}

static void wait_for_metric(const char *name, uint64_t least)
{
	for (int64_t until = clock_ns() + 60000 * MS; metric(name) == UINT64_MAX || metric(name) < least; usleep(50000))
		if (clock_ns() > until)
			fail_msg("%s is %llu after 60 s", name, (unsigned long long)metric(name));
}

static bool log_says(const char *what)
{
	static char text[1 << 16];
	FILE *f = fopen(log_path, "r");
	size_t n = f == NULL ? 0 : fread(text, 1, sizeof(text) - 1, f);

	if (f != NULL)
		fclose(f);
	text[n] = '\0';
	return strstr(text, what) != NULL;
}

// Until the answer to a new request is (or is not) `network`.
static void wait_for_network(bool refused, uint32_t n)
{
	for (int64_t until = clock_ns() + 60000 * MS;; usleep(20000)) {
		json_t *answer = try_deny(n);
		bool is_network = strcmp(json_text(answer, "code"), "network") == 0;

		if (is_network && refused)
			assert_non_null(strstr(json_text(answer, "why"), "dataplane"));
		json_decref(answer);
		if (is_network == refused)
			return;
		if (clock_ns() > until)
			fail_msg("new requests are %srefused after 60 s", refused ? "not " : "");
	}
}

// Whether all of them are denied, some of many looked at.
static bool all_denied(uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 97)
		if (gets_through(first + i))
			return false;
	return true;
}

static void wait_until_denied(uint32_t first, uint32_t n)
{
	for (int64_t until = clock_ns() + 60000 * MS; !all_denied(first, n); usleep(20000))
		assert_true(clock_ns() < until);
}

static void builders_without_memory_cost_no_packet_and_accept_nothing_new(void **state)
{
	uint32_t n_accepted = 0;
	uint64_t failed;

	deny(1, "");
	deny(2, " to +6");
	wait_until_denied(1, 1);
	atomic_store(&fails_with, ENOMEM);
	for (uint32_t i = 0; i < FLOOD; i++) {
		char text[100];

		snprintf(text, sizeof(text), "deny(srcHost=10.1.%u.%u) on rootShare.\n", (16 + (i >> 8)), i & 255);
		say(switch_fd, text);
	}
	for (uint32_t i = 0; i < FLOOD; i++) {
		json_t *answer = switch_hear();

		n_accepted += json_is_true(json_object_get(answer, "ok"));
		json_decref(answer);
	}
	assert_true(n_accepted > 256);
	wait_for_network(true, 5000);
	assert_false(gets_through(1));         // the last good policy
	assert_true(all_denied(16 << 8, 256)); // and what came before there was no room
	assert_true(surely_gets_through(3));
	for (int64_t until = clock_ns() + 60000 * MS; !gets_through(2); usleep(20000)) // ends on time all the same
		assert_true(clock_ns() < until);
	failed = metric("pane_dataplane_merges_failed_total");
	assert_true(failed != UINT64_MAX && failed > 0);
	assert_true(metric("pane_dataplane_changes_waited_total") > 0);
	assert_true(metric("pane_dataplane_rows_in_arrays") > 256);
	assert_true(log_says("new requests are refused"));
	atomic_store(&fails_with, 0);
	wait_for_network(false, 5001);
	wait_until_denied(16 << 8, n_accepted);
	assert_false(gets_through(1));
}

// A request of more rows than rte_acl takes, as it were.
static void a_table_beyond_rte_acl_leaves_the_last_one(void **state)
{
	static char text[40000];
	char cancel[40];
	json_t *answer;
	int n = snprintf(text, sizeof(text), "deny(transport=UDP, dstPort={1");

	atomic_store(&from_rows, 1000);
	atomic_store(&fails_with, ERANGE);
	for (int port = 3; port < 5000; port += 2)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",%d", port);
	snprintf(text + n, sizeof(text) - (size_t)n, "}) on rootShare.");
	answer = switch_accepts(text);
	snprintf(cancel, sizeof(cancel), "cancel %lld.", (long long)json_integer_value(json_object_get(answer, "id")));
	json_decref(answer);
	wait_for_network(true, 5002);
	assert_false(gets_through(1));
	assert_true(surely_gets_through(3));
	wait_for_metric("pane_dataplane_changes_failed_total", 1);
	wait_for_metric("pane_link_failed_commits_total", 1);
	assert_true(log_says("the last good policy stays"));
	switch_do(cancel); // the way out
	wait_for_network(false, 5003);
	atomic_store(&fails_with, 0);
	assert_false(gets_through(1));
}

static void changes_faster_than_the_builders_wait_and_none_is_lost(void **state)
{
	uint64_t waited = metric("pane_dataplane_changes_waited_total");
	uint32_t n_accepted = 0;

	atomic_store(&slow_ms, 700);
	for (uint32_t i = 0; i < 2 * FLOOD; i++) {
		char text[100];

		snprintf(text, sizeof(text), "deny(srcHost=10.1.%u.%u) on rootShare.\n", (64 + (i >> 8)), i & 255);
		say(switch_fd, text);
		if (i % 100 == 99) {
			assert_false(gets_through(1));
			assert_true(i % 1000 != 99 || surely_gets_through(3));
		}
	}
	for (uint32_t i = 0; i < 2 * FLOOD; i++) {
		json_t *answer = switch_hear();

		n_accepted += json_is_true(json_object_get(answer, "ok"));
		json_decref(answer);
	}
	wait_until_denied(64 << 8, n_accepted); // those after a refusal are none: it is said before them
	atomic_store(&slow_ms, 0);
	wait_for_metric("pane_dataplane_changes_waited_total", waited + 1);
	assert_false(gets_through(1));
}

static int setup(void **state)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	socklen_t len = sizeof(any);
	int s = socket(AF_INET, SOCK_STREAM, 0), saved = dup(STDERR_FILENO), log;

	any.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(s, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_equal(getsockname(s, (struct sockaddr *)&any, &len), 0);
	close(s);
	metrics_port = ntohs(any.sin_port);
	snprintf(metrics_address, sizeof(metrics_address), "127.0.0.1:%u", metrics_port);
	switch_config_init();
	switch_config.metrics_listen = metrics_address;
	snprintf(log_path, sizeof(log_path), "%s/controller.log", dir);
	log = creat(log_path, 0600);
	dup2(log, STDERR_FILENO);
	switch_controller_start();
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(log);
	switch_dataplane_start();
	switch_join();
	switch_wait_until_up();
	return 0;
}

static int teardown(void **state)
{
	switch_down();
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		// on one run, in order
		cmocka_unit_test(builders_without_memory_cost_no_packet_and_accept_nothing_new),
		cmocka_unit_test(a_table_beyond_rte_acl_leaves_the_last_one),
		cmocka_unit_test(changes_faster_than_the_builders_wait_and_none_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
