// SPDX-License-Identifier: Apache-2.0
#include "played_switch.h"

#include <stdlib.h>
#include <string.h>

#include "control/of_priv.h"

void played_init(struct played *p, uint8_t version, uint64_t dpid, uint32_t n_ports)
{
	memset(p, 0, sizeof(*p));
	p->version = version;
	p->dpid = dpid;
	p->n_ports = n_ports;
}

void played_fini(struct played *p)
{
	free(p->in);
}

void played_send(struct played *p, struct of_msg *m)
{
	static uint8_t buf[OF_MSG_MAX];
	int n;

	m->version = p->version;
	n = of_encode(m, buf, sizeof(buf), NULL);
	if (n > 0)
		p->send(p->ctx, buf, (size_t)n);
}

void played_hello(struct played *p)
{
	struct of_msg m = {.type = OF_HELLO, .xid = 1, .hello = {1U << p->version}};

	played_send(p, &m);
}

static struct of_port port_of(const struct played *p, uint32_t no)
{
	struct of_port port = {.no = no, .speed_bps = 10000000000, .current = 1 << 6};

	memcpy(port.mac, (uint8_t[]){2, 0xaa, (uint8_t)(p->dpid >> 8), (uint8_t)p->dpid, 0, (uint8_t)no}, 6);
	port.name[0] = 'p';
	port.name[1] = (char)('0' + no / 10);
	port.name[2] = (char)('0' + no % 10);
	return port;
}

// Of features in 1.0 a body behind what the encoder knows, in 1.3 a multipart reply.
static void send_ports(struct played *p, struct of_msg *m)
{
	static uint8_t body[PLAYED_PORTS_MAX * 64];
	struct of_out out = {.p = body, .left = sizeof(body)};

	for (uint32_t i = 1; i <= p->n_ports; i++) {
		struct of_port port = port_of(p, i);

		of_put_port(&out, p->version, &port);
	}
	if (m->type == OF_MULTIPART_REPLY) {
		m->mp.body = body;
		m->mp.body_len = (uint16_t)out.n;
		played_send(p, m);
	} else {
		static uint8_t whole[OF_MSG_MAX];
		int n;

		m->version = p->version;
		m->features.n_ports = 0;
		n = of_encode(m, whole, sizeof(whole), NULL);
		memcpy(whole + n, body, out.n);
		n += (int)out.n;
		whole[2] = (uint8_t)(n >> 8);
		whole[3] = (uint8_t)n;
		p->send(p->ctx, whole, (size_t)n);
	}
}

static void send_group_features(struct played *p, struct of_msg *m)
{
	uint8_t body[40];
	struct of_out out = {.p = body, .left = sizeof(body)};

	of_put(&out, 1U << OF_GROUP_SELECT, 4);
	of_put(&out, 0, 4);
	for (int type = 0; type < 4; type++)
		of_put(&out, type == OF_GROUP_SELECT ? p->groups_max : 0, 4);
	of_pad(&out, 4 * 4);
	m->mp.body = body;
	m->mp.body_len = sizeof(body);
	played_send(p, m);
}

static void keep_probe(struct played *p, const struct of_packet_out *out)
{
	struct played_probe *at = &p->probes[p->n_probes % PLAYED_PROBES];

	p->n_packet_outs++;
	if (out->n_actions != 1 || out->data_len < 14 || out->data_len > sizeof(at->frame) || out->data[12] != 0x88 ||
	    out->data[13] != 0xcc)
		return;
	p->n_probes++;
	at->port = out->actions[0].port;
	at->len = out->data_len;
	memcpy(at->frame, out->data, out->data_len);
}

static void on_message(struct played *p, const struct of_msg *m)
{
	struct of_msg a = {.xid = m->xid};

	switch (m->type) {
	case OF_ECHO_REQUEST:
		a.type = OF_ECHO_REPLY;
		a.raw = m->raw;
		played_send(p, &a);
		break;
	case OF_FEATURES_REQUEST:
		a.type = OF_FEATURES_REPLY;
		a.features = (struct of_features){.dpid = p->dpid, .n_tables = 254};
		a.features.capabilities = p->groups_max > 0 ? OF_CAN_GROUPS : 0;
		if (p->version == OF_VERSION_10)
			send_ports(p, &a);
		else
			played_send(p, &a);
		break;
	case OF_MULTIPART_REQUEST:
		a.type = OF_MULTIPART_REPLY;
		a.mp.kind = m->mp.kind;
		if (p->multipart != NULL && p->multipart(p->ctx, m))
			break;
		if (m->mp.kind == OF_MP_PORT_DESC)
			send_ports(p, &a);
		else if (m->mp.kind == OF_MP_GROUP_FEATURES)
			send_group_features(p, &a);
		else
			played_send(p, &a);
		break;
	case OF_BARRIER_REQUEST:
		p->n_barriers++;
		p->last_xid = m->xid;
		a.type = OF_BARRIER_REPLY;
		played_send(p, &a);
		break;
	case OF_FLOW_MOD:
		p->n_flow_mods++;
		p->mod_xid = m->xid;
		if (p->flow_mod != NULL)
			p->flow_mod(p->ctx, &m->flow_mod);
		break;
	case OF_METER_MOD:
		p->meter_xid = m->xid;
		if (p->meter_mod != NULL)
			p->meter_mod(p->ctx, &m->meter_mod);
		break;
	case OF_GROUP_MOD:
		p->n_group_mods++;
		if (p->group_mod != NULL)
			p->group_mod(p->ctx, &m->group_mod);
		break;
	case OF_PACKET_OUT:
		keep_probe(p, &m->packet_out);
		if (p->packet_out != NULL)
			p->packet_out(p->ctx, &m->packet_out);
		break;
	default:
		break;
	}
}

bool played_input(struct played *p, const uint8_t *bytes, size_t len)
{
	struct of_msg m;
	size_t at = 0;
	int n = 0;

	if (p->n_in + len > p->cap_in) {
		p->cap_in = (p->n_in + len) * 2;
		p->in = realloc(p->in, p->cap_in);
		if (p->in == NULL)
			abort();
	}
	if (len > 0)
		memcpy(p->in + p->n_in, bytes, len);
	p->n_in += len;
	while ((n = of_frame(p->in + at, p->n_in - at, NULL)) > 0 && (size_t)n <= p->n_in - at) {
		if (of_decode(p->in + at, (size_t)n, &m, NULL) < 0)
			return false;
		on_message(p, &m);
		at += (size_t)n;
	}
	memmove(p->in, p->in + at, p->n_in - at);
	p->n_in -= at;
	return n >= 0;
}

void played_packet_in(struct played *p, uint32_t port, const uint8_t *frame, size_t len)
{
	struct of_msg m = {.type = OF_PACKET_IN};

	m.packet_in = (struct of_packet_in){.buffer_id = OF_NO_BUFFER, .in_port = port, .total_len = (uint16_t)len};
	m.packet_in.data = frame;
	m.packet_in.data_len = (uint16_t)len;
	played_send(p, &m);
}

void played_port_status(struct played *p, uint8_t reason, uint32_t port, uint32_t flags)
{
	struct of_msg m = {.type = OF_PORT_STATUS};

	m.port_status.reason = reason;
	m.port_status.port = port_of(p, port % 100);
	m.port_status.port.no = port;
	m.port_status.port.flags = flags;
	played_send(p, &m);
}

const struct played_probe *played_probe(const struct played *p, uint32_t port)
{
	uint64_t n = p->n_probes < PLAYED_PROBES ? p->n_probes : PLAYED_PROBES;

	for (uint64_t i = 0; i < n; i++) {
		const struct played_probe *at = &p->probes[(p->n_probes - 1 - i) % PLAYED_PROBES];

		if (at->port == port)
			return at;
	}
	return NULL;
}
