// SPDX-License-Identifier: Apache-2.0
#include "played_dp.h"

#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

int64_t clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void played_dp_start(struct played_dp *dp, uint64_t boot_id)
{
	struct link_conf conf = {.path = dp->path, .boot_id = boot_id};
	struct err err;

	dp->table = conf.table = table_create(&err);
	dp->link = link_create(&conf, &err);
	if (dp->link == NULL)
		fail_msg("%s", err.msg);
}

void played_dp_stop(struct played_dp *dp)
{
	link_destroy(dp->link);
	table_destroy(dp->table);
	dp->link = NULL;
	dp->table = NULL;
}

void played_dp_init(struct played_dp *dp)
{
	*dp = (struct played_dp){0};
	snprintf(dp->dir, sizeof(dp->dir), "/tmp/pane-link-XXXXXX");
	if (mkdtemp(dp->dir) == NULL)
		fail_msg("no directory %s", dp->dir);
	snprintf(dp->path, sizeof(dp->path), "%s/dp.sock", dp->dir);
	played_dp_start(dp, 1);
}

void played_dp_fini(struct played_dp *dp)
{
	played_dp_stop(dp);
	rmdir(dp->dir);
}

// What dp_loop.c does of it.
void played_dp_turn(struct played_dp *dp)
{
	struct pollfd fds[LINK_POLLFDS];

	if (dp->link == NULL)
		return;
	link_poll(dp->link, fds);
	poll(fds, LINK_POLLFDS, 0);
	table_expire(dp->table, clock_ns(), NULL, NULL);
	if (link_turn(dp->link, fds, clock_ns()) > 0) {
		if (dp->build_fails != NULL) {
			table_undo(dp->table);
			link_failed(dp->link, dp->build_fails);
		} else {
			link_built(dp->link, ++dp->gen);
			table_settle(dp->table);
		}
	}
	if (!dp->worker_sleeps)
		dp->adopted_gen = dp->gen;
	link_adopted(dp->link, dp->adopted_gen, PLAYED_IN_FORCE_NS);
}

static struct table_stats stats_of(const struct played_dp *dp)
{
	struct table_stats stats;

	table_stats(dp->table, &stats);
	return stats;
}

uint32_t played_dp_n_rows(const struct played_dp *dp)
{
	return stats_of(dp).n_rows;
}

uint32_t played_dp_n_meters(const struct played_dp *dp)
{
	return stats_of(dp).n_meters;
}
