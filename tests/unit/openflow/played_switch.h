// SPDX-License-Identifier: Apache-2.0
// For tests and benchmarks: the switch's end of an OpenFlow session, which answers as a switch with empty tables does
// and keeps what it was told to send. Bytes in and out by functions.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "control/of_wire.h"

#define PLAYED_PROBES 64
#define PLAYED_PORTS_MAX 32

struct played {
	uint8_t version; // OF_VERSION_10 or _13
	uint64_t dpid;
	uint32_t n_ports; // numbered from 1
	void (*send)(void *ctx, const uint8_t *bytes, size_t len);
	void (*flow_mod)(void *ctx, const struct of_flow_mod *mod); // may be NULL
	void (*packet_out)(void *ctx, const struct of_packet_out *out);
	void (*meter_mod)(void *ctx, const struct of_meter_mod *mod); // likewise
	bool (*multipart)(void *ctx, const struct of_msg *request);   // true: it has answered; may be NULL
	uint32_t groups_max;                                          // select groups; 0: it has none
	void (*group_mod)(void *ctx, const struct of_group_mod *mod); // may be NULL
	void *ctx;
	// what came
	struct played_probe {
		uint32_t port;
		uint8_t frame[160];
		size_t len;
	} probes[PLAYED_PROBES]; // the latest ones
	uint64_t n_probes, n_packet_outs, n_flow_mods, n_group_mods, n_barriers;
	uint32_t last_xid;  // of the last barrier
	uint32_t mod_xid;   // of the last flow mod
	uint32_t meter_xid; // of the last meter mod
	uint8_t *in;
	size_t n_in, cap_in;
};

void played_init(struct played *p, uint8_t version, uint64_t dpid, uint32_t n_ports);
void played_fini(struct played *p);
void played_hello(struct played *p);
// What the controller sends. false: it is no OpenFlow.
bool played_input(struct played *p, const uint8_t *bytes, size_t len);
void played_send(struct played *p, struct of_msg *m); // of its version
void played_packet_in(struct played *p, uint32_t port, const uint8_t *frame, size_t len);
void played_port_status(struct played *p, uint8_t reason, uint32_t port, uint32_t flags);
// The last probe that was to be sent by a port, NULL: none.
const struct played_probe *played_probe(const struct played *p, uint32_t port);
