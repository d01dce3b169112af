// SPDX-License-Identifier: Apache-2.0
// One session with an OpenFlow switch: version, features, ports, keep-alive. Bytes in, bytes and messages out; no
// sockets, no clock. The version is the highest that both speak of 1.0 and 1.3 (OpenFlow 1.3.5, section 6.3.1).
// Owner: the caller. Thread: control only. Time: ns, monotonic, an argument.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "of_wire.h"

#define OF_CONN_HANDSHAKE_NS 10000000000LL // to be up
#define OF_CONN_IDLE_NS 5000000000LL       // silence before an echo request
#define OF_CONN_DEAD_NS 15000000000LL      // silence that ends the session

struct of_conn;

// Called from of_conn_create, _input and _turn; the connection may not be destroyed inside them.
struct of_conn_ops {
	void (*send)(void *ctx, const uint8_t *bytes, size_t len); // copied by the callee
	void (*up)(void *ctx, struct of_conn *c);                  // features and ports are known
	// Everything the session does not answer itself, once it is up. The message is valid during the call.
	void (*message)(void *ctx, struct of_conn *c, const struct of_msg *m);
};

// Sends its hello. NULL: out of memory.
struct of_conn *of_conn_create(const struct of_conn_ops *ops, void *ctx, int64_t now_ns);
void of_conn_destroy(struct of_conn *c); // accepts NULL

// Bytes as they come, cut anywhere. 0, or -errno with the reason: the session is over, close it.
int of_conn_input(struct of_conn *c, const uint8_t *bytes, size_t len, int64_t now_ns, struct err *err);
// Keeps alive. 0, or -ETIMEDOUT: as of _input. To be called by of_conn_next_ns.
int of_conn_turn(struct of_conn *c, int64_t now_ns, struct err *err);
int64_t of_conn_next_ns(const struct of_conn *c);

// Sends a message of the session's version under a new xid, which is returned; 0 with err: the version cannot say it.
uint32_t of_conn_send(struct of_conn *c, struct of_msg *m, struct err *err);

bool of_conn_is_up(const struct of_conn *c);
uint8_t of_conn_version(const struct of_conn *c);
const struct of_features *of_conn_features(const struct of_conn *c);
// Its ports now, changes told by the switch included; valid until the next input.
const struct of_port *of_conn_ports(const struct of_conn *c, uint32_t *n_ports);
