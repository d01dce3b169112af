// SPDX-License-Identifier: Apache-2.0
// For tests: an engine one talks to in statements, the last answer kept; and its whole state as text.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "control/engine.h"
#include "control/reply.h"
#include "control/state.h"
#include "tests/rounds.h"

struct talk {
	struct nib *nib;
	struct engine *engine;
	struct reply reply; // of the last statement
	char classic[4096]; // the same, rendered
	int64_t now_ns;     // of the next statement; unused offline
};

void talk_init(struct talk *t, bool offline);
void talk_fini(struct talk *t);
// Says it; the answer's code. The speaker is a principal's text.
enum reply_code say(struct talk *t, const char *speaker, const char *statement);
const char *talk_why(const struct talk *t);                      // sentence of the last refusal, or ""
int64_t talk_number(const struct talk *t, const char *member);   // integer member of the last answer; -1: none
const char *talk_text(const struct talk *t, const char *member); // string member of the last answer; NULL: none
// Everything that a later answer can depend on, malloc'ed.
char *talk_dump(const struct talk *t);

// Numbers for randomised tests: xorshift, so that a seed means the same everywhere.
struct dice {
	uint64_t state;
};
struct dice dice_from_env(void);                // PANE_SEED or a fixed seed; prints it
uint64_t dice_roll(struct dice *d, uint64_t n); // 0 .. n-1
