// SPDX-License-Identifier: Apache-2.0
// The circuits of the network: placed anew with every plan, near to what they were and to what switches have.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"
#include "ovsdb.h"

struct hints {
	const struct of_net *net;
	uint8_t tags[4096 / 8]; // in use on some switch
};

static uint32_t out_port(const struct of_rule *r)
{
	const struct of_instructions *i = &r->instructions;
	const struct of_action *last = i->n_actions == 0 ? NULL : &i->actions[i->n_actions - 1];

	return last != NULL && (last->type == OF_ACT_OUTPUT || last->type == OF_ACT_ENQUEUE) ? last->port : TOPO_NONE;
}

static uint16_t tag_given(const struct of_rule *r)
{
	for (uint8_t i = 0; i < r->instructions.n_actions; i++) {
		if (r->instructions.actions[i].type == OF_ACT_VLAN)
			return r->instructions.actions[i].vlan;
	}
	return 0;
}

static bool is_passing(const struct of_rule *r)
{
	return r->match.has == (OF_HAS_IN_PORT | OF_HAS_VLAN) && r->match.vlan >= CIRCUIT_TAG_FIRST &&
	       r->match.vlan <= CIRCUIT_TAG_LAST;
}

static const struct of_switch *known_switch(const struct of_net *net, uint32_t idx)
{
	const struct of_switch *sw = net->switches;

	while (sw != NULL && (sw->idx != idx || sw->sync != SYNC_KNOWN))
		sw = sw->next;
	return sw;
}

static bool leaves(void *ctx, uint32_t key, uint32_t idx, uint32_t port)
{
	const struct hints *h = ctx;
	const struct of_switch *sw = known_switch(h->net, idx);

	for (uint32_t i = 0; sw != NULL && i < sw->have.n; i++) {
		const struct of_rule *r = &sw->have.rules[i];

		if ((uint32_t)r->cookie == key && (is_passing(r) || tag_given(r) != 0) && out_port(r) == port)
			return true;
	}
	return false;
}

static bool passes(const struct of_net *net, uint32_t key, uint16_t tag, const struct circuit_hop *hop)
{
	const struct of_switch *sw = known_switch(net, hop->sw);

	for (uint32_t i = 0; sw != NULL && i < sw->have.n; i++) {
		const struct of_rule *r = &sw->have.rules[i];

		if ((uint32_t)r->cookie == key && is_passing(r) && r->match.vlan == tag &&
		    r->match.in_port == hop->in_port && out_port(r) == hop->out_port)
			return true;
	}
	return false;
}

// The tag that frames get at the first switch and pass all others with.
static uint16_t tag_there(void *ctx, uint32_t key, const struct circuit_hop *hops, uint32_t n_hops)
{
	const struct hints *h = ctx;
	const struct of_switch *sw = known_switch(h->net, hops[0].sw);

	for (uint32_t i = 0; sw != NULL && i < sw->have.n; i++) {
		const struct of_rule *r = &sw->have.rules[i];
		uint16_t tag = (uint32_t)r->cookie == key && out_port(r) == hops[0].out_port ? tag_given(r) : 0;
		uint32_t at = 1;

		while (tag != 0 && at < n_hops && passes(h->net, key, tag, &hops[at]))
			at++;
		if (tag != 0 && at == n_hops)
			return tag;
	}
	return 0;
}

static bool tag_in_use(void *ctx, uint16_t tag)
{
	const struct hints *h = ctx;

	return h->tags[tag / 8] & 1 << tag % 8;
}

static void note_tags(struct hints *h)
{
	for (const struct of_switch *sw = h->net->switches; sw != NULL; sw = sw->next) {
		for (uint32_t i = 0; sw->sync == SYNC_KNOWN && i < sw->have.n; i++) {
			uint16_t tag = is_passing(&sw->have.rules[i]) ? sw->have.rules[i].match.vlan : 0;

			h->tags[tag / 8] |= (uint8_t)(1 << tag % 8);
		}
	}
}

// --- requests that cannot be kept

static const struct circuit_failure *failure_of(const struct circuits *c, uint64_t id)
{
	for (uint32_t i = 0; i < c->n_failures; i++) {
		if (c->failures[i].id == id)
			return &c->failures[i];
	}
	return NULL;
}

static void tell_failures(struct of_net *net, const struct circuits *before)
{
	const struct circuits *now = &net->circuits;

	for (uint32_t i = 0; i < now->n_failures; i++) {
		if (failure_of(before, now->failures[i].id) != NULL)
			continue;
		of_net_note(net, "request %" PRIu64 " cannot be kept: %s", now->failures[i].id, now->failures[i].why);
		if (net->ops.kept != NULL)
			net->ops.kept(net->ops.ctx, now->failures[i].id, now->failures[i].why);
	}
	for (uint32_t i = 0; i < before->n_failures; i++) {
		if (failure_of(now, before->failures[i].id) != NULL)
			continue;
		of_net_note(net, "request %" PRIu64 " can be kept again", before->failures[i].id);
		if (net->ops.kept != NULL)
			net->ops.kept(net->ops.ctx, before->failures[i].id, NULL);
	}
}

// Who ends a circuit, or is a middlebox of one, is not forgotten as somebody who was heard of once.
static void note_used(struct of_net *net, const uint8_t mac[6])
{
	struct topo_host *h = topo_host(&net->topo, mac);

	if (h != NULL && h->seen_ns - h->since_ns < TOPO_AGAIN_NS)
		h->since_ns = h->seen_ns - TOPO_AGAIN_NS;
}

static void note_all_used(struct of_net *net)
{
	for (uint32_t i = 0; i < net->circuits.n; i++) {
		const struct circuit *c = &net->circuits.all[i];

		note_used(net, c->src);
		note_used(net, c->dst);
		for (uint8_t k = 0; k < c->n_segments; k++)
			note_used(net, c->eth_dst[k]);
	}
}

void of_circuits_place(struct of_net *net, int64_t wall_ns)
{
	struct hints hints = {.net = net};
	struct circuits before = net->circuits;
	struct circuit_in in = {
		.topo = &net->topo,
		.addrs = &net->addrs,
		.policy = &net->policy,
		.now_ns = wall_ns,
		.before = &before,
		.leaves = net->read_anew ? leaves : NULL,
		.tag = net->read_anew ? tag_there : NULL,
		.tag_in_use = tag_in_use,
		.ctx = &hints,
	};
	uint32_t *tree;
	int rc;

	if (net->place_ns == INT64_MAX || net->now_ns < net->place_ns)
		return; // links and hosts are still being found
	tree = net->topo.bridge == TOPO_NONE ? NULL : of_sync_tree(net);
	if (net->topo.bridge != TOPO_NONE && tree == NULL)
		return;
	in.tree = tree;
	note_tags(&hints);
	circuits_init(&net->circuits);
	rc = circuits_place(&net->circuits, &in);
	free(tree);
	if (rc < 0) { // the old ones stay
		circuits_fini(&net->circuits);
		net->circuits = before;
		return;
	}
	net->placed = true;
	net->place_gen++;
	net->place_wall_ns = wall_ns;
	net->read_anew = false;
	circuits_live(&net->circuits, &net->policy, wall_ns);
	tell_failures(net, &before);
	note_all_used(net);
	circuits_fini(&before);
}

int of_net_fit(struct of_net *net, const struct demand *probe, int64_t wall_ns, struct err *err)
{
	struct circuit_in in = {.topo = &net->topo, .addrs = &net->addrs, .policy = &net->policy, .now_ns = wall_ns};
	uint32_t *tree;
	int rc;

	if (net->place_ns == INT64_MAX || net->now_ns < net->place_ns)
		return 0;
	if (net->policy_gen != net->planned_policy)
		of_circuits_place(net, wall_ns);
	tree = net->topo.bridge == TOPO_NONE ? NULL : of_sync_tree(net);
	if (net->topo.bridge != TOPO_NONE && tree == NULL)
		return err_set(err, ENOMEM, "out of memory");
	in.tree = tree;
	rc = circuits_fit(&net->circuits, &in, probe, err);
	free(tree);
	return rc;
}

static int limits_of(const struct of_net *net, const struct of_switch *sw, struct ovsdb_queue *out)
{
	int n = 0;

	for (uint32_t i = 0; i < sw->n_queues; i++) {
		const struct of_plan_queue *q = &sw->queues[i];
		const struct topo_port *port = topo_port(&net->topo, sw->idx, q->port);

		if (port != NULL)
			out[n++] = (struct ovsdb_queue){.dpid = net->topo.switches[sw->idx].dpid,
							.request = q->request,
							.max_bps = q->max_bps,
							.port_bps = port->speed_bps,
							.port = q->port,
							.queue = circuit_queue(q->request)};
	}
	return n;
}

int of_net_queues(const struct of_net *net, uint64_t *gen, struct ovsdb_queue **out)
{
	const struct circuits *c = &net->circuits;
	size_t n_limits = 0;
	int n = 0;

	if (!net->placed || *gen == net->place_gen)
		return -EAGAIN;
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		n_limits += sw->n_queues;
	*out = malloc((c->n_holds + n_limits + 1U) * sizeof(**out));
	if (*out == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < c->n_holds; i++) {
		const struct circuit_hold *h = &c->holds[i];
		const struct topo_port *port = topo_port(&net->topo, h->sw, h->port);

		if (h->start_ns <= net->place_wall_ns && h->end_ns > net->place_wall_ns && port != NULL &&
		    h->sw != net->topo.bridge)
			(*out)[n++] = (struct ovsdb_queue){.dpid = net->topo.switches[h->sw].dpid,
							   .request = h->id,
							   .min_bps = h->rate_bps,
							   .port_bps = port->speed_bps,
							   .port = h->port,
							   .queue = circuit_queue(h->id)};
	}
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		n += limits_of(net, sw, *out + n);
	*gen = net->place_gen;
	return n;
}

// --- whose queues are known

void of_queues_gone(struct of_net *net, uint32_t idx)
{
	net->topo.switches[idx].gone_ns = net->now_ns;
	net->place_gen++;
	if (net->forget_ns == INT64_MAX)
		net->forget_ns = net->now_ns + OF_NET_GONE_NS;
}

static bool is_gone_for_long(const struct of_net *net, const struct topo_switch *s)
{
	return !s->up && net->now_ns - s->gone_ns >= OF_NET_GONE_NS;
}

void of_queues_turn(struct of_net *net)
{
	if (net->now_ns < net->forget_ns)
		return;
	net->place_gen++;
	net->forget_ns = INT64_MAX;
	for (uint32_t i = 0; i < net->topo.n_switches; i++) {
		const struct topo_switch *s = &net->topo.switches[i];

		if (!s->up && !is_gone_for_long(net, s) && s->gone_ns + OF_NET_GONE_NS < net->forget_ns)
			net->forget_ns = s->gone_ns + OF_NET_GONE_NS;
	}
}

static bool knows_queues(const struct of_net *net, uint32_t idx)
{
	const struct of_switch *sw = net->switches;

	while (sw != NULL && sw->idx != idx)
		sw = sw->next;
	return sw != NULL ? sw->planned : is_gone_for_long(net, &net->topo.switches[idx]);
}

int of_net_queues_of(const struct of_net *net, bool *known, uint64_t **but)
{
	const struct topo *t = &net->topo;
	int n = 0;

	*but = malloc((t->n_switches + 1U) * sizeof(**but));
	if (*but == NULL)
		return -ENOMEM;
	*known = net->first_up_ns != INT64_MAX && net->now_ns - net->first_up_ns >= OF_NET_GONE_NS;
	for (uint32_t i = 0; i < t->n_switches; i++) {
		if (knows_queues(net, i) != *known)
			(*but)[n++] = t->switches[i].dpid;
	}
	return n;
}
