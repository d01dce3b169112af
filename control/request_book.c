// SPDX-License-Identifier: Apache-2.0
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "request.h"

void request_book_init(struct request_book *book)
{
	memset(book, 0, sizeof(*book));
	book->next_id = 1;
}

void request_destroy(struct request *r)
{
	if (r == NULL)
		return;
	match_fini(&r->flows);
	ip_list_unref(r->addresses);
	free(r->hint);
	free(r->renewed_ns);
	free(r->unkept_why);
	free(r->entries);
	free(r);
}

const char *request_suspended(const struct request *r)
{
	if (r->suspended)
		return "it goes through what another request must avoid";
	if (!r->unkept)
		return NULL;
	return r->unkept_why != NULL ? r->unkept_why : "the network cannot keep it";
}

void request_book_fini(struct request_book *book)
{
	for (size_t i = 0; i < book->n; i++)
		request_destroy(book->by_id[i].request);
	free(book->by_id);
	free(book->by_end);
	request_book_init(book);
}

// Index of the first entry with a number >= id.
static size_t book_find(const struct request_book *book, uint64_t id)
{
	size_t lo = 0, hi = book->n;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (book->by_id[middle].id < id)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo;
}

struct request *request_find(const struct request_book *book, uint64_t id)
{
	size_t i = book_find(book, id);

	return i < book->n && book->by_id[i].id == id ? book->by_id[i].request : NULL;
}

struct request *request_from(const struct request_book *book, uint64_t id)
{
	for (size_t i = book_find(book, id); i < book->n; i++)
		if (book->by_id[i].request != NULL)
			return book->by_id[i].request;
	return NULL;
}

int request_book_prepare(struct request_book *book)
{
	if (book->n == book->cap) {
		size_t cap = book->cap == 0 ? 64 : book->cap * 2;
		void *by_id = realloc(book->by_id, cap * sizeof(*book->by_id));

		if (by_id == NULL)
			return -ENOMEM;
		book->by_id = by_id;
		book->cap = cap;
	}
	if (book->n_by_end == book->cap_by_end) {
		size_t cap = book->cap_by_end == 0 ? 64 : book->cap_by_end * 2;
		void *by_end = realloc(book->by_end, cap * sizeof(*book->by_end));

		if (by_end == NULL)
			return -ENOMEM;
		book->by_end = by_end;
		book->cap_by_end = cap;
	}
	return 0;
}

static void heap_set(struct request_book *book, size_t i, struct request_end end)
{
	book->by_end[i] = end;
	end.request->heap_idx = i;
}

// Puts r where it belongs, starting from the free place i.
static void heap_place(struct request_book *book, size_t i, struct request *r)
{
	struct request_end *heap = book->by_end;

	while (i > 0 && heap[(i - 1) / 2].end_ns > r->end_ns) {
		heap_set(book, i, heap[(i - 1) / 2]);
		i = (i - 1) / 2;
	}
	for (;;) {
		size_t child = 2 * i + 1;

		if (child + 1 < book->n_by_end && heap[child + 1].end_ns < heap[child].end_ns)
			child++;
		if (child >= book->n_by_end || heap[child].end_ns >= r->end_ns)
			break;
		heap_set(book, i, heap[child]);
		i = child;
	}
	heap_set(book, i, (struct request_end){r->end_ns, r});
}

void request_book_add(struct request_book *book, struct request *r)
{
	r->id = book->next_id++;
	book->by_id[book->n].id = r->id;
	book->by_id[book->n++].request = r;
	if (r->end_ns == INT64_MAX)
		return;
	// The free place is the last one: nothing below it yet.
	book->n_by_end++;
	heap_place(book, book->n_by_end - 1, r);
}

void request_book_remove(struct request_book *book, struct request *r)
{
	size_t kept = 0;

	if (r->end_ns != INT64_MAX) {
		struct request *last = book->by_end[--book->n_by_end].request;

		if (last != r)
			heap_place(book, r->heap_idx, last);
	}
	assert(book->n_by_end == 0 || book->by_end[0].request != r);
	book->by_id[book_find(book, r->id)].request = NULL;
	if (++book->n_gone * 2 < book->n)
		return;
	for (size_t i = 0; i < book->n; i++)
		if (book->by_id[i].request != NULL)
			book->by_id[kept++] = book->by_id[i];
	book->n = kept;
	book->n_gone = 0;
}

void request_book_move_end(struct request_book *book, struct request *r, int64_t end_ns)
{
	bool was_in = r->end_ns != INT64_MAX;

	r->end_ns = end_ns;
	if (!was_in)
		return;
	if (end_ns != INT64_MAX) {
		heap_place(book, r->heap_idx, r);
		return;
	}
	struct request *last = book->by_end[--book->n_by_end].request;

	if (last != r)
		heap_place(book, r->heap_idx, last);
}
