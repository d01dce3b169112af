// SPDX-License-Identifier: Apache-2.0
#include "part_book.h"

#include <errno.h>
#include <stdlib.h>

#include "policy.h"

// What was made of one request, or of the flow group of a share that divides by weight.
struct rows {
	uint64_t *keys; // ascending, distinct
	uint32_t n;
	uint32_t node; // whose
	uint8_t part;  // of all of them
	bool metered;  // a meter goes with them
};

// A share that rows name, or that one below does.
struct node {
	struct proto_node is;
	uint16_t weight;     // of the share
	uint32_t n_named;    // requests and flow groups with rows, children
	uint32_t n_dividing; // flow groups with rows at or below it: it divides by weight
};

struct part_book {
	struct link_state *want;
	struct parts *parts;
	struct parts_nodes *parts_nodes;
	struct id_map requests, shares; // of struct rows, by request and share number
	struct id_map backgrounds;      // likewise by request: what hints say of it
	struct id_map nodes;            // of struct node, by share number
	struct prove *prove;            // NULL: nothing is proven
	bool lacks_memory;              // a row that moved could not be told
};

// Says what the row is now; one without categories (an allow that decides nothing) is not sent.
static int tell_row(struct part_book *b, const struct part_row *row)
{
	if (row->access_category != PARTS_NO_CATEGORY || row->meter_category != PARTS_NO_CATEGORY) {
		prove_row(b->prove, row);
		return link_state_want_row(b->want, row);
	}
	prove_unrow(b->prove, row);
	link_state_drop_row(b->want, part_row_key(row));
	return 0;
}

// Another row's coming gave this one other categories.
static void row_moved(void *ctx, const struct part_row *row)
{
	struct part_book *b = ctx;

	b->lacks_memory |= tell_row(b, row) < 0;
}

struct part_book *part_book_create(struct link_state *want)
{
	struct part_book *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	b->want = want;
	b->parts_nodes = parts_nodes_create();
	if (b->parts_nodes != NULL)
		b->parts = parts_create(b->parts_nodes);
	if (b->parts == NULL) {
		part_book_destroy(b);
		return NULL;
	}
	parts_on_moved(b->parts, row_moved, b);
	return b;
}

static void rows_destroy(struct rows *rows)
{
	if (rows == NULL)
		return;
	free(rows->keys);
	free(rows);
}

void part_book_destroy(struct part_book *b)
{
	void *value;

	if (b == NULL)
		return;
	for (uint32_t at = 0; (value = id_map_next(&b->requests, &at)) != NULL;)
		rows_destroy(value);
	for (uint32_t at = 0; (value = id_map_next(&b->shares, &at)) != NULL;)
		rows_destroy(value);
	for (uint32_t at = 0; (value = id_map_next(&b->backgrounds, &at)) != NULL;)
		rows_destroy(value);
	for (uint32_t at = 0; (value = id_map_next(&b->nodes, &at)) != NULL;)
		free(value);
	id_map_fini(&b->requests);
	id_map_fini(&b->shares);
	id_map_fini(&b->backgrounds);
	id_map_fini(&b->nodes);
	prove_destroy(b->prove);
	parts_destroy(b->parts);
	parts_nodes_destroy(b->parts_nodes);
	free(b);
}

int part_book_prove(struct part_book *b, enum prove_mode mode)
{
	if (mode == PROVE_OFF)
		return 0;
	b->prove = prove_create(mode, b->parts_nodes);
	return b->prove == NULL ? -ENOMEM : 0;
}

struct prove *part_book_proof(struct part_book *b)
{
	return b->prove;
}

// --- nodes

static void node_forget(struct part_book *b, uint32_t number)
{
	struct node *node;

	while (number != PARTS_ROOT && (node = id_map_find(&b->nodes, number)) != NULL && --node->n_named == 0) {
		uint32_t parent = node->is.parent;

		parts_nodes_del(b->parts_nodes, number);
		link_state_drop_node(b->want, number);
		free(id_map_take(&b->nodes, number));
		number = parent;
	}
}

// Makes the node of a share whose parent has one.
static int node_make(struct part_book *b, const struct share *share)
{
	const struct node *parent = id_map_find(&b->nodes, share->parent->number);
	struct node *node = calloc(1, sizeof(*node));

	if (node == NULL)
		return -ENOMEM;
	node->is.number = share->number;
	node->is.parent = share->parent->number;
	node->is.depth = (uint16_t)(parent == NULL ? 1 : parent->is.depth + 1);
	node->weight = (uint16_t)share->privileges.weight;
	if (id_map_put(&b->nodes, share->number, node) < 0) {
		free(node);
		return -ENOMEM;
	}
	if (parts_nodes_set(b->parts_nodes, node->is.number, node->is.parent) < 0 ||
	    link_state_want_node(b->want, &node->is) < 0) {
		parts_nodes_del(b->parts_nodes, node->is.number);
		free(id_map_take(&b->nodes, share->number));
		return -ENOMEM;
	}
	return 0;
}

// The share is named once more: it and all above it have nodes. 0, -ENOMEM or -E2BIG.
static int node_name(struct part_book *b, const struct share *share)
{
	struct node *node;
	int rc;

	if (share->parent == NULL)
		return 0;
	node = id_map_find(&b->nodes, share->number);
	if (node == NULL) {
		if (share->parent->parent != NULL) {
			rc = node_name(b, share->parent);
			if (rc < 0)
				return rc;
		}
		rc = node_make(b, share);
		if (rc < 0) {
			node_forget(b, share->parent->number);
			return rc;
		}
		node = id_map_find(&b->nodes, share->number);
	}
	node->n_named++;
	return 0;
}

// A flow group of the node has rows now (1), or no longer (-1): it and those above it divide by weight.
static void node_divide(struct part_book *b, uint32_t number, int by)
{
	struct node *node;

	for (; (node = id_map_find(&b->nodes, number)) != NULL; number = node->is.parent) {
		uint16_t weight;

		node->n_dividing += (uint32_t)by;
		weight = node->n_dividing > 0 ? node->weight : 0;
		if (weight == node->is.weight)
			continue;
		node->is.weight = weight;
		link_state_want_node(b->want, &node->is); // it is there: no memory is needed
	}
}

static uint16_t depth_of(const struct part_book *b, uint32_t number)
{
	const struct node *node = id_map_find(&b->nodes, number);

	return node == NULL ? 0 : node->is.depth;
}

// --- rows

static int compare_keys(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static void row_del(struct part_book *b, uint64_t key)
{
	const struct part_row *row = parts_get(b->parts, key);

	if (row != NULL)
		prove_unrow(b->prove, row);
	parts_del(b->parts, key);
	link_state_drop_row(b->want, key);
}

static int row_add(struct part_book *b, const struct part_row *asked, uint64_t key, struct err *err)
{
	struct part_row row = *asked;
	int rc;

	// A deny that nothing overrides is told as such: the dataplane may drop its packets before it looks any
	// further.
	if (row.access == ACCESS_DENY)
		row.access_category = PARTS_FINAL_CATEGORY;
	// What the dataplane holds from an earlier life stays as it is.
	link_state_categories(b->want, key, &row.access_category, &row.meter_category);
	rc = parts_add(b->parts, &row, &row, err);
	if (rc == 0 && tell_row(b, &row) < 0) {
		row_del(b, key);
		b->lacks_memory = true;
	}
	return b->lacks_memory ? err_set(err, ENOMEM, "no memory for a row") : rc;
}

// What rows should be: a row like `like` for each box.
struct wish {
	struct part_row like;
	const struct match *match;
	uint64_t *keys; // ascending, distinct
	uint32_t n;
};

static int wish_keys(struct wish *w)
{
	uint32_t n = 0;

	w->keys = malloc(((size_t)w->match->n_boxes + 1) * sizeof(*w->keys));
	if (w->keys == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->match->n_boxes; i++) {
		w->like.box = w->match->boxes[i];
		w->keys[i] = part_row_key(&w->like);
	}
	qsort(w->keys, w->match->n_boxes, sizeof(*w->keys), compare_keys);
	for (uint32_t i = 0; i < w->match->n_boxes; i++) {
		if (i == 0 || w->keys[i] != w->keys[i - 1])
			w->keys[n++] = w->keys[i];
	}
	w->n = n;
	return 0;
}

static bool has_key(const uint64_t *keys, uint32_t n, uint64_t key)
{
	return n > 0 && bsearch(&key, keys, n, sizeof(*keys), compare_keys) != NULL;
}

// Rows that are wished and not there; what was added is in the book also when one fails.
static int add_missing(struct part_book *b, struct wish *w, struct err *err)
{
	for (uint32_t i = 0; i < w->match->n_boxes; i++) {
		uint64_t key;
		int rc;

		w->like.box = w->match->boxes[i];
		key = part_row_key(&w->like);
		if (parts_get(b->parts, key) != NULL)
			continue;
		rc = row_add(b, &w->like, key, err);
		if (rc < 0)
			return rc;
	}
	return 0;
}

// Makes rows what is wished: from `rows` (as they were, or none). Takes w->keys. On error all of them are gone.
static int rows_become(struct part_book *b, struct rows *rows, struct wish *w, struct err *err)
{
	int rc;

	for (uint32_t i = 0; i < rows->n; i++) {
		if (!has_key(w->keys, w->n, rows->keys[i]))
			row_del(b, rows->keys[i]);
	}
	rc = add_missing(b, w, err);
	free(rows->keys);
	rows->keys = w->keys;
	rows->n = w->n;
	w->keys = NULL;
	for (uint32_t i = 0; i < rows->n && rc < 0; i++)
		row_del(b, rows->keys[i]);
	return rc;
}

// The rows of id in map are no more, and what they needed.
static void rows_end(struct part_book *b, struct id_map *map, uint64_t id)
{
	struct rows *rows = id_map_take(map, id);

	if (rows == NULL)
		return;
	for (uint32_t i = 0; i < rows->n; i++)
		row_del(b, rows->keys[i]);
	prove_ask(b->prove, rows->part, rows->part == PART_SHARE ? 0 : id, rows->node, ACCESS_NONE, NULL);
	if (rows->metered)
		link_state_drop_meter(b->want, id);
	if (map == &b->shares)
		node_divide(b, rows->node, -1);
	node_forget(b, rows->node);
	rows_destroy(rows);
}

// A place for the rows of id, with the node they name; NULL: out of memory.
static struct rows *rows_begin(struct part_book *b, struct id_map *map, uint64_t id, const struct share *share)
{
	struct rows *rows = calloc(1, sizeof(*rows));

	if (rows == NULL || id_map_put(map, id, rows) < 0) {
		free(rows);
		return NULL;
	}
	rows->node = share->number;
	if (node_name(b, share) < 0) {
		rows_destroy(id_map_take(map, id));
		return NULL;
	}
	if (map == &b->shares)
		node_divide(b, share->number, 1);
	return rows;
}

// Rows like w->like for each box of w->match, or none when it is empty.
static int rows_set(struct part_book *b, struct id_map *map, uint64_t id, const struct share *share, struct wish *w,
		    struct err *err)
{
	struct rows *rows = id_map_find(map, id);
	int rc = 0;

	if (w->match->n_boxes > 0 && rows == NULL) {
		rows = rows_begin(b, map, id, share);
		if (rows == NULL)
			return err_set(err, ENOMEM, "no memory for rows");
	}
	if (rows == NULL)
		return 0;
	w->like.node = rows->node;
	w->like.depth = depth_of(b, rows->node);
	w->like.access_category = PARTS_NO_CATEGORY;
	w->like.meter_category = PARTS_NO_CATEGORY;
	rc = wish_keys(w) < 0 ? err_set(err, ENOMEM, "no memory for rows") : rows_become(b, rows, w, err);
	if (rc < 0 || rows->n == 0) {
		rows_end(b, map, id);
	} else {
		rows->part = w->like.part;
		prove_ask(b->prove, rows->part, w->like.id, rows->node, w->like.access, w->match);
	}
	return rc;
}

// --- the contract

static int set_meter(struct part_book *b, const struct atom *atom, struct err *err)
{
	struct rows *rows = id_map_find(&b->requests, atom->id);
	struct proto_meter meter = {
		.id = atom->id,
		.rate_bps = atom->rate_bps,
		.kind = atom->part == ATOM_RESERVE ? PROTO_METER_RESERVATION : PROTO_METER_LIMIT,
	};
	int rc = 0;

	if (rows == NULL || (atom->part != ATOM_RESERVE && atom->part != ATOM_LIMIT))
		return 0;
	if (meter.rate_bps == 0 || meter.rate_bps > INT64_MAX)
		rc = err_set(err, EINVAL, "request %llu: a rate of %llu bit/s cannot be enforced",
			     (unsigned long long)meter.id, (unsigned long long)meter.rate_bps);
	else if (link_state_want_meter(b->want, &meter) < 0)
		rc = err_set(err, ENOMEM, "no memory for a meter");
	rows->metered = rc == 0;
	if (rc < 0)
		rows_end(b, &b->requests, atom->id);
	return rc;
}

static int refuse_atom(const struct request *r, int rc, struct err *err)
{
	return err_set(err, -rc, "request %llu: %s", (unsigned long long)r->id,
		       rc == -E2BIG ? "its users are bound to too many addresses" : "no memory for its rows");
}

static int set_atom(struct part_book *b, const struct state *s, const struct request *r, struct err *err)
{
	static const enum part part_of[] = {
		[ATOM_ACCESS] = PART_ACCESS,
		[ATOM_RESERVE] = PART_RESERVE,
		[ATOM_LIMIT] = PART_LIMIT,
		[ATOM_PATH] = PART_PATH,
	};
	struct atom atom;
	struct wish w = {.match = &atom.match};
	int rc = policy_atom(s, r, &atom);

	if (rc < 0)
		return refuse_atom(r, rc, err);
	w.like = (struct part_row){.id = r->id, .part = (uint8_t)part_of[atom.part], .access = (uint8_t)atom.access};
	rc = rows_set(b, &b->requests, r->id, r->share, &w, err);
	if (rc == 0)
		rc = set_meter(b, &atom, err);
	match_fini(&atom.match);
	return rc;
}

static int set_background(struct part_book *b, const struct state *s, const struct request *r, struct err *err)
{
	struct match flows;
	struct wish w = {.like = {.id = r->id, .part = PART_BACKGROUND}, .match = &flows};
	int rc = policy_background(s, r, &flows);

	if (rc < 0)
		return refuse_atom(r, rc, err);
	rc = rows_set(b, &b->backgrounds, r->id, r->share, &w, err);
	match_fini(&flows);
	return rc;
}

int part_book_request(struct part_book *b, const struct state *s, uint64_t id, int64_t now_ns, struct err *err)
{
	const struct request *r = request_find(&s->requests, id);
	bool stands = r != NULL && r->end_ns > now_ns;
	int rc = 0;

	if (stands)
		rc = set_atom(b, s, r, err);
	if (stands && rc == 0)
		rc = set_background(b, s, r, err);
	if (!stands || rc < 0) {
		rows_end(b, &b->requests, id);
		rows_end(b, &b->backgrounds, id);
	}
	return rc;
}

int part_book_share(struct part_book *b, const struct state *s, uint32_t number, struct err *err)
{
	const struct share *share = share_at(&s->shares, number);
	struct wish w = {.like = {.part = PART_SHARE}};
	struct match flows;
	int rc;

	if (share == NULL || !share_has_weight(share)) {
		rows_end(b, &b->shares, number);
		return 0;
	}
	match_init(&flows);
	w.match = &flows;
	rc = policy_expand(&s->users, &share->flows, &flows);
	if (rc < 0) {
		rows_end(b, &b->shares, number);
		err_set(err, -rc, "share %s: %s", share->name,
			rc == -E2BIG ? "its users are bound to too many addresses" : "no memory for its rows");
	} else {
		rc = rows_set(b, &b->shares, number, share, &w, err);
	}
	match_fini(&flows);
	return rc;
}

static bool hint(void *ctx, uint64_t key, uint8_t *access_category, uint8_t *meter_category)
{
	const struct part_book *b = ctx;

	return link_state_categories(b->want, key, access_category, meter_category);
}

static int want_again(void *ctx, const struct part_row *row)
{
	row_moved(ctx, row);
	return 0;
}

int part_book_recolour(struct part_book *b, struct err *err)
{
	int rc = parts_recolour(b->parts, hint, b, err);

	if (rc == 0)
		parts_each(b->parts, want_again, b);
	return b->lacks_memory ? err_set(err, ENOMEM, "no memory for rows") : rc;
}

const struct parts *part_book_parts(const struct part_book *b)
{
	return b->parts;
}

const struct parts_nodes *part_book_nodes(const struct part_book *b)
{
	return b->parts_nodes;
}
