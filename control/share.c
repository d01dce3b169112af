// SPDX-License-Identifier: Apache-2.0
#include "share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "answer.h"
#include "user.h"

#define GIVEN(p, privilege) (((p)->given >> (privilege)) & 1)

static void share_destroy(struct share *share)
{
	if (share == NULL)
		return;
	if (share->parent == NULL)
		flow_index_destroy(share->index);
	match_fini(&share->flows);
	ip_list_unref(share->privileges.waypoint);
	ip_list_unref(share->privileges.avoid);
	free(share->children);
	free(share->principals);
	timeline_destroy(share->timeline);
	free(share);
}

static struct share *share_create(const char *name, const struct match *flows, const struct privileges *privileges,
				  const struct principal *principal, int64_t now_ns)
{
	struct timeline_conf conf = {privileges->reserve_max_bps, privileges->reserve_min_bps, privileges->tb_fill_bps,
				     privileges->tb_capacity_bits};
	struct share *share = calloc(1, sizeof(*share));

	if (share == NULL)
		return NULL;
	strncpy(share->name, name, sizeof(share->name) - 1);
	match_init(&share->flows);
	TAILQ_INIT(&share->requests);
	share->privileges = *privileges;
	ip_list_ref(share->privileges.waypoint);
	ip_list_ref(share->privileges.avoid);
	share->timeline = timeline_create(&conf, now_ns);
	if (share->timeline == NULL || match_copy(&share->flows, flows) < 0 || share_grant(share, principal) < 0) {
		share_destroy(share);
		return NULL;
	}
	return share;
}

// --- by number

static int numbers_prepare(struct share_tree *tree)
{
	uint32_t cap = tree->cap_numbers == 0 ? 64 : tree->cap_numbers * 2;
	void *all;

	if (tree->n_numbers < tree->cap_numbers)
		return 0;
	all = reallocarray(tree->by_number, cap, sizeof(*tree->by_number));
	if (all == NULL)
		return -ENOMEM;
	tree->by_number = all;
	tree->cap_numbers = cap;
	return 0;
}

// Numbers only grow; room has been prepared.
static void numbers_add(struct share_tree *tree, struct share *share)
{
	tree->by_number[tree->n_numbers].number = share->number;
	tree->by_number[tree->n_numbers++].share = share;
}

// Index of the first entry with that number or a greater one.
static uint32_t numbers_find(const struct share_tree *tree, uint32_t number)
{
	uint32_t lo = 0, hi = tree->n_numbers;

	while (lo < hi) {
		uint32_t middle = lo + (hi - lo) / 2;

		if (tree->by_number[middle].number < number)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

static void numbers_remove(struct share_tree *tree, uint32_t number)
{
	uint32_t kept = 0;

	tree->by_number[numbers_find(tree, number)].share = NULL;
	if (++tree->n_gaps * 2 < tree->n_numbers)
		return;
	for (uint32_t i = 0; i < tree->n_numbers; i++) {
		if (tree->by_number[i].share != NULL)
			tree->by_number[kept++] = tree->by_number[i];
	}
	tree->n_numbers = kept;
	tree->n_gaps = 0;
}

struct share *share_at(const struct share_tree *tree, uint32_t number)
{
	uint32_t i = numbers_find(tree, number);

	return i < tree->n_numbers && tree->by_number[i].number == number ? tree->by_number[i].share : NULL;
}

uint32_t share_place(const struct share_tree *tree, const struct share *share)
{
	return numbers_find(tree, share->number);
}

bool share_has_weight(const struct share *share)
{
	return share->parent != NULL && share->parent->n_weighted > 0;
}

int share_tree_init(struct share_tree *tree, int64_t now_ns)
{
	struct privileges everything = {
		.allow_ns = DURATION_UNLIMITED,
		.deny_ns = DURATION_UNLIMITED,
		.reserve_max_bps = RATE_UNLIMITED,
		.tb_fill_bps = RATE_UNLIMITED,
		.tb_capacity_bits = RATE_UNLIMITED,
		.ratelimit_min_bps = 0,
		.hint = true,
		.query = true,
		.view = VIEW_ALL,
		.weight = 1,
	};
	static const struct principal root = {.user = USER_ROOT};
	struct match all;
	struct box any = box_any();

	memset(tree, 0, sizeof(*tree));
	name_map_init(&tree->by_name);
	tree->next_number = 1;
	match_init(&all);
	everything.waypoint = everything.avoid = ip_list_any();
	if (everything.waypoint != NULL && match_add(&all, &any) == 0)
		tree->root = share_create(SHARE_ROOT, &all, &everything, &root, now_ns);
	ip_list_unref(everything.waypoint);
	match_fini(&all);
	if (tree->root == NULL || numbers_prepare(tree) < 0)
		return -ENOMEM;
	numbers_add(tree, tree->root);
	tree->root->index = flow_index_create();
	if (tree->root->index == NULL)
		return -ENOMEM;
	return name_map_add(&tree->by_name, tree->root->name, tree->root);
}

void share_tree_fini(struct share_tree *tree)
{
	struct share *share = tree->root;

	// Leaves first, without recursion: a tree may be as deep as memory allows.
	while (share != NULL) {
		struct share *up = share->parent;

		if (share->n_children > 0) {
			share = share->children[--share->n_children];
			continue;
		}
		share_destroy(share);
		share = up;
	}
	name_map_fini(&tree->by_name);
	free(tree->by_number);
	*tree = (struct share_tree){0};
}

struct share *share_find(const struct share_tree *tree, const char *name)
{
	return name_map_find(&tree->by_name, name);
}

const struct share *share_next(const struct share *top, const struct share *share, bool descend)
{
	if (descend && share->n_children > 0)
		return share->children[0];
	for (; share != top; share = share->parent)
		if (share->child_idx + 1 < share->parent->n_children)
			return share->parent->children[share->child_idx + 1];
	return NULL;
}

bool share_speaks(const struct share *share, const struct principal *speaker, bool registered)
{
	if (share->granted_default && registered)
		return true;
	for (uint32_t i = 0; i < share->n_principals; i++)
		if (principal_covers(&share->principals[i], speaker))
			return true;
	return false;
}

const struct share *share_speaks_above(const struct share *share, const struct principal *speaker, bool registered)
{
	while (share != NULL && !share_speaks(share, speaker, registered))
		share = share->parent;
	return share;
}

int share_grant(struct share *share, const struct principal *principal)
{
	for (uint32_t i = 0; i < share->n_principals; i++)
		if (strcmp(share->principals[i].user, principal->user) == 0 &&
		    strcmp(share->principals[i].host, principal->host) == 0 &&
		    strcmp(share->principals[i].app, principal->app) == 0)
			return 1;
	if (share->n_principals == share->cap_principals) {
		uint32_t cap = share->cap_principals == 0 ? 1 : share->cap_principals * 2;
		struct principal *all = realloc(share->principals, cap * sizeof(*all));

		if (all == NULL)
			return -ENOMEM;
		share->principals = all;
		share->cap_principals = cap;
	}
	share->principals[share->n_principals++] = *principal;
	return 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static const char *source_of(const struct privileges *asked, enum privilege privilege)
{
	return GIVEN(asked, privilege) ? "asked" : "the default";
}

static int exceeds_time(const char *name, int64_t child, const char *source, int64_t parent, struct err *err)
{
	if (parent == 0)
		return err_set(err, EPERM, "%s = True is %s, the parent has %s = False", name, source, name);
	return err_set(err, EPERM, "%s <= %s is %s, the parent has %s <= %s", name, answer_duration(child).text, source,
		       name, answer_duration(parent).text);
}

static int resolve_reserve(const struct privileges *parent, const struct privileges *asked, struct privileges *out,
			   struct err *err)
{
	out->reserve_max_bps = GIVEN(asked, PRIV_RESERVE_MAX) ? asked->reserve_max_bps : 0;
	out->reserve_min_bps = GIVEN(asked, PRIV_RESERVE_MIN) ? asked->reserve_min_bps : parent->reserve_min_bps;
	out->tb_fill_bps =
		GIVEN(asked, PRIV_TB_FILL) ? asked->tb_fill_bps : min_u64(out->reserve_max_bps, parent->tb_fill_bps);
	out->tb_capacity_bits = GIVEN(asked, PRIV_TB_CAPACITY)
					? asked->tb_capacity_bits
					: min_u64(out->reserve_max_bps, parent->tb_capacity_bits); // M x 1 s
	if (out->reserve_max_bps > parent->reserve_max_bps)
		return err_set(err, EPERM, "reserve <= %s is asked, the parent has reserve <= %s",
			       answer_rate(out->reserve_max_bps).text, answer_rate(parent->reserve_max_bps).text);
	if (out->reserve_min_bps < parent->reserve_min_bps)
		return err_set(err, EPERM, "reserve >= %s is asked, the parent has reserve >= %s",
			       answer_rate(out->reserve_min_bps).text, answer_rate(parent->reserve_min_bps).text);
	if (GIVEN(asked, PRIV_RESERVE_MIN) && out->reserve_min_bps > out->reserve_max_bps)
		return err_set(err, EINVAL, "reserve >= %s is more than reserve <= %s",
			       answer_rate(out->reserve_min_bps).text, answer_rate(out->reserve_max_bps).text);
	if (out->tb_fill_bps > parent->tb_fill_bps)
		return err_set(err, EPERM, "reserveTBFill = %s is asked, the parent has %s",
			       answer_rate(out->tb_fill_bps).text, answer_rate(parent->tb_fill_bps).text);
	if (out->tb_capacity_bits > parent->tb_capacity_bits)
		return err_set(err, EPERM, "reserveTBCapacity = %s is asked, the parent has %s",
			       answer_rate(out->tb_capacity_bits).text, answer_rate(parent->tb_capacity_bits).text);
	return 0;
}

static int resolve_ips(const char *name, struct ip_list *parent, struct ip_list *asked, struct ip_list **out,
		       struct err *err)
{
	const struct ip_addr *outside = ip_list_outside(asked, parent);

	*out = asked;
	if (outside == NULL)
		return 0;
	return err_set(err, EPERM, "%s = %s is asked, the parent lacks it", name,
		       asked->any ? "*" : ip_addr_text(outside).text);
}

int privileges_resolve(const struct privileges *parent, const struct privileges *asked, struct privileges *out,
		       struct err *err)
{
	int rc;

	*out = (struct privileges){.given = asked->given};
	out->allow_ns = GIVEN(asked, PRIV_ALLOW) ? asked->allow_ns : DURATION_UNLIMITED;
	if (out->allow_ns > parent->allow_ns)
		return exceeds_time("allow", out->allow_ns, source_of(asked, PRIV_ALLOW), parent->allow_ns, err);
	out->deny_ns = GIVEN(asked, PRIV_DENY) ? asked->deny_ns : DURATION_UNLIMITED;
	if (out->deny_ns > parent->deny_ns)
		return exceeds_time("deny", out->deny_ns, source_of(asked, PRIV_DENY), parent->deny_ns, err);
	rc = resolve_reserve(parent, asked, out, err);
	if (rc < 0)
		return rc;
	out->ratelimit_min_bps = GIVEN(asked, PRIV_RATELIMIT) ? asked->ratelimit_min_bps : RATE_UNLIMITED;
	if (out->ratelimit_min_bps < parent->ratelimit_min_bps)
		return err_set(err, EPERM, "ratelimit >= %s is asked, the parent has ratelimit >= %s",
			       answer_rate(out->ratelimit_min_bps).text, answer_rate(parent->ratelimit_min_bps).text);
	rc = resolve_ips("waypoint", parent->waypoint, asked->waypoint, &out->waypoint, err);
	if (rc == 0)
		rc = resolve_ips("avoid", parent->avoid, asked->avoid, &out->avoid, err);
	if (rc < 0)
		return rc;
	out->view = GIVEN(asked, PRIV_VIEW) ? asked->view : parent->view;
	if ((out->view & ~parent->view) != 0)
		return err_set(err, EPERM, "a view is asked that the parent lacks");
	out->hint = GIVEN(asked, PRIV_HINT) ? asked->hint : true;
	if (out->hint && !parent->hint)
		return err_set(err, EPERM, "hint = True is %s, the parent has hint = False",
			       source_of(asked, PRIV_HINT));
	out->query = GIVEN(asked, PRIV_QUERY) ? asked->query : true;
	if (out->query && !parent->query)
		return err_set(err, EPERM, "query = True is %s, the parent has query = False",
			       source_of(asked, PRIV_QUERY));
	out->weight = GIVEN(asked, PRIV_WEIGHT) ? asked->weight : 1;
	return 0;
}

int share_revoke(struct share *share, const struct principal *principal)
{
	for (uint32_t i = 0; i < share->n_principals; i++) {
		struct principal *p = &share->principals[i];

		if (strcmp(p->user, principal->user) != 0 || strcmp(p->host, principal->host) != 0 ||
		    strcmp(p->app, principal->app) != 0)
			continue;
		memmove(p, p + 1, (share->n_principals - i - 1) * sizeof(*p));
		share->n_principals--;
		return 0;
	}
	return -ENOENT;
}

uint32_t share_revoke_user(struct share *share, const char *user)
{
	uint32_t kept = 0, before = share->n_principals;

	for (uint32_t i = 0; i < before; i++)
		if (strcmp(share->principals[i].user, user) != 0)
			share->principals[kept++] = share->principals[i];
	share->n_principals = kept;
	return before - kept;
}

void share_drop(struct share_tree *tree, struct share *top)
{
	struct share *parent = top->parent, *share = top;

	memmove(&parent->children[top->child_idx], &parent->children[top->child_idx + 1],
		(parent->n_children - top->child_idx - 1) * sizeof(struct share *));
	parent->n_children--;
	parent->n_weighted -= top->privileges.weight != 1;
	for (uint32_t i = top->child_idx; i < parent->n_children; i++)
		parent->children[i]->child_idx = i;
	while (share != parent) { // leaves first, without recursion
		struct share *up = share->parent;

		if (share->n_children > 0) {
			share = share->children[--share->n_children];
			continue;
		}
		name_map_remove(&tree->by_name, share->name);
		numbers_remove(tree, share->number);
		tree->n_weighted -= share->privileges.weight != 1;
		share_destroy(share);
		share = up;
	}
}

struct share *share_add(struct share_tree *tree, struct share *parent, const char *name, const struct match *flows,
			const struct privileges *privileges, const struct principal *principal, int64_t now_ns)
{
	struct share *share;

	if (tree->next_number == UINT32_MAX || numbers_prepare(tree) < 0)
		return NULL;
	if (parent->n_children == parent->cap_children) {
		uint32_t cap = parent->cap_children == 0 ? 4 : parent->cap_children * 2;
		struct share **children = realloc(parent->children, cap * sizeof(*children));

		if (children == NULL)
			return NULL;
		parent->children = children;
		parent->cap_children = cap;
	}
	share = share_create(name, flows, privileges, principal, now_ns);
	if (share == NULL || name_map_add(&tree->by_name, share->name, share) < 0) {
		share_destroy(share);
		return NULL;
	}
	share->number = tree->next_number++;
	numbers_add(tree, share);
	parent->n_weighted += privileges->weight != 1;
	tree->n_weighted += privileges->weight != 1;
	share->parent = parent;
	share->index = parent->index;
	share->child_idx = parent->n_children;
	parent->children[parent->n_children++] = share;
	return share;
}
