// SPDX-License-Identifier: Apache-2.0
// Where hosts are: those the dataplane has seen, those behind OpenFlow switches, and those the configuration names.
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "member.h"
#include "query.h"
#include "view.h"

struct host { // what is known of one, as far as it is
	const char *name, *user, *port;
	struct dpid_text at; // its switch; empty: the dataplane
	struct ip_addr addr;
	bool has_addr, has_place; // has_place: mac, vlan and last_ns are known
	bool contested;
	uint64_t mac;
	uint16_t vlan;
	int64_t last_ns;
	const char *how; // the address was learnt; NULL: not by an OpenFlow switch
};

static bool is_address(const struct span128 *span, bool ip6, const struct ip_addr *addr)
{
	return ip6 == addr->ip6 && span->lo == addr->addr;
}

static const char *name_of(const struct nib *nib, const struct ip_addr *addr)
{
	struct span128 span;
	uint32_t kinds;
	const char *name;

	for (size_t i = 0; (name = nib_host_at(nib, i, &span, &kinds)) != NULL; i++)
		if (is_address(&span, (kinds & MATCH_KINDS_V6) != 0, addr))
			return name;
	return NULL;
}

// Whose all traffic of that address is. Ports that are bound do not make it a user's.
static const char *user_of(const struct users *users, const struct host *h)
{
	struct match_packet packet = {.src = h->addr.addr, .kind = h->addr.ip6 ? MATCH_IP6 : MATCH_IP4};

	if (!h->has_addr) {
		packet.src = 0;
		packet.kind = MATCH_NONIP;
	}
	if (h->has_place)
		packet.f[MATCH_SRC_ETH] = h->mac;
	for (uint32_t i = 0; i < users->n; i++)
		for (uint32_t b = 0; b < users->all[i]->n_bindings; b++)
			if (match_covers(&users->all[i]->bindings[b], &packet))
				return users->all[i]->name;
	return NULL;
}

static void complete(const struct state *s, struct host *h)
{
	if (h->has_addr)
		h->name = name_of(s->nib, &h->addr);
	if (h->has_addr || h->has_place)
		h->user = user_of(&s->users, h);
}

static struct host host_seen(const struct state *s, const struct nib_seen *seen)
{
	const struct nib_port *port = nib_port_find(s->nib, seen->port);
	struct host h = {.has_place = true, .mac = seen->mac, .vlan = seen->vlan, .last_ns = seen->last_ns};

	h.port = port == NULL ? NULL : port->name;
	h.addr = (struct ip_addr){seen->ip, seen->ip6};
	h.has_addr = seen->has_ip;
	complete(s, &h);
	return h;
}

static uint64_t mac_number(const uint8_t mac[6])
{
	uint64_t value = 0;

	for (int i = 0; i < 6; i++)
		value = value << 8 | mac[i];
	return value;
}

// To tenths of a second: the two clocks are compared anew from turn to turn, and one sight is told as one time.
static int64_t wall_of(const struct nib_net *net, int64_t seen_ns)
{
	const int64_t tenth = 100000000;

	return (seen_ns + net->wall_minus_now_ns + tenth / 2) / tenth * tenth;
}

// addr: one of the host's addresses, or NULL.
static struct host host_of_net(const struct state *s, const struct nib_net *net, const struct topo_host *at,
			       const struct addr *addr)
{
	const struct topo_port *port = topo_port(net->topo, at->sw, at->port);
	struct host h = {.has_place = true, .mac = mac_number(at->mac), .at = query_dpid(net->topo, at->sw)};

	h.last_ns = wall_of(net, at->seen_ns);
	h.port = port == NULL ? NULL : port->name;
	if (addr != NULL) {
		h.addr = (struct ip_addr){addr->ip, addr->ip6};
		h.has_addr = true;
		h.how = addr_how_name(addr->how);
		h.last_ns = wall_of(net, addr->seen_ns);
		h.contested = addr->contest_ns != INT64_MIN;
	}
	complete(s, &h);
	return h;
}

static json_t *text_or_null(const char *text)
{
	return text == NULL || text[0] == '\0' ? json_null() : json_string(text);
}

static void host_item(const struct host *h, struct reply *reply)
{
	json_t *item = json_object();
	char text[400], mac[20] = "-";
	struct ip_text addr = {"-"};

	if (h->has_addr)
		addr = ip_addr_text(&h->addr);
	if (h->has_place)
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(h->mac >> 40 & 255),
			 (unsigned)(h->mac >> 32 & 255), (unsigned)(h->mac >> 24 & 255), (unsigned)(h->mac >> 16 & 255),
			 (unsigned)(h->mac >> 8 & 255), (unsigned)(h->mac & 255));
	json_object_set_new(item, "address", h->has_addr ? json_string(addr.text) : json_null());
	json_object_set_new(item, "name", text_or_null(h->name));
	json_object_set_new(item, "user", text_or_null(h->user));
	json_object_set_new(item, "switch", text_or_null(h->at.text));
	json_object_set_new(item, "port", text_or_null(h->port));
	json_object_set_new(item, "mac", h->has_place ? json_string(mac) : json_null());
	json_object_set_new(item, "vlan", h->has_place ? json_integer(h->vlan) : json_null());
	json_object_set_new(item, "seen", h->has_place ? answer_time_json(h->last_ns) : json_null());
	if (h->how != NULL)
		json_object_set_new(item, "by", json_string(h->how));
	if (h->contested)
		json_object_set_new(item, "contested", json_true());
	snprintf(text, sizeof(text), "%s %s %s%s%s %s %s%s", addr.text, h->name == NULL ? "-" : h->name, h->at.text,
		 h->at.text[0] == '\0' ? "" : "/", h->port == NULL ? "-" : h->port, mac,
		 h->user == NULL ? "-" : h->user, h->contested ? " contested" : "");
	reply_item(reply, item, text);
}

// The latest sight of an address by the dataplane, or NULL.
static const struct nib_seen *latest(const struct nib *nib, const struct ip_addr *addr)
{
	const struct nib_seen *found = NULL, *seen;

	for (size_t i = 0; (seen = nib_seen_at(nib, i)) != NULL; i++)
		if (seen->has_ip && seen->ip6 == addr->ip6 && seen->ip == addr->addr &&
		    (found == NULL || seen->last_ns > found->last_ns))
			found = seen;
	return found;
}

// Whoever claims it behind an OpenFlow switch. The number of items.
static unsigned int claimants(const struct state *s, const struct ip_addr *addr, struct reply *reply)
{
	const struct nib_net *net = nib_net(s->nib);
	const struct addr *at = net == NULL ? NULL : addrs_first(net->addrs, addr->addr, addr->ip6);
	unsigned int n = 0;

	for (; at != NULL; at = addrs_after(net->addrs, at)) {
		const struct topo_host *where = topo_host(net->topo, at->mac);
		struct host h;

		if (where == NULL || where->sw == net->topo->bridge)
			continue;
		n++;
		h = host_of_net(s, net, where, at);
		if (reply != NULL)
			host_item(&h, reply);
	}
	return n;
}

static const struct nib_port *port_named(const struct nib *nib, const char *name)
{
	const struct nib_port *port;

	for (size_t i = 0; (port = nib_port_at(nib, i)) != NULL; i++)
		if (strcmp(port->name, name) == 0)
			return port;
	return NULL;
}

// Is this place behind what is asked for: a port's name, or a switch's number? Empty: everything.
static bool is_behind(const struct nib_net *net, uint32_t sw, const char *port, const char *name)
{
	return name[0] == '\0' || strcmp(port, name) == 0 || strcmp(query_dpid(net->topo, sw).text, name) == 0;
}

static bool place_exists(const struct nib *nib, const char *name)
{
	const struct nib_net *net = nib_net(nib);

	if (name[0] == '\0' || port_named(nib, name) != NULL)
		return true;
	for (uint32_t sw = 0; net != NULL && sw < net->topo->n_switches; sw++) {
		const struct topo_switch *t = &net->topo->switches[sw];

		for (uint32_t i = 0; i < t->n_ports && !t->bridge; i++)
			if (is_behind(net, sw, t->ports[i].name, name))
				return true;
	}
	return false;
}

static int compare_macs(const void *a, const void *b)
{
	const struct addr *const *x = a, *const *y = b;
	int by_mac = memcmp((*x)->mac, (*y)->mac, 6);

	return by_mac != 0 ? by_mac : (*x)->ip < (*y)->ip ? -1 : (*x)->ip > (*y)->ip;
}

// Hosts with an address, and then those without.
static int hosts_of_net(struct state *s, const char *behind, struct reply *reply)
{
	const struct nib_net *net = nib_net(s->nib);
	uint32_t n = net == NULL ? 0 : net->addrs->n;
	const struct addr **order = calloc(n + 1U, sizeof(*order)), *key;

	if (order == NULL)
		return reply_refuse(reply, REPLY_LIMIT, "out of memory");
	for (uint32_t i = 0; i < n; i++)
		order[i] = &net->addrs->all[i];
	qsort(order, n, sizeof(*order), compare_macs);
	for (uint32_t i = 0; net != NULL && i < net->topo->n_hosts; i++) {
		const struct topo_host *at = &net->topo->hosts[i];
		const struct topo_port *port = topo_port(net->topo, at->sw, at->port);
		uint32_t lo = 0, hi = n;

		if (at->sw == net->topo->bridge || !is_behind(net, at->sw, port == NULL ? "" : port->name, behind))
			continue;
		while (lo < hi) {
			key = order[lo + (hi - lo) / 2];
			if (memcmp(key->mac, at->mac, 6) < 0)
				lo += (hi - lo) / 2 + 1;
			else
				hi = lo + (hi - lo) / 2;
		}
		do {
			bool has = lo < n && memcmp(order[lo]->mac, at->mac, 6) == 0;
			struct host h = host_of_net(s, net, at, has ? order[lo] : NULL);

			host_item(&h, reply);
		} while (++lo < n && memcmp(order[lo]->mac, at->mac, 6) == 0);
	}
	free(order);
	return 0;
}

int query_hosts(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct nib_port *behind = st->name[0] == '\0' ? NULL : port_named(s->nib, st->name);
	const struct nib_seen *seen;
	struct span128 span;
	uint32_t kinds;

	if (view_anywhere(s, speaker, VIEW_HOSTS, reply) < 0)
		return -1;
	if (!place_exists(s->nib, st->name))
		return reply_refuse(reply, REPLY_BAD_VALUE, "there is no port or switch %s", st->name);
	reply->is_list = true;
	for (size_t i = 0; (seen = nib_seen_at(s->nib, i)) != NULL; i++) {
		struct host h = host_seen(s, seen);

		if (member_passes(s->nib, seen))
			continue;
		if (st->name[0] == '\0' || (behind != NULL && seen->port == behind->port))
			host_item(&h, reply);
	}
	if (hosts_of_net(s, st->name, reply) < 0)
		return -1;
	// Those the configuration names but nobody has seen.
	for (size_t i = 0; st->name[0] == '\0' && nib_host_at(s->nib, i, &span, &kinds) != NULL; i++) {
		struct host h = {.addr = {span.lo, (kinds & MATCH_KINDS_V6) != 0}, .has_addr = true};

		complete(s, &h);
		if (latest(s->nib, &h.addr) == NULL && claimants(s, &h.addr, NULL) == 0)
			host_item(&h, reply);
	}
	return 0;
}

int query_where(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct host h = {.addr = st->addresses->at[0], .has_addr = true};
	const struct nib_seen *seen;

	if (view_anywhere(s, speaker, VIEW_HOSTS, reply) < 0)
		return -1;
	reply->is_list = true;
	seen = latest(s->nib, &h.addr);
	if (seen != NULL && member_passes(s->nib, seen))
		seen = NULL;
	if (seen != NULL) {
		h = host_seen(s, seen);
		host_item(&h, reply);
	}
	if (claimants(s, &h.addr, reply) > 0 || seen != NULL)
		return 0;
	complete(s, &h);
	if (h.name != NULL || h.user != NULL)
		host_item(&h, reply);
	return 0;
}
