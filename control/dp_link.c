// SPDX-License-Identifier: Apache-2.0
// One connection at a time: connecting -> greeted -> synchronised. One transaction is in flight at most; what is wanted
// meanwhile goes into the next one. Whatever goes wrong ends in the same place: close, wait, connect, compare, send the
// difference.
#include "dp_link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "dataplane/proto.h"
#include "link_state.h"
#include "log.h"
#include "queue_book.h"

#define RETRY_MIN_MS 10
#define RETRY_MAX_MS 200
#define FAILED_MIN_MS 200 // after a refused transaction
#define FAILED_MAX_MS 5000
#define STARTING_NS 10000000000LL // that a dataplane may take until it listens

struct dp_link {
	struct event_base *base;
	struct nib *nib;
	struct sockaddr_un addr;
	struct bufferevent *bev; // NULL: no connection
	struct event *retry;
	unsigned int retry_ms, failed_ms;
	bool greeted, synced; // HELLO, HAVE_END came
	int64_t made_ns;      // CLOCK_MONOTONIC
	bool must_commit;     // the dataplane waits for a first transaction
	bool wanted, dirty;   // something was ever wanted; it is not sent yet
	bool in_flight;
	int64_t sent_ns; // the transaction in flight, CLOCK_MONOTONIC
	uint64_t boot_id, next_txn;
	char last_trouble[256]; // as logged; said once while it stays the same
	struct link_state state;
	struct dp_link_hooks hooks;
	struct {
		void (*fn)(void *ctx, const struct proto_traced *traced);
		void *ctx;
	} traced;
	struct {
		void (*fn)(void *ctx, const struct proto_captured *captured);
		void *ctx;
	} captured;
	struct dp_link_stats stats;
};

static int64_t now_ns(const struct dp_link *link)
{
	struct timeval tv;

	// The turn's instant, some ms behind: then a row just over is sent, and has no effect there.
	event_base_gettimeofday_cached(link->base, &tv);
	return (int64_t)tv.tv_sec * 1000000000 + (int64_t)tv.tv_usec * 1000;
}

static int64_t steady_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void retry_in(struct dp_link *link, unsigned int ms)
{
	struct timeval tv = {.tv_sec = ms / 1000, .tv_usec = (ms % 1000) * 1000};

	evtimer_add(link->retry, &tv);
}

// Both start at the same time, and the dataplane takes longer.
static bool is_on_its_way(const struct dp_link *link, const char *why)
{
	return link->stats.sessions == 0 && steady_ns() - link->made_ns < STARTING_NS &&
	       strcmp(why, strerror(ENOENT)) == 0;
}

// Ends the connection, if any, and tries again after ms.
static void lose(struct dp_link *link, unsigned int ms, const char *why)
{
	if (link->bev != NULL)
		bufferevent_free(link->bev);
	link->bev = NULL;
	if (link->synced)
		nib_ports_down(link->nib);
	nib_told(link->nib, INT64_MIN);
	if (strcmp(link->last_trouble, why) != 0 && !is_on_its_way(link, why)) {
		log_warning("dataplane %s: %s", link->addr.sun_path, why);
		snprintf(link->last_trouble, sizeof(link->last_trouble), "%s", why);
	}
	link->greeted = false;
	link->synced = false;
	link->in_flight = false;
	link->stats.connected = false;
	link_state_forget(&link->state);
	retry_in(link, ms);
}

static void lose_retry(struct dp_link *link, const char *why)
{
	unsigned int ms = link->retry_ms;

	link->retry_ms = ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : ms * 2;
	lose(link, ms, why);
}

static void send_msg(void *ctx, const struct proto_msg *msg)
{
	struct dp_link *link = ctx;
	uint8_t buf[PROTO_FRAME_MAX];

	// Out of memory here breaks the stream; the peer's decoder or the missing answer ends the session.
	bufferevent_write(link->bev, buf, proto_encode(msg, buf));
}

// Sends what is wanted and not there, unless a transaction is under way.
static void push(struct dp_link *link)
{
	struct link_diff_stats diff = {0};
	struct proto_msg commit = {.type = PROTO_COMMIT};

	if (!link->synced || link->in_flight || !link->wanted || !(link->dirty || link->must_commit))
		return;
	link_state_diff(&link->state, now_ns(link), send_msg, link, &diff);
	link->dirty = false;
	link->stats.rows_added += diff.rows_added;
	link->stats.rows_deleted += diff.rows_deleted;
	link->stats.nodes_set += diff.nodes_set;
	link->stats.nodes_deleted += diff.nodes_deleted;
	link->stats.meters_set += diff.meters_set;
	link->stats.meters_deleted += diff.meters_deleted;
	if (diff.rows_added + diff.rows_deleted + diff.nodes_set + diff.nodes_deleted + diff.meters_set +
			    diff.meters_deleted ==
		    0 &&
	    !link->must_commit)
		return;
	link->must_commit = false;
	link->in_flight = true;
	link->sent_ns = steady_ns();
	link->stats.txn_sent = commit.commit.txn = link->next_txn++;
	log_debug("transaction %llu: %llu rows added, %llu deleted, %llu meters set, %llu deleted",
		  (unsigned long long)commit.commit.txn, (unsigned long long)diff.rows_added,
		  (unsigned long long)diff.rows_deleted, (unsigned long long)diff.meters_set,
		  (unsigned long long)diff.meters_deleted);
	send_msg(link, &commit);
}

// --- what comes in; false: the session was lost

static bool on_hello(struct dp_link *link, const struct proto_hello *hello)
{
	char why[128];

	if (hello->version != PROTO_VERSION) {
		snprintf(why, sizeof(why), "it speaks version %u of the link, this controller %u", hello->version,
			 PROTO_VERSION);
		lose_retry(link, why);
		return false;
	}
	if (hello->boot_id != link->boot_id && link->boot_id != 0)
		log_info("dataplane %s: it has restarted", link->addr.sun_path);
	link->greeted = true;
	link->boot_id = hello->boot_id;
	link->must_commit = hello->last_txn == 0;
	if (link->next_txn <= hello->last_txn)
		link->next_txn = hello->last_txn + 1;
	return true;
}

static bool on_have_end(struct dp_link *link)
{
	log_info("dataplane %s: in session, %u rows and %u meters there", link->addr.sun_path, link->state.n_rows_there,
		 link->state.n_meters_there);
	link->synced = true;
	link->dirty = true;
	link->retry_ms = RETRY_MIN_MS;
	link->last_trouble[0] = '\0';
	link->stats.connected = true;
	link->stats.sessions++;
	if (link->hooks.compared != NULL)
		link->hooks.compared(link->hooks.ctx);
	push(link);
	return link->synced;
}

static bool on_in_force(struct dp_link *link, const struct proto_commit *commit)
{
	if (!link->in_flight || commit->txn != link->stats.txn_sent) {
		lose_retry(link, "it answers a transaction that is not under way");
		return false;
	}
	link->in_flight = false;
	link->failed_ms = FAILED_MIN_MS;
	link->stats.commits++;
	link->stats.txn_in_force = commit->txn;
	link->stats.in_force_ns = commit->time_ns;
	push(link);
	return link->synced;
}

static bool on_commit_failed(struct dp_link *link, const struct proto_commit *commit)
{
	unsigned int ms = link->failed_ms;

	link->stats.failed_commits++;
	link->failed_ms = ms * 2 > FAILED_MAX_MS ? FAILED_MAX_MS : ms * 2;
	log_error("dataplane %s: transaction %llu is not in force, the last good policy stays: %s", link->addr.sun_path,
		  (unsigned long long)commit->txn, commit->why);
	lose(link, ms, "comparing again after a failed transaction");
	return false;
}

static void on_port(struct dp_link *link, const struct proto_port *port)
{
	struct nib_port known = {.port = port->port, .up = port->up, .rate_bps = port->rate_bps};

	memcpy(known.mac, port->mac, sizeof(known.mac));
	snprintf(known.name, sizeof(known.name), "%s", port->name);
	snprintf(known.device, sizeof(known.device), "%s", port->device);
	nib_port_set(link->nib, &known);
}

static void on_host(struct dp_link *link, const struct proto_host *host)
{
	struct nib_seen seen = {.vlan = host->vlan,
				.port = host->port,
				.has_ip = host->kinds != 0,
				.ip6 = (host->kinds & MATCH_KINDS_V6) != 0,
				.ip = host->addr,
				.at_ns = steady_ns() - (int64_t)host->age_ns};
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	seen.last_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)host->age_ns;
	for (int i = 0; i < 6; i++)
		seen.mac = seen.mac << 8 | host->mac[i];
	if (host->port == PROTO_NO_PORT)
		nib_seen_forget(link->nib, seen.mac, seen.vlan);
	else
		nib_seen_set(link->nib, &seen);
}

static bool on_have(struct dp_link *link, int ret)
{
	if (ret < 0)
		lose_retry(link, "no memory for what it holds");
	return ret == 0;
}

// What may come depends on how far the session is.
static bool is_expected(const struct dp_link *link, enum proto_type type)
{
	switch (type) {
	case PROTO_HELLO:
		return !link->greeted;
	case PROTO_HAVE_ROW:
	case PROTO_HAVE_NODE:
	case PROTO_HAVE_METER:
	case PROTO_HAVE_END:
		return link->greeted && !link->synced;
	case PROTO_IN_FORCE:
	case PROTO_COMMIT_FAILED:
		return link->in_flight;
	case PROTO_PORT:
	case PROTO_COUNTERS:
		return link->greeted;
	case PROTO_HOST:
	case PROTO_ROW_COUNTS:
	case PROTO_QUEUES:
	case PROTO_TRACED:
	case PROTO_CAPTURED:
		return link->synced;
	default:
		return false;
	}
}

static void tell(struct dp_link *link, const struct proto_msg *msg)
{
	if (link->hooks.told != NULL)
		link->hooks.told(link->hooks.ctx, msg);
}

static bool on_msg(struct dp_link *link, const struct proto_msg *msg)
{
	char why[64];

	if (!is_expected(link, msg->type)) {
		snprintf(why, sizeof(why), "unexpected message of type %d", msg->type);
		lose_retry(link, why);
		return false;
	}
	nib_told(link->nib, now_ns(link));
	switch (msg->type) {
	case PROTO_HELLO:
		return on_hello(link, &msg->hello);
	case PROTO_HAVE_ROW:
		return on_have(link, link_state_have_row(&link->state, &msg->have_row));
	case PROTO_HAVE_NODE:
		return on_have(link, link_state_have_node(&link->state, &msg->node));
	case PROTO_HAVE_METER:
		return on_have(link, link_state_have_meter(&link->state, &msg->meter));
	case PROTO_HAVE_END:
		return on_have_end(link);
	case PROTO_IN_FORCE:
		return on_in_force(link, &msg->commit);
	case PROTO_COMMIT_FAILED:
		return on_commit_failed(link, &msg->commit);
	case PROTO_PORT:
		on_port(link, &msg->port);
		return true;
	case PROTO_HOST:
		on_host(link, &msg->host);
		return true;
	case PROTO_QUEUES:
		if (queue_book_tell(nib_queues(link->nib), &msg->queues))
			tell(link, msg);
		return true;
	case PROTO_ROW_COUNTS:
		tell(link, msg);
		return true;
	case PROTO_CAPTURED:
		if (link->captured.fn != NULL)
			link->captured.fn(link->captured.ctx, &msg->captured);
		return true;
	case PROTO_TRACED:
		if (link->traced.fn != NULL)
			link->traced.fn(link->traced.ctx, &msg->traced);
		return true;
	default:
		if (msg->counters.port == PROTO_NO_PORT)
			nib_figures_set(link->nib, msg->counters.value, msg->counters.n);
		else
			nib_port_counters(link->nib, msg->counters.port, msg->counters.value, msg->counters.n);
		return true;
	}
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in), used = 0;
	const uint8_t *data = evbuffer_pullup(in, -1);
	struct dp_link *link = ctx;
	struct proto_msg msg;
	struct err err;
	int n = 1;

	while (data != NULL && used < len) {
		n = proto_decode(data + used, len - used, &msg, &err);
		if (n < 0) {
			lose_retry(link, err.msg);
			return;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (!on_msg(link, &msg))
			return; // bev is gone
	}
	evbuffer_drain(in, used);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct dp_link *link = ctx;
	struct proto_msg hello = {.type = PROTO_HELLO, .hello = {.version = PROTO_VERSION}};

	if (what & BEV_EVENT_CONNECTED)
		send_msg(link, &hello);
	else if (what & BEV_EVENT_EOF)
		lose_retry(link, "it closed the session");
	else if (what & BEV_EVENT_ERROR)
		lose_retry(link, evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
}

static void on_retry(evutil_socket_t fd, short what, void *ctx)
{
	struct dp_link *link = ctx;

	link->bev = bufferevent_socket_new(link->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (link->bev == NULL) {
		lose_retry(link, "no memory to connect");
		return;
	}
	bufferevent_setcb(link->bev, on_read, NULL, on_event, link);
	bufferevent_enable(link->bev, EV_READ | EV_WRITE);
	// Later refusals come to on_event.
	if (bufferevent_socket_connect(link->bev, (struct sockaddr *)&link->addr, sizeof(link->addr)) < 0)
		lose_retry(link, strerror(errno));
}

// --- the contract

struct dp_link *dp_link_create(struct event_base *base, const char *path, struct nib *nib, struct err *err)
{
	struct dp_link *link = calloc(1, sizeof(*link));

	if (link == NULL) {
		err_set(err, ENOMEM, "no memory for the link to the dataplane");
		return NULL;
	}
	*link = (struct dp_link){.base = base, .nib = nib, .retry_ms = RETRY_MIN_MS, .failed_ms = FAILED_MIN_MS};
	link->next_txn = 1;
	link->made_ns = steady_ns();
	link_state_init(&link->state);
	link->addr.sun_family = AF_UNIX;
	link->retry = evtimer_new(base, on_retry, link);
	if (strlen(path) >= sizeof(link->addr.sun_path))
		err_set(err, ENAMETOOLONG, "%s: longer than a socket's path may be (%zu bytes)", path,
			sizeof(link->addr.sun_path) - 1);
	else if (link->retry == NULL)
		err_set(err, ENOMEM, "no memory for the link to the dataplane");
	else {
		memcpy(link->addr.sun_path, path, strlen(path) + 1);
		if (path[0] != '\0')
			retry_in(link, 0);
		return link;
	}
	dp_link_destroy(link);
	return NULL;
}

void dp_link_destroy(struct dp_link *link)
{
	if (link == NULL)
		return;
	if (link->bev != NULL)
		bufferevent_free(link->bev);
	if (link->retry != NULL)
		event_free(link->retry);
	link_state_fini(&link->state);
	free(link);
}

void dp_link_hook(struct dp_link *link, const struct dp_link_hooks *hooks)
{
	link->hooks = *hooks;
}

struct link_state *dp_link_state(struct dp_link *link)
{
	return &link->state;
}

void dp_link_hold(struct dp_link *link)
{
	link->wanted = false;
}

void dp_link_push(struct dp_link *link)
{
	link->wanted = true;
	link->dirty = true;
	// What failed before may not fail now: no reason to wait any longer.
	if (link->bev == NULL && link->failed_ms > FAILED_MIN_MS)
		retry_in(link, RETRY_MIN_MS);
	push(link);
}

void dp_link_part_meter(struct dp_link *link, uint64_t id, uint32_t parts)
{
	link->dirty |= link_state_part_meter(&link->state, id, parts);
}

void dp_link_push_parts(struct dp_link *link)
{
	push(link);
}

uint64_t dp_link_mark(const struct dp_link *link)
{
	return link->dirty || !link->wanted ? link->next_txn : link->stats.txn_sent;
}

bool dp_link_reached(const struct dp_link *link, uint64_t mark)
{
	return link->synced && (link->stats.txn_in_force >= mark || (link->wanted && !link->dirty && !link->in_flight));
}

void dp_link_on_traced(struct dp_link *link, void (*fn)(void *ctx, const struct proto_traced *traced), void *ctx)
{
	link->traced.fn = fn;
	link->traced.ctx = ctx;
}

void dp_link_on_captured(struct dp_link *link, void (*fn)(void *ctx, const struct proto_captured *captured), void *ctx)
{
	link->captured.fn = fn;
	link->captured.ctx = ctx;
}

bool dp_link_capture(struct dp_link *link, const struct proto_capture *capture)
{
	struct proto_msg msg;

	if (!link->synced)
		return false;
	msg.type = PROTO_CAPTURE;
	msg.capture = *capture;
	send_msg(link, &msg);
	return true;
}

bool dp_link_trace(struct dp_link *link, const struct proto_trace *trace)
{
	struct proto_msg msg;

	if (!link->synced)
		return false;
	msg.type = PROTO_TRACE;
	msg.trace = *trace;
	send_msg(link, &msg);
	return true;
}

void dp_link_stats(const struct dp_link *link, struct dp_link_stats *out)
{
	*out = link->stats;
	out->waits_ns = link->in_flight ? steady_ns() - link->sent_ns : 0;
}
