// SPDX-License-Identifier: Apache-2.0
// Registered users and what the network binds to them. A user's number is what the user fields of hft/match.h hold:
// root is 1, the others follow in order of AddUser, 0 is nobody. A number stands for a name for ever: a user who is
// dropped and added again is the same one to the flow groups that name him, without what was taken.
// Owner: struct state. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"
#include "name_map.h"
#include "statement.h"

#define USER_ROOT "root"
#define USER_NUMBER_ROOT 1

struct user {
	char name[NAME_MAX_LEN];
	uint32_t number;
	bool dropped;           // known to flow groups and old requests only
	struct match *bindings; // each one address, as a flow group on the source side
	uint32_t n_bindings, cap_bindings;
	uint32_t n_open; // accepted requests of this user that are not over
};

struct users {
	struct user **all; // user number n is all[n - 1]
	uint32_t n, cap;
	struct name_map by_name;
};

int users_init(struct users *users); // with root; 0 or -ENOMEM
void users_fini(struct users *users);
struct user *users_find(const struct users *users, const char *name);    // NULL when not registered
const struct user *users_at(const struct users *users, uint32_t number); // NULL when there is none
int users_add(struct users *users, const char *name);                    // 0, -EEXIST or -ENOMEM
void users_drop(struct user *user);                                      // and all bindings; not root

// Binds an address. 1: the user had it already, nothing changed; 0: done; -EEXIST: another user has it; -ENOMEM.
int users_bind(struct users *users, struct user *user, const struct match *where);
// Another user than `but` whose binding excludes this one, or NULL.
const struct user *users_owner(const struct users *users, const struct user *but, const struct match *where);
// Takes one address away, or all (where NULL). -ENOENT: the user has no such binding.
int users_unbind(struct user *user, const struct match *where);
