// SPDX-License-Identifier: Apache-2.0
#include "dp_policy.h"

#include <errno.h>
#include <stdlib.h>

#include "dp_filter.h"
#include "dp_follow.h"
#include "dp_log.h"
#include "dp_rows.h"

#define BEHIND_MAX_NS INT64_C(1000000000) // as the controller's engine (recovery.h)

struct dp_policy {
	struct table *table;
	struct snapshot_slot *slot;
	struct dp_follow *follow;
	struct dp_filter *filter;
	struct dp_rows *rows;
	uint32_t gen;    // last one given out
	int64_t now_ns;  // last instant seen
	int64_t back_ns; // by how much the clock was set back in all
	bool under_way;  // a commit is, in rows and follow
	bool unsettled;  // the table is, until a commit is through
	uint64_t n_failures;
};

static void see(struct dp_policy *p, int64_t now_ns)
{
	if (now_ns <= p->now_ns && p->now_ns - now_ns <= BEHIND_MAX_NS)
		return;
	if (now_ns < p->now_ns)
		p->back_ns += p->now_ns - now_ns;
	p->now_ns = now_ns;
}

static int64_t steady_ns(const struct dp_policy *p)
{
	return p->now_ns + p->back_ns;
}

static void row_ended(void *ctx, uint64_t key)
{
	struct dp_policy *p = ctx;

	dp_filter_expired(p->filter, key);
}

static int meter_take(void *ctx, uint64_t id, struct err *err)
{
	struct dp_policy *p = ctx;

	return dp_follow_meter_take(p->follow, id, err);
}

static void meter_give(void *ctx, uint64_t id)
{
	struct dp_policy *p = ctx;

	dp_follow_meter_give(p->follow, id, p->gen);
}

struct dp_policy *dp_policy_create(struct table *table, struct snapshot_slot *slot, struct sched_log *log,
				   uint32_t simd_max_bits, struct err *err)
{
	struct dp_rows_conf conf = {.table = table, .rcu = slot->rcu, .simd_max_bits = simd_max_bits};
	struct dp_policy *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		err_set(err, ENOMEM, "no memory for the policy");
		return NULL;
	}
	p->table = table;
	p->slot = slot;
	p->now_ns = INT64_MIN;
	p->follow = dp_follow_create(table, log, err);
	p->filter = dp_filter_create();
	if (p->filter == NULL) {
		err_set(err, ENOMEM, "no memory for the policy");
	} else if (p->follow != NULL) {
		conf.slots = dp_follow_slots(p->follow);
		conf.names = dp_follow_names(p->follow);
		conf.ended = row_ended;
		conf.meter_take = meter_take;
		conf.meter_give = meter_give;
		conf.ctx = p;
		p->rows = dp_rows_create(&conf, err);
	}
	if (p->rows == NULL) {
		dp_policy_destroy(p, true);
		p = NULL;
	}
	return p;
}

static struct dp_policy *volatile left; // to the end of the process: a builder uses its memory

bool dp_policy_destroy(struct dp_policy *p, bool wait)
{
	if (p == NULL)
		return true;
	if (!dp_rows_destroy(p->rows, wait)) {
		left = p;
		return false;
	}
	dp_filter_destroy(p->filter);
	dp_follow_destroy(p->follow);
	free(p);
	return true;
}

const struct sched_slots *dp_policy_slots(const struct dp_policy *p)
{
	return dp_follow_slots(p->follow);
}

struct names *dp_policy_names(const struct dp_policy *p)
{
	return dp_follow_names(p->follow);
}

struct dp_filter *dp_policy_filter(const struct dp_policy *p)
{
	return p->filter;
}

struct layers *dp_policy_layers(const struct dp_policy *p)
{
	return dp_rows_layers(p->rows);
}

// While a commit is under way all snapshots share a number: what the commit takes away is in all of them, and is given
// back when those up to this number are gone.
static void publish(struct dp_policy *p)
{
	struct layers_view view;

	layers_view(dp_rows_layers(p->rows), &view);
	p->gen += !p->under_way;
	snapshot_publish(p->slot, p->gen, &view);
}

// What has begun is taken back. Then the caller undoes the table.
static void give_up(struct dp_policy *p)
{
	dp_rows_cancel(p->rows);
	dp_follow_undo(p->follow, p->gen, steady_ns(p));
	p->under_way = false;
}

// Nothing is published before the first commit.
static void republish(struct dp_policy *p)
{
	if (atomic_load_explicit(&p->slot->live, memory_order_relaxed) != NULL)
		publish(p);
}

// What a commit takes away because its time is over must not go before what starts in its place.
static void cross_first(struct dp_policy *p)
{
	if (!p->under_way && snapshot_reserve(p->slot) == 0 && dp_rows_cross(p->rows, p->now_ns))
		republish(p);
}

uint32_t dp_policy_commit(struct dp_policy *p, int64_t now_ns, struct err *err)
{
	int rc = 0;

	see(p, now_ns);
	cross_first(p);
	if (snapshot_reserve(p->slot) < 0)
		rc = err_set(err, ENOMEM, "no memory for a snapshot");
	if (!p->under_way && rc == 0)
		rc = dp_follow_commit(p->follow, p->gen, steady_ns(p), err);
	if (!p->under_way && rc < 0) {
		p->unsettled = rc == -EAGAIN;
		return 0;
	}
	if (rc == 0)
		rc = dp_rows_commit(p->rows, p->now_ns, err);
	p->unsettled = rc == -EAGAIN;
	if (rc == -EAGAIN) {
		p->under_way = true;
		err_set(err, EAGAIN, "the classifier is being built");
		return 0;
	}
	if (rc < 0) {
		give_up(p);
		return 0;
	}
	p->under_way = false;
	dp_rows_cross(p->rows, p->now_ns); // its rows whose instant has come while it was under way
	dp_filter_leave(p->filter, p->table);
	publish(p);
	dp_filter_enter(p->filter, p->table, p->now_ns);
	return p->gen;
}

static void row_over(void *ctx, const struct part_row *row)
{
	struct dp_policy *p = ctx;

	dp_follow_expired(p->follow, row, p->gen - 1, steady_ns(p)); // the last one published is without it
}

static void log_failures(struct dp_policy *p)
{
	struct layers_stats stats;

	layers_stats(dp_rows_layers(p->rows), &stats);
	if (stats.merge_failures != p->n_failures)
		dp_warning("rows are not merged, more lookups are needed: %s", stats.last_failure);
	p->n_failures = stats.merge_failures;
}

void dp_policy_turn(struct dp_policy *p, int64_t now_ns)
{
	bool changed;

	see(p, now_ns);
	changed = snapshot_reserve(p->slot) == 0 && dp_rows_cross(p->rows, p->now_ns);
	if (changed)
		republish(p);
	changed = snapshot_reserve(p->slot) == 0 && dp_rows_turn(p->rows, p->now_ns);
	if (changed)
		republish(p);
	dp_filter_turn(p->filter, p->now_ns);
	log_failures(p);
	if (!p->unsettled)
		dp_rows_drop_over(p->rows, row_over, p);
	dp_follow_turn(p->follow, snapshot_oldest_gen(p->slot), steady_ns(p), !p->unsettled);
}

int64_t dp_policy_next_ns(const struct dp_policy *p)
{
	return dp_rows_next_ns(p->rows);
}

void dp_policy_stats(const struct dp_policy *p, struct dp_rows_stats *out)
{
	dp_rows_stats(p->rows, out);
}

int dp_policy_fd(const struct dp_policy *p)
{
	return layers_fd(dp_rows_layers(p->rows));
}
