// SPDX-License-Identifier: Apache-2.0
#include "alone.h"

#include <errno.h>

#include "answer.h"
#include "nib.h"

#define BOXES_MAX 8 // of more, nothing is said

// Where the one destination of a box was seen last; NULL: it has many, or an unknown one.
static const struct nib_port *port_to(const struct nib *nib, const struct box *box)
{
	const struct nib_seen *latest = NULL, *seen;

	for (size_t i = 0; (seen = nib_seen_at(nib, i)) != NULL; i++) {
		struct span128 one = seen->ip6 ? (struct span128){seen->ip, seen->ip}
					       : match_ip4_prefix((uint32_t)(seen->ip >> 96), 32);

		if (seen->has_ip && (box->kinds & ~(seen->ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4)) == 0 &&
		    box->dst.lo == one.lo && box->dst.hi == one.hi && (latest == NULL || seen->at_ns > latest->at_ns))
			latest = seen;
	}
	return latest == NULL ? NULL : nib_port_find(nib, latest->port);
}

// More than leaves by the ports of all its destinations together cannot be kept.
static int fit_ports(const struct nib *nib, const struct demand *d, struct err *err)
{
	const struct nib_port *ports[BOXES_MAX];
	uint64_t sum = 0;

	if (d->flows.n_boxes > BOXES_MAX)
		return 0;
	for (uint32_t i = 0; i < d->flows.n_boxes; i++) {
		bool again = false;

		ports[i] = port_to(nib, &d->flows.boxes[i]);
		if (ports[i] == NULL || ports[i]->rate_bps == 0)
			return 0;
		for (uint32_t k = 0; k < i; k++)
			again = again || ports[k] == ports[i];
		sum = again ? sum : answer_sum(sum, ports[i]->rate_bps);
	}
	if (d->flows.n_boxes == 0 || d->rate_bps <= sum)
		return 0;
	return err_set(err, EBUSY, "%s asked, but port %s%s carries %s", answer_rate(d->rate_bps).text, ports[0]->name,
		       sum > ports[0]->rate_bps ? " with those of the other destinations" : "", answer_rate(sum).text);
}

const struct nib_port *alone_port_without_rate(const struct nib *nib, const struct match *flows)
{
	bool known = flows->n_boxes <= BOXES_MAX;

	for (uint32_t i = 0; i < flows->n_boxes && known; i++) {
		const struct nib_port *port = port_to(nib, &flows->boxes[i]);

		if (port != NULL && port->rate_bps == 0)
			return port;
		known = port != NULL;
	}
	for (size_t i = 0; !known && i < nib_n_ports(nib); i++) {
		if (nib_port_at(nib, i)->rate_bps == 0)
			return nib_port_at(nib, i);
	}
	return NULL;
}

int alone_fit(void *ctx, const struct demand *demand, struct err *err)
{
	if (demand->kind == DEMAND_WAYPOINT)
		return err_set(err, ENOTSUP,
			       "a switch alone leads nothing through a middlebox: that takes OpenFlow switches "
			       "(openflow_listen)");
	return demand->kind == DEMAND_RESERVE ? fit_ports(ctx, demand, err) : 0;
}
