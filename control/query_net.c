// SPDX-License-Identifier: Apache-2.0
// Queries about ports, hosts and queues: what the dataplane told (nib.h) and what stands at them.
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "cmd_table.h"
#include "query.h"
#include "view.h"

static const struct {
	const char *name;
} counters[] = {
#define COUNTER(name, unit, help) {#name},
#define COUNTER_DROP_RX COUNTER
#define COUNTER_DROP_TX COUNTER
#define COUNTER_DEVICE COUNTER
#include "dataplane/counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
};

#define N_COUNTERS (sizeof(counters) / sizeof(counters[0]))

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
		for (size_t i = 0; i < port->n_counters && i < N_COUNTERS; i++) {
			json_object_set_new(values, counters[i].name, json_integer((json_int_t)port->counter[i]));
			if (len < sizeof(text))
				len += (size_t)snprintf(text + len, sizeof(text) - len, " %s=%" PRIu64,
							counters[i].name, port->counter[i]);
		}
		json_object_set_new(item, "name", json_string(port->name));
		json_object_set_new(item, "device", json_string(port->device));
		json_object_set_new(item, "up", json_boolean(port->up));
		json_object_set_new(item, "rate",
				    port->rate_bps == 0 ? json_null() : answer_number_json(port->rate_bps));
		json_object_set_new(item, "counters", values);
		reply_item(reply, item, text);
	}
	return 0;
}

// A single switch has no links to others.
int query_links(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	if (view_anywhere(s, speaker, VIEW_LINKS, reply) < 0)
		return -1;
	reply->is_list = true;
	return 0;
}

struct host { // what is known of one, as far as it is
	const char *name, *user, *port;
	struct ip_addr addr;
	bool has_addr;
	const struct nib_seen *seen;
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
static const char *user_of(const struct users *users, const struct ip_addr *addr, const struct nib_seen *seen)
{
	struct match_packet packet = {.src = addr->addr, .kind = addr->ip6 ? MATCH_IP6 : MATCH_IP4};

	if (seen != NULL)
		packet.f[MATCH_SRC_ETH] = seen->mac;
	for (uint32_t i = 0; i < users->n; i++)
		for (uint32_t b = 0; b < users->all[i]->n_bindings; b++)
			if (match_covers(&users->all[i]->bindings[b], &packet))
				return users->all[i]->name;
	return NULL;
}

static struct host host_seen(const struct state *s, const struct nib_seen *seen)
{
	const struct nib_port *port = nib_port_find(s->nib, seen->port);
	struct host h = {.seen = seen, .port = port == NULL ? NULL : port->name};

	if (seen->has_ip) {
		h.addr = (struct ip_addr){seen->ip, seen->ip6};
		h.has_addr = true;
		h.name = name_of(s->nib, &h.addr);
		h.user = user_of(&s->users, &h.addr, seen);
	}
	return h;
}

static json_t *text_or_null(const char *text)
{
	return text == NULL ? json_null() : json_string(text);
}

static void host_item(const struct host *h, struct reply *reply)
{
	json_t *item = json_object();
	char text[320], mac[20] = "-";
	const char *addr = h->has_addr ? ip_addr_text(&h->addr).text : NULL;
	struct ip_text copy = {"-"};

	if (addr != NULL)
		copy = ip_addr_text(&h->addr);
	if (h->seen != NULL)
		snprintf(mac, sizeof(mac), "%02x:%02x:%02x:%02x:%02x:%02x", (unsigned)(h->seen->mac >> 40 & 255),
			 (unsigned)(h->seen->mac >> 32 & 255), (unsigned)(h->seen->mac >> 24 & 255),
			 (unsigned)(h->seen->mac >> 16 & 255), (unsigned)(h->seen->mac >> 8 & 255),
			 (unsigned)(h->seen->mac & 255));
	json_object_set_new(item, "address", h->has_addr ? json_string(copy.text) : json_null());
	json_object_set_new(item, "name", text_or_null(h->name));
	json_object_set_new(item, "user", text_or_null(h->user));
	json_object_set_new(item, "port", text_or_null(h->port));
	json_object_set_new(item, "mac", h->seen == NULL ? json_null() : json_string(mac));
	json_object_set_new(item, "vlan", h->seen == NULL ? json_null() : json_integer(h->seen->vlan));
	json_object_set_new(item, "seen", h->seen == NULL ? json_null() : answer_time_json(h->seen->last_ns));
	snprintf(text, sizeof(text), "%s %s %s %s %s", copy.text, h->name == NULL ? "-" : h->name,
		 h->port == NULL ? "-" : h->port, mac, h->user == NULL ? "-" : h->user);
	reply_item(reply, item, text);
}

// The latest sight of an address, or NULL.
static const struct nib_seen *latest(const struct nib *nib, const struct ip_addr *addr)
{
	const struct nib_seen *found = NULL, *seen;

	for (size_t i = 0; (seen = nib_seen_at(nib, i)) != NULL; i++)
		if (seen->has_ip && seen->ip6 == addr->ip6 && seen->ip == addr->addr &&
		    (found == NULL || seen->last_ns > found->last_ns))
			found = seen;
	return found;
}

static const struct nib_port *port_named(const struct nib *nib, const char *name)
{
	const struct nib_port *port;

	for (size_t i = 0; (port = nib_port_at(nib, i)) != NULL; i++)
		if (strcmp(port->name, name) == 0)
			return port;
	return NULL;
}

int query_hosts(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct nib_port *behind = st->name[0] == '\0' ? NULL : port_named(s->nib, st->name);
	const struct nib_seen *seen;
	struct span128 span;
	const char *name;
	uint32_t kinds;

	if (view_anywhere(s, speaker, VIEW_HOSTS, reply) < 0)
		return -1;
	if (st->name[0] != '\0' && behind == NULL)
		return reply_refuse(reply, REPLY_BAD_VALUE, "there is no port %s", st->name);
	reply->is_list = true;
	for (size_t i = 0; (seen = nib_seen_at(s->nib, i)) != NULL; i++) {
		struct host h = host_seen(s, seen);

		if (behind == NULL || seen->port == behind->port)
			host_item(&h, reply);
	}
	// Those the configuration names but nobody has seen.
	for (size_t i = 0; behind == NULL && (name = nib_host_at(s->nib, i, &span, &kinds)) != NULL; i++) {
		struct host h = {.name = name, .addr = {span.lo, (kinds & MATCH_KINDS_V6) != 0}, .has_addr = true};

		h.user = user_of(&s->users, &h.addr, NULL);
		if (latest(s->nib, &h.addr) == NULL)
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
	seen = latest(s->nib, &h.addr);
	h.name = name_of(s->nib, &h.addr);
	h.user = user_of(&s->users, &h.addr, seen);
	if (seen != NULL)
		h = host_seen(s, seen);
	reply->is_list = true;
	if (seen != NULL || h.name != NULL || h.user != NULL)
		host_item(&h, reply);
	return 0;
}

static uint64_t counter_of(const struct nib_port *port, const char *name)
{
	for (size_t i = 0; i < port->n_counters && i < N_COUNTERS; i++)
		if (strcmp(counters[i].name, name) == 0)
			return port->counter[i];
	return 0;
}

// All queues of a port together: the dataplane makes one for each set of guarantees and limits as packets come.
static void port_queues(const struct nib_port *port, struct reply *reply)
{
	uint64_t packets = counter_of(port, "tx_packets"), bytes = counter_of(port, "tx_bytes");
	uint64_t lost = counter_of(port, "queue_full");
	json_t *item = json_object();
	char text[200];

	json_object_set_new(item, "port", json_string(port->name));
	json_object_set_new(item, "rate", port->rate_bps == 0 ? json_null() : answer_number_json(port->rate_bps));
	json_object_set_new(item, "packets", json_integer((json_int_t)packets));
	json_object_set_new(item, "bytes", json_integer((json_int_t)bytes));
	json_object_set_new(item, "dropped", json_integer((json_int_t)lost));
	snprintf(text, sizeof(text), "%s %s %" PRIu64 " %" PRIu64 " %" PRIu64, port->name,
		 port->rate_bps == 0 ? "no-rate" : answer_number(port->rate_bps).text, packets, bytes, lost);
	reply_item(reply, item, text);
}

static void meter_queue(struct state *s, const struct request *r, struct reply *reply)
{
	uint64_t packets, bytes;
	json_t *item = json_object();
	char text[200];

	traffic_total(&s->traffic, r->id, &packets, &bytes);
	json_object_set_new(item, "request", json_integer((json_int_t)r->id));
	json_object_set_new(item, "verb", json_string(cmd_table_get(r->verb)->name));
	json_object_set_new(item, "share", json_string(r->share->name));
	json_object_set_new(item, "rate", answer_number_json(r->rate_bps));
	json_object_set_new(item, "packets", json_integer((json_int_t)packets));
	json_object_set_new(item, "bytes", json_integer((json_int_t)bytes));
	snprintf(text, sizeof(text), "%" PRIu64 " %s %s %" PRIu64 " %" PRIu64 " %" PRIu64, r->id,
		 cmd_table_get(r->verb)->name, r->share->name, r->rate_bps, packets, bytes);
	reply_item(reply, item, text);
}

int query_queues(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	const struct share *root = s->shares.root;

	if (view_anywhere(s, speaker, VIEW_QUEUES, reply) < 0)
		return -1;
	reply->is_list = true;
	for (size_t p = 0; p < nib_n_ports(s->nib); p++)
		port_queues(nib_port_at(s->nib, p), reply);
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		const struct request *r;

		if (TAILQ_EMPTY(&share->requests) || view_through(s, speaker, share, VIEW_QUEUES) == NULL)
			continue;
		TAILQ_FOREACH (r, &share->requests, link)
			if ((r->verb == VERB_RESERVE || r->verb == VERB_RATELIMIT ||
			     (r->verb == VERB_HINT && r->rate_bps > 0)) &&
			    r->start_ns <= s->now_ns)
				meter_queue(s, r, reply);
	}
	return 0;
}
