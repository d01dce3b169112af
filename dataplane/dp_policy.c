// SPDX-License-Identifier: Apache-2.0
#include "dp_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "dp_log.h"

#define NS_PER_MS 1000000LL
#define QUIET_NS (5 * NS_PER_MS)    // without commits, before preparing: the next commit would throw it away
#define NEAR_NS (10000 * NS_PER_MS) // boundaries farther ahead are not prepared yet
#define URGENT_NS (50 * NS_PER_MS)  // so near that commits do not count
#define RETRY_NS (1000 * NS_PER_MS) // after a failed build

struct meter;

struct dp_policy {
	struct table *table;
	struct snapshot_slot *slot;
	struct sched_slots *slots;
	uint32_t simd_max_bits, gen; // gen: last one given out
	int64_t now_ns, commit_ns;   // last instant seen; last commit
	int64_t boundary_ns;         // next instant at which the policy changes by itself, INT64_MAX: never
	int64_t prepare_ns;          // when to build ready, INT64_MAX: it is there or there is no need
	struct snapshot *ready;      // for boundary_ns; NULL: not yet
	struct meter *meters;        // that the workers have
	uint32_t n_meters, n_meters_max, n_rounds;
};

struct meter {
	uint64_t id;
	uint32_t round;    // of syncing that last saw it in the table
	uint32_t last_gen; // last snapshot that may name it, UINT32_MAX: one to come
};

static void see(struct dp_policy *p, int64_t now_ns)
{
	if (now_ns > p->now_ns)
		p->now_ns = now_ns;
}

// rte_acl's first build in a process takes some ms more than the others.
static int warm_up(struct dp_policy *p, struct err *err)
{
	struct row row = {.box = box_any(), .rank = 1, .action = {.access = ACCESS_DENY}};
	const struct row *rows = &row;
	struct cls_verdict verdict = {.drop = 1, .has_row = 1};
	struct cls *cls = cls_build(&rows, &verdict, 1, ++p->gen, p->simd_max_bits, err);

	cls_destroy(cls);
	return cls == NULL ? -1 : 0;
}

struct dp_policy *dp_policy_create(struct table *table, struct snapshot_slot *slot, struct sched_log *log,
				   uint32_t simd_max_bits, struct err *err)
{
	struct dp_policy *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		err_set(err, ENOMEM, "no memory for the policy");
		return NULL;
	}
	p->table = table;
	p->slot = slot;
	p->simd_max_bits = simd_max_bits;
	p->now_ns = INT64_MIN;
	p->boundary_ns = INT64_MAX;
	p->prepare_ns = INT64_MAX;
	p->slots = sched_slots_create(log, err);
	if (p->slots == NULL || warm_up(p, err) < 0) {
		dp_policy_destroy(p);
		p = NULL;
	}
	return p;
}

void dp_policy_destroy(struct dp_policy *p)
{
	if (p == NULL)
		return;
	snapshot_destroy(p->ready);
	sched_slots_destroy(p->slots);
	free(p->meters);
	free(p);
}

static int compare_ids(const void *a, const void *b)
{
	const struct meter *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

struct sync {
	struct dp_policy *p;
	struct err *err;
	uint32_t n_known; // meters of earlier rounds come first, sorted
	int ret;
};

static void sync_meter(void *ctx, const struct proto_meter *meter)
{
	struct sync *sync = ctx;
	struct dp_policy *p = sync->p;
	struct meter key = {.id = meter->id, .round = p->n_rounds}, *known;
	int64_t slot;

	if (sync->ret < 0)
		return;
	slot = sched_slots_meter_set(p->slots, meter->id, meter->kind == PROTO_METER_LIMIT, meter->rate_bps, sync->err);
	if (slot < 0) {
		sync->ret = (int)slot;
		return;
	}
	known = bsearch(&key, p->meters, sync->n_known, sizeof(key), compare_ids);
	if (known == NULL)
		known = &p->meters[p->n_meters++];
	known->id = meter->id;
	known->round = p->n_rounds;
}

// The workers get the table's meters before any row that names them. Those that the table no longer has stay until
// forget_meters.
static int sync_meters(struct dp_policy *p, struct err *err)
{
	struct sync sync = {.p = p, .err = err, .n_known = p->n_meters};
	struct table_stats stats;
	uint32_t n;

	table_stats(p->table, &stats);
	n = p->n_meters + stats.n_meters;
	if (n > p->n_meters_max) {
		struct meter *more = realloc(p->meters, n * sizeof(*more));

		if (more == NULL)
			return err_set(err, ENOMEM, "no memory for %u reservations and limits", n);
		p->meters = more;
		p->n_meters_max = n;
	}
	p->n_rounds++;
	table_each_meter(p->table, sync_meter, &sync);
	if (p->n_meters > 0) // the array is not there before
		qsort(p->meters, p->n_meters, sizeof(*p->meters), compare_ids);
	for (uint32_t i = 0; i < p->n_meters; i++) {
		struct meter *m = &p->meters[i];

		if (m->round == p->n_rounds)
			m->last_gen = UINT32_MAX;
		else if (m->last_gen == UINT32_MAX)
			m->last_gen = p->gen;
	}
	return sync.ret;
}

// Takes away what no packet can meet any more.
static void forget_meters(struct dp_policy *p)
{
	uint32_t oldest = snapshot_oldest_gen(p->slot), n = 0;
	struct err err;

	for (uint32_t i = 0; i < p->n_meters; i++) {
		const struct meter *m = &p->meters[i];

		if (m->last_gen >= oldest || sched_slots_meter_del(p->slots, m->id, &err) < 0)
			p->meters[n++] = *m;
	}
	p->n_meters = n;
}

static struct snapshot *build_at(struct dp_policy *p, int64_t at_ns, struct err *err)
{
	const struct row **rows = NULL;
	struct snapshot_input in = {.simd_max_bits = p->simd_max_bits};
	struct snapshot *s = NULL;

	if (table_rows(p->table, at_ns, at_ns, &rows, &in.n_rows) < 0) {
		err_set(err, ENOMEM, "no memory for a snapshot");
	} else {
		in.rows = rows;
		in.gen = ++p->gen;
		s = snapshot_build(&in, p->slots, err);
	}
	free(rows);
	return s;
}

static void forget_ready(struct dp_policy *p)
{
	snapshot_destroy(p->ready);
	p->ready = NULL;
}

// Looks for the next boundary and when to prepare it.
static void look_ahead(struct dp_policy *p)
{
	forget_ready(p);
	p->boundary_ns = table_next_ns(p->table, p->now_ns);
	p->prepare_ns = INT64_MAX;
	if (p->boundary_ns == INT64_MAX)
		return;
	p->prepare_ns = p->commit_ns + QUIET_NS;
	if (p->prepare_ns > p->boundary_ns - URGENT_NS)
		p->prepare_ns = p->boundary_ns - URGENT_NS;
	if (p->prepare_ns < p->boundary_ns - NEAR_NS)
		p->prepare_ns = p->boundary_ns - NEAR_NS;
}

uint32_t dp_policy_commit(struct dp_policy *p, int64_t now_ns, struct err *err)
{
	struct snapshot *next;

	see(p, now_ns);
	next = sync_meters(p, err) < 0 ? NULL : build_at(p, p->now_ns, err);
	if (next == NULL)
		return 0;
	snapshot_publish(p->slot, next);
	p->commit_ns = p->now_ns;
	look_ahead(p);
	return next->gen;
}

static void cross_boundary(struct dp_policy *p)
{
	struct snapshot *next = p->ready;
	struct err err;

	p->ready = NULL;
	// Late by another boundary: what was prepared is over already.
	if (next != NULL && table_next_ns(p->table, p->boundary_ns) <= p->now_ns) {
		snapshot_destroy(next);
		next = NULL;
	}
	if (next == NULL)
		next = build_at(p, p->now_ns, &err);
	if (next != NULL)
		snapshot_publish(p->slot, next);
	table_expire(p->table, p->now_ns);
	if (next == NULL) {
		dp_error("rows that start or end now are not in force, trying again: %s", err.msg);
		p->boundary_ns = p->now_ns + RETRY_NS;
		p->prepare_ns = INT64_MAX;
		return;
	}
	look_ahead(p);
}

void dp_policy_turn(struct dp_policy *p, int64_t now_ns)
{
	struct err err;

	see(p, now_ns);
	if (p->now_ns >= p->boundary_ns)
		cross_boundary(p);
	forget_meters(p);
	if (p->now_ns < p->prepare_ns || p->now_ns >= p->boundary_ns)
		return;
	p->prepare_ns = INT64_MAX;
	p->ready = build_at(p, p->boundary_ns, &err);
	if (p->ready == NULL)
		dp_warning("the next change of policy cannot be prepared: %s", err.msg);
}

int64_t dp_policy_next_ns(const struct dp_policy *p)
{
	return p->prepare_ns < p->boundary_ns ? p->prepare_ns : p->boundary_ns;
}
