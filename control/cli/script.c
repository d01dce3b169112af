// SPDX-License-Identifier: Apache-2.0
#include "script.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"
#include "control/check.h"
#include "control/engine.h"
#include "show.h"

#define SESSIONS_MAX 32 // at a time; the oldest one goes when another speaker comes

struct speaker_session {
	char name[3 * PRINCIPAL_NAME_MAX];
	struct client *client;
};

struct player {
	const struct script_conf *conf;
	struct engine *engine; // offline
	struct speaker_session sessions[SESSIONS_MAX];
	size_t n_sessions, next_out;
	struct speaker_session *current; // whose answers are under way
	size_t n_under_way, under_way_bytes;
	size_t n_refused;
	struct err *err;
};

static void print_answer(struct player *p, const json_t *answer, const char *line)
{
	p->n_refused += !json_is_true(json_object_get(answer, "ok"));
	if (p->conf->json)
		puts(line);
	else
		show_answer(answer, stdout);
}

static void print_statement(const struct player *p, const struct principal *speaker, const char *statement, size_t len)
{
	char name[3 * PRINCIPAL_NAME_MAX];

	if (p->conf->json)
		return;
	principal_format(speaker, name, sizeof(name));
	printf("%s : ", name);
	for (size_t i = 0; i < len; i++)
		putchar(statement[i] == '\n' || statement[i] == '\t' ? ' ' : statement[i]);
	putchar('\n');
}

static int play_offline(void *ctx, unsigned int line, const struct principal *speaker, const char *statement,
			size_t len)
{
	struct player *p = ctx;
	struct reply reply;
	json_t *answer;
	char *text;
	int rc = 0;

	(void)line;
	print_statement(p, speaker, statement, len);
	reply_init(&reply);
	engine_exec(p->engine, speaker, statement, len, 0, &reply);
	text = reply_render_json(&reply);
	answer = text == NULL ? NULL : json_loads(text, 0, NULL);
	if (answer == NULL)
		rc = err_set(p->err, ENOMEM, "out of memory");
	else
		print_answer(p, answer, text);
	json_decref(answer);
	free(text);
	reply_fini(&reply);
	return rc;
}

static int receive_all(struct player *p)
{
	while (p->n_under_way > 0) {
		const char *line;
		json_t *answer = client_receive(p->current->client, &line, p->err);

		if (answer == NULL)
			return -EPROTO;
		p->n_under_way--;
		print_answer(p, answer, line);
		json_decref(answer);
	}
	p->under_way_bytes = 0;
	return 0;
}

// The speaker's session becomes the current one; whose was it before has got its answers.
static int switch_to(struct player *p, const struct principal *speaker)
{
	char name[sizeof(p->sessions[0].name)];
	struct speaker_session *s;

	principal_format(speaker, name, sizeof(name));
	if (p->current != NULL && strcmp(p->current->name, name) == 0)
		return 0;
	if (receive_all(p) < 0)
		return -EPROTO;
	for (size_t i = 0; i < p->n_sessions; i++) {
		if (strcmp(p->sessions[i].name, name) == 0) {
			p->current = &p->sessions[i];
			return 0;
		}
	}
	if (p->n_sessions < SESSIONS_MAX) {
		s = &p->sessions[p->n_sessions++];
	} else {
		s = &p->sessions[p->next_out++ % SESSIONS_MAX];
		client_close(s->client);
	}
	memcpy(s->name, name, sizeof(name));
	s->client = client_open(&p->conf->at, name, p->err);
	p->current = s;
	return s->client == NULL ? -p->err->code : 0;
}

static int play_at_switch(void *ctx, unsigned int line, const struct principal *speaker, const char *statement,
			  size_t len)
{
	struct player *p = ctx;
	int rc = switch_to(p, speaker);

	(void)line;
	// People read a statement above its answer.
	if (rc == 0 && (!p->conf->json || p->under_way_bytes + len > CLIENT_WINDOW_BYTES))
		rc = receive_all(p);
	print_statement(p, speaker, statement, len);
	if (rc == 0)
		rc = client_send(p->current->client, statement, len, p->err);
	if (rc == 0) {
		p->n_under_way++;
		p->under_way_bytes += len + 1;
	}
	return rc;
}

int script_run(const struct script_conf *conf, size_t *n_refused, struct err *err)
{
	const struct engine_conf engine_conf = {.offline = true};
	struct player p = {.conf = conf, .err = err};
	struct nib *nib = nib_create();
	int rc;

	if (nib != NULL && conf->offline)
		p.engine = engine_create(&engine_conf, nib, 0);
	if (nib == NULL || (conf->offline && p.engine == NULL))
		rc = err_set(err, ENOMEM, "out of memory");
	else
		rc = check_script(conf->path, conf->offline ? play_offline : play_at_switch, &p, err);
	if (p.n_under_way > 0) {
		struct err first = *err;
		int received = receive_all(&p); // also when a later line was wrong

		if (rc != 0)
			*err = first;
		else
			rc = received;
	}
	for (size_t i = 0; i < p.n_sessions; i++)
		client_close(p.sessions[i].client);
	engine_destroy(p.engine);
	nib_destroy(nib);
	*n_refused = p.n_refused;
	return rc;
}
