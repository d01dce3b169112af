// SPDX-License-Identifier: Apache-2.0
// Any bytes as what a database of Open vSwitch says, in pieces of any size: the connection is closed or goes on, and
// what is sent is JSON that changes nothing but QoS, queues, and the QoS of ports.
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "control/ovsdb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_op(const json_t *op)
{
	const char *name = json_string_value(json_object_get(op, "op"));
	const char *table = json_string_value(json_object_get(op, "table"));
	bool port = table != NULL && strcmp(table, "Port") == 0;

	if (name == NULL || table == NULL || (!port && strcmp(table, "QoS") != 0 && strcmp(table, "Queue") != 0) ||
	    (port && strcmp(name, "update") != 0) || (port && json_object_size(json_object_get(op, "row")) != 1))
		abort();
}

static void check_sent(void *ctx, const char *text, size_t len)
{
	json_t *message = json_loadb(text, len, 0, NULL);
	const char *method = json_string_value(json_object_get(message, "method"));
	const json_t *params = json_object_get(message, "params");

	if (message == NULL)
		abort();
	for (size_t i = 1; method != NULL && strcmp(method, "transact") == 0 && i < json_array_size(params); i++)
		check_op(json_array_get(params, i));
	json_decref(message);
	(void)ctx;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct ovsdb_queue queues[] = {{1, 17, 20000000, 10000000000, 2, 18},
						    {1, 18, 30000000, 10000000000, 2, 19},
						    {2, 17, 20000000, 0, 1, 18}};
	static const uint64_t first[] = {1};
	const struct ovsdb_wish all = {queues, 3, true, NULL, 0}, some = {queues, 1, false, first, 1};
	const struct ovsdb_ops ops = {.send = check_sent};
	struct ovsdb *o = ovsdb_create(&ops);
	size_t piece = size > 0 ? 1 + data[0] : 1;
	struct err err;
	int rc = 0;

	if (o == NULL)
		return 0;
	ovsdb_want(o, &all, 0);
	ovsdb_connected(o);
	for (size_t at = 1; at < size && rc == 0; at += piece)
		rc = ovsdb_input(o, (const char *)data + at, size - at < piece ? size - at : piece, (int64_t)at, &err);
	if (rc < 0)
		ovsdb_gone(o);
	ovsdb_want(o, &some, 5000000000);
	ovsdb_destroy(o);
	return 0;
}
