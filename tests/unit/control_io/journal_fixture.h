// SPDX-License-Identifier: Apache-2.0
// A journal in a directory of its own, for the tests of the journal.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "control/journal.h"
#include "tmpdir.h"

struct fixture {
	char dir[64], path[128];
};

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	tmpdir_make(f->dir);
	snprintf(f->path, sizeof(f->path), "%s/journal.db", f->dir);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	struct fixture *f = *state;

	tmpdir_remove(f->dir);
	free(f);
	return 0;
}

static inline struct journal *open_good(const char *path)
{
	struct err err = {0};
	struct journal *j = journal_open(path, &err);

	if (j == NULL)
		fail_msg("%s", err.msg);
	return j;
}
