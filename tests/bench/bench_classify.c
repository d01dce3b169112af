// SPDX-License-Identifier: Apache-2.0
// `pane-bench classify`: what a lookup through the layers costs, against plain rte_acl with the same rows: merged, with
// a dead hot row, with rows spread over 8 categories, and while rows change. Times are the worker's own CPU time.
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <rte_acl.h>
#include <rte_rcu_qsbr.h>

#include "bench.h"
#include "bench_eal.h"
#include "bench_layers.h"
#include "dataplane/cls_acl.h"

#define CHECKED_MAX 2048 // packets compared with a linear scan
#define SPREAD 8         // categories

static uint64_t run_ns(const struct bench_opts *opts)
{
	return (uint64_t)(opts->seconds * 1e9 / 5);
}

// --- plain rte_acl: for rule sets a context of 5-tuples as l3fwd-acl has it, over the same keys; else ours

#define KEY(member) offsetof(struct pkt_key_ip4, member)

static const struct rte_acl_field_def five_tuple[] = {
	{.type = RTE_ACL_FIELD_TYPE_BITMASK, .size = 1, .field_index = 0, .input_index = 0, .offset = KEY(proto)},
	{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = 1, .input_index = 1, .offset = KEY(src_be)},
	{.type = RTE_ACL_FIELD_TYPE_MASK, .size = 4, .field_index = 2, .input_index = 2, .offset = KEY(dst_be)},
	{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = 3, .input_index = 3, .offset = KEY(sport_be)},
	{.type = RTE_ACL_FIELD_TYPE_RANGE, .size = 2, .field_index = 4, .input_index = 3, .offset = KEY(dport_be)},
};

RTE_ACL_RULE_DEF(plain_rule, RTE_DIM(five_tuple));

static void put_prefix(struct rte_acl_field *f, const struct span128 *span)
{
	uint32_t lo = (uint32_t)(span->lo >> 96), hi = (uint32_t)(span->hi >> 96);

	f->value.u32 = lo;
	f->mask_range.u32 = 32 - (uint32_t)__builtin_popcount(hi - lo);
}

static int add_plain(struct rte_acl_ctx *ctx, const struct bench_set *set, uint32_t idx)
{
	const struct box *box = &set->rows[idx].box;
	struct plain_rule rule = {
		.data = {.category_mask = 1, .priority = (int32_t)set->rows[idx].rank, .userdata = idx + 1}};
	bool any_proto = box->f[MATCH_PROTO].lo != box->f[MATCH_PROTO].hi;

	rule.field[0].value.u8 = any_proto ? 0 : (uint8_t)box->f[MATCH_PROTO].lo;
	rule.field[0].mask_range.u8 = any_proto ? 0 : 0xff;
	put_prefix(&rule.field[1], &box->src);
	put_prefix(&rule.field[2], &box->dst);
	for (int i = 0; i < 2; i++) {
		rule.field[3 + i].value.u16 = (uint16_t)box->f[MATCH_SRC_PORT + i].lo;
		rule.field[3 + i].mask_range.u16 = (uint16_t)box->f[MATCH_SRC_PORT + i].hi;
	}
	return rte_acl_add_rules(ctx, (const struct rte_acl_rule *)&rule, 1);
}

static struct rte_acl_ctx *plain_build(const struct bench_set *set, struct err *err)
{
	struct rte_acl_param param = {.name = "plain",
				      .socket_id = SOCKET_ID_ANY,
				      .max_rule_num = set->n_rows,
				      .rule_size = RTE_ACL_RULE_SZ(RTE_DIM(five_tuple))};
	struct rte_acl_config conf = {.num_categories = 1, .num_fields = RTE_DIM(five_tuple)};
	struct rte_acl_ctx *ctx = rte_acl_create(&param);
	int ret = ctx == NULL ? -ENOMEM : 0;

	memcpy(conf.defs, five_tuple, sizeof(five_tuple));
	for (uint32_t i = 0; i < set->n_rows && ret == 0; i++)
		ret = add_plain(ctx, set, i);
	if (ret == 0)
		ret = rte_acl_build(ctx, &conf);
	if (ret == 0 && rte_acl_set_ctx_classify(ctx, RTE_ACL_CLASSIFY_AVX512X32) < 0)
		rte_acl_set_ctx_classify(ctx, RTE_ACL_CLASSIFY_DEFAULT);
	if (ret < 0) {
		err_set(err, -ret, "plain rte_acl: %s", strerror(-ret));
		rte_acl_free(ctx);
		return NULL;
	}
	return ctx;
}

// The contexts a layer has: what is left without layers around them.
struct plain {
	struct rte_acl_ctx *own;
	const struct layer *layer; // borrowed
};

// --- timed loops, in the worker's thread

struct job {
	const struct bench_layers *b;
	const struct plain *plain; // NULL: through the layers
	const struct pkt *pkts;
	uint32_t n_pkts; // whole bursts are taken
	uint64_t for_ns;
	_Atomic bool *stop; // may end it earlier
	double ns_per_packet;
	uint64_t sum; // of results: they are wanted
};

static uint64_t run_layers(const struct job *job)
{
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX];
	const struct bench_layers *b = job->b;
	uint64_t sum = 0;

	for (uint32_t i = 0; i + PKT_BURST <= job->n_pkts; i += PKT_BURST) {
		const struct layers_view *view = bench_layers_view(b);

		layers_run(view, b->reader, job->pkts + i, PKT_BURST, out);
		sum += out[0];
		rte_rcu_qsbr_quiescent(b->rcu, 0);
	}
	return sum;
}

static uint64_t run_plain(const struct job *job)
{
	const struct plain *plain = job->plain;
	uint32_t out[PKT_BURST * CLS_PLANE];
	const uint8_t *key[PKT_BURST];
	uint64_t sum = 0;

	for (uint32_t i = 0; i + PKT_BURST <= job->n_pkts; i += PKT_BURST) {
		for (uint32_t k = 0; k < PKT_BURST; k++)
			key[k] = job->pkts[i + k].key;
		if (plain->own != NULL) {
			rte_acl_classify(plain->own, key, out, PKT_BURST, 1);
			sum += out[0];
			continue;
		}
		for (uint32_t p = 0; p * CLS_PLANE < plain->layer->n_categories; p++) {
			struct rte_acl_ctx *ctx = plain->layer->ctx[p][PKT_IP4];

			if (ctx != NULL)
				rte_acl_classify(ctx, key, out, PKT_BURST, plain->layer->plane_categories[p]);
			sum += out[0];
		}
	}
	return sum;
}

static void *run_job(void *arg)
{
	struct job *job = arg;
	uint64_t start_ns, end_ns, packets = 0;

	rte_rcu_qsbr_thread_online(job->b->rcu, 0);
	job->sum += job->plain != NULL ? run_plain(job) : run_layers(job); // warm
	start_ns = bench_thread_ns();
	do {
		job->sum += job->plain != NULL ? run_plain(job) : run_layers(job);
		packets += job->n_pkts / PKT_BURST * PKT_BURST;
		end_ns = bench_thread_ns();
	} while (end_ns - start_ns < job->for_ns && (job->stop == NULL || !atomic_load(job->stop)));
	rte_rcu_qsbr_thread_offline(job->b->rcu, 0);
	job->ns_per_packet = (double)(end_ns - start_ns) / (double)packets;
	return NULL;
}

static int measure(struct job *job, double *ns, struct err *err)
{
	int ret = bench_on_worker(run_job, job, err);

	*ns = job->ns_per_packet;
	return ret;
}

// --- alternating runs of two jobs

struct pair {
	const char *a_name, *b_name, *ratio_name; // ratio: b to a
};

static int compare(struct job *a, struct job *b, uint32_t repeat, const struct pair *names, json_t *out,
		   struct err *err)
{
	double *mem = calloc(3 * (size_t)repeat, sizeof(double));
	double *ns_a = mem, *ns_b = mem + repeat, *ratio = mem + 2 * (size_t)repeat;
	int ret = mem == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	for (uint32_t i = 0; i < repeat && ret == 0; i++) {
		bench_progress(names->a_name != NULL ? "run beside plain tables" : "run", i + 1, repeat);
		ret = measure(a, &ns_a[i], err);
		if (ret == 0)
			ret = measure(b, &ns_b[i], err);
		ratio[i] = ns_b[i] / ns_a[i];
	}
	if (ret == 0) {
		if (names->a_name != NULL)
			bench_spread(out, names->a_name, ns_a, repeat);
		if (names->b_name != NULL)
			bench_spread(out, names->b_name, ns_b, repeat);
		bench_spread(out, names->ratio_name, ratio, repeat);
	}
	free(mem);
	return ret;
}

// --- right?

// Rows of equal rank that overlap in a category say the same: any of them is right.
static bool is_right(const struct bench_layers *b, uint32_t slot, uint32_t best)
{
	if (best == 0 || slot == CLS_NO_ROW)
		return best == 0 && slot == CLS_NO_ROW;
	return slot == b->slot[best - 1] || layers_slot(b->l, slot)->rank == b->set->rows[best - 1].rank;
}

static void *check_packets(void *arg)
{
	struct job *job = arg;
	const struct bench_layers *b = job->b;
	const struct layers_view *view = bench_layers_view(b);
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX], best[CLS_CATEGORIES_MAX], n = view->n_categories;
	bool *gone = calloc(b->set->n_rows, sizeof(*gone));
	uint32_t step = job->n_pkts > CHECKED_MAX ? job->n_pkts / CHECKED_MAX : 1;

	for (uint32_t i = 0; gone != NULL && i < b->set->n_rows; i++)
		gone[i] = b->slot[i] == CLS_NO_ROW;
	rte_rcu_qsbr_thread_online(b->rcu, 0);
	for (uint32_t i = 0; gone != NULL && i + PKT_BURST <= job->n_pkts; i += PKT_BURST * step) {
		layers_run(view, b->reader, job->pkts + i, PKT_BURST, out);
		for (uint32_t k = 0; k < PKT_BURST; k++) {
			bench_set_find(b->set, &job->pkts[i + k], gone, n, best);
			for (uint32_t c = 0; c < n; c++)
				job->sum += !is_right(b, out[k * n + c], best[c]);
		}
	}
	rte_rcu_qsbr_thread_offline(b->rcu, 0);
	free(gone);
	return NULL;
}

static int check(const struct bench_layers *b, uint64_t *mismatches, struct err *err)
{
	struct job job = {.b = b, .pkts = b->set->pkts, .n_pkts = b->set->n_pkts};
	int ret = bench_on_worker(check_packets, &job, err);

	*mismatches += job.sum;
	return ret;
}

// --- merged

static int bench_merged(struct bench_layers *b, const struct bench_opts *opts, json_t *out, struct err *err)
{
	static const struct pair names = {"plain_ns", "ns_per_packet", "to_plain"},
				 same = {"own_contexts_ns", NULL, "to_own_contexts"};
	struct plain plain = {.layer = bench_layers_view(b)->layer[0]}, own = plain;
	struct job p = {.b = b,
			.plain = &plain,
			.pkts = b->set->pkts,
			.n_pkts = b->set->n_pkts,
			.for_ns = run_ns(opts)},
		   l = p, o = p;
	int ret;

	l.plain = NULL;
	o.plain = &own;
	if (b->set->is_rules) {
		plain.own = plain_build(b->set, err);
		if (plain.own == NULL)
			return -err->code;
	}
	ret = compare(&p, &l, opts->repeat, &names, out, err);
	if (ret == 0)
		ret = compare(&o, &l, opts->repeat, &same, out, err);
	rte_acl_free(plain.own);
	json_object_set_new(out, "mpps", json_real(1e3 / json_real_value(json_object_get(out, "ns_per_packet"))));
	return ret;
}

// --- a dead hot row

static uint32_t hottest_row(const struct bench_layers *b, uint32_t *hits)
{
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX], *row_of = calloc(LAYERS_SLOTS, sizeof(*row_of)), hot = 0;
	uint32_t *n = calloc(b->set->n_rows, sizeof(*n));
	const struct layers_view *view = bench_layers_view(b);

	for (uint32_t i = 0; i < b->set->n_rows && row_of != NULL; i++)
		row_of[b->slot[i]] = i + 1;
	for (uint32_t i = 0; i + PKT_BURST <= b->set->n_pkts && row_of != NULL && n != NULL; i += PKT_BURST) {
		layers_run(view, b->reader, b->set->pkts + i, PKT_BURST, out);
		for (uint32_t k = 0; k < PKT_BURST * view->n_categories; k++) {
			if (out[k] == CLS_NO_ROW)
				continue;
			if (b->set->rows[row_of[out[k]] - 1].access_category != CLS_NO_CATEGORY &&
			    ++n[row_of[out[k]] - 1] > n[hot])
				hot = row_of[out[k]] - 1;
		}
	}
	*hits = n == NULL ? 0 : n[hot];
	free(row_of);
	free(n);
	return hot;
}

// The packets whose answer the row is.
static uint32_t packets_of(const struct bench_layers *b, uint32_t row, struct pkt *pkts)
{
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX], n = 0;
	const struct layers_view *view = bench_layers_view(b);

	for (uint32_t i = 0; i + PKT_BURST <= b->set->n_pkts; i += PKT_BURST) {
		layers_run(view, b->reader, b->set->pkts + i, PKT_BURST, out);
		for (uint32_t k = 0; k < PKT_BURST; k++) {
			if (out[k * view->n_categories + b->set->rows[row].access_category] == b->slot[row])
				pkts[n++] = b->set->pkts[i + k];
		}
	}
	return n;
}

struct dead {
	const char *name;
	struct job job;
	double *alive, *dead;
};

// Alive, dead and alive again, as often as there are runs.
static int bench_dead(struct bench_layers *b, const struct bench_opts *opts, json_t *out, struct err *err)
{
	struct pkt *pkts = calloc(b->set->n_pkts + PKT_BURST, sizeof(*pkts)), one[PKT_BURST];
	struct job all = {.b = b, .pkts = b->set->pkts, .n_pkts = b->set->n_pkts, .for_ns = run_ns(opts)}, row = all,
		   flow = all;
	struct dead what[] = {
		{"dead_flow", flow, NULL, NULL}, {"dead_row", row, NULL, NULL}, {"dead_trace", all, NULL, NULL}};
	uint32_t hits, hot = hottest_row(b, &hits), n_of = pkts == NULL ? 0 : packets_of(b, hot, pkts);
	double *mem = calloc(6 * (size_t)opts->repeat, sizeof(*mem));
	int ret = mem == NULL || pkts == NULL ? err_set(err, ENOMEM, "out of memory") : 0;

	if (ret == 0 && n_of == 0)
		ret = err_set(err, EINVAL, "no packet meets a row with an access");
	for (uint32_t k = 0; k < PKT_BURST && ret == 0; k++) {
		one[k] = pkts[0];
		pkts[n_of + k] = pkts[k % n_of];
	}
	what[0].job.pkts = one;
	what[0].job.n_pkts = PKT_BURST;
	what[1].job.pkts = pkts;
	what[1].job.n_pkts = (n_of + PKT_BURST - 1) / PKT_BURST * PKT_BURST;
	for (uint32_t i = 0; i < opts->repeat && ret == 0; i++) {
		bench_progress("run with a dead row", i + 1, opts->repeat);
		for (size_t w = 0; w < RTE_DIM(what) && ret == 0; w++)
			ret = measure(&what[w].job, &mem[2 * w * opts->repeat + i], err);
		if (ret == 0)
			ret = bench_layers_change(b, hot, err);
		for (size_t w = 0; w < RTE_DIM(what) && ret == 0; w++)
			ret = measure(&what[w].job, &mem[(2 * w + 1) * opts->repeat + i], err);
		if (ret == 0)
			ret = bench_layers_change(b, hot, err);
		if (ret == 0)
			ret = bench_layers_merge(b, err);
	}
	for (size_t w = 0; w < RTE_DIM(what) && ret == 0; w++) {
		double *alive = &mem[2 * w * opts->repeat], *dead = alive + opts->repeat;
		char name[48];

		snprintf(name, sizeof(name), "%s_ns", what[w].name);
		for (uint32_t i = 0; i < opts->repeat; i++)
			alive[i] = dead[i] / alive[i];
		bench_spread(out, name, dead, opts->repeat);
		snprintf(name, sizeof(name), "%s_ratio", what[w].name);
		bench_spread(out, name, alive, opts->repeat);
	}
	json_object_set_new(out, "dead_row_packets", json_integer(hits));
	free(mem);
	free(pkts);
	return ret;
}

// --- while rows change

struct changer {
	struct bench_layers *b;
	uint64_t n, layers, array_rows; // sums over the changes
	uint64_t rnd;
	_Atomic bool stop;
};

static void wait_until(struct bench_layers *b, uint64_t due_ns)
{
	struct pollfd fd = {.fd = layers_fd(b->l), .events = POLLIN};
	uint64_t now_ns;

	while ((now_ns = bench_now_ns()) < due_ns) {
		int64_t next_ns = layers_next_ns(b->l);
		uint64_t until_ns = next_ns < (int64_t)due_ns ? (uint64_t)next_ns : due_ns;
		struct timespec ts = {.tv_nsec = until_ns > now_ns ? (long)(until_ns - now_ns) % 1000000000 : 0};

		ppoll(&fd, 1, &ts, NULL);
		bench_layers_poll(b);
	}
}

// A tenth of the rows is out at the beginning; then one comes in and one goes out, in turn.
static int hold_out(struct changer *c, struct err *err)
{
	int ret = 0;

	for (uint32_t i = 0; i < c->b->set->n_rows && ret == 0; i += 10)
		ret = bench_layers_change(c->b, i, err);
	return ret == 0 ? bench_layers_merge(c->b, err) : ret;
}

static int change_one(struct changer *c, bool in, struct err *err)
{
	uint32_t n = c->b->set->n_rows, row = (uint32_t)(bench_random(&c->rnd) % n);
	struct layers_stats stats;

	layers_stats(c->b->l, &stats);
	c->n++;
	c->layers += stats.n_layers;
	c->array_rows += stats.n_array_rows;
	while ((c->b->slot[row] == CLS_NO_ROW) != in)
		row = (row + 1) % n;
	return bench_layers_change(c->b, row, err);
}

struct running {
	pthread_t thread;
	struct job job;
	_Atomic bool stop;
};

static void *run_on_cpu(void *arg)
{
	bench_to_worker_cpu();
	return run_job(arg);
}

static int run_changes(struct changer *c, const struct bench_opts *opts, double *ns, double *rate, struct err *err)
{
	struct running r = {
		.job = {.b = c->b, .pkts = c->b->set->pkts, .n_pkts = c->b->set->n_pkts, .for_ns = UINT64_MAX}};
	uint64_t start_ns, due_ns, step_ns = 1000000000 / opts->rate, n = 0;
	int ret = 0;

	r.job.stop = &r.stop;
	if (pthread_create(&r.thread, NULL, run_on_cpu, &r.job) != 0)
		return err_set(err, EAGAIN, "no thread for a worker");
	start_ns = due_ns = bench_now_ns();
	while (bench_now_ns() - start_ns < (uint64_t)(opts->seconds * 1e9) && ret == 0) {
		due_ns += step_ns;
		wait_until(c->b, due_ns);
		ret = change_one(c, n++ % 2 == 0, err);
	}
	*rate = (double)n * 1e9 / (double)(bench_now_ns() - start_ns);
	atomic_store(&r.stop, true);
	pthread_join(r.thread, NULL);
	*ns = r.job.ns_per_packet;
	return ret;
}

static int bench_changes(const struct bench_set *set, const struct bench_opts *opts, uint64_t *mismatches, json_t *out,
			 struct err *err)
{
	struct bench_layers b;
	struct changer c = {.b = &b, .rnd = 7};
	double *mem = calloc(4 * (size_t)opts->repeat, sizeof(*mem));
	double *idle = mem, *busy = mem + opts->repeat, *kept = busy + opts->repeat, *rate = kept + opts->repeat;
	struct job job = {.b = &b, .pkts = set->pkts, .n_pkts = set->n_pkts, .for_ns = run_ns(opts)};
	int ret = mem == NULL ? err_set(err, ENOMEM, "out of memory") : bench_layers_open(&b, set, false, err);

	if (ret == 0)
		ret = hold_out(&c, err);
	for (uint32_t i = 0; i < opts->repeat && ret == 0; i++) {
		bench_progress("run with changes", i + 1, opts->repeat);
		ret = measure(&job, &idle[i], err);
		if (ret == 0)
			ret = run_changes(&c, opts, &busy[i], &rate[i], err);
		if (ret == 0 && i == 0)
			ret = check(&b, mismatches, err); // with arrays, layers and dead rows
		if (ret == 0)
			ret = bench_layers_merge(&b, err);
		kept[i] = idle[i] / busy[i];
	}
	if (ret == 0) {
		bench_spread(out, "changing_idle_ns", idle, opts->repeat);
		bench_spread(out, "changing_ns", busy, opts->repeat);
		bench_spread(out, "changing_kept", kept, opts->repeat);
		bench_spread(out, "changes_per_s", rate, opts->repeat);
		json_object_set_new(out, "changing_layers", json_real((double)c.layers / (double)c.n));
		json_object_set_new(out, "changing_array_rows", json_real((double)c.array_rows / (double)c.n));
	}
	bench_layers_close(&b);
	free(mem);
	return ret;
}

// --- one category against eight

static int bench_categories(struct bench_layers *one, const struct bench_opts *opts, json_t *out, struct err *err)
{
	static const struct pair names = {NULL, "categories_8_ns", "categories_8_to_1"};
	struct bench_set set = *one->set;
	struct bench_layers b = {0};
	struct job a = {.b = one, .pkts = set.pkts, .n_pkts = set.n_pkts, .for_ns = run_ns(opts)}, j = a;
	int ret;

	set.rows = malloc(set.n_rows * sizeof(*set.rows));
	if (set.rows == NULL)
		return err_set(err, ENOMEM, "out of memory");
	memcpy(set.rows, one->set->rows, set.n_rows * sizeof(*set.rows));
	for (uint32_t i = 0; i < set.n_rows; i++)
		set.rows[i].access_category = (uint8_t)(i % SPREAD);
	ret = bench_layers_open(&b, &set, true, err);
	j.b = &b;
	if (ret == 0)
		ret = compare(&a, &j, opts->repeat, &names, out, err);
	bench_layers_close(&b);
	free(set.rows);
	return ret;
}

static int bench_all(const struct bench_set *set, const struct bench_opts *opts, json_t *out, struct err *err)
{
	struct bench_layers b;
	uint64_t mismatches = 0;
	int ret = bench_layers_open(&b, set, true, err);

	if (ret == 0)
		ret = check(&b, &mismatches, err);
	if (ret == 0)
		ret = bench_merged(&b, opts, out, err);
	if (ret == 0)
		ret = bench_dead(&b, opts, out, err);
	if (ret == 0 && set->is_rules)
		ret = bench_categories(&b, opts, out, err);
	bench_layers_close(&b);
	if (ret == 0)
		ret = bench_changes(set, opts, &mismatches, out, err);
	json_object_set_new(out, "mismatches", json_integer((json_int_t)mismatches));
	return ret;
}

json_t *bench_classify(const struct bench_opts *opts, struct err *err)
{
	json_t *out = json_object();
	struct bench_set set = {0};
	int ret = bench_eal_start(err);

	if (ret == 0)
		ret = bench_set_load(opts->file, opts->flows, &set, err);
	if (ret == 0) {
		json_object_set_new(out, "rows", json_integer(set.n_rows));
		json_object_set_new(out, "packets", json_integer(set.n_pkts));
		ret = bench_all(&set, opts, out, err);
	}
	if (ret < 0) {
		json_decref(out);
		out = NULL;
	}
	bench_set_free(&set);
	return out;
}
