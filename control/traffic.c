// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <stdlib.h>
#include <string.h>

#include "request.h"

#define N_SLOTS (2 * TRAFFIC_SERIES_MAX)
#define NS_PER_S INT64_C(1000000000)
#define N_GRAINS 3

struct cell {
	uint64_t packets, bytes;
};

static const struct {
	int64_t ns;
	uint32_t first, n; // cells
} grains[N_GRAINS] = {{NS_PER_S, 0, 60}, {60 * NS_PER_S, 60, 60}, {3600 * NS_PER_S, 120, 24}};

#define N_CELLS 144

struct traffic_series {
	TAILQ_ENTRY(traffic_series) link;
	struct traffic_series *next; // in its slot
	uint64_t id;
	const struct share *share;
	enum verb verb;
	struct match flows;
	struct cell told;  // by the dataplane, at the last count
	struct cell total; // counted here
	int64_t since_ns;
	int64_t last_ns; // of the last count: cells after it are stale
	struct cell cell[N_CELLS];
};

void traffic_init(struct traffic *t)
{
	memset(t, 0, sizeof(*t));
	TAILQ_INIT(&t->all);
	t->since_ns = INT64_MAX;
}

static struct traffic_series **slot_of(const struct traffic *t, uint64_t id)
{
	return &t->slots[id % N_SLOTS];
}

static void series_destroy(struct traffic *t, struct traffic_series *series)
{
	struct traffic_series **at = slot_of(t, series->id);

	while (*at != series)
		at = &(*at)->next;
	*at = series->next;
	TAILQ_REMOVE(&t->all, series, link);
	t->n--;
	t->n_boxes -= series->flows.n_boxes;
	match_fini(&series->flows);
	free(series);
}

void traffic_fini(struct traffic *t)
{
	while (!TAILQ_EMPTY(&t->all))
		series_destroy(t, TAILQ_FIRST(&t->all));
	free(t->slots);
	traffic_init(t);
}

void traffic_begin(struct traffic *t, int64_t now_ns)
{
	t->since_ns = now_ns;
}

static struct traffic_series *find(const struct traffic *t, uint64_t id)
{
	struct traffic_series *series = t->slots == NULL ? NULL : *slot_of(t, id);

	while (series != NULL && series->id != id)
		series = series->next;
	return series;
}

// NULL: out of memory; then it is tried again at the next count.
static struct traffic_series *create(struct traffic *t, const struct request *r)
{
	struct traffic_series *series, **slot;

	if (t->slots == NULL)
		t->slots = calloc(N_SLOTS, sizeof(struct traffic_series *));
	if (t->slots == NULL)
		return NULL;
	series = calloc(1, sizeof(*series));
	if (series == NULL)
		return NULL;
	match_init(&series->flows);
	if (match_copy(&series->flows, &r->flows) < 0) {
		free(series);
		return NULL;
	}
	while (t->n == TRAFFIC_SERIES_MAX || (t->n > 0 && t->n_boxes + r->flows.n_boxes > TRAFFIC_BOXES_MAX))
		series_destroy(t, TAILQ_FIRST(&t->all));
	series->id = r->id;
	series->share = r->share;
	series->verb = r->verb;
	slot = slot_of(t, r->id);
	series->next = *slot;
	*slot = series;
	TAILQ_INSERT_TAIL(&t->all, series, link);
	t->n++;
	t->n_boxes += series->flows.n_boxes;
	return series;
}

// Empties the cells that time has passed over since the last count.
static void turn_on(struct traffic_series *series, int64_t now_ns)
{
	for (unsigned int g = 0; g < N_GRAINS; g++) {
		int64_t now = now_ns / grains[g].ns, last = series->last_ns / grains[g].ns;

		if (now - last >= grains[g].n)
			last = now - grains[g].n;
		while (last < now)
			series->cell[grains[g].first + ++last % grains[g].n] = (struct cell){0};
	}
	series->last_ns = now_ns;
}

static void add(struct cell *cell, uint64_t packets, uint64_t bytes)
{
	cell->packets += packets;
	cell->bytes += bytes;
}

void traffic_count(struct traffic *t, uint64_t id, const struct request *r, uint64_t packets, uint64_t bytes,
		   int64_t now_ns)
{
	struct traffic_series *series = find(t, id);
	struct cell more;

	if (t->since_ns == INT64_MAX)
		traffic_begin(t, now_ns);
	if (series == NULL) {
		series = r == NULL ? NULL : create(t, r);
		if (series == NULL)
			return;
		series->last_ns = now_ns;
		series->since_ns = r->start_ns;
		if (r->start_ns < t->since_ns) { // counted before somebody listened
			series->told = (struct cell){packets, bytes};
			series->since_ns = now_ns;
		}
	}
	if (r != NULL && r->end_ns > box_end_ns(&series->flows.boxes[0])) // prolonged
		for (uint32_t i = 0; i < series->flows.n_boxes; i++)
			box_set_time(&series->flows.boxes[i], r->start_ns, r->end_ns);
	if (now_ns > series->last_ns)
		turn_on(series, now_ns);
	if (packets < series->told.packets || bytes < series->told.bytes)
		series->told = (struct cell){0};
	more = (struct cell){packets - series->told.packets, bytes - series->told.bytes};
	series->told = (struct cell){packets, bytes};
	add(&series->total, more.packets, more.bytes);
	for (unsigned int g = 0; g < N_GRAINS; g++)
		add(&series->cell[grains[g].first + series->last_ns / grains[g].ns % grains[g].n], more.packets,
		    more.bytes);
	TAILQ_REMOVE(&t->all, series, link);
	TAILQ_INSERT_TAIL(&t->all, series, link);
}

void traffic_total(const struct traffic *t, uint64_t id, uint64_t *packets, uint64_t *bytes)
{
	const struct traffic_series *series = find(t, id);

	*packets = series == NULL ? 0 : series->total.packets;
	*bytes = series == NULL ? 0 : series->total.bytes;
}

void traffic_forget_share(struct traffic *t, const struct share *share)
{
	struct traffic_series *series, *next;

	for (series = TAILQ_FIRST(&t->all); series != NULL; series = next) {
		next = TAILQ_NEXT(series, link);
		if (series->share == share)
			series_destroy(t, series);
	}
}

const struct traffic_series *traffic_next(const struct traffic *t, const struct traffic_series *series)
{
	return series == NULL ? TAILQ_FIRST(&t->all) : TAILQ_NEXT(series, link);
}

const struct traffic_series *traffic_find(const struct traffic *t, uint64_t id)
{
	return find(t, id);
}

struct traffic_atom traffic_atom(const struct traffic_series *series)
{
	return (struct traffic_atom){series->id, series->share, series->verb, &series->flows, series->since_ns};
}

static unsigned int grain_for(int64_t last_ns)
{
	unsigned int g = 0;

	while (g + 1 < N_GRAINS && last_ns > grains[g].ns * grains[g].n)
		g++;
	return g;
}

// The first cell, counted from the epoch, of a window that ends now.
static int64_t first_cell(unsigned int g, int64_t last_ns, int64_t now_ns)
{
	int64_t n = (last_ns + grains[g].ns - 1) / grains[g].ns, now = now_ns / grains[g].ns;

	n = n > grains[g].n ? grains[g].n : n;
	return now - n + 1 < 0 ? 0 : now - n + 1;
}

int64_t traffic_window_ns(int64_t last_ns, int64_t now_ns)
{
	unsigned int g = grain_for(last_ns);

	return last_ns == 0 ? 0 : first_cell(g, last_ns, now_ns) * grains[g].ns;
}

struct traffic_sum traffic_last(const struct traffic_series *series, int64_t last_ns, int64_t now_ns)
{
	struct traffic_sum sum = {series->total.packets, series->total.bytes, 0};
	unsigned int g = grain_for(last_ns);
	int64_t last = series->last_ns / grains[g].ns;

	if (last_ns == 0)
		return sum;
	sum = (struct traffic_sum){.from_ns = traffic_window_ns(last_ns, now_ns)};
	for (int64_t at = first_cell(g, last_ns, now_ns); at <= last; at++) {
		const struct cell *cell = &series->cell[grains[g].first + at % grains[g].n];

		sum.packets += cell->packets;
		sum.bytes += cell->bytes;
	}
	return sum;
}
