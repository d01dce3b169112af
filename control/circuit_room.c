// SPDX-License-Identifier: Apache-2.0
// What ports have room for.
#include "circuit_priv.h"

const struct demand *circuit_demand(const struct circuit_place *p, uint64_t id)
{
	return p->probe != NULL && id == p->probe->id ? p->probe : demands_find(&p->in->policy->demands, id);
}

static uint64_t rates_at(const struct circuits *c, uint32_t sw, uint32_t port, int64_t at_ns)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < c->n_holds; i++) {
		const struct circuit_hold *h = &c->holds[i];

		if (h->sw == sw && h->port == port && h->start_ns <= at_ns && h->end_ns > at_ns)
			sum += h->rate_bps;
	}
	return sum;
}

bool circuit_holds(const struct circuits *c, uint64_t id, uint32_t sw, uint32_t port)
{
	for (uint32_t i = 0; i < c->n_holds; i++) {
		if (c->holds[i].id == id && c->holds[i].sw == sw && c->holds[i].port == port)
			return true;
	}
	return false;
}

bool circuit_has_failed(const struct circuits *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->n_failures; i++) {
		if (c->failures[i].id == id)
			return true;
	}
	return false;
}

static bool is_of_row(const struct circuit_place *p, uint64_t id)
{
	for (unsigned int i = 0; i < p->ids.n; i++) {
		if (p->ids.id[i] == id)
			return true;
	}
	return false;
}

// What older requests had of the port before, and may be about to get again: rows of younger ones can come first.
static uint64_t promised_at(const struct circuit_place *p, uint32_t sw, uint32_t port, int64_t at_ns, uint64_t younger)
{
	const struct circuits *before = p->in->before;
	uint64_t sum = 0;

	for (uint32_t i = 0; before != NULL && i < before->n_holds; i++) {
		const struct circuit_hold *h = &before->holds[i];

		if (h->sw == sw && h->port == port && h->start_ns <= at_ns && h->end_ns > at_ns && h->id < younger &&
		    !is_of_row(p, h->id) && !circuit_holds(p->c, h->id, sw, port) &&
		    demands_find(&p->in->policy->demands, h->id) != NULL && !circuit_has_failed(before, h->id))
			sum += h->rate_bps;
	}
	return sum;
}

// What the row's reservations would add to those that hold the port; *youngest: the last one of them.
static uint64_t added_at(const struct circuit_place *p, uint32_t sw, uint32_t port, int64_t at_ns, uint64_t *youngest)
{
	uint64_t sum = 0;

	*youngest = 0;

	for (unsigned int i = 0; i < p->ids.n; i++) {
		const struct demand *d = circuit_demand(p, p->ids.id[i]);

		if (d == NULL || d->kind != DEMAND_RESERVE || d->start_ns > at_ns || d->end_ns <= at_ns ||
		    circuit_holds(p->c, d->id, sw, port))
			continue;
		sum += d->rate_bps < UINT64_MAX - sum ? d->rate_bps : UINT64_MAX - sum;
		*youngest = d->id > *youngest ? d->id : *youngest;
	}
	return sum;
}

static bool fits_at(const struct circuit_place *p, uint32_t sw, uint32_t port, uint64_t speed, int64_t at_ns)
{
	uint64_t youngest, added = added_at(p, sw, port, at_ns, &youngest), held;

	if (added == 0)
		return true;
	held = rates_at(p->c, sw, port, at_ns) + promised_at(p, sw, port, at_ns, youngest);
	return held <= speed && added <= speed - held;
}

// Of the bridge's ports only what is configured is known: then their other end counts.
static uint64_t speed_of(const struct topo *t, uint32_t sw, const struct topo_port *port)
{
	uint32_t peer, peer_port;

	if (port->speed_bps != 0 || sw != t->bridge || !topo_link(t, sw, port->no, &peer, &peer_port))
		return port->speed_bps;
	return topo_port(t, peer, peer_port)->speed_bps;
}

// The sum of rates only rises where a hold or a reservation starts.
bool circuit_has_room(struct circuit_place *p, uint32_t sw, uint32_t port)
{
	const struct topo_port *link = topo_port(p->in->topo, sw, port);
	uint64_t speed = link == NULL ? 0 : speed_of(p->in->topo, sw, link);
	bool fits = true;

	if (speed == 0)
		return true;
	for (unsigned int i = 0; i < p->ids.n && fits; i++) {
		const struct demand *d = circuit_demand(p, p->ids.id[i]);

		fits = d == NULL || fits_at(p, sw, port, speed, d->start_ns);
	}
	for (uint32_t i = 0; i < p->c->n_holds && fits; i++) {
		const struct circuit_hold *h = &p->c->holds[i];

		fits = h->sw != sw || h->port != port || fits_at(p, sw, port, speed, h->start_ns);
	}
	p->full |= !fits;
	return fits;
}
