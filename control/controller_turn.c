// SPDX-License-Identifier: Apache-2.0
// Crash-only: when the journal fails the process ends without answering, and the next one starts from what is in it.
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "controller_priv.h"
#include "log.h"

static void tell_events(struct controller *c)
{
	for (size_t i = 0; i < c->n_events; i += 2) {
		server_tell(c->server, c->events[i], c->events[i + 1]);
		free(c->events[i]);
		free(c->events[i + 1]);
	}
	c->n_events = 0;
}
static void exec(void *ctx, const struct principal *speaker, const char *statement, size_t len, struct reply *reply)
{
	struct controller *c = ctx;
	int shown = len < 400 ? (int)len : 400;
	struct err err;

	if (strcmp(speaker->user, "root") != 0 && !meter_take(c->meter, speaker->user, c->now_ns)) {
		reply_refuse(reply, REPLY_LIMIT, "%s says more than %" PRIu32 " statements a second", speaker->user,
			     c->conf->config->limits.statements_per_s);
		return;
	}
	engine_exec(c->engine, speaker, statement, len, c->now_ns, reply);
	if (reply->mutated && !c->journal_failed && recovery_append(c->recovery, speaker, statement, len, &err) < 0) {
		log_error("%s", err.msg);
		c->journal_failed = true;
	}
	if (!log_enabled(LOG_LEVEL_DEBUG))
		return;
	if (reply->code == REPLY_OK)
		log_debug("%s : %.*s accepted", speaker->user, shown, statement);
	else
		log_debug("%s : %.*s refused (%s)", speaker->user, shown, statement, reply_code_name(reply->code));
}

static void log_link(struct controller *c)
{
	struct dp_link_stats now;

	dp_link_stats(c->link, &now);
	if (now.connected != c->seen.connected)
		log_info("dataplane link %s", now.connected ? "up" : "down: tries again");
	if (now.failed_commits != c->seen.failed_commits && !c->refused_by_dp) {
		log_error("the dataplane refused a policy change: the last good one stays, new requests are refused");
		c->refused_by_dp = true;
	}
	if (now.txn_in_force != c->seen.txn_in_force)
		log_info("policy change %" PRIu64 " in force (%" PRIu64 " rows added, %" PRIu64 " deleted so far)",
			 now.txn_in_force, now.rows_added, now.rows_deleted);
	if (now.txn_in_force != c->seen.txn_in_force)
		c->refused_by_dp = false;
	c->seen = now;
}

static void realize(struct controller *c)
{
	struct err err = {0};

	if (realize_run(c->realize, c->now_ns, &err) == 0) {
		if (c->realize_error[0] != '\0') {
			c->realize_error[0] = '\0';
			log_info("the policy can be put in force again");
		}
		return;
	}
	if (strcmp(err.msg, c->realize_error) != 0)
		log_error("a request cannot be put in force and waits, new ones are refused: %s", err.msg);
	memcpy(c->realize_error, err.msg, sizeof(c->realize_error));
}

// New requests are refused while what was accepted is not in force, and will not be soon.
static void tell_network(struct controller *c)
{
	struct dp_link_stats link;
	bool was_busy = c->dp_busy;
	const char *why = c->openflow == NULL ? NULL : of_server_trouble(c->openflow);

	dp_link_stats(c->link, &link);
	c->dp_busy = link.waits_ns > DP_LINK_BUSY_NS;
	if (c->dp_busy != was_busy)
		log_msg(c->dp_busy ? LOG_LEVEL_ERROR : LOG_LEVEL_INFO, "the dataplane %s",
			c->dp_busy ? "is busy for over 5 s: new requests are refused" : "has come through");
	if (c->realize_error[0] != '\0')
		why = c->realize_error;
	else if (c->refused_by_dp)
		why = "the dataplane refuses the policy as it is";
	else if (c->dp_busy)
		why = "the dataplane is still busy with earlier changes";
	engine_set_network(c->engine, why);
}

static void tell_ready(struct controller *c)
{
	if (c->told_ready)
		return;
	c->told_ready = true;
	if (c->conf->ready_fd < 0)
		return;
	if (write(c->conf->ready_fd, "1", 1) < 0)
		log_warning("the supervisor does not listen: %s", strerror(errno));
	close(c->conf->ready_fd);
}

// Answers leave only after what they answer is on disk.
int64_t controller_turn(void *ctx, int64_t now_ns)
{
	struct controller *c = ctx;
	int64_t switches_ns = INT64_MAX, next_ns;
	struct err err;
	bool more = false;
	int rc = recovery_advance(c->recovery, now_ns, &err);

	c->now_ns = now_ns;
	tell_network(c);
	if (rc == 0)
		more = server_execute(c->server, exec, c);
	if (rc == 0 && !c->journal_failed)
		rc = recovery_commit(c->recovery, &err);
	if (rc < 0) {
		log_error("%s", err.msg);
		c->journal_failed = true;
	}
	more = more || rc > 0;
	if (c->journal_failed) {
		loop_stop(c->loop, 1);
		return now_ns;
	}
	tell_events(c);
	server_send(c->server);
	log_link(c);
	log_flush(false);
	tell_ready(c);
	realize(c);
	traces_turn(c->traces);
	if (c->openflow != NULL) {
		switches_ns = of_server_turn(c->openflow, c->engine, now_ns);
		dp_link_push_parts(c->link);
		if (c->ovsdb != NULL)
			ovsdb_links_follow(c->ovsdb, c->openflow);
	}
	next_ns = engine_next_ns(c->engine);
	return more ? now_ns : switches_ns < next_ns ? switches_ns : next_ns;
}
