// SPDX-License-Identifier: Apache-2.0
#include "authority.h"

#include <errno.h>
#include <string.h>

#include "answer.h"
#include "override.h"
#include "policy.h"
#include "request.h"

bool authority_is_root(const struct principal *speaker)
{
	return strcmp(speaker->user, USER_ROOT) == 0;
}

int authority_refuse_not_root(const struct principal *speaker, struct reply *reply)
{
	return reply_refuse(reply, REPLY_NOT_ROOT, "only %s may say this, not %s", USER_ROOT, speaker->user);
}

static int refuse_memory(struct reply *reply)
{
	return reply_refuse(reply, REPLY_LIMIT, "out of memory");
}

int authority_add_user(struct state *s, const struct principal *speaker, const struct statement *st,
		       struct reply *reply)
{
	int rc;

	if (!authority_is_root(speaker))
		return authority_refuse_not_root(speaker, reply);
	rc = users_add(&s->users, st->name);
	if (rc == -EEXIST)
		return reply_refuse(reply, REPLY_DUP_USER, "there is a user %s already", st->name);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = true;
	return 0;
}

// A child of parent came (or went: NULL): who of them has a weight of its own may have changed.
static void note_weights(struct state *s, const struct share *parent, const struct share *child)
{
	if (child != NULL && parent->n_weighted == 0)
		return;
	s->policy_gen++;
	if (child != NULL && parent->n_weighted > (child->privileges.weight != 1))
		delta_share(&s->delta, child->number); // the others had one before
	else
		for (uint32_t i = 0; i < parent->n_children; i++)
			delta_share(&s->delta, parent->children[i]->number);
}

// The bindings of the user have changed.
static void note_user(struct state *s, const struct user *user)
{
	const struct share *root = s->shares.root;
	const struct request *r;

	TAILQ_FOREACH (r, &s->naming_users, naming_users_link) {
		if (policy_depends_on(&r->flows, user->number))
			delta_request(&s->delta, r->id);
	}
	for (const struct share *share = root; share != NULL && s->shares.n_weighted > 0;
	     share = share_next(root, share, true)) {
		if (share_has_weight(share) && policy_depends_on(&share->flows, user->number))
			delta_share(&s->delta, share->number);
	}
	s->policy_gen++;
}

int authority_new_share(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply)
{
	struct share *parent = share_find(&s->shares, st->share), *share;
	struct privileges privileges;
	struct principal creator = {0};
	struct err err;

	if (parent == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->share);
	if (!share_speaks(parent, speaker, state_registered(s, speaker)))
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s", speaker->user,
				    parent->name);
	if (share_find(&s->shares, st->name) != NULL)
		return reply_refuse(reply, REPLY_DUP_SHARE, "there is a share %s already", st->name);
	if (!match_subset(&st->flows, &parent->flows))
		return answer_not_contained(reply, &s->users, &st->flows, &parent->flows, parent->name);
	if (privileges_resolve(&parent->privileges, &st->privileges, &privileges, &err) < 0)
		return reply_refuse(reply, REPLY_BAD_PRIVILEGE, "%s", err.msg);
	memcpy(creator.user, speaker->user, sizeof(creator.user));
	share = share_add(&s->shares, parent, st->name, &st->flows, &privileges, &creator, s->now_ns);
	if (share == NULL)
		return refuse_memory(reply);
	note_weights(s, parent, share);
	reply->mutated = true;
	return 0;
}

// The share that is granted, if it exists and the speaker may.
static struct share *granted_share(struct state *s, const struct principal *speaker, const char *name,
				   struct reply *reply)
{
	struct share *share = share_find(&s->shares, name);

	if (share == NULL)
		reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", name);
	else if (!share_speaks(share, speaker, state_registered(s, speaker))) {
		reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s", speaker->user, share->name);
		share = NULL;
	}
	return share;
}

int authority_grant(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);
	int rc;

	if (share == NULL)
		return -1;
	if (users_find(&s->users, st->principal.user) == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->principal.user);
	rc = share_grant(share, &st->principal);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = rc == 0;
	return 0;
}

int authority_grant_default(struct state *s, const struct principal *speaker, const struct statement *st,
			    struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);

	if (share == NULL)
		return -1;
	reply->mutated = !share->granted_default;
	share->granted_default = true;
	return 0;
}

int authority_revoke(struct state *s, const struct principal *speaker, const struct statement *st, struct reply *reply)
{
	struct share *share = granted_share(s, speaker, st->share, reply);
	char who[3 * PRINCIPAL_NAME_MAX];

	if (share == NULL)
		return -1;
	if (users_find(&s->users, st->principal.user) == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->principal.user);
	principal_format(&st->principal, who, sizeof(who));
	if (share_revoke(share, &st->principal) < 0)
		return reply_refuse(reply, REPLY_NOT_GRANTED, "share %s is not granted to %s", share->name, who);
	reply->mutated = true;
	return 0;
}

int authority_drop_share(struct state *s, const struct principal *speaker, const struct statement *st,
			 struct reply *reply)
{
	struct share *share = share_find(&s->shares, st->name), *parent;
	bool had_weight;

	if (share == NULL)
		return reply_refuse(reply, REPLY_NO_SHARE, "there is no share %s", st->name);
	if (share->parent == NULL)
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "share %s has no parent whose principal could drop it",
				    share->name);
	if (!share_speaks(share->parent, speaker, state_registered(s, speaker)))
		return reply_refuse(reply, REPLY_NOT_PRINCIPAL, "%s is no principal of share %s, the parent of %s",
				    speaker->user, share->parent->name, share->name);
	request_end_below(s, share);
	for (const struct share *gone = share; gone != NULL; gone = share_next(share, gone, true))
		traffic_forget_share(&s->traffic, gone);
	parent = share->parent;
	had_weight = share_has_weight(share);
	for (const struct share *gone = share; gone != NULL; gone = share_next(share, gone, true)) {
		if (share_has_weight(gone))
			delta_share(&s->delta, gone->number);
	}
	share_drop(&s->shares, share);
	if (had_weight && parent->n_weighted == 0)
		note_weights(s, parent, NULL);
	reply->mutated = true;
	return 0;
}

int authority_drop_user(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply)
{
	const struct share *root = s->shares.root;
	struct user *user = users_find(&s->users, st->name);
	struct override_watch watch;
	bool had_bindings;

	if (!authority_is_root(speaker))
		return authority_refuse_not_root(speaker, reply);
	if (user == NULL)
		return reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->name);
	if (user->number == USER_NUMBER_ROOT)
		return reply_refuse(reply, REPLY_BAD_VALUE, "%s cannot be dropped", user->name);
	for (const struct share *share = root; share != NULL; share = share_next(root, share, true))
		share_revoke_user(share_find(&s->shares, share->name), user->name);
	had_bindings = user->n_bindings > 0;
	override_before_binding(s, user, NULL, &watch);
	users_drop(user);
	override_after_binding(s, &watch);
	if (had_bindings)
		note_user(s, user);
	if (s->user_dropped.fn != NULL)
		s->user_dropped.fn(s->user_dropped.ctx, user->name);
	reply->mutated = true;
	return 0;
}

static struct user *bound_user(struct state *s, const struct principal *speaker, const struct statement *st,
			       struct reply *reply)
{
	struct user *user = users_find(&s->users, st->name);

	if (!authority_is_root(speaker)) {
		authority_refuse_not_root(speaker, reply);
		return NULL;
	}
	if (user == NULL)
		reply_refuse(reply, REPLY_NO_USER, "there is no user %s", st->name);
	return user;
}

static int refuse_bound(const struct state *s, const struct user *user, const struct match *where, struct reply *reply)
{
	const struct user *owner = users_owner(&s->users, user, where);
	char *text = answer_group(&s->users, &where->boxes[0]);

	reply_refuse(reply, REPLY_BOUND, "user %s has an address that %s overlaps",
		     owner == NULL ? "another" : owner->name, text == NULL ? "it" : text);
	free(text);
	return -1;
}

static int refuse_unbound(const struct state *s, const struct user *user, const struct statement *st,
			  struct reply *reply)
{
	char *text = st->has_binding ? answer_group(&s->users, &st->binding.boxes[0]) : NULL;

	reply_refuse(reply, REPLY_NO_BINDING, "user %s has %s%s", user->name,
		     text == NULL ? "no address" : "no such address: ", text == NULL ? "" : text);
	free(text);
	return -1;
}

int authority_bind_user(struct state *s, const struct principal *speaker, const struct statement *st,
			struct reply *reply)
{
	struct user *user = bound_user(s, speaker, st, reply);
	struct override_watch watch;
	int rc;

	if (user == NULL)
		return -1;
	override_before_binding(s, user, &st->binding, &watch);
	rc = users_bind(&s->users, user, &st->binding);
	override_after_binding(s, &watch);
	if (rc == -EEXIST)
		return refuse_bound(s, user, &st->binding, reply);
	if (rc < 0)
		return refuse_memory(reply);
	reply->mutated = rc == 0;
	if (rc == 0)
		note_user(s, user);
	return 0;
}

int authority_unbind_user(struct state *s, const struct principal *speaker, const struct statement *st,
			  struct reply *reply)
{
	struct user *user = bound_user(s, speaker, st, reply);
	struct override_watch watch;
	int rc;

	if (user == NULL)
		return -1;
	override_before_binding(s, user, st->has_binding ? &st->binding : NULL, &watch);
	rc = users_unbind(user, st->has_binding ? &st->binding : NULL);
	override_after_binding(s, &watch);
	if (rc < 0)
		return refuse_unbound(s, user, st, reply);
	reply->mutated = true;
	note_user(s, user);
	return 0;
}
