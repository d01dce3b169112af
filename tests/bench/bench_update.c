// SPDX-License-Identifier: Apache-2.0
// `pane-bench update`: from a statement to the first burst of packets that obeys it, over the policy of a command
// script, while a worker classifies 64-byte packets all the time. One process: statement, admission, rows, the link's
// messages in bytes and back, layers, publication, worker; without sockets and journal.
// Each change denies one of FLOWS flows or ends that. The worker compares the verdict of every packet with what the
// policy of just the generation that it looks rows up in says.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_malloc.h>
#include <rte_rcu_qsbr.h>

#include "bench.h"
#include "bench_eal.h"
#include "bench_set.h"
#include "control/engine.h"
#include "control/part_book.h"
#include "control/state.h"
#include "dataplane/layers.h"

#define FLOWS 4096
#define VIEWS 65536 // in a ring: an older one is not in use any more
#define BURST_CHANGES 10000

struct seen { // by the worker: the first burst under a generation
	uint64_t gen, at_ns;
};

struct update {
	struct bench_policy policy;
	struct link_state want;
	struct part_book *book;
	struct rte_rcu_qsbr *rcu;
	struct layers *l;
	struct layers_reader *reader;
	struct layers_batch *batch; // being filled
	struct id_map slots;        // by row key
	struct layers_view *views;
	uint64_t n_views;
	_Atomic(struct layers_view *) live;
	uint64_t request[FLOWS];      // that denies it, 0: none
	_Atomic uint64_t last[FLOWS]; // generation of its last change * 2 + denied since
	struct pkt pkts[FLOWS];
	struct err *err; // of a message's handling
	int ret;
	// the worker
	_Atomic bool stop;
	struct seen *seen;
	_Atomic uint64_t n_seen;
	uint64_t cap_seen, packets, misjudged, cpu_ns;
};

// --- the dataplane's end of the link

static void add_row(struct update *u, const struct part_row *row)
{
	struct cls_row out = {
		.box = row->box,
		.rank = part_row_rank(row),
		.access_category = row->access_category,
		.meter_category = row->meter_category,
		.hides = row->part == PART_SHARE,
		.payload = {.id = row->id, .node = row->node, .part = row->part, .access = row->access},
	};
	uint32_t slot = layers_batch_add(u->batch, &out, u->err);

	if (slot == CLS_NO_ROW || id_map_put(&u->slots, part_row_key(row), (void *)(uintptr_t)slot) < 0)
		u->ret = -ENOMEM;
}

static void del_row(struct update *u, uint64_t key)
{
	void *slot = id_map_take(&u->slots, key);

	if (slot != NULL && layers_batch_del(u->batch, (uint32_t)(uintptr_t)slot, u->err) < 0)
		u->ret = -ENOMEM;
}

// Through bytes, as over the socket.
static void stage(void *ctx, const struct proto_msg *msg)
{
	struct update *u = ctx;
	uint8_t frame[PROTO_FRAME_MAX];
	struct proto_msg got;
	size_t len = proto_encode(msg, frame);

	if (u->ret == 0)
		u->ret = proto_decode(frame, len, &got, u->err) == (int)len ? 0 : -EPROTO;
	if (u->ret == 0 && got.type == PROTO_ROW_ADD)
		add_row(u, &got.row);
	else if (u->ret == 0 && got.type == PROTO_ROW_DEL)
		del_row(u, got.row_key);
}

static void publish(struct update *u, const struct layers_view *view)
{
	struct layers_view *next = &u->views[u->n_views++ % VIEWS];

	*next = *view;
	atomic_store_explicit(&u->live, next, memory_order_release);
}

static void keep_house(struct update *u)
{
	struct layers_view view;

	if (layers_poll(u->l, (int64_t)bench_now_ns())) {
		layers_view(u->l, &view);
		publish(u, &view);
	}
}

static void wait_until(struct update *u, uint64_t due_ns)
{
	struct pollfd fd = {.fd = layers_fd(u->l), .events = POLLIN};
	uint64_t now_ns;

	while ((now_ns = bench_now_ns()) < due_ns) {
		int64_t next_ns = layers_next_ns(u->l);
		uint64_t until_ns = next_ns < (int64_t)due_ns ? (uint64_t)next_ns : due_ns;
		struct timespec ts = {.tv_nsec = until_ns > now_ns ? (long)((until_ns - now_ns) % 1000000000) : 0};

		ppoll(&fd, 1, &ts, NULL);
		keep_house(u);
	}
}

// --- the controller

static int follow(struct update *u, int64_t now_ns, struct err *err)
{
	const struct state *s = engine_state(u->policy.engine);
	struct delta delta;
	int ret = 0;

	engine_changes(u->policy.engine, &delta);
	for (size_t i = 0; i < delta.n_requests && ret == 0; i++)
		ret = part_book_request(u->book, s, delta.requests[i], now_ns, err);
	if (delta.all) {
		for (const struct request *q = request_from(&s->requests, 0); q != NULL && ret == 0;
		     q = request_from(&s->requests, q->id + 1))
			ret = part_book_request(u->book, s, q->id, now_ns, err);
	}
	delta_fini(&delta);
	return ret;
}

// What has changed comes into force as one generation. How often there was no room at first: *waited.
static int commit(struct update *u, uint32_t flow, bool deny, uint64_t *gen, uint64_t *waited, struct err *err)
{
	struct link_diff_stats stats = {0};
	struct layers_view view;
	int ret;

	u->batch = layers_batch_create(u->l);
	u->err = err;
	u->ret = u->batch == NULL ? err_set(err, ENOMEM, "out of memory") : 0;
	if (u->ret == 0)
		link_state_diff(&u->want, 0, stage, u, &stats);
	ret = u->ret;
	while (ret == 0 && (ret = layers_batch_prepare(u->batch, err)) == -EAGAIN) {
		(*waited)++;
		wait_until(u, bench_now_ns() + 20000); // the builders may need this core
		keep_house(u);
		ret = 0;
	}
	layers_view(u->l, &view);
	*gen = view.gen + 1;
	if (ret == 0 && flow < FLOWS) // before it can be seen
		atomic_store_explicit(&u->last[flow], *gen << 1 | deny, memory_order_relaxed);
	if (ret == 0)
		ret = layers_commit(u->l, u->batch, &view, err);
	if (ret == 0)
		publish(u, &view);
	else
		layers_batch_destroy(u->batch);
	return ret;
}

static void flow_addresses(uint32_t flow, uint32_t *src, uint32_t *dst)
{
	*src = 0xac100000 + flow;
	*dst = 0xac110000 + flow * 7 % FLOWS;
}

static int say(struct update *u, uint32_t flow, bool deny, struct err *err)
{
	static const struct principal root = {.user = "root"};
	uint32_t src, dst;
	struct reply reply;
	char text[160];
	int len, ret = 0;

	flow_addresses(flow, &src, &dst);
	if (deny)
		len = snprintf(
			text, sizeof(text),
			"deny(transport=UDP, srcHost=172.16.%u.%u, dstHost=172.17.%u.%u, dstPort=9) on rootShare.",
			src >> 8 & 255, src & 255, dst >> 8 & 255, dst & 255);
	else
		len = snprintf(text, sizeof(text), "cancel %llu.", (unsigned long long)u->request[flow]);
	reply_init(&reply);
	engine_exec(u->policy.engine, &root, text, (size_t)len, 0, &reply);
	if (reply.code != REPLY_OK) {
		char *answer = reply_render_json(&reply);

		ret = err_set(err, EINVAL, "%s: %s", text, answer != NULL ? answer : "refused");
		free(answer);
	}
	u->request[flow] = !deny ? 0 : (uint64_t)json_integer_value(json_object_get(reply.body, "id"));
	reply_fini(&reply);
	return ret;
}

struct timed {
	uint64_t asked_ns, gen;
	uint64_t cpu_ns; // of the link thread, until it was published
};

static int change(struct update *u, uint32_t flow, struct timed *t, uint64_t *waited, struct err *err)
{
	uint64_t start_ns = bench_thread_ns();
	bool deny = u->request[flow] == 0;
	int ret = say(u, flow, deny, err);

	if (ret == 0)
		ret = follow(u, 0, err);
	if (ret == 0)
		ret = commit(u, flow, deny, &t->gen, waited, err);
	t->cpu_ns = bench_thread_ns() - start_ns;
	return ret;
}

// --- the worker

static bool is_dropped(const struct update *u, const uint32_t *out, uint32_t n)
{
	for (uint32_t c = 0; c < n; c++) {
		if (out[c] != CLS_NO_ROW && layers_slot(u->l, out[c])->payload.access == ACCESS_DENY)
			return true; // no allow is below it: those of the script are about others
	}
	return false;
}

static void judge(struct update *u, const struct layers_view *view, uint32_t flow, const uint32_t *out)
{
	uint64_t last = atomic_load_explicit(&u->last[flow], memory_order_relaxed);
	bool denied = (last & 1) != 0;

	if (view->gen < last >> 1) // that change is still to come
		denied = !denied;
	u->misjudged += is_dropped(u, out, view->n_categories) != denied;
	u->packets++;
}

static void *work(void *arg)
{
	struct update *u = arg;
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX], at = 0;
	uint64_t gen = 0, n = 0;

	bench_to_worker_cpu();
	rte_rcu_qsbr_thread_online(u->rcu, 0);
	while (!atomic_load_explicit(&u->stop, memory_order_relaxed)) {
		const struct layers_view *view = atomic_load_explicit(&u->live, memory_order_acquire);

		if (view->gen != gen && n < u->cap_seen) {
			gen = view->gen;
			u->seen[n] = (struct seen){gen, bench_now_ns()};
			atomic_store_explicit(&u->n_seen, ++n, memory_order_release);
		}
		layers_run(view, u->reader, u->pkts + at, PKT_BURST, out);
		for (uint32_t i = 0; i < PKT_BURST; i++)
			judge(u, view, at + i, out + (size_t)i * view->n_categories);
		at = (at + PKT_BURST) % FLOWS;
		rte_rcu_qsbr_quiescent(u->rcu, 0);
	}
	rte_rcu_qsbr_thread_offline(u->rcu, 0);
	u->cpu_ns = bench_thread_ns();
	return NULL;
}

// --- runs

static void put_quantiles(double *us, uint64_t n, const char *prefix, json_t *out)
{
	static const struct {
		const char *name;
		double q;
	} quantiles[] = {{"p50_us", 0.5}, {"p99_us", 0.99}, {"max_us", 1}};

	for (size_t i = 0; i < sizeof(quantiles) / sizeof(quantiles[0]); i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%s", prefix, quantiles[i].name);
		json_object_set_new(out, name, json_real(bench_quantile(us, n, quantiles[i].q)));
	}
}

// Latencies of changes[0..n): from the statement to the worker's first burst of its generation or a later one, and how
// long the link thread had the CPU for it, which others on the machine do not lengthen.
static void report(const struct update *u, const struct timed *changes, uint64_t n, const char *prefix, json_t *out)
{
	uint64_t n_seen = atomic_load(&u->n_seen), k = 0, n_us = 0;
	double *us = calloc(n + 1, sizeof(*us));
	char cpu[32];

	for (uint64_t i = 0; i < n && us != NULL; i++) {
		while (k < n_seen && u->seen[k].gen < changes[i].gen)
			k++;
		if (k < n_seen)
			us[n_us++] = (double)(u->seen[k].at_ns - changes[i].asked_ns) / 1e3;
	}
	put_quantiles(us, n_us, prefix, out);
	for (uint64_t i = 0; i < n && us != NULL; i++)
		us[i] = (double)changes[i].cpu_ns / 1e3;
	snprintf(cpu, sizeof(cpu), "%scpu_", prefix);
	put_quantiles(us, us == NULL ? 0 : n, cpu, out);
	free(us);
}

// Steadily, `rate` a second; a change that is late counts from when it was due.
static int run_steady(struct update *u, const struct bench_opts *opts, struct timed *changes, uint64_t cap, json_t *out,
		      struct err *err)
{
	uint64_t start_ns = bench_now_ns(), due_ns = start_ns, n = 0, waited = 0;
	int ret = 0;

	for (; n < cap && ret == 0; n++) {
		due_ns += 1000000000 / opts->rate;
		wait_until(u, due_ns);
		changes[n].asked_ns = due_ns;
		ret = change(u, (uint32_t)(n % FLOWS), &changes[n], &waited, err);
		if (n % 16 == 0)
			keep_house(u);
	}
	json_object_set_new(out, "changes", json_integer((json_int_t)n));
	json_object_set_new(out, "changes_per_s", json_real((double)n * 1e9 / (double)(bench_now_ns() - start_ns)));
	json_object_set_new(out, "waited_for_room", json_integer((json_int_t)waited));
	return ret;
}

static int run_burst(struct update *u, struct timed *changes, uint64_t *waited, struct err *err)
{
	uint64_t start_ns = bench_now_ns();
	int ret = 0;

	for (uint64_t n = 0; n < BURST_CHANGES && ret == 0; n++) {
		changes[n].asked_ns = start_ns;
		ret = change(u, (uint32_t)(n % FLOWS), &changes[n], waited, err);
		if (n % 16 == 0)
			keep_house(u);
	}
	return ret;
}

static int run(struct update *u, const struct bench_opts *opts, json_t *out, struct err *err)
{
	uint64_t n = (uint64_t)(opts->seconds * opts->rate), burst_waited = 0;
	struct timed *changes = calloc(n + BURST_CHANGES, sizeof(*changes));
	struct layers_stats stats;
	pthread_t thread;
	int ret = 0;

	u->cap_seen = 4 * (n + BURST_CHANGES) + 1024;
	u->seen = calloc(u->cap_seen, sizeof(*u->seen));
	if (changes == NULL || u->seen == NULL)
		ret = err_set(err, ENOMEM, "out of memory");
	else if (pthread_create(&thread, NULL, work, u) != 0)
		ret = err_set(err, EAGAIN, "no thread for a worker");
	if (ret < 0) {
		free(changes);
		return ret;
	}
	bench_progress("changes one by one", 0, 0);
	ret = run_steady(u, opts, changes, n, out, err);
	bench_progress("changes as fast as they go", 0, 0);
	if (ret == 0)
		ret = run_burst(u, changes + n, &burst_waited, err);
	wait_until(u, bench_now_ns() + 10000000);
	atomic_store(&u->stop, true);
	pthread_join(thread, NULL);
	if (ret == 0) {
		report(u, changes, n, "", out);
		report(u, changes + n, BURST_CHANGES, "burst_", out);
		layers_stats(u->l, &stats);
		json_object_set_new(out, "burst_waited_for_room", json_integer((json_int_t)burst_waited));
		json_object_set_new(out, "packets", json_integer((json_int_t)u->packets));
		json_object_set_new(out, "misjudged", json_integer((json_int_t)u->misjudged));
		json_object_set_new(out, "lost", json_integer(0)); // there is no port: each packet is judged
		json_object_set_new(out, "ns_per_packet", json_real((double)u->cpu_ns / (double)u->packets));
		json_object_set_new(out, "merges", json_integer((json_int_t)stats.merges));
	}
	free(changes);
	return ret;
}

// --- set-up

static void make_packets(struct update *u)
{
	for (uint32_t i = 0; i < FLOWS; i++) {
		struct pkt *pkt = &u->pkts[i];
		uint32_t src, dst;

		flow_addresses(i, &src, &dst);
		*pkt = (struct pkt){.len_bytes = 64, .verdict = PKT_OK, .family = PKT_IP4};
		pkt->ip4 = (struct pkt_key_ip4){
			.proto = 17,
			.src_be = rte_cpu_to_be_32(src),
			.dst_be = rte_cpu_to_be_32(dst),
			.sport_be = rte_cpu_to_be_16(1024),
			.dport_be = rte_cpu_to_be_16(9),
			.has_ports = 1,
		};
	}
}

static int open_layers(struct update *u, struct err *err)
{
	struct layers_conf conf = {.simd_max_bits = 512};

	u->rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE);
	u->views = calloc(VIEWS, sizeof(*u->views));
	if (u->rcu == NULL || u->views == NULL)
		return err_set(err, ENOMEM, "out of memory");
	rte_rcu_qsbr_init(u->rcu, 1);
	rte_rcu_qsbr_thread_register(u->rcu, 0);
	conf.rcu = u->rcu;
	u->l = layers_create(&conf, err);
	if (u->l == NULL)
		return -err->code;
	u->reader = layers_reader_create(u->l);
	return u->reader == NULL ? err_set(err, ENOMEM, "out of memory") : 0;
}

// The script's policy, merged.
static int load(struct update *u, const struct bench_opts *opts, json_t *out, struct err *err)
{
	uint64_t gen, waited = 0;
	struct layers_stats stats;
	int ret = bench_policy_load(opts->file, &u->policy, err);

	link_state_init(&u->want);
	if (ret == 0) {
		u->book = part_book_create(&u->want);
		ret = u->book == NULL ? err_set(err, ENOMEM, "out of memory") : open_layers(u, err);
	}
	if (ret == 0)
		ret = follow(u, 0, err);
	if (ret == 0)
		ret = commit(u, FLOWS, false, &gen, &waited, err);
	for (uint32_t i = 0; ret == 0 && layers_merge_all(u->l) && i < 1000000; i++) {
		wait_until(u, bench_now_ns() + 100000);
		keep_house(u);
	}
	if (ret == 0) {
		layers_stats(u->l, &stats);
		json_object_set_new(out, "atoms", json_integer((json_int_t)engine_n_requests(u->policy.engine)));
		json_object_set_new(out, "rows", json_integer(stats.n_rows));
	}
	return ret;
}

static void update_close(struct update *u)
{
	layers_destroy(u->l);
	layers_reader_destroy(u->reader);
	rte_free(u->rcu);
	part_book_destroy(u->book);
	link_state_fini(&u->want);
	id_map_fini(&u->slots);
	bench_policy_free(&u->policy);
	free(u->views);
	free(u->seen);
	free(u);
}

json_t *bench_update(const struct bench_opts *opts, struct err *err)
{
	struct update *u = calloc(1, sizeof(*u));
	json_t *out = json_object();
	int ret = u == NULL ? err_set(err, ENOMEM, "out of memory") : bench_eal_start(err);

	if (ret == 0) {
		make_packets(u);
		ret = load(u, opts, out, err);
	}
	if (ret == 0)
		ret = run(u, opts, out, err);
	if (ret < 0) {
		json_decref(out);
		out = NULL;
	}
	if (u != NULL)
		update_close(u);
	return out;
}
