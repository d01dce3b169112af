// SPDX-License-Identifier: Apache-2.0
#include "of_rules.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define SECOND_NS 1000000000LL

void of_rules_init(struct of_rules *r)
{
	*r = (struct of_rules){0};
}

void of_rules_fini(struct of_rules *r)
{
	free(r->rules);
	*r = (struct of_rules){0};
}

// A rule is two kilobytes, nearly all of them room for more actions than it has.
static void copy(struct of_rule *to, const struct of_rule *from)
{
	size_t rest = offsetof(struct of_rule, cookie);

	memcpy(to, from,
	       offsetof(struct of_rule, instructions.actions) +
		       from->instructions.n_actions * sizeof(from->instructions.actions[0]));
	memcpy((char *)to + rest, (const char *)from + rest, sizeof(*to) - rest);
}

int of_rules_reserve(struct of_rules *r, uint32_t n)
{
	struct of_rule *more = n <= r->cap ? r->rules : reallocarray(r->rules, n, sizeof(*more));

	if (more == NULL && n > 0)
		return -ENOMEM;
	r->rules = more;
	r->cap = n <= r->cap ? r->cap : n;
	return 0;
}

int of_rules_add(struct of_rules *r, const struct of_rule *rule)
{
	if (r->n == r->cap && of_rules_reserve(r, r->cap == 0 ? 32 : r->cap * 2) < 0)
		return -ENOMEM;
	copy(&r->rules[r->n++], rule);
	return 0;
}

static int compare_names(const struct of_rule *x, const struct of_rule *y)
{
	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->priority != y->priority)
		return x->priority > y->priority ? -1 : 1;
	return memcmp(&x->match, &y->match, sizeof(x->match)); // of_match has no padding that is not zeroed
}

static int compare_indirect(const void *a, const void *b)
{
	const struct of_rule *const *x = a, *const *y = b;
	int by_name = compare_names(*x, *y);

	return by_name != 0 ? by_name : *x < *y ? -1 : *x > *y;
}

// Puts rules[from[i]] at i, for all of them: cycle by cycle.
static void permute(struct of_rule *rules, uint32_t *from, uint32_t n)
{
	struct of_rule first;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t at = i;

		if (from[i] == i)
			continue;
		copy(&first, &rules[i]);
		while (from[at] != i) {
			uint32_t next = from[at];

			copy(&rules[at], &rules[next]);
			from[at] = at;
			at = next;
		}
		copy(&rules[at], &first);
		from[at] = at;
	}
}

// What is over after others of its name were left out: most of what is kept for long has its size at last.
static void shrink(struct of_rules *r)
{
	struct of_rule *less = r->cap > r->n + r->n / 8 ? reallocarray(r->rules, r->n + 1U, sizeof(*less)) : NULL;

	if (less == NULL)
		return;
	r->rules = less;
	r->cap = r->n + 1;
}

int of_rules_sort(struct of_rules *r)
{
	const struct of_rule **order = calloc(r->n + 1U, sizeof(*order));
	uint32_t *from = calloc(r->n + 1U, sizeof(*from));
	uint32_t n = 0, n_left_out = 0;

	if (order == NULL || from == NULL) {
		free(order);
		free(from);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < r->n; i++)
		order[i] = &r->rules[i];
	qsort(order, r->n, sizeof(*order), compare_indirect);
	for (uint32_t i = 0; i < r->n; i++) {
		uint32_t at = (uint32_t)(order[i] - r->rules);

		if (n == 0 || compare_names(&r->rules[from[n - 1]], order[i]) != 0)
			from[n++] = at;
		else
			from[r->n - ++n_left_out] = at; // behind all others
	}
	permute(r->rules, from, r->n);
	r->n = n;
	shrink(r);
	free(order);
	free(from);
	return 0;
}

const struct of_rule *of_rules_find(const struct of_rules *r, const struct of_rule *name)
{
	uint32_t low = 0, high = r->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		int cmp = compare_names(&r->rules[mid], name);

		if (cmp == 0)
			return &r->rules[mid];
		if (cmp < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return NULL;
}

void of_rules_del(struct of_rules *r, const struct of_rule *name)
{
	const struct of_rule *at = of_rules_find(r, name);
	uint32_t i = at == NULL ? r->n : (uint32_t)(at - r->rules);

	if (i == r->n)
		return;
	r->n--;
	memmove(&r->rules[i], &r->rules[i + 1], (r->n - i) * sizeof(*r->rules));
}

bool of_action_same(const struct of_action *x, const struct of_action *y)
{
	return x->type == y->type && x->port == y->port && x->queue == y->queue && x->group == y->group &&
	       x->vlan == y->vlan && memcmp(x->eth, y->eth, 6) == 0 &&
	       (x->port != OF_PORT_CONTROLLER || x->max_len == y->max_len);
}

static bool same_instructions(const struct of_instructions *x, const struct of_instructions *y)
{
	if (x->meter != y->meter || x->goto_table != y->goto_table || x->n_actions != y->n_actions ||
	    (x->n_actions > 0 && x->write != y->write))
		return false;
	for (int i = 0; i < x->n_actions; i++) {
		if (!of_action_same(&x->actions[i], &y->actions[i]))
			return false;
	}
	return true;
}

static bool same_end(int64_t x, int64_t y)
{
	if (x == INT64_MAX || y == INT64_MAX)
		return x == y;
	return x - y < OF_RULE_ENDS_TOLERANCE_NS && y - x < OF_RULE_ENDS_TOLERANCE_NS;
}

// Whole seconds, never too few; 0: for ever, or longer than can be said.
static uint16_t seconds_left(int64_t ends_ns, int64_t now_ns)
{
	int64_t left_ns = ends_ns == INT64_MAX || ends_ns == 0 ? 0 : ends_ns > now_ns ? ends_ns - now_ns : 1;
	int64_t s = left_ns / SECOND_NS + (left_ns % SECOND_NS != 0);

	return s > UINT16_MAX ? 0 : (uint16_t)s;
}

typedef void change_fn(void *ctx, enum of_rules_change change, const struct of_rule *rule);

static void tell_new(const struct of_rules *have, const struct of_rules *want, bool absent, change_fn *fn, void *ctx)
{
	uint32_t h = 0;

	for (uint32_t w = 0; w < want->n; w++) {
		int cmp = 1;

		while (h < have->n && (cmp = compare_names(&have->rules[h], &want->rules[w])) < 0)
			h++;
		if (h == have->n || cmp != 0) {
			if (absent)
				fn(ctx, OF_RULE_ADD, &want->rules[w]);
		} else if (!absent && (!same_instructions(&have->rules[h].instructions, &want->rules[w].instructions) ||
				       have->rules[h].cookie != want->rules[w].cookie ||
				       !same_end(have->rules[h].ends_ns, want->rules[w].ends_ns))) {
			fn(ctx, OF_RULE_MODIFY, &want->rules[w]);
		}
	}
}

void of_rules_diff(const struct of_rules *have, const struct of_rules *want, change_fn *fn, void *ctx)
{
	tell_new(have, want, true, fn, ctx);
	tell_new(have, want, false, fn, ctx);
	for (uint32_t w = want->n, i = have->n; i-- > 0;) {
		while (w > 0 && compare_names(&want->rules[w - 1], &have->rules[i]) > 0)
			w--;
		if (w == 0 || compare_names(&want->rules[w - 1], &have->rules[i]) != 0)
			fn(ctx, OF_RULE_DELETE, &have->rules[i]);
	}
}

void of_rule_message(enum of_rules_change change, const struct of_rule *rule, int64_t now_ns, struct of_msg *m)
{
	struct of_flow_mod *f = &m->flow_mod;

	memset(m, 0, sizeof(*m));
	m->type = OF_FLOW_MOD;
	f->match = rule->match;
	f->priority = rule->priority;
	f->table = rule->table;
	f->cookie = rule->cookie;
	f->hard_s = seconds_left(rule->ends_ns, now_ns);
	f->buffer_id = OF_NO_BUFFER;
	f->out_port = OF_PORT_ANY;
	f->out_group = OF_GROUP_ANY;
	f->instructions.goto_table = OF_TABLE_ALL;
	if (change == OF_RULE_DELETE) {
		f->command = OF_FLOW_DELETE_STRICT;
		return;
	}
	// An add replaces an entry of the same name, cookie and timeouts included; a modification would keep those.
	f->command = OF_FLOW_ADD;
	f->instructions = rule->instructions;
}

// --- meters

void of_meters_init(struct of_meters *m)
{
	*m = (struct of_meters){0};
}

void of_meters_fini(struct of_meters *m)
{
	free(m->meters);
	*m = (struct of_meters){0};
}

static int make_room(struct of_meters *m)
{
	uint32_t cap = m->cap == 0 ? 16 : m->cap * 2;
	struct of_meter *more;

	if (m->n < m->cap)
		return 0;
	more = reallocarray(m->meters, cap, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	m->meters = more;
	m->cap = cap;
	return 0;
}

int of_meters_add(struct of_meters *m, const struct of_meter *meter)
{
	uint32_t at = m->n;

	while (at > 0 && m->meters[at - 1].id > meter->id)
		at--;
	if (at > 0 && m->meters[at - 1].id == meter->id)
		return 0;
	if (make_room(m) < 0)
		return -ENOMEM;
	memmove(&m->meters[at + 1], &m->meters[at], (m->n - at) * sizeof(*m->meters));
	m->meters[at] = *meter;
	m->n++;
	return 0;
}

int of_meters_append(struct of_meters *m, const struct of_meter *meter)
{
	if (make_room(m) < 0)
		return -ENOMEM;
	m->meters[m->n++] = *meter;
	return 0;
}

static int compare_meters(const void *a, const void *b)
{
	const struct of_meter *const *x = a, *const *y = b;

	if ((*x)->id != (*y)->id)
		return (*x)->id < (*y)->id ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

int of_meters_sort(struct of_meters *m)
{
	const struct of_meter **order = calloc(m->n + 1U, sizeof(*order));
	struct of_meter *sorted = calloc(m->n + 1U, sizeof(*sorted));
	uint32_t n = 0;

	if (order == NULL || sorted == NULL) {
		free(order);
		free(sorted);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < m->n; i++)
		order[i] = &m->meters[i];
	qsort(order, m->n, sizeof(*order), compare_meters);
	for (uint32_t i = 0; i < m->n; i++) {
		if (n == 0 || sorted[n - 1].id != order[i]->id)
			sorted[n++] = *order[i];
	}
	free(order);
	free(m->meters);
	m->meters = sorted;
	m->cap = m->n + 1;
	m->n = n;
	return 0;
}

void of_meters_diff(const struct of_meters *have, const struct of_meters *want,
		    void (*fn)(void *ctx, enum of_rules_change change, const struct of_meter *meter), void *ctx)
{
	for (uint32_t w = 0, h = 0; w < want->n; w++) {
		while (h < have->n && have->meters[h].id < want->meters[w].id)
			h++;
		if (h == have->n || have->meters[h].id != want->meters[w].id)
			fn(ctx, OF_RULE_ADD, &want->meters[w]);
		else if (memcmp(&have->meters[h], &want->meters[w], sizeof(*want->meters)) != 0)
			fn(ctx, OF_RULE_MODIFY, &want->meters[w]);
	}
	for (uint32_t h = 0, w = 0; h < have->n; h++) {
		while (w < want->n && want->meters[w].id < have->meters[h].id)
			w++;
		if (w == want->n || want->meters[w].id != have->meters[h].id)
			fn(ctx, OF_RULE_DELETE, &have->meters[h]);
	}
}

void of_meter_message(enum of_rules_change change, const struct of_meter *meter, struct of_msg *m)
{
	static const uint16_t commands[] = {[OF_RULE_ADD] = 0, [OF_RULE_MODIFY] = 1, [OF_RULE_DELETE] = 2};
	struct of_meter_mod *mod = &m->meter_mod;

	memset(m, 0, sizeof(*m));
	m->type = OF_METER_MOD;
	mod->command = commands[change];
	mod->meter = meter->id;
	mod->flags = OF_METER_KBPS | OF_METER_BURST;
	if (change == OF_RULE_DELETE)
		return;
	mod->n_bands = 1;
	mod->bands[0].rate = meter->rate_kbps;
	mod->bands[0].burst = meter->burst_kb;
}
