// SPDX-License-Identifier: Apache-2.0
// What `explain` and `trace` have in common. Thread: control only.
#pragma once
#include "state.h"

struct trace_question;

// As query_explain, and *out: what the dataplane is to be asked, and is expected to say (the caller frees it). -1 with
// a refusal, and then *out is as it was.
int explain_begin(struct state *s, const struct principal *speaker, const struct statement *st,
		  struct trace_question **out, struct reply *reply);
const char *access_name(enum access access);
