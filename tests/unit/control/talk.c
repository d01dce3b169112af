// SPDX-License-Identifier: Apache-2.0
#include "talk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "control/answer.h"

void talk_init(struct talk *t, bool offline)
{
	struct engine_conf conf = {.offline = offline};

	memset(t, 0, sizeof(*t));
	t->nib = nib_create();
	t->engine = engine_create(&conf, t->nib, 0);
	assert_non_null(t->engine);
	reply_init(&t->reply);
}

void talk_fini(struct talk *t)
{
	reply_fini(&t->reply);
	engine_destroy(t->engine);
	nib_destroy(t->nib);
}

enum reply_code say(struct talk *t, const char *speaker, const char *statement)
{
	struct principal who;
	char *text;

	assert_int_equal(principal_parse(speaker, &who, NULL), 0);
	reply_fini(&t->reply);
	reply_init(&t->reply);
	engine_exec(t->engine, &who, statement, strlen(statement), t->now_ns, &t->reply);
	text = reply_render_classic(&t->reply);
	snprintf(t->classic, sizeof(t->classic), "%s", text);
	free(text);
	return t->reply.code;
}

const char *talk_why(const struct talk *t)
{
	const char *why = talk_text(t, "why");

	return why == NULL ? "" : why;
}

int64_t talk_number(const struct talk *t, const char *member)
{
	json_t *value = json_object_get(t->reply.body, member);

	return json_is_integer(value) ? json_integer_value(value) : -1;
}

const char *talk_text(const struct talk *t, const char *member)
{
	return json_string_value(json_object_get(t->reply.body, member));
}

static uint64_t hash(uint64_t h, const void *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const unsigned char *)bytes)[i]) * 1099511628211u;
	return h;
}

// A hash is enough: what is compared is a state with itself.
static void dump_match(FILE *f, const struct match *m)
{
	uint64_t h = 14695981039346656037u;

	for (uint32_t i = 0; i < m->n_boxes; i++) {
		const struct box *b = &m->boxes[i];

		h = hash(h, &b->src, sizeof(b->src));
		h = hash(h, &b->dst, sizeof(b->dst));
		h = hash(h, b->f, sizeof(b->f));
		h = hash(h, &b->kinds, sizeof(b->kinds));
	}
	fprintf(f, " %u boxes %016" PRIx64 "\n", m->n_boxes, h);
}

static int dump_point(void *f, const struct timeline_point *p)
{
	fprintf(f, " %" PRId64 ":%" PRIu64 ":%" PRIu64, p->at_ns, p->free_bps, p->tokens_bits);
	return 0;
}

static void dump_addresses(FILE *f, const struct ip_list *list)
{
	json_t *all = ip_list_json(list);
	char *text = json_dumps(all, JSON_COMPACT | JSON_ENCODE_ANY);

	fprintf(f, " %s", text);
	free(text);
	json_decref(all);
}

static void dump_share(FILE *f, const struct share *share, int64_t now_ns)
{
	const struct privileges *p = &share->privileges;
	const struct request *r;
	char name[256];

	fprintf(f,
		"share %u %s on %s %" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
		" %d%d %u",
		share->number, share->name, share->parent == NULL ? "-" : share->parent->name, p->allow_ns, p->deny_ns,
		p->reserve_max_bps, p->reserve_min_bps, p->tb_fill_bps, p->tb_capacity_bits, p->ratelimit_min_bps,
		p->hint, p->query, p->weight);
	fprintf(f, " access %u %u %u default %d:", share->n_access[0], share->n_access[1], share->n_access[2],
		share->granted_default);
	fprintf(f, " given %x view %u paths %u %u", p->given, p->view, share->n_waypoints, share->n_avoids);
	dump_addresses(f, p->waypoint);
	dump_addresses(f, p->avoid);
	for (uint32_t i = 0; i < share->n_principals; i++) {
		principal_format(&share->principals[i], name, sizeof(name));
		fprintf(f, " %s", name);
	}
	dump_match(f, &share->flows);
	timeline_advance(share->timeline, now_ns);
	timeline_each(share->timeline, dump_point, f);
	fprintf(f, " level %016" PRIx64 "%016" PRIx64, (uint64_t)(timeline_tokens(share->timeline) >> 64),
		(uint64_t)timeline_tokens(share->timeline));
	fputc('\n', f);
	TAILQ_FOREACH (r, &share->requests, link) {
		fprintf(f, "  request %" PRIu64 " verb %d access %d rate %" PRIu64 " [%" PRId64 ", %" PRId64 ")", r->id,
			r->verb, r->access, r->rate_bps, r->start_ns, r->end_ns);
		fprintf(f, " partial %d holder %u%s", r->partial, r->holder, r->suspended ? " suspended" : "");
		for (uint32_t i = 0; i < r->n_renewed; i++)
			fprintf(f, " +%" PRId64, r->renewed_ns[i]);
		dump_addresses(f, r->addresses);
		if (r->hint != NULL) {
			json_t *hint = hint_json(r->hint);
			char *text = json_dumps(hint, JSON_COMPACT);

			fprintf(f, " hint %s", text);
			free(text);
			json_decref(hint);
		}
		dump_match(f, &r->flows);
	}
}

// The next start or end (engine_next_ns may also tell when a cancelled request would have started).
static int64_t next_change(const struct state *s)
{
	int64_t next_ns = INT64_MAX;

	for (size_t i = 0; i < s->requests.n; i++) {
		const struct request *r = s->requests.by_id[i].request;

		if (r != NULL && r->end_ns < next_ns)
			next_ns = r->end_ns;
		if (r != NULL && r->start_ns > s->now_ns && r->start_ns < next_ns)
			next_ns = r->start_ns;
	}
	return next_ns;
}

char *talk_dump(const struct talk *t)
{
	const struct state *s = engine_state(t->engine);
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	fprintf(f, "now %" PRId64 " gen %" PRIu64 " next %" PRIu64 " share %u end %" PRId64 "\n", s->now_ns,
		s->policy_gen, s->requests.next_id, s->shares.next_number, next_change(s));
	fprintf(f, "suspended %u\n", s->n_suspended);
	for (uint32_t i = 0; i < s->users.n; i++) {
		fprintf(f, "user %u %s%s open %u", s->users.all[i]->number, s->users.all[i]->name,
			s->users.all[i]->dropped ? " dropped" : "", s->users.all[i]->n_open);
		for (uint32_t b = 0; b < s->users.all[i]->n_bindings; b++)
			dump_match(f, &s->users.all[i]->bindings[b]);
		fputc('\n', f);
	}
	for (const struct share *share = s->shares.root; share != NULL; share = share_next(s->shares.root, share, true))
		dump_share(f, share, s->now_ns);
	for (const struct request *r = request_from(&s->requests, 0); r != NULL;
	     r = request_from(&s->requests, r->id + 1))
		fprintf(f, "%" PRIu64 " ", r->id);
	fclose(f);
	return text;
}

struct dice dice_from_env(void)
{
	struct dice d = {seed_from_env(20261120)};

	printf("PANE_SEED=%" PRIu64 "\n", d.state);
	d.state = d.state * 2654435761u + 88172645463325252u; // never 0 for a small seed
	return d;
}

uint64_t dice_roll(struct dice *d, uint64_t n)
{
	d->state ^= d->state << 13;
	d->state ^= d->state >> 7;
	d->state ^= d->state << 17;
	return (d->state >> 11) % n;
}
