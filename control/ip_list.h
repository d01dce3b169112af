// SPDX-License-Identifier: Apache-2.0
// Addresses of middleboxes: what a share may route through or around (a set), and what a request does (SPEC 3, 4).
// Shared by reference once built; NULL is the empty list. Thread: control only.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"

struct ip_addr {
	u128 addr; // as in hft/match.h
	bool ip6;
};

struct ip_list {
	uint32_t refs;
	uint32_t n, cap;
	bool any; // `*`: every address; n is 0
	struct ip_addr at[];
};

// Grows *list (NULL at first), which nobody else may refer to. 0 or -ENOMEM (*list is as it was).
int ip_list_add(struct ip_list **list, const struct ip_addr *addr);
struct ip_list *ip_list_any(void);          // NULL when out of memory
void ip_list_make_set(struct ip_list *set); // sorts, each address once; needed of every set below
struct ip_list *ip_list_ref(struct ip_list *list);
void ip_list_unref(struct ip_list *list);

bool ip_list_equal(const struct ip_list *a, const struct ip_list *b); // also in order
bool ip_list_has(const struct ip_list *set, const struct ip_addr *addr);
// The first address of the list that is not in the set, NULL: all are. A list of any address needs a set of any.
const struct ip_addr *ip_list_outside(const struct ip_list *list, const struct ip_list *set);
// The first address of the list that is in the set, or NULL.
const struct ip_addr *ip_list_inside(const struct ip_list *list, const struct ip_list *set);

struct ip_text {
	char text[48];
};
struct ip_text ip_addr_text(const struct ip_addr *addr);
json_t *ip_list_json(const struct ip_list *list); // array of texts, or "*"
