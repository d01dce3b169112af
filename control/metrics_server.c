// SPDX-License-Identifier: Apache-2.0
#include "metrics_server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>
#include <event2/http.h>
#include <event2/listener.h>
#include <event2/util.h>

#define HEADERS_MAX 8192
#define TIMEOUT_S 10

struct metrics_server {
	struct metrics_source src;
	struct evhttp *http;
};

static void free_text(const void *data, size_t len, void *text)
{
	free(text);
}

static void on_metrics(struct evhttp_request *req, void *arg)
{
	struct metrics_server *s = arg;
	struct evbuffer *body = evhttp_request_get_output_buffer(req);
	size_t len = 0;
	char *text = metrics_text(&s->src, &len);

	if (text == NULL || evbuffer_add_reference(body, text, len, free_text, text) < 0) {
		free(text);
		evhttp_send_error(req, HTTP_SERVUNAVAIL, NULL);
		return;
	}
	evhttp_add_header(evhttp_request_get_output_headers(req), "Content-Type", "text/plain; version=0.0.4");
	evhttp_send_reply(req, HTTP_OK, "OK", NULL);
}

static void on_other(struct evhttp_request *req, void *arg)
{
	evhttp_send_error(req, HTTP_NOTFOUND, "there is only /metrics");
}

static int bind_to(struct metrics_server *s, struct event_base *base, const char *listen, struct err *err)
{
	struct sockaddr_storage addr;
	int len = sizeof(addr);
	struct evconnlistener *listener;

	if (strrchr(listen, ':') == NULL || evutil_parse_sockaddr_port(listen, (struct sockaddr *)&addr, &len) < 0)
		return err_set(err, EINVAL, "metrics_listen: \"%.64s\": expected ADDRESS:PORT", listen);
	listener = evconnlistener_new_bind(base, NULL, NULL,
					   LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
					   (struct sockaddr *)&addr, len);
	if (listener == NULL)
		return err_set(err, errno, "metrics_listen: cannot listen on %s: %s", listen, strerror(errno));
	if (evhttp_bind_listener(s->http, listener) == NULL) {
		evconnlistener_free(listener);
		return err_set(err, ENOMEM, "metrics_listen: no memory");
	}
	return 0;
}

struct metrics_server *metrics_server_create(struct event_base *base, const char *listen,
					     const struct metrics_source *src, struct err *err)
{
	struct metrics_server *s = calloc(1, sizeof(*s));

	if (s == NULL) {
		err_set(err, ENOMEM, "metrics_listen: no memory");
		return NULL;
	}
	s->src = *src;
	s->http = evhttp_new(base);
	if (s->http == NULL) {
		err_set(err, ENOMEM, "metrics_listen: no memory");
		metrics_server_destroy(s);
		return NULL;
	}
	evhttp_set_allowed_methods(s->http, EVHTTP_REQ_GET | EVHTTP_REQ_HEAD);
	evhttp_set_max_headers_size(s->http, HEADERS_MAX);
	evhttp_set_max_body_size(s->http, 0);
	evhttp_set_timeout(s->http, TIMEOUT_S);
	evhttp_set_cb(s->http, "/metrics", on_metrics, s);
	evhttp_set_gencb(s->http, on_other, s);
	if (bind_to(s, base, listen, err) < 0) {
		metrics_server_destroy(s);
		s = NULL;
	}
	return s;
}

void metrics_server_destroy(struct metrics_server *s)
{
	if (s == NULL)
		return;
	if (s->http != NULL)
		evhttp_free(s->http);
	free(s);
}
