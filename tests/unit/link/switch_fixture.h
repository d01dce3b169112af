// SPDX-License-Identifier: Apache-2.0
// A whole switch: the controller in a process of its own, the dataplane in a thread between two ring: ports. The test
// speaks the policy's language as root, in JSON, and is the network.
#pragma once
#include "dp_fixture.h"

#include <jansson.h>
#include <signal.h>

#include "control/controller.h"
#include "control/log.h"
#include "control/rundir.h"
#include "tests/unit/control_io/io_fixture.h"

static struct config switch_config;
static struct config_port switch_ports[] = {{.name = "p0", .device = "ring:ra"}};
static char switch_state[96], switch_socket[96];
static pid_t switch_controller;
static int switch_fd = -1; // a session

static inline void switch_controller_start(void)
{
	int ready[2];
	char byte;

	if (rundir_prepare(&switch_config, &err) < 0)
		fail_msg("%s", err.msg);
	assert_int_equal(pipe(ready), 0);
	fflush(NULL);
	switch_controller = fork();
	if (switch_controller == 0) {
		const struct controller_conf conf = {.config = &switch_config, .ready_fd = ready[1]};

		close(ready[0]);
		signal(SIGPIPE, SIG_IGN);
		log_init("controller", LOG_LEVEL_ERROR, NULL);
		_exit(controller_run(&conf));
	}
	close(ready[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

static inline void switch_controller_end(int sig)
{
	int status;

	close(switch_fd);
	switch_fd = -1;
	kill(switch_controller, sig);
	assert_int_equal(waitpid(switch_controller, &status, 0), switch_controller);
	switch_controller = 0;
	assert_true(sig == SIGKILL || (WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

static inline json_t *switch_hear(void)
{
	static char line[1 << 16];
	json_t *answer;

	do {
		hear_line(switch_fd, line, sizeof(line));
		answer = json_loads(line, 0, NULL);
		if (answer == NULL)
			fail_msg("no JSON: %s", line);
		if (json_object_get(answer, "event") == NULL)
			return answer;
		json_decref(answer);
	} while (true);
}

static inline void switch_join(void)
{
	char line[200];

	switch_fd = unix_connect(switch_socket);
	assert_true(switch_fd >= 0);
	hear(switch_fd, "Login: ");
	say(switch_fd, "root.\n");
	hear(switch_fd, "logged in\nroot> ");
	say(switch_fd, "mode json.\n");
	hear_line(switch_fd, line, sizeof(line));
}

// The answer; the caller decrefs it.
static inline json_t *switch_ask(const char *statement)
{
	say(switch_fd, statement);
	say(switch_fd, "\n");
	return switch_hear();
}

// Says it, and fails the test unless it is accepted.
static inline json_t *switch_accepts(const char *statement)
{
	json_t *answer = switch_ask(statement);

	if (!json_is_true(json_object_get(answer, "ok")))
		fail_msg("%s: %s", statement, json_string_value(json_object_get(answer, "why")));
	return answer;
}

static inline void switch_do(const char *statement)
{
	json_decref(switch_accepts(statement));
}

static inline const char *json_text(const json_t *o, const char *member)
{
	const char *text = json_string_value(json_object_get(o, member));

	return text == NULL ? "" : text;
}

static inline void switch_dataplane_start(void)
{
	assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
	for (int64_t until = clock_ns() + 60000 * MS; access(path, F_OK) != 0; usleep(1000)) {
		if (run_result != 1 || clock_ns() > until)
			fail_msg("dataplane: %s", run_err.msg);
	}
}

static inline void switch_config_init(void)
{
	tmpdir_make(dir);
	snprintf(path, sizeof(path), "%s/link.sock", dir);
	snprintf(switch_state, sizeof(switch_state), "%s/state", dir);
	snprintf(switch_socket, sizeof(switch_socket), "%s/control.sock", dir);
	// with a port, there is a dataplane to be looked for
	switch_config = (struct config){.run_dir = dir, .state_dir = switch_state, .ports = switch_ports, .n_ports = 1};
}

// Until the dataplane has the controller's policy: frames pass. The controller has begun before there were threads.
static inline void switch_wait_until_up(void)
{
	for (int64_t until = clock_ns() + 60000 * MS;;) {
		json_t *answer = switch_ask("trace(dstPort=1).");
		bool up = json_is_true(json_object_get(answer, "ok"));

		json_decref(answer);
		if (up)
			return;
		if (clock_ns() > until)
			fail_msg("the dataplane is not in session");
		usleep(5000);
	}
}

static inline void switch_up(void)
{
	switch_config_init();
	switch_controller_start();
	switch_dataplane_start();
	switch_join();
	switch_wait_until_up();
}

static inline void switch_down(void)
{
	if (switch_controller > 0)
		switch_controller_end(SIGTERM);
	stop = true;
	pthread_join(thread, NULL);
	assert_int_equal(run_result, 0);
	tmpdir_remove(dir);
}

// An IPv4 frame of 64 bytes, with ports where the protocol has them, into a port ("ra.rx", "rb.rx").
struct flow {
	uint32_t src, dst;
	uint8_t proto;
	uint16_t src_port, dst_port;
};

static inline void switch_send(const char *ring, const struct flow *flow)
{
	struct rte_mbuf *m = rte_pktmbuf_alloc(rte_mempool_lookup("pane_pool"));
	bool back = ring[1] == 'b';
	uint16_t l4_be[2] = {htons(flow->src_port), htons(flow->dst_port)};
	struct frame f = {.dst = {2, 0, 0, 0, 0, back ? 1 : 2},
			  .src = {2, 0, 0, 0, 0, back ? 2 : 1},
			  .type_be = htons(0x0800),
			  .version = 0x45,
			  .len_be = htons(sizeof(f) - 14),
			  .ttl = 64,
			  .proto = flow->proto,
			  .src_be = htonl(flow->src),
			  .dst_be = htonl(flow->dst)};

	memcpy(&f.sent_ns, l4_be, sizeof(l4_be));
	assert_non_null(m);
	memcpy(rte_pktmbuf_append(m, sizeof(f)), &f, sizeof(f));
	assert_int_equal(rte_ring_enqueue(rte_ring_lookup(ring), m), 0);
}

// Whether a frame of the flow comes out at the other end within ms.
static inline bool switch_passes_within(const struct flow *flow, int64_t ms)
{
	struct frame f;

	switch_send("ra.rx", flow);
	for (int64_t until = clock_ns() + ms * MS; clock_ns() < until; usleep(100))
		if (receive_frame(&f) && f.src_be == htonl(flow->src)) // not a late one of another
			return true;
	return false;
}

// On a busy machine late.
static inline bool switch_passes(const struct flow *flow)
{
	return switch_passes_within(flow, 10000);
}

static inline bool switch_denies(const struct flow *flow)
{
	return !switch_passes_within(flow, 30);
}
