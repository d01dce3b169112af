// SPDX-License-Identifier: Apache-2.0
// Work that others can ask for as often as they like is done so many times at once, and then once in a while: the
// generic cell rate algorithm as virtual scheduling (ITU-T I.371, annex A). A value. Thread: control only. Time: ns,
// monotonic, an argument.
#pragma once
#include <stdint.h>

struct of_pace {
	int64_t due_ns; // when the next one were due, had there been no burst
};

// When it may be done next, `burst` times beyond once in pause_ns.
int64_t of_pace_free_ns(const struct of_pace *p, unsigned int burst, int64_t pause_ns);
void of_pace_take(struct of_pace *p, int64_t now_ns, int64_t pause_ns); // it is done now
