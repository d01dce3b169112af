// SPDX-License-Identifier: Apache-2.0
// What a round of `verify` has found, for people. Thread: one.
#pragma once
#include <jansson.h>
#include <stdio.h>

// answer: of a round that is done: its findings, then how much was looked at, and what there is no way between.
void show_verdict(const json_t *answer, FILE *out);
