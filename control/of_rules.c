// SPDX-License-Identifier: Apache-2.0
#include "of_rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void of_rules_init(struct of_rules *r)
{
	*r = (struct of_rules){0};
}

void of_rules_fini(struct of_rules *r)
{
	free(r->rules);
	*r = (struct of_rules){0};
}

int of_rules_add(struct of_rules *r, const struct of_rule *rule)
{
	if (r->n == r->cap) {
		uint32_t cap = r->cap == 0 ? 32 : r->cap * 2;
		struct of_rule *more = reallocarray(r->rules, cap, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->rules = more;
		r->cap = cap;
	}
	r->rules[r->n++] = *rule;
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

int of_rules_sort(struct of_rules *r)
{
	const struct of_rule **order = calloc(r->n + 1U, sizeof(*order));
	struct of_rule *sorted = calloc(r->n + 1U, sizeof(*sorted));
	uint32_t n = 0;

	for (uint32_t i = 0; order != NULL && i < r->n; i++)
		order[i] = &r->rules[i];
	if (order == NULL || sorted == NULL) {
		free(order);
		free(sorted);
		return -ENOMEM;
	}
	qsort(order, r->n, sizeof(*order), compare_indirect);
	for (uint32_t i = 0; i < r->n; i++) {
		if (n == 0 || compare_names(&sorted[n - 1], order[i]) != 0)
			sorted[n++] = *order[i];
	}
	free(order);
	free(r->rules);
	r->rules = sorted;
	r->cap = r->n + 1;
	r->n = n;
	return 0;
}

static bool same_action(const struct of_action *x, const struct of_action *y)
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
		if (!same_action(&x->actions[i], &y->actions[i]))
			return false;
	}
	return true;
}

void of_rules_diff(const struct of_rules *have, const struct of_rules *want,
		   void (*fn)(void *ctx, enum of_rules_change change, const struct of_rule *rule), void *ctx)
{
	uint32_t h = 0;

	for (uint32_t w = 0; w < want->n; w++) {
		int cmp = 1;

		while (h < have->n && (cmp = compare_names(&have->rules[h], &want->rules[w])) < 0)
			h++;
		if (h == have->n || cmp != 0)
			fn(ctx, OF_RULE_ADD, &want->rules[w]);
		else if (!same_instructions(&have->rules[h].instructions, &want->rules[w].instructions) ||
			 have->rules[h].cookie != want->rules[w].cookie)
			fn(ctx, OF_RULE_MODIFY, &want->rules[w]);
	}
	for (uint32_t w = 0, i = 0; i < have->n; i++) {
		while (w < want->n && compare_names(&want->rules[w], &have->rules[i]) < 0)
			w++;
		if (w == want->n || compare_names(&want->rules[w], &have->rules[i]) != 0)
			fn(ctx, OF_RULE_DELETE, &have->rules[i]);
	}
}

void of_rule_message(enum of_rules_change change, const struct of_rule *rule, struct of_msg *m)
{
	struct of_flow_mod *f = &m->flow_mod;

	memset(m, 0, sizeof(*m));
	m->type = OF_FLOW_MOD;
	f->match = rule->match;
	f->priority = rule->priority;
	f->table = rule->table;
	f->cookie = rule->cookie;
	f->hard_s = rule->hard_s;
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
