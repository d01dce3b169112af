// SPDX-License-Identifier: Apache-2.0
// One change to the host, as a value: a verb, its object, the new value. Doing it yields the action that undoes it, so
// the file of what to undo is a list of actions like those that were asked for.
#pragma once
#include <stdio.h>

#include "host.h"
#include "nic-config/why.h"

#define ACTION_VALUE_BYTES 600 // a key of receive-side scaling in hexadecimal
#define ACTION_WHY_BYTES WHY_BYTES
#define ACTION_LINE_BYTES (ACTION_VALUE_BYTES + NAME_MAX_BYTES + 16)

enum verb {
	VERB_HUGE,   // object: page size in kB, value: pages
	VERB_DRIVER, // object: PCI address, value: driver or "-"
	VERB_UP,     // object: interface, value: 0 or 1
	VERB_MTU,    // value: bytes
	VERB_QUEUES, // value: pairs
	VERB_RSS,    // value: the key in hexadecimal
	VERB_N,
};

struct action {
	enum verb verb;
	char object[NAME_MAX_BYTES];
	char value[ACTION_VALUE_BYTES];
};

// One line, "VERB OBJECT VALUE": 0, or -EINVAL with what was expected in why.
int action_parse(const char *line, struct action *out, char why[ACTION_WHY_BYTES]);
// The same form, with a newline: its length in bytes.
int action_line(const struct action *a, char out[ACTION_LINE_BYTES]);
void action_print(const struct action *a, FILE *to);
// What the object's value is now. -errno with the reason in why.
int action_now(const char *sys, const struct action *a, char out[ACTION_VALUE_BYTES], char why[ACTION_WHY_BYTES]);
// What can be known before anything is changed: the object is there, so is the driver, so many queues are. 0, or -errno
// with the reason in why.
int action_can(const char *sys, const struct action *a, char why[ACTION_WHY_BYTES]);
// 0: done, and *undo is what takes it back; 1: it was so already, nothing to undo; -errno with the reason in why: the
// object is as before. VERB_HUGE may get fewer pages than asked for: then -ENOMEM, and those are given back.
int action_do(const char *sys, const struct action *a, struct action *undo, char why[ACTION_WHY_BYTES]);
