// SPDX-License-Identifier: Apache-2.0
#include "dp_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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
	bool on;                  // its time has come
	uint32_t in;              // set of ports that have it
	struct xdp_count counted; // of all ports, told already
	struct xdp_rule rule[DENY_RULES_MAX];
};

// A rule that a device was to give back and did not: what it says may be allowed by now.
struct stale {
	struct stale *next;
	uint16_t port;
	struct xdp_rule rule;
};

struct dp_filter {
	struct drop_filter *port[WORKER_PORTS_MAX];
	struct dp_dropped past[WORKER_PORTS_MAX]; // of devices that went
	struct stale *stale;
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

// All of the port.
static void forget_stale(struct dp_filter *f, uint16_t port)
{
	for (struct stale **at = &f->stale; *at != NULL;) {
		struct stale *s = *at;

		if (s->port != port) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
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
	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		forget_stale(f, port);
		drop_filter_close(f->port[port]);
	}
	free(f);
}

static int take_rule(struct drop_filter *filter, const struct xdp_rule *rule)
{
	int rc = drop_filter_del(filter, rule);

	return rc == -ENOENT ? 0 : rc;
}

// The same once more: the kernel refuses for reasons of an instant, too. Then at each turn.
static void insist(struct dp_filter *f, uint16_t port, const struct xdp_rule *rule)
{
	struct stale *s;
	int rc = take_rule(f->port[port], rule);

	if (rc == 0)
		return;
	if (f->stale == NULL)
		dp_warning("a device does not give back a rule by which it drops: %s; it is asked again and again",
			   strerror(-rc));
	s = malloc(sizeof(*s));
	if (s == NULL) {
		dp_error("no memory to remember it: what the rule says is dropped until the port is opened again");
		return;
	}
	*s = (struct stale){f->stale, port, *rule};
	f->stale = s;
}

static void turn_stale(struct dp_filter *f)
{
	bool were_any = f->stale != NULL;

	for (struct stale **at = &f->stale; *at != NULL;) {
		struct stale *s = *at;

		if (take_rule(f->port[s->port], &s->rule) < 0) {
			at = &s->next;
			continue;
		}
		*at = s->next;
		free(s);
	}
	if (were_any && f->stale == NULL)
		dp_notice("devices have given back every rule");
}

// Takes the first n rules of the row off the port.
static void port_take(struct dp_filter *f, uint16_t port, const struct denied *d, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		if (take_rule(f->port[port], &d->rule[i]) < 0)
			insist(f, port, &d->rule[i]);
	}
}

// All rules or none.
static bool port_put(struct dp_filter *f, uint16_t port, const struct denied *d)
{
	for (uint32_t i = 0; i < d->n_rules; i++) {
		if (drop_filter_add(f->port[port], &d->rule[i]) < 0) {
			port_take(f, port, d, i);
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

static void port_enter(struct dp_filter *f, uint16_t port, struct denied *d)
{
	if (port_put(f, port, d))
		d->in |= UINT32_C(1) << port;
	else
		tell_no_room(f);
}

static bool is_in(const struct denied *d, uint16_t port)
{
	return (d->in >> port & 1) != 0;
}

// On each port that has room for it: the others' workers deny it.
static void put(struct dp_filter *f, struct denied *d)
{
	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		if (f->port[port] != NULL)
			port_enter(f, port, d);
	}
	d->on = true;
}

static struct xdp_count count_on(const struct dp_filter *f, uint16_t port, const struct denied *d)
{
	struct xdp_count sum = {0}, one;

	for (uint32_t i = 0; is_in(d, port) && i < d->n_rules; i++) {
		if (drop_filter_count(f->port[port], &d->rule[i], &one) == 0) {
			sum.packets += one.packets;
			sum.bytes += one.bytes;
		}
	}
	return sum;
}

static struct xdp_count count_all(const struct dp_filter *f, const struct denied *d)
{
	struct xdp_count sum = {0};

	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		struct xdp_count one = count_on(f, port, d);

		sum.packets += one.packets;
		sum.bytes += one.bytes;
	}
	return sum;
}

static void forget(struct dp_filter *f, uint64_t key)
{
	struct denied *d = id_map_take(&f->rows, key);

	if (d == NULL)
		return;
	for (uint16_t port = 0; port < WORKER_PORTS_MAX; port++) {
		if (is_in(d, port))
			port_take(f, port, d, d->n_rules);
	}
	free(d);
}

int dp_filter_port_add(struct dp_filter *f, uint16_t port, struct drop_filter *filter)
{
	struct denied *d;
	uint32_t at = 0;

	if (port >= WORKER_PORTS_MAX || f->port[port] != NULL)
		return -ENOSPC;
	f->port[port] = filter;
	while ((d = id_map_next(&f->rows, &at)) != NULL) {
		if (d->on)
			port_enter(f, port, d);
	}
	return 0;
}

void dp_filter_port_del(struct dp_filter *f, uint16_t port)
{
	struct denied *d;
	uint32_t at = 0;

	if (port >= WORKER_PORTS_MAX || f->port[port] == NULL)
		return;
	while ((d = id_map_next(&f->rows, &at)) != NULL) {
		struct xdp_count gone = count_on(f, port, d);

		d->counted.packets -= gone.packets; // may wrap: what is told are differences
		d->counted.bytes -= gone.bytes;
		d->in &= ~(UINT32_C(1) << port);
	}
	dp_filter_dropped(f, port, &f->past[port]);
	forget_stale(f, port);
	drop_filter_close(f->port[port]);
	f->port[port] = NULL;
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

	turn_stale(f);
	if (now_ns < f->next_start_ns)
		return;
	f->next_start_ns = INT64_MAX;
	while ((d = id_map_next(&f->rows, &at)) != NULL) {
		if (d->on || d->start_ns == INT64_MAX)
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

void dp_filter_counts(struct dp_filter *f, void (*fn)(void *ctx, uint64_t id, const struct xdp_count *more), void *ctx)
{
	for (int i = 0; i < COUNT_ROWS; i++) {
		struct denied *d = id_map_next(&f->rows, &f->count_at);
		struct xdp_count now, more;

		if (d == NULL) {
			f->count_at = 0;
			return;
		}
		if (d->in == 0 && d->counted.packets == 0) // else a port that went has dropped more
			continue;
		now = count_all(f, d);
		more = (struct xdp_count){now.packets - d->counted.packets, now.bytes - d->counted.bytes};
		if ((int64_t)more.packets <= 0)
			continue;
		d->counted = now;
		fn(ctx, d->id, &more);
	}
}

void dp_filter_dropped(const struct dp_filter *f, uint16_t port, struct dp_dropped *out)
{
	struct xdp_count denied, unserved;

	*out = port < WORKER_PORTS_MAX ? f->past[port] : (struct dp_dropped){0};
	if (port >= WORKER_PORTS_MAX || f->port[port] == NULL)
		return;
	if (drop_filter_total(f->port[port], &denied) == 0)
		out->denied += denied.packets;
	if (drop_filter_unserved(f->port[port], &unserved) == 0)
		out->unserved += unserved.packets;
}

void dp_filter_port_forget(struct dp_filter *f, uint16_t port)
{
	if (port < WORKER_PORTS_MAX)
		f->past[port] = (struct dp_dropped){0};
}
