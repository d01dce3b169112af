// SPDX-License-Identifier: Apache-2.0
#include "demand.h"

#include <errno.h>
#include <stdlib.h>

void demands_init(struct demands *d)
{
	*d = (struct demands){0};
}

void demands_fini(struct demands *d)
{
	for (uint32_t i = 0; i < d->n; i++) {
		match_fini(&d->all[i].flows);
		ip_list_unref(d->all[i].addresses);
	}
	free(d->all);
	*d = (struct demands){0};
}

int demands_add(struct demands *d, struct demand *demand)
{
	if (d->n == d->cap) {
		uint32_t cap = d->cap == 0 ? 32 : d->cap * 2;
		struct demand *all = reallocarray(d->all, cap, sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		d->all = all;
		d->cap = cap;
	}
	d->all[d->n] = *demand;
	match_move(&d->all[d->n].flows, &demand->flows);
	d->all[d->n++].addresses = ip_list_ref(demand->addresses);
	return 0;
}

static int compare_ids(const void *a, const void *b)
{
	const struct demand *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

void demands_sort(struct demands *d)
{
	if (d->n > 1)
		qsort(d->all, d->n, sizeof(*d->all), compare_ids);
}

const struct demand *demands_find(const struct demands *d, uint64_t id)
{
	const struct demand key = {.id = id};

	return d->n == 0 ? NULL : bsearch(&key, d->all, d->n, sizeof(*d->all), compare_ids);
}
