// SPDX-License-Identifier: Apache-2.0
#include "trace.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "show.h"
#include "show_trace.h"

int trace_run(const struct options *o, char **tests, int n_tests)
{
	char *statement = trace_statement(tests, n_tests);
	struct client *client;
	json_t *answer = NULL;
	const char *line;
	struct err err;
	bool ok;

	if (statement == NULL) {
		err_set(&err, ENOMEM, "out of memory");
		return panectl_failed(&err);
	}
	client = client_open(&o->at, o->user, &err);
	if (client != NULL)
		answer = panectl_ask(client, statement, &line, &err);
	free(statement);
	if (answer == NULL) {
		client_close(client);
		return panectl_failed(&err);
	}
	ok = json_is_true(json_object_get(answer, "ok"));
	if (o->json)
		puts(line);
	else
		show_answer(answer, stdout);
	json_decref(answer);
	client_close(client);
	return ok ? STATUS_ACCEPTED : STATUS_REFUSED;
}
