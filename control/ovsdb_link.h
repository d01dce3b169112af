// SPDX-License-Identifier: Apache-2.0
// Connections to the databases of Open vSwitch (ovsdb.h), kept up. Owner: the controller. Thread: control only
// (libevent).
#pragma once
#include <stdint.h>

#include "hft/err.h"
#include "ovsdb.h"

struct event_base;
struct of_server;
struct ovsdb_links;

// targets: "unix:/PATH" or "tcp:ADDRESS:PORT", several with commas between. NULL with err: what is wrong with them.
struct ovsdb_links *ovsdb_links_create(struct event_base *base, const char *targets, struct err *err);
void ovsdb_links_destroy(struct ovsdb_links *l); // accepts NULL; the databases keep what they have
int ovsdb_links_check(const char *targets, struct err *err);
// Once a turn: tells all of them the queues that should be, where that has changed, and tries again what was refused.
// It tells the server which switches ignore them.
void ovsdb_links_follow(struct ovsdb_links *l, struct of_server *server);
