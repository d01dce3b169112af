// SPDX-License-Identifier: Apache-2.0
// The controller role: brings its parts up in order, turns until it is told to stop, tears them down in reverse.
// Thread: the process's only one.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "config.h"
#include "hft/err.h"

struct controller_conf {
	const struct config *config;
	const char *verify;        // always, sample or off instead of the configuration's; NULL: not told
	int ready_fd;              // told with one byte, then closed, when statements are answered; -1: nobody
	bool supervised;           // dies with its parent
	uint64_t checkpoint_every; // entries of the journal at least; 0: as recovery.h says
};

// Exit status: 0 after SIGTERM or SIGINT; 1 with the reason logged when it could not start, or could not go on.
int controller_run(const struct controller_conf *conf);
