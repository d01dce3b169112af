// SPDX-License-Identifier: Apache-2.0
// panectl's statements: from its command line, from standard input, from a terminal; their answers to standard output.
// Thread: one.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "client.h"

struct cmd_info;

enum status { // of the program
	STATUS_ACCEPTED = 0,
	STATUS_REFUSED = 1,
	STATUS_USAGE = 2,
	STATUS_FAILED = 3,
};

struct options {
	struct client_conf at;
	const char *user; // NULL: whom the certificate stands for
	bool json;
	const char *timeout; // as given: at.timeout_s
};

struct talk {
	struct client *client;
	bool json, refused, progress;
	size_t n_sent, n_answered;
	size_t under_way;              // bytes sent, not answered yet: an upper bound
	bool forms;                    // of a statement that is not understood its verb's form is told
	const struct cmd_info **verbs; // of those sent since then; NULL: none
	size_t n_verbs;
};

// Those of args, or without any what comes from standard input. The program's exit status.
int statements_run(const struct options *o, char **args, int n_args);
// One statement, nothing else under way. The answer (caller: json_decref), NULL with err.
json_t *panectl_ask(struct client *client, const char *statement, const char **line, struct err *err);
void panectl_print_event(void *ctx, const json_t *event, const char *line); // ctx: a struct talk
int panectl_failed(const struct err *err);                                  // says it: STATUS_FAILED
