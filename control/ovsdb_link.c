// SPDX-License-Identifier: Apache-2.0
#include "ovsdb_link.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "log.h"
#include "loop.h"
#include "of_net.h"
#include "of_server.h"

#define LINKS_MAX 64
#define RETRY_S 1 // after a failure, twice as long after each further one
#define RETRY_MOST_S 16
#define OUTPUT_MAX_BYTES (64 << 20) // of a database that does not read

struct link {
	struct event_base *base;
	struct sockaddr_storage addr;
	int addr_len;
	char name[120];
	struct bufferevent *bev; // NULL: waits to try again
	struct event *retry;
	struct ovsdb *db;
	bool there, told; // it has answered; that it cannot be reached
	bool stuck;       // it does not read
	int retry_s;
	uint64_t n_updates; // of what was told of its bridges
};

struct ovsdb_links {
	struct link all[LINKS_MAX];
	unsigned int n;
	uint64_t gen; // of the queues that were told last
};

static int parse(const char *text, struct sockaddr_storage *addr, int *len)
{
	struct sockaddr_un *un = (struct sockaddr_un *)addr;

	memset(addr, 0, sizeof(*addr));
	*len = sizeof(*addr);
	if (strncmp(text, "tcp:", 4) == 0)
		return evutil_parse_sockaddr_port(text + 4, (struct sockaddr *)addr, len);
	if (strncmp(text, "unix:", 5) != 0 || text[5] != '/' || strlen(text + 5) >= sizeof(un->sun_path))
		return -1;
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, text + 5, strlen(text + 5) + 1);
	*len = sizeof(*un);
	return 0;
}

// Calls fn for each target. 0, or -EINVAL with err.
static int each_target(const char *targets, int (*fn)(void *ctx, const char *text), void *ctx, struct err *err)
{
	struct sockaddr_storage addr;
	char one[128];
	int len;

	for (const char *at = targets; *at != '\0';) {
		size_t n = strcspn(at, ",");

		snprintf(one, sizeof(one), "%.*s", (int)(n < sizeof(one) ? n : 0), at);
		if (parse(one, &addr, &len) < 0)
			return err_set(err, EINVAL, "'%.*s' is neither unix:/PATH nor tcp:ADDRESS:PORT",
				       (int)(n < 200 ? n : 200), at);
		if (fn != NULL && fn(ctx, one) < 0)
			return err_set(err, EINVAL, "over %d databases, or out of memory", LINKS_MAX);
		at += n + (at[n] == ',');
	}
	return 0;
}

int ovsdb_links_check(const char *targets, struct err *err)
{
	return each_target(targets, NULL, NULL, err);
}

static void db_send(void *ctx, const char *text, size_t len)
{
	struct link *l = ctx;

	if (l->bev == NULL)
		return;
	if (bufferevent_write(l->bev, text, len) < 0 ||
	    evbuffer_get_length(bufferevent_get_output(l->bev)) > OUTPUT_MAX_BYTES)
		l->stuck = true;
}

static void db_note(void *ctx, const char *text)
{
	const struct link *l = ctx;

	log_warning("openflow: database %s: %s", l->name, text);
}

static void give_up(struct link *l, const char *why)
{
	const struct timeval later = {.tv_sec = l->retry_s};

	if (!l->told)
		log_warning("openflow: database %s: %s; tries again", l->name, why);
	l->told = true;
	if (l->bev != NULL)
		bufferevent_free(l->bev);
	l->bev = NULL;
	l->there = l->stuck = false;
	ovsdb_gone(l->db);
	event_add(l->retry, &later);
	l->retry_s = 2 * l->retry_s < RETRY_MOST_S ? 2 * l->retry_s : RETRY_MOST_S;
}

// Who only takes connections is not there.
static void answers(struct link *l)
{
	log_info("openflow: database %s is there", l->name);
	l->there = true;
	l->told = false;
	l->retry_s = RETRY_S;
}

static void on_read(struct bufferevent *bev, void *ctx)
{
	struct evbuffer *in = bufferevent_get_input(bev);
	size_t len = evbuffer_get_length(in);
	struct link *l = ctx;
	struct err err;
	int rc = ovsdb_input(l->db, (const char *)evbuffer_pullup(in, -1), len, loop_uptime_ns(), &err);

	evbuffer_drain(in, len);
	if (rc < 0 || l->stuck)
		give_up(l, rc < 0 ? err.msg : "does not read");
	else if (!l->there)
		answers(l);
}

static void on_event(struct bufferevent *bev, short what, void *ctx)
{
	struct link *l = ctx;

	if (what & BEV_EVENT_CONNECTED) {
		ovsdb_connected(l->db);
	} else if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) {
		give_up(l, what & BEV_EVENT_EOF ? "is gone" : "cannot be reached");
	}
	(void)bev;
}

static void try_to_connect(evutil_socket_t fd, short what, void *ctx)
{
	struct link *l = ctx;

	l->bev = bufferevent_socket_new(l->base, -1, BEV_OPT_CLOSE_ON_FREE | BEV_OPT_DEFER_CALLBACKS);
	if (l->bev == NULL) {
		give_up(l, "out of memory");
		return;
	}
	bufferevent_setcb(l->bev, on_read, NULL, on_event, l);
	bufferevent_enable(l->bev, EV_READ | EV_WRITE);
	if (bufferevent_socket_connect(l->bev, (struct sockaddr *)&l->addr, l->addr_len) < 0)
		give_up(l, "cannot be reached");
	(void)fd;
	(void)what;
}

struct adding {
	struct ovsdb_links *links;
	struct event_base *base;
};

static int add_link(void *ctx, const char *text)
{
	struct adding *a = ctx;
	struct link *l = &a->links->all[a->links->n];
	const struct ovsdb_ops ops = {db_send, db_note, l};

	if (a->links->n == LINKS_MAX)
		return -1;
	snprintf(l->name, sizeof(l->name), "%.*s", (int)sizeof(l->name) - 1, text);
	parse(text, &l->addr, &l->addr_len);
	l->base = a->base;
	l->retry_s = RETRY_S;
	l->db = ovsdb_create(&ops);
	l->retry = evtimer_new(a->base, try_to_connect, l);
	a->links->n++; // destroyed with the others
	if (l->db == NULL || l->retry == NULL)
		return -1;
	try_to_connect(-1, 0, l);
	return 0;
}

struct ovsdb_links *ovsdb_links_create(struct event_base *base, const char *targets, struct err *err)
{
	struct adding a = {calloc(1, sizeof(*a.links)), base};

	if (a.links == NULL) {
		err_set(err, ENOMEM, "out of memory");
		return NULL;
	}
	if (each_target(targets, add_link, &a, err) < 0) {
		ovsdb_links_destroy(a.links);
		return NULL;
	}
	return a.links;
}

void ovsdb_links_destroy(struct ovsdb_links *l)
{
	for (unsigned int i = 0; l != NULL && i < l->n; i++) {
		if (l->all[i].bev != NULL)
			bufferevent_free(l->all[i].bev);
		if (l->all[i].retry != NULL)
			event_free(l->all[i].retry);
		ovsdb_destroy(l->all[i].db);
	}
	free(l);
}

static void on_bridge(void *ctx, uint64_t dpid, bool ignores_queues)
{
	of_server_ignores_queues(ctx, dpid, ignores_queues);
}

static void look_at_bridges(struct link *l, struct of_server *server, bool anew)
{
	struct ovsdb_stats stats;

	ovsdb_stats(l->db, &stats);
	if (anew || stats.n_updates != l->n_updates)
		ovsdb_bridges(l->db, on_bridge, server);
	l->n_updates = stats.n_updates;
}

void ovsdb_links_follow(struct ovsdb_links *l, struct of_server *server)
{
	const struct of_net *net = of_server_net(server);
	struct ovsdb_queue *queues = NULL;
	struct ovsdb_wish wish = {0};
	uint64_t *but = NULL;
	int n = of_net_queues(net, &l->gen, &queues), n_but = n < 0 ? n : of_net_queues_of(net, &wish.known, &but);
	bool lost = n >= 0 && n_but < 0;

	if (n >= 0 && n_but >= 0) {
		wish.queues = queues;
		wish.n_queues = (uint32_t)n;
		wish.but = but;
		wish.n_but = (uint32_t)n_but;
	}
	for (unsigned int i = 0; i < l->n; i++) {
		struct err err;

		if (l->all[i].bev != NULL && ovsdb_alive(l->all[i].db, loop_uptime_ns(), &err) < 0)
			give_up(&l->all[i], err.msg);
		look_at_bridges(&l->all[i], server, n >= 0);
		if (n < 0 || n_but < 0)
			ovsdb_turn(l->all[i].db, loop_uptime_ns());
		else if (ovsdb_want(l->all[i].db, &wish, loop_uptime_ns()) < 0)
			lost = true;
	}
	if (lost) {
		log_error("openflow: no memory for the queues that databases should have; tries again");
		l->gen = 0; // of nothing that was placed: asked for again in the next turn
	}
	if (n >= 0)
		free(queues);
	free(but);
}
