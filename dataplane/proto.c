// SPDX-License-Identifier: Apache-2.0
// Each message once, for both directions; what is read is checked where it is described.
#include "proto.h"

#include <errno.h>

#include "proto_wire.h"

#define HEADER_BYTES 6 // u32 length, u16 type
#define MASK_SRC (1U << 0)
#define MASK_DST (1U << 1)
#define MASK_FIELD(i) (1U << (2 + (i)))
#define MASK_ALL (MASK_FIELD(MATCH_N_FIELDS) - 1)
#define U128_MAX (~(u128)0)
#define IP4_HOST_BITS ((((u128)1) << 96) - 1) // below an IPv4 address in its 128-bit form

// --- boxes: a mask of the spans that constrain, then these

static bool span_is_full(const struct span *span, enum match_field field)
{
	return span->lo == 0 && span->hi == match_field_max(field);
}

static bool span128_is_full(const struct span128 *span)
{
	return span->lo == 0 && span->hi == U128_MAX;
}

static uint16_t mask_of(const struct box *box)
{
	uint32_t mask = (span128_is_full(&box->src) ? 0 : MASK_SRC) | (span128_is_full(&box->dst) ? 0 : MASK_DST);

	for (int i = 0; i < MATCH_N_FIELDS; i++)
		mask |= span_is_full(&box->f[i], i) ? 0 : MASK_FIELD(i);
	return (uint16_t)mask;
}

static void wire_span128(struct wire *w, struct span128 *span)
{
	wire_u128(w, &span->lo);
	wire_u128(w, &span->hi);
	wire_check(w, span->lo <= span->hi && !span128_is_full(span), "address span");
}

static void wire_span(struct wire *w, struct span *span, enum match_field field)
{
	WIRE(w, span->lo);
	WIRE(w, span->hi);
	wire_check(w, span->lo <= span->hi && span->hi <= match_field_max(field) && !span_is_full(span, field),
		   "field span");
}

// hft/match.h: an address span that is not full has kinds of one family; an IPv4 one lies on whole addresses.
static bool address_fits(const struct span128 *span, uint32_t kinds)
{
	if (span128_is_full(span) || (kinds & ~MATCH_KINDS_V6) == 0)
		return true;
	return (kinds & ~MATCH_KINDS_V4) == 0 && (span->lo & IP4_HOST_BITS) == 0 &&
	       (span->hi & IP4_HOST_BITS) == IP4_HOST_BITS;
}

// One content, one key: what is not in normal form would have another name here than at the peer.
static void check_box(struct wire *w, const struct box *box)
{
	struct box normal = *box;

	if (w->bad != NULL)
		return;
	if (!box_normalize(&normal) || normal.kinds != box->kinds || !box_equal(&normal, box))
		wire_fail(w, "box empty or not in normal form");
	else if (!address_fits(&box->src, box->kinds) || !address_fits(&box->dst, box->kinds))
		wire_fail(w, "address span does not fit the kinds");
}

static void wire_box(struct wire *w, struct box *box)
{
	uint16_t mask = w->reading ? 0 : mask_of(box);

	if (w->reading)
		*box = box_any();
	WIRE_NUM(w, box->kinds, 1);
	WIRE(w, mask);
	wire_check(w, (mask & ~MASK_ALL) == 0, "unknown field");
	if (mask & MASK_SRC)
		wire_span128(w, &box->src);
	if (mask & MASK_DST)
		wire_span128(w, &box->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (mask & MASK_FIELD(i))
			wire_span(w, &box->f[i], i);
	}
	if (w->reading)
		check_box(w, box);
}

// --- the policy: rows, nodes, meters

static bool is_category(uint8_t category)
{
	return category < PARTS_CATEGORIES_MAX;
}

static bool is_category_or_none(uint8_t category)
{
	return category == PARTS_NO_CATEGORY || is_category(category);
}

// A row is in the categories that it says something in, and in no others (an allow that decides nothing need not be in
// one); it is in some.
static bool categories_fit(const struct part_row *row)
{
	bool decides = row->access != ACCESS_NONE, of_access = is_category(row->access_category),
	     of_meters = is_category(row->meter_category);

	return (of_access || of_meters) && (decides || !of_access) && (of_access || row->access != ACCESS_DENY) &&
	       of_meters == part_has_meter_category(row->part);
}

static void check_row(struct wire *w, const struct part_row *row)
{
	if (row->part >= PART_N || row->access > ACCESS_DENY || (part_hides(row->part) && row->access != ACCESS_NONE))
		wire_fail(w, "part or access");
	else if (!is_category_or_none(row->access_category))
		wire_fail(w, "access category");
	else if (!is_category_or_none(row->meter_category))
		wire_fail(w, "meter category");
	else if (!categories_fit(row))
		wire_fail(w, "categories do not fit part and access");
	else if ((row->id == 0) != (row->part == PART_SHARE) || (row->node == 0) != (row->depth == 0))
		wire_fail(w, "request or node number");
}

static void wire_row(struct wire *w, struct part_row *row)
{
	WIRE(w, row->part);
	WIRE(w, row->access);
	WIRE(w, row->access_category);
	WIRE(w, row->meter_category);
	WIRE(w, row->id);
	WIRE(w, row->node);
	WIRE(w, row->depth);
	if (w->reading)
		check_row(w, row);
	wire_box(w, &row->box);
}

static void wire_have_row(struct wire *w, struct proto_have_row *have)
{
	WIRE(w, have->key);
	WIRE(w, have->access_category);
	WIRE(w, have->meter_category);
	wire_check(w, is_category_or_none(have->access_category) && is_category_or_none(have->meter_category),
		   "category");
}

static void wire_node(struct wire *w, struct proto_node *node)
{
	WIRE(w, node->number);
	WIRE(w, node->parent);
	WIRE(w, node->depth);
	WIRE(w, node->weight);
	wire_check(w, node->number != 0 && node->parent != node->number, "node number");
	wire_check(w, node->depth != 0 && (node->parent == 0) == (node->depth == 1), "node depth");
	wire_check(w, node->weight <= PROTO_WEIGHT_MAX, "node weight");
}

static void wire_meter(struct wire *w, struct proto_meter *meter)
{
	WIRE(w, meter->id);
	WIRE(w, meter->rate_bps);
	WIRE_NUM(w, meter->kind, 1);
	wire_check(w, meter->rate_bps != 0 && meter->rate_bps <= INT64_MAX, "meter rate");
	wire_check(w, meter->kind == PROTO_METER_RESERVATION || meter->kind == PROTO_METER_LIMIT, "meter kind");
}

// --- ports, hosts, counters

static void wire_port(struct wire *w, struct proto_port *port)
{
	WIRE(w, port->port);
	WIRE(w, port->up);
	wire_check(w, port->up <= 1, "port state");
	wire_bytes(w, port->mac, sizeof(port->mac));
	WIRE(w, port->rate_bps);
	wire_text(w, port->name, sizeof(port->name));
	wire_text(w, port->device, sizeof(port->device));
}

static void wire_host(struct wire *w, struct proto_host *host)
{
	WIRE(w, host->port);
	WIRE(w, host->vlan);
	wire_bytes(w, host->mac, sizeof(host->mac));
	WIRE(w, host->kinds);
	wire_u128(w, &host->addr);
	WIRE(w, host->age_ns);
	wire_check(w, host->age_ns <= INT64_MAX, "host age");
	wire_check(w, host->vlan <= match_field_max(MATCH_VLAN), "vlan");
	wire_check(w, host->kinds == 0 || host->kinds == MATCH_KINDS_V4 || host->kinds == MATCH_KINDS_V6, "host kinds");
	wire_check(w, host->kinds != 0 || host->addr == 0, "host address");
	wire_check(w, host->kinds != MATCH_KINDS_V4 || (host->addr & IP4_HOST_BITS) == 0, "host address");
}

static void wire_counters(struct wire *w, struct proto_counters *counters)
{
	WIRE(w, counters->port);
	WIRE_COUNT(w, counters->n, PROTO_COUNTERS_MAX, "too many counters");
	for (unsigned int i = 0; i < counters->n; i++)
		WIRE(w, counters->value[i]);
}

static void wire_row_counts(struct wire *w, struct proto_row_counts *counts)
{
	WIRE_COUNT(w, counts->n, PROTO_ROW_COUNTS_MAX, "too many counts");
	for (unsigned int i = 0; i < counts->n; i++) {
		WIRE(w, counts->count[i].id);
		WIRE(w, counts->count[i].packets);
		WIRE(w, counts->count[i].bytes);
	}
}

static void wire_idset(struct wire *w, struct idset *set)
{
	if (w->reading)
		set->overflow = false;
	WIRE_COUNT(w, set->n, ACTION_SET_MAX, "too many numbers in a set");
	for (unsigned int i = 0; i < set->n; i++) {
		WIRE(w, set->id[i]);
		wire_check(w, i == 0 || set->id[i] > set->id[i - 1], "set not in ascending order");
	}
}

// --- queues

static void wire_queue(struct wire *w, struct proto_queue *queue)
{
	WIRE(w, queue->number);
	WIRE(w, queue->node);
	wire_idset(w, &queue->reservations);
	wire_idset(w, &queue->limits);
	WIRE(w, queue->packets);
	WIRE(w, queue->bytes);
	for (unsigned int i = 0; i < PROTO_QUEUE_DROPS; i++)
		WIRE(w, queue->dropped[i]);
	WIRE(w, queue->dropped_bytes);
	WIRE(w, queue->marked);
	WIRE(w, queue->backlog_packets);
	WIRE(w, queue->backlog_bytes);
	for (unsigned int i = 0; i < PROTO_QUEUE_PERCENTILES; i++)
		WIRE(w, queue->delay_us[i]);
	WIRE(w, queue->time_ns);
}

static void wire_queues(struct wire *w, struct proto_queues *queues)
{
	struct proto_port_queues *of_port = &queues->of_port;

	WIRE(w, queues->port);
	WIRE_COUNT(w, queues->n, PROTO_QUEUES_MAX, "queues of a port");
	WIRE(w, queues->is_end);
	wire_check(w, queues->is_end <= 1, "queues of a port");
	if (w->reading)
		*of_port = (struct proto_port_queues){0};
	if (queues->is_end) {
		WIRE(w, of_port->n_queues);
		WIRE(w, of_port->n_queues_max);
		WIRE(w, of_port->pool_full);
		WIRE(w, of_port->promised_bps);
		WIRE(w, of_port->held_back_us);
	}
	for (unsigned int i = 0; i < queues->n; i++)
		wire_queue(w, &queues->queue[i]);
}

// --- questions: what becomes of a packet, frames as they come in

static void wire_packet(struct wire *w, struct match_packet *packet)
{
	WIRE_NUM(w, packet->kind, 1);
	wire_u128(w, &packet->src);
	wire_u128(w, &packet->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		WIRE(w, packet->f[i]);
		wire_check(w, packet->f[i] <= match_field_max(i), "field of a packet");
	}
	wire_check(w, (packet->kind & ~(uint32_t)MATCH_KINDS_ALL) == 0 && __builtin_popcount(packet->kind) == 1,
		   "kind of a packet");
}

static void wire_trace(struct wire *w, struct proto_trace *trace)
{
	WIRE(w, trace->number);
	WIRE(w, trace->port);
	wire_packet(w, &trace->packet);
}

static void wire_traced_row(struct wire *w, struct proto_traced_row *row)
{
	WIRE(w, row->key);
	WIRE(w, row->id);
	WIRE(w, row->node);
	WIRE(w, row->part);
	WIRE(w, row->access);
	WIRE(w, row->access_category);
	WIRE(w, row->meter_category);
	WIRE(w, row->layer);
	WIRE(w, row->layer_idx);
	wire_check(w, row->part < PART_N && row->access <= ACCESS_DENY && row->layer < PROTO_N_LAYERS,
		   "row of a trace");
}

static void wire_traced(struct wire *w, struct proto_traced *traced)
{
	WIRE(w, traced->number);
	WIRE(w, traced->gen);
	WIRE(w, traced->drop);
	wire_check(w, traced->drop <= 1, "answer to a trace");
	WIRE(w, traced->node);
	WIRE(w, traced->queue);
	wire_idset(w, &traced->reservations);
	wire_idset(w, &traced->limits);
	WIRE_COUNT(w, traced->n_rows, PROTO_TRACED_ROWS_MAX, "answer to a trace");
	for (unsigned int i = 0; i < traced->n_rows; i++)
		wire_traced_row(w, &traced->row[i]);
}

static void wire_capture(struct wire *w, struct proto_capture *capture)
{
	WIRE(w, capture->number);
	WIRE(w, capture->n_frames);
	WIRE_COUNT(w, capture->n_boxes, PROTO_CAPTURE_BOXES, "too many boxes");
	for (unsigned int i = 0; i < capture->n_boxes; i++)
		wire_box(w, &capture->box[i]);
}

static void wire_captured(struct wire *w, struct proto_captured *captured)
{
	WIRE(w, captured->number);
	WIRE(w, captured->n_missed);
	WIRE(w, captured->time_ns);
	WIRE(w, captured->len_bytes);
	WIRE(w, captured->port);
	WIRE_COUNT(w, captured->n, PROTO_CAPTURE_BYTES, "too many bytes of a frame");
	wire_check(w, captured->n <= captured->len_bytes, "too many bytes of a frame");
	wire_bytes(w, captured->data, captured->n);
}

// --- frames

static void wire_hello(struct wire *w, struct proto_hello *hello)
{
	WIRE(w, hello->version);
	WIRE(w, hello->boot_id);
	WIRE(w, hello->last_txn);
}

static void wire_commit(struct wire *w, enum proto_type type, struct proto_commit *commit)
{
	WIRE(w, commit->txn);
	if (type == PROTO_IN_FORCE)
		WIRE(w, commit->time_ns);
	if (type == PROTO_COMMIT_FAILED)
		wire_text(w, commit->why, sizeof(commit->why));
}

// What a message does not carry is read as zero.
static void clear(struct proto_msg *msg)
{
	switch (msg->type) {
	case PROTO_ROW_ADD:
		msg->row = (struct part_row){.box = box_any()};
		break;
	case PROTO_NODE_DEL:
		msg->node = (struct proto_node){0};
		break;
	case PROTO_METER_DEL:
		msg->meter = (struct proto_meter){0};
		break;
	case PROTO_COMMIT:
	case PROTO_IN_FORCE:
	case PROTO_COMMIT_FAILED:
		msg->commit = (struct proto_commit){0};
		break;
	case PROTO_PORT:
		msg->port = (struct proto_port){0};
		break;
	default:
		break;
	}
}

static void wire_body(struct wire *w, struct proto_msg *msg)
{
	switch (msg->type) {
	case PROTO_HELLO:
		wire_hello(w, &msg->hello);
		break;
	case PROTO_ROW_ADD:
		wire_row(w, &msg->row);
		break;
	case PROTO_ROW_DEL:
		WIRE(w, msg->row_key);
		break;
	case PROTO_HAVE_ROW:
		wire_have_row(w, &msg->have_row);
		break;
	case PROTO_NODE_SET:
	case PROTO_HAVE_NODE:
		wire_node(w, &msg->node);
		break;
	case PROTO_NODE_DEL:
		WIRE(w, msg->node.number);
		break;
	case PROTO_METER_SET:
	case PROTO_HAVE_METER:
		wire_meter(w, &msg->meter);
		break;
	case PROTO_METER_DEL:
		WIRE(w, msg->meter.id);
		break;
	case PROTO_COMMIT:
	case PROTO_IN_FORCE:
	case PROTO_COMMIT_FAILED:
		wire_commit(w, msg->type, &msg->commit);
		break;
	case PROTO_HAVE_END:
		break;
	case PROTO_PORT:
		wire_port(w, &msg->port);
		break;
	case PROTO_COUNTERS:
		wire_counters(w, &msg->counters);
		break;
	case PROTO_HOST:
		wire_host(w, &msg->host);
		break;
	case PROTO_ROW_COUNTS:
		wire_row_counts(w, &msg->row_counts);
		break;
	case PROTO_TRACE:
		wire_trace(w, &msg->trace);
		break;
	case PROTO_TRACED:
		wire_traced(w, &msg->traced);
		break;
	case PROTO_QUEUES:
		wire_queues(w, &msg->queues);
		break;
	case PROTO_CAPTURE:
		wire_capture(w, &msg->capture);
		break;
	case PROTO_CAPTURED:
		wire_captured(w, &msg->captured);
		break;
	default:
		wire_check(w, false, "unknown type");
	}
}

size_t proto_encode(const struct proto_msg *msg, uint8_t *buf)
{
	struct wire head = {.out = buf}, body = {.out = buf + HEADER_BYTES};
	size_t len;

	wire_body(&body, (struct proto_msg *)msg); // only read from
	len = (size_t)(body.out - buf);
	assert(len <= PROTO_FRAME_MAX);
	wire_put(&head, len - 4, 4);
	wire_put(&head, msg->type, 2);
	return len;
}

int proto_decode(const uint8_t *buf, size_t len, struct proto_msg *msg, struct err *err)
{
	struct wire w = {.in = buf, .end = buf + len, .reading = true};
	uint64_t length, type;

	if (len < 4)
		return 0;
	length = wire_get(&w, 4);
	if (length < 2 || length > PROTO_FRAME_MAX - 4)
		return err_set(err, EPROTO, "link: frame of %llu bytes", (unsigned long long)length);
	if (len - 4 < length)
		return 0;
	w.end = w.in + length;
	type = wire_get(&w, 2);
	msg->type = (enum proto_type)type;
	clear(msg);
	wire_body(&w, msg);
	if (w.bad == NULL && w.in != w.end)
		w.bad = "bytes left over";
	if (w.bad != NULL)
		return err_set(err, EPROTO, "link: message type %u: %s", (unsigned int)type, w.bad);
	return (int)(length + 4);
}
