// SPDX-License-Identifier: Apache-2.0
// What the queries of the network answer, for people. Thread: one.
#pragma once
#include <jansson.h>
#include <stdio.h>

void show_traffic(const json_t *answer, FILE *out);     // of traffic(...)
void show_explanation(const json_t *answer, FILE *out); // of explain(...)
// Items that are objects, as tables: those in a row with the same members are one.
void show_objects(const json_t *items, FILE *out);
