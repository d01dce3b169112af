// SPDX-License-Identifier: Apache-2.0
#include "dp_trace.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "combine.h"
#include "layers.h"
#include "names.h"
#include "pkt.h"

struct dp_trace {
	const struct layers *layers;
	const struct names_node *nodes;
	struct layers_reader *reader;
	struct combine *combine;
	bool drop_fragments;
};

struct dp_trace *dp_trace_create(const struct layers *layers, const struct names_node *nodes, bool drop_fragments,
				 struct err *err)
{
	struct dp_trace *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_set(err, ENOMEM, "no memory for questions");
		return NULL;
	}
	t->layers = layers;
	t->nodes = nodes;
	t->drop_fragments = drop_fragments;
	t->reader = layers_reader_create(layers);
	if (t->reader == NULL)
		err_set(err, ENOMEM, "no memory for questions");
	else
		t->combine = combine_create(nodes, layers, NULL, err);
	if (t->combine == NULL) {
		dp_trace_destroy(t);
		t = NULL;
	}
	return t;
}

void dp_trace_destroy(struct dp_trace *t)
{
	if (t == NULL)
		return;
	combine_destroy(t->combine);
	layers_reader_destroy(t->reader);
	free(t);
}

static bool in_array(const struct row_array *a, uint32_t slot)
{
	for (uint32_t i = 0; i < a->n; i++) {
		if (a->slot[i] == slot)
			return true;
	}
	return false;
}

static bool in_layer(const struct layer *layer, uint32_t slot)
{
	for (uint32_t i = 0; i < layer->n_rows; i++) {
		if (layer->slot[i] == slot)
			return true;
	}
	return false;
}

// The largest layer is the base.
static void find_layer(const struct layers_view *view, uint32_t slot, struct proto_traced_row *out)
{
	for (uint8_t i = 0; i < view->n_arrays; i++) {
		if (in_array(view->array[i].rows, slot)) {
			out->layer = PROTO_LAYER_ARRAY;
			out->layer_idx = i;
			return;
		}
	}
	for (uint8_t i = 0; i < view->n_layers; i++) {
		if (in_layer(view->layer[i], slot)) {
			out->layer = i + 1 == view->n_layers ? PROTO_LAYER_BASE : PROTO_LAYER_TRIE;
			out->layer_idx = i;
			return;
		}
	}
}

// A row once, though it is found in two categories.
static bool is_told(const struct proto_traced *out, uint64_t key)
{
	for (uint16_t i = 0; i < out->n_rows; i++) {
		if (out->row[i].key == key)
			return true;
	}
	return false;
}

static void tell_row(const struct dp_trace *t, const struct layers_view *view, uint32_t slot, struct proto_traced *out)
{
	const struct cls_slot *row = layers_slot(t->layers, slot);
	const struct cls_payload *p = &row->payload;
	struct proto_traced_row *told = &out->row[out->n_rows];

	if (p->part == PART_RESERVE)
		idset_add(&out->reservations, p->id);
	else if (p->part == PART_LIMIT)
		idset_add(&out->limits, p->id);
	else if (p->part == PART_SHARE)
		out->node = t->nodes[p->node].number;
	if (out->n_rows == PROTO_TRACED_ROWS_MAX || is_told(out, p->key))
		return;
	*told = (struct proto_traced_row){.key = p->key,
					  .id = p->id,
					  .node = t->nodes[p->node].number,
					  .part = p->part,
					  .access = p->access,
					  .access_category = row->access_category,
					  .meter_category = row->meter_category};
	find_layer(view, slot, told);
	out->n_rows++;
}

// As far as a description tells: of a protocol with ports, and without them.
static bool is_fragment(const struct match_packet *p)
{
	uint64_t proto = p->f[MATCH_PROTO];

	return (p->kind == MATCH_IP4 || p->kind == MATCH_IP6) &&
	       (proto == IPPROTO_TCP || proto == IPPROTO_UDP || proto == IPPROTO_SCTP);
}

const struct sched_set *dp_trace_answer(struct dp_trace *t, const struct snapshot *s,
					const struct proto_trace *question, struct proto_traced *out)
{
	uint32_t met[CLS_CATEGORIES_MAX];
	const struct combined *answer;
	struct pkt pkt;

	memset(out, 0, sizeof(*out));
	out->number = question->number;
	out->queue = UINT32_MAX;
	out->drop = s == NULL;
	if (s == NULL)
		return NULL;
	out->gen = s->gen;
	pkt_of_match_packet(&question->packet, &pkt);
	layers_run(&s->view, t->reader, &pkt, 1, met);
	answer = combine_get(t->combine, s->view.epoch, met, s->view.n_categories);
	out->drop = answer->drop || (t->drop_fragments && is_fragment(&question->packet));
	for (uint32_t c = 0; c < s->view.n_categories; c++) {
		if (met[c] != CLS_NO_ROW)
			tell_row(t, &s->view, met[c], out);
	}
	return out->drop || question->port == PROTO_NO_PORT ? NULL : &answer->rest->set;
}
