// SPDX-License-Identifier: Apache-2.0
#include "dp_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "combine.h"
#include "dp_filter.h"
#include "dp_follow.h"
#include "dp_log.h"

#define NS_PER_MS 1000000LL
#define QUIET_NS (5 * NS_PER_MS)    // without commits, before preparing: the next commit would throw it away
#define NEAR_NS (10000 * NS_PER_MS) // boundaries farther ahead are not prepared yet
#define URGENT_NS (50 * NS_PER_MS)  // so near that commits do not count
#define RETRY_NS (1000 * NS_PER_MS) // after a failed build

struct dp_policy {
	struct table *table;
	struct snapshot_slot *slot;
	struct dp_follow *follow;
	struct dp_filter *filter;
	struct combine *combine;     // for questions
	uint32_t simd_max_bits, gen; // gen: last one given out
	int64_t now_ns, commit_ns;   // last instant seen; last commit
	int64_t boundary_ns;         // next instant at which the policy changes by itself, INT64_MAX: never
	int64_t prepare_ns;          // when to build ready, INT64_MAX: it is there or there is no need
	struct snapshot *ready;      // for boundary_ns; NULL: not yet
};

static void see(struct dp_policy *p, int64_t now_ns)
{
	if (now_ns > p->now_ns)
		p->now_ns = now_ns;
}

// rte_acl's first build in a process takes some ms more than the others.
static int warm_up(struct dp_policy *p, struct err *err)
{
	struct cls_row row = {.box = box_any(), .rank = 1, .meter_category = CLS_NO_CATEGORY};
	struct cls *cls = cls_build(&row, 1, ++p->gen, p->simd_max_bits, err);

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
	p->follow = dp_follow_create(table, log, err);
	p->filter = dp_filter_create();
	if (p->filter == NULL)
		err_set(err, ENOMEM, "no memory for the policy");
	else if (p->follow != NULL)
		p->combine = combine_create(names_nodes(dp_follow_names(p->follow)), NULL, err);
	if (p->combine == NULL || warm_up(p, err) < 0) {
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
	combine_destroy(p->combine);
	dp_filter_destroy(p->filter);
	dp_follow_destroy(p->follow);
	free(p);
}

struct names *dp_policy_names(const struct dp_policy *p)
{
	return dp_follow_names(p->follow);
}

struct dp_filter *dp_policy_filter(const struct dp_policy *p)
{
	return p->filter;
}

static struct snapshot *build_at(struct dp_policy *p, int64_t at_ns, struct err *err)
{
	const struct part_row **rows = NULL;
	struct snapshot_input in = {.simd_max_bits = p->simd_max_bits,
				    .slots = dp_follow_slots(p->follow),
				    .names = dp_follow_names(p->follow)};
	struct snapshot *s = NULL;

	if (table_rows(p->table, at_ns, at_ns, &rows, &in.n_rows) < 0) {
		err_set(err, ENOMEM, "no memory for a snapshot");
	} else {
		in.rows = rows;
		in.gen = ++p->gen;
		s = snapshot_build(&in, err);
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
	uint32_t before = p->gen;

	see(p, now_ns);
	if (dp_follow_commit(p->follow, before, p->now_ns, err) < 0)
		return 0;
	next = build_at(p, p->now_ns, err);
	if (next == NULL) {
		dp_follow_undo(p->follow, before, p->now_ns);
		return 0;
	}
	dp_filter_leave(p->filter, p->table);
	snapshot_publish(p->slot, next);
	dp_filter_enter(p->filter, p->table, p->now_ns);
	p->commit_ns = p->now_ns;
	look_ahead(p);
	return next->gen;
}

static void row_expired(void *ctx, uint64_t key, const struct part_row *row)
{
	struct dp_policy *p = ctx;

	dp_filter_expired(p->filter, key);
	dp_follow_expired(p->follow, row, p->gen, p->now_ns);
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
	table_expire(p->table, p->now_ns, row_expired, p);
	dp_filter_turn(p->filter, p->now_ns);
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
	dp_follow_turn(p->follow, snapshot_oldest_gen(p->slot), p->now_ns);
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
