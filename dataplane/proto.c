// SPDX-License-Identifier: Apache-2.0
// Every number is written little-endian by hand, every read is checked against the frame's end first. A row carries
// only the spans that constrain: a bit mask of fields, then their spans.
#include "proto.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define HEADER_BYTES 6 // u32 length, u16 type
#define MASK_SRC (1U << 0)
#define MASK_DST (1U << 1)
#define MASK_FIELD(i) (1U << (2 + (i)))
#define MASK_ALL (MASK_FIELD(MATCH_N_FIELDS) - 1)
#define U128_MAX (~(u128)0)
#define IP4_HOST_BITS ((((u128)1) << 96) - 1) // below an IPv4 address in its 128-bit form

// --- writing

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

static void put_span128(uint8_t **p, const struct span128 *span)
{
	put(p, (uint64_t)span->lo, 8);
	put(p, (uint64_t)(span->lo >> 64), 8);
	put(p, (uint64_t)span->hi, 8);
	put(p, (uint64_t)(span->hi >> 64), 8);
}

static void put_idset(uint8_t **p, const struct idset *set)
{
	assert(set->n <= ACTION_SET_MAX);
	put(p, set->n, 1);
	for (unsigned int i = 0; i < set->n; i++)
		put(p, set->id[i], 8);
}

static bool span_is_full(const struct span *span, enum match_field field)
{
	return span->lo == 0 && span->hi == match_field_max(field);
}

static bool span128_is_full(const struct span128 *span)
{
	return span->lo == 0 && span->hi == U128_MAX;
}

static void put_row(uint8_t **p, const struct row *row)
{
	const struct box *box = &row->box;
	uint32_t mask = (span128_is_full(&box->src) ? 0 : MASK_SRC) | (span128_is_full(&box->dst) ? 0 : MASK_DST);

	for (int i = 0; i < MATCH_N_FIELDS; i++)
		mask |= span_is_full(&box->f[i], i) ? 0 : MASK_FIELD(i);
	put(p, box->kinds, 1);
	put(p, row->rank, 4);
	put(p, row->action.access, 1);
	put_idset(p, &row->action.reservations);
	put_idset(p, &row->action.limits);
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

static void put_port(uint8_t **p, const struct proto_port *port)
{
	put(p, port->port, 2);
	put(p, port->up, 1);
	put_bytes(p, port->mac, sizeof(port->mac));
	put(p, port->rate_bps, 8);
	put_text(p, port->name, sizeof(port->name));
	put_text(p, port->device, sizeof(port->device));
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
	case PROTO_HAVE_ROW:
		put(p, msg->row_key, 8);
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

// --- reading

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

static struct span128 get_span128(struct reader *r)
{
	struct span128 span;

	span.lo = get(r, 8);
	span.lo |= (u128)get(r, 8) << 64;
	span.hi = get(r, 8);
	span.hi |= (u128)get(r, 8) << 64;
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

static void get_row(struct reader *r, struct row *row)
{
	struct box *box = &row->box, normal;
	uint32_t mask, access;

	*row = (struct row){.box = box_any()};
	box->kinds = (uint32_t)get(r, 1);
	row->rank = (uint32_t)get(r, 4);
	access = (uint32_t)get(r, 1);
	if (access > ACCESS_DENY)
		fail(r, "access");
	row->action.access = access <= ACCESS_DENY ? (enum access)access : ACCESS_NONE;
	get_idset(r, &row->action.reservations);
	get_idset(r, &row->action.limits);
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
	port->port = (uint16_t)get(r, 2);
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
	case PROTO_HAVE_ROW:
		msg->row_key = get(r, 8);
		break;
	case PROTO_METER_SET:
	case PROTO_HAVE_METER:
		get_meter(r, &msg->meter);
		break;
	case PROTO_METER_DEL:
		msg->meter.id = get(r, 8);
		break;
	case PROTO_COMMIT:
		msg->commit.txn = get(r, 8);
		break;
	case PROTO_IN_FORCE:
		msg->commit.txn = get(r, 8);
		msg->commit.time_ns = (int64_t)get(r, 8);
		break;
	case PROTO_COMMIT_FAILED:
		msg->commit.txn = get(r, 8);
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
	*msg = (struct proto_msg){.type = (enum proto_type)type};
	get_body(&r, msg);
	if (r.bad == NULL && r.p != r.end)
		r.bad = "bytes left over";
	if (r.bad != NULL)
		return err_set(err, EPROTO, "link: message type %u: %s", (unsigned int)type, r.bad);
	return (int)(length + 4);
}
