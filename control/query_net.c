// SPDX-License-Identifier: Apache-2.0
// Queries about ports, links and queues: what the dataplane and switches told (nib.h) and what stands at them.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "member.h"
#include "query.h"
#include "view.h"

struct dpid_text query_dpid(const struct topo *topo, uint32_t sw)
{
	struct dpid_text t;

	snprintf(t.text, sizeof(t.text), "%016" PRIx64, topo->switches[sw].dpid);
	return t;
}

static json_t *end_json(const struct topo *topo, uint32_t sw, const struct topo_port *port)
{
	json_t *end = json_object();

	json_object_set_new(end, "switch", json_string(query_dpid(topo, sw).text));
	json_object_set_new(end, "port", json_string(port->name));
	json_object_set_new(end, "number", json_integer(port->no));
	return end;
}

// What is behind a port of a switch, as far as it is known.
static const char *behind(const struct nib_net *net, uint32_t sw, const struct topo_port *p)
{
	uint32_t peer, peer_port;

	if (!p->up)
		return "nothing";
	return topo_link(net->topo, sw, p->no, &peer, &peer_port) ? "switch" : p->inner ? "unverified" : "hosts";
}

// What the switch cannot do of what is asked of it; empty: nothing.
struct lacks_text {
	char text[300];
};

static struct lacks_text lacks_of(const struct topo_switch *t)
{
	struct lacks_text out = {""};
	int n = 0;

	if (t->n_lacks > 0)
		n = snprintf(out.text, sizeof(out.text),
			     "keep %" PRIu32 " rows of the policy, of which %" PRIu32 " deny: %s%s", t->n_lacks,
			     t->n_open, t->lacks, t->no_queues ? "; " : "");
	if (t->no_queues)
		snprintf(out.text + n, sizeof(out.text) - (size_t)n,
			 "put frames into queues: its datapath ignores them");
	return out;
}

static void switch_ports(const struct state *s, struct reply *reply)
{
	const struct nib_net *net = nib_net(s->nib);

	for (uint32_t sw = 0; net != NULL && sw < net->topo->n_switches; sw++) {
		const struct topo_switch *t = &net->topo->switches[sw];
		struct dpid_text dpid = query_dpid(net->topo, sw);
		struct lacks_text lacks = lacks_of(t);

		for (uint32_t i = 0; i < t->n_ports && !t->bridge; i++) {
			const struct topo_port *p = &t->ports[i];
			json_t *item = end_json(net->topo, sw, p);
			char text[200];

			json_object_set_new(item, "openflow",
					    t->version == 1   ? json_string("1.0")
					    : t->version == 4 ? json_string("1.3")
							      : json_null());
			json_object_set_new(item, "cannot",
					    lacks.text[0] == '\0' ? json_null() : json_string(lacks.text));
			json_object_set_new(item, "up", json_boolean(p->up));
			json_object_set_new(item, "rate",
					    p->speed_bps == 0 ? json_null() : answer_number_json(p->speed_bps));
			json_object_set_new(item, "behind", json_string(behind(net, sw, p)));
			snprintf(text, sizeof(text), "%s/%s openflow:%" PRIu32 " %s %s behind=%s", dpid.text, p->name,
				 p->no, p->up ? "up" : "down",
				 p->speed_bps == 0 ? "no-rate" : answer_number(p->speed_bps).text, behind(net, sw, p));
			reply_item(reply, item, text);
		}
	}
}

// {rounds, silent_s}; null: there is no session with it.
static json_t *dataplane_json(const struct state *s)
{
	int64_t told_ns = nib_told_ns(s->nib);
	double silent_s;

	if (told_ns == INT64_MIN)
		return json_null();
	silent_s = s->now_ns > told_ns ? (double)(s->now_ns - told_ns) / 1e9 : 0;
	return json_pack("{s:I, s:f}", "rounds", (json_int_t)nib_n_rounds(s->nib), "silent_s", silent_s);
}

int query_ports(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	if (view_anywhere(s, speaker, VIEW_PORTS, reply) < 0)
		return -1;
	reply->is_list = true;
	for (size_t p = 0; p < nib_n_ports(s->nib); p++) {
		const struct nib_port *port = nib_port_at(s->nib, p);
		json_t *item = json_object(), *values = json_object();
		char text[2048];
		size_t len;

		len = (size_t)snprintf(text, sizeof(text), "%s %s %s %s", port->name, port->device,
				       port->up ? "up" : "down",
				       port->rate_bps == 0 ? "no-rate" : answer_number(port->rate_bps).text);
		for (size_t i = 0; i < port->n_counters && nib_counter_name(i) != NULL; i++) {
			json_object_set_new(values, nib_counter_name(i), json_integer((json_int_t)port->counter[i]));
			if (len < sizeof(text))
				len += (size_t)snprintf(text + len, sizeof(text) - len, " %s=%" PRIu64,
							nib_counter_name(i), port->counter[i]);
		}
		json_object_set_new(item, "name", json_string(port->name));
		json_object_set_new(item, "device", json_string(port->device));
		json_object_set_new(item, "up", json_boolean(port->up));
		json_object_set_new(item, "rate",
				    port->rate_bps == 0 ? json_null() : answer_number_json(port->rate_bps));
		json_object_set_new(item, "counters", values);
		reply_item(reply, item, text);
	}
	switch_ports(s, reply);
	if (nib_n_ports(s->nib) > 0)
		answer_put(reply, "dataplane", dataplane_json(s));
	return 0;
}

// One item for both directions, or for the only one that was seen.
static void link_item(const struct nib_net *net, uint32_t sw, const struct topo_port *port, bool both,
		      struct reply *reply)
{
	const struct topo_port *peer = topo_port(net->topo, port->peer, port->peer_port);
	uint64_t rate = port->speed_bps < peer->speed_bps ? port->speed_bps : peer->speed_bps;
	json_t *item = json_object();
	char text[200];

	json_object_set_new(item, "from", end_json(net->topo, sw, port));
	json_object_set_new(item, "to", end_json(net->topo, port->peer, peer));
	json_object_set_new(item, "rate", rate == 0 ? json_null() : answer_number_json(rate));
	json_object_set_new(item, "both_ways", json_boolean(both));
	json_object_set_new(item, "seen", answer_time_json(port->seen_ns + net->wall_minus_now_ns));
	snprintf(text, sizeof(text), "%s %s %s %s %s %s", query_dpid(net->topo, sw).text, port->name,
		 query_dpid(net->topo, port->peer).text, peer->name, rate == 0 ? "no-rate" : answer_number(rate).text,
		 both ? "both-ways" : "one-way");
	reply_item(reply, item, text);
}

// Between a port of the dataplane and one of a switch.
static void member_item(const struct state *s, const struct nib_net *net, const struct member_link *m,
			struct reply *reply)
{
	const struct nib_port *port = nib_port_find(s->nib, m->port);
	uint64_t rate = port->rate_bps != 0 && port->rate_bps < m->to->speed_bps ? port->rate_bps : m->to->speed_bps;
	json_t *item = json_object();
	char text[200];

	json_object_set_new(item, "from", json_pack("{s:s}", "port", port->name));
	json_object_set_new(item, "to", end_json(net->topo, m->sw, m->to));
	json_object_set_new(item, "rate", rate == 0 ? json_null() : answer_number_json(rate));
	json_object_set_new(item, "both_ways", json_true());
	json_object_set_new(item, "seen", answer_time_json(m->seen_ns));
	snprintf(text, sizeof(text), "- %s %s %s %s both-ways", port->name, query_dpid(net->topo, m->sw).text,
		 m->to->name, rate == 0 ? "no-rate" : answer_number(rate).text);
	reply_item(reply, item, text);
}

int query_links(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct nib_net *net = nib_net(s->nib);
	struct member_link own[MEMBER_LINKS_MAX];
	unsigned int n_own;

	(void)st;
	if (view_anywhere(s, speaker, VIEW_LINKS, reply) < 0)
		return -1;
	reply->is_list = true;
	n_own = member_links(s->nib, own);
	for (unsigned int i = 0; i < n_own; i++)
		member_item(s, net, &own[i], reply);
	for (uint32_t sw = 0; net != NULL && sw < net->topo->n_switches; sw++) {
		const struct topo_switch *t = &net->topo->switches[sw];

		for (uint32_t i = 0; i < t->n_ports && !t->bridge; i++) {
			const struct topo_port *p = &t->ports[i];
			uint32_t peer, peer_port;
			bool both = topo_link(net->topo, sw, p->no, &peer, &peer_port);

			if (p->peer == TOPO_NONE || p->peer == net->topo->bridge ||
			    topo_port(net->topo, p->peer, p->peer_port) == NULL)
				continue;
			if (!both || sw < peer || (sw == peer && p->no < peer_port))
				link_item(net, sw, p, both, reply);
		}
	}
	return 0;
}

// All of the network is looked at: it takes all of the root share's view.
int query_verify(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct nib_verifier verifier = nib_verifier(s->nib);
	uint32_t all = VIEW_TRAFFIC | VIEW_PORTS | VIEW_LINKS | VIEW_HOSTS;

	if (view_share(s, speaker, s->shares.root, all, reply) == NULL)
		return -1;
	if (verifier.ask == NULL)
		return reply_refuse(reply, REPLY_NETWORK, "there are no OpenFlow switches (openflow_listen)");
	return verifier.ask(verifier.ctx, st->number, reply);
}
