// SPDX-License-Identifier: Apache-2.0
// Every number is written little-endian by hand.
#include "proto.h"

#include <assert.h>
#include <string.h>

#include "proto_wire.h"

static void put(uint8_t **p, uint64_t value, unsigned int n_bytes)
{
	for (unsigned int i = 0; i < n_bytes; i++)
		*(*p)++ = (uint8_t)(value >> (8 * i));
}

static void put_bytes(uint8_t **p, const void *data, size_t n_bytes)
{
	memcpy(*p, data, n_bytes);
	*p += n_bytes;
}

static void put_text(uint8_t **p, const char *text, size_t size)
{
	size_t len = strnlen(text, size - 1);

	put(p, len, 2);
	put_bytes(p, text, len);
}

static void put_u128(uint8_t **p, u128 value)
{
	put(p, (uint64_t)value, 8);
	put(p, (uint64_t)(value >> 64), 8);
}

static void put_span128(uint8_t **p, const struct span128 *span)
{
	put_u128(p, span->lo);
	put_u128(p, span->hi);
}

static void put_idset(uint8_t **p, const struct idset *set)
{
	assert(set->n <= ACTION_SET_MAX);
	put(p, set->n, 1);
	for (unsigned int i = 0; i < set->n; i++)
		put(p, set->id[i], 8);
}

static void put_box(uint8_t **p, const struct box *box)
{
	uint32_t mask = (span128_is_full(&box->src) ? 0 : MASK_SRC) | (span128_is_full(&box->dst) ? 0 : MASK_DST);

	for (int i = 0; i < MATCH_N_FIELDS; i++)
		mask |= span_is_full(&box->f[i], i) ? 0 : MASK_FIELD(i);
	put(p, box->kinds, 1);
	put(p, mask, 2);
	if (mask & MASK_SRC)
		put_span128(p, &box->src);
	if (mask & MASK_DST)
		put_span128(p, &box->dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++) {
		if (mask & MASK_FIELD(i)) {
			put(p, box->f[i].lo, 8);
			put(p, box->f[i].hi, 8);
		}
	}
}

static void put_row(uint8_t **p, const struct part_row *row)
{
	put(p, row->part, 1);
	put(p, row->access, 1);
	put(p, row->access_category, 1);
	put(p, row->meter_category, 1);
	put(p, row->id, 8);
	put(p, row->node, 4);
	put(p, row->depth, 2);
	put_box(p, &row->box);
}

static void put_node(uint8_t **p, const struct proto_node *node)
{
	put(p, node->number, 4);
	put(p, node->parent, 4);
	put(p, node->depth, 2);
	put(p, node->weight, 2);
}

static void put_host(uint8_t **p, const struct proto_host *host)
{
	put(p, host->port, 2);
	put(p, host->vlan, 2);
	put_bytes(p, host->mac, sizeof(host->mac));
	put(p, host->kinds, 1);
	put_u128(p, host->addr);
}

static void put_row_counts(uint8_t **p, const struct proto_row_counts *counts)
{
	assert(counts->n <= PROTO_ROW_COUNTS_MAX);
	put(p, counts->n, 2);
	for (unsigned int i = 0; i < counts->n; i++) {
		put(p, counts->count[i].id, 8);
		put(p, counts->count[i].packets, 8);
		put(p, counts->count[i].bytes, 8);
	}
}

static void put_trace(uint8_t **p, const struct proto_trace *trace)
{
	put(p, trace->number, 4);
	put(p, trace->port, 2);
	put(p, trace->packet.kind, 1);
	put_u128(p, trace->packet.src);
	put_u128(p, trace->packet.dst);
	for (int i = 0; i < MATCH_N_FIELDS; i++)
		put(p, trace->packet.f[i], 8);
}

static void put_traced(uint8_t **p, const struct proto_traced *traced)
{
	assert(traced->n_rows <= PROTO_TRACED_ROWS_MAX);
	put(p, traced->number, 4);
	put(p, traced->gen, 4);
	put(p, traced->drop, 1);
	put(p, traced->node, 4);
	put(p, traced->queue, 4);
	put_idset(p, &traced->reservations);
	put_idset(p, &traced->limits);
	put(p, traced->n_rows, 2);
	for (unsigned int i = 0; i < traced->n_rows; i++) {
		const struct proto_traced_row *row = &traced->row[i];

		put(p, row->key, 8);
		put(p, row->id, 8);
		put(p, row->node, 4);
		put(p, row->part, 1);
		put(p, row->access, 1);
		put(p, row->access_category, 1);
		put(p, row->meter_category, 1);
		put(p, row->layer, 1);
		put(p, row->layer_idx, 1);
	}
}

static void put_queue(uint8_t **p, const struct proto_queue *queue)
{
	put(p, queue->number, 4);
	put(p, queue->node, 4);
	put_idset(p, &queue->reservations);
	put_idset(p, &queue->limits);
	put(p, queue->packets, 8);
	put(p, queue->bytes, 8);
	for (unsigned int i = 0; i < PROTO_QUEUE_DROPS; i++)
		put(p, queue->dropped[i], 8);
	put(p, queue->dropped_bytes, 8);
	put(p, queue->marked, 8);
	put(p, queue->backlog_packets, 8);
	put(p, queue->backlog_bytes, 8);
	for (unsigned int i = 0; i < PROTO_QUEUE_PERCENTILES; i++)
		put(p, queue->delay_us[i], 4);
	put(p, queue->time_ns, 8);
}

static void put_queues(uint8_t **p, const struct proto_queues *queues)
{
	assert(queues->n <= PROTO_QUEUES_MAX);
	put(p, queues->port, 2);
	put(p, queues->n, 1);
	put(p, queues->is_end, 1);
	if (queues->is_end) {
		put(p, queues->of_port.n_queues, 4);
		put(p, queues->of_port.n_queues_max, 4);
		put(p, queues->of_port.pool_full, 8);
		put(p, queues->of_port.promised_bps, 8);
		put(p, queues->of_port.held_back_us, 8);
	}
	for (unsigned int i = 0; i < queues->n; i++)
		put_queue(p, &queues->queue[i]);
}

static void put_port(uint8_t **p, const struct proto_port *port)
{
	put(p, port->port, 2);
	put(p, port->up, 1);
	put_bytes(p, port->mac, sizeof(port->mac));
	put(p, port->rate_bps, 8);
	put_text(p, port->name, sizeof(port->name));
	put_text(p, port->device, sizeof(port->device));
}

static void put_capture(uint8_t **p, const struct proto_capture *capture)
{
	assert(capture->n_boxes <= PROTO_CAPTURE_BOXES);
	put(p, capture->number, 4);
	put(p, capture->n_frames, 4);
	put(p, capture->n_boxes, 2);
	for (unsigned int i = 0; i < capture->n_boxes; i++)
		put_box(p, &capture->box[i]);
}

static void put_captured(uint8_t **p, const struct proto_captured *captured)
{
	assert(captured->n <= PROTO_CAPTURE_BYTES);
	put(p, captured->number, 4);
	put(p, captured->n_missed, 4);
	put(p, (uint64_t)captured->time_ns, 8);
	put(p, captured->len_bytes, 4);
	put(p, captured->port, 2);
	put(p, captured->n, 2);
	put_bytes(p, captured->data, captured->n);
}

static void put_body(uint8_t **p, const struct proto_msg *msg)
{
	switch (msg->type) {
	case PROTO_HELLO:
		put(p, msg->hello.version, 4);
		put(p, msg->hello.boot_id, 8);
		put(p, msg->hello.last_txn, 8);
		break;
	case PROTO_ROW_ADD:
		put_row(p, &msg->row);
		break;
	case PROTO_ROW_DEL:
		put(p, msg->row_key, 8);
		break;
	case PROTO_HAVE_ROW:
		put(p, msg->have_row.key, 8);
		put(p, msg->have_row.access_category, 1);
		put(p, msg->have_row.meter_category, 1);
		break;
	case PROTO_NODE_SET:
	case PROTO_HAVE_NODE:
		put_node(p, &msg->node);
		break;
	case PROTO_NODE_DEL:
		put(p, msg->node.number, 4);
		break;
	case PROTO_METER_SET:
	case PROTO_HAVE_METER:
		put(p, msg->meter.id, 8);
		put(p, msg->meter.rate_bps, 8);
		put(p, msg->meter.kind, 1);
		break;
	case PROTO_METER_DEL:
		put(p, msg->meter.id, 8);
		break;
	case PROTO_COMMIT:
		put(p, msg->commit.txn, 8);
		break;
	case PROTO_IN_FORCE:
		put(p, msg->commit.txn, 8);
		put(p, (uint64_t)msg->commit.time_ns, 8);
		break;
	case PROTO_COMMIT_FAILED:
		put(p, msg->commit.txn, 8);
		put_text(p, msg->commit.why, sizeof(msg->commit.why));
		break;
	case PROTO_HAVE_END:
		break;
	case PROTO_PORT:
		put_port(p, &msg->port);
		break;
	case PROTO_COUNTERS:
		assert(msg->counters.n <= PROTO_COUNTERS_MAX);
		put(p, msg->counters.port, 2);
		put(p, msg->counters.n, 2);
		for (unsigned int i = 0; i < msg->counters.n; i++)
			put(p, msg->counters.value[i], 8);
		break;
	case PROTO_HOST:
		put_host(p, &msg->host);
		break;
	case PROTO_ROW_COUNTS:
		put_row_counts(p, &msg->row_counts);
		break;
	case PROTO_TRACE:
		put_trace(p, &msg->trace);
		break;
	case PROTO_TRACED:
		put_traced(p, &msg->traced);
		break;
	case PROTO_QUEUES:
		put_queues(p, &msg->queues);
		break;
	case PROTO_CAPTURE:
		put_capture(p, &msg->capture);
		break;
	case PROTO_CAPTURED:
		put_captured(p, &msg->captured);
		break;
	}
}

size_t proto_encode(const struct proto_msg *msg, uint8_t *buf)
{
	uint8_t *p = buf + HEADER_BYTES, *head = buf;

	put_body(&p, msg);
	put(&head, (size_t)(p - buf) - 4, 4);
	put(&head, msg->type, 2);
	assert((size_t)(p - buf) <= PROTO_FRAME_MAX);
	return (size_t)(p - buf);
}
