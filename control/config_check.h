// SPDX-License-Identifier: Apache-2.0
// What the schema cannot say of a configuration: ranges, names, rates, addresses, duplicates. Part of config.c.
// Thread: start-up.
#pragma once
#include <stdbool.h>

#include "config.h"
#include "yaml_index.h"

// Before libcyaml reads it: shapes on which it is too lenient. 0 or -EINVAL.
int config_check_text(const struct yaml_index *index, const char *file, struct err *err);
// After: values. Fills rate_bps. with_files: those that it names are read, too. 0 or -EINVAL.
int config_check(struct config *c, const struct yaml_index *index, const char *file, bool with_files, struct err *err);
