// SPDX-License-Identifier: Apache-2.0
#include "realize.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "dataplane/proto.h"
#include "link_state.h"
#include "log.h"
#include "part_book.h"

#define RETRY_NS 10000000000LL

// Numbers that have to wait for room.
struct waiting {
	uint64_t *ids;
	uint32_t n, cap;
};

struct realize {
	struct engine *engine;
	struct dp_link *link;
	struct part_book *book; // NULL: to be made anew
	struct waiting requests, shares;
	bool pushed; // something was, also nothing at all
	enum prove_mode prove;
	bool room;        // rows went since those that wait were tried
	int64_t retry_ns; // when to try them anyway
	struct err why;   // the last one waits
	struct realize_stats stats;
};

static int64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void told(void *ctx, const struct proto_msg *msg)
{
	struct realize *r = ctx;
	int64_t now_ns = clock_ns();

	if (msg->type == PROTO_QUEUES)
		engine_queues_told(r->engine, msg->queues.port);
	if (msg->type != PROTO_ROW_COUNTS)
		return;
	for (uint16_t i = 0; i < msg->row_counts.n; i++) {
		const struct proto_row_count *c = &msg->row_counts.count[i];

		engine_count(r->engine, c->id, c->packets, c->bytes, now_ns);
	}
}

// Rows keep the categories that the dataplane has for them.
static void compared(void *ctx)
{
	struct realize *r = ctx;
	struct err err;

	engine_count_begins(r->engine, clock_ns());
	if (r->book != NULL && part_book_recolour(r->book, &err) < 0)
		log_warning("categories of the dataplane's rows are not taken over: %s", err.msg);
}

struct realize *realize_create(struct engine *engine, struct dp_link *link, struct err *err)
{
	struct realize *r = calloc(1, sizeof(*r));
	struct dp_link_hooks hooks = {.compared = compared, .told = told, .ctx = r};

	if (r == NULL || engine_limit_metered(engine) < 0) {
		err_set(err, ENOMEM, "out of memory");
		free(r);
		return NULL;
	}
	r->engine = engine;
	r->link = link;
	dp_link_hook(link, &hooks);
	return r;
}

void realize_destroy(struct realize *r)
{
	static const struct dp_link_hooks none;

	if (r == NULL)
		return;
	dp_link_hook(r->link, &none);
	part_book_destroy(r->book);
	free(r->requests.ids);
	free(r->shares.ids);
	free(r);
}

// --- those that wait

// Out of memory: all will be gone through again.
static void forget_all(struct realize *r)
{
	part_book_destroy(r->book);
	r->book = NULL;
	r->requests.n = r->shares.n = 0;
	dp_link_hold(r->link);
}

static void wait_for_room(struct realize *r, struct waiting *w, uint64_t id, const struct err *why)
{
	uint32_t cap = w->cap == 0 ? 64 : w->cap * 2;
	uint64_t *ids;

	r->stats.failures++;
	r->why = *why;
	for (uint32_t i = 0; i < w->n; i++) {
		if (w->ids[i] == id)
			return;
	}
	if (w->n == w->cap) {
		ids = reallocarray(w->ids, cap, sizeof(*ids));
		if (ids == NULL) {
			forget_all(r);
			return;
		}
		w->ids = ids;
		w->cap = cap;
	}
	w->ids[w->n++] = id;
}

static int follow_one(struct realize *r, bool is_share, uint64_t id, int64_t now_ns, struct err *why)
{
	const struct state *s = engine_state(r->engine);

	return is_share ? part_book_share(r->book, s, (uint32_t)id, why)
			: part_book_request(r->book, s, id, now_ns, why);
}

static void follow(struct realize *r, bool is_share, uint64_t id, int64_t now_ns)
{
	struct err why;
	int rc = r->book == NULL ? 0 : follow_one(r, is_share, id, now_ns, &why);

	if (rc == -ENOMEM) {
		r->why = why;
		forget_all(r);
	} else if (rc < 0) {
		wait_for_room(r, is_share ? &r->shares : &r->requests, id, &why);
	}
}

static void retry(struct realize *r, bool is_share, int64_t now_ns)
{
	struct waiting *w = is_share ? &r->shares : &r->requests;
	uint32_t n = w->n, kept = 0;

	for (uint32_t i = 0; i < n && r->book != NULL; i++) {
		if (follow_one(r, is_share, w->ids[i], now_ns, &r->why) < 0)
			w->ids[kept++] = w->ids[i];
	}
	w->n = kept;
}

// --- changes

// Room was made where a request went, or other rows than before stand for it.
static void follow_changes(struct realize *r, const struct delta *delta, int64_t now_ns)
{
	const struct state *s = engine_state(r->engine);

	for (size_t i = 0; i < delta->n_requests; i++) {
		const struct request *q = request_find(&s->requests, delta->requests[i]);

		if (q == NULL || q->end_ns <= now_ns) {
			follow(r, false, delta->requests[i], now_ns);
			r->room = true;
		}
	}
	for (size_t i = 0; i < delta->n_shares; i++)
		follow(r, true, delta->shares[i], now_ns);
	for (size_t i = 0; i < delta->n_requests; i++) {
		if (request_find(&s->requests, delta->requests[i]) != NULL)
			follow(r, false, delta->requests[i], now_ns);
	}
}

static void go_through_all(struct realize *r, int64_t now_ns)
{
	const struct state *s = engine_state(r->engine);
	const struct share *root = s->shares.root;

	forget_all(r);
	r->stats.rebuilds++;
	link_state_drop_all(dp_link_state(r->link));
	r->book = part_book_create(dp_link_state(r->link));
	if (r->book == NULL || part_book_prove(r->book, r->prove) < 0) {
		err_set(&r->why, ENOMEM, "no memory for the policy");
		forget_all(r);
	}
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true)) {
		if (share_has_weight(share))
			follow(r, true, share->number, now_ns);
	}
	for (const struct request *q = request_from(&s->requests, 0); q != NULL;
	     q = request_from(&s->requests, q->id + 1))
		follow(r, false, q->id, now_ns);
}

// Those that wait, when there may be room by now.
static void retry_waiting(struct realize *r, int64_t now_ns)
{
	if (!r->room && now_ns < r->retry_ns)
		return;
	retry(r, true, now_ns);
	retry(r, false, now_ns);
	r->retry_ns = now_ns + RETRY_NS;
	r->room = false;
}

void realize_prove(struct realize *r, enum prove_mode mode)
{
	r->prove = mode;
}

// What is to be sent is what the policy says; if not, the dataplane keeps what it has.
static bool is_proven(struct realize *r, int64_t now_ns)
{
	struct prove *prove = part_book_proof(r->book);
	struct prove_stats before, now;
	int rc;

	prove_stats(prove, &before);
	rc = prove_run(prove, now_ns, &r->why);
	prove_stats(prove, &now);
	r->stats.proof.proven += now.proven - before.proven;
	r->stats.proof.undecided += now.undecided - before.undecided;
	r->stats.proof.faults += now.faults - before.faults;
	if (rc == 0)
		return true;
	if (rc == -EPROTO)
		log_error("%s; the table stays as it is", r->why.msg);
	forget_all(r);
	r->retry_ns = now_ns + RETRY_NS;
	return false;
}

int realize_run(struct realize *r, int64_t now_ns, struct err *err)
{
	bool changed = engine_changed(r->engine), waits = r->requests.n + r->shares.n > 0;
	struct delta delta;

	if (changed) {
		engine_changes(r->engine, &delta);
		if (!delta.all && r->book != NULL)
			follow_changes(r, &delta, now_ns);
		else
			r->retry_ns = now_ns;
		if (delta.all)
			forget_all(r);
		delta_fini(&delta);
	}
	if (r->book == NULL && now_ns >= r->retry_ns) {
		go_through_all(r, now_ns);
		r->retry_ns = now_ns + RETRY_NS;
		changed = true;
	} else if (waits && r->book != NULL) {
		retry_waiting(r, now_ns);
		changed = true;
	}
	if (r->book != NULL && (changed || !r->pushed) && is_proven(r, now_ns)) {
		dp_link_push(r->link);
		r->pushed = true;
	}
	if (r->book != NULL && r->requests.n + r->shares.n == 0)
		return 0;
	*err = r->why;
	return -r->why.code;
}

void realize_stats(const struct realize *r, struct realize_stats *out)
{
	*out = r->stats;
	out->n_waiting = r->requests.n + r->shares.n;
	if (r->book == NULL)
		return;
	out->n_rows = parts_n_rows(part_book_parts(r->book));
	out->n_categories = parts_n_categories(part_book_parts(r->book));
}
