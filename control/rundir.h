// SPDX-License-Identifier: Apache-2.0
// The directories of a running switch: made, owned, locked. Thread: start-up.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config.h"
#include "hft/err.h"

#define RUNDIR_PATH_MAX 4096

// PATH in dir, in buf. -ENAMETOOLONG.
int rundir_path(char *buf, size_t size, const char *dir, const char *name, struct err *err);
// uid and gid of control_user, or of this process when none is configured. -ENOENT.
int rundir_control_user(const struct config *c, uid_t *uid, gid_t *gid, struct err *err);
// Makes run_dir and state_dir with what leads to them; state_dir and an existing journal become control_user's.
int rundir_prepare(const struct config *c, struct err *err);
// Takes run_dir/NAME for this process until it ends. -EADDRINUSE: another one has it. Never closed.
int rundir_lock(const struct config *c, const char *name, struct err *err);
// Some process has run_dir/NAME. Takes nothing, so that nobody is refused for it. Thread: any.
bool rundir_is_locked(const struct config *c, const char *name);
// Becomes uid/gid for good, without other groups or the way back. Nothing to do when it is that user. -EPERM.
int rundir_become(uid_t uid, gid_t gid, const char *user, struct err *err);
