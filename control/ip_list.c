// SPDX-License-Identifier: Apache-2.0
#include "ip_list.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int ip_list_add(struct ip_list **list, const struct ip_addr *addr)
{
	struct ip_list *l = *list;

	if (l == NULL || l->n == l->cap) {
		uint32_t cap = l == NULL ? 4 : l->cap * 2;
		struct ip_list *grown = realloc(l, sizeof(*l) + cap * sizeof(l->at[0]));

		if (grown == NULL)
			return -ENOMEM;
		if (l == NULL)
			*grown = (struct ip_list){.refs = 1};
		grown->cap = cap;
		l = *list = grown;
	}
	l->at[l->n++] = *addr;
	return 0;
}

struct ip_list *ip_list_any(void)
{
	struct ip_list *list = malloc(sizeof(*list));

	if (list != NULL)
		*list = (struct ip_list){.refs = 1, .any = true};
	return list;
}

static int compare(const void *a, const void *b)
{
	const struct ip_addr *x = a, *y = b;

	if (x->ip6 != y->ip6)
		return x->ip6 ? 1 : -1;
	return x->addr < y->addr ? -1 : x->addr > y->addr;
}

void ip_list_make_set(struct ip_list *set)
{
	uint32_t n = 0;

	if (set == NULL || set->n == 0)
		return;
	qsort(set->at, set->n, sizeof(set->at[0]), compare);
	for (uint32_t i = 0; i < set->n; i++)
		if (n == 0 || compare(&set->at[n - 1], &set->at[i]) != 0)
			set->at[n++] = set->at[i];
	set->n = n;
}

struct ip_list *ip_list_ref(struct ip_list *list)
{
	if (list != NULL)
		list->refs++;
	return list;
}

void ip_list_unref(struct ip_list *list)
{
	if (list != NULL && --list->refs == 0)
		free(list);
}

static uint32_t count(const struct ip_list *list)
{
	return list == NULL ? 0 : list->n;
}

static bool is_any(const struct ip_list *list)
{
	return list != NULL && list->any;
}

bool ip_list_equal(const struct ip_list *a, const struct ip_list *b)
{
	if (is_any(a) != is_any(b) || count(a) != count(b))
		return false;
	for (uint32_t i = 0; i < count(a); i++)
		if (compare(&a->at[i], &b->at[i]) != 0)
			return false;
	return true;
}

bool ip_list_has(const struct ip_list *set, const struct ip_addr *addr)
{
	return is_any(set) || (count(set) > 0 && bsearch(addr, set->at, set->n, sizeof(set->at[0]), compare) != NULL);
}

const struct ip_addr *ip_list_outside(const struct ip_list *list, const struct ip_list *set)
{
	static const struct ip_addr every = {0};

	if (is_any(list))
		return is_any(set) ? NULL : &every;
	for (uint32_t i = 0; i < count(list); i++)
		if (!ip_list_has(set, &list->at[i]))
			return &list->at[i];
	return NULL;
}

const struct ip_addr *ip_list_inside(const struct ip_list *list, const struct ip_list *set)
{
	for (uint32_t i = 0; i < count(list); i++)
		if (ip_list_has(set, &list->at[i]))
			return &list->at[i];
	return NULL;
}

struct ip_text ip_addr_text(const struct ip_addr *addr)
{
	struct ip_text out;
	uint8_t bytes[16];

	for (int i = 0; i < 16; i++)
		bytes[i] = (uint8_t)(addr->addr >> (120 - 8 * i));
	inet_ntop(addr->ip6 ? AF_INET6 : AF_INET, bytes, out.text, sizeof(out.text));
	return out;
}

json_t *ip_list_json(const struct ip_list *list)
{
	json_t *all = json_array();

	if (is_any(list)) {
		json_decref(all);
		return json_string("*");
	}
	for (uint32_t i = 0; i < count(list); i++)
		json_array_append_new(all, json_string(ip_addr_text(&list->at[i]).text));
	return all;
}
