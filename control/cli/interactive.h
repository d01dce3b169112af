// SPDX-License-Identifier: Apache-2.0
// panectl at a terminal: line editing, history, completion of verbs, shares and users. An interrupt (^C) drops what has
// been typed of a statement; events are shown above the line that is being typed. Thread: one.
#pragma once
#include <jansson.h>
#include <stddef.h>

#include "client.h"
#include "complete.h"

struct interactive {
	int (*ask)(void *ctx, const char *statement, size_t len);
	json_t *(*names)(void *ctx, enum complete_what what); // to complete with; new reference, NULL when unknown
	void *ctx;
	struct client *client; // whose events are shown, and whose user the prompt names
};

// Reads statements, which may go over several lines, until end of input or until ask returns non-zero; returns that, or
// STATUS_FAILED when the session is lost.
int interactive_run(const struct interactive *with);
