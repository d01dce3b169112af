// SPDX-License-Identifier: Apache-2.0
// What makes an engine outlive its process: brings back what the journal holds, appends what is accepted, and writes
// checkpoints beside the work, so that a restart reads what stands and not all that ever was.
// Host names: an accepted request keeps the addresses its names had. The journal knows the names that its entries were
// read with; when the configuration gives others, a checkpoint is written before anything else is accepted.
// Owner: the controller. Thread: control only. Time: ns since the epoch.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "engine.h"
#include "hft/err.h"
#include "nib.h"
#include "speaker.h"

struct recovery;

struct recovery_conf {
	const char *path; // of the journal
	const struct config_host *hosts;
	unsigned int n_hosts;
	uint64_t checkpoint_every; // entries at least; 0: 20,000
};

// The engine has just been made at time 0, the nib knows the configured hosts; both are borrowed. NULL with err: the
// journal cannot be used or is damaged, and the engine is good for nothing.
struct recovery *recovery_open(const struct recovery_conf *conf, struct engine *engine, struct nib *nib, int64_t now_ns,
			       struct err *err);
// clean: a checkpoint of what was accepted since the last one, best effort: without it the entries are read again.
void recovery_close(struct recovery *r, bool clean);

// The clock has been read, once a turn before anything else: takes the engine there. A clock over a second behind the
// engine means that it was wrong before: the engine is set back to it, and that is in the journal before this returns
// (when what was accepted does not fit from there on, the engine's time stands still instead, and the log says so).
int recovery_advance(struct recovery *r, int64_t now_ns, struct err *err);
// Of a statement the engine has just accepted, at its own time.
int recovery_append(struct recovery *r, const struct principal *speaker, const char *statement, size_t len,
		    struct err *err);
// Afterwards all that was appended is on disk. 1: a checkpoint is being written, another turn soon would help; 0; or an
// error.
int recovery_commit(struct recovery *r, struct err *err);
