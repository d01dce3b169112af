// SPDX-License-Identifier: Apache-2.0
// `verify`: reads back what the switches have, checks it (of_verify.h) a little in each turn, and keeps the result of
// the last round. Owner: of_server. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct engine;
struct of_audit;
struct of_net;
struct reply;

struct of_audit *of_audit_create(struct of_net *net); // borrowed; NULL: out of memory
void of_audit_destroy(struct of_audit *a);            // accepts NULL
// round 0: begins one, or tells the one that is under way; else the result of that round. -1: refused, also where the
// network changed too often under it.
int of_audit_ask(void *audit, uint64_t round, struct reply *reply);
// uptime_ns: the net's clock. When it wants to be called again; INT64_MAX: no need.
int64_t of_audit_turn(struct of_audit *a, const struct engine *engine, int64_t uptime_ns, int64_t now_ns);
