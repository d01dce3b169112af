// SPDX-License-Identifier: Apache-2.0
#include "member_tell.h"

#include <stdlib.h>

#include "of_member.h"

#define AGAIN_NS 1000000000LL

static bool is_away(struct member_tell *m, const struct nib *nib, int64_t now_ns)
{
	bool some = false;

	for (size_t i = 0; i < nib_n_ports(nib); i++)
		some |= nib_port_at(nib, i)->up;
	if (some)
		m->away_ns = 0;
	else if (m->away_ns == 0)
		m->away_ns = now_ns;
	return !some && now_ns - m->away_ns < MEMBER_AWAY_NS;
}

static struct of_member_sight sight_of(const struct nib_seen *seen)
{
	struct of_member_sight s = {
		.port = seen->port, .has_ip = seen->has_ip, .ip6 = seen->ip6, .ip = seen->ip, .at_ns = seen->at_ns};

	for (int i = 0; i < 6; i++)
		s.mac[i] = (uint8_t)(seen->mac >> (8 * (5 - i)));
	return s;
}

static void tell(const struct nib *nib, struct of_net *net, int64_t now_ns)
{
	size_t n_ports = nib_n_ports(nib), n_seen = nib_n_seen(nib);
	struct of_member_port *ports = calloc(n_ports + 1, sizeof(*ports));
	struct of_member_sight *sights = calloc(n_seen + 1, sizeof(*sights));
	const struct of_member m = {ports, (uint32_t)n_ports, sights, (uint32_t)n_seen};

	for (size_t i = 0; ports != NULL && i < n_ports; i++) {
		const struct nib_port *p = nib_port_at(nib, i);

		ports[i] = (struct of_member_port){p->port, p->name, p->up, p->rate_bps};
	}
	for (size_t i = 0; sights != NULL && i < n_seen; i++)
		sights[i] = sight_of(nib_seen_at(nib, i));
	if (ports != NULL && sights != NULL) // else in a second
		of_member_set(net, &m, now_ns);
	free(ports);
	free(sights);
}

int64_t member_tell(struct member_tell *m, const struct nib *nib, struct of_net *net, int64_t now_ns)
{
	if (nib_n_ports(nib) == 0 && m->gen == nib_gen(nib))
		return INT64_MAX;
	if (m->gen == nib_gen(nib) && now_ns - m->told_ns < AGAIN_NS)
		return m->told_ns + AGAIN_NS;
	m->gen = nib_gen(nib);
	m->told_ns = now_ns;
	if (!is_away(m, nib, now_ns))
		tell(nib, net, now_ns);
	return now_ns + AGAIN_NS;
}
