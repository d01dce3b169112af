// SPDX-License-Identifier: Apache-2.0
#include "of_conn.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VERSIONS (1U << OF_VERSION_10 | 1U << OF_VERSION_13)
#define PORTS_MAX 4096
#define HELLO_FAILED 0 // error type

enum conn_state { CONN_HELLO, CONN_FEATURES, CONN_PORTS, CONN_UP };

struct of_conn {
	struct of_conn_ops ops;
	void *ctx;
	enum conn_state state;
	uint8_t version;
	uint32_t xid;
	int64_t since_ns, heard_ns, echo_ns; // start; last bytes; last echo request, 0: none since heard_ns
	struct of_features features;
	struct of_port *ports;
	uint32_t n_ports, cap_ports;
	uint8_t *in; // an incomplete message
	size_t n_in, cap_in;
};

static void encode_and_send(struct of_conn *c, const struct of_msg *m)
{
	static uint8_t buf[OF_MSG_MAX];
	int n = of_encode(m, buf, sizeof(buf), NULL);

	if (n > 0)
		c->ops.send(c->ctx, buf, (size_t)n);
}

static void send_plain(struct of_conn *c, enum of_type type)
{
	struct of_msg m = {.version = c->version, .type = type, .xid = ++c->xid};

	encode_and_send(c, &m);
}

struct of_conn *of_conn_create(const struct of_conn_ops *ops, void *ctx, int64_t now_ns)
{
	struct of_conn *c = calloc(1, sizeof(*c));
	struct of_msg hello = {.version = OF_VERSION_13, .type = OF_HELLO, .xid = 1, .hello = {VERSIONS}};

	if (c == NULL)
		return NULL;
	c->ops = *ops;
	c->ctx = ctx;
	c->version = OF_VERSION_13;
	c->xid = 1;
	c->since_ns = c->heard_ns = now_ns;
	encode_and_send(c, &hello);
	return c;
}

void of_conn_destroy(struct of_conn *c)
{
	if (c == NULL)
		return;
	free(c->ports);
	free(c->in);
	free(c);
}

// --- ports

static struct of_port *find_port(struct of_conn *c, uint32_t no)
{
	for (uint32_t i = 0; i < c->n_ports; i++) {
		if (c->ports[i].no == no)
			return &c->ports[i];
	}
	return NULL;
}

static int set_port(struct of_conn *c, const struct of_port *port, struct err *err)
{
	struct of_port *at = find_port(c, port->no);

	if (port->no == 0 || port->no > OF_PORT_MAX) // local and other reserved ports carry no links
		return 0;
	if (at == NULL && c->n_ports == c->cap_ports) {
		uint32_t cap = c->cap_ports == 0 ? 16 : c->cap_ports * 2;
		struct of_port *ports = cap > PORTS_MAX ? NULL : reallocarray(c->ports, cap, sizeof(*ports));

		if (ports == NULL)
			return err_set(err, ENOMEM, "a switch with over %u ports, or no memory for them", c->cap_ports);
		c->ports = ports;
		c->cap_ports = cap;
	}
	if (at == NULL)
		at = &c->ports[c->n_ports++];
	*at = *port;
	return 0;
}

static int port_status(struct of_conn *c, const struct of_port_status *s, struct err *err)
{
	struct of_port *at = find_port(c, s->port.no);

	if (s->reason != 1)
		return set_port(c, &s->port, err);
	if (at != NULL)
		*at = c->ports[--c->n_ports];
	return 0;
}

// --- handshake

static int on_hello(struct of_conn *c, const struct of_msg *m, struct err *err)
{
	static const char why[] = "versions 1.0 and 1.3 are spoken";
	uint32_t theirs = m->hello.versions, common;

	if (theirs == 0) // told by the header: that version and all before it
		theirs = m->version >= 31 ? UINT32_MAX : (2U << m->version) - 1;
	common = theirs & VERSIONS;
	if (common == 0) {
		struct of_msg e = {.version = m->version == 0 ? OF_VERSION_10 : OF_VERSION_13, .type = OF_ERROR};

		e.xid = m->xid;
		e.error = (struct of_error){.type = HELLO_FAILED, .data = (const uint8_t *)why};
		e.error.data_len = sizeof(why) - 1;
		encode_and_send(c, &e);
		return err_set(err, EPROTONOSUPPORT, "the switch speaks OpenFlow 0x%02x; %s", m->version, why);
	}
	c->version = common & 1U << OF_VERSION_13 ? OF_VERSION_13 : OF_VERSION_10;
	c->state = CONN_FEATURES;
	send_plain(c, OF_FEATURES_REQUEST);
	return 0;
}

static void come_up(struct of_conn *c)
{
	struct of_msg config = {.version = c->version, .type = OF_SET_CONFIG, .xid = ++c->xid};

	config.config.miss_send_len = 0xffff; // whole packets
	encode_and_send(c, &config);
	c->state = CONN_UP;
	c->ops.up(c->ctx, c);
}

static int on_features(struct of_conn *c, const struct of_msg *m, struct err *err)
{
	struct of_msg ports = {.version = c->version, .type = OF_MULTIPART_REQUEST, .mp = {.kind = OF_MP_PORT_DESC}};
	struct of_port port;
	uint16_t at = 0;
	int rc;

	c->features = m->features;
	if (c->version == OF_VERSION_13) {
		if (m->features.auxiliary != 0)
			return err_set(err, EPROTO, "an auxiliary connection, which is not served");
		ports.xid = ++c->xid;
		encode_and_send(c, &ports);
		c->state = CONN_PORTS;
		return 0;
	}
	while ((rc = of_features_port_next(m, &at, &port, err)) > 0) {
		rc = set_port(c, &port, err);
		if (rc < 0)
			return rc;
	}
	if (rc == 0)
		come_up(c);
	return rc;
}

static int on_ports(struct of_conn *c, const struct of_msg *m, struct err *err)
{
	union of_mp_entry entry;
	uint16_t at = 0;
	int rc;

	while ((rc = of_mp_next(m, &at, &entry, err)) > 0) {
		rc = set_port(c, &entry.port, err);
		if (rc < 0)
			return rc;
	}
	if (rc == 0 && !m->mp.more)
		come_up(c);
	return rc;
}

static int on_message(struct of_conn *c, const struct of_msg *m, struct err *err)
{
	struct of_msg echo = {.version = m->version, .type = OF_ECHO_REPLY, .xid = m->xid, .raw = m->raw};
	int rc = 0;

	if (m->type == OF_ECHO_REQUEST) {
		encode_and_send(c, &echo);
		return 0;
	}
	if (m->type == OF_HELLO)
		return c->state == CONN_HELLO ? on_hello(c, m, err) : 0;
	if (c->state == CONN_HELLO)
		return err_set(err, EPROTO, "a switch that does not start with a hello");
	if (m->type == OF_ECHO_REPLY)
		return 0;
	if (m->version != c->version)
		return err_set(err, EPROTO, "a message of OpenFlow version 0x%02x in a session of 0x%02x", m->version,
			       c->version);
	if (m->type == OF_PORT_STATUS)
		rc = port_status(c, &m->port_status, err);
	if (rc < 0)
		return rc;
	if (c->state == CONN_FEATURES && m->type == OF_FEATURES_REPLY)
		return on_features(c, m, err);
	if (c->state == CONN_PORTS && m->type == OF_MULTIPART_REPLY && m->mp.kind == OF_MP_PORT_DESC)
		return on_ports(c, m, err);
	if (c->state == CONN_UP)
		c->ops.message(c->ctx, c, m);
	return 0; // before that nothing else is of interest
}

// --- bytes

static int one_message(struct of_conn *c, const uint8_t *bytes, size_t len, struct err *err)
{
	struct of_msg m;
	int rc = of_decode(bytes, len, &m, err);

	return rc < 0 ? rc : on_message(c, &m, err);
}

// Keeps bytes until the message they begin is whole.
static int keep(struct of_conn *c, const uint8_t *bytes, size_t len, struct err *err)
{
	if (c->n_in + len > c->cap_in) {
		size_t cap = (c->n_in + len) * 2;
		uint8_t *in = realloc(c->in, cap);

		if (in == NULL)
			return err_set(err, ENOMEM, "no memory for a message of a switch");
		c->in = in;
		c->cap_in = cap;
	}
	memcpy(c->in + c->n_in, bytes, len);
	c->n_in += len;
	return 0;
}

int of_conn_input(struct of_conn *c, const uint8_t *bytes, size_t len, int64_t now_ns, struct err *err)
{
	size_t at = 0;
	int rc = 0, n;

	c->heard_ns = now_ns;
	c->echo_ns = 0;
	if (c->n_in > 0) {
		rc = keep(c, bytes, len, err);
		bytes = c->in;
		len = c->n_in;
	}
	while (rc == 0 && (n = of_frame(bytes + at, len - at, err)) != 0) {
		if (n < 0)
			return n;
		if ((size_t)n > len - at)
			break;
		rc = one_message(c, bytes + at, (size_t)n, err);
		at += (size_t)n;
	}
	if (rc < 0)
		return rc;
	if (bytes == c->in) {
		memmove(c->in, c->in + at, len - at);
		c->n_in = len - at;
		return 0;
	}
	return len > at ? keep(c, bytes + at, len - at, err) : 0;
}

int of_conn_turn(struct of_conn *c, int64_t now_ns, struct err *err)
{
	if (c->state != CONN_UP && now_ns - c->since_ns >= OF_CONN_HANDSHAKE_NS)
		return err_set(err, ETIMEDOUT, "the switch did not finish its handshake in %lld s",
			       OF_CONN_HANDSHAKE_NS / 1000000000);
	if (now_ns - c->heard_ns >= OF_CONN_DEAD_NS)
		return err_set(err, ETIMEDOUT, "the switch has been silent for %lld s", OF_CONN_DEAD_NS / 1000000000);
	if (c->state == CONN_UP && c->echo_ns == 0 && now_ns - c->heard_ns >= OF_CONN_IDLE_NS) {
		c->echo_ns = now_ns;
		send_plain(c, OF_ECHO_REQUEST);
	}
	return 0;
}

int64_t of_conn_next_ns(const struct of_conn *c)
{
	if (c->state != CONN_UP)
		return c->since_ns + OF_CONN_HANDSHAKE_NS;
	return c->heard_ns + (c->echo_ns == 0 ? OF_CONN_IDLE_NS : OF_CONN_DEAD_NS);
}

uint32_t of_conn_send(struct of_conn *c, struct of_msg *m, struct err *err)
{
	static uint8_t buf[OF_MSG_MAX];
	int n;

	m->version = c->version;
	m->xid = ++c->xid == 0 ? ++c->xid : c->xid;
	n = of_encode(m, buf, sizeof(buf), err);
	if (n < 0)
		return 0;
	c->ops.send(c->ctx, buf, (size_t)n);
	return m->xid;
}

bool of_conn_is_up(const struct of_conn *c)
{
	return c->state == CONN_UP;
}

uint8_t of_conn_version(const struct of_conn *c)
{
	return c->version;
}

const struct of_features *of_conn_features(const struct of_conn *c)
{
	return &c->features;
}

const struct of_port *of_conn_ports(const struct of_conn *c, uint32_t *n_ports)
{
	*n_ports = c->n_ports;
	return c->ports;
}
