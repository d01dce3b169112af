// SPDX-License-Identifier: Apache-2.0
// Statements that only read (SPEC 6): one handler each, called by the engine's table. What may be seen is view.h's
// business. Thread: control only.
#pragma once
#include "state.h"

int query_schedule(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_shares(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// All shares whose group contains the one asked about, whoever asks: names are no secret.
int query_shares_by_group(struct state *s, const struct principal *speaker, const struct statement *st,
			  struct reply *reply);
int query_requests(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// Sums of what requests count (traffic.h), in traffic_query.c.
int query_traffic(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_between(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// What happens to a packet, in explain.c.
int query_explain(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// The same, and what the dataplane says of it, later: trace.h.
int query_trace(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// Frames, later: capture.h, in capture_query.c.
int query_capture(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// A switch's number as answers show it: 16 hexadecimal digits.
struct dpid_text {
	char text[20];
};
struct dpid_text query_dpid(const struct topo *topo, uint32_t sw);
// What the network told of itself (nib.h), in query_net.c and query_hosts.c.
int query_links(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_hosts(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_where(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_verify(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_ports(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// Queues and what they come to for requests and shares, in query_queues.c.
int query_queues(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_time(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_help(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// Of the session: the form of its answers, its end.
int query_mode(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_quit(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
