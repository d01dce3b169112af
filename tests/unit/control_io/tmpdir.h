// SPDX-License-Identifier: Apache-2.0
// Directories and files of the tests that write to disk.
#pragma once
#include <stddef.h>

// A new directory below $TMPDIR, removed with all in it by tmpdir_remove.
void tmpdir_make(char dir[64]);
void tmpdir_remove(const char *dir);
void write_file(const char *path, const char *text, size_t len);
