// SPDX-License-Identifier: Apache-2.0
#include "delta.h"

#include <stdlib.h>

// The array with room for one more of n; NULL: nothing is to be noted, or all has changed.
static void *reserve(struct delta *d, void *array, size_t size, size_t n, size_t *cap)
{
	size_t next = *cap == 0 ? 64 : *cap * 2;

	if (!d->on || d->all)
		return NULL;
	if (n < *cap)
		return array;
	array = reallocarray(array, next, size);
	if (array == NULL)
		d->all = true; // what was there stays the owner's
	else
		*cap = next;
	return array;
}

void delta_request(struct delta *d, uint64_t id)
{
	uint64_t *requests = reserve(d, d->requests, sizeof(*requests), d->n_requests, &d->cap_requests);

	if (requests == NULL)
		return;
	d->requests = requests;
	d->requests[d->n_requests++] = id;
}

void delta_share(struct delta *d, uint32_t number)
{
	uint32_t *shares = reserve(d, d->shares, sizeof(*shares), d->n_shares, &d->cap_shares);

	if (shares == NULL)
		return;
	d->shares = shares;
	d->shares[d->n_shares++] = number;
}

void delta_take(struct delta *d, struct delta *out)
{
	*out = *d;
	out->all = d->all || !d->on;
	*d = (struct delta){.on = true};
}

void delta_fini(struct delta *d)
{
	free(d->requests);
	free(d->shares);
	*d = (struct delta){0};
}
