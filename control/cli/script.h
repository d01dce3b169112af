// SPDX-License-Identifier: Apache-2.0
// panectl script: files of `speaker : statement.` lines, played without a switch (clock at 0, no network) or at one.
// Thread: one.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "client.h"
#include "hft/err.h"

struct script_conf {
	const char *path;
	bool offline, json;
	struct client_conf at; // the switch
};

// Prints an answer a statement, in order. *n_refused: how many were refused. 0; -EINVAL, -ENOENT ... for the file,
// -EPROTO or what connect said for the switch.
int script_run(const struct script_conf *conf, size_t *n_refused, struct err *err);
