// SPDX-License-Identifier: Apache-2.0
// Answers as a person reads them. Thread: one.
#pragma once
#include <jansson.h>
#include <stdio.h>

// One answer in JSON mode -> lines: "accepted, request 3 (from ... to ...)", "refused (schedule_full): ...", lists one
// item a line, tables lined up.
void show_answer(const json_t *answer, FILE *out);
// One event: "event: request 3 (deny on net0) ended at ...: cancelled".
void show_event(const json_t *event, FILE *out);
