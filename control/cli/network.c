// SPDX-License-Identifier: Apache-2.0
#include "network.h"

#include <string.h>
#include <time.h>

#include "show.h"
#include "topology.h"

#define VERIFY_POLL_NS 20000000

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

static void print_place(const char *head, const json_t *place)
{
	printf("%s%s/%s", head, json_string_value(json_object_get(place, "switch")),
	       json_string_value(json_object_get(place, "port")));
}

static void print_findings(const json_t *answer)
{
	const json_t *f, *hop;
	size_t i, k;

	json_array_foreach(json_object_get(answer, "items"), i, f)
	{
		printf("%s: %s\n  packet  %s\n", json_string_value(json_object_get(f, "finding")),
		       json_string_value(json_object_get(f, "why")), json_string_value(json_object_get(f, "packet")));
		print_place("  from    ", json_object_get(f, "from"));
		print_place("\n  at      ", json_object_get(f, "at"));
		printf("\n");
		json_array_foreach(json_object_get(f, "path"), k, hop)
		{
			print_place(k == 0 ? "  way     " : " > ", hop);
		}
		printf("%s", json_array_size(json_object_get(f, "path")) > 0 ? "\n" : "");
	}
}

static void print_verdict(const json_t *answer)
{
	static const char *const counts[][2] = {{"switches", "switches"},
						{"entries", "entries"},
						{"pairs", "pairs of addresses"},
						{"packets", "packets"}};
	json_int_t n = json_integer_value(json_object_get(answer, "findings"));
	json_int_t sampled = json_integer_value(json_object_get(answer, "sampled_pairs"));

	print_findings(answer);
	if (n == 0)
		printf("clean: ");
	else
		printf("%" JSON_INTEGER_FORMAT " found: ", n);
	for (size_t i = 0; i < 4; i++)
		printf("%s%" JSON_INTEGER_FORMAT " %s", i == 0 ? "" : ", ",
		       json_integer_value(json_object_get(answer, counts[i][0])), counts[i][1]);
	printf("\n");
	if (sampled > 0)
		printf("of %" JSON_INTEGER_FORMAT " pairs not every class of packets was tried\n", sampled);
}

// The answer of a round that is done (caller: json_decref), or a refusal, NULL with err.
static json_t *await(struct client *client, const char **line, struct err *err)
{
	const struct timespec pause = {0, VERIFY_POLL_NS};
	json_t *answer = panectl_ask(client, "verify.", line, err);
	char statement[48];

	snprintf(statement, sizeof(statement), "verify %" JSON_INTEGER_FORMAT ".",
		 json_integer_value(json_object_get(answer, "round")));
	while (answer != NULL && json_is_false(json_object_get(answer, "done"))) {
		json_decref(answer);
		nanosleep(&pause, NULL);
		answer = panectl_ask(client, statement, line, err);
	}
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
			print_verdict(answer);
		else
			show_answer(answer, stdout);
	}
	json_decref(answer);
	client_close(client);
	return status;
}
