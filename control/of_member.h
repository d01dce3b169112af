// SPDX-License-Identifier: Apache-2.0
// The local dataplane as a member of the network of switches: a bridge that learns (topo.h), whose ports and sights are
// told by its owner. Which of its ports leads to which port of a switch is found out by asking: the switch sends out a
// frame from an address, and to the same, that is made of the port and the round of probes with the controller's key;
// no bridge sends that on, and the dataplane tells where it saw the address. A host sees those of its own port only:
// they count while they are of the last two rounds that sent another one (of TOKEN_NS at least), and the port was not
// down since. So it can make no link by what it kept. There are two such addresses with 32 bits of the key's each, and
// a link takes both, new at the same port. Those that made a link are asked by until the link ends, by a port that goes
// down or a dataplane that has seen neither for a minute: lost frames end no link. What else is seen at ports without a
// switch behind them are the dataplane's own hosts.
//
// It learns from what passes. So that it knows hosts that are silent, and at once when their side changes, the switch
// of that side sends it frames from, and to, their addresses. Thread: control only. Times: monotonic.
#pragma once
#include "hft/match.h"
#include "of_net.h"

struct of_member_port {
	uint32_t no;
	const char *name;
	bool up;
	uint64_t speed_bps; // 0: not known
};

struct of_member_sight { // an address as the source of frames
	uint8_t mac[6];
	uint32_t port;
	bool has_ip, ip6;
	u128 ip;
	int64_t at_ns;
};

struct of_member {
	const struct of_member_port *ports;
	uint32_t n_ports;                     // 0: there is no dataplane
	const struct of_member_sight *sights; // all that are not forgotten
	uint32_t n_sights;
};

// What it is from now on; nothing is kept of what is handed over.
void of_member_set(struct of_net *net, const struct of_member *m, int64_t now_ns);
