// SPDX-License-Identifier: Apache-2.0
// `pane-bench compile --dump`: the flat table in force at time 0, for any other program to check. A packet's action is
// that of the first line one of whose groups holds it; without one it is forwarded, best effort.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "control/engine.h"
#include "control/ip_list.h"
#include "control/policy.h"
#include "control/request.h"
#include "control/state.h"
#include "control/user.h"
#include "hft/compile.h"
#include "hft/condense.h"

static json_t *ids_json(const struct idset *set)
{
	json_t *out = json_array();

	for (unsigned int i = 0; i < set->n; i++)
		json_array_append_new(out, json_integer((json_int_t)set->id[i]));
	return out;
}

static const struct ip_list *addresses_of(const struct state *s, uint64_t id)
{
	const struct request *r = request_find(&s->requests, id);

	return r == NULL ? NULL : r->addresses;
}

static json_t *avoid_json(const struct state *s, const struct idset *avoids)
{
	struct ip_list *all = NULL;
	json_t *out;

	for (unsigned int i = 0; i < avoids->n; i++) {
		const struct ip_list *list = addresses_of(s, avoids->id[i]);

		for (uint32_t k = 0; list != NULL && k < list->n; k++)
			ip_list_add(&all, &list->at[k]);
	}
	if (all != NULL)
		ip_list_make_set(all);
	out = all == NULL ? json_array() : ip_list_json(all);
	ip_list_unref(all);
	return out;
}

static const char *user_name(void *ctx, uint32_t number)
{
	const struct user *user = users_at(ctx, number);

	return user == NULL ? NULL : user->name;
}

static int print_row(const struct state *s, const struct row *row)
{
	static const char *const access[] = {[ACCESS_NONE] = "none", [ACCESS_ALLOW] = "allow", [ACCESS_DENY] = "deny"};
	const struct ip_list *way = row->action.waypoint == 0 ? NULL : addresses_of(s, row->action.waypoint);
	void *users = (void *)(uintptr_t)&s->users;
	size_t len = box_format(&row->box, user_name, users, NULL, 0);
	char *group = malloc(len + 1);
	json_t *out;

	if (group == NULL)
		return -ENOMEM;
	box_format(&row->box, user_name, users, group, len + 1);
	out = json_pack("{s:[s], s:s, s:o, s:o, s:o, s:o}", "groups", group, "access", access[row->action.access],
			"reservations", ids_json(&row->action.reservations), "limits", ids_json(&row->action.limits),
			"waypoints", way == NULL ? json_array() : ip_list_json(way), "avoid",
			avoid_json(s, &row->action.avoids));
	free(group);
	if (out == NULL)
		return -ENOMEM;
	json_dumpf(out, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(out);
	return 0;
}

static int print_table(const struct state *s, const struct flowtab *table)
{
	int ret = 0;

	for (uint32_t i = 0; i < table->n_rows && ret == 0; i++) {
		const struct row *row = &table->rows[i];

		if (box_start_ns(&row->box) <= 0)
			ret = print_row(s, row);
	}
	return ret;
}

int bench_dump(const char *path, struct err *err)
{
	struct bench_policy policy = {0};
	struct flowtab table;
	struct tree tree;
	int ret = bench_policy_load(path, &policy, err);

	tree_init(&tree);
	flowtab_init(&table);
	if (ret == 0) {
		ret = policy_build_ways(engine_state(policy.engine), 0, &tree);
		if (ret < 0)
			err_set(err, -ret, "policy tree: %s", strerror(-ret));
	}
	if (ret == 0)
		ret = hft_compile(&tree, 0, COMPILE_ROWS_MAX, &table, err);
	if (ret == 0 && (condense(&table) < 0 || print_table(engine_state(policy.engine), &table) < 0))
		ret = err_set(err, ENOMEM, "out of memory");
	flowtab_fini(&table);
	tree_fini(&tree);
	bench_policy_free(&policy);
	return ret;
}
