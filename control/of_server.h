// SPDX-License-Identifier: Apache-2.0
// Where OpenFlow switches connect: sockets around of_net, and the policy for them.
// Owner: the controller. Thread: control only (libevent).
#pragma once
#include <openssl/ssl.h>
#include <stdbool.h>
#include <stdint.h>

#include "hft/err.h"
#include "of_net.h"
#include "prove.h"

struct engine;
struct event_base;
struct nib;
struct of_policy_proof;
struct of_server;

struct of_server_conf {
	const char *listen;      // ADDRESS:PORT (6653 is OpenFlow's); NULL: none
	const char *tls_listen;  // the same with TLS; NULL: none
	SSL_CTX *tls;            // of tls_listen; borrowed
	enum prove_mode verify;  // of the tables for switches, before they are sent
	int64_t lease_ns;        // of_plan.h
	uint32_t port_hosts_max; // topo.h
	bool queues;             // of_plan.h
	struct nib *nib;         // borrowed: it is shown the switches, until the end
};

// NULL with err: it cannot be listened on, or out of memory.
struct of_server *of_server_create(struct event_base *base, const struct of_server_conf *conf, struct err *err);
void of_server_destroy(struct of_server *s); // accepts NULL; switches keep what they have

// Once a turn: puts what the engine's policy is into the switches, keeps sessions alive. now_ns: since the epoch.
// Returns the instant of the next turn that must come.
int64_t of_server_turn(struct of_server *s, const struct engine *engine, int64_t now_ns);
// The network of switches can or cannot keep a request (of_net.h); called inside of_server_turn.
void of_server_on_kept(struct of_server *s, void (*fn)(void *ctx, uint64_t request, const char *why), void *ctx);
// The dataplane's part of each limit (of_net.h), likewise.
void of_server_on_parted(struct of_server *s, void (*fn)(void *ctx, uint64_t request, uint32_t parts), void *ctx);
// Whether it could keep one more, see of_net_fit; for engine_ask_network with the server as ctx.
int of_server_fit(void *server, const struct demand *demand, struct err *err);
// Why the switches that are here cannot have the policy as it is, or NULL. Stays valid until the next turn.
const char *of_server_trouble(const struct of_server *s);
// What proving the tables for switches came to: stays valid as long as the server.
const struct of_policy_proof *of_server_proof(const struct of_server *s);
uint16_t of_server_port(const struct of_server *s, bool with_tls);               // it listens on; 0: none
void of_server_ignores_queues(struct of_server *s, uint64_t dpid, bool ignores); // of_net_ignores_queues
const struct of_net *of_server_net(const struct of_server *s);
