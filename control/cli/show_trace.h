// SPDX-License-Identifier: Apache-2.0
// A trace as people write and read it. Thread: one.
#pragma once
#include <jansson.h>
#include <stdio.h>

// The statement, malloc'ed: tests of fields, separated by commas or just by blanks, with or without brackets around
// all. NULL: out of memory.
char *trace_statement(char **tests, int n_tests);
// What the dataplane says (the answer's member of that name, or NULL).
void show_trace(const json_t *dataplane, FILE *out);
