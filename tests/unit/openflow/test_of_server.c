// SPDX-License-Identifier: Apache-2.0
// Sockets of OpenFlow switches: hundreds of them, some that do not read or answer, come all at once or too many; and a
// policy that they cannot have.
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>

#include "control/engine.h"
#include "control/loop.h"
#include "control/of_server.h"
#include "hft/condense.h"
#include "played_switch.h"

#define PATIENCE_NS 20000000000LL
#define N_WIDE 64
#define N_PEERS 240
#define SESSIONS_MAX 1024 // of of_server.c
#define SECOND 1000000000LL

struct fixture;

struct peer {
	struct played played;
	int fd;
	bool reads, broken;
	struct fixture *fixture;
	bool mute; // it reads, and says nothing
};

struct fixture {
	struct event_base *base;
	struct nib *nib;
	struct engine *engine;
	struct of_server *server;
	struct peer peers[N_PEERS];
	int n;
	int64_t turn_ns, next_ns; // the last turn; what it said when the next one is due
	uint32_t n_denied;        // entries of the first one about two addresses
};

static int64_t skipped_ns; // time that nobody had to wait
static int64_t stopped_ns; // the clock stands there; 0: it goes on by itself
static bool compiler_errs;

int64_t __real_loop_uptime_ns(void);
int64_t __wrap_loop_uptime_ns(void);
int64_t __wrap_loop_uptime_ns(void)
{
	return (stopped_ns != 0 ? stopped_ns : __real_loop_uptime_ns()) + skipped_ns;
}

// libevent's, too. How often it was tried, and in vain.
static unsigned int n_accepts, n_accept_errors;

int accept4(int fd, struct sockaddr *addr, socklen_t *len, int flags)
{
	int new = (int)syscall(SYS_accept4, fd, addr, len, flags);

	n_accepts++;
	n_accept_errors += new < 0 && errno == EMFILE;
	return new;
}

// The last step of the compiler, in which a fault can be put: what is denied would be let through.
int __real_condense(struct flowtab *ft);
int __wrap_condense(struct flowtab *ft);
int __wrap_condense(struct flowtab *ft)
{
	int rc = __real_condense(ft);

	for (uint32_t i = 0; compiler_errs && i < ft->n_rows; i++) {
		if (ft->rows[i].action.access == ACCESS_DENY)
			ft->rows[i].action.access = ACCESS_ALLOW;
	}
	return rc;
}

static void turn(struct fixture *f)
{
	uint8_t buf[65536];
	ssize_t n = -1;

	event_base_loop(f->base, EVLOOP_NONBLOCK);
	f->turn_ns = loop_clock_ns();
	f->next_ns = of_server_turn(f->server, f->engine, f->turn_ns);
	for (int i = 0; i < f->n; i++) {
		struct peer *p = &f->peers[i];

		while (p->fd >= 0 && p->reads && (n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT)) > 0) {
			if (!p->mute)
				assert_true(played_input(&p->played, buf, (size_t)n));
		}
		p->broken |= p->fd >= 0 && p->reads && n == 0;
		n = -1;
	}
}

// All of it, while the server goes on.
static void to_server(void *ctx, const uint8_t *bytes, size_t len)
{
	struct peer *p = ctx;

	while (len > 0 && !p->broken) {
		ssize_t n = send(p->fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno != EAGAIN)
			p->broken = true;
		if (n <= 0)
			return; // a part of a message: this peer says no more that counts
		bytes += n;
		len -= (size_t)n;
	}
}

static void count_denied(void *ctx, const struct of_flow_mod *mod)
{
	const struct peer *p = ctx;

	if (mod->table == 0 && mod->match.has & OF_HAS_IP4_DST && mod->instructions.goto_table == OF_TABLE_ALL)
		p->fixture->n_denied += mod->command == OF_FLOW_ADD ? 1U : -1U;
}

static void reach(const struct fixture *f, int fd)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

	at.sin_port = htons(of_server_port(f->server, false));
	assert_int_equal(connect(fd, (const struct sockaddr *)&at, sizeof(at)), 0);
}

static void join_as(struct fixture *f, struct peer *p, uint64_t dpid)
{
	played_fini(&p->played);
	played_init(&p->played, OF_VERSION_13, dpid, 2);
	p->played.send = to_server;
	p->played.ctx = p;
	p->fixture = f;
	if (p == &f->peers[0])
		p->played.flow_mod = count_denied;
	p->reads = true;
	p->broken = p->mute = false;
	if (f->n <= p - f->peers)
		f->n = (int)(p - f->peers) + 1;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	reach(f, p->fd);
	played_hello(&p->played);
}

static struct of_net_stats stats(const struct fixture *f)
{
	struct of_net_stats s;

	of_net_stats(of_server_net(f->server), &s);
	return s;
}

static int setup(void **state)
{
	static struct fixture f;
	const struct engine_conf engine = {.offline = false};
	struct of_server_conf conf = {.listen = "127.0.0.1:0", .verify = PROVE_ALWAYS};
	struct err err;

	f = (struct fixture){.base = event_base_new(), .nib = nib_create()};
	for (int i = 0; i < N_PEERS; i++)
		f.peers[i].fd = -1;
	skipped_ns = stopped_ns = 0;
	compiler_errs = false;
	f.engine = engine_create(&engine, f.nib, loop_clock_ns());
	conf.nib = f.nib;
	f.server = of_server_create(f.base, &conf, &err);
	assert_non_null(f.server);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	of_server_destroy(f->server);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	event_base_free(f->base);
	for (int i = 0; i < f->n; i++) {
		played_fini(&f->peers[i].played);
		if (f->peers[i].fd >= 0)
			close(f->peers[i].fd);
	}
	return 0;
}

static void wait_for_switches(struct fixture *f, uint32_t n)
{
	int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;

	while (stats(f).n_switches != n && __real_loop_uptime_ns() < end)
		turn(f);
	assert_int_equal(stats(f).n_switches, n);
}

static void a_switch_that_does_not_read_is_shown_out(void **state)
{
	static uint8_t much[60000];
	struct fixture *f = *state;
	struct of_msg echo = {.type = OF_ECHO_REQUEST, .raw = {much, sizeof(much)}};
	int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;

	join_as(f, &f->peers[0], 1);
	join_as(f, &f->peers[1], 2);
	wait_for_switches(f, 2);
	f->peers[1].reads = false;
	while (stats(f).n_switches == 2 && __real_loop_uptime_ns() < end) {
		uint8_t last = 0;

		// A whole message or none, so that its stream stays good.
		if (recv(f->peers[1].fd, &last, 0, MSG_DONTWAIT) >= 0 || errno == EAGAIN)
			played_send(&f->peers[1].played, &echo);
		for (int i = 0; i < 4; i++)
			turn(f);
	}
	assert_int_equal(stats(f).n_switches, 1);
	assert_true(f->peers[0].fd >= 0 && send(f->peers[0].fd, "", 0, MSG_NOSIGNAL) == 0);
	turn(f);
	assert_int_equal(stats(f).n_switches, 1);
}

static void a_switch_that_goes_away_is_gone(void **state)
{
	struct fixture *f = *state;

	join_as(f, &f->peers[0], 1);
	join_as(f, &f->peers[1], 2);
	wait_for_switches(f, 2);
	close(f->peers[1].fd);
	f->peers[1].fd = -1;
	wait_for_switches(f, 1);
}

// So many denials in the first one's tables.
static void wait_for_entries(struct fixture *f, uint32_t n)
{
	int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;

	while (f->n_denied != n && __real_loop_uptime_ns() < end)
		turn(f);
	assert_int_equal(f->n_denied, n);
}

static void say(struct fixture *f, const char *statement)
{
	struct principal root;
	struct reply reply;

	assert_int_equal(principal_parse("root", &root, NULL), 0);
	reply_init(&reply);
	engine_exec(f->engine, &root, statement, strlen(statement), loop_clock_ns(), &reply);
	if (reply.code != REPLY_OK)
		fail_msg("%s: %s", statement, reply_code_name(reply.code));
	reply_fini(&reply);
}

// Wide requests that meet in ever new ways need more rows than a flat table may have.
static void a_policy_that_switches_cannot_have_is_told(void **state)
{
	struct fixture *f = *state;
	char text[120];

	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	for (int i = 0; i < N_WIDE; i++) {
		int src = 1000 + i * 37 % N_WIDE * 100, dst = 1000 + i * 53 % N_WIDE * 100;

		snprintf(text, sizeof(text), "NewShare s%d for (*) [ratelimit >= 1Mb] on rootShare.", i);
		say(f, text);
		snprintf(text, sizeof(text), "%s(srcPort=%d-%d, dstPort=%d-%d) partial on s%d.",
			 i % 2 == 0 ? "allow" : "deny", src, src + 20000 + i * 61 % N_WIDE * 100, dst,
			 dst + 20000 + i * 71 % N_WIDE * 100, i);
		say(f, text);
	}
	assert_null(of_server_trouble(f->server));
	turn(f);
	assert_non_null(of_server_trouble(f->server));
	assert_non_null(strstr(of_server_trouble(f->server), "rows"));
	for (int i = 1; i <= N_WIDE; i++) {
		snprintf(text, sizeof(text), "cancel %d.", i);
		say(f, text);
	}
	turn(f);
	assert_null(of_server_trouble(f->server));
}

static void a_waypoint_is_refused_while_no_switch_is_there(void **state)
{
	static const char waypoint[] = "waypoint(srcHost=10.0.0.1) = 10.7.0.99 on rootShare.";
	struct fixture *f = *state;
	struct principal root;
	struct reply reply;

	engine_ask_network(f->engine, of_server_fit, f->server);
	turn(f);
	assert_int_equal(principal_parse("root", &root, NULL), 0);
	reply_init(&reply);
	engine_exec(f->engine, &root, waypoint, sizeof(waypoint) - 1, loop_clock_ns(), &reply);
	assert_int_equal(reply.code, REPLY_NETWORK);
	assert_non_null(strstr(json_string_value(json_object_get(reply.body, "why")), "no OpenFlow switch"));
	reply_fini(&reply);
	say(f, "reserve(srcHost=10.0.0.1) = 1Mb on rootShare.");
	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	say(f, waypoint); // links and hosts are still being found
	engine_ask_network(f->engine, NULL, NULL);
}

// A table that is not what the policy says is not sent, and those who ask for more hear why.
static void a_table_that_fails_its_proof_is_not_sent(void **state)
{
	struct fixture *f = *state;
	struct principal root;
	struct reply reply;
	uint64_t mods;

	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	say(f, "deny(srcHost=10.0.0.1, dstHost=10.0.0.2) on rootShare.");
	wait_for_entries(f, 1);
	assert_true(of_server_proof(f->server)->proven > 0);
	mods = f->peers[0].played.n_flow_mods;
	compiler_errs = true;
	say(f, "deny(srcHost=10.0.0.3, dstHost=10.0.0.4) on rootShare.");
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_int_equal(of_server_proof(f->server)->faults, 1);
	assert_int_equal(f->peers[0].played.n_flow_mods, mods);
	assert_non_null(strstr(of_server_trouble(f->server), "differs from the policy for the packet"));
	engine_set_network(f->engine, of_server_trouble(f->server)); // as the controller does
	assert_int_equal(principal_parse("root", &root, NULL), 0);
	reply_init(&reply);
	engine_exec(f->engine, &root, "deny(dstPort=5) on rootShare.", 29, loop_clock_ns(), &reply);
	assert_int_equal(reply.code, REPLY_NETWORK);
	assert_non_null(strstr(json_string_value(json_object_get(reply.body, "why")), "differs from the policy"));
	reply_fini(&reply);
	compiler_errs = false;
	engine_set_network(f->engine, NULL);
	say(f, "deny(srcHost=10.0.0.5, dstHost=10.0.0.6) on rootShare.");
	wait_for_entries(f, 3);
	assert_null(of_server_trouble(f->server));
}

// --- hundreds of them

static void join_all(struct fixture *f)
{
	for (int i = 0; i < N_PEERS; i++) {
		join_as(f, &f->peers[i], (uint64_t)i + 1);
		if (i % 32 == 31)
			turn(f); // no more than the queue of the listener
	}
}

// The clock stands, but for a millisecond a turn: however long the machine takes, nobody is silent for longer.
static void hundreds_are_served_and_those_that_fall_silent_shown_out(void **state)
{
	struct fixture *f = *state;
	int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;

	stopped_ns = __real_loop_uptime_ns();
	join_all(f);
	while (stats(f).n_synced != N_PEERS && __real_loop_uptime_ns() < end) {
		skipped_ns += SECOND / 1000;
		turn(f);
	}
	assert_int_equal(stats(f).n_synced, N_PEERS);
	for (int i = 0; i < 20; i++)
		f->peers[i * 7].mute = true;
	for (int i = 0; i < 8; i++) { // 32 seconds; who was silent for 15 is gone
		skipped_ns += 4 * SECOND;
		for (int k = 0; k < 8; k++)
			turn(f);
		assert_true(i > 1 || stats(f).n_switches == N_PEERS);
	}
	wait_for_switches(f, N_PEERS - 20);
	for (int i = 0; i < N_PEERS; i++)
		assert_int_equal(f->peers[i].broken, f->peers[i].mute);
}

// They go and come back at once, some while their last session is still there: those come again.
static void all_may_go_and_come_back_at_once(void **state)
{
	struct fixture *f = *state;

	join_all(f);
	wait_for_switches(f, N_PEERS);
	for (int storm = 0; storm < 4; storm++) {
		int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;

		for (int i = 0; i < N_PEERS; i++) {
			close(f->peers[i].fd);
			f->peers[i].fd = -1;
			if (storm % 2 == 1)
				join_as(f, &f->peers[i], (uint64_t)i + 1);
			if (storm % 2 == 1 && i % 32 == 31)
				turn(f);
		}
		if (storm % 2 == 0)
			join_all(f);
		do {
			turn(f);
			for (int i = 0; i < N_PEERS; i++) {
				if (!f->peers[i].broken)
					continue;
				close(f->peers[i].fd);
				join_as(f, &f->peers[i], (uint64_t)i + 1);
			}
		} while (stats(f).n_switches != N_PEERS && __real_loop_uptime_ns() < end);
		assert_int_equal(stats(f).n_switches, N_PEERS);
	}
}

static bool is_closed(int fd)
{
	uint8_t byte[64];
	ssize_t n;

	while ((n = recv(fd, byte, sizeof(byte), MSG_DONTWAIT)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}

static void who_comes_when_there_are_too_many_is_refused(void **state)
{
	static int idle[SESSIONS_MAX + 8];
	const struct rlimit many = {4096, 4096};
	struct fixture *f = *state;
	int n_closed = 0;

	setrlimit(RLIMIT_NOFILE, &many);
	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	for (int i = 0; i < SESSIONS_MAX + 8; i++) {
		idle[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (idle[i] < 0)
			skip(); // few files
		reach(f, idle[i]);
		if (i % 32 == 31)
			turn(f);
	}
	for (int i = 0; i < 20; i++)
		turn(f);
	for (int i = 0; i < SESSIONS_MAX + 8; i++)
		n_closed += is_closed(idle[i]);
	assert_int_equal(n_closed, 8 + 1);
	assert_int_equal(stats(f).n_switches, 1);
	skipped_ns += 6 * SECOND;
	for (int i = 0; i < 4; i++)
		turn(f);
	skipped_ns += 6 * SECOND; // they have said nothing: room again
	for (int i = 0; i < 4; i++)
		turn(f);
	join_as(f, &f->peers[1], 2);
	wait_for_switches(f, 2);
	for (int i = 0; i < SESSIONS_MAX + 8; i++) {
		assert_true(is_closed(idle[i]));
		close(idle[i]);
	}
}

// Not refused, and not tried in every turn: it is accepted some time after files are there again.
static void without_files_a_switch_waits(void **state)
{
	struct fixture *f = *state;
	int64_t end = __real_loop_uptime_ns() + PATIENCE_NS;
	struct rlimit before, few;
	int next;

	join_as(f, &f->peers[0], 1);
	wait_for_switches(f, 1);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	few = before;
	join_as(f, &f->peers[1], 2); // not accepted yet
	next = dup(f->peers[1].fd);
	close(next);
	few.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	stopped_ns = __real_loop_uptime_ns();
	n_accept_errors = 0;
	while (n_accept_errors == 0 && __real_loop_uptime_ns() < end)
		turn(f);
	assert_int_equal(n_accept_errors, 1);
	n_accepts = 0;
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_true(f->next_ns > f->turn_ns - SECOND && f->next_ns <= f->turn_ns + SECOND / 10); // it will try again
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	for (int i = 0; i < 20; i++)
		turn(f);
	assert_int_equal(n_accepts, 0);
	assert_int_equal(stats(f).n_switches, 1);
	skipped_ns += SECOND / 10;
	wait_for_switches(f, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_switch_that_does_not_read_is_shown_out, setup, teardown),
		cmocka_unit_test_setup_teardown(a_switch_that_goes_away_is_gone, setup, teardown),
		cmocka_unit_test_setup_teardown(a_policy_that_switches_cannot_have_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(a_waypoint_is_refused_while_no_switch_is_there, setup, teardown),
		cmocka_unit_test_setup_teardown(a_table_that_fails_its_proof_is_not_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(hundreds_are_served_and_those_that_fall_silent_shown_out, setup,
						teardown),
		cmocka_unit_test_setup_teardown(all_may_go_and_come_back_at_once, setup, teardown),
		cmocka_unit_test_setup_teardown(who_comes_when_there_are_too_many_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(without_files_a_switch_waits, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
