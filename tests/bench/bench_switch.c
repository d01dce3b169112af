// SPDX-License-Identifier: Apache-2.0
// `pane-bench switch`: the real switch over the policy of a command script, 64-byte frames passing all the while.
//   changes   from a statement on the command socket (journalled, proven, sent, built, published) to the first frames
//             that a worker treats by it
//   instants  rows that start and end at one instant: how late frames are treated by them, and whether a burst ever saw
//             one of the two only; with the controller connected, and after it was killed
// Each change denies one flow or ends that. Every frame's verdict is compared with what its flow's last change says;
// between a statement and its effect either is right, once.
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "bench.h"
#include "switch_rig.h"

#define PAUSE_NS 10000 // between bursts of frames
#define LOAD_AHEAD 256 // statements without an answer
#define INSTANTS 100
#define INSTANT_NS 20000000LL // between them
#define SETTLE_NS 10000000000LL
#define IN_FLOWS 3072 // of them changes are; the others are of instants

struct flow {
	uint64_t request; // that denies it, 0: none
	bool denied;      // as settled
	bool changing;
	int64_t said_ns, settled_ns;
};

struct bench {
	struct rig *rig;
	struct flow flow[RIG_FLOWS];
	uint16_t changing[RIG_FLOWS], waiting[RIG_FLOWS]; // whose verdict, whose answer is to come, in order
	uint32_t n_changing, n_waiting, first_waiting;
	double *us; // statement to effect
	size_t n_us, cap_us;
	uint64_t misjudged, lost, judged, refused;
	char why[200]; // the first was refused
	uint32_t random;
	// instants
	int64_t first_ns;
	uint16_t first_flow;
	bool starter_passed, seen[INSTANTS];
	uint16_t starter;
	double late_us[INSTANTS];
	uint64_t n_seen, n_early, n_mixed;
};

static uint32_t any_below(struct bench *b, uint32_t n)
{
	b->random = b->random * 1664525u + 1013904223u;
	return (uint32_t)((uint64_t)b->random * n >> 32);
}

// --- what frames show

static void settle(struct bench *b, uint16_t f, int64_t got_ns)
{
	struct flow *flow = &b->flow[f];
	uint32_t i = 0;

	flow->denied = !flow->denied;
	flow->changing = false;
	flow->settled_ns = got_ns;
	if (b->n_us < b->cap_us)
		b->us[b->n_us++] = (double)(got_ns - flow->said_ns) / 1e3;
	while (b->changing[i] != f)
		i++;
	memmove(&b->changing[i], &b->changing[i + 1], (--b->n_changing - i) * sizeof(b->changing[0]));
}

static void judge_instant(struct bench *b, uint16_t f, bool passed, int64_t got_ns)
{
	uint32_t k = (uint32_t)(f - b->first_flow) / 2;
	int64_t late_ns = got_ns - (b->first_ns + k * INSTANT_NS);

	if ((f - b->first_flow) % 2 == 0) { // its row starts; that of the next flow, in the same burst, ends
		b->starter = f;
		b->starter_passed = passed;
		return;
	}
	if (b->starter + 1 != f)
		return;
	b->n_mixed += passed == b->starter_passed;
	if (!passed || b->starter_passed) {
		b->misjudged += b->seen[k];
	} else if (late_ns < 0) {
		b->n_early++;
	} else if (!b->seen[k]) {
		b->seen[k] = true;
		b->late_us[b->n_seen++] = (double)late_ns / 1e3;
	}
}

static void judge(void *ctx, uint16_t f, bool passed, int64_t sent_ns, int64_t got_ns)
{
	struct bench *b = ctx;
	struct flow *flow;

	b->judged++;
	if (f == RIG_FREE) {
		b->lost += !passed;
		return;
	}
	if (f >= IN_FLOWS) { // of this phase
		judge_instant(b, f, passed, got_ns);
		return;
	}
	flow = &b->flow[f];
	if (passed != flow->denied)
		return;     // as settled
	if (flow->changing) // also for a frame that waited in the ring while it was said
		settle(b, f, got_ns);
	else if (sent_ns >= flow->settled_ns) // one sent before may still have met the policy of before
		b->misjudged++;
}

// --- frames

static void pause_ns(long ns)
{
	const struct timespec ts = {.tv_nsec = ns};

	nanosleep(&ts, NULL);
}

// One burst: flows that change, and others at random.
static void send_burst(struct bench *b)
{
	uint16_t flows[RIG_BURST - 1];
	uint32_t n = 0, step = 1 + b->n_changing / 24, at = b->n_changing == 0 ? 0 : any_below(b, step);

	for (; at < b->n_changing && n < 24; at += step)
		flows[n++] = b->changing[at];
	while (n < RIG_BURST - 1)
		flows[n++] = (uint16_t)any_below(b, IN_FLOWS);
	rig_probe(b->rig, flows, n);
}

// The pairs of the instant that comes next, and of the one before it.
static void send_pairs(struct bench *b)
{
	int64_t k = (rig_now_ns() - b->first_ns + INSTANT_NS / 2) / INSTANT_NS;
	uint16_t flows[RIG_BURST - 1];
	uint32_t n = 0;

	for (int64_t i = k - 1; i <= k; i++) {
		if (i < 0 || i >= INSTANTS)
			continue;
		flows[n++] = (uint16_t)(b->first_flow + 2 * i);
		flows[n++] = (uint16_t)(b->first_flow + 2 * i + 1);
	}
	flows[n++] = RIG_FREE; // an even number of frames: the worker's bursts begin and end between pairs
	rig_probe(b->rig, flows, n);
}

// --- statements

static int change(struct bench *b, uint16_t f)
{
	struct flow *flow = &b->flow[f];
	uint32_t ip = RIG_FLOW_IP + f;
	char text[160];

	if (flow->request != 0)
		snprintf(text, sizeof(text), "cancel %" PRIu64 ".\n", flow->request);
	else
		snprintf(text, sizeof(text),
			 "deny(srcHost=%u.%u.%u.%u, dstHost=172.20.0.2, transport=253) on rootShare.\n", ip >> 24,
			 ip >> 16 & 255, ip >> 8 & 255, ip & 255);
	flow->changing = true;
	flow->said_ns = rig_now_ns();
	b->changing[b->n_changing++] = f;
	b->waiting[(b->first_waiting + b->n_waiting++) % RIG_FLOWS] = f;
	return rig_say(b->rig, text);
}

static uint64_t id_of(const char *line)
{
	const char *at = strstr(line, "\"id\":");

	return at == NULL ? 0 : strtoull(at + 5, NULL, 10);
}

static void hear(struct bench *b)
{
	char line[4096];

	while (b->n_waiting > 0 && rig_hear(b->rig, line, sizeof(line), 0)) {
		struct flow *flow = &b->flow[b->waiting[b->first_waiting]];

		b->first_waiting = (b->first_waiting + 1) % RIG_FLOWS;
		b->n_waiting--;
		if (strstr(line, "\"ok\":true") == NULL && b->refused++ == 0)
			snprintf(b->why, sizeof(b->why), "%.*s", (int)sizeof(b->why) - 1, line);
		flow->request = flow->request != 0 ? 0 : id_of(line);
	}
}

static bool is_free(const struct bench *b, uint16_t f)
{
	const struct flow *flow = &b->flow[f];

	return !flow->changing && flow->denied == (flow->request != 0);
}

// So many changes, one every gap_ns (0: as fast as they go), and then until all have shown.
static int run_changes(struct bench *b, uint64_t n, int64_t gap_ns, struct err *err)
{
	int64_t start_ns = rig_now_ns(), end_ns = 0;
	uint16_t next = 0;

	for (uint64_t said = 0; said < n || b->n_changing + b->n_waiting > 0;) {
		int64_t now_ns = rig_now_ns();

		while (said < n && (gap_ns == 0 || start_ns + (int64_t)said * gap_ns <= now_ns) && is_free(b, next)) {
			if (change(b, next) < 0)
				return err_set(err, EPIPE, "the controller is gone");
			next = (uint16_t)((next + 1) % IN_FLOWS);
			said++;
			if (gap_ns == 0 && said % 64 == 0)
				break;
		}
		if (said == n && end_ns == 0)
			end_ns = now_ns;
		if (end_ns != 0 && now_ns > end_ns + SETTLE_NS)
			return err_set(err, ETIMEDOUT, "%u changes had no effect within 10 s", b->n_changing);
		send_burst(b);
		hear(b);
		if (b->refused > 0)
			return err_set(err, EINVAL, "a change was refused: %s", b->why);
		rig_drain(b->rig);
		pause_ns(PAUSE_NS);
	}
	return 0;
}

static int load(struct bench *b, const char *path, json_t *out, struct err *err)
{
	struct bench_script s = {0};
	size_t n_said = 0, n_heard = 0, n_ok = 0;
	char line[1 << 14];
	int ret = bench_script_load(path, &s, err);

	while (ret == 0 && n_heard < s.n) {
		for (; n_said < s.n && n_said < n_heard + LOAD_AHEAD; n_said++) {
			rig_say(b->rig, s.lines[n_said].statement);
			rig_say(b->rig, "\n");
		}
		if (!rig_hear(b->rig, line, sizeof(line), 10000))
			ret = err_set(err, EIO, "no answer to \"%.60s\"", s.lines[n_heard].statement);
		n_heard++;
		n_ok += strstr(line, "\"ok\":true") != NULL;
	}
	json_object_set_new(out, "statements", json_integer((json_int_t)s.n));
	json_object_set_new(out, "accepted", json_integer((json_int_t)n_ok));
	bench_script_free(&s);
	return ret;
}

// Until all that was accepted is in force.
static int wait_until_settled(struct bench *b, struct err *err)
{
	int64_t until = rig_now_ns() + 6 * SETTLE_NS;
	static char line[1 << 20];

	while (strstr(line, "\"settled\":true") == NULL) {
		if (rig_now_ns() > until || rig_say(b->rig, "trace(srcHost=172.20.0.1).\n") < 0 ||
		    !rig_hear(b->rig, line, sizeof(line), 10000))
			return err_set(err, ETIMEDOUT, "the policy does not come into force");
	}
	return 0;
}

static void put_times(json_t *out, const char *name, double *us, size_t n)
{
	static const struct {
		const char *name;
		double q;
	} at[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"max", 1}};
	char key[64];

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		snprintf(key, sizeof(key), "%s_%s_us", name, at[i].name);
		json_object_set_new(out, key, json_real(bench_quantile(us, n, at[i].q)));
	}
}

static int changes(struct bench *b, const struct bench_opts *opts, json_t *out, struct err *err)
{
	uint64_t n = (uint64_t)(opts->rate * opts->seconds);
	int64_t start_ns;
	int ret;

	b->cap_us = n > IN_FLOWS ? n : IN_FLOWS;
	b->us = calloc(b->cap_us, sizeof(*b->us));
	if (b->us == NULL)
		return err_set(err, ENOMEM, "out of memory");
	bench_progress("changes one by one", 0, 0);
	ret = run_changes(b, n, 1000000000LL / opts->rate, err);
	json_object_set_new(out, "changes", json_integer((json_int_t)n));
	put_times(out, "change", b->us, b->n_us);
	b->n_us = 0;
	start_ns = rig_now_ns();
	bench_progress("changes as fast as they go", 0, 0);
	if (ret == 0)
		ret = run_changes(b, IN_FLOWS, 0, err);
	json_object_set_new(out, "burst", json_integer(IN_FLOWS));
	json_object_set_new(out, "burst_all_ms", json_real((double)(rig_now_ns() - start_ns) / 1e6));
	put_times(out, "burst", b->us, b->n_us);
	free(b->us);
	b->us = NULL;
	b->n_us = b->cap_us = 0;
	return ret;
}

// --- instants

static void put_time(char *text, size_t size, int64_t ns)
{
	snprintf(text, size, "%" PRId64 ".%09" PRId64, ns / 1000000000, ns % 1000000000);
}

static int say_instants(struct bench *b, struct err *err)
{
	char line[4096], at[40], end[40], text[200];
	uint32_t n = 0;

	put_time(end, sizeof(end), b->first_ns + 60000000000LL);
	for (uint32_t i = 0; i < 2 * INSTANTS; i++) {
		uint32_t ip = RIG_FLOW_IP + b->first_flow + i;

		put_time(at, sizeof(at), b->first_ns + i / 2 * INSTANT_NS);
		snprintf(text, sizeof(text),
			 "deny(srcHost=%u.%u.%u.%u, dstHost=172.20.0.2, transport=253) on rootShare from %s to %s.\n",
			 ip >> 24, ip >> 16 & 255, ip >> 8 & 255, ip & 255, i % 2 == 0 ? at : "now",
			 i % 2 == 0 ? end : at);
		if (rig_say(b->rig, text) < 0)
			return err_set(err, EPIPE, "the controller is gone");
	}
	while (n < 2 * INSTANTS && rig_hear(b->rig, line, sizeof(line), 5000)) {
		if (strstr(line, "\"ok\":true") == NULL)
			return err_set(err, EINVAL, "refused: %.200s", line);
		n++;
	}
	return n == 2 * INSTANTS ? 0 : err_set(err, EIO, "no answer");
}

static int instants(struct bench *b, bool alone, json_t *out, struct err *err)
{
	json_t *now = json_object();
	int ret;

	memset(b->seen, 0, sizeof(b->seen));
	b->n_seen = b->n_early = b->n_mixed = 0;
	b->first_flow = alone ? IN_FLOWS + 2 * INSTANTS : IN_FLOWS;
	b->first_ns = rig_now_ns() + 1500000000LL;
	bench_progress(alone ? "instants without a controller" : "instants", 0, 0);
	ret = say_instants(b, err);
	if (ret == 0 && alone) {
		while (rig_now_ns() < b->first_ns - 1000000000LL)
			pause_ns(1000000); // the last ones come into force
		rig_kill_controller(b->rig);
	}
	while (ret == 0 && rig_now_ns() < b->first_ns + (INSTANTS + 5) * INSTANT_NS) {
		if (rig_now_ns() > b->first_ns - 300000000LL)
			send_pairs(b);
		rig_drain(b->rig);
		pause_ns(PAUSE_NS);
	}
	json_object_set_new(now, "instants", json_integer(INSTANTS));
	json_object_set_new(now, "seen", json_integer((json_int_t)b->n_seen));
	put_times(now, "late", b->late_us, b->n_seen);
	json_object_set_new(now, "early", json_integer((json_int_t)b->n_early));
	json_object_set_new(now, "mixed", json_integer((json_int_t)b->n_mixed));
	json_object_set_new(out, alone ? "instants_without_controller" : "instants", now);
	return ret;
}

json_t *bench_switch(const struct bench_opts *opts, struct err *err)
{
	struct bench *b = calloc(1, sizeof(*b));
	json_t *out = json_object();
	int ret = 0;

	if (b == NULL) {
		err_set(err, ENOMEM, "out of memory");
		json_decref(out);
		return NULL;
	}
	b->rig = rig_start(judge, b, err);
	if (b->rig == NULL)
		ret = -EIO;
	bench_progress("loading", 0, 0);
	if (ret == 0)
		ret = load(b, opts->file, out, err);
	if (ret == 0)
		ret = wait_until_settled(b, err);
	if (ret == 0)
		ret = changes(b, opts, out, err);
	if (ret == 0)
		ret = instants(b, false, out, err);
	if (ret == 0)
		ret = instants(b, true, out, err);
	json_object_set_new(out, "frames", json_integer((json_int_t)b->judged));
	json_object_set_new(out, "misjudged", json_integer((json_int_t)b->misjudged));
	json_object_set_new(out, "lost", json_integer((json_int_t)b->lost));
	json_object_set_new(out, "refused", json_integer((json_int_t)b->refused));
	rig_stop(b->rig);
	free(b->us);
	free(b);
	if (ret < 0) {
		json_decref(out);
		out = NULL;
	}
	return out;
}
