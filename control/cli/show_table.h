// SPDX-License-Identifier: Apache-2.0
// Tables of an answer's items, and the quantities in them as people read them. Thread: one.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#define COLUMNS_MAX 16

// Built cell by cell; its columns are made as wide as their widest cell when it is printed.
struct table {
	char **cells;
	size_t n_cells, cap, n_columns;
	bool failed;
};

void table_heads(struct table *t, size_t n, const char *const *names); // first; n <= COLUMNS_MAX
void table_cell(struct table *t, const char *text);
void table_print(struct table *t, FILE *out); // and empties it
void table_free(struct table *t);             // without printing it

// Decimal seconds since the epoch -> 2026-11-20T10:00:00Z, with the fraction if there is one; null: forever.
void show_time(const json_t *value, char *buf, size_t size);
// 30 Mbit/s; a string as it is; anything else is a dash.
void show_quantity(const json_t *value, const char *unit, char *buf, size_t size);
const char *show_member(const json_t *object, const char *key); // a string; "" when it is none
