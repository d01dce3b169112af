// SPDX-License-Identifier: Apache-2.0
#include "of_groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void of_groups_init(struct of_groups *g)
{
	*g = (struct of_groups){0};
}

void of_groups_fini(struct of_groups *g)
{
	free(g->groups);
	*g = (struct of_groups){0};
}

// Of the first one whose id is not lower.
static uint32_t place_of(const struct of_groups *g, uint32_t id)
{
	uint32_t low = 0, high = g->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (g->groups[mid].what.group < id)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct of_group *of_groups_find(const struct of_groups *g, uint32_t id)
{
	uint32_t at = place_of(g, id);

	return at < g->n && g->groups[at].what.group == id ? &g->groups[at] : NULL;
}

static int make_room(struct of_groups *g)
{
	uint32_t cap = g->cap == 0 ? 4 : g->cap * 2;
	struct of_group *more;

	if (g->n < g->cap)
		return 0;
	more = reallocarray(g->groups, cap, sizeof(*more));
	if (more == NULL)
		return -ENOMEM;
	g->groups = more;
	g->cap = cap;
	return 0;
}

int of_groups_set(struct of_groups *g, const struct of_group_mod *what)
{
	uint32_t at = place_of(g, what->group);

	if (at < g->n && g->groups[at].what.group == what->group) {
		g->groups[at] = (struct of_group){.what = *what};
		return 0;
	}
	if (make_room(g) < 0)
		return -ENOMEM;
	memmove(&g->groups[at + 1], &g->groups[at], (g->n - at) * sizeof(*g->groups));
	g->groups[at] = (struct of_group){.what = *what};
	g->n++;
	return 0;
}

int of_groups_add(struct of_groups *g, const struct of_group_mod *what)
{
	if (g->n >= OF_GROUPS_MAX)
		return -E2BIG;
	if (make_room(g) < 0)
		return -ENOMEM;
	g->groups[g->n++] = (struct of_group){.what = *what};
	return 0;
}

static int compare_indirect(const void *a, const void *b)
{
	const struct of_group *const *x = a, *const *y = b;

	if ((*x)->what.group != (*y)->what.group)
		return (*x)->what.group < (*y)->what.group ? -1 : 1;
	return *x < *y ? -1 : *x > *y;
}

int of_groups_sort(struct of_groups *g)
{
	const struct of_group **order = calloc(g->n + 1U, sizeof(*order));
	struct of_group *sorted = calloc(g->n + 1U, sizeof(*sorted));
	uint32_t n = 0;

	for (uint32_t i = 0; order != NULL && i < g->n; i++)
		order[i] = &g->groups[i];
	if (order == NULL || sorted == NULL) {
		free(order);
		free(sorted);
		return -ENOMEM;
	}
	qsort(order, g->n, sizeof(*order), compare_indirect);
	for (uint32_t i = 0; i < g->n; i++) {
		n -= n > 0 && sorted[n - 1].what.group == order[i]->what.group;
		sorted[n++] = *order[i];
	}
	free(order);
	free(g->groups);
	g->groups = sorted;
	g->cap = g->n + 1;
	g->n = n;
	return 0;
}

void of_groups_del(struct of_groups *g, uint32_t id)
{
	uint32_t at = place_of(g, id);

	if (at == g->n || g->groups[at].what.group != id)
		return;
	g->n--;
	memmove(&g->groups[at], &g->groups[at + 1], (g->n - at) * sizeof(*g->groups));
}

static bool same_bucket(const struct of_bucket *a, const struct of_bucket *b)
{
	if (a->weight != b->weight || a->watch_port != b->watch_port || a->watch_group != b->watch_group ||
	    a->n_actions != b->n_actions)
		return false;
	for (unsigned int i = 0; i < a->n_actions; i++) {
		if (!of_action_same(&a->actions[i], &b->actions[i]))
			return false;
	}
	return true;
}

bool of_group_same(const struct of_group_mod *a, const struct of_group_mod *b)
{
	if (a->type != b->type || a->n_buckets != b->n_buckets)
		return false;
	for (unsigned int i = 0; i < a->n_buckets; i++) {
		if (!same_bucket(&a->buckets[i], &b->buckets[i]))
			return false;
	}
	return true;
}

void of_groups_diff(const struct of_groups *have, const struct of_groups *want,
		    void (*fn)(void *ctx, enum of_rules_change change, const struct of_group_mod *what), void *ctx)
{
	for (uint32_t i = 0; i < want->n; i++) {
		const struct of_group *old = of_groups_find(have, want->groups[i].what.group);

		if (old == NULL)
			fn(ctx, OF_RULE_ADD, &want->groups[i].what);
		else if (!of_group_same(&old->what, &want->groups[i].what))
			fn(ctx, OF_RULE_MODIFY, &want->groups[i].what);
	}
}

bool of_rules_use_group(const struct of_rules *rules, uint32_t group)
{
	for (uint32_t i = 0; i < rules->n; i++) {
		const struct of_instructions *todo = &rules->rules[i].instructions;

		for (uint8_t k = 0; k < todo->n_actions; k++) {
			if (todo->actions[k].type == OF_ACT_GROUP && todo->actions[k].group == group)
				return true;
		}
	}
	return false;
}

void of_group_message(enum of_rules_change change, const struct of_group_mod *what, struct of_msg *m)
{
	static const uint16_t commands[] = {[OF_RULE_ADD] = 0, [OF_RULE_MODIFY] = 1, [OF_RULE_DELETE] = 2};

	memset(m, 0, sizeof(*m));
	m->type = OF_GROUP_MOD;
	m->group_mod = *what;
	m->group_mod.command = commands[change];
	if (change == OF_RULE_DELETE)
		m->group_mod.n_buckets = 0;
}
