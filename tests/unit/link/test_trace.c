// SPDX-License-Identifier: Apache-2.0
// `trace` through the whole switch, on random policies and packets: explanation, dataplane, the way of a real frame and
// the evaluator of the policy tree say the same.
#include "switch_fixture.h"

#include "hft/eval.h"
#include "hft/tree.h"

#define ATOMS 10
#define PACKETS 8
#define HOST 0x0a000000U // 10.0.0.x

static const char *const share_name[] = {"rootShare", "a", "b", "c"};
static const uint32_t share_parent[] = {TREE_NO_PARENT, 0, 1, 0};

static void policy_is_set_up(void **state)
{
	switch_do("NewShare a for (*) [reserve <= 1Gb, ratelimit >= 0] on rootShare.");
	switch_do("NewShare b for (*) [reserve <= 1Gb, ratelimit >= 0] on a.");
	switch_do("NewShare c for (*) [reserve <= 1Gb, ratelimit >= 0] on rootShare.");
}

// Groups of few hosts and ports, so that they meet.
static struct box some_box(struct gen *g, char *text, size_t size)
{
	static const uint8_t protos[] = {6, 17};
	static const char *const names[] = {"TCP", "UDP"};
	struct box box = box_any();
	int n = 0;

	if (gen_below(g, 3) > 0) {
		uint32_t src = HOST + 8 + (uint32_t)gen_below(g, 3);

		n += snprintf(text + n, size - (size_t)n, ", srcHost=10.0.0.%u", src & 255);
		box.src = (struct span128){match_ip4(src), match_ip4(src) | ~(u128)0 >> 32};
		box.kinds &= MATCH_KINDS_V4;
	}
	if (gen_below(g, 3) > 0) {
		uint32_t p = (uint32_t)gen_below(g, 2);

		n += snprintf(text + n, size - (size_t)n, ", transport=%s", names[p]);
		box.f[MATCH_PROTO] = (struct span){protos[p], protos[p]};
		box.kinds &= MATCH_IP4 | MATCH_IP6 | MATCH_KINDS_PORTS;
	}
	if (n == 0 || gen_below(g, 2)) {
		uint32_t lo = 80 + (uint32_t)gen_below(g, 3), hi = lo + (uint32_t)gen_below(g, 2);

		snprintf(text + n, size - (size_t)n, ", dstPort=%u-%u", lo, hi);
		box.f[MATCH_DST_PORT] = (struct span){lo, hi};
		box.kinds &= MATCH_KINDS_PORTS;
	}
	return box;
}

static uint64_t add_atom(struct gen *g, struct tree *tree)
{
	static const char *const verbs[] = {"allow", "deny", "reserve", "ratelimit"};
	uint32_t verb = (uint32_t)gen_below(g, 4), node = (uint32_t)gen_below(g, 4);
	struct atom atom = {.node = node, .rate_bps = 1000000 * (1 + gen_below(g, 50))};
	char group[200], text[400];
	struct box box = some_box(g, group, sizeof(group));
	json_t *answer;

	if (verb < 2)
		snprintf(text, sizeof(text), "%s(%s) partial on %s.", verbs[verb], group + 2, share_name[node]);
	else
		snprintf(text, sizeof(text), "%s(%s) = %lluMb partial on %s.", verbs[verb], group + 2,
			 (unsigned long long)(atom.rate_bps / 1000000), share_name[node]);
	answer = switch_accepts(text);
	atom.id = (uint64_t)json_integer_value(json_object_get(answer, "id"));
	json_decref(answer);
	atom.part = verb < 2 ? ATOM_ACCESS : verb == 2 ? ATOM_RESERVE : ATOM_LIMIT;
	atom.access = verb == 1 ? ACCESS_DENY : ACCESS_ALLOW;
	match_init(&atom.match);
	assert_int_equal(match_add(&atom.match, &box), 0);
	assert_int_equal(tree_add_atom(tree, &atom), 0);
	return atom.id;
}

static bool ids_are(const json_t *ids, const struct idset *set)
{
	bool same = json_array_size(ids) == set->n;

	for (unsigned int i = 0; same && i < set->n; i++)
		same = json_integer_value(json_array_get(ids, i)) == (json_int_t)set->id[i];
	return same;
}

static void one_packet(struct gen *g, const struct tree *tree, unsigned int *n_denied)
{
	struct flow flow = {.src = HOST + 8 + (uint32_t)gen_below(g, 3),
			    .dst = HOST + 2,
			    .proto = gen_below(g, 2) ? 6 : 17,
			    .src_port = 999,
			    .dst_port = (uint16_t)(79 + gen_below(g, 5))};
	struct match_packet packet = {.kind = MATCH_IP4PORTS, .src = match_ip4(flow.src), .dst = match_ip4(flow.dst)};
	const json_t *dataplane, *queue;
	struct action want;
	json_t *answer;
	char text[200];
	bool denied;

	packet.f[MATCH_PROTO] = flow.proto;
	packet.f[MATCH_SRC_PORT] = flow.src_port;
	packet.f[MATCH_DST_PORT] = flow.dst_port;
	want = eval_packet(tree, &packet);
	denied = want.access == ACCESS_DENY;
	*n_denied += denied;
	snprintf(text, sizeof(text),
		 "trace(srcHost=10.0.0.%u, dstHost=10.0.0.2, transport=%s, srcPort=999, dstPort=%u).", flow.src & 255,
		 flow.proto == 6 ? "TCP" : "UDP", flow.dst_port);
	assert_true(denied ? switch_denies(&flow) : switch_passes(&flow)); // and makes its class
	answer = switch_accepts(text);
	dataplane = json_object_get(answer, "dataplane");
	queue = json_object_get(dataplane, "queue");
	if (!json_is_true(json_object_get(dataplane, "agrees")))
		fail_msg("%s", json_dumps(answer, JSON_COMPACT));
	assert_true(json_is_true(json_object_get(dataplane, "settled")));
	assert_string_equal(json_text(answer, "action"), denied ? "drop" : "forward");
	assert_string_equal(json_text(dataplane, "action"), denied ? "drop" : "forward");
	if (!denied) {
		assert_true(ids_are(json_object_get(queue, "reservations"), &want.reservations));
		assert_true(ids_are(json_object_get(queue, "limits"), &want.limits));
		assert_string_equal(json_text(queue, "port"), "p1");
		assert_int_equal(json_integer_value(json_object_get(queue, "class")) > 0,
				 want.reservations.n + want.limits.n > 0);
	}
	json_decref(answer);
}

static void trace_agrees_with_evaluator_and_frames(void **state)
{
	struct gen g = gen_init("trace");
	unsigned int n_denied = 0;

	for (unsigned int round = 0; round < rounds_from_env(6); round++) {
		uint64_t ids[ATOMS];
		struct tree tree;

		tree_init(&tree);
		for (uint32_t i = 0; i < 4; i++)
			assert_int_equal(tree_add_node(&tree, share_parent[i]), i);
		for (int i = 0; i < ATOMS; i++)
			ids[i] = add_atom(&g, &tree);
		switch_wait_until_up(); // the policy is in force
		for (int i = 0; i < PACKETS; i++)
			one_packet(&g, &tree, &n_denied);
		for (int i = 0; i < ATOMS; i++) {
			char text[40];

			snprintf(text, sizeof(text), "cancel %llu.", (unsigned long long)ids[i]);
			switch_do(text);
		}
		tree_fini(&tree);
	}
	assert_true(n_denied > 0);
}

// The destination is known by its frames, a second later at the latest.
static void destination_becomes_known(void **state)
{
	const struct flow back = {.src = HOST + 2, .dst = HOST + 8, .proto = 253};

	for (int64_t until = clock_ns() + 60000 * MS;; usleep(20000)) {
		json_t *answer, *queue;
		bool known;

		switch_send("rb.rx", &back);
		answer = switch_accepts("trace(dstHost=10.0.0.2).");
		queue = json_object_get(json_object_get(answer, "dataplane"), "queue");
		known = strcmp(json_text(queue, "port"), "p1") == 0;
		json_decref(answer);
		if (known)
			return;
		assert_true(clock_ns() < until);
	}
}

// A statement's effect is in the answer of the trace that was sent behind it, and answers keep their order.
static void statements_before_a_trace_are_in_force_for_it(void **state)
{
	json_t *answer;

	say(switch_fd, "deny(srcHost=10.0.0.77) on a. trace(srcHost=10.0.0.77). time.\n");
	answer = switch_hear();
	assert_true(json_object_get(answer, "id") != NULL);
	json_decref(answer);
	answer = switch_hear();
	assert_string_equal(json_text(json_object_get(answer, "dataplane"), "action"), "drop");
	assert_true(json_is_true(json_object_get(json_object_get(answer, "dataplane"), "agrees")));
	json_decref(answer);
	answer = switch_hear();
	assert_non_null(json_object_get(answer, "time"));
	json_decref(answer);
}

static void background_is_seen(void **state)
{
	json_t *answer, *dataplane;

	switch_do("hint(srcHost=10.0.0.66) class = background on a.");
	answer = switch_accepts("trace(srcHost=10.0.0.66).");
	dataplane = json_object_get(answer, "dataplane");
	assert_true(json_is_true(json_object_get(dataplane, "agrees")));
	assert_true(json_is_true(json_object_get(json_object_get(dataplane, "queue"), "background")));
	assert_string_equal(json_text(json_array_get(json_object_get(dataplane, "rows"), 0), "part"), "background");
	json_decref(answer);
}

static void rows_of_shares_one_may_not_see_are_left_out(void **state)
{
	char line[1 << 14];
	int session;

	switch_do("AddUser alice.");
	switch_do("NewShare d for (srcHost=10.0.0.77) on rootShare.");
	switch_do("Grant d to alice.");
	session = unix_connect(switch_socket);
	hear(session, "Login: ");
	say(session, "alice.\n");
	hear(session, "logged in\nalice> ");
	say(session, "mode json.\ntrace(srcHost=10.0.0.77).\ntrace(srcHost=10.0.0.78).\n");
	hear_line(session, line, sizeof(line));
	hear_line(session, line, sizeof(line));
	assert_non_null(strstr(line, "\"dataplane\":{\"action\":\"drop\""));
	assert_non_null(strstr(line, "\"rows\":[]"));
	hear_line(session, line, sizeof(line));
	assert_non_null(strstr(line, "not_contained"));
	close(session);
}

// And whoever waits for an answer may leave.
static void a_session_that_leaves_harms_nobody(void **state)
{
	for (int i = 0; i < 40; i++) {
		int session = unix_connect(switch_socket);

		hear(session, "Login: ");
		say(session, "root.\n");
		hear(session, "logged in\nroot> ");
		say(session, "trace(srcHost=10.0.0.77).\n");
		close(session);
	}
	json_decref(switch_accepts("time."));
	usleep(50000);
	switch_do("trace(srcHost=10.0.0.77).");
}

static void without_a_dataplane_the_answer_is_network(void **state)
{
	json_t *answer;

	stop = true;
	pthread_join(thread, NULL);
	for (int64_t until = clock_ns() + 60000 * MS;; usleep(1000)) {
		answer = switch_ask("trace(dstPort=1).");
		if (!json_is_true(json_object_get(answer, "ok")))
			break;
		json_decref(answer);
		assert_true(clock_ns() < until);
	}
	assert_string_equal(json_text(answer, "code"), "network");
	assert_non_null(strstr(json_text(answer, "why"), "dataplane"));
	json_decref(answer);
	switch_controller_end(SIGTERM);
}

// Connected, in session, and silent.
static void a_dataplane_that_does_not_answer_is_not_waited_for_long(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct proto_msg msg = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION, .boot_id = 5, .last_txn = 1}};
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	int64_t begin;
	json_t *answer;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	unlink(path);
	assert_int_equal(bind(listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(listener, 1), 0);
	switch_controller_start();
	switch_join();
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	put(&msg);
	msg = (struct proto_msg){.type = PROTO_HAVE_END};
	put(&msg);
	do {
		usleep(1000);
		begin = clock_ns();
		answer = switch_ask("trace(dstPort=1).");
	} while (strstr(json_text(answer, "why"), "no session") != NULL);
	assert_string_equal(json_text(answer, "code"), "network");
	assert_non_null(strstr(json_text(answer, "why"), "not answered"));
	assert_in_range(clock_ns() - begin, 1500 * MS, 20000 * MS);
	json_decref(answer);
	close(fd);
	close(listener);
	switch_controller_end(SIGTERM);
}

static int setup(void **state)
{
	switch_up();
	return 0;
}

static int teardown(void **state)
{
	if (switch_controller > 0)
		kill(switch_controller, SIGKILL);
	tmpdir_remove(dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		// on one run, in order
		cmocka_unit_test(policy_is_set_up),
		cmocka_unit_test(destination_becomes_known),
		cmocka_unit_test(trace_agrees_with_evaluator_and_frames),
		cmocka_unit_test(statements_before_a_trace_are_in_force_for_it),
		cmocka_unit_test(background_is_seen),
		cmocka_unit_test(rows_of_shares_one_may_not_see_are_left_out),
		cmocka_unit_test(a_session_that_leaves_harms_nobody),
		cmocka_unit_test(without_a_dataplane_the_answer_is_network),
		cmocka_unit_test(a_dataplane_that_does_not_answer_is_not_waited_for_long),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
