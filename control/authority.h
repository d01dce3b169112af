// SPDX-License-Identifier: Apache-2.0
// Who may say what: statements about users, shares, their principals and what the network binds to users (SPEC 3).
// Each returns 0, or -1 with the refusal in reply and nothing changed. What changes is told to the state's delta and
// events. Thread: control only.
#pragma once
#include <stdbool.h>

#include "reply.h"
#include "state.h"
#include "statement.h"

int authority_add_user(struct state *s, const struct principal *speaker, const struct statement *st,
		       struct reply *reply);
int authority_new_share(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply);
int authority_grant(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int authority_grant_default(struct state *s, const struct principal *speaker, const struct statement *st,
			    struct reply *reply);
int authority_revoke(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply);
int authority_drop_share(struct state *s, const struct principal *speaker, const struct statement *st,
			 struct reply *reply);
int authority_drop_user(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply);
int authority_bind_user(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply);
int authority_unbind_user(struct state *s, const struct principal *speaker, const struct statement *st,
			  struct reply *reply);

bool authority_is_root(const struct principal *speaker);
int authority_refuse_not_root(const struct principal *speaker, struct reply *reply); // -1
