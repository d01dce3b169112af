// SPDX-License-Identifier: Apache-2.0
#include "queue_book.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define NS_PER_S 1000000000

struct round {
	struct queue_entry *entry;
	uint32_t n, cap;
};

struct port {
	struct round shown, next; // the last complete one, and the one that comes
	uint32_t at;              // entries of shown before it are not in next again
	struct proto_port_queues told;
	uint64_t late_us;
	bool any; // a round was complete
};

struct queue_book {
	struct port port[QUEUE_PORTS_MAX];
};

struct queue_book *queue_book_create(void)
{
	return calloc(1, sizeof(struct queue_book));
}

void queue_book_forget(struct queue_book *book)
{
	for (int i = 0; i < QUEUE_PORTS_MAX; i++) {
		free(book->port[i].shown.entry);
		free(book->port[i].next.entry);
		book->port[i] = (struct port){0};
	}
}

void queue_book_destroy(struct queue_book *book)
{
	if (book == NULL)
		return;
	queue_book_forget(book);
	free(book);
}

static struct queue_entry *entry_add(struct round *r)
{
	if (r->n == r->cap) {
		uint32_t cap = r->cap == 0 ? 16 : 2 * r->cap;
		struct queue_entry *entry = reallocarray(r->entry, cap, sizeof(*entry));

		if (entry == NULL)
			return NULL;
		r->entry = entry;
		r->cap = cap;
	}
	return &r->entry[r->n++];
}

static uint64_t drops_of(const struct proto_queue *q)
{
	uint64_t sum = 0;

	for (int i = 0; i < PROTO_QUEUE_DROPS; i++)
		sum += q->dropped[i];
	return sum;
}

// The same queue in the round before: both come in the same order. NULL: it is new.
static const struct proto_queue *before(struct port *p, uint32_t number)
{
	uint32_t place = number & PROTO_QUEUE_PLACE;

	while (p->at < p->shown.n && (p->shown.entry[p->at].told.number & PROTO_QUEUE_PLACE) < place)
		p->at++;
	if (p->at == p->shown.n || p->shown.entry[p->at].told.number != number)
		return NULL;
	return &p->shown.entry[p->at].told;
}

static void add(struct port *p, const struct proto_queue *q)
{
	struct queue_entry *e = entry_add(&p->next);
	const struct proto_queue *old;
	uint64_t ns;

	if (e == NULL)
		return;
	*e = (struct queue_entry){.told = *q};
	old = before(p, q->number);
	ns = old != NULL && q->time_ns > old->time_ns ? q->time_ns - old->time_ns : 0;
	if (ns == 0 || q->bytes < old->bytes || drops_of(q) < drops_of(old))
		return; // new: a rate there will be with the next round
	e->rate_bps = (uint64_t)((u128)(q->bytes - old->bytes) * 8 * NS_PER_S / ns);
	e->drop_pps = (uint64_t)((u128)(drops_of(q) - drops_of(old)) * NS_PER_S / ns);
}

static void complete(struct port *p, const struct proto_port_queues *told)
{
	struct round old = p->shown;

	p->shown = p->next;
	p->next = (struct round){.entry = old.entry, .cap = old.cap};
	p->late_us =
		p->any && told->held_back_us > p->told.held_back_us ? told->held_back_us - p->told.held_back_us : 0;
	p->told = *told;
	p->at = 0;
	p->any = true;
}

bool queue_book_tell(struct queue_book *book, const struct proto_queues *queues)
{
	struct port *p;

	if (queues->port >= QUEUE_PORTS_MAX)
		return false;
	p = &book->port[queues->port];
	for (unsigned int i = 0; i < queues->n; i++)
		add(p, &queues->queue[i]);
	if (queues->is_end)
		complete(p, &queues->of_port);
	return queues->is_end;
}

struct queue_port queue_book_port(const struct queue_book *book, uint16_t port)
{
	const struct port *p;

	if (port >= QUEUE_PORTS_MAX)
		return (struct queue_port){0};
	p = &book->port[port];
	return (struct queue_port){.entry = p->shown.entry, .n = p->shown.n, .told = p->told, .late_us = p->late_us};
}
