// SPDX-License-Identifier: Apache-2.0
// Bytes to messages.
#include <errno.h>

#include "of_priv.h"
#include "of_types.h"

int of_frame(const uint8_t *buf, size_t len, struct err *err)
{
	unsigned int n;

	if (len < OF_HEADER_BYTES)
		return 0;
	n = (unsigned int)buf[2] << 8 | buf[3];
	if (n < OF_HEADER_BYTES)
		return err_set(err, EPROTO, "a message says that it has %u bytes; the header alone has %d", n,
			       OF_HEADER_BYTES);
	return (int)n;
}

// Elements that are not known are skipped, as 1.3 asks for (section 7.5.1).
static int get_hello(struct of_in *in, struct of_msg *m, struct err *err)
{
	m->hello.versions = 0;
	if (m->version < OF_VERSION_13) { // 1.0 says nothing of a body; receivers ignore it
		of_skip(in, in->left);
		return 0;
	}
	while (in->left > 0 && !in->bad) {
		unsigned int type = of_get16(in), len = of_get16(in);
		struct of_in body = of_sub(in, len < 4 ? SIZE_MAX : len - 4U);
		unsigned int pad = (8 - len % 8) % 8;

		if (body.bad)
			return err_set(err, EPROTO, "a hello element has a length of %u, which cannot be", len);
		if (type == 1 && body.left >= 4)
			m->hello.versions = of_get32(&body);
		of_skip(in, pad < in->left ? pad : in->left);
	}
	return 0;
}

static void get_raw(struct of_in *in, struct of_msg *m)
{
	m->raw.data_len = (uint16_t)in->left;
	m->raw.data = of_take(in, in->left);
}

static void get_error(struct of_in *in, struct of_msg *m)
{
	m->error.type = of_get16(in);
	m->error.code = of_get16(in);
	m->error.data_len = (uint16_t)in->left;
	m->error.data = of_take(in, in->left);
}

#define PORT10_BYTES 48

static int get_features(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_features *f = &m->features;
	bool v10 = m->version == OF_VERSION_10;

	memset(f, 0, sizeof(*f));
	f->dpid = of_get(in, 8);
	f->n_buffers = of_get32(in);
	f->n_tables = of_get8(in);
	f->auxiliary = of_get8(in);
	of_skip(in, 2);
	f->capabilities = of_get32(in);
	f->actions = of_get32(in);
	if (!v10)
		return 0;
	f->auxiliary = 0;
	if (in->left % PORT10_BYTES != 0)
		return err_set(err, EPROTO, "the ports of a features reply have %zu bytes; one has %d", in->left,
			       PORT10_BYTES);
	f->n_ports = (uint16_t)(in->left / PORT10_BYTES);
	of_skip(in, in->left);
	return 0;
}

static int get_flow_mod(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_flow_mod *f = &m->flow_mod;
	bool v10 = m->version == OF_VERSION_10;
	unsigned int command;
	int rc = 0;

	memset(f, 0, sizeof(*f));
	if (v10)
		rc = of_get_match(in, m->version, true, &f->match, err);
	if (rc < 0)
		return rc;
	f->cookie = of_get(in, 8);
	f->cookie_mask = v10 ? 0 : of_get(in, 8);
	f->table = v10 ? 0 : of_get8(in);
	command = v10 ? of_get16(in) : of_get8(in);
	f->idle_s = of_get16(in);
	f->hard_s = of_get16(in);
	f->priority = of_get16(in);
	f->buffer_id = of_get32(in);
	f->out_port = of_get_port_no(in, m->version);
	f->out_group = v10 ? OF_GROUP_ANY : of_get32(in);
	f->flags = of_get16(in);
	of_skip(in, v10 ? 0 : 2);
	if (command > OF_FLOW_DELETE_STRICT)
		return err_set(err, EPROTO, "flow mod command %u is not known", command);
	f->command = (uint8_t)command;
	if (!v10)
		rc = of_get_match(in, m->version, true, &f->match, err);
	return rc < 0 ? rc : of_get_instructions(in, m->version, &f->instructions, err);
}

static int get_flow_removed(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_flow_removed *f = &m->flow_removed;
	bool v10 = m->version == OF_VERSION_10;
	int rc = 0;

	memset(f, 0, sizeof(*f));
	if (v10)
		rc = of_get_match(in, m->version, true, &f->match, err);
	f->cookie = of_get(in, 8);
	f->priority = of_get16(in);
	f->reason = of_get8(in);
	f->table = of_get8(in);
	f->duration_s = of_get32(in);
	f->duration_ns = of_get32(in);
	f->idle_s = of_get16(in);
	f->hard_s = of_get16(in);
	f->packets = of_get(in, 8);
	f->bytes = of_get(in, 8);
	if (v10) {
		f->table = 0;
		f->hard_s = 0;
		return rc;
	}
	return of_get_match(in, m->version, true, &f->match, err);
}

static int get_packet_in(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_packet_in *p = &m->packet_in;
	struct of_match match;
	int rc = 0;

	memset(p, 0, sizeof(*p));
	p->buffer_id = of_get32(in);
	p->total_len = of_get16(in);
	if (m->version == OF_VERSION_10) {
		p->in_port = of_get_port_no(in, m->version);
		p->reason = of_get8(in);
		of_skip(in, 1);
	} else {
		p->reason = of_get8(in);
		p->table = of_get8(in);
		p->cookie = of_get(in, 8);
		rc = of_get_match(in, m->version, false, &match, err);
		if (rc == 0 && !(match.has & OF_HAS_IN_PORT))
			rc = err_set(err, EPROTO, "a packet-in does not say its port");
		p->in_port = match.in_port;
		of_skip(in, 2);
	}
	p->data_len = (uint16_t)in->left;
	p->data = of_take(in, in->left);
	return rc;
}

static int get_packet_out(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_packet_out *p = &m->packet_out;
	unsigned int n_bytes;
	struct of_in actions;
	int rc;

	memset(p, 0, sizeof(*p));
	p->buffer_id = of_get32(in);
	p->in_port = of_get_port_no(in, m->version);
	n_bytes = of_get16(in);
	of_skip(in, m->version == OF_VERSION_10 ? 0 : 6);
	actions = of_sub(in, n_bytes);
	if (actions.bad)
		return err_set(err, EPROTO, "a packet-out has %u bytes of actions, fewer are left", n_bytes);
	rc = of_get_actions(&actions, m->version, p->actions, OF_ACTIONS_MAX, &p->n_actions, err);
	p->data_len = (uint16_t)in->left;
	p->data = of_take(in, in->left);
	return rc;
}

static int get_group_mod(struct of_in *in, struct of_msg *m, struct err *err)
{
	struct of_group_mod *g = &m->group_mod;

	memset(g, 0, sizeof(*g));
	g->command = of_get16(in);
	g->type = of_get8(in);
	of_skip(in, 1);
	g->group = of_get32(in);
	return of_get_buckets(in, g, err);
}

static int get_meter_mod(struct of_in *in, struct of_msg *m, struct err *err)
{
	memset(&m->meter_mod, 0, sizeof(m->meter_mod));
	m->meter_mod.command = of_get16(in);
	m->meter_mod.flags = of_get16(in);
	m->meter_mod.meter = of_get32(in);
	return of_get_bands(in, m->meter_mod.bands, &m->meter_mod.n_bands, err);
}

static void get_mp_reply(struct of_in *in, struct of_msg *m)
{
	memset(&m->mp, 0, sizeof(m->mp));
	m->mp.kind = of_get16(in);
	m->mp.more = of_get16(in) & 1;
	of_skip(in, m->version == OF_VERSION_10 ? 0 : 4);
	m->mp.body_len = (uint16_t)in->left;
	m->mp.body = of_take(in, in->left);
}

static void get_queue_config(struct of_in *in, struct of_msg *m, bool reply)
{
	memset(&m->queue_config, 0, sizeof(m->queue_config));
	m->queue_config.port = of_get_port_no(in, m->version);
	of_skip(in, m->version == OF_VERSION_10 ? (reply ? 6 : 2) : 4);
	if (!reply)
		return;
	m->queue_config.body_len = (uint16_t)in->left;
	m->queue_config.body = of_take(in, in->left);
}

static int get_body(struct of_in *in, struct of_msg *m, struct err *err)
{
	switch ((enum of_type)m->type) {
	case OF_HELLO:
		return get_hello(in, m, err);
	case OF_ERROR:
		get_error(in, m);
		return 0;
	case OF_ECHO_REQUEST:
	case OF_ECHO_REPLY:
	case OF_EXPERIMENTER:
		get_raw(in, m);
		return 0;
	case OF_FEATURES_REPLY:
		return get_features(in, m, err);
	case OF_GET_CONFIG_REPLY:
	case OF_SET_CONFIG:
		m->config.flags = of_get16(in);
		m->config.miss_send_len = of_get16(in);
		return 0;
	case OF_PACKET_IN:
		return get_packet_in(in, m, err);
	case OF_FLOW_REMOVED:
		return get_flow_removed(in, m, err);
	case OF_PORT_STATUS:
		m->port_status.reason = of_get8(in);
		of_skip(in, 7);
		of_get_port(in, m->version, &m->port_status.port);
		return 0;
	case OF_PACKET_OUT:
		return get_packet_out(in, m, err);
	case OF_FLOW_MOD:
		return get_flow_mod(in, m, err);
	case OF_GROUP_MOD:
		return get_group_mod(in, m, err);
	case OF_METER_MOD:
		return get_meter_mod(in, m, err);
	case OF_MULTIPART_REQUEST:
		return of_get_mp_request(in, m->version, &m->mp, err);
	case OF_MULTIPART_REPLY:
		get_mp_reply(in, m);
		return 0;
	case OF_QUEUE_GET_CONFIG_REQUEST:
	case OF_QUEUE_GET_CONFIG_REPLY:
		get_queue_config(in, m, m->type == OF_QUEUE_GET_CONFIG_REPLY);
		return 0;
	case OF_ROLE_REQUEST:
	case OF_ROLE_REPLY:
		m->role.role = of_get32(in);
		of_skip(in, 4);
		m->role.generation = of_get(in, 8);
		return 0;
	default: // a header alone
		return 0;
	}
}

int of_decode(const uint8_t *buf, size_t len, struct of_msg *m, struct err *err)
{
	struct of_in in = {.p = buf, .left = len};
	int n = of_frame(buf, len, err), type, rc;

	if (n < 0)
		return n;
	if (n == 0 || (size_t)n != len)
		return err_set(err, EPROTO, "a message of %d bytes was handed over as %zu", n, len);
	m->version = of_get8(&in);
	type = of_get8(&in);
	of_skip(&in, 2);
	m->xid = of_get32(&in);
	m->bytes = buf;
	m->len = (uint16_t)len;
	if (type != 0 && m->version != OF_VERSION_10 && m->version != OF_VERSION_13)
		return err_set(err, EPROTO, "OpenFlow version 0x%02x is not spoken", m->version);
	type = type == 0 ? OF_HELLO : of_type_from_wire(m->version, (uint8_t)type);
	if (type < 0)
		return err_set(err, EPROTO, "message type %u of OpenFlow 1.%u is not known", buf[1], m->version - 1U);
	m->type = (uint8_t)type;
	rc = get_body(&in, m, err);
	if (rc < 0)
		return rc;
	if (in.bad || in.left != 0)
		return err_set(err, EPROTO, "a %s message of %zu bytes is too %s", of_type_name(m->type), len,
			       in.bad ? "short" : "long");
	return 0;
}
