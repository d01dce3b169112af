// SPDX-License-Identifier: Apache-2.0
#include "promise.h"

#include <stdlib.h>
#include <string.h>

#include "queue_book.h"
#include "queue_sums.h"
#include "state.h"

#define LATE_US 10000 // in a round of a second: a hundredth less than promised
#define GOOD_ROUNDS 3 // before it is said to be over

void promises_fini(struct promises *p)
{
	free(p->behind);
	*p = (struct promises){0};
}

// The first that is not before this one: they are in order.
static size_t place_of(const struct promises *p, uint64_t id, uint16_t port)
{
	size_t lo = 0, hi = p->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->behind[mid].id < id || (p->behind[mid].id == id && p->behind[mid].port < port))
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static const char *name_of(const struct state *s, uint16_t port)
{
	const struct nib_port *known = nib_port_find(s->nib, port);

	return known != NULL ? known->name : "";
}

// Out of memory: it is tried again with the next round.
static void is_behind(struct state *s, const struct request *r, uint16_t port, uint64_t received_bps)
{
	struct promises *p = &s->promises;
	size_t at = place_of(p, r->id, port);
	struct promise *known = at < p->n ? &p->behind[at] : NULL, *behind;

	if (known != NULL && known->id == r->id && known->port == port) {
		if (known->good_rounds == 0)
			return; // another queue of this round
		// twice, else it is but a worker that had to wait for its core
		known->good_rounds = 0;
		if (!known->told)
			event_degraded(s, r, name_of(s, port), received_bps);
		known->told = true;
		return;
	}
	if (p->n == p->cap) {
		behind = reallocarray(p->behind, 2 * p->cap + 64, sizeof(*behind));
		if (behind == NULL)
			return;
		p->behind = behind;
		p->cap = 2 * p->cap + 64;
	}
	memmove(p->behind + at + 1, p->behind + at, (p->n++ - at) * sizeof(*behind));
	p->behind[at] = (struct promise){.id = r->id, .port = port};
}

// Of a queue that waits: a reservation of it that got less than its rate.
static void look_at(struct state *s, const struct queue_entry *e, uint16_t port, const struct queue_sums *sums)
{
	for (unsigned int i = 0; i < e->told.reservations.n; i++) {
		const struct request *r = request_find(&s->requests, e->told.reservations.id[i]);
		uint64_t received_bps;

		if (r == NULL)
			continue;
		received_bps = queue_sums_request(sums, r->id).rate_bps;
		if (received_bps < r->rate_bps)
			is_behind(s, r, port, received_bps);
	}
}

static void forgive(struct state *s, uint16_t port)
{
	struct promises *p = &s->promises;
	size_t kept = 0;

	for (size_t i = 0; i < p->n; i++) {
		struct promise b = p->behind[i];
		const struct request *r = request_find(&s->requests, b.id);

		if (r == NULL || (b.port == port && b.good_rounds > 0 && !b.told))
			continue;
		if (b.port != port || b.good_rounds++ < GOOD_ROUNDS)
			p->behind[kept++] = b;
		else
			event_recovered(s, r, name_of(s, port));
	}
	p->n = kept;
}

void promises_round(struct state *s, uint16_t port)
{
	struct queue_port queues = queue_book_port(nib_queues(s->nib), port);
	struct queue_sums *sums = queues.late_us < LATE_US ? NULL : queue_sums_create(s);

	for (uint32_t i = 0; i < queues.n && sums != NULL; i++) {
		if (queues.entry[i].told.backlog_packets > 0)
			look_at(s, &queues.entry[i], port, sums);
	}
	queue_sums_destroy(sums);
	if (s->promises.n > 0)
		forgive(s, port);
}
