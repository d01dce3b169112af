// SPDX-License-Identifier: Apache-2.0
// Actions, instructions, ports, meter bands and group buckets of both versions.
#include <errno.h>

#include "of_priv.h"

enum wire_action {
	WIRE_OUTPUT = 0,
	WIRE10_SET_VLAN = 1,
	WIRE10_STRIP_VLAN = 3,
	WIRE10_SET_DL_SRC = 4,
	WIRE10_SET_DL_DST = 5,
	WIRE10_ENQUEUE = 11,
	WIRE13_PUSH_VLAN = 17,
	WIRE13_POP_VLAN = 18,
	WIRE13_SET_QUEUE = 21,
	WIRE13_GROUP = 22,
	WIRE13_SET_FIELD = 25,
};

#define OXM_BASIC 0x8000
#define OXM_ETH_DST 3
#define OXM_ETH_SRC 4
#define OXM_VLAN_VID 6
#define OFPVID_PRESENT 0x1000
#define ETH_TYPE_VLAN 0x8100
#define PORTS10_RESERVED 0xfff8U // and up

uint32_t of_port_to_wire10(uint32_t port)
{
	return port & 0xffff;
}

uint32_t of_get_port_no(struct of_in *in, uint8_t version)
{
	uint32_t port;

	if (version != OF_VERSION_10)
		return of_get32(in);
	port = of_get16(in);
	return port >= PORTS10_RESERVED ? port | 0xffff0000U : port;
}

void of_put_port_no(struct of_out *out, uint8_t version, uint32_t port)
{
	of_put(out, port, version == OF_VERSION_10 ? 2 : 4);
}

// --- actions

static void put_head(struct of_out *out, unsigned int type, unsigned int len)
{
	of_put(out, type, 2);
	of_put(out, len, 2);
}

static const char *const action_names[] = {
	[OF_ACT_OUTPUT] = "output",       [OF_ACT_QUEUE] = "set_queue",     [OF_ACT_ENQUEUE] = "enqueue",
	[OF_ACT_GROUP] = "group",         [OF_ACT_ETH_DST] = "set eth_dst", [OF_ACT_ETH_SRC] = "set eth_src",
	[OF_ACT_PUSH_VLAN] = "push_vlan", [OF_ACT_POP_VLAN] = "pop_vlan",   [OF_ACT_VLAN] = "set vlan",
};

static int cannot(const struct of_action *a, const char *version, struct err *err)
{
	return err_set(err, EINVAL, "OpenFlow %s has no action %s", version,
		       a->type < sizeof(action_names) / sizeof(*action_names) ? action_names[a->type]
									      : "of this number");
}

static int put_action_10(struct of_out *out, const struct of_action *a, struct err *err)
{
	switch ((enum of_action_type)a->type) {
	case OF_ACT_OUTPUT:
		put_head(out, WIRE_OUTPUT, 8);
		of_put_port_no(out, OF_VERSION_10, a->port);
		of_put(out, a->max_len, 2);
		return 0;
	case OF_ACT_ENQUEUE:
		put_head(out, WIRE10_ENQUEUE, 16);
		of_put_port_no(out, OF_VERSION_10, a->port);
		of_pad(out, 6);
		of_put(out, a->queue, 4);
		return 0;
	case OF_ACT_ETH_DST:
	case OF_ACT_ETH_SRC:
		put_head(out, a->type == OF_ACT_ETH_SRC ? WIRE10_SET_DL_SRC : WIRE10_SET_DL_DST, 16);
		of_put_bytes(out, a->eth, 6);
		of_pad(out, 6);
		return 0;
	case OF_ACT_POP_VLAN:
		put_head(out, WIRE10_STRIP_VLAN, 8);
		of_pad(out, 4);
		return 0;
	case OF_ACT_VLAN:
		put_head(out, WIRE10_SET_VLAN, 8);
		of_put(out, a->vlan, 2);
		of_pad(out, 2);
		return 0;
	default:
		return cannot(a, "1.0", err);
	}
}

static void put_set_field(struct of_out *out, unsigned int field, const void *value, unsigned int n)
{
	unsigned int len = (4 + 4 + n + 7) / 8 * 8;

	put_head(out, WIRE13_SET_FIELD, len);
	of_put(out, OXM_BASIC, 2);
	of_put(out, field << 1, 1);
	of_put(out, n, 1);
	of_put_bytes(out, value, n);
	of_pad(out, len - 8 - n);
}

static int put_action_13(struct of_out *out, const struct of_action *a, struct err *err)
{
	switch ((enum of_action_type)a->type) {
	case OF_ACT_OUTPUT:
		put_head(out, WIRE_OUTPUT, 16);
		of_put(out, a->port, 4);
		of_put(out, a->max_len, 2);
		of_pad(out, 6);
		return 0;
	case OF_ACT_QUEUE:
	case OF_ACT_GROUP:
		put_head(out, a->type == OF_ACT_QUEUE ? WIRE13_SET_QUEUE : WIRE13_GROUP, 8);
		of_put(out, a->type == OF_ACT_QUEUE ? a->queue : a->group, 4);
		return 0;
	case OF_ACT_ETH_DST:
	case OF_ACT_ETH_SRC:
		put_set_field(out, a->type == OF_ACT_ETH_SRC ? OXM_ETH_SRC : OXM_ETH_DST, a->eth, 6);
		return 0;
	case OF_ACT_PUSH_VLAN:
		put_head(out, WIRE13_PUSH_VLAN, 8);
		of_put(out, ETH_TYPE_VLAN, 2);
		of_pad(out, 2);
		return 0;
	case OF_ACT_POP_VLAN:
		put_head(out, WIRE13_POP_VLAN, 8);
		of_pad(out, 4);
		return 0;
	case OF_ACT_VLAN: {
		uint8_t vid[2] = {(uint8_t)((OFPVID_PRESENT | a->vlan) >> 8), (uint8_t)a->vlan};

		put_set_field(out, OXM_VLAN_VID, vid, 2);
		return 0;
	}
	default:
		return cannot(a, "1.3", err);
	}
}

int of_put_actions(struct of_out *out, uint8_t version, const struct of_action *a, unsigned int n, struct err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < n && rc == 0; i++)
		rc = version == OF_VERSION_10 ? put_action_10(out, &a[i], err) : put_action_13(out, &a[i], err);
	return rc;
}

static int unknown_action(unsigned int type, struct err *err)
{
	return err_set(err, EPROTO, "action %u is not known", type);
}

// body: what follows type and length; a true result of in->bad afterwards means that it was too short.
static int get_action_10(unsigned int type, struct of_in *body, struct of_action *a, struct err *err)
{
	switch (type) {
	case WIRE_OUTPUT:
		a->type = OF_ACT_OUTPUT;
		a->port = of_get_port_no(body, OF_VERSION_10);
		a->max_len = of_get16(body);
		return 0;
	case WIRE10_ENQUEUE:
		a->type = OF_ACT_ENQUEUE;
		a->port = of_get_port_no(body, OF_VERSION_10);
		of_skip(body, 6);
		a->queue = of_get32(body);
		return 0;
	case WIRE10_SET_DL_SRC:
	case WIRE10_SET_DL_DST:
		a->type = type == WIRE10_SET_DL_SRC ? OF_ACT_ETH_SRC : OF_ACT_ETH_DST;
		of_get_bytes(body, a->eth, 6);
		of_skip(body, 6);
		return 0;
	case WIRE10_STRIP_VLAN:
		a->type = OF_ACT_POP_VLAN;
		of_skip(body, 4);
		return 0;
	case WIRE10_SET_VLAN:
		a->type = OF_ACT_VLAN;
		a->vlan = of_get16(body) & 0xfff;
		of_skip(body, 2);
		return 0;
	default:
		return unknown_action(type, err);
	}
}

static int get_set_field(struct of_in *body, struct of_action *a, struct err *err)
{
	uint16_t class = of_get16(body);
	uint8_t field = of_get8(body), n = of_get8(body);
	size_t whole = 8U + n; // type, length and OXM header included

	if (class == OXM_BASIC && (field == OXM_ETH_SRC << 1 || field == OXM_ETH_DST << 1) && n == 6) {
		a->type = field == OXM_ETH_SRC << 1 ? OF_ACT_ETH_SRC : OF_ACT_ETH_DST;
		of_get_bytes(body, a->eth, 6);
	} else if (class == OXM_BASIC && field == OXM_VLAN_VID << 1 && n == 2) {
		a->type = OF_ACT_VLAN;
		a->vlan = of_get16(body) & 0xfff;
	} else {
		return err_set(err, EPROTO, "setting field %u of class 0x%04x is not known", field >> 1, class);
	}
	of_skip(body, (8 - whole % 8) % 8);
	return 0;
}

static int get_action_13(unsigned int type, struct of_in *body, struct of_action *a, struct err *err)
{
	switch (type) {
	case WIRE_OUTPUT:
		a->type = OF_ACT_OUTPUT;
		a->port = of_get32(body);
		a->max_len = of_get16(body);
		of_skip(body, 6);
		return 0;
	case WIRE13_SET_QUEUE:
		a->type = OF_ACT_QUEUE;
		a->queue = of_get32(body);
		return 0;
	case WIRE13_GROUP:
		a->type = OF_ACT_GROUP;
		a->group = of_get32(body);
		return 0;
	case WIRE13_PUSH_VLAN:
		a->type = OF_ACT_PUSH_VLAN;
		of_skip(body, 4);
		return 0;
	case WIRE13_POP_VLAN:
		a->type = OF_ACT_POP_VLAN;
		of_skip(body, 4);
		return 0;
	case WIRE13_SET_FIELD:
		return get_set_field(body, a, err);
	default:
		return unknown_action(type, err);
	}
}

int of_get_actions(struct of_in *in, uint8_t version, struct of_action *a, unsigned int max, uint8_t *n,
		   struct err *err)
{
	*n = 0;
	while (in->left > 0 && !in->bad) {
		unsigned int type = of_get16(in), len = of_get16(in);
		struct of_in body = of_sub(in, len < 4 ? SIZE_MAX : len - 4U);
		int rc;

		if (body.bad || len % 8 != 0)
			return err_set(err, EPROTO, "action %u has a length of %u, which cannot be", type, len);
		if (*n == max)
			return err_set(err, EPROTO, "more than %u actions in one list", max);
		memset(&a[*n], 0, sizeof(a[*n]));
		rc = version == OF_VERSION_10 ? get_action_10(type, &body, &a[*n], err)
					      : get_action_13(type, &body, &a[*n], err);
		if (rc < 0)
			return rc;
		if (body.bad || body.left != 0)
			return err_set(err, EPROTO, "action %u has a length of %u, which it cannot have", type, len);
		(*n)++;
	}
	return in->bad ? err_set(err, EPROTO, "a list of actions is cut off") : 0;
}

// --- instructions

enum wire_instruction {
	WIRE_GOTO_TABLE = 1,
	WIRE_WRITE_ACTIONS = 3,
	WIRE_APPLY_ACTIONS = 4,
	WIRE_METER = 6,
};

int of_put_instructions(struct of_out *out, uint8_t version, const struct of_instructions *i, struct err *err)
{
	size_t at;
	int rc = 0;

	if (version == OF_VERSION_10) {
		if (i->meter != 0 || i->goto_table != OF_TABLE_ALL || i->write)
			return err_set(err, EINVAL, "OpenFlow 1.0 has no instructions besides actions");
		return of_put_actions(out, version, i->actions, i->n_actions, err);
	}
	if (i->meter != 0) {
		put_head(out, WIRE_METER, 8);
		of_put(out, i->meter, 4);
	}
	if (i->n_actions > 0) {
		at = out->n;
		put_head(out, i->write ? WIRE_WRITE_ACTIONS : WIRE_APPLY_ACTIONS, 0);
		of_pad(out, 4);
		rc = of_put_actions(out, version, i->actions, i->n_actions, err);
		of_patch16(out, at + 2, out->n - at);
	}
	if (i->goto_table != OF_TABLE_ALL) {
		put_head(out, WIRE_GOTO_TABLE, 8);
		of_put(out, i->goto_table, 1);
		of_pad(out, 3);
	}
	return rc;
}

static int get_instruction(unsigned int type, struct of_in *body, struct of_instructions *i, struct err *err)
{
	switch (type) {
	case WIRE_GOTO_TABLE:
		i->goto_table = of_get8(body);
		of_skip(body, 3);
		return 0;
	case WIRE_METER:
		i->meter = of_get32(body);
		return 0;
	case WIRE_WRITE_ACTIONS:
	case WIRE_APPLY_ACTIONS:
		if (i->n_actions > 0)
			return err_set(err, EPROTO, "actions both applied and written, or twice");
		of_skip(body, 4);
		i->write = type == WIRE_WRITE_ACTIONS;
		return of_get_actions(body, OF_VERSION_13, i->actions, OF_ACTIONS_MAX, &i->n_actions, err);
	default:
		return err_set(err, EPROTO, "instruction %u is not known", type);
	}
}

int of_get_instructions(struct of_in *in, uint8_t version, struct of_instructions *i, struct err *err)
{
	memset(i, 0, sizeof(*i));
	i->goto_table = OF_TABLE_ALL;
	if (version == OF_VERSION_10)
		return of_get_actions(in, version, i->actions, OF_ACTIONS_MAX, &i->n_actions, err);
	while (in->left > 0 && !in->bad) {
		unsigned int type = of_get16(in), len = of_get16(in);
		struct of_in body = of_sub(in, len < 4 ? SIZE_MAX : len - 4U);
		int rc;

		if (body.bad || len % 8 != 0)
			return err_set(err, EPROTO, "instruction %u has a length of %u, which cannot be", type, len);
		rc = get_instruction(type, &body, i, err);
		if (rc < 0)
			return rc;
		if (body.bad || body.left != 0)
			return err_set(err, EPROTO, "instruction %u has a length of %u, which it cannot have", type,
				       len);
	}
	return in->bad ? err_set(err, EPROTO, "a list of instructions is cut off") : 0;
}

// --- ports

#define FEATURES10_SPEEDS 0x7fU // 10 Mb/s half duplex to 10 Gb/s; copper and what follows lie 4 bits higher in 1.3

static uint32_t features_from_10(uint32_t f)
{
	return (f & FEATURES10_SPEEDS) | (f & 0xf80U) << 4;
}

static uint32_t features_to_10(uint32_t f)
{
	return (f & FEATURES10_SPEEDS) | (f >> 4 & 0xf80U);
}

// The fastest speed that the feature bits name, bit/s; 0: none.
static uint64_t speed_of(uint32_t features)
{
	static const uint64_t mbps[] = {10, 10, 100, 100, 1000, 1000, 10000, 40000, 100000, 1000000};

	for (int bit = 9; bit >= 0; bit--) {
		if (features & 1U << bit)
			return mbps[bit] * 1000000;
	}
	return 0;
}

void of_put_port(struct of_out *out, uint8_t version, const struct of_port *p)
{
	bool v10 = version == OF_VERSION_10;
	uint32_t state = p->flags & OF_PORT_LINK_DOWN ? 1 : 0;

	of_put_port_no(out, version, p->no);
	of_pad(out, v10 ? 0 : 4);
	of_put_bytes(out, p->mac, 6);
	of_pad(out, v10 ? 0 : 2);
	of_put_bytes(out, p->name, OF_NAME_MAX);
	of_put(out, p->flags & OF_PORT_DOWN ? 1 : 0, 4);
	if (p->flags & OF_PORT_BLOCKED)
		state |= v10 ? 3U << 8 : 2U;
	of_put(out, state, 4);
	of_put(out, v10 ? features_to_10(p->current) : p->current, 4);
	of_put(out, v10 ? features_to_10(p->advertised) : p->advertised, 4);
	of_put(out, v10 ? features_to_10(p->supported) : p->supported, 4);
	of_put(out, v10 ? features_to_10(p->peer) : p->peer, 4);
	if (v10)
		return;
	of_put(out, p->speed_bps / 1000, 4);
	of_put(out, p->max_speed_bps / 1000, 4);
}

void of_get_port(struct of_in *in, uint8_t version, struct of_port *p)
{
	bool v10 = version == OF_VERSION_10;
	uint32_t state;

	memset(p, 0, sizeof(*p));
	p->no = of_get_port_no(in, version);
	of_skip(in, v10 ? 0 : 4);
	of_get_bytes(in, p->mac, 6);
	of_skip(in, v10 ? 0 : 2);
	of_get_bytes(in, p->name, OF_NAME_MAX); // the struct has room for the NUL
	p->flags = of_get32(in) & 1 ? OF_PORT_DOWN : 0;
	state = of_get32(in);
	p->flags |= state & 1 ? OF_PORT_LINK_DOWN : 0;
	p->flags |= (v10 ? (state >> 8 & 3) == 3 : (state & 2) != 0) ? OF_PORT_BLOCKED : 0;
	p->current = of_get32(in);
	p->advertised = of_get32(in);
	p->supported = of_get32(in);
	p->peer = of_get32(in);
	if (v10) {
		p->current = features_from_10(p->current);
		p->advertised = features_from_10(p->advertised);
		p->supported = features_from_10(p->supported);
		p->peer = features_from_10(p->peer);
		p->speed_bps = speed_of(p->current);
		p->max_speed_bps = speed_of(p->supported);
		return;
	}
	p->speed_bps = (uint64_t)of_get32(in) * 1000;
	p->max_speed_bps = (uint64_t)of_get32(in) * 1000;
}

// --- meters and groups (1.3)

int of_put_bands(struct of_out *out, const struct of_band *bands, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++) {
		put_head(out, bands[i].remark ? 2 : 1, 16);
		of_put(out, bands[i].rate, 4);
		of_put(out, bands[i].burst, 4);
		of_put(out, bands[i].remark ? bands[i].prec_level : 0, 1);
		of_pad(out, 3);
	}
	return 0;
}

int of_get_bands(struct of_in *in, struct of_band *bands, uint8_t *n, struct err *err)
{
	*n = 0;
	while (in->left > 0 && !in->bad) {
		unsigned int type = of_get16(in), len = of_get16(in);

		if ((type != 1 && type != 2) || len != 16)
			return err_set(err, EPROTO, "a meter band of type %u and length %u is not known", type, len);
		if (*n == OF_BANDS_MAX)
			return err_set(err, EPROTO, "a meter has more than %d bands", OF_BANDS_MAX);
		bands[*n] = (struct of_band){.remark = type == 2, .rate = of_get32(in)};
		bands[*n].burst = of_get32(in);
		bands[*n].prec_level = of_get8(in);
		of_skip(in, 3);
		(*n)++;
	}
	return in->bad ? err_set(err, EPROTO, "a meter band is cut off") : 0;
}

int of_put_buckets(struct of_out *out, const struct of_group_mod *g, struct err *err)
{
	int rc = 0;

	for (unsigned int i = 0; i < g->n_buckets && rc == 0; i++) {
		const struct of_bucket *b = &g->buckets[i];
		size_t at = out->n;

		of_put(out, 0, 2);
		of_put(out, b->weight, 2);
		of_put(out, b->watch_port, 4);
		of_put(out, b->watch_group, 4);
		of_pad(out, 4);
		rc = of_put_actions(out, OF_VERSION_13, b->actions, b->n_actions, err);
		of_patch16(out, at, out->n - at);
	}
	return rc;
}

int of_get_buckets(struct of_in *in, struct of_group_mod *g, struct err *err)
{
	int rc = 0;

	g->n_buckets = 0;
	while (in->left > 0 && !in->bad && rc == 0) {
		unsigned int len = of_get16(in);
		struct of_in body = of_sub(in, len < 16 ? SIZE_MAX : len - 2U);
		struct of_bucket *b = &g->buckets[g->n_buckets];

		if (body.bad)
			return err_set(err, EPROTO, "a bucket has a length of %u, which cannot be", len);
		if (g->n_buckets == OF_BUCKETS_MAX)
			return err_set(err, EPROTO, "a group has more than %d buckets", OF_BUCKETS_MAX);
		memset(b, 0, sizeof(*b));
		b->weight = of_get16(&body);
		b->watch_port = of_get32(&body);
		b->watch_group = of_get32(&body);
		of_skip(&body, 4);
		rc = of_get_actions(&body, OF_VERSION_13, b->actions, sizeof(b->actions) / sizeof(*b->actions),
				    &b->n_actions, err);
		g->n_buckets++;
	}
	return rc < 0 ? rc : in->bad ? err_set(err, EPROTO, "a bucket is cut off") : 0;
}
