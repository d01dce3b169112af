// SPDX-License-Identifier: Apache-2.0
// For tests: a controller's network (of_net.h) of played switches that keep what they are told, tell of it when asked,
// and take entries out when their time is over. One simulated clock, which is the wall clock, too. The controller can
// die and be started anew; the switches then keep what they have.
#pragma once
#include "control/of_net.h"
#include "played_switch.h"

#define PLAYED_NET_MAX 6
#define PLAYED_NET_HOST_PORT 1 // of every switch: its host, 10.0.0.<switch + 1>
#define PLAYED_NET_SECOND 1000000000LL

struct played_peer {
	struct played played;
	struct played_net *net;
	struct of_switch *sw; // NULL: no session
	struct of_rules rules;
	struct of_meters meters;
	uint8_t *out; // said, and not read yet
	size_t n_out, cap_out;
};

struct played_net {
	struct of_net_conf conf;
	struct of_net *of; // NULL: the controller is dead
	struct played_peer peers[PLAYED_NET_MAX];
	int n;
	bool linked[PLAYED_NET_MAX][PLAYED_NET_MAX]; // by the ports of played_net_port
	int64_t now_ns;
	uint64_t n_said[PLAYED_NET_MAX]; // probes carried
	uint64_t n_expired;
	void (*on_mod)(struct played_net *n, int peer, const struct of_flow_mod *mod); // after it is kept; may be NULL
	void (*between)(struct played_net *n); // two turns of the controller, where it may be spoken to; may be NULL
	void *ctx;                             // of both
	const char *counted;                   // so many notes have it; NULL: none
	int n_counted;
};

// A line of n switches of this version. conf: of the controller, which is not started yet.
void played_net_init(struct played_net *n, int n_switches, uint8_t version, const struct of_net_conf *conf);
void played_net_fini(struct played_net *n);
uint32_t played_net_port(int to);                          // of any switch, towards another one
struct of_rule played_rule(const struct of_flow_mod *mod); // as a switch keeps it that is told so
void played_net_start(struct played_net *n);
void played_net_kill(struct played_net *n);
void played_net_join(struct played_net *n, int peer);
void played_net_leave(struct played_net *n, int peer);
// Turns every 100 ms, or with step_ns; probes are carried.
void played_net_run(struct played_net *n, int64_t for_ns);
void played_net_turn(struct played_net *n);                                      // one, at now_ns
void played_net_say(struct played_net *n, int host);                             // its ARP request
void played_net_say_at(struct played_net *n, int host, int peer, uint32_t port); // as if it were there

struct played_want { // a request between two hosts, or (to < 0) from one to all
	uint64_t id;
	int from, to;
	enum {
		PLAYED_DENY,
		PLAYED_LIMIT,
		PLAYED_RESERVE,
		PLAYED_DENY_IP6,
		PLAYED_DENY_FROM6
	} verb; // FROM6: fd00::<from + 1>
	uint64_t rate_bps;
	int64_t end_ns; // INT64_MAX: none
};

void played_net_policy(struct played_net *n, const struct played_want *wants, int n_wants);
struct of_net_stats played_net_stats(const struct played_net *n);
