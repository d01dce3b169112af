// SPDX-License-Identifier: Apache-2.0
// The file of what to undo: one action a line, in the order in which they were done. Each line is there before its
// change is made, so a last line without its end belongs to a change that was never made.
// Thread: any process that holds the lock; errors: -errno with the reason in why.
#pragma once
#include <stdbool.h>

#include "action.h"

struct undo_list {
	struct action *action; // the caller frees it
	int n;
	bool unfinished; // the file's last line has no end; it is not in the list
};

// Keeps other processes from reading and changing the file until *fd is closed: waits for them, says so on stderr.
// Makes the folder of the file where it is missing, and FILE.lock, which stays (unlinked, two could have a lock each).
int undo_lock(const char *file, int *fd, char why[ACTION_WHY_BYTES]);
// The whole line, or the file is as before (less an unfinished line).
int undo_append(const char *file, const struct action *undo, char why[ACTION_WHY_BYTES]);
// A file that is not there is an empty list.
int undo_read(const char *file, struct undo_list *list, char why[ACTION_WHY_BYTES]);
// A whole list, the old or the new one, is there at any time; an empty one is no file.
int undo_write(const char *file, const struct undo_list *list, char why[ACTION_WHY_BYTES]);
