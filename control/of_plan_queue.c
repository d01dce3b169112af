// SPDX-License-Identifier: Apache-2.0
// Limits of OpenFlow 1.0, which has no meters: where a limited flow comes in, frames leave by a queue that has a most
// rate (ovsdb.h). A limit is divided among the switches and ports that it is kept at, so that it always bounds the
// aggregate; of several the tightest counts. What is flooded, to hosts that are not known yet, is not held back.
#include "circuit.h"
#include "of_plan_priv.h"

static bool is_among(const struct span128 *s, uint32_t ip4)
{
	return ip4 != 0 && s->lo <= match_ip4(ip4) && match_ip4(ip4) <= s->hi;
}

// Whether frames of the row may be sent to the address of this host: it has one of its destinations, or, as of a
// router, nobody is known to.
static bool may_get(const struct plan *p, const struct box *box, const struct topo_host *host)
{
	const struct topo *t = p->in->topo;

	if (is_among(&box->dst, host->ip4))
		return true;
	for (uint32_t i = 0; i < t->n_hosts; i++) {
		if (is_among(&box->dst, t->hosts[i].ip4))
			return false;
	}
	return true;
}

static bool is_used_before(const struct plan *p, const struct box *box, uint32_t until, uint32_t port)
{
	for (uint32_t i = 0; i < until; i++) {
		if (plan_port_to(p, &p->in->topo->hosts[i]) == port && may_get(p, box, &p->in->topo->hosts[i]))
			return true;
	}
	return false;
}

static uint32_t count_ports(const struct plan *p, const struct box *box)
{
	const struct topo *t = p->in->topo;
	uint32_t n = 0;

	for (uint32_t i = 0; i < t->n_hosts; i++) {
		uint32_t port = plan_port_to(p, &t->hosts[i]);

		n += port != TOPO_NONE && may_get(p, box, &t->hosts[i]) && !is_used_before(p, box, i, port);
	}
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
static bool need_queue(struct plan *p, uint64_t request, uint32_t port, uint64_t max_bps)
{
	struct of_plan_stats *s = p->stats;

	for (uint32_t i = 0; i < s->n_queues; i++) {
		if (s->queues[i].request == request && s->queues[i].port == port) {
			if (max_bps < s->queues[i].max_bps)
				s->queues[i].max_bps = max_bps;
			return true;
		}
	}
	if (s->n_queues == OF_PLAN_QUEUES_MAX)
		return false;
	s->queues[s->n_queues++] = (struct of_plan_queue){.request = request, .max_bps = max_bps, .port = port};
	return true;
}

void plan_limited(struct plan *p, struct of_rule *r, const struct row *row, const struct topo_host *host, uint32_t port)
{
	const struct demand *d = p->in->queues && p->in->version == OF_VERSION_10 && row->action.limits.n > 0
					 ? tightest(p, &row->action.limits)
					 : NULL;
	struct of_action *last;
	bool here = false;
	uint32_t n = d == NULL ? 0 : plan_sources(p, &d->flows, &here);

	plan_output(p, r, port);
	if (!here || p->rc < 0 || !may_get(p, &row->box, host) ||
	    !need_queue(p, d->id, port, d->rate_bps / n / count_ports(p, &row->box)))
		return;
	last = &r->instructions.actions[r->instructions.n_actions - 1];
	last->type = OF_ACT_ENQUEUE;
	last->queue = circuit_queue(d->id);
}
