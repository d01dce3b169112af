// SPDX-License-Identifier: Apache-2.0
// Limits as meters (OpenFlow 1.3): which switches keep a part of one, and the entries that send frames through it.
#include <errno.h>
#include <inttypes.h>

#include "of_lower.h"
#include "of_plan_priv.h"

#define METERS 65521 // a prime under what Open vSwitch has
#define METER_BURST_MS 250
#define METER_BURST_MIN_KB 256

// All of it leaves by the bridge's own ports, whoever it comes from.
static bool ends_at_bridge(const struct plan *p, const struct match *flows)
{
	const struct topo *t = p->in->topo;

	for (uint32_t i = 0; i < flows->n_boxes; i++) {
		struct box from = flows->boxes[i];

		from.src = from.dst;
		for (uint32_t sw = 0; sw < t->n_switches; sw++) {
			if (plan_is_elsewhere(p, sw, &from, false) != (sw != t->bridge))
				return false;
		}
	}
	return true;
}

// The bridge limits what comes in at its own ports, and all that passes it.
static bool may_come_in(const struct plan *p, uint32_t sw, const struct match *flows)
{
	const struct topo *t = p->in->topo;

	if (!t->switches[sw].up || !plan_has_hosts(p, sw) || (sw == t->bridge && ends_at_bridge(p, flows)))
		return false;
	for (uint32_t i = 0; i < flows->n_boxes; i++) {
		if (!plan_is_elsewhere(p, sw, &flows->boxes[i], false))
			return true;
	}
	return false;
}

uint32_t plan_sources(const struct plan *p, const struct match *flows, bool *here)
{
	uint32_t n = 0;

	*here = false;
	for (uint32_t sw = 0; sw < p->in->topo->n_switches; sw++) {
		bool some = may_come_in(p, sw, flows);

		n += some;
		*here |= some && sw == p->idx;
	}
	return n;
}

uint32_t of_plan_parts(const struct of_plan_in *in, const struct match *flows)
{
	const struct plan p = {.in = in, .idx = in->topo->bridge};
	bool here;
	uint32_t n = plan_sources(&p, flows, &here);

	return here ? n : 1;
}

// The meter of a limit: a small number made of the request's, the next one where another limit has it.
static uint32_t meter_of(const struct of_policy *policy, uint64_t request)
{
	uint32_t id = (uint32_t)(request % METERS);

	for (uint32_t i = 0; i < policy->demands.n && policy->demands.all[i].id < request; i++) {
		const struct demand *d = &policy->demands.all[i];

		if (d->kind == DEMAND_LIMIT && d->id % METERS == id)
			id = (id + 1) % METERS;
	}
	return id + 1;
}

// Bursts of METER_BURST_MS: with less, TCP waits for its 200 ms timer while tokens run over (measured: 100 ms halves
// it).
static uint32_t add_meter(struct plan *p, const struct demand *d)
{
	bool here;
	uint32_t n = plan_sources(p, &d->flows, &here);
	uint64_t kbps = d->rate_bps / 1000 / (n == 0 ? 1 : n);
	struct of_meter m = {.id = meter_of(p->in->policy, d->id)};

	m.rate_kbps = kbps == 0 ? 1 : kbps > UINT32_MAX ? UINT32_MAX : (uint32_t)kbps;
	m.burst_kb = m.rate_kbps / 1000 * METER_BURST_MS + m.rate_kbps % 1000 * METER_BURST_MS / 1000;
	if (m.burst_kb < METER_BURST_MIN_KB)
		m.burst_kb = METER_BURST_MIN_KB;
	if (p->rc == 0)
		p->rc = of_meters_add(p->meters, &m);
	return m.id;
}

static void add_limit_box(struct plan *p, const struct demand *d, const struct box *box, uint8_t colour)
{
	static struct of_match matches[PLAN_MATCHES_MAX];
	struct err err;
	int n = p->in->no_meters ? err_set(&err, ENOTSUP, "a switch without meters cannot keep request %" PRIu64, d->id)
				 : of_lower_box(box, p->in->version, matches, PLAN_MATCHES_MAX, &err);
	struct of_rule r;

	if (n < 0)
		plan_unsaid(p, &err);
	for (int i = 0; i < n; i++) {
		plan_blank(&r, OF_PLAN_LIMIT + colour, PRIORITY_LIMIT);
		r.match = matches[i];
		r.cookie |= (uint32_t)d->id;
		r.ends_ns = plan_end(p, (uint32_t)d->id, d->end_ns, 1);
		r.instructions.meter = add_meter(p, d);
		plan_goto(&r, OF_PLAN_LIMIT + colour + 1U);
		plan_add(p, &r);
	}
}

void plan_limits(struct plan *p)
{
	const struct of_policy *policy = p->in->policy;
	struct of_rule r;

	for (unsigned int colour = 0; colour < OF_POLICY_COLOURS; colour++) {
		plan_blank(&r, OF_PLAN_LIMIT + colour, 0);
		plan_goto(&r, OF_PLAN_LIMIT + colour + 1);
		plan_add(p, &r);
	}
	for (uint32_t i = 0; i < policy->demands.n; i++) {
		const struct demand *d = &policy->demands.all[i];

		if (d->kind != DEMAND_LIMIT || d->start_ns > p->in->policy_ns || d->end_ns <= p->in->policy_ns ||
		    policy->colours[i] == OF_POLICY_UNSAID || !plan_has_hosts(p, p->idx))
			continue;
		for (uint32_t b = 0; b < d->flows.n_boxes; b++) {
			if (!plan_is_elsewhere(p, p->idx, &d->flows.boxes[b], false))
				add_limit_box(p, d, &d->flows.boxes[b], policy->colours[i]);
		}
	}
}

// An entry has one meter: the tightest limit's. The others' share of these packets is not counted.
uint32_t plan_flat_meter(struct plan *p, const struct row *row)
{
	const struct idset *limits = &row->action.limits;
	const struct demand *tightest = NULL;
	bool meters = p->in->version != OF_VERSION_10 && !p->in->no_meters;
	struct err err;

	if (limits->n > 1 || p->in->no_meters || (!meters && !p->in->queues)) {
		err_set(&err, ENOTSUP, "a switch with%s cannot meter request %" PRIu64,
			p->in->no_meters ? "out meters" : " one table", limits->id[limits->n - 1]);
		plan_row_unsaid(p, row, &err);
	}
	for (unsigned int i = 0; i < limits->n; i++) {
		const struct demand *d = demands_find(&p->in->policy->demands, limits->id[i]);

		if (d != NULL && (tightest == NULL || d->rate_bps < tightest->rate_bps))
			tightest = d;
	}
	return tightest == NULL || !meters ? 0 : add_meter(p, tightest);
}
