// SPDX-License-Identifier: Apache-2.0
// What the controller's process is made of. controller.c brings it up and takes it down; controller_turn.c is a turn of
// its loop. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "controller.h"
#include "dp_link.h"
#include "engine.h"
#include "loop.h"
#include "meter.h"
#include "metrics_server.h"
#include "nib.h"
#include "of_server.h"
#include "ovsdb_link.h"
#include "realize.h"
#include "recovery.h"
#include "rundir.h"
#include "server.h"
#include "tls.h"
#include "traces.h"

struct controller {
	const struct controller_conf *conf;
	struct loop *loop;
	struct nib *nib;
	struct engine *engine;
	struct auth_rule *auth_rules;
	SSL_CTX *tls, *openflow_tls; // NULL: no TLS
	struct event *hangup;
	struct server *server;
	struct meter *meter; // statements a second
	struct recovery *recovery;
	char journal_path[RUNDIR_PATH_MAX];
	bool stops_clean; // no failure
	char **events;    // of this turn, by pairs: user, line; told behind its answers
	size_t n_events, cap_events;
	struct dp_link *link;
	struct realize *realize;
	struct traces *traces;
	struct of_server *openflow;     // NULL: not asked for
	struct ovsdb_links *ovsdb;      // NULL: not asked for
	struct metrics_server *metrics; // NULL: not asked for

	int64_t now_ns; // of this turn
	bool journal_failed;
	bool told_ready;
	struct dp_link_stats seen; // of the link, as logged last
	char realize_error[512];   // as logged last
	bool refused_by_dp;        // the last policy change
	bool dp_busy;              // with one, for long
};

// Executes what was asked, keeps it in the journal, answers, and puts it in force. For loop_run: when it wants the next
// turn (ns since the epoch; now_ns: at once).
int64_t controller_turn(void *ctx, int64_t now_ns);
