// SPDX-License-Identifier: Apache-2.0
// The main lcore's loop. Whatever is due at an instant comes first, then the controller, then what can wait.
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#include "class_ask.h"
#include "dp_capture.h"
#include "dp_log.h"
#include "dp_ports.h"
#include "dp_priv.h"
#include "policy_wait.h"

#define NS_PER_MS INT64_C(1000000)
#define PORTS_NS (100 * NS_PER_MS)
#define ADOPTION_POLL_NS 20000 // while commits wait for the worker
#define BUILDING_POLL_NS NS_PER_MS
#define BUILDING_LATE_NS (1000 * NS_PER_MS)
#define ADOPTION_LATE_NS (100 * NS_PER_MS)
#define REAP_STUCK_NS (1000 * NS_PER_MS)
#define ASK_POLL_NS (NS_PER_MS / 4)
#define ASK_LATE_NS (50 * NS_PER_MS) // then the answer goes without the worker's part

struct loop {
	struct dp *dp;
	struct policy_wait wait;
	int64_t ports_ns;   // CLOCK_MONOTONIC: when to look at them next
	int64_t awaited_ns; // since when a commit waits for the worker
	uint32_t awaited_gen;
	bool late_logged, waiting; // waiting: for the first policy
	bool building;             // a commit waits for the classifier
	bool building_logged;
	int64_t building_ns; // since when, 0: it does not
	bool asked;          // answer waits for the worker, since asked_ns
	int64_t asked_ns;
	struct proto_msg answer;
};

static int64_t clock_ns(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	// A clock may say the year 9999; nanoseconds end in 2262, and the last one means never.
	if (ts.tv_sec < 0 || ts.tv_sec >= INT64_MAX / 1000000000)
		return ts.tv_sec < 0 ? 0 : INT64_MAX - 1;
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

// --- policy

// Says once when a change waits for long, and when it is through.
static void follow_building(struct loop *l, int64_t mono_ns)
{
	if (l->building && l->building_ns == 0)
		l->building_ns = mono_ns;
	l->dp->change_waits_ms = l->building ? (mono_ns - l->building_ns) / NS_PER_MS : 0;
	if (l->building && !l->building_logged && mono_ns - l->building_ns > BUILDING_LATE_NS) {
		dp_warning("a change of policy waits for the classifier to be built; the policy before it stays");
		l->building_logged = true;
	}
	if (l->building)
		return;
	if (l->building_logged)
		dp_notice("the change of policy that waited is in force");
	l->building_logged = false;
	l->building_ns = 0;
}

// Commits that wait for the classifier are tried again before the controller is listened to.
static void serve_link(struct loop *l, const struct pollfd fds[LINK_POLLFDS], int64_t now_ns)
{
	struct dp *dp = l->dp;
	struct err err;
	uint32_t gen;

	if (l->building)
		link_send(dp->link);
	else if (link_turn(dp->link, fds, now_ns) == 0)
		return;
	gen = dp_policy_commit(dp->policy, clock_ns(CLOCK_REALTIME), &err); // later than what it takes away
	l->building = gen == 0 && err.code == EAGAIN;
	if (l->building)
		return;
	if (gen == 0) {
		table_undo(dp->table);
		dp->n_changes_failed++;
		link_failed(dp->link, err.msg);
		return;
	}
	table_settle(dp->table);
	link_built(dp->link, gen);
	l->waiting = false;
}

static bool ask_worker(struct loop *l, const struct sched_set *set, uint16_t port)
{
	return set != NULL && port < WORKER_PORTS_MAX && class_ask_put(&l->dp->ask, port, set);
}

// One after the other: what only the worker knows is waited for.
static void answer_questions(struct loop *l, int64_t mono_ns)
{
	const struct snapshot *live = atomic_load_explicit(&l->dp->slot.live, memory_order_relaxed);
	struct proto_trace question;

	for (;;) {
		if (l->asked && !class_ask_take(&l->dp->ask, &l->answer.traced.queue) &&
		    mono_ns < l->asked_ns + ASK_LATE_NS)
			return;
		if (l->asked)
			link_tell(l->dp->link, &l->answer);
		l->asked = false;
		if (!link_next_trace(l->dp->link, &question))
			return;
		l->answer.type = PROTO_TRACED;
		l->asked_ns = mono_ns;
		l->asked =
			ask_worker(l, dp_trace_answer(l->dp->trace, live, &question, &l->answer.traced), question.port);
		if (!l->asked)
			link_tell(l->dp->link, &l->answer);
	}
}

// Answers commits that the worker has taken over.
static void follow_worker(struct loop *l, int64_t mono_ns)
{
	struct dp *dp = l->dp;
	uint32_t gen = link_awaits_gen(dp->link);

	if (gen == 0)
		return;
	if (gen != l->awaited_gen) {
		l->awaited_gen = gen;
		l->awaited_ns = mono_ns;
		l->late_logged = false;
	}
	link_adopted(dp->link, snapshot_adopted_gen(&dp->slot), clock_ns(CLOCK_REALTIME));
	if (link_awaits_gen(dp->link) != 0 && !l->late_logged && mono_ns - l->awaited_ns > ADOPTION_LATE_NS) {
		dp_warning("a worker has not taken over snapshot %u for 100 ms", gen);
		l->late_logged = true;
	}
}

static void follow_waiting(struct loop *l, int64_t now_ns, int64_t mono_ns)
{
	enum policy_wait_verdict verdict;
	struct err err;

	if (!l->waiting || l->building)
		return;
	verdict = policy_wait_turn(&l->wait, link_is_connected(l->dp->link), mono_ns);
	if (verdict == POLICY_WAIT_LATE)
		dp_warning(
			"no policy yet: the controller is there and is waited for, at most %d s; nothing is forwarded",
			POLICY_WAIT_MOST_MS / 1000);
	if (verdict != POLICY_WAIT_OVER)
		return;
	l->waiting = false;
	dp_warning("no policy from a controller for %lld ms: forwarding without one",
		   (long long)((mono_ns - l->wait.start_ns) / NS_PER_MS));
	if (dp_policy_commit(l->dp->policy, now_ns, &err) == 0)
		dp_error("empty policy: %s", err.msg); // the first commit will do
}

// Devices take their time to open and close: what is due comes between any two.
static void follow_ports(struct loop *l, int64_t mono_ns)
{
	if (l->dp->conf->reload != NULL && *l->dp->conf->reload_asked) {
		dp_ports_reload(l->dp);
		l->ports_ns = mono_ns;
	}
	if (mono_ns >= l->ports_ns)
		l->ports_ns = dp_ports_turn(l->dp, mono_ns) ? mono_ns : mono_ns + PORTS_NS;
}

// --- the loop

static int64_t min_ns(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

// How long nothing is due.
static int64_t quiet_ns(const struct loop *l, int64_t now_ns, int64_t mono_ns)
{
	int64_t next_ns = dp_policy_next_ns(l->dp->policy);
	int64_t quiet = min_ns(l->ports_ns, dp_tell_next_ns(l->dp->tell)) - mono_ns;

	if (next_ns != INT64_MAX)
		quiet = min_ns(quiet, next_ns - now_ns);
	if (l->waiting && !l->building)
		quiet = min_ns(quiet, policy_wait_next_ns(&l->wait) - mono_ns);
	if (l->asked)
		quiet = min_ns(quiet, ASK_POLL_NS);
	if (l->dp->capture.left > 0)
		quiet = min_ns(quiet, DP_CAPTURE_POLL_NS);
	if (l->building)
		quiet = min_ns(quiet, BUILDING_POLL_NS);
	else if (link_awaits_gen(l->dp->link) != 0)
		quiet = min_ns(quiet, l->late_logged ? NS_PER_MS : ADOPTION_POLL_NS);
	return quiet < 0 ? 0 : quiet;
}

static void turn(struct loop *l)
{
	int64_t now_ns = clock_ns(CLOCK_REALTIME), mono_ns = clock_ns(CLOCK_MONOTONIC);
	int64_t quiet = quiet_ns(l, now_ns, mono_ns);
	struct timespec ts = {.tv_sec = quiet / 1000000000, .tv_nsec = quiet % 1000000000};
	struct pollfd fds[LINK_POLLFDS + 1];

	link_poll(l->dp->link, fds);
	for (int i = 0; i < LINK_POLLFDS && l->building; i++)
		fds[i].fd = -1; // not heard meanwhile
	fds[LINK_POLLFDS] = (struct pollfd){.fd = dp_policy_fd(l->dp->policy), .events = POLLIN};
	if (ppoll(fds, LINK_POLLFDS + 1, &ts, NULL) < 0)
		memset(fds, 0, sizeof(fds)); // a signal
	now_ns = clock_ns(CLOCK_REALTIME);
	mono_ns = clock_ns(CLOCK_MONOTONIC);
	dp_policy_turn(l->dp->policy, now_ns);
	serve_link(l, fds, now_ns);
	follow_building(l, mono_ns);
	answer_questions(l, mono_ns);
	dp_capture_turn(l->dp);
	follow_worker(l, mono_ns);
	follow_waiting(l, now_ns, mono_ns);
	snapshot_reap(&l->dp->slot);
	follow_ports(l, mono_ns);
	dp_tell_turn(l->dp->tell, mono_ns);
	workers_wake(l->dp->workers);
}

void dp_loop(struct dp *dp, const volatile bool *stop)
{
	int64_t mono_ns = clock_ns(CLOCK_MONOTONIC);
	struct loop l = {.dp = dp, .ports_ns = mono_ns + PORTS_NS, .waiting = true};

	l.wait.is_there = dp->conf->controller_is_there;
	l.wait.ctx = dp->conf->controller_ctx;
	policy_wait_start(&l.wait, dp->conf->policy_wait_ms, mono_ns);
	while (!*stop)
		turn(&l);
}
