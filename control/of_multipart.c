// SPDX-License-Identifier: Apache-2.0
// Multipart messages (1.0: statistics): requests, and replies entry by entry.
#include <errno.h>

#include "of_priv.h"

// 1.0 knows the kinds up to queues.
static bool has_kind(uint8_t version, unsigned int kind)
{
	return version != OF_VERSION_10 || kind <= OF_MP_QUEUE;
}

static int put_flow_request(struct of_out *out, uint8_t version, const struct of_mp *mp, struct err *err)
{
	bool v10 = version == OF_VERSION_10;
	int rc = v10 ? of_put_match(out, version, &mp->match, err) : 0;

	of_put(out, mp->table, 1);
	of_pad(out, v10 ? 1 : 3);
	of_put_port_no(out, version, mp->out_port);
	if (rc < 0 || v10)
		return rc;
	of_put(out, mp->out_group, 4);
	of_pad(out, 4);
	of_put(out, mp->cookie, 8);
	of_put(out, mp->cookie_mask, 8);
	return of_put_match(out, version, &mp->match, err);
}

int of_put_mp_request(struct of_out *out, uint8_t version, const struct of_mp *mp, struct err *err)
{
	bool v10 = version == OF_VERSION_10;

	if (!has_kind(version, mp->kind))
		return err_set(err, EINVAL, "OpenFlow 1.0 has no statistics of kind %u", mp->kind);
	of_put(out, mp->kind, 2);
	of_put(out, 0, 2);
	of_pad(out, v10 ? 0 : 4);
	switch (mp->kind) {
	case OF_MP_FLOW:
	case OF_MP_AGGREGATE:
		return put_flow_request(out, version, mp, err);
	case OF_MP_PORT_STATS:
		of_put_port_no(out, version, mp->port);
		of_pad(out, v10 ? 6 : 4);
		return 0;
	case OF_MP_QUEUE:
		of_put_port_no(out, version, mp->port);
		of_pad(out, v10 ? 2 : 0);
		of_put(out, mp->queue, 4);
		return 0;
	case OF_MP_METER:
	case OF_MP_METER_CONFIG:
		of_put(out, mp->meter, 4);
		of_pad(out, 4);
		return 0;
	default: // nothing to select
		return 0;
	}
}

static int get_flow_request(struct of_in *in, uint8_t version, struct of_mp *mp, struct err *err)
{
	bool v10 = version == OF_VERSION_10;
	int rc = v10 ? of_get_match(in, version, true, &mp->match, err) : 0;

	mp->table = of_get8(in);
	of_skip(in, v10 ? 1 : 3);
	mp->out_port = of_get_port_no(in, version);
	mp->out_group = OF_GROUP_ANY;
	if (rc < 0 || v10)
		return rc;
	mp->out_group = of_get32(in);
	of_skip(in, 4);
	mp->cookie = of_get(in, 8);
	mp->cookie_mask = of_get(in, 8);
	return of_get_match(in, version, true, &mp->match, err);
}

int of_get_mp_request(struct of_in *in, uint8_t version, struct of_mp *mp, struct err *err)
{
	bool v10 = version == OF_VERSION_10;

	memset(mp, 0, sizeof(*mp));
	mp->kind = of_get16(in);
	of_skip(in, 2);
	of_skip(in, v10 ? 0 : 4);
	if (!has_kind(version, mp->kind))
		return err_set(err, EPROTO, "OpenFlow 1.0 has no statistics of kind %u", mp->kind);
	switch (mp->kind) {
	case OF_MP_FLOW:
	case OF_MP_AGGREGATE:
		return get_flow_request(in, version, mp, err);
	case OF_MP_PORT_STATS:
		mp->port = of_get_port_no(in, version);
		of_skip(in, v10 ? 6 : 4);
		return 0;
	case OF_MP_QUEUE:
		mp->port = of_get_port_no(in, version);
		of_skip(in, v10 ? 2 : 0);
		mp->queue = of_get32(in);
		return 0;
	case OF_MP_METER:
	case OF_MP_METER_CONFIG:
		mp->meter = of_get32(in);
		of_skip(in, 4);
		return 0;
	default:
		mp->body_len = (uint16_t)in->left;
		mp->body = of_take(in, in->left);
		return 0;
	}
}

// --- replies

static void get_text(struct of_in *in, char *out, size_t n)
{
	of_get_bytes(in, out, n);
	out[n] = '\0';
}

static int get_desc(struct of_in *in, struct of_desc *d)
{
	get_text(in, d->manufacturer, 256);
	get_text(in, d->hardware, 256);
	get_text(in, d->software, 256);
	get_text(in, d->serial, 32);
	get_text(in, d->datapath, 256);
	return 0;
}

// An entry that starts with its own length: the entry as a stretch of its own, the length taken off.
static struct of_in sized(struct of_in *in, unsigned int least)
{
	unsigned int len = of_get16(in);

	return of_sub(in, len < least ? SIZE_MAX : len - 2U);
}

static int get_flow_stats(struct of_in *in, uint8_t version, struct of_flow_stats *f, struct err *err)
{
	bool v10 = version == OF_VERSION_10;
	struct of_in body = sized(in, v10 ? 88 : 56);
	int rc = 0;

	memset(f, 0, sizeof(*f));
	f->table = of_get8(&body);
	of_skip(&body, 1);
	if (body.bad)
		return err_set(err, EPROTO, "the statistics of a flow have a length that cannot be");
	if (v10)
		rc = of_get_match(&body, version, true, &f->match, err);
	f->duration_s = of_get32(&body);
	f->duration_ns = of_get32(&body);
	f->priority = of_get16(&body);
	f->idle_s = of_get16(&body);
	f->hard_s = of_get16(&body);
	f->flags = v10 ? 0 : of_get16(&body);
	of_skip(&body, v10 ? 6 : 4);
	f->cookie = of_get(&body, 8);
	f->packets = of_get(&body, 8);
	f->bytes = of_get(&body, 8);
	if (rc == 0 && !v10)
		rc = of_get_match(&body, version, true, &f->match, err);
	if (rc == 0)
		rc = of_get_instructions(&body, version, &f->instructions, err);
	if (rc == 0 && body.bad)
		rc = err_set(err, EPROTO, "the statistics of a flow are cut off");
	return rc;
}

static void get_table_stats(struct of_in *in, uint8_t version, struct of_table_stats *t)
{
	t->table = of_get8(in);
	of_skip(in, 3);
	if (version == OF_VERSION_10)
		of_skip(in, 32 + 4 + 4); // name, wildcards, most entries
	t->active = of_get32(in);
	t->lookups = of_get(in, 8);
	t->matched = of_get(in, 8);
}

static void get_port_stats(struct of_in *in, uint8_t version, struct of_port_stats *p)
{
	p->port = of_get_port_no(in, version);
	of_skip(in, version == OF_VERSION_10 ? 6 : 4);
	p->rx_packets = of_get(in, 8);
	p->tx_packets = of_get(in, 8);
	p->rx_bytes = of_get(in, 8);
	p->tx_bytes = of_get(in, 8);
	p->rx_dropped = of_get(in, 8);
	p->tx_dropped = of_get(in, 8);
	p->rx_errors = of_get(in, 8);
	p->tx_errors = of_get(in, 8);
	of_skip(in, 4 * 8);                                // frame, overrun and CRC errors, collisions
	of_skip(in, version == OF_VERSION_10 ? 0 : 4 + 4); // duration
}

static void get_queue_stats(struct of_in *in, uint8_t version, struct of_queue_stats *q)
{
	q->port = of_get_port_no(in, version);
	of_skip(in, version == OF_VERSION_10 ? 2 : 0);
	q->queue = of_get32(in);
	q->tx_bytes = of_get(in, 8);
	q->tx_packets = of_get(in, 8);
	q->tx_errors = of_get(in, 8);
	of_skip(in, version == OF_VERSION_10 ? 0 : 4 + 4);
}

static int get_meter_config(struct of_in *in, struct of_meter_config *m, struct err *err)
{
	struct of_in body = sized(in, 8);

	m->flags = of_get16(&body);
	m->meter = of_get32(&body);
	return of_get_bands(&body, m->bands, &m->n_bands, err);
}

// Others may have made it, of what is not known here: that is no reason to read no further.
static void get_group_desc(struct of_in *in, struct of_group_mod *g)
{
	struct of_in body = sized(in, 8);

	memset(g, 0, sizeof(*g));
	g->type = of_get8(&body);
	of_skip(&body, 1);
	g->group = of_get32(&body);
	if (!in->bad && of_get_buckets(&body, g, NULL) < 0) {
		g->type = OF_GROUP_UNREAD;
		g->n_buckets = 0;
	}
}

static void get_meter_features(struct of_in *in, struct of_meter_features *f)
{
	f->max_meters = of_get32(in);
	f->band_types = of_get32(in);
	f->capabilities = of_get32(in);
	f->max_bands = of_get8(in);
	of_skip(in, 3);
}

static void get_group_features(struct of_in *in, struct of_group_features *f)
{
	f->types = of_get32(in);
	f->capabilities = of_get32(in);
	for (int i = 0; i < 4; i++)
		f->max_groups[i] = of_get32(in);
	for (int i = 0; i < 4; i++)
		f->actions[i] = of_get32(in);
}

// 1, 0: a kind that is not read entry by entry, or -EPROTO.
static int get_entry(struct of_in *in, const struct of_msg *m, union of_mp_entry *out, struct err *err)
{
	int rc = 0;

	switch (m->mp.kind) {
	case OF_MP_DESC:
		rc = get_desc(in, &out->desc);
		break;
	case OF_MP_FLOW:
		rc = get_flow_stats(in, m->version, &out->flow, err);
		break;
	case OF_MP_TABLE:
		get_table_stats(in, m->version, &out->table);
		break;
	case OF_MP_PORT_STATS:
		get_port_stats(in, m->version, &out->port_stats);
		break;
	case OF_MP_QUEUE:
		get_queue_stats(in, m->version, &out->queue);
		break;
	case OF_MP_PORT_DESC:
		of_get_port(in, m->version, &out->port);
		break;
	case OF_MP_METER_CONFIG:
		rc = get_meter_config(in, &out->meter_config, err);
		break;
	case OF_MP_METER_FEATURES:
		get_meter_features(in, &out->meter_features);
		break;
	case OF_MP_GROUP_FEATURES:
		get_group_features(in, &out->group_features);
		break;
	case OF_MP_GROUP_DESC:
		get_group_desc(in, &out->group);
		break;
	default:
		return 0;
	}
	if (rc < 0)
		return rc;
	return in->bad ? err_set(err, EPROTO, "an entry of multipart kind %u is cut off", m->mp.kind) : 1;
}

int of_mp_next(const struct of_msg *m, uint16_t *at, union of_mp_entry *out, struct err *err)
{
	struct of_in in = {.p = m->mp.body + *at, .left = (size_t)m->mp.body_len - *at};
	int rc;

	if (*at >= m->mp.body_len)
		return 0;
	rc = get_entry(&in, m, out, err);
	*at = rc == 1 ? (uint16_t)(m->mp.body_len - in.left) : m->mp.body_len;
	return rc;
}

#define FEATURES_PORTS_AT 32 // header, then 24 bytes of what is fixed

int of_features_port_next(const struct of_msg *m, uint16_t *at, struct of_port *out, struct err *err)
{
	struct of_in in;

	if (m->version != OF_VERSION_10)
		return 0; // 1.3 tells its ports by multipart
	if (*at == 0)
		*at = FEATURES_PORTS_AT;
	if (*at >= m->len)
		return 0;
	in = (struct of_in){.p = m->bytes + *at, .left = (size_t)m->len - *at};
	of_get_port(&in, m->version, out);
	if (in.bad) {
		*at = m->len;
		return err_set(err, EPROTO, "a port of a features reply is cut off");
	}
	*at = (uint16_t)(m->len - in.left);
	return 1;
}
