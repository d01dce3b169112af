// SPDX-License-Identifier: Apache-2.0
#include "topo.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void topo_init(struct topo *t, uint32_t hosts_max)
{
	memset(t, 0, sizeof(*t));
	t->hosts_max = hosts_max;
	t->salt = UINT64_C(0x9e3779b97f4a7c15);
	t->bridge = TOPO_NONE;
}

void topo_fini(struct topo *t)
{
	for (uint32_t i = 0; i < t->n_switches; i++)
		free(t->switches[i].ports);
	free(t->switches);
	free(t->hosts);
	free(t->slots);
	memset(t, 0, sizeof(*t));
}

// --- switches and ports

uint32_t topo_find_switch(const struct topo *t, uint64_t dpid)
{
	for (uint32_t i = 0; i < t->n_switches; i++) {
		if (t->switches[i].dpid == dpid && !t->switches[i].bridge)
			return i;
	}
	return TOPO_NONE;
}

static uint32_t add_switch(struct topo *t, uint64_t dpid)
{
	if (t->n_switches == t->cap_switches) {
		uint32_t cap = t->cap_switches == 0 ? 16 : t->cap_switches * 2;
		struct topo_switch *more = reallocarray(t->switches, cap, sizeof(*more));

		if (more == NULL)
			return TOPO_NONE;
		t->switches = more;
		t->cap_switches = cap;
	}
	t->switches[t->n_switches] = (struct topo_switch){.dpid = dpid};
	t->gen++;
	return t->n_switches++;
}

static void cut(struct topo *t, struct topo_port *p)
{
	if (p->peer != TOPO_NONE)
		t->gen++;
	p->peer = TOPO_NONE;
}

// Its hosts went when it did; what others know of links to it does not.
static uint32_t replace_switch(struct topo *t, uint64_t dpid)
{
	uint32_t at = TOPO_NONE;

	for (uint32_t i = 0; i < t->n_switches; i++) {
		const struct topo_switch *s = &t->switches[i];

		if (!s->up && !s->bridge && (at == TOPO_NONE || s->gone_ns < t->switches[at].gone_ns))
			at = i;
	}
	if (at == TOPO_NONE)
		return TOPO_NONE;
	for (uint32_t i = 0; i < t->n_switches; i++) {
		for (uint32_t k = 0; k < t->switches[i].n_ports; k++) {
			if (t->switches[i].ports[k].peer == at)
				cut(t, &t->switches[i].ports[k]);
		}
	}
	free(t->switches[at].ports);
	t->switches[at] = (struct topo_switch){.dpid = dpid};
	t->gen++;
	return at;
}

uint32_t topo_switch(struct topo *t, uint64_t dpid)
{
	uint32_t at = topo_find_switch(t, dpid);

	if (at != TOPO_NONE)
		return at;
	return t->n_switches < TOPO_SWITCHES_MAX ? add_switch(t, dpid) : replace_switch(t, dpid);
}

uint32_t topo_bridge(struct topo *t)
{
	if (t->bridge == TOPO_NONE)
		t->bridge = add_switch(t, UINT64_MAX);
	if (t->bridge != TOPO_NONE)
		t->switches[t->bridge].bridge = true;
	return t->bridge;
}

static struct topo_port *port_at(const struct topo *t, uint32_t sw, uint32_t port)
{
	struct topo_switch *s = &t->switches[sw];

	for (uint32_t i = 0; i < s->n_ports; i++) {
		if (s->ports[i].no == port)
			return &s->ports[i];
	}
	return NULL;
}

const struct topo_port *topo_port(const struct topo *t, uint32_t sw, uint32_t port)
{
	return sw < t->n_switches ? port_at(t, sw, port) : NULL;
}

// --- hosts by address: chains, one for each slot

static uint32_t *slot_of(const struct topo *t, const uint8_t mac[6])
{
	uint64_t h = 0;

	for (int i = 0; i < 6; i++)
		h = h << 8 | mac[i];
	return &t->slots[(h * t->salt >> 32) & (t->cap_hosts - 1)]; // a power of 2
}

static void link_host(struct topo *t, uint32_t i)
{
	uint32_t *slot = slot_of(t, t->hosts[i].mac);

	t->hosts[i].next = *slot;
	*slot = i + 1;
}

static void unlink_host(struct topo *t, uint32_t i)
{
	uint32_t *at = slot_of(t, t->hosts[i].mac);

	while (*at != i + 1)
		at = &t->hosts[*at - 1].next;
	*at = t->hosts[i].next;
}

static void leave_port(struct topo *t, const struct topo_host *h)
{
	struct topo_port *p = port_at(t, h->sw, h->port);

	if (p == NULL)
		return;
	p->n_hosts--;
	p->full = p->full && p->n_hosts > t->port_hosts_max - t->port_hosts_max / 4;
}

static void forget_host(struct topo *t, uint32_t i) // the last one takes its place
{
	uint32_t last = t->n_hosts - 1;

	leave_port(t, &t->hosts[i]);
	unlink_host(t, i);
	if (i != last) {
		unlink_host(t, last);
		t->hosts[i] = t->hosts[last];
		link_host(t, i);
	}
	t->n_hosts = last;
	t->gen++;
}

static int grow_hosts(struct topo *t)
{
	uint32_t cap = t->cap_hosts == 0 ? 64 : t->cap_hosts * 2;
	struct topo_host *hosts = reallocarray(t->hosts, cap, sizeof(*hosts));
	uint32_t *slots;

	if (hosts == NULL)
		return -ENOMEM;
	t->hosts = hosts;
	slots = calloc(cap, sizeof(*slots));
	if (slots == NULL)
		return -ENOMEM;
	free(t->slots);
	t->slots = slots;
	t->cap_hosts = cap;
	for (uint32_t i = 0; i < t->n_hosts; i++)
		link_host(t, i);
	return 0;
}

static void forget_hosts(struct topo *t, uint32_t sw, uint32_t port) // port TOPO_NONE: all of the switch
{
	const struct topo_port *p = topo_port(t, sw, port);

	for (uint32_t i = 0; i < t->n_hosts && (p == NULL || p->n_hosts > 0);) {
		if (t->hosts[i].sw == sw && (port == TOPO_NONE || t->hosts[i].port == port))
			forget_host(t, i);
		else
			i++;
	}
}

void topo_switch_up(struct topo *t, uint32_t sw, bool up)
{
	struct topo_switch *s = &t->switches[sw];

	if (s->up != up)
		t->gen++;
	s->up = up;
	if (up)
		return;
	forget_hosts(t, sw, TOPO_NONE);
	for (uint32_t i = 0; i < s->n_ports; i++)
		cut(t, &s->ports[i]);
	s->n_ports = 0;
}

int topo_port_set(struct topo *t, uint32_t sw, uint32_t port, bool up, uint64_t speed_bps, int64_t now_ns)
{
	struct topo_switch *s = &t->switches[sw];
	struct topo_port *p = port_at(t, sw, port);

	if (p == NULL && s->n_ports == s->cap_ports) {
		uint32_t cap = s->cap_ports == 0 ? 8 : s->cap_ports * 2;
		struct topo_port *more = reallocarray(s->ports, cap, sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		s->ports = more;
		s->cap_ports = cap;
	}
	if (p == NULL) {
		for (p = &s->ports[s->n_ports++]; p > s->ports && p[-1].no > port; p--)
			*p = p[-1];
		*p = (struct topo_port){.no = port, .peer = TOPO_NONE};
		t->gen++;
	}
	if (p->up != up || p->speed_bps != speed_bps)
		t->gen++;
	if (up && !p->up)
		p->since_ns = now_ns;
	p->up = up;
	p->speed_bps = speed_bps;
	if (!up) {
		cut(t, p);
		p->inner = p->closed = p->shared = p->bridged = false;
		forget_hosts(t, sw, port);
	}
	return 0;
}

void topo_port_name(struct topo *t, uint32_t sw, uint32_t port, const char *name)
{
	struct topo_port *p = port_at(t, sw, port);
	size_t len = strnlen(name, TOPO_NAME_MAX);

	if (p == NULL)
		return;
	memcpy(p->name, name, len);
	p->name[len] = '\0';
}

void topo_port_mac(struct topo *t, uint32_t sw, uint32_t port, const uint8_t mac[6])
{
	struct topo_port *p = port_at(t, sw, port);

	if (p != NULL)
		memcpy(p->mac, mac, 6);
}

void topo_port_del(struct topo *t, uint32_t sw, uint32_t port)
{
	struct topo_switch *s = &t->switches[sw];
	struct topo_port *p = port_at(t, sw, port);

	if (p == NULL)
		return;
	forget_hosts(t, sw, port);
	s->n_ports--;
	memmove(p, p + 1, (size_t)(&s->ports[s->n_ports] - p) * sizeof(*p));
	t->gen++;
}

// --- links

bool topo_probe(struct topo *t, uint32_t from, uint32_t from_port, uint32_t to, uint32_t to_port, int64_t now_ns)
{
	struct topo_port *p = port_at(t, from, from_port), *q = port_at(t, to, to_port);
	bool is_new;

	if (p == NULL || q == NULL || !p->up || !q->up || (from == to && from_port == to_port))
		return false;
	is_new = p->peer != to || p->peer_port != to_port;
	p->peer = to;
	p->peer_port = to_port;
	p->seen_ns = now_ns;
	p->inner = q->inner = true;
	if (is_new) {
		t->gen++;
		forget_hosts(t, from, from_port);
		forget_hosts(t, to, to_port);
	}
	return is_new;
}

void topo_port_close(struct topo *t, uint32_t sw, uint32_t port)
{
	struct topo_port *p = port_at(t, sw, port);

	if (p == NULL || !p->up || p->closed)
		return;
	t->gen += !p->inner;
	p->inner = p->closed = true;
	p->shared = false;
	forget_hosts(t, sw, port);
}

void topo_port_share(struct topo *t, uint32_t sw, uint32_t port, int64_t now_ns)
{
	struct topo_port *p = port_at(t, sw, port);

	if (p == NULL || p->closed)
		return;
	p->shared_ns = now_ns;
	if (p->shared && p->inner)
		return;
	p->shared = p->inner = true;
	t->gen++;
	forget_hosts(t, sw, port);
}

void topo_join(struct topo *t, uint32_t port, uint32_t sw, uint32_t sw_port, int64_t now_ns)
{
	struct topo_port *p = port_at(t, sw, sw_port);

	if (p == NULL || !p->up || p->closed)
		return;
	topo_probe(t, t->bridge, port, sw, sw_port, now_ns);
	topo_probe(t, sw, sw_port, t->bridge, port, now_ns);
	p->bridged = true;
}

void topo_part(struct topo *t, uint32_t port, int64_t now_ns)
{
	struct topo_port *p = port_at(t, t->bridge, port), *q;

	if (p == NULL)
		return;
	q = p->peer == TOPO_NONE ? NULL : port_at(t, p->peer, p->peer_port);
	if (q != NULL && q->peer == t->bridge && q->peer_port == port)
		cut(t, q);
	cut(t, p);
	p->inner = false;
	p->since_ns = now_ns;
}

// The links of the bridge end otherwise, as no probes come from it.
static bool is_old(const struct topo *t, uint32_t sw, const struct topo_port *p, int64_t now_ns)
{
	if (p->peer == TOPO_NONE)
		return p->shared && !p->bridged && now_ns - p->shared_ns >= TOPO_LINK_AGE_NS;
	return sw != t->bridge && p->peer != t->bridge && now_ns - p->seen_ns >= TOPO_LINK_AGE_NS;
}

bool topo_age(struct topo *t, int64_t now_ns)
{
	bool some = false;

	for (uint32_t i = 0; i < t->n_switches; i++) {
		for (uint32_t k = 0; k < t->switches[i].n_ports; k++) {
			struct topo_port *p = &t->switches[i].ports[k];

			if (!is_old(t, i, p, now_ns))
				continue;
			some |= p->peer != TOPO_NONE;
			cut(t, p);
			p->shared = false;
			p->inner = p->closed || p->bridged;
			p->since_ns = now_ns;
			t->gen++;
		}
	}
	return some;
}

bool topo_is_edge(const struct topo_port *p, int64_t now_ns)
{
	return p->up && !p->inner && now_ns - p->since_ns >= TOPO_SETTLE_NS;
}

bool topo_link(const struct topo *t, uint32_t sw, uint32_t port, uint32_t *peer, uint32_t *peer_port)
{
	const struct topo_port *p = port_at(t, sw, port), *q;

	if (p == NULL || !p->up || p->peer == TOPO_NONE || !t->switches[p->peer].up)
		return false;
	q = port_at(t, p->peer, p->peer_port);
	if (q == NULL || !q->up || q->peer != sw || q->peer_port != port)
		return false;
	*peer = p->peer;
	*peer_port = p->peer_port;
	return true;
}

// --- hosts

struct topo_host *topo_host(const struct topo *t, const uint8_t mac[6])
{
	for (uint32_t i = t->n_hosts == 0 ? 0 : *slot_of(t, mac); i != 0; i = t->hosts[i - 1].next) {
		if (memcmp(t->hosts[i - 1].mac, mac, 6) == 0)
			return &t->hosts[i - 1];
	}
	return NULL;
}

void topo_host_forget(struct topo *t, struct topo_host *host)
{
	forget_host(t, (uint32_t)(host - t->hosts));
}

#define AGE_EVERY_NS 10000000000LL
#define SEEK_EVERY_NS 1000000000LL // on a port that is full

static bool is_silent(const struct topo_host *h, int64_t now_ns, int64_t once_ns, int64_t again_ns)
{
	return now_ns - h->seen_ns >= (h->seen_ns - h->since_ns < TOPO_AGAIN_NS ? once_ns : again_ns);
}

void topo_hosts_age(struct topo *t, int64_t now_ns)
{
	if (now_ns < t->aged_ns + AGE_EVERY_NS)
		return;
	t->aged_ns = now_ns;
	for (uint32_t i = 0; i < t->n_hosts;) {
		if (t->hosts[i].sw != t->bridge && is_silent(&t->hosts[i], now_ns, TOPO_ONCE_NS, INT64_MAX))
			forget_host(t, i);
		else
			i++;
	}
}

// May forget hosts of this port. Those of the bridge go when it forgets them itself.
static bool has_room(struct topo *t, uint32_t sw, struct topo_port *p, int64_t now_ns)
{
	if (t->port_hosts_max == 0 || p->n_hosts < t->port_hosts_max)
		return true;
	for (uint32_t i = 0; sw != t->bridge && now_ns >= p->sought_ns + SEEK_EVERY_NS && i < t->n_hosts;) {
		const struct topo_host *h = &t->hosts[i];

		if (h->sw == sw && h->port == p->no && is_silent(h, now_ns, TOPO_FULL_ONCE_NS, TOPO_FULL_AGAIN_NS))
			forget_host(t, i);
		else
			i++;
	}
	if (now_ns >= p->sought_ns + SEEK_EVERY_NS)
		p->sought_ns = now_ns;
	p->full |= p->n_hosts >= t->port_hosts_max;
	return p->n_hosts < t->port_hosts_max;
}

int topo_host_seen(struct topo *t, const uint8_t mac[6], uint32_t sw, uint32_t port, int64_t now_ns,
		   struct topo_host *was)
{
	struct topo_port *p = sw < t->n_switches ? port_at(t, sw, port) : NULL;
	struct topo_host *h = topo_host(t, mac);

	if (p == NULL || !p->up || p->inner || mac[0] & 1)
		return -EINVAL;
	if (was != NULL)
		*was = h == NULL ? (struct topo_host){.sw = TOPO_NONE} : *h;
	if (h != NULL && h->sw == sw && h->port == port) {
		h->seen_ns = now_ns;
		return 0;
	}
	if (!has_room(t, sw, p, now_ns)) {
		h = topo_host(t, mac);
		if (h != NULL) // it is not where it was any more
			topo_host_forget(t, h);
		return -EDQUOT;
	}
	h = topo_host(t, mac); // others were forgotten
	if (h == NULL) {
		if (t->n_hosts == t->hosts_max || (t->n_hosts == t->cap_hosts && grow_hosts(t) < 0))
			return -ENOSPC;
		h = &t->hosts[t->n_hosts];
		*h = (struct topo_host){0};
		memcpy(h->mac, mac, 6);
		link_host(t, t->n_hosts++);
	} else {
		leave_port(t, h);
	}
	p->n_hosts++;
	h->sw = sw;
	h->port = port;
	h->since_ns = h->seen_ns = now_ns;
	h->told_port = TOPO_NONE;
	t->gen++;
	return 1;
}
