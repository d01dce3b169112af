// SPDX-License-Identifier: Apache-2.0
#include "nib.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HOST_NAME_LEN 64
#define HOST_NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$.-"

struct nib_host {
	char name[HOST_NAME_LEN];
	struct span128 addr;
	uint32_t kinds;
};

struct nib {
	struct nib_host *hosts; // a handful from the configuration: searched linearly
	struct nib_port *ports; // ascending by port number
	size_t n_hosts, n_ports;
};

struct nib *nib_create(void)
{
	return calloc(1, sizeof(struct nib));
}

void nib_destroy(struct nib *nib)
{
	if (nib == NULL)
		return;
	free(nib->hosts);
	free(nib->ports);
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

bool nib_host_find(const struct nib *nib, const char *name, struct span128 *addr, uint32_t *kinds)
{
	const struct nib_host *host = host_get(nib, name);

	if (host == NULL)
		return false;
	*addr = host->addr;
	*kinds = host->kinds;
	return true;
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

void nib_port_set(struct nib *nib, const struct nib_port *port)
{
	struct nib_port *known = port_get(nib, port->port), old = {0};

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

void nib_port_counters(struct nib *nib, uint16_t port, const uint64_t *value, uint16_t n)
{
	struct nib_port *known = port_get(nib, port);
	uint16_t max = sizeof(known->counter) / sizeof(known->counter[0]);

	if (known == NULL)
		return;
	known->n_counters = n < max ? n : max;
	memcpy(known->counter, value, known->n_counters * sizeof(*value));
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
	for (size_t i = 0; i < nib->n_ports; i++)
		nib->ports[i].up = false;
}
