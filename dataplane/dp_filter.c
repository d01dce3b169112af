// SPDX-License-Identifier: Apache-2.0
#include "dp_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "deny_rules.h"
#include "dp_log.h"
#include "hft/id_map.h"
#include "hft/match.h"
#include "worker.h"

#define COUNT_ROWS 256 // a call: some 0.2 ms

// A row that can be said in rules.
struct denied {
	uint64_t key, id;
	int64_t start_ns;
	uint32_t n_rules;
	bool in;                  // the ports have it
	struct xdp_count counted; // of all ports, told already
	struct xdp_rule rule[DENY_RULES_MAX];
};

struct dp_filter {
	struct xdp_filter *port[WORKER_PORTS_MAX];
	uint32_t n_ports;
	struct id_map rows;
	int64_t next_start_ns; // INT64_MAX: none waits
	uint32_t count_at;     // in rows
	bool no_room_told;
};

struct dp_filter *dp_filter_create(void)
{
	struct dp_filter *f = calloc(1, sizeof(*f));

	if (f != NULL)
		f->next_start_ns = INT64_MAX;
	return f;
}

void dp_filter_destroy(struct dp_filter *f)
{
	struct denied *d;
	uint32_t at = 0;

	if (f == NULL)
		return;
	while ((d = id_map_next(&f->rows, &at)) != NULL)
		free(d);
	id_map_fini(&f->rows);
	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++)
		xdp_filter_close(f->port[port]);
	free(f);
}

// Takes the first n rules of the row off the port.
static void port_take(struct xdp_filter *filter, const struct denied *d, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		xdp_filter_del(filter, &d->rule[i]);
}

// All rules or none.
static bool port_put(struct xdp_filter *filter, const struct denied *d)
{
	for (uint32_t i = 0; i < d->n_rules; i++) {
		if (xdp_filter_add(filter, &d->rule[i]) < 0) {
			port_take(filter, d, i);
			return false;
		}
	}
	return true;
}

static void tell_no_room(struct dp_filter *f)
{
	if (!f->no_room_told)
		dp_notice("the drivers have no room for all that is denied: the rest is denied by the worker alone");
	f->no_room_told = true;
}

// On all ports or on none: so that what is counted is all there is.
static void put(struct dp_filter *f, struct denied *d)
{
	bool ok = true;
	uint16_t n = 0;

	for (; n < WORKER_PORTS_MAX && ok; n++)
		ok = f->port[n] == NULL || port_put(f->port[n], d);
	if (ok) {
		d->in = true;
		return;
	}
	tell_no_room(f);
	for (n--; n-- > 0;) {
		if (f->port[n] != NULL)
			port_take(f->port[n], d, d->n_rules);
	}
}

static void forget(struct dp_filter *f, uint64_t key)
{
	struct denied *d = id_map_take(&f->rows, key);

	if (d == NULL)
		return;
	for (uint16_t port = 0; d->in && port < WORKER_PORTS_MAX; port++) {
		if (f->port[port] != NULL)
			port_take(f->port[port], d, d->n_rules);
	}
	free(d);
}

int dp_filter_port_add(struct dp_filter *f, uint16_t port, struct xdp_filter *filter)
{
	struct denied *d;
	uint32_t at = 0;

	if (port >= WORKER_PORTS_MAX || f->port[port] != NULL)
		return -ENOSPC;
	while ((d = id_map_next(&f->rows, &at)) != NULL) {
		if (d->in && !port_put(filter, d))
			tell_no_room(f);
	}
	f->port[port] = filter;
	f->n_ports++;
	return 0;
}

void dp_filter_port_del(struct dp_filter *f, uint16_t port)
{
	if (port >= WORKER_PORTS_MAX || f->port[port] == NULL)
		return;
	xdp_filter_close(f->port[port]);
	f->port[port] = NULL;
	f->n_ports--;
}

static void leave_change(void *ctx, const struct table_change *change)
{
	if (change->kind == TABLE_ROW_ADDED || change->kind == TABLE_ROW_DELETED)
		forget(ctx, change->key);
}

void dp_filter_leave(struct dp_filter *f, const struct table *table)
{
	if (f->rows.n > 0)
		table_each_change(table, leave_change, f);
}

// A deny that no allow overrides: the only kind that may be dropped without a look at the others (hft/parts.h).
static bool is_final(const struct part_row *row)
{
	return row->access == ACCESS_DENY && row->access_category == PARTS_FINAL_CATEGORY;
}

struct entering {
	struct dp_filter *f;
	const struct table *table;
	int64_t now_ns;
};

static void enter_row(struct dp_filter *f, uint64_t key, const struct part_row *row, int64_t now_ns)
{
	struct denied *d;

	if (row == NULL || !is_final(row) || box_end_ns(&row->box) <= now_ns || id_map_find(&f->rows, key) != NULL)
		return;
	d = calloc(1, sizeof(*d));
	if (d == NULL)
		return;
	d->key = key;
	d->id = row->id;
	d->start_ns = box_start_ns(&row->box);
	d->n_rules = deny_rules(&row->box, d->rule);
	if (d->n_rules == 0 || id_map_put(&f->rows, key, d) < 0) {
		free(d);
		return;
	}
	if (d->start_ns <= now_ns)
		put(f, d);
	else if (d->start_ns < f->next_start_ns)
		f->next_start_ns = d->start_ns;
}

static void enter_change(void *ctx, const struct table_change *change)
{
	const struct entering *e = ctx;

	if (change->kind == TABLE_ROW_ADDED)
		enter_row(e->f, change->key, table_row(e->table, change->key), e->now_ns);
}

void dp_filter_enter(struct dp_filter *f, const struct table *table, int64_t now_ns)
{
	struct entering e = {f, table, now_ns};

	if (f->n_ports > 0)
		table_each_change(table, enter_change, &e);
}

void dp_filter_expired(struct dp_filter *f, uint64_t key)
{
	forget(f, key);
}

void dp_filter_turn(struct dp_filter *f, int64_t now_ns)
{
	struct denied *d;
	uint32_t at = 0;

	if (now_ns < f->next_start_ns)
		return;
	f->next_start_ns = INT64_MAX;
	while ((d = id_map_next(&f->rows, &at)) != NULL) {
		if (d->in || d->start_ns == INT64_MAX)
			continue;
		if (d->start_ns > now_ns) {
			if (d->start_ns < f->next_start_ns)
				f->next_start_ns = d->start_ns;
			continue;
		}
		put(f, d);
		d->start_ns = INT64_MAX; // once: one that found no room is not tried again
	}
}

static struct xdp_count count_all(const struct dp_filter *f, const struct denied *d)
{
	struct xdp_count sum = {0}, one;

	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		for (uint32_t i = 0; f->port[port] != NULL && i < d->n_rules; i++) {
			if (xdp_filter_count(f->port[port], &d->rule[i], &one) == 0) {
				sum.packets += one.packets;
				sum.bytes += one.bytes;
			}
		}
	}
	return sum;
}

void dp_filter_counts(struct dp_filter *f, void (*fn)(void *ctx, uint64_t id, const struct xdp_count *more), void *ctx)
{
	for (int i = 0; i < COUNT_ROWS; i++) {
		struct denied *d = id_map_next(&f->rows, &f->count_at);
		struct xdp_count now, more;

		if (d == NULL) {
			f->count_at = 0;
			return;
		}
		if (!d->in)
			continue;
		now = count_all(f, d);
		if (now.packets <= d->counted.packets)
			continue;
		more = (struct xdp_count){now.packets - d->counted.packets, now.bytes - d->counted.bytes};
		d->counted = now;
		fn(ctx, d->id, &more);
	}
}

void dp_filter_dropped(const struct dp_filter *f, uint16_t port, struct xdp_count *out)
{
	*out = (struct xdp_count){0};
	if (port < WORKER_PORTS_MAX && f->port[port] != NULL)
		xdp_filter_total(f->port[port], out);
}
