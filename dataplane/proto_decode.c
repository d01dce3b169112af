// SPDX-License-Identifier: Apache-2.0
// Every read is checked against the frame's end first.
#include <errno.h>

#include "proto.h"
#include "proto_wire.h"

#define IP4_HOST_BITS ((((u128)1) << 96) - 1) // below an IPv4 address in its 128-bit form

struct reader {
	const uint8_t *p, *end;
	const char *bad; // first thing found wrong
};

static void fail(struct reader *r, const char *what)
{
	if (r->bad == NULL)
		r->bad = what;
	r->p = r->end;
}

static uint64_t get(struct reader *r, unsigned int n_bytes)
{
	uint64_t value = 0;

	if ((size_t)(r->end - r->p) < n_bytes) {
		fail(r, "body too short");
		return 0;
	}
	for (unsigned int i = 0; i < n_bytes; i++)
		value |= (uint64_t)*r->p++ << (8 * i);
	return value;
}

// A text without NUL or control bytes: it will be read by people and written to logs.
static void get_text(struct reader *r, char *text, size_t size)
{
	size_t len = get(r, 2);

	if (len >= size || len > (size_t)(r->end - r->p)) {
		fail(r, "text too long");
		len = 0;
	}
	for (size_t i = 0; i < len; i++) {
		text[i] = (char)*r->p++;
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f) {
			fail(r, "control character in a text");
			len = i;
		}
	}
	text[len] = '\0';
}

static u128 get_u128(struct reader *r)
{
	u128 value = get(r, 8);

	return value | (u128)get(r, 8) << 64;
}

static struct span128 get_span128(struct reader *r)
{
	struct span128 span;

	span.lo = get_u128(r);
	span.hi = get_u128(r);
	if (span.lo > span.hi || span128_is_full(&span))
		fail(r, "address span");
	return span;
}

static struct span get_span(struct reader *r, enum match_field field)
{
	struct span span;

	span.lo = get(r, 8);
	span.hi = get(r, 8);
	if (span.lo > span.hi || span.hi > match_field_max(field) || span_is_full(&span, field))
		fail(r, "field span");
	return span;
}

static void get_idset(struct reader *r, struct idset *set)
{
	*set = (struct idset){.n = (uint8_t)get(r, 1)};
	if (set->n > ACTION_SET_MAX) {
		fail(r, "too many numbers in a set");
		set->n = 0;
	}
	for (unsigned int i = 0; i < set->n; i++) {
		set->id[i] = get(r, 8);
		if (i > 0 && set->id[i] <= set->id[i - 1])
			fail(r, "set not in ascending order");
	}
}

// hft/match.h: an address span that is not full has kinds of one family; an IPv4 one lies on whole addresses.
static bool address_fits(const struct span128 *span, uint32_t kinds)
{
	if (span128_is_full(span) || (kinds & ~MATCH_KINDS_V6) == 0)
		return true;
	return (kinds & ~MATCH_KINDS_V4) == 0 && (span->lo & IP4_HOST_BITS) == 0 &&
	       (span->hi & IP4_HOST_BITS) == IP4_HOST_BITS;
}

static bool is_category(uint8_t category)
{
	return category < PARTS_CATEGORIES_MAX;
}

// A row is in the categories that it says something in, and in no others (an allow that decides nothing need not be in
// one); it is in some.
static void check_parts(struct reader *r, const struct part_row *row)
{
	bool decides = row->access != ACCESS_NONE;

	if (row->part >= PART_N || row->access > ACCESS_DENY || (part_hides(row->part) && decides))
		fail(r, "part or access");
	else if (row->access_category != PARTS_NO_CATEGORY && !is_category(row->access_category))
		fail(r, "access category");
	else if (row->meter_category != PARTS_NO_CATEGORY && !is_category(row->meter_category))
		fail(r, "meter category");
	else if ((!is_category(row->access_category) && !is_category(row->meter_category)) ||
		 (is_category(row->access_category) && !decides) ||
		 (!is_category(row->access_category) && row->access == ACCESS_DENY) ||
		 is_category(row->meter_category) != part_has_meter_category(row->part))
		fail(r, "categories do not fit part and access");
	else if ((row->id == 0) != (row->part == PART_SHARE) || (row->node == 0) != (row->depth == 0))
		fail(r, "request or node number");
}

static void get_box(struct reader *r, struct box *box)
{
	struct box normal;
	uint32_t mask;

	*box = box_any();
	box->kinds = (uint32_t)get(r, 1);
	mask = (uint32_t)get(r, 2);
	if (mask & ~MASK_ALL)
		fail(r, "unknown field");
	if (mask & MASK_SRC)
		box->src = get_span128(r);
	if (mask & MASK_DST)
		box->dst = get_span128(r);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (mask & MASK_FIELD(i))
			box->f[i] = get_span(r, i);
	}
	if (r->bad != NULL)
		return;
	normal = *box;
	// One content, one key: what is not in normal form would have another name here than at the peer.
	if (!box_normalize(&normal) || normal.kinds != box->kinds || !box_equal(&normal, box))
		fail(r, "box empty or not in normal form");
	else if (!address_fits(&box->src, box->kinds) || !address_fits(&box->dst, box->kinds))
		fail(r, "address span does not fit the kinds");
}

static void get_row(struct reader *r, struct part_row *row)
{
	*row = (struct part_row){.box = box_any()};
	row->part = (uint8_t)get(r, 1);
	row->access = (uint8_t)get(r, 1);
	row->access_category = (uint8_t)get(r, 1);
	row->meter_category = (uint8_t)get(r, 1);
	row->id = get(r, 8);
	row->node = (uint32_t)get(r, 4);
	row->depth = (uint16_t)get(r, 2);
	check_parts(r, row);
	get_box(r, &row->box);
}

static void get_have_row(struct reader *r, struct proto_have_row *have)
{
	have->key = get(r, 8);
	have->access_category = (uint8_t)get(r, 1);
	have->meter_category = (uint8_t)get(r, 1);
	if ((have->access_category != PARTS_NO_CATEGORY && !is_category(have->access_category)) ||
	    (have->meter_category != PARTS_NO_CATEGORY && !is_category(have->meter_category)))
		fail(r, "category");
}

static void get_node(struct reader *r, struct proto_node *node)
{
	node->number = (uint32_t)get(r, 4);
	node->parent = (uint32_t)get(r, 4);
	node->depth = (uint16_t)get(r, 2);
	node->weight = (uint16_t)get(r, 2);
	if (node->number == 0 || node->parent == node->number)
		fail(r, "node number");
	if (node->depth == 0 || (node->parent == 0) != (node->depth == 1))
		fail(r, "node depth");
	if (node->weight > PROTO_WEIGHT_MAX)
		fail(r, "node weight");
}

static void get_host(struct reader *r, struct proto_host *host)
{
	host->port = (uint16_t)get(r, 2);
	host->vlan = (uint16_t)get(r, 2);
	for (size_t i = 0; i < sizeof(host->mac); i++)
		host->mac[i] = (uint8_t)get(r, 1);
	host->kinds = (uint8_t)get(r, 1);
	host->addr = get_u128(r);
	if (host->vlan > match_field_max(MATCH_VLAN))
		fail(r, "vlan");
	if (host->kinds != 0 && host->kinds != MATCH_KINDS_V4 && host->kinds != MATCH_KINDS_V6)
		fail(r, "host kinds");
	if ((host->kinds == 0 && host->addr != 0) || (host->kinds == MATCH_KINDS_V4 && (host->addr & IP4_HOST_BITS)))
		fail(r, "host address");
}

static void get_row_counts(struct reader *r, struct proto_row_counts *counts)
{
	counts->n = (uint16_t)get(r, 2);
	if (counts->n > PROTO_ROW_COUNTS_MAX) {
		fail(r, "too many counts");
		counts->n = 0;
	}
	for (unsigned int i = 0; i < counts->n; i++) {
		counts->count[i].id = get(r, 8);
		counts->count[i].packets = get(r, 8);
		counts->count[i].bytes = get(r, 8);
	}
}

static void get_trace(struct reader *r, struct proto_trace *trace)
{
	trace->number = (uint32_t)get(r, 4);
	trace->port = (uint16_t)get(r, 2);
	trace->packet.kind = (uint32_t)get(r, 1);
	trace->packet.src = get_u128(r);
	trace->packet.dst = get_u128(r);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		trace->packet.f[i] = get(r, 8);
		if (trace->packet.f[i] > match_field_max(i))
			fail(r, "field of a packet");
	}
	if ((trace->packet.kind & ~(uint32_t)MATCH_KINDS_ALL) != 0 || __builtin_popcount(trace->packet.kind) != 1)
		fail(r, "kind of a packet");
}

static void get_traced(struct reader *r, struct proto_traced *traced)
{
	traced->number = (uint32_t)get(r, 4);
	traced->gen = (uint32_t)get(r, 4);
	traced->drop = (uint8_t)get(r, 1);
	traced->node = (uint32_t)get(r, 4);
	traced->queue = (uint32_t)get(r, 4);
	get_idset(r, &traced->reservations);
	get_idset(r, &traced->limits);
	traced->n_rows = (uint16_t)get(r, 2);
	if (traced->n_rows > PROTO_TRACED_ROWS_MAX || traced->drop > 1) {
		fail(r, "answer to a trace");
		traced->n_rows = 0;
	}
	for (unsigned int i = 0; i < traced->n_rows; i++) {
		struct proto_traced_row *row = &traced->row[i];

		row->key = get(r, 8);
		row->id = get(r, 8);
		row->node = (uint32_t)get(r, 4);
		row->part = (uint8_t)get(r, 1);
		row->access = (uint8_t)get(r, 1);
		row->access_category = (uint8_t)get(r, 1);
		row->meter_category = (uint8_t)get(r, 1);
		row->layer = (uint8_t)get(r, 1);
		row->layer_idx = (uint8_t)get(r, 1);
		if (row->part >= PART_N || row->access > ACCESS_DENY || row->layer >= PROTO_N_LAYERS)
			fail(r, "row of a trace");
	}
}

static void get_queue(struct reader *r, struct proto_queue *queue)
{
	queue->number = (uint32_t)get(r, 4);
	queue->node = (uint32_t)get(r, 4);
	get_idset(r, &queue->reservations);
	get_idset(r, &queue->limits);
	queue->packets = get(r, 8);
	queue->bytes = get(r, 8);
	for (unsigned int i = 0; i < PROTO_QUEUE_DROPS; i++)
		queue->dropped[i] = get(r, 8);
	queue->dropped_bytes = get(r, 8);
	queue->marked = get(r, 8);
	queue->backlog_packets = get(r, 8);
	queue->backlog_bytes = get(r, 8);
	for (unsigned int i = 0; i < PROTO_QUEUE_PERCENTILES; i++)
		queue->delay_us[i] = (uint32_t)get(r, 4);
	queue->time_ns = get(r, 8);
}

static void get_queues(struct reader *r, struct proto_queues *queues)
{
	queues->port = (uint16_t)get(r, 2);
	queues->n = (uint8_t)get(r, 1);
	queues->is_end = (uint8_t)get(r, 1);
	if (queues->n > PROTO_QUEUES_MAX || queues->is_end > 1) {
		fail(r, "queues of a port");
		queues->n = 0;
	}
	queues->of_port = (struct proto_port_queues){0};
	if (queues->is_end) {
		queues->of_port.n_queues = (uint32_t)get(r, 4);
		queues->of_port.n_queues_max = (uint32_t)get(r, 4);
		queues->of_port.pool_full = get(r, 8);
		queues->of_port.promised_bps = get(r, 8);
		queues->of_port.held_back_us = get(r, 8);
	}
	for (unsigned int i = 0; i < queues->n; i++)
		get_queue(r, &queues->queue[i]);
}

static void get_meter(struct reader *r, struct proto_meter *meter)
{
	meter->id = get(r, 8);
	meter->rate_bps = get(r, 8);
	meter->kind = (uint32_t)get(r, 1);
	if (meter->rate_bps == 0 || meter->rate_bps > INT64_MAX)
		fail(r, "meter rate");
	if (meter->kind != PROTO_METER_RESERVATION && meter->kind != PROTO_METER_LIMIT)
		fail(r, "meter kind");
}

static void get_port(struct reader *r, struct proto_port *port)
{
	*port = (struct proto_port){.port = (uint16_t)get(r, 2)};
	port->up = (uint8_t)get(r, 1);
	if (port->up > 1)
		fail(r, "port state");
	for (size_t i = 0; i < sizeof(port->mac); i++)
		port->mac[i] = (uint8_t)get(r, 1);
	port->rate_bps = get(r, 8);
	get_text(r, port->name, sizeof(port->name));
	get_text(r, port->device, sizeof(port->device));
}

static void get_counters(struct reader *r, struct proto_counters *counters)
{
	counters->port = (uint16_t)get(r, 2);
	counters->n = (uint16_t)get(r, 2);
	if (counters->n > PROTO_COUNTERS_MAX) {
		fail(r, "too many counters");
		counters->n = 0;
	}
	for (unsigned int i = 0; i < counters->n; i++)
		counters->value[i] = get(r, 8);
}

static void get_capture(struct reader *r, struct proto_capture *capture)
{
	capture->number = (uint32_t)get(r, 4);
	capture->n_frames = (uint32_t)get(r, 4);
	capture->n_boxes = (uint16_t)get(r, 2);
	if (capture->n_boxes > PROTO_CAPTURE_BOXES) {
		fail(r, "too many boxes");
		capture->n_boxes = 0;
	}
	for (unsigned int i = 0; i < capture->n_boxes; i++)
		get_box(r, &capture->box[i]);
}

static void get_captured(struct reader *r, struct proto_captured *captured)
{
	captured->number = (uint32_t)get(r, 4);
	captured->n_missed = (uint32_t)get(r, 4);
	captured->time_ns = (int64_t)get(r, 8);
	captured->len_bytes = (uint32_t)get(r, 4);
	captured->port = (uint16_t)get(r, 2);
	captured->n = (uint16_t)get(r, 2);
	if (captured->n > PROTO_CAPTURE_BYTES || captured->n > captured->len_bytes) {
		fail(r, "too many bytes of a frame");
		captured->n = 0;
	}
	for (unsigned int i = 0; i < captured->n; i++)
		captured->data[i] = (uint8_t)get(r, 1);
}

static void get_body(struct reader *r, struct proto_msg *msg)
{
	switch (msg->type) {
	case PROTO_HELLO:
		msg->hello.version = (uint32_t)get(r, 4);
		msg->hello.boot_id = get(r, 8);
		msg->hello.last_txn = get(r, 8);
		break;
	case PROTO_ROW_ADD:
		get_row(r, &msg->row);
		break;
	case PROTO_ROW_DEL:
		msg->row_key = get(r, 8);
		break;
	case PROTO_HAVE_ROW:
		get_have_row(r, &msg->have_row);
		break;
	case PROTO_NODE_SET:
	case PROTO_HAVE_NODE:
		get_node(r, &msg->node);
		break;
	case PROTO_NODE_DEL:
		msg->node = (struct proto_node){.number = (uint32_t)get(r, 4)};
		break;
	case PROTO_METER_SET:
	case PROTO_HAVE_METER:
		get_meter(r, &msg->meter);
		break;
	case PROTO_METER_DEL:
		msg->meter = (struct proto_meter){.id = get(r, 8)};
		break;
	case PROTO_COMMIT:
		msg->commit = (struct proto_commit){.txn = get(r, 8)};
		break;
	case PROTO_IN_FORCE:
		msg->commit = (struct proto_commit){.txn = get(r, 8)};
		msg->commit.time_ns = (int64_t)get(r, 8);
		break;
	case PROTO_COMMIT_FAILED:
		msg->commit = (struct proto_commit){.txn = get(r, 8)};
		get_text(r, msg->commit.why, sizeof(msg->commit.why));
		break;
	case PROTO_HAVE_END:
		break;
	case PROTO_PORT:
		get_port(r, &msg->port);
		break;
	case PROTO_COUNTERS:
		get_counters(r, &msg->counters);
		break;
	case PROTO_HOST:
		get_host(r, &msg->host);
		break;
	case PROTO_ROW_COUNTS:
		get_row_counts(r, &msg->row_counts);
		break;
	case PROTO_TRACE:
		get_trace(r, &msg->trace);
		break;
	case PROTO_TRACED:
		get_traced(r, &msg->traced);
		break;
	case PROTO_QUEUES:
		get_queues(r, &msg->queues);
		break;
	case PROTO_CAPTURE:
		get_capture(r, &msg->capture);
		break;
	case PROTO_CAPTURED:
		get_captured(r, &msg->captured);
		break;
	default:
		fail(r, "unknown type");
	}
}

int proto_decode(const uint8_t *buf, size_t len, struct proto_msg *msg, struct err *err)
{
	struct reader r = {.p = buf, .end = buf + len};
	uint64_t length, type;

	if (len < 4)
		return 0;
	length = get(&r, 4);
	if (length < 2 || length > PROTO_FRAME_MAX - 4)
		return err_set(err, EPROTO, "link: frame of %llu bytes", (unsigned long long)length);
	if (len - 4 < length)
		return 0;
	r.end = r.p + length;
	type = get(&r, 2);
	msg->type = (enum proto_type)type;
	get_body(&r, msg);
	if (r.bad == NULL && r.p != r.end)
		r.bad = "bytes left over";
	if (r.bad != NULL)
		return err_set(err, EPROTO, "link: message type %u: %s", (unsigned int)type, r.bad);
	return (int)(length + 4);
}
