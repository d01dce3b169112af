// SPDX-License-Identifier: Apache-2.0
#include "nib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "dataplane/proto.h"
#include "queue_book.h"

#define SLOTS_BITS 17
#define N_SLOTS ((size_t)1 << SLOTS_BITS) // twice NIB_SEEN_MAX
#define HOST_NAME_LEN 64
#define NIB_FIGURES_MAX 64
#define HOST_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$.-"

struct nib_host {
	char name[HOST_NAME_LEN];
	struct span128 addr;
	uint32_t kinds;
};

struct nib {
	struct nib_host *hosts; // a handful from the configuration: searched linearly
	struct nib_seen *seen;  // found through the slots: an open hash table of index + 1, 0: free
	uint32_t *slots;        // N_SLOTS
	size_t n_seen, n_made_up;
	uint64_t gen, salt;
	struct nib_port *ports; // ascending by port number
	size_t n_hosts, n_ports;
	uint64_t figure[NIB_FIGURES_MAX];
	uint16_t n_figures;
	uint64_t n_rounds;
	int64_t told_ns;
	struct queue_book *queues;
	struct nib_net net; // topo NULL: none
	struct nib_verifier verifier;
};

struct nib *nib_create(void)
{
	struct nib *nib = calloc(1, sizeof(*nib));

	if (nib == NULL)
		return NULL;
	if (getrandom(&nib->salt, sizeof(nib->salt), GRND_NONBLOCK) != sizeof(nib->salt))
		nib->salt = UINT64_C(0x9e3779b97f4a7c15);
	nib->salt |= 1;
	nib->told_ns = INT64_MIN;
	nib->queues = queue_book_create();
	if (nib->queues == NULL) {
		nib_destroy(nib);
		nib = NULL;
	}
	return nib;
}

void nib_destroy(struct nib *nib)
{
	if (nib == NULL)
		return;
	free(nib->hosts);
	free(nib->seen);
	free(nib->slots);
	free(nib->ports);
	queue_book_destroy(nib->queues);
	free(nib);
}

static const struct nib_host *host_get(const struct nib *nib, const char *name)
{
	for (size_t i = 0; i < nib->n_hosts; i++)
		if (strcmp(nib->hosts[i].name, name) == 0)
			return &nib->hosts[i];
	return NULL;
}

// A name that reads as an address in a flow group would never be looked up.
static bool host_name_valid(const char *name)
{
	size_t len = strlen(name), dots = 0;

	for (size_t i = 0; i < len; i++)
		dots += name[i] == '.';
	if (dots == 3 && strspn(name, "0123456789.") == len)
		return false;
	return len > 0 && len < HOST_NAME_LEN && strspn(name, HOST_NAME_CHARS) == len && name[0] != '-' &&
	       name[0] != '.' && name[len - 1] != '.';
}

static bool address_parse(const char *text, struct span128 *addr, uint32_t *kinds)
{
	struct in_addr addr4;
	uint8_t addr6[16];

	if (inet_pton(AF_INET, text, &addr4) == 1) {
		*addr = match_ip4_prefix(ntohl(addr4.s_addr), 32);
		*kinds = MATCH_KINDS_V4;
		return true;
	}
	if (inet_pton(AF_INET6, text, addr6) != 1)
		return false;
	*addr = match_ip6_prefix(addr6, 128);
	*kinds = MATCH_KINDS_V6;
	return true;
}

int nib_host_add(struct nib *nib, const char *name, const char *address, struct err *err)
{
	struct nib_host host = {0}, *hosts;

	if (!host_name_valid(name))
		return err_set(err, EINVAL, "host name \"%s\": 1 to %d letters, digits, _ $ . -, and no address", name,
			       HOST_NAME_LEN - 1);
	if (!address_parse(address, &host.addr, &host.kinds))
		return err_set(err, EINVAL, "host %s: \"%s\" is no IPv4 or IPv6 address", name, address);
	if (host_get(nib, name) != NULL)
		return err_set(err, EEXIST, "host %s is named twice", name);
	hosts = realloc(nib->hosts, (nib->n_hosts + 1) * sizeof(*hosts));
	if (hosts == NULL)
		return err_set(err, ENOMEM, "host %s: out of memory", name);
	memcpy(host.name, name, strlen(name) + 1);
	nib->hosts = hosts;
	nib->hosts[nib->n_hosts++] = host;
	return 0;
}

void nib_hosts_forget(struct nib *nib)
{
	nib->n_hosts = 0;
}

bool nib_host_find(const struct nib *nib, const char *name, struct span128 *addr, uint32_t *kinds)
{
	const struct nib_host *host = host_get(nib, name);

	if (host == NULL)
		return false;
	*addr = host->addr;
	*kinds = host->kinds;
	return true;
}

const char *nib_host_at(const struct nib *nib, size_t i, struct span128 *addr, uint32_t *kinds)
{
	if (i >= nib->n_hosts)
		return NULL;
	*addr = nib->hosts[i].addr;
	*kinds = nib->hosts[i].kinds;
	return nib->hosts[i].name;
}

static bool same_seen(const struct nib_seen *a, const struct nib_seen *b)
{
	return a->mac == b->mac && a->vlan == b->vlan && a->has_ip == b->has_ip &&
	       (!a->has_ip || (a->ip6 == b->ip6 && a->ip == b->ip));
}

// Where to look first for all of an interface; multiplicative (Dietzfelbinger et al., 1997), by a number nobody knows.
static size_t home(const struct nib *nib, uint64_t mac, uint16_t vlan)
{
	return (size_t)(((uint64_t)vlan << 48 | mac) * nib->salt >> (64 - SLOTS_BITS));
}

static size_t after(size_t slot)
{
	return (slot + 1) % N_SLOTS;
}

// The slot of this address, or the free one where it belongs.
static uint32_t *seen_slot(const struct nib *nib, const struct nib_seen *seen)
{
	for (size_t i = home(nib, seen->mac, seen->vlan);; i = after(i))
		if (nib->slots[i] == 0 || same_seen(&nib->seen[nib->slots[i] - 1], seen))
			return &nib->slots[i];
}

static bool has_room(const struct nib *nib, const struct nib_seen *seen)
{
	return proto_is_made_up(seen->mac) ? nib->n_made_up < NIB_MADE_UP_MAX
					   : nib->n_seen - nib->n_made_up < NIB_SEEN_MAX;
}

void nib_seen_set(struct nib *nib, const struct nib_seen *seen)
{
	uint32_t *slot;

	nib->gen++;
	if (nib->slots == NULL) {
		nib->slots = calloc(N_SLOTS, sizeof(*nib->slots));
		nib->seen = calloc(NIB_SEEN_MAX + NIB_MADE_UP_MAX, sizeof(*nib->seen)); // touched as it is used
		if (nib->slots == NULL || nib->seen == NULL) {
			free(nib->slots);
			free(nib->seen);
			nib->slots = NULL;
			nib->seen = NULL;
			return; // seen again, told again
		}
	}
	slot = seen_slot(nib, seen);
	if (*slot == 0 && !has_room(nib, seen))
		return;
	if (*slot == 0) {
		*slot = (uint32_t)++nib->n_seen;
		nib->n_made_up += proto_is_made_up(seen->mac);
	}
	nib->seen[*slot - 1] = *seen;
}

// The last entry takes its place; what was put behind a taken slot moves up (Knuth, TAOCP 3, 6.4, algorithm R).
static void remove_at(struct nib *nib, size_t slot)
{
	uint32_t at = nib->slots[slot] - 1, last = (uint32_t)nib->n_seen - 1;

	nib->n_made_up -= proto_is_made_up(nib->seen[at].mac);
	if (at != last) {
		*seen_slot(nib, &nib->seen[last]) = at + 1;
		nib->seen[at] = nib->seen[last];
	}
	nib->n_seen = last;
	nib->slots[slot] = 0;
	for (size_t i = after(slot); nib->slots[i] != 0; i = after(i)) {
		const struct nib_seen *seen = &nib->seen[nib->slots[i] - 1];

		if ((i - home(nib, seen->mac, seen->vlan)) % N_SLOTS < (i - slot) % N_SLOTS)
			continue; // it is not there because that slot was taken
		nib->slots[slot] = nib->slots[i];
		nib->slots[i] = 0;
		slot = i;
	}
}

void nib_seen_forget(struct nib *nib, uint64_t mac, uint16_t vlan)
{
	size_t i = home(nib, mac, vlan);

	nib->gen++;
	while (nib->slots != NULL && nib->slots[i] != 0) {
		const struct nib_seen *seen = &nib->seen[nib->slots[i] - 1];

		if (seen->mac == mac && seen->vlan == vlan)
			remove_at(nib, i); // and look again at what took the slot
		else
			i = after(i);
	}
}

uint64_t nib_gen(const struct nib *nib)
{
	return nib->gen;
}

size_t nib_n_seen(const struct nib *nib)
{
	return nib->n_seen;
}

const struct nib_seen *nib_seen_at(const struct nib *nib, size_t i)
{
	return i < nib->n_seen ? &nib->seen[i] : NULL;
}

static struct nib_port *port_get(const struct nib *nib, uint16_t port)
{
	for (size_t i = 0; i < nib->n_ports; i++)
		if (nib->ports[i].port == port)
			return &nib->ports[i];
	return NULL;
}

static struct nib_port *port_add(struct nib *nib, uint16_t port)
{
	struct nib_port *ports = realloc(nib->ports, (nib->n_ports + 1) * sizeof(*ports));
	size_t at = 0;

	if (ports == NULL)
		return NULL;
	nib->ports = ports;
	while (at < nib->n_ports && ports[at].port < port)
		at++;
	memmove(&ports[at + 1], &ports[at], (nib->n_ports - at) * sizeof(*ports));
	nib->n_ports++;
	memset(&ports[at], 0, sizeof(*ports));
	return &ports[at];
}

static void port_del(struct nib *nib, struct nib_port *port)
{
	if (port == NULL)
		return;
	nib->n_ports--;
	memmove(port, port + 1, (size_t)(&nib->ports[nib->n_ports] - port) * sizeof(*port));
}

const struct nib_port *nib_port_find(const struct nib *nib, uint16_t port)
{
	return port_get(nib, port);
}

void nib_port_set(struct nib *nib, const struct nib_port *port)
{
	struct nib_port *known = port_get(nib, port->port), old = {0};

	nib->gen++;
	if (port->name[0] == '\0') {
		port_del(nib, known);
		return;
	}
	if (known != NULL)
		old = *known;
	else
		known = port_add(nib, port->port);
	if (known == NULL)
		return; // out of memory: the dataplane tells of the port again at its next change
	*known = *port;
	known->n_counters = old.n_counters;
	memcpy(known->counter, old.counter, sizeof(old.counter));
	known->name[sizeof(known->name) - 1] = '\0';
	known->device[sizeof(known->device) - 1] = '\0';
}

const char *nib_counter_name(size_t i)
{
	static const char *const names[] = {
#define COUNTER(name, unit, help) #name,
#define COUNTER_DROP_RX COUNTER
#define COUNTER_DROP_TX COUNTER
#define COUNTER_DEVICE COUNTER
#include "dataplane/counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
	};

	return i < sizeof(names) / sizeof(names[0]) ? names[i] : NULL;
}

uint64_t nib_port_counter(const struct nib_port *port, const char *name)
{
	for (size_t i = 0; i < port->n_counters && nib_counter_name(i) != NULL; i++)
		if (strcmp(nib_counter_name(i), name) == 0)
			return port->counter[i];
	return 0;
}

void nib_port_counters(struct nib *nib, uint16_t port, const uint64_t *value, uint16_t n)
{
	struct nib_port *known = port_get(nib, port);
	uint16_t max = sizeof(known->counter) / sizeof(known->counter[0]);

	if (known == NULL)
		return;
	known->n_counters = n < max ? n : max;
	memcpy(known->counter, value, known->n_counters * sizeof(*value));
}

void nib_figures_set(struct nib *nib, const uint64_t *value, uint16_t n)
{
	nib->n_figures = n < NIB_FIGURES_MAX ? n : NIB_FIGURES_MAX;
	memcpy(nib->figure, value, nib->n_figures * sizeof(*value));
	nib->n_rounds++;
}

void nib_told(struct nib *nib, int64_t now_ns)
{
	nib->told_ns = now_ns;
}

int64_t nib_told_ns(const struct nib *nib)
{
	return nib->told_ns;
}

uint64_t nib_n_rounds(const struct nib *nib)
{
	return nib->n_rounds;
}

const uint64_t *nib_figures(const struct nib *nib, uint16_t *n)
{
	*n = nib->n_figures;
	return nib->figure;
}

size_t nib_n_ports(const struct nib *nib)
{
	return nib->n_ports;
}

const struct nib_port *nib_port_at(const struct nib *nib, size_t i)
{
	return i < nib->n_ports ? &nib->ports[i] : NULL;
}

void nib_ports_down(struct nib *nib)
{
	nib->gen++;
	for (size_t i = 0; i < nib->n_ports; i++)
		nib->ports[i].up = false;
	queue_book_forget(nib->queues);
}

struct queue_book *nib_queues(const struct nib *nib)
{
	return nib->queues;
}

void nib_net_set(struct nib *nib, const struct nib_net *net)
{
	nib->net = net == NULL ? (struct nib_net){0} : *net;
}

const struct nib_net *nib_net(const struct nib *nib)
{
	return nib->net.topo == NULL ? NULL : &nib->net;
}

void nib_verifier_set(struct nib *nib, struct nib_verifier verifier)
{
	nib->verifier = verifier;
}

struct nib_verifier nib_verifier(const struct nib *nib)
{
	return nib->verifier;
}
