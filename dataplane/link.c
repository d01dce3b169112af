// SPDX-License-Identifier: Apache-2.0
#include "link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "dp_log.h"

#define TURN_READ_MAX (4U << 20) // bytes read in one turn, so that instants are not missed under a flood of changes
#define TX_MAX (64U << 20)       // a controller that does not read this much is cut off
#define PENDING_MAX 1024         // commits of one turn or waiting for the workers
#define TRACES_MAX 64            // questions of one turn
#define TELL_MAX 65536           // bytes that wait for the next turn

struct buffer {
	uint8_t *data;
	size_t len, cap;
};

struct pending {
	uint64_t txn;
	uint64_t session; // where the answer goes; another one by now: nowhere
	uint32_t gen;     // 0: not built yet
};

struct link {
	struct link_conf conf;
	struct sockaddr_un addr;
	int listen_fd, fd; // fd: the session's, -1: none
	uint64_t session;  // number of the current one
	bool greeted;      // its HELLO came
	struct err stage_err;
	struct buffer rx, tx;
	struct pending pending[PENDING_MAX];
	unsigned int n_pending, n_unbuilt;
	uint64_t last_txn;
	struct proto_port ports[LINK_PORTS_MAX];
	unsigned int n_ports;
	struct proto_trace traces[TRACES_MAX];
	unsigned int n_traces;
	struct proto_capture capture; // the last one that came
	bool has_capture;
};

static void session_end(struct link *link, const char *why)
{
	if (link->fd < 0)
		return;
	dp_info("controller session %llu over: %s", (unsigned long long)link->session, why);
	close(link->fd);
	link->fd = -1;
	link->rx.len = 0;
	link->tx.len = 0;
	link->n_traces = 0;
	link->capture = (struct proto_capture){0}; // nobody is there to be told
	link->has_capture = true;
	table_unstage(link->conf.table);
}

static int buffer_reserve(struct buffer *b, size_t more)
{
	size_t cap = b->cap == 0 ? 65536 : b->cap;
	uint8_t *data;

	while (cap - b->len < more)
		cap *= 2;
	if (cap == b->cap)
		return 0;
	data = realloc(b->data, cap);
	if (data == NULL)
		return -ENOMEM;
	b->data = data;
	b->cap = cap;
	return 0;
}

// --- sending

static void flush(struct link *link)
{
	size_t sent = 0;
	ssize_t n;

	if (link->tx.len == 0)
		return;
	while (link->fd >= 0 && sent < link->tx.len) {
		n = send(link->fd, link->tx.data + sent, link->tx.len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			if (errno != EAGAIN && errno != EWOULDBLOCK)
				session_end(link, strerror(errno));
			break;
		}
		sent += (size_t)n;
	}
	if (link->fd < 0)
		return;
	memmove(link->tx.data, link->tx.data + sent, link->tx.len - sent);
	link->tx.len -= sent;
}

static void enqueue(struct link *link, const struct proto_msg *msg)
{
	if (link->fd < 0 || !link->greeted)
		return;
	if (link->tx.len > TX_MAX)
		session_end(link, "it does not read");
	else if (buffer_reserve(&link->tx, PROTO_FRAME_MAX) < 0)
		session_end(link, "out of memory");
	else
		link->tx.len += proto_encode(msg, link->tx.data + link->tx.len);
}

static void send_msg(struct link *link, const struct proto_msg *msg)
{
	enqueue(link, msg);
	flush(link);
}

static void enqueue_row(void *ctx, uint64_t key, const struct part_row *row)
{
	struct proto_msg msg = {.type = PROTO_HAVE_ROW};

	msg.have_row = (struct proto_have_row){key, row->access_category, row->meter_category};
	enqueue(ctx, &msg);
}

static void enqueue_node(void *ctx, const struct proto_node *node)
{
	struct proto_msg msg = {.type = PROTO_HAVE_NODE, .node = *node};

	enqueue(ctx, &msg);
}

static void enqueue_meter(void *ctx, const struct proto_meter *meter)
{
	struct proto_msg msg = {.type = PROTO_HAVE_METER, .meter = *meter};

	enqueue(ctx, &msg);
}

static void send_hello(struct link *link)
{
	struct proto_msg msg = {
		.type = PROTO_HELLO,
		.hello = {.version = PROTO_VERSION, .boot_id = link->conf.boot_id, .last_txn = link->last_txn},
	};

	send_msg(link, &msg);
}

// All the controller needs to send only differences.
static void send_have(struct link *link)
{
	struct proto_msg msg = {.type = PROTO_PORT};

	for (unsigned int i = 0; i < link->n_ports; i++) {
		msg.port = link->ports[i];
		enqueue(link, &msg);
	}
	table_each_row(link->conf.table, enqueue_row, link);
	table_each_node(link->conf.table, enqueue_node, link);
	table_each_meter(link->conf.table, enqueue_meter, link);
	msg = (struct proto_msg){.type = PROTO_HAVE_END};
	send_msg(link, &msg);
}

static void send_commit_failed(struct link *link, uint64_t txn, const char *why)
{
	struct proto_msg msg = {.type = PROTO_COMMIT_FAILED, .commit = {.txn = txn}};

	dp_error("transaction %llu failed: %s", (unsigned long long)txn, why);
	snprintf(msg.commit.why, sizeof(msg.commit.why), "%.*s", PROTO_TEXT_MAX - 1, why);
	send_msg(link, &msg);
}

// --- what comes in

static void on_hello(struct link *link, const struct proto_hello *hello)
{
	struct table_stats stats;

	if (link->greeted) {
		session_end(link, "a second hello");
		return;
	}
	link->greeted = true;
	send_hello(link); // also to another version: it will log what we are
	if (hello->version != PROTO_VERSION) {
		session_end(link, "it speaks another version of the protocol");
		return;
	}
	table_stats(link->conf.table, &stats);
	dp_info("controller session %llu: %u rows, %u nodes, %u meters, last transaction %llu",
		(unsigned long long)link->session, stats.n_rows, stats.n_nodes, stats.n_meters,
		(unsigned long long)link->last_txn);
	send_have(link);
}

static void on_commit(struct link *link, uint64_t txn, int64_t now_ns)
{
	struct err err = link->stage_err;

	link->stage_err.code = 0;
	if (err.code == 0 && link->n_pending == PENDING_MAX)
		err_set(&err, EBUSY, "%u transactions are waiting", PENDING_MAX);
	if (err.code != 0)
		table_unstage(link->conf.table);
	else if (table_commit(link->conf.table, now_ns, &err) == 0) {
		link->pending[link->n_pending++] = (struct pending){.txn = txn, .session = link->session};
		link->n_unbuilt++;
		return;
	}
	send_commit_failed(link, txn, err.msg);
}

static void on_msg(struct link *link, const struct proto_msg *msg, int64_t now_ns)
{
	char why[64];

	if (!link->greeted && msg->type != PROTO_HELLO) {
		session_end(link, "no hello");
		return;
	}
	switch (msg->type) {
	case PROTO_HELLO:
		on_hello(link, &msg->hello);
		break;
	case PROTO_ROW_ADD:
	case PROTO_ROW_DEL:
	case PROTO_NODE_SET:
	case PROTO_NODE_DEL:
	case PROTO_METER_SET:
	case PROTO_METER_DEL:
		if (link->stage_err.code == 0) // else the commit will say it
			table_stage(link->conf.table, msg, &link->stage_err);
		break;
	case PROTO_COMMIT:
		on_commit(link, msg->commit.txn, now_ns);
		break;
	case PROTO_CAPTURE:
		link->capture = msg->capture;
		link->has_capture = true;
		break;
	case PROTO_TRACE:
		if (link->n_traces < TRACES_MAX)
			link->traces[link->n_traces++] = msg->trace;
		else
			session_end(link, "it asks more than it waits for");
		break;
	default:
		snprintf(why, sizeof(why), "message type %d is not for a dataplane", msg->type);
		session_end(link, why);
	}
}

static void take_frames(struct link *link, int64_t now_ns)
{
	struct proto_msg msg;
	struct err err;
	size_t used = 0;
	int n = 0;

	while (link->fd >= 0 && used < link->rx.len) {
		n = proto_decode(link->rx.data + used, link->rx.len - used, &msg, &err);
		if (n < 0) {
			session_end(link, err.msg);
			return;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		on_msg(link, &msg, now_ns);
	}
	if (link->fd < 0)
		return;
	memmove(link->rx.data, link->rx.data + used, link->rx.len - used);
	link->rx.len -= used;
}

static void receive(struct link *link, int64_t now_ns)
{
	size_t total = 0;
	ssize_t n;

	while (link->fd >= 0 && total < TURN_READ_MAX) {
		if (buffer_reserve(&link->rx, 2 * PROTO_FRAME_MAX) < 0) {
			session_end(link, "out of memory");
			return;
		}
		n = recv(link->fd, link->rx.data + link->rx.len, link->rx.cap - link->rx.len, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return;
		if (n <= 0) {
			session_end(link, n == 0 ? "closed by the controller" : strerror(errno));
			return;
		}
		link->rx.len += (size_t)n;
		total += (size_t)n;
		take_frames(link, now_ns);
	}
}

static void accept_session(struct link *link)
{
	int fd;

	while ((fd = accept4(link->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
		session_end(link, "replaced by a new one");
		link->fd = fd;
		link->session++;
		link->greeted = false;
		link->stage_err.code = 0;
	}
}

// --- the contract

// Nobody may be listening there; what is left of a dead process goes.
static int remove_stale(const struct sockaddr_un *addr, struct err *err)
{
	struct stat st;
	int fd, busy;

	if (lstat(addr->sun_path, &st) < 0)
		return 0;
	if (!S_ISSOCK(st.st_mode))
		return err_set(err, EEXIST, "%s exists and is not a socket", addr->sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(err, errno, "socket: %s", strerror(errno));
	busy = connect(fd, (const struct sockaddr *)addr, sizeof(*addr)) == 0 || errno == EAGAIN;
	close(fd);
	if (busy)
		return err_set(err, EADDRINUSE, "%s: another dataplane listens there", addr->sun_path);
	unlink(addr->sun_path);
	return 0;
}

static int listen_on(struct link *link, struct err *err)
{
	const char *path = link->conf.path;

	link->addr.sun_family = AF_UNIX;
	if (strlen(path) >= sizeof(link->addr.sun_path))
		return err_set(err, ENAMETOOLONG, "%s: longer than a socket's path may be (%zu bytes)", path,
			       sizeof(link->addr.sun_path) - 1);
	memcpy(link->addr.sun_path, path, strlen(path) + 1);
	if (remove_stale(&link->addr, err) < 0)
		return -err->code;
	link->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	// Mode first: nobody may connect between bind and chmod.
	if (link->listen_fd < 0 || fchmod(link->listen_fd, 0600) < 0 ||
	    bind(link->listen_fd, (const struct sockaddr *)&link->addr, sizeof(link->addr)) < 0 ||
	    (link->conf.uid != 0 && link->conf.uid != geteuid() && chown(path, link->conf.uid, (gid_t)-1) < 0) ||
	    listen(link->listen_fd, 8) < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	return 0;
}

struct link *link_create(const struct link_conf *conf, struct err *err)
{
	struct link *link = calloc(1, sizeof(*link));

	if (link == NULL) {
		err_set(err, ENOMEM, "no memory for the link");
		return NULL;
	}
	link->conf = *conf;
	link->listen_fd = -1;
	link->fd = -1;
	if (listen_on(link, err) < 0) {
		if (link->listen_fd >= 0)
			close(link->listen_fd);
		free(link);
		link = NULL;
	}
	return link;
}

void link_destroy(struct link *link)
{
	if (link == NULL)
		return;
	session_end(link, "the dataplane stops");
	close(link->listen_fd);
	unlink(link->addr.sun_path);
	free(link->rx.data);
	free(link->tx.data);
	free(link);
}

void link_poll(const struct link *link, struct pollfd fds[LINK_POLLFDS])
{
	short out = link->tx.len > 0 ? POLLOUT : 0;

	fds[0] = (struct pollfd){.fd = link->listen_fd, .events = POLLIN};
	fds[1] = (struct pollfd){.fd = link->fd, .events = (short)(POLLIN | out)}; // -1 is ignored by poll
}

void link_send(struct link *link)
{
	if (link->fd >= 0)
		flush(link);
}

unsigned int link_turn(struct link *link, const struct pollfd fds[LINK_POLLFDS], int64_t now_ns)
{
	// First: a new session is told a table without unsettled commits.
	if (fds[0].revents != 0)
		accept_session(link);
	if (link->fd >= 0) {
		flush(link);
		receive(link, now_ns);
	}
	return link->n_unbuilt;
}

void link_built(struct link *link, uint32_t gen)
{
	for (unsigned int i = 0; i < link->n_pending; i++) {
		if (link->pending[i].gen == 0)
			link->pending[i].gen = gen;
	}
	link->n_unbuilt = 0;
}

void link_failed(struct link *link, const char *why)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < link->n_pending; i++) {
		const struct pending *p = &link->pending[i];

		if (p->gen != 0)
			link->pending[n++] = *p;
		else if (p->session == link->session)
			send_commit_failed(link, p->txn, why);
	}
	link->n_pending = n;
	link->n_unbuilt = 0;
}

void link_adopted(struct link *link, uint32_t gen, int64_t now_ns)
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < link->n_pending; i++) {
		const struct pending *p = &link->pending[i];
		struct proto_msg msg = {.type = PROTO_IN_FORCE, .commit = {.txn = p->txn, .time_ns = now_ns}};

		if (p->gen == 0 || (int32_t)(p->gen - gen) > 0) {
			link->pending[n++] = *p;
			continue;
		}
		link->last_txn = p->txn;
		if (p->session == link->session)
			send_msg(link, &msg);
	}
	link->n_pending = n;
}

uint32_t link_awaits_gen(const struct link *link)
{
	return link->n_pending == 0 ? 0 : link->pending[link->n_pending - 1].gen;
}

static bool port_equal(const struct proto_port *a, const struct proto_port *b)
{
	return a->port == b->port && a->up == b->up && a->rate_bps == b->rate_bps && memcmp(a->mac, b->mac, 6) == 0 &&
	       strcmp(a->name, b->name) == 0 && strcmp(a->device, b->device) == 0;
}

void link_port(struct link *link, const struct proto_port *port)
{
	struct proto_msg msg = {.type = PROTO_PORT, .port = *port};
	unsigned int i = 0;

	while (i < link->n_ports && link->ports[i].port != port->port)
		i++;
	if (i == LINK_PORTS_MAX)
		return; // more than any configuration has
	if (i < link->n_ports && port_equal(&link->ports[i], port))
		return;
	if (port->name[0] == '\0') { // not to be told to a session that has not heard of it
		if (i == link->n_ports)
			return;
		link->ports[i] = link->ports[--link->n_ports];
	} else {
		link->ports[i] = *port;
		link->n_ports += i == link->n_ports;
	}
	send_msg(link, &msg);
}

uint64_t link_session(const struct link *link)
{
	return link->fd >= 0 && link->greeted ? link->session : 0;
}

bool link_is_connected(const struct link *link)
{
	return link->fd >= 0;
}

void link_tell(struct link *link, const struct proto_msg *msg)
{
	enqueue(link, msg);
	if (link->tx.len >= TELL_MAX)
		flush(link);
}

bool link_next_trace(struct link *link, struct proto_trace *out)
{
	if (link->n_traces == 0)
		return false;
	*out = link->traces[0];
	link->n_traces--;
	memmove(&link->traces[0], &link->traces[1], link->n_traces * sizeof(link->traces[0]));
	return true;
}

bool link_next_capture(struct link *link, struct proto_capture *out)
{
	if (!link->has_capture)
		return false;
	link->has_capture = false;
	*out = link->capture;
	return true;
}
