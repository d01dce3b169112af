// SPDX-License-Identifier: Apache-2.0
// Who may see what (SPEC 3 and 6). A share may be looked into by its principals and by those of the shares above it:
// through each such share that has `query` and what is looked at in its `view`. What belongs to no share (ports, links,
// hosts, queues) may be seen by who speaks for any such share. Thread: control only.
#pragma once
#include "state.h"

// The nearest share through which the speaker may look into this one and sees all of `bits` (enum view, 0: no more than
// that requests stand there), or NULL.
const struct share *view_through(const struct state *s, const struct principal *speaker, const struct share *share,
				 uint32_t bits);
// The same, or NULL with a refusal that says what is missing.
const struct share *view_share(const struct state *s, const struct principal *speaker, const struct share *share,
			       uint32_t bits, struct reply *reply);
// 0 if the speaker sees these somewhere, otherwise -1 with a refusal.
int view_anywhere(const struct state *s, const struct principal *speaker, enum view bit, struct reply *reply);
