// SPDX-License-Identifier: Apache-2.0
// Limits of OpenFlow 1.0, which has no meters: where a limited flow comes in, frames leave by a queue that has a most
// rate (ovsdb.h). A limit is divided among the switches and ports that it is kept at, so that it always bounds the
// aggregate; of several the tightest counts. What is flooded, to hosts that are not known yet, is not held back.
#include <stdlib.h>

#include <errno.h>
#include <inttypes.h>

#include "circuit.h"
#include "of_plan_priv.h"

#define QUEUE_LEAST_BPS 12000 // Open vSwitch: a whole frame a second

static bool is_among(const struct span128 *s, uint32_t ip4)
{
	return ip4 != 0 && s->lo <= match_ip4(ip4) && match_ip4(ip4) <= s->hi;
}

static bool knows_one(const struct topo *t, const struct box *box)
{
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (is_among(&box->dst, t->hosts[i].ip4))
			return true;
	}
	return false;
}

// Whether frames of the row may be sent to the address of this host: it has one of its destinations, or, as of a
// router, nobody is known to.
static bool may_get(const struct plan_row_queues *q, const struct box *box, const struct topo_host *host)
{
	return !q->has_known || is_among(&box->dst, host->ip4);
}

// The ports that frames of the row leave by.
static uint32_t count_ports(const struct plan *p, const struct plan_row_queues *q, const struct box *box)
{
	const struct topo *t = p->in->topo;
	bool *used = calloc(p->sw->n_ports + 1U, sizeof(*used));
	uint32_t n = 0;

	for (uint32_t i = 0; used != NULL && i < t->n_hosts; i++) {
		const struct topo_port *port =
			may_get(q, box, &t->hosts[i]) ? topo_port(t, p->idx, plan_port_to(p, &t->hosts[i])) : NULL;

		if (port == NULL || used[port - p->sw->ports])
			continue;
		used[port - p->sw->ports] = true;
		n++;
	}
	if (used == NULL)
		n = p->sw->n_ports; // a part too small keeps the limit, too
	free(used);
	return n == 0 ? 1 : n;
}

static const struct demand *tightest(const struct plan *p, const struct idset *limits)
{
	const struct demand *least = NULL;

	for (unsigned int i = 0; i < limits->n; i++) {
		const struct demand *d = demands_find(&p->in->policy->demands, limits->id[i]);

		if (d != NULL && (least == NULL || d->rate_bps < least->rate_bps))
			least = d;
	}
	return least;
}

// The least of what rows of the request ask of the port.
static bool need_queue(struct plan *p, uint32_t port)
{
	const struct plan_row_queues *q = &p->row_queues;
	uint64_t request = q->demand->id, max_bps = q->share_bps;
	struct of_plan_stats *s = p->stats;
	struct err err;

	for (uint32_t i = 0; i < s->n_queues; i++) {
		if (s->queues[i].request == request && s->queues[i].port == port) {
			if (max_bps < s->queues[i].max_bps)
				s->queues[i].max_bps = max_bps;
			return true;
		}
	}
	if (s->n_queues == OF_PLAN_QUEUES_MAX) {
		err_set(&err, ENOSPC, "request %" PRIu64 " would need more than %d queues", request,
			OF_PLAN_QUEUES_MAX);
		plan_row_unsaid(p, q->row, &err);
		return false;
	}
	s->queues[s->n_queues++] = (struct of_plan_queue){.request = request, .max_bps = max_bps, .port = port};
	return true;
}

// It is said all the same: what is 0 would be no limit.
static void note_low(struct plan *p, const struct row *row, const struct demand *d)
{
	struct err err;

	err_set(&err, ERANGE, "request %" PRIu64 ", divided among ports, is below the %d bit/s of a queue", d->id,
		QUEUE_LEAST_BPS);
	plan_row_unsaid(p, row, &err);
}

// Looked at once for a row, however many hosts there are.
static void begin_row(struct plan *p, const struct row *row)
{
	struct plan_row_queues *q = &p->row_queues;

	*q = (struct plan_row_queues){.row = row};
	if (p->in->queues && p->in->version == OF_VERSION_10 && row->action.limits.n > 0)
		q->demand = tightest(p, &row->action.limits);
	if (q->demand == NULL)
		return;
	q->n_switches = plan_sources(p, &q->demand->flows, &q->here);
	q->has_known = knows_one(p->in->topo, &row->box);
	q->n_ports = count_ports(p, q, &row->box);
	q->share_bps = q->n_switches == 0 ? 0 : q->demand->rate_bps / q->n_switches / q->n_ports;
	if (q->here && q->share_bps < QUEUE_LEAST_BPS)
		note_low(p, row, q->demand);
	q->share_bps = q->share_bps == 0 ? 1 : q->share_bps;
}

void plan_limited(struct plan *p, struct of_rule *r, const struct row *row, const struct topo_host *host, uint32_t port)
{
	const struct plan_row_queues *q = &p->row_queues;
	struct of_action *last;

	if (q->row != row)
		begin_row(p, row);
	plan_output(p, r, port);
	if (!q->here || p->rc < 0 || !may_get(q, &row->box, host) || !need_queue(p, port))
		return;
	last = &r->instructions.actions[r->instructions.n_actions - 1];
	last->type = OF_ACT_ENQUEUE;
	last->queue = circuit_queue(q->demand->id);
}
