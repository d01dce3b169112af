// SPDX-License-Identifier: Apache-2.0
// Statements that only read (SPEC 6): one handler each, called by the engine's table. Thread: control only.
// A share may be looked into by its principals and by those of the shares above it, where that share has `query`.
#pragma once
#include "state.h"

int query_schedule(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_shares(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
// All shares whose group contains the one asked about, whoever asks: names are no secret.
int query_shares_by_group(struct state *s, const struct principal *speaker, const struct statement *st,
			  struct reply *reply);
int query_requests(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_ports(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_time(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int query_help(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
