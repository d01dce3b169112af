// SPDX-License-Identifier: Apache-2.0
// How many statements a second each user may say: a token bucket a user, filled at the rate, as deep as one second's
// worth (and at least one). Thread: control only. Time is an argument, in ns; backwards is taken as standing still.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct meter;

struct meter *meter_create(uint32_t per_second); // NULL: out of memory; 0: no limit
void meter_destroy(struct meter *m);             // accepts NULL
// One more statement of this user (a name of a registered one). false: too many; true also when out of memory.
bool meter_take(struct meter *m, const char *user, int64_t now_ns);
