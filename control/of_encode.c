// SPDX-License-Identifier: Apache-2.0
// Messages to bytes.
#include <errno.h>

#include "of_priv.h"
#include "of_types.h"

static void put_hello(struct of_out *out, const struct of_msg *m)
{
	if (m->hello.versions == 0)
		return;
	of_put(out, 1, 2); // OFPHET_VERSIONBITMAP
	of_put(out, 8, 2);
	of_put(out, m->hello.versions, 4);
}

static int put_features(struct of_out *out, const struct of_msg *m)
{
	const struct of_features *f = &m->features;
	bool v10 = m->version == OF_VERSION_10;

	of_put(out, f->dpid, 8);
	of_put(out, f->n_buffers, 4);
	of_put(out, f->n_tables, 1);
	of_put(out, v10 ? 0 : f->auxiliary, 1);
	of_pad(out, 2);
	of_put(out, f->capabilities, 4);
	of_put(out, v10 ? f->actions : 0, 4);
	return 0;
}

static int put_flow_mod(struct of_out *out, const struct of_msg *m, struct err *err)
{
	const struct of_flow_mod *f = &m->flow_mod;
	bool v10 = m->version == OF_VERSION_10;
	int rc = 0;

	if (v10 && f->table != 0 && f->table != OF_TABLE_ALL)
		return err_set(err, EINVAL, "OpenFlow 1.0 has no table %u", f->table);
	if (v10)
		rc = of_put_match(out, m->version, &f->match, err);
	of_put(out, f->cookie, 8);
	if (!v10) {
		of_put(out, f->cookie_mask, 8);
		of_put(out, f->table, 1);
	}
	of_put(out, f->command, v10 ? 2 : 1);
	of_put(out, f->idle_s, 2);
	of_put(out, f->hard_s, 2);
	of_put(out, f->priority, 2);
	of_put(out, f->buffer_id, 4);
	of_put_port_no(out, m->version, f->out_port);
	if (!v10)
		of_put(out, f->out_group, 4);
	of_put(out, f->flags, 2);
	of_pad(out, v10 ? 0 : 2);
	if (rc == 0 && !v10)
		rc = of_put_match(out, m->version, &f->match, err);
	return rc < 0 ? rc : of_put_instructions(out, m->version, &f->instructions, err);
}

static int put_flow_removed(struct of_out *out, const struct of_msg *m, struct err *err)
{
	const struct of_flow_removed *f = &m->flow_removed;
	bool v10 = m->version == OF_VERSION_10;
	int rc = v10 ? of_put_match(out, m->version, &f->match, err) : 0;

	of_put(out, f->cookie, 8);
	of_put(out, f->priority, 2);
	of_put(out, f->reason, 1);
	of_put(out, v10 ? 0 : f->table, 1);
	of_put(out, f->duration_s, 4);
	of_put(out, f->duration_ns, 4);
	of_put(out, f->idle_s, 2);
	of_put(out, v10 ? 0 : f->hard_s, 2);
	of_put(out, f->packets, 8);
	of_put(out, f->bytes, 8);
	return rc < 0 || v10 ? rc : of_put_match(out, m->version, &f->match, err);
}

static int put_packet_in(struct of_out *out, const struct of_msg *m, struct err *err)
{
	const struct of_packet_in *p = &m->packet_in;
	struct of_match match = {.has = OF_HAS_IN_PORT, .in_port = p->in_port};
	int rc = 0;

	of_put(out, p->buffer_id, 4);
	of_put(out, p->total_len, 2);
	if (m->version == OF_VERSION_10) {
		of_put_port_no(out, m->version, p->in_port);
		of_put(out, p->reason, 1);
		of_pad(out, 1);
	} else {
		of_put(out, p->reason, 1);
		of_put(out, p->table, 1);
		of_put(out, p->cookie, 8);
		rc = of_put_match(out, m->version, &match, err);
		of_pad(out, 2);
	}
	of_put_bytes(out, p->data, p->data_len);
	return rc;
}

static int put_packet_out(struct of_out *out, const struct of_msg *m, struct err *err)
{
	const struct of_packet_out *p = &m->packet_out;
	size_t at, actions;
	int rc;

	of_put(out, p->buffer_id, 4);
	of_put_port_no(out, m->version, p->in_port);
	at = out->n;
	of_put(out, 0, 2);
	of_pad(out, m->version == OF_VERSION_10 ? 0 : 6);
	actions = out->n;
	rc = of_put_actions(out, m->version, p->actions, p->n_actions, err);
	of_patch16(out, at, out->n - actions);
	of_put_bytes(out, p->data, p->data_len);
	return rc;
}

static void put_port_status(struct of_out *out, const struct of_msg *m)
{
	of_put(out, m->port_status.reason, 1);
	of_pad(out, 7);
	of_put_port(out, m->version, &m->port_status.port);
}

static int put_group_mod(struct of_out *out, const struct of_msg *m, struct err *err)
{
	of_put(out, m->group_mod.command, 2);
	of_put(out, m->group_mod.type, 1);
	of_pad(out, 1);
	of_put(out, m->group_mod.group, 4);
	return of_put_buckets(out, &m->group_mod, err);
}

static int put_meter_mod(struct of_out *out, const struct of_msg *m)
{
	of_put(out, m->meter_mod.command, 2);
	of_put(out, m->meter_mod.flags, 2);
	of_put(out, m->meter_mod.meter, 4);
	return of_put_bands(out, m->meter_mod.bands, m->meter_mod.n_bands);
}

static void put_mp_reply(struct of_out *out, const struct of_msg *m)
{
	of_put(out, m->mp.kind, 2);
	of_put(out, m->mp.more, 2);
	of_pad(out, m->version == OF_VERSION_10 ? 0 : 4);
	of_put_bytes(out, m->mp.body, m->mp.body_len);
}

static void put_queue_config(struct of_out *out, const struct of_msg *m, bool reply)
{
	of_put_port_no(out, m->version, m->queue_config.port);
	of_pad(out, m->version == OF_VERSION_10 ? (reply ? 6 : 2) : 4);
	if (reply)
		of_put_bytes(out, m->queue_config.body, m->queue_config.body_len);
}

static int put_body(struct of_out *out, const struct of_msg *m, struct err *err)
{
	switch ((enum of_type)m->type) {
	case OF_HELLO:
		put_hello(out, m);
		return 0;
	case OF_ERROR:
		of_put(out, m->error.type, 2);
		of_put(out, m->error.code, 2);
		of_put_bytes(out, m->error.data, m->error.data_len);
		return 0;
	case OF_ECHO_REQUEST:
	case OF_ECHO_REPLY:
	case OF_EXPERIMENTER:
		of_put_bytes(out, m->raw.data, m->raw.data_len);
		return 0;
	case OF_FEATURES_REPLY:
		return put_features(out, m);
	case OF_GET_CONFIG_REPLY:
	case OF_SET_CONFIG:
		of_put(out, m->config.flags, 2);
		of_put(out, m->config.miss_send_len, 2);
		return 0;
	case OF_PACKET_IN:
		return put_packet_in(out, m, err);
	case OF_FLOW_REMOVED:
		return put_flow_removed(out, m, err);
	case OF_PORT_STATUS:
		put_port_status(out, m);
		return 0;
	case OF_PACKET_OUT:
		return put_packet_out(out, m, err);
	case OF_FLOW_MOD:
		return put_flow_mod(out, m, err);
	case OF_GROUP_MOD:
		return put_group_mod(out, m, err);
	case OF_METER_MOD:
		return put_meter_mod(out, m);
	case OF_MULTIPART_REQUEST:
		return of_put_mp_request(out, m->version, &m->mp, err);
	case OF_MULTIPART_REPLY:
		put_mp_reply(out, m);
		return 0;
	case OF_QUEUE_GET_CONFIG_REQUEST:
	case OF_QUEUE_GET_CONFIG_REPLY:
		put_queue_config(out, m, m->type == OF_QUEUE_GET_CONFIG_REPLY);
		return 0;
	case OF_ROLE_REQUEST:
	case OF_ROLE_REPLY:
		of_put(out, m->role.role, 4);
		of_pad(out, 4);
		of_put(out, m->role.generation, 8);
		return 0;
	default: // a header alone
		return 0;
	}
}

int of_encode(const struct of_msg *m, uint8_t *buf, size_t size, struct err *err)
{
	struct of_out out = {.p = buf, .left = size > OF_MSG_MAX ? OF_MSG_MAX : size};
	int wire = of_type_to_wire(m->version, m->type), rc;

	if (m->version != OF_VERSION_10 && m->version != OF_VERSION_13)
		return err_set(err, EINVAL, "OpenFlow version %u is not spoken", m->version);
	if (wire < 0)
		return err_set(err, EINVAL, "OpenFlow 1.%u has no %s message", m->version - 1U, of_type_name(m->type));
	of_put(&out, m->version, 1);
	of_put(&out, (uint64_t)wire, 1);
	of_put(&out, 0, 2);
	of_put(&out, m->xid, 4);
	rc = put_body(&out, m, err);
	if (rc < 0)
		return rc;
	if (out.bad)
		return err_set(err, EMSGSIZE, "a %s message is longer than the room of %zu bytes",
			       of_type_name(m->type), size);
	of_patch16(&out, 2, out.n);
	return (int)out.n;
}
