// SPDX-License-Identifier: Apache-2.0
// A field that is added to a share, a user or a request is added here, in the function that names its fields, and
// CHECKPOINT_FORMAT goes up. Sums, counters and indices are not written: they follow from the rest.
#include "checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec.h"
#include "state.h"

#define CHECKPOINT_FORMAT 2

struct head {
	uint32_t format;
	int64_t now_ns;
	uint64_t policy_gen, next_id;
	uint32_t next_share, n_users, n_shares;
	uint64_t n_requests;
};

static void head_fields(struct codec *c, struct head *h)
{
	codec_u32(c, &h->format);
	codec_i64(c, &h->now_ns);
	codec_u64(c, &h->policy_gen);
	codec_u64(c, &h->next_id);
	codec_u32(c, &h->next_share);
	codec_u32(c, &h->n_users);
	codec_u32(c, &h->n_shares);
	codec_u64(c, &h->n_requests);
}

static void principal_fields(struct codec *c, struct principal *p)
{
	codec_text(c, p->user, sizeof(p->user));
	codec_text(c, p->host, sizeof(p->host));
	codec_text(c, p->app, sizeof(p->app));
}

static void privileges_fields(struct codec *c, struct privileges *p)
{
	codec_u32(c, &p->given);
	codec_i64(c, &p->allow_ns);
	codec_i64(c, &p->deny_ns);
	codec_u64(c, &p->reserve_max_bps);
	codec_u64(c, &p->reserve_min_bps);
	codec_u64(c, &p->tb_fill_bps);
	codec_u64(c, &p->tb_capacity_bits);
	codec_u64(c, &p->ratelimit_min_bps);
	codec_ip_list(c, &p->waypoint);
	codec_ip_list(c, &p->avoid);
	codec_bool(c, &p->hint);
	codec_bool(c, &p->query);
	codec_u32(c, &p->view);
	codec_u32(c, &p->weight);
}

// What a share has beside its principals and its tokens.
struct share_fields {
	uint32_t number, parent;
	char name[NAME_MAX_LEN];
	bool granted_default;
	struct privileges privileges;
	struct match flows;
};

static void share_fields(struct codec *c, struct share_fields *f)
{
	codec_u32(c, &f->number);
	codec_u32(c, &f->parent);
	codec_text(c, f->name, sizeof(f->name));
	codec_bool(c, &f->granted_default);
	privileges_fields(c, &f->privileges);
	codec_match(c, &f->flows);
}

static bool is_request(uint32_t verb)
{
	return verb == VERB_ALLOW || verb == VERB_DENY || verb == VERB_RESERVE || verb == VERB_RATELIMIT ||
	       verb == VERB_WAYPOINT || verb == VERB_AVOID || verb == VERB_HINT;
}

// The deadline as it was said is of no more use.
static void hint_fields(struct codec *c, struct request *r)
{
	struct hint none = {0};
	uint32_t predictability, class;

	if (c->reading) {
		r->hint = hint_part_create(&none, 0);
		c->failed |= r->hint == NULL;
	}
	if (c->failed)
		return;
	predictability = r->hint->said.predictability;
	class = r->hint->said.class;
	codec_u32(c, &r->hint->said.given);
	codec_i64(c, &r->hint->said.duration_ns);
	codec_u64(c, &r->hint->said.size_bytes);
	codec_i64(c, &r->hint->deadline_ns);
	codec_u32(c, &predictability);
	codec_u32(c, &class);
	c->failed |= predictability > PREDICT_STEADY || class > CLASS_BACKGROUND;
	r->hint->said.predictability = (enum predictability)predictability;
	r->hint->said.class = (enum traffic_class) class;
}

static void request_fields(struct codec *c, struct request *r)
{
	uint32_t verb = r->verb, access = r->access;

	codec_u64(c, &r->id);
	codec_u32(c, &verb);
	codec_u32(c, &access);
	codec_u64(c, &r->rate_bps);
	codec_i64(c, &r->start_ns);
	codec_i64(c, &r->end_ns);
	codec_bool(c, &r->partial);
	codec_bool(c, &r->suspended);
	codec_u32(c, &r->holder);
	codec_ip_list(c, &r->addresses);
	codec_match(c, &r->flows);
	r->n_renewed = codec_count(c, r->n_renewed);
	if (c->reading && r->n_renewed > 0) {
		r->renewed_ns = calloc(r->n_renewed, sizeof(*r->renewed_ns));
		c->failed |= r->renewed_ns == NULL;
	}
	for (uint32_t i = 0; i < r->n_renewed && !c->failed; i++)
		codec_i64(c, &r->renewed_ns[i]);
	c->failed |= !is_request(verb) || access > ACCESS_DENY;
	r->verb = (enum verb)verb;
	r->access = (enum access)access;
	if (r->verb == VERB_HINT && !c->failed)
		hint_fields(c, r);
}

static void save_user(struct codec *c, struct user *user)
{
	uint32_t n = codec_count(c, user->n_bindings);

	codec_text(c, user->name, sizeof(user->name));
	codec_bool(c, &user->dropped);
	for (uint32_t i = 0; i < n; i++)
		codec_match(c, &user->bindings[i]);
}

static void save_share(struct codec *c, const struct share *share, int64_t now_ns)
{
	struct share_fields f = {.number = share->number, .granted_default = share->granted_default};
	u128 tokens;

	timeline_advance(share->timeline, now_ns);
	tokens = timeline_tokens(share->timeline);
	f.parent = share->parent == NULL ? 0 : share->parent->number;
	memcpy(f.name, share->name, sizeof(f.name));
	f.privileges = share->privileges; // borrowed: nothing is written to it
	f.flows = share->flows;
	share_fields(c, &f);
	codec_u128(c, &tokens);
	codec_count(c, share->n_principals);
	for (uint32_t i = 0; i < share->n_principals; i++)
		principal_fields(c, &share->principals[i]);
}

int checkpoint_save(const struct state *s, struct checkpoint *out)
{
	const struct share *root = s->shares.root;
	struct codec c = codec_writer();
	struct head head = {.format = CHECKPOINT_FORMAT,
			    .now_ns = s->now_ns,
			    .policy_gen = s->policy_gen,
			    .next_id = s->requests.next_id,
			    .next_share = s->shares.next_number,
			    .n_users = s->users.n};

	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		head.n_shares++;
	head.n_requests = s->requests.n - s->requests.n_gone;
	head_fields(&c, &head);
	for (uint32_t i = 0; i < s->users.n; i++)
		save_user(&c, s->users.all[i]);
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		save_share(&c, share, s->now_ns);
	for (size_t i = 0; i < s->requests.n; i++) {
		struct request *r = s->requests.by_id[i].request;

		if (r == NULL)
			continue;
		codec_u32(&c, &r->share->number);
		request_fields(&c, r);
	}
	*out = (struct checkpoint){c.data, c.n};
	if (!c.failed)
		return 0;
	codec_fini(&c);
	*out = (struct checkpoint){0};
	return -ENOMEM;
}

static int load_user(struct state *s, struct codec *c, uint32_t idx)
{
	struct user read = {0};
	uint32_t n = codec_count(c, 0);

	codec_text(c, read.name, sizeof(read.name));
	codec_bool(c, &read.dropped);
	if (c->failed || (idx == 0) != (strcmp(read.name, USER_ROOT) == 0))
		return -EINVAL;
	if (idx > 0 && users_add(&s->users, read.name) < 0)
		return -EINVAL;
	for (uint32_t i = 0; i < n; i++) {
		struct match where;
		int rc;

		match_init(&where);
		codec_match(c, &where);
		rc = c->failed || where.n_boxes == 0 ? -EINVAL : users_bind(&s->users, s->users.all[idx], &where);
		match_fini(&where);
		if (rc != 0)
			return -EINVAL;
	}
	s->users.all[idx]->dropped = read.dropped;
	return 0;
}

static bool privileges_sane(const struct privileges *p)
{
	return p->reserve_max_bps <= INT64_MAX || p->reserve_max_bps == RATE_UNLIMITED;
}

// by_number: the shares so far, NULL where there is none.
static int add_share(struct state *s, struct share_fields *f, struct share **by_number, uint32_t n_numbers)
{
	static const struct principal nobody = {.user = USER_ROOT};
	struct share *share = s->shares.root;

	if (f->number >= n_numbers || f->parent >= n_numbers || (f->number == 0) != (by_number[0] == NULL) ||
	    by_number[f->number] != NULL || !privileges_sane(&f->privileges))
		return -EINVAL;
	if (f->number != 0) {
		if (by_number[f->parent] == NULL || share_find(&s->shares, f->name) != NULL || f->name[0] == '\0')
			return -EINVAL;
		s->shares.next_number = f->number;
		share = share_add(&s->shares, by_number[f->parent], f->name, &f->flows, &f->privileges, &nobody,
				  s->now_ns);
		if (share == NULL)
			return -ENOMEM;
	}
	share->n_principals = 0; // the creator that share_add put there, or the root's first
	share->granted_default = f->granted_default;
	by_number[f->number] = share;
	return 0;
}

static int load_share(struct state *s, struct codec *c, bool full, struct share **by_number, uint32_t n_numbers)
{
	struct share_fields f = {0};
	uint32_t n_principals = 0;
	u128 tokens = 0;
	int rc;

	match_init(&f.flows);
	share_fields(c, &f);
	codec_u128(c, &tokens);
	n_principals = codec_count(c, 0);
	if (full && f.privileges.reserve_max_bps != RATE_UNLIMITED)
		tokens = (u128)f.privileges.tb_capacity_bits * TIMELINE_TOKENS_PER_BIT;
	rc = c->failed ? -EINVAL : add_share(s, &f, by_number, n_numbers);
	for (uint32_t i = 0; i < n_principals && rc == 0; i++) {
		struct principal p = {0};

		principal_fields(c, &p);
		rc = c->failed ? -EINVAL : share_grant(by_number[f.number], &p);
	}
	if (rc == 0)
		rc = timeline_start(by_number[f.number]->timeline, s->now_ns, tokens);
	match_fini(&f.flows);
	ip_list_unref(f.privileges.waypoint);
	ip_list_unref(f.privileges.avoid);
	return rc;
}

static int load_request(struct state *s, struct codec *c, struct share **by_number, uint32_t n_numbers)
{
	struct request *r = calloc(1, sizeof(*r));
	uint32_t share = 0;
	int rc;

	if (r == NULL)
		return -ENOMEM;
	match_init(&r->flows);
	codec_u32(c, &share);
	request_fields(c, r);
	if (c->failed || share >= n_numbers || by_number[share] == NULL || r->holder > s->users.n || r->id == 0 ||
	    r->id < s->requests.next_id || r->start_ns >= r->end_ns || r->end_ns <= s->now_ns) {
		request_destroy(r);
		return -EINVAL;
	}
	r->share = by_number[share];
	s->requests.next_id = r->id;
	rc = request_restore(s, r);
	if (rc < 0)
		request_destroy(r);
	return rc;
}

static int load_all(struct state *s, struct codec *c, const struct head *head, int64_t back_to_ns,
		    struct share **by_number)
{
	bool back = back_to_ns < head->now_ns;
	int rc = 0;

	s->now_ns = back ? back_to_ns : head->now_ns;
	s->policy_gen = head->policy_gen;
	for (uint32_t i = 0; i < head->n_users && rc == 0; i++)
		rc = load_user(s, c, i);
	for (uint32_t i = 0; i < head->n_shares && rc == 0; i++)
		rc = load_share(s, c, back, by_number, head->next_share);
	for (uint64_t i = 0; i < head->n_requests && rc == 0; i++)
		rc = load_request(s, c, by_number, head->next_share);
	for (uint32_t i = 0; i < head->next_share && rc == 0; i++)
		if (by_number[i] != NULL && !timeline_sustains(by_number[i]->timeline))
			rc = -EINVAL;
	if (rc == 0 && (c->failed || c->at != c->n || s->requests.next_id > head->next_id))
		rc = -EINVAL;
	s->shares.next_number = head->next_share;
	s->requests.next_id = head->next_id;
	return rc;
}

int checkpoint_load(struct state *s, const uint8_t *bytes, size_t n, int64_t back_to_ns, struct err *err)
{
	struct codec c = codec_reader(bytes, n);
	struct head head = {0};
	struct share **by_number;
	int rc;

	head_fields(&c, &head);
	if (!c.failed && head.format != CHECKPOINT_FORMAT)
		return err_set(err, EINVAL, "checkpoint format %u, this program reads format %d", head.format,
			       CHECKPOINT_FORMAT);
	if (c.failed || head.n_users == 0 || head.n_shares == 0 || head.n_shares > n || head.next_share == 0 ||
	    head.now_ns < 0 || head.next_id == 0)
		return err_set(err, EINVAL, "checkpoint: damaged, its head makes no sense");
	by_number = calloc(head.next_share, sizeof(*by_number));
	rc = by_number == NULL ? -ENOMEM : load_all(s, &c, &head, back_to_ns, by_number);
	free(by_number);
	if (rc == -ENOMEM)
		return err_set(err, ENOMEM, "checkpoint: out of memory");
	return rc == 0 ? 0 : err_set(err, EINVAL, "checkpoint: damaged at byte %zu of %zu", c.at, n);
}
