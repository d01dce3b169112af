// SPDX-License-Identifier: Apache-2.0
#include "traffic.h"

#include <stdbool.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "rates.h"
#include "show.h"

#define POLL_NS 50000000
#define CLEAR "\033[H\033[J" // cursor to the top, erase below

// The answer to `ports` (new reference), and when it came. NULL: STATUS in *status.
static json_t *ask_ports(struct client *client, struct timespec *when, int *status)
{
	struct err err = {0};
	const char *line;
	json_t *answer = panectl_ask(client, "ports.", &line, &err);
	char stale[128];

	clock_gettime(CLOCK_MONOTONIC, when);
	*status = STATUS_REFUSED;
	if (answer == NULL) {
		*status = panectl_failed(&err);
	} else if (!json_is_true(json_object_get(answer, "ok"))) {
		show_answer(answer, stderr);
	} else if (rates_stale(answer, stale, sizeof(stale))) {
		fflush(stdout);
		fprintf(stderr, "panectl: %s\n", stale);
	} else {
		*status = STATUS_ACCEPTED;
		return answer;
	}
	json_decref(answer);
	return NULL;
}

static json_int_t rounds_of(const json_t *answer)
{
	return json_integer_value(json_object_get(json_object_get(answer, "dataplane"), "rounds"));
}

// Counters come from the dataplane once a second: asks until they have come once more than in old. NULL: STATUS in
// *status.
static json_t *ask_until_new(struct client *client, const json_t *old, struct timespec *when, int *status)
{
	static const struct timespec pause = {0, POLL_NS};
	json_t *answer = ask_ports(client, when, status);

	// without ports of a dataplane nothing will come
	while (answer != NULL && json_object_get(answer, "dataplane") != NULL && rounds_of(answer) == rounds_of(old)) {
		json_decref(answer);
		nanosleep(&pause, NULL);
		answer = ask_ports(client, when, status);
	}
	return answer;
}

static void print_round(const json_t *rates, bool json, bool again)
{
	if (json) {
		json_dumpf(rates, stdout, JSON_COMPACT | JSON_REAL_PRECISION(6));
		putchar('\n');
	} else {
		if (again && isatty(STDOUT_FILENO))
			fputs(CLEAR, stdout);
		rates_show(rates, stdout);
	}
	fflush(stdout);
}

static double seconds_between(const struct timespec *a, const struct timespec *b)
{
	return (double)(b->tv_sec - a->tv_sec) + (double)(b->tv_nsec - a->tv_nsec) / 1e9;
}

static int rounds_run(const struct options *o, double seconds, unsigned int rounds)
{
	struct timespec pause = {(time_t)seconds, (long)((seconds - (double)(time_t)seconds) * 1e9)}, at, now;
	struct err err = {0};
	struct client *client = client_open(&o->at, o->user, &err);
	int status = STATUS_ACCEPTED;
	json_t *first, *before, *after;

	if (client == NULL)
		return panectl_failed(&err);
	first = ask_ports(client, &at, &status);
	before = first == NULL ? NULL : ask_until_new(client, first, &at, &status);
	json_decref(first);
	for (unsigned int i = 0; before != NULL && (rounds == 0 || i < rounds); i++) {
		json_t *rates;

		nanosleep(&pause, NULL);
		after = ask_until_new(client, before, &now, &status);
		if (after != NULL) {
			rates = rates_of(json_object_get(before, "items"), json_object_get(after, "items"),
					 seconds_between(&at, &now));
			print_round(rates, o->json, rounds != 1);
			json_decref(rates);
		}
		json_decref(before);
		before = after;
		at = now;
	}
	json_decref(before);
	client_close(client);
	return status;
}

int traffic_stats(const struct options *o, double seconds)
{
	return rounds_run(o, seconds, 1);
}

int traffic_top(const struct options *o, double seconds, unsigned int rounds)
{
	return rounds_run(o, seconds, rounds);
}
