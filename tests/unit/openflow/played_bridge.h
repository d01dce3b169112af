// SPDX-License-Identifier: Apache-2.0
// For tests: the local dataplane's end. It learns where addresses are, and tells the controller (of_member.h).
#pragma once
#include "control/of_member.h"
#include "control/of_trace.h"

#define PLAYED_SIGHTS 128

struct played_bridge {
	struct of_bridge learnt;                      // by frames that are followed through it
	struct of_member_sight sights[PLAYED_SIGHTS]; // as told last
	uint32_t n_sights;
};

void played_bridge_init(struct played_bridge *b);
void played_bridge_fini(struct played_bridge *b);
void played_bridge_forget(struct played_bridge *b); // what it has learnt
// A host 02:00:00:00:00:xx sends something; its address is 10.0.0.xx. Also when it was told before.
void played_bridge_see(struct played_bridge *b, const uint8_t mac[6], uint32_t port, int64_t now_ns);
// Its ports, from number 1, and where it has seen what since.
void played_bridge_tell(struct played_bridge *b, struct of_net *net, const bool *up, uint32_t n_ports, int64_t now_ns);
// From host 02:00:00:00:00:<from + 1> with address 10.0.0.<from + 1> to such a one, or (ARP) to all.
struct of_packet played_packet(uint32_t from, uint32_t to, bool broadcast);
