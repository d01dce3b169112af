// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads: every counter of every port, each under its own name, in its format; nothing else answers.
#include "control/metrics_server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>

#include "control/dp_link.h"
#include "control/engine.h"
#include "control/realize.h"

#define NOW 1000000000

enum { // places in counters.def
#define COUNTER(name, unit, help) AT_##name,
#define COUNTER_DROP_RX COUNTER
#define COUNTER_DROP_TX COUNTER
#define COUNTER_DEVICE COUNTER
#include "dataplane/counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
};

struct fixture {
	struct event_base *base;
	struct nib *nib;
	struct engine *engine;
	struct dp_link *link;
	struct realize *realize;
	struct metrics_server *server;
	char listen[32];
	int port, status;
	char *body, *type;
};

static int free_port(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct engine_conf conf = {0};
	struct metrics_source src;
	struct err err = {0};

	f->base = event_base_new();
	f->nib = nib_create();
	f->engine = engine_create(&conf, f->nib, NOW);
	f->link = dp_link_create(f->base, "/nonexistent/link.sock", f->nib, &err);
	f->realize = realize_create(f->engine, f->link, &err);
	f->port = free_port();
	snprintf(f->listen, sizeof(f->listen), "127.0.0.1:%d", f->port);
	src = (struct metrics_source){f->nib, f->engine, f->link, f->realize, NULL};
	f->server = metrics_server_create(f->base, f->listen, &src, &err);
	if (f->server == NULL)
		fail_msg("%s", err.msg);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_server_destroy(f->server);
	realize_destroy(f->realize);
	dp_link_destroy(f->link);
	engine_destroy(f->engine);
	nib_destroy(f->nib);
	event_base_free(f->base);
	free(f->body);
	free(f->type);
	free(f);
	return 0;
}

static void on_answer(struct evhttp_request *req, void *arg)
{
	struct fixture *f = arg;
	struct evbuffer *in = req == NULL ? NULL : evhttp_request_get_input_buffer(req);
	size_t len = in == NULL ? 0 : evbuffer_get_length(in);
	const char *type;

	free(f->body);
	free(f->type);
	f->status = req == NULL ? 0 : evhttp_request_get_response_code(req);
	type = req == NULL ? NULL : evhttp_find_header(evhttp_request_get_input_headers(req), "Content-Type");
	f->type = strdup(type == NULL ? "" : type);
	f->body = calloc(1, len + 1);
	if (len > 0)
		evbuffer_remove(in, f->body, len);
	event_base_loopbreak(f->base);
}

static void get(struct fixture *f, enum evhttp_cmd_type how, const char *path)
{
	struct evhttp_connection *c = evhttp_connection_base_new(f->base, NULL, "127.0.0.1", (uint16_t)f->port);
	struct evhttp_request *req = evhttp_request_new(on_answer, f);

	evhttp_connection_set_timeout(c, 60);
	assert_int_equal(evhttp_make_request(c, req, how, path), 0);
	event_base_dispatch(f->base);
	evhttp_connection_free(c);
}

static void expect(const struct fixture *f, const char *line)
{
	const char *at = strstr(f->body, line);

	if (at == NULL || (at != f->body && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in:\n%s", line, f->body);
}

// pane_port_NAME{...} is what stands at the counter's place.
static void expect_counter(const struct fixture *f, const char *sample, int at)
{
	char line[128];

	snprintf(line, sizeof(line), "pane_port_%s %d", sample, 100 + at);
	expect(f, line);
}

static void every_counter_of_a_port_has_its_line(void **state)
{
	struct fixture *f = *state;
	struct nib_port port = {.port = 0, .up = true, .name = "p1", .device = "null:"};
	uint64_t value[64];

	for (unsigned int i = 0; i < 64; i++)
		value[i] = 100 + i;
	nib_port_set(f->nib, &port);
	nib_port_counters(f->nib, 0, value, 64);
	port = (struct nib_port){.port = 1, .name = "quote\"back\\", .device = "null:"};
	nib_port_set(f->nib, &port);
	get(f, EVHTTP_REQ_GET, "/metrics");
	assert_int_equal(f->status, 200);
	assert_string_equal(f->type, "text/plain; version=0.0.4");
	expect(f, "pane_port_up{port=\"p1\"} 1");
	expect(f, "pane_port_up{port=\"quote\\\"back\\\\\"} 0");
	expect_counter(f, "rx_packets_total{port=\"p1\"}", AT_rx_packets);
	expect_counter(f, "tx_bytes_total{port=\"p1\"}", AT_tx_bytes);
	expect_counter(f, "dropped_total{port=\"p1\",reason=\"runt\"}", AT_runt);
	expect_counter(f, "dropped_total{port=\"p1\",reason=\"tx_full\"}", AT_tx_full);
	expect_counter(f, "dev_missed_total{port=\"p1\"}", AT_dev_missed);
	expect(f, "# TYPE pane_port_rx_packets_total counter");
}

static void figures_of_the_dataplane_and_the_controller_are_there(void **state)
{
	struct fixture *f = *state;
	const uint64_t value[] = {7, 8192, 8000};

	get(f, EVHTTP_REQ_GET, "/metrics");
	assert_null(strstr(f->body, "pane_dataplane_addresses")); // not told yet
	nib_figures_set(f->nib, value, 3);
	get(f, EVHTTP_REQ_GET, "/metrics");
	expect(f, "pane_dataplane_addresses 7");
	expect(f, "pane_dataplane_buffers_free 8000");
	expect(f, "pane_requests 0");
	expect(f, "pane_link_up 0");
	expect(f, "# TYPE pane_requests gauge");
}

// HELP and TYPE once for each name, before its samples: else Prometheus drops the lot.
static void every_sample_follows_its_type(void **state)
{
	struct fixture *f = *state;
	const struct nib_port port = {.port = 0, .name = "p1"};
	const uint64_t value[64] = {0};
	char type[96] = "", *save = NULL;

	nib_port_set(f->nib, &port);
	nib_port_counters(f->nib, 0, value, 64);
	nib_figures_set(f->nib, value, 64);
	get(f, EVHTTP_REQ_GET, "/metrics");
	for (char *line = strtok_r(f->body, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "# TYPE %95s", type) == 1 || line[0] == '#')
			continue;
		if (strncmp(line, type, strlen(type)) != 0 || strchr("{ ", line[strlen(type)]) == NULL)
			fail_msg("\"%s\" after the type of %s", line, type);
	}
}

static void nothing_else_is_answered(void **state)
{
	struct fixture *f = *state;

	get(f, EVHTTP_REQ_GET, "/");
	assert_int_equal(f->status, 404);
	get(f, EVHTTP_REQ_POST, "/metrics");
	assert_int_not_equal(f->status, 200);
}

static void bad_addresses_are_refused_by_name(void **state)
{
	static const char *const bad[] = {"9464", "localhost:9464", "1.2.3.4:99999", ""};
	struct fixture *f = *state;
	const struct metrics_source src = {f->nib, f->engine, f->link, f->realize, NULL};
	struct err err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_null(metrics_server_create(f->base, bad[i], &src, &err));
		assert_non_null(strstr(err.msg, "metrics_listen: "));
	}
	assert_null(metrics_server_create(f->base, f->listen, &src, &err)); // taken
	assert_int_equal(err.code, EADDRINUSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_counter_of_a_port_has_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(figures_of_the_dataplane_and_the_controller_are_there, setup, teardown),
		cmocka_unit_test_setup_teardown(every_sample_follows_its_type, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_else_is_answered, setup, teardown),
		cmocka_unit_test_setup_teardown(bad_addresses_are_refused_by_name, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
