// SPDX-License-Identifier: Apache-2.0
#include "metrics_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>

#include "http_head.h"
#include "log.h"
#include "loop.h"

#define REST_NO_FD_MS 1000 // the listener's, when a connection cannot be accepted
#define REST_FULL_MS 100   // the listener's, after so many were turned away:
#define TURNED_AWAY 64
#define UNWANTED_MAX (8 * HTTP_HEAD_MAX) // bytes behind the last request that are read and thrown away

struct client {
	struct metrics_server *server;
	struct bufferevent *bev;
	struct event *timer; // half of its life is over
	size_t unwanted;     // bytes
	bool answering;      // an answer is not sent yet: the next request waits
	bool last;           // no more requests are taken
	bool ended;          // the client sends no more
	bool old;            // half of its life is over
	LIST_ENTRY(client) next;
};

struct metrics_server {
	struct event_base *base;
	struct metrics_source src;
	struct timeval half_life;
	struct evconnlistener *listener;
	struct event *resume;
	LIST_HEAD(, client) clients;
	unsigned int n_clients;
	bool full_said; // and not yet half empty since
};

static void client_destroy(struct client *c)
{
	struct metrics_server *s = c->server;

	LIST_REMOVE(c, next);
	if (--s->n_clients <= METRICS_CLIENTS_MAX / 2)
		s->full_said = false;
	if (c->timer != NULL)
		event_free(c->timer);
	if (c->bev != NULL)
		bufferevent_free(c->bev);
	free(c);
}

// --- answers

static const char *reason_of(int status)
{
	static const struct {
		int status;
		const char *reason;
	} of[] = {{200, "OK"},
		  {400, "Bad Request"},
		  {404, "Not Found"},
		  {405, "Method Not Allowed"},
		  {413, "Content Too Large"},
		  {431, "Request Header Fields Too Large"},
		  {503, "Service Unavailable"},
		  {505, "HTTP Version Not Supported"}};
	size_t i = 0;

	while (of[i].status != status)
		i++;
	return of[i].reason;
}

// The head of an answer, with the empty line at its end. Returns its length.
static size_t answer_head(char *buf, size_t size, int status, size_t body_len, bool closes)
{
	time_t now = (time_t)(loop_clock_ns() / 1000000000);
	char date[64] = "";
	struct tm tm;
	int n;

	if (gmtime_r(&now, &tm) != NULL)
		strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	n = snprintf(buf, size,
		     "HTTP/1.1 %d %s\r\nDate: %s\r\nContent-Type: text/plain; %s\r\n"
		     "Content-Length: %zu\r\n%sConnection: %s\r\n\r\n",
		     status, reason_of(status), date, status == 200 ? "version=0.0.4" : "charset=utf-8", body_len,
		     status == 405 ? "Allow: GET, HEAD\r\n" : "", closes ? "close" : "keep-alive");
	return (size_t)n;
}

static void free_text(const void *data, size_t len, void *text)
{
	free(text);
}

// text is taken.
static int answer(struct client *c, int status, char *text, size_t len, bool with_body)
{
	struct evbuffer *out = bufferevent_get_output(c->bev);
	char head[512];
	int ret = evbuffer_add(out, head, answer_head(head, sizeof(head), status, len, c->last));

	if (ret == 0 && with_body)
		ret = evbuffer_add_reference(out, text, len, free_text, text);
	if (ret < 0 || !with_body)
		free(text);
	c->answering = true;
	bufferevent_disable(c->bev, EV_READ); // libevent would call on_read on and on while there is all it may hold
	return ret;
}

static char *words(int status, size_t *len)
{
	char *text = NULL;
	int n = status == 404 ? asprintf(&text, "there is only /metrics\n")
			      : asprintf(&text, "%s\n", reason_of(status));

	*len = n < 0 ? 0 : (size_t)n;
	return n < 0 ? NULL : text;
}

static int answer_request(struct client *c, const struct http_head *head)
{
	int status = head->status;
	size_t len = 0;
	char *text;

	if (status == 200 && (head->path_len != 8 || memcmp(head->path, "/metrics", 8) != 0))
		status = 404;
	else if (status == 200 && head->method == HTTP_METHOD_OTHER)
		status = 405;
	c->last = c->old || !head->keeps;
	text = status == 200 ? metrics_text(&c->server->src, &len) : words(status, &len);
	return text == NULL ? -ENOMEM : answer(c, status, text, len, head->method != HTTP_METHOD_HEAD);
}

// --- connections

// What comes behind the last request: were it not read, the answer could be lost with it on its way.
static int throw_away(struct client *c, struct evbuffer *in)
{
	c->unwanted += evbuffer_get_length(in);
	evbuffer_drain(in, evbuffer_get_length(in));
	return c->unwanted > UNWANTED_MAX ? -EMSGSIZE : 0;
}

// Whatever can be done with what has come. The client is gone when this returns -errno.
static int go_on(struct client *c)
{
	struct evbuffer *in = bufferevent_get_input(c->bev);
	struct http_head head;
	const char *data;
	size_t len;
	int ret;

	if (c->last)
		return throw_away(c, in) == 0 && !(c->ended && !c->answering) ? 0 : -ECONNRESET;
	if (c->answering)
		return 0;
	len = evbuffer_get_length(in);
	data = (const char *)evbuffer_pullup(in, -1);
	if (len > 0 && data == NULL)
		return -ENOMEM;
	if (len > 0 && http_head_parse(data, len, &head)) {
		ret = answer_request(c, &head);
		evbuffer_drain(in, head.len);
		return ret;
	}
	return c->ended || (c->old && len == 0) ? -ECONNRESET : 0;
}

static void on_read(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	(void)bev;
	if (go_on(c) < 0)
		client_destroy(c);
}

// The answer is with the kernel.
static void on_written(struct bufferevent *bev, void *arg)
{
	struct client *c = arg;

	c->answering = false;
	if (c->last)
		shutdown(bufferevent_getfd(bev), SHUT_WR);
	if (!c->ended)
		bufferevent_enable(bev, EV_READ);
	if (go_on(c) < 0)
		client_destroy(c);
}

static void on_event(struct bufferevent *bev, short what, void *arg)
{
	struct client *c = arg;

	(void)bev;
	c->ended = true;
	if ((what & BEV_EVENT_ERROR) != 0 || go_on(c) < 0)
		client_destroy(c);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct client *c = arg;

	(void)fd;
	(void)what;
	if (c->old || event_add(c->timer, &c->server->half_life) < 0) {
		client_destroy(c);
		return;
	}
	c->old = true;
	if (go_on(c) < 0)
		client_destroy(c);
}

// fd is taken.
static void client_create(struct metrics_server *s, evutil_socket_t fd)
{
	struct client *c = calloc(1, sizeof(*c));

	if (c == NULL) {
		close(fd);
		return;
	}
	c->server = s;
	LIST_INSERT_HEAD(&s->clients, c, next);
	s->n_clients++;
	c->timer = evtimer_new(s->base, on_timer, c);
	c->bev = bufferevent_socket_new(s->base, fd, BEV_OPT_CLOSE_ON_FREE);
	if (c->bev == NULL)
		close(fd);
	if (c->bev == NULL || c->timer == NULL || event_add(c->timer, &s->half_life) < 0) {
		client_destroy(c);
		return;
	}
	bufferevent_setwatermark(c->bev, EV_READ, 0, HTTP_HEAD_MAX);
	bufferevent_setcb(c->bev, on_read, on_written, on_event, c);
	bufferevent_enable(c->bev, EV_READ | EV_WRITE);
}

// Accepts nobody for a while: who comes waits in the kernel, and the loop has other things to do.
static void rest(struct metrics_server *s, unsigned int ms)
{
	const struct timeval pause = {ms / 1000, ms % 1000 * 1000};

	if (event_add(s->resume, &pause) == 0)
		evconnlistener_disable(s->listener);
}

static void on_rested(evutil_socket_t fd, short what, void *arg)
{
	struct metrics_server *s = arg;

	(void)fd;
	(void)what;
	evconnlistener_enable(s->listener);
}

// Says so, should the client have the time to hear it.
static void turn_away(struct metrics_server *s, evutil_socket_t fd)
{
	char text[512];
	size_t n = answer_head(text, sizeof(text), 503, 0, true);

	s->src.n_turned_away++;
	send(fd, text, n, MSG_DONTWAIT | MSG_NOSIGNAL);
	shutdown(fd, SHUT_WR);
	close(fd);
	if (!s->full_said)
		log_warning("metrics_listen: %d connections are open, who comes beyond is turned away",
			    METRICS_CLIENTS_MAX);
	s->full_said = true;
	if (s->src.n_turned_away % TURNED_AWAY == 0)
		rest(s, REST_FULL_MS);
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *addr, int len,
			  void *arg)
{
	struct metrics_server *s = arg;

	(void)listener;
	(void)addr;
	(void)len;
	if (s->n_clients >= METRICS_CLIENTS_MAX)
		turn_away(s, fd);
	else
		client_create(s, fd);
}

// No descriptor is left: whoever waits is there again in the next turn.
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
	(void)listener;
	log_warning("metrics_listen: cannot accept a connection: %s", strerror(errno));
	rest(arg, REST_NO_FD_MS);
}

static int listen_on(struct metrics_server *s, const char *listen, struct err *err)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);

	if (strrchr(listen, ':') == NULL || evutil_parse_sockaddr_port(listen, (struct sockaddr *)&addr, &len) < 0)
		return err_set(err, EINVAL, "metrics_listen: \"%.64s\": expected ADDRESS:PORT", listen);
	s->resume = evtimer_new(s->base, on_rested, s);
	if (s->resume == NULL)
		return err_set(err, ENOMEM, "metrics_listen: no memory");
	s->listener = evconnlistener_new_bind(s->base, on_connection, s,
					      LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
					      (struct sockaddr *)&addr, len);
	if (s->listener == NULL)
		return err_set(err, errno, "metrics_listen: cannot listen on %s: %s", listen, strerror(errno));
	evconnlistener_set_error_cb(s->listener, on_accept_error);
	return 0;
}

struct metrics_server *metrics_server_create(struct event_base *base, const char *listen, unsigned int life_ms,
					     const struct metrics_source *src, struct err *err)
{
	struct metrics_server *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "metrics_listen: no memory");
		return NULL;
	}
	s->base = base;
	s->src = *src;
	s->half_life = (struct timeval){life_ms / 2000, life_ms / 2 % 1000 * 1000};
	LIST_INIT(&s->clients);
	if (listen_on(s, listen, err) < 0) {
		metrics_server_destroy(s);
		s = NULL;
	}
	return s;
}

void metrics_server_destroy(struct metrics_server *s)
{
	if (s == NULL)
		return;
	for (struct client *c = LIST_FIRST(&s->clients), *next; c != NULL; c = next) {
		next = LIST_NEXT(c, next);
		client_destroy(c);
	}
	if (s->listener != NULL)
		evconnlistener_free(s->listener);
	if (s->resume != NULL)
		event_free(s->resume);
	free(s);
}
