// SPDX-License-Identifier: Apache-2.0
#include "user.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void user_destroy(struct user *user)
{
	if (user == NULL)
		return;
	for (uint32_t i = 0; i < user->n_bindings; i++)
		match_fini(&user->bindings[i]);
	free(user->bindings);
	free(user);
}

int users_init(struct users *users)
{
	memset(users, 0, sizeof(*users));
	name_map_init(&users->by_name);
	return users_add(users, USER_ROOT);
}

void users_fini(struct users *users)
{
	for (uint32_t i = 0; i < users->n; i++)
		user_destroy(users->all[i]);
	free(users->all);
	name_map_fini(&users->by_name);
	memset(users, 0, sizeof(*users));
}

struct user *users_find(const struct users *users, const char *name)
{
	struct user *user = name_map_find(&users->by_name, name);

	return user == NULL || user->dropped ? NULL : user;
}

const struct user *users_at(const struct users *users, uint32_t number)
{
	return number == 0 || number > users->n ? NULL : users->all[number - 1];
}

int users_add(struct users *users, const char *name)
{
	struct user *user = name_map_find(&users->by_name, name);
	int rc;

	if (user != NULL) {
		rc = user->dropped ? 0 : -EEXIST;
		user->dropped = false;
		return rc;
	}
	if (users->n == users->cap) {
		uint32_t cap = users->cap == 0 ? 16 : users->cap * 2;
		struct user **all = realloc(users->all, cap * sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		users->all = all;
		users->cap = cap;
	}
	user = calloc(1, sizeof(*user));
	if (user == NULL)
		return -ENOMEM;
	strncpy(user->name, name, sizeof(user->name) - 1);
	user->number = users->n + 1;
	rc = name_map_add(&users->by_name, user->name, user);
	if (rc < 0) {
		user_destroy(user);
		return rc;
	}
	users->all[users->n++] = user;
	return 0;
}

void users_drop(struct user *user)
{
	if (user->n_bindings > 0)
		users_unbind(user, NULL);
	user->dropped = true;
}

// A MAC and an IP address do not exclude one another: a host has both.
static bool same_kind_of_address(const struct match *a, const struct match *b)
{
	const struct span *a_eth = &a->boxes[0].f[MATCH_SRC_ETH];
	const struct span *b_eth = &b->boxes[0].f[MATCH_SRC_ETH];
	uint64_t max = match_field_max(MATCH_SRC_ETH);
	bool a_any = a_eth->lo == 0 && a_eth->hi == max;
	bool b_any = b_eth->lo == 0 && b_eth->hi == max;

	return a_any == b_any;
}

const struct user *users_owner(const struct users *users, const struct user *but, const struct match *where)
{
	for (uint32_t i = 0; i < users->n; i++)
		for (uint32_t b = 0; b < users->all[i]->n_bindings; b++)
			if (users->all[i] != but && same_kind_of_address(&users->all[i]->bindings[b], where) &&
			    match_overlaps(&users->all[i]->bindings[b], where))
				return users->all[i];
	return NULL;
}

int users_bind(struct users *users, struct user *user, const struct match *where)
{
	struct match copy;

	for (uint32_t i = 0; i < users->n; i++)
		for (uint32_t b = 0; b < users->all[i]->n_bindings; b++) {
			const struct match *other = &users->all[i]->bindings[b];

			if (!same_kind_of_address(other, where) || !match_overlaps(other, where))
				continue;
			if (users->all[i] != user)
				return -EEXIST;
			if (match_equal(other, where))
				return 1;
		}
	if (user->n_bindings == user->cap_bindings) {
		uint32_t cap = user->cap_bindings == 0 ? 4 : user->cap_bindings * 2;
		struct match *bindings = realloc(user->bindings, cap * sizeof(*bindings));

		if (bindings == NULL)
			return -ENOMEM;
		user->bindings = bindings;
		user->cap_bindings = cap;
	}
	match_init(&copy);
	if (match_copy(&copy, where) < 0)
		return -ENOMEM;
	match_move(&user->bindings[user->n_bindings++], &copy);
	return 0;
}

int users_unbind(struct user *user, const struct match *where)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < user->n_bindings; i++) {
		if (where == NULL || match_equal(&user->bindings[i], where)) {
			match_fini(&user->bindings[i]);
			continue;
		}
		if (kept != i)
			match_move(&user->bindings[kept], &user->bindings[i]);
		kept++;
	}
	if (kept == user->n_bindings)
		return -ENOENT;
	user->n_bindings = kept;
	return 0;
}
