// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include <string.h>
#include <time.h>
#include <unistd.h>

#include "show.h"
#include "show_verify.h"
#include "topology.h"

#define VERIFY_POLL_NS 20000000
#define POLLS_A_SECOND 50

// The items of one list into net. 0; 1: may not be seen (the reason in *refusal, if none is there yet); -1 with err.
static int ask_items(struct client *client, const char *what, json_t *net, json_t **refusal, struct err *err)
{
	char statement[32];
	const char *line;
	json_t *answer;
	int ret = 0;

	snprintf(statement, sizeof(statement), "%s.", what);
	answer = panectl_ask(client, statement, &line, err);
	if (answer == NULL)
		return -1;
	if (json_is_true(json_object_get(answer, "ok"))) {
		json_object_set(net, what, json_object_get(answer, "items"));
	} else {
		ret = 1;
		if (*refusal == NULL)
			*refusal = json_incref(answer);
	}
	json_decref(answer);
	return ret;
}

int network_topology(const struct options *o, const struct draw *d, bool dot)
{
	static const char *const lists[] = {"ports", "links", "hosts"};
	struct err err = {0};
	struct client *client = client_open(&o->at, o->user, &err);
	json_t *net = json_object(), *refusal = NULL;
	int n_refused = 0, rc = client == NULL ? -1 : 0;

	for (size_t i = 0; i < 3 && rc >= 0; i++) {
		rc = ask_items(client, lists[i], net, &refusal, &err);
		n_refused += rc > 0;
	}
	if (rc >= 0 && o->json) {
		json_dumpf(net, d->out, JSON_COMPACT);
		fputc('\n', d->out);
	} else if (rc >= 0 && n_refused < 3) {
		if (dot)
			topology_dot(net, d->out);
		else
			topology_draw(d, net);
	}
	if (rc >= 0 && refusal != NULL)
		show_answer(refusal, stderr);
	json_decref(refusal);
	json_decref(net);
	client_close(client);
	return rc < 0 ? panectl_failed(&err) : n_refused == 3 ? STATUS_REFUSED : STATUS_ACCEPTED;
}

// --- verify

// The answer of a round that is done (caller: json_decref), or a refusal, NULL with err.
static json_t *await(struct client *client, const char **line, struct err *err)
{
	const struct timespec pause = {0, VERIFY_POLL_NS};
	bool watched = isatty(STDERR_FILENO);
	json_t *answer = panectl_ask(client, "verify.", line, err);
	unsigned int polls = 0;
	char statement[48];

	snprintf(statement, sizeof(statement), "verify %" JSON_INTEGER_FORMAT ".",
		 json_integer_value(json_object_get(answer, "round")));
	while (answer != NULL && json_is_false(json_object_get(answer, "done"))) {
		json_decref(answer);
		nanosleep(&pause, NULL);
		answer = panectl_ask(client, statement, line, err);
		if (watched && ++polls % POLLS_A_SECOND == 0 && polls >= 2 * POLLS_A_SECOND)
			fprintf(stderr, "\rreading and checking the switches' tables: %u s", polls / POLLS_A_SECOND);
	}
	if (watched && polls >= 2 * POLLS_A_SECOND)
		fprintf(stderr, "\r\033[K");
	return answer;
}

int network_verify(const struct options *o)
{
	struct err err = {0};
	struct client *client = client_open(&o->at, o->user, &err);
	const char *line = "";
	json_t *answer = client == NULL ? NULL : await(client, &line, &err);
	int status = STATUS_FAILED;

	if (answer == NULL) {
		panectl_failed(&err);
	} else {
		bool ok = json_is_true(json_object_get(answer, "ok"));

		status = ok && json_integer_value(json_object_get(answer, "findings")) == 0 ? STATUS_ACCEPTED
											    : STATUS_REFUSED;
		if (o->json)
			puts(line);
		else if (ok)
			show_verdict(answer, stdout);
		else
			show_answer(answer, stdout);
	}
	json_decref(answer);
	client_close(client);
	return status;
}
