// SPDX-License-Identifier: Apache-2.0
// What ovsdb.c (messages) and ovsdb_rows.c (rows) share. Thread: control only.
#pragma once
#include <jansson.h>

#include "ovsdb.h"

// The operations (RFC 7047, 5.2) that make the tables, as monitored, have the queues and no others of ours at the
// bridges that are known; an empty array: they have. why (empty before): something to tell. NULL: out of memory.
json_t *ovsdb_difference(const json_t *tables, const struct ovsdb_wish *wish, char *why, size_t size);
uint32_t ovsdb_count_ours(const json_t *tables, const char *table);
