// SPDX-License-Identifier: Apache-2.0
// Pairs of a number and a queue, sorted by number: neighbours are added up.
#include "queue_sums.h"

#include <stdlib.h>

#include "answer.h"
#include "queue_book.h"

struct pairs {
	struct pair {
		uint64_t id;
		const struct queue_entry *entry;
	} * pair;
	size_t n, cap;
	bool failed;
	struct queue_sum *sum;
	size_t n_sums;
};

struct queue_sums {
	struct pairs requests, shares;
	const struct share_tree *tree;
	struct place { // of tree->by_number
		uint64_t promised_bps;
		uint32_t seen; // the queue that was added to it last
	} * place;
	uint32_t queue; // that is being added: 1, 2, ...
};

static void pair_add(struct pairs *p, uint64_t id, const struct queue_entry *entry)
{
	if (p->n == p->cap) {
		size_t cap = p->cap == 0 ? 64 : 2 * p->cap;
		struct pair *pair = reallocarray(p->pair, cap, sizeof(*pair));

		p->failed |= pair == NULL;
		if (pair == NULL)
			return;
		p->pair = pair;
		p->cap = cap;
	}
	p->pair[p->n++] = (struct pair){id, entry};
}

// Each share once for a queue: above one that was seen, all were.
static void ancestors_add(struct queue_sums *sums, const struct share *share, const struct queue_entry *entry)
{
	for (; share != NULL; share = share->parent) {
		struct place *place = &sums->place[share_place(sums->tree, share)];

		if (place->seen == sums->queue)
			return;
		place->seen = sums->queue;
		pair_add(&sums->shares, share->number, entry);
	}
}

static void requests_add(const struct state *s, struct queue_sums *sums, const struct idset *ids,
			 const struct queue_entry *entry)
{
	for (unsigned int i = 0; i < ids->n; i++) {
		const struct request *r = request_find(&s->requests, ids->id[i]);

		if (r == NULL)
			continue;
		pair_add(&sums->requests, r->id, entry);
		ancestors_add(sums, r->share, entry);
	}
}

static int compare(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static void sum_add(struct queue_sum *sum, const struct queue_entry *e)
{
	sum->n_queues++;
	sum->rate_bps += e->rate_bps;
	sum->backlog_bytes += e->told.backlog_bytes;
	sum->marked += e->told.marked;
	for (int i = 0; i < PROTO_QUEUE_DROPS; i++)
		sum->dropped += e->told.dropped[i];
	for (int i = 0; i < PROTO_QUEUE_PERCENTILES; i++) {
		if (e->told.delay_us[i] > sum->delay_us[i])
			sum->delay_us[i] = e->told.delay_us[i];
	}
}

static bool add_up(struct pairs *p)
{
	p->sum = calloc(p->n + 1, sizeof(*p->sum));
	if (p->sum == NULL || p->failed)
		return false;
	if (p->n > 0)
		qsort(p->pair, p->n, sizeof(*p->pair), compare);
	for (size_t i = 0; i < p->n; i++) {
		if (i == 0 || p->pair[i].id != p->pair[i - 1].id)
			p->sum[p->n_sums++].id = p->pair[i].id;
		sum_add(&p->sum[p->n_sums - 1], p->pair[i].entry);
	}
	return true;
}

static void port_add(const struct state *s, struct queue_sums *sums, uint16_t port)
{
	struct queue_port queues = queue_book_port(nib_queues(s->nib), port);

	for (uint32_t i = 0; i < queues.n; i++) {
		const struct queue_entry *e = &queues.entry[i];

		sums->queue++;
		ancestors_add(sums, share_at(&s->shares, e->told.node), e);
		requests_add(s, sums, &e->told.reservations, e);
		requests_add(s, sums, &e->told.limits, e);
	}
}

// What the network does not keep is promised no more.
static uint64_t promised_by(const struct share *share, int64_t now_ns)
{
	const struct request *r;
	uint64_t bps = 0;

	TAILQ_FOREACH (r, &share->requests, link) {
		if ((r->verb == VERB_RESERVE || r->verb == VERB_HINT) && r->start_ns <= now_ns && !r->unkept)
			bps = answer_sum(bps, r->rate_bps);
	}
	return bps;
}

// A share's number is higher than its parent's.
static void promises_add(struct queue_sums *sums, int64_t now_ns)
{
	const struct share_tree *tree = sums->tree;

	for (uint32_t i = tree->n_numbers; i-- > 0;) {
		const struct share *share = tree->by_number[i].share;
		struct place *place, *above;

		if (share == NULL)
			continue;
		place = &sums->place[i];
		place->promised_bps = answer_sum(place->promised_bps, promised_by(share, now_ns));
		if (share->parent != NULL) {
			above = &sums->place[share_place(tree, share->parent)];
			above->promised_bps = answer_sum(above->promised_bps, place->promised_bps);
		}
	}
}

struct queue_sums *queue_sums_create(const struct state *s)
{
	struct queue_sums *sums = calloc(1, sizeof(*sums));

	if (sums == NULL)
		return NULL;
	sums->tree = &s->shares;
	sums->place = calloc(s->shares.n_numbers, sizeof(*sums->place)); // the root is always there
	if (sums->place == NULL) {
		free(sums);
		return NULL;
	}
	promises_add(sums, s->now_ns);
	for (size_t p = 0; p < nib_n_ports(s->nib); p++)
		port_add(s, sums, nib_port_at(s->nib, p)->port);
	if (add_up(&sums->requests) && add_up(&sums->shares))
		return sums;
	queue_sums_destroy(sums);
	return NULL;
}

void queue_sums_destroy(struct queue_sums *sums)
{
	if (sums == NULL)
		return;
	free(sums->requests.pair);
	free(sums->requests.sum);
	free(sums->shares.pair);
	free(sums->shares.sum);
	free(sums->place);
	free(sums);
}

static struct queue_sum find(const struct pairs *p, uint64_t id)
{
	size_t lo = 0, hi = p->n_sums;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (p->sum[mid].id < id)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < p->n_sums && p->sum[lo].id == id ? p->sum[lo] : (struct queue_sum){.id = id};
}

struct queue_sum queue_sums_request(const struct queue_sums *sums, uint64_t id)
{
	return find(&sums->requests, id);
}

struct queue_sum queue_sums_share(const struct queue_sums *sums, const struct share *share)
{
	struct queue_sum sum = find(&sums->shares, share->number);

	sum.promised_bps = sums->place[share_place(sums->tree, share)].promised_bps;
	return sum;
}
