// SPDX-License-Identifier: Apache-2.0
// What Prometheus reads: every counter of every port, each under its own name, in its format.
#include "control/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics_fixture.h"

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
	struct metrics_fixture m;
	char *text;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	metrics_fixture_init(&f->m, NOW);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	metrics_fixture_fini(&f->m);
	free(f->text);
	free(f);
	return 0;
}

static void get(struct fixture *f)
{
	size_t len = 0;

	free(f->text);
	f->text = metrics_text(&f->m.src, &len);
	assert_non_null(f->text);
	assert_int_equal(strlen(f->text), len);
}

static void expect(const struct fixture *f, const char *line)
{
	const char *at = strstr(f->text, line);

	if (at == NULL || (at != f->text && at[-1] != '\n') || at[strlen(line)] != '\n')
		fail_msg("no line \"%s\" in:\n%s", line, f->text);
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
	nib_port_set(f->m.nib, &port);
	nib_port_counters(f->m.nib, 0, value, 64);
	port = (struct nib_port){.port = 1, .name = "quote\"back\\", .device = "null:"};
	nib_port_set(f->m.nib, &port);
	get(f);
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

	get(f);
	assert_null(strstr(f->text, "pane_dataplane_addresses")); // not told yet
	nib_figures_set(f->m.nib, value, 3);
	get(f);
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

	nib_port_set(f->m.nib, &port);
	nib_port_counters(f->m.nib, 0, value, 64);
	nib_figures_set(f->m.nib, value, 64);
	get(f);
	for (char *line = strtok_r(f->text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		if (sscanf(line, "# TYPE %95s", type) == 1 || line[0] == '#')
			continue;
		if (strncmp(line, type, strlen(type)) != 0 || strchr("{ ", line[strlen(type)]) == NULL)
			fail_msg("\"%s\" after the type of %s", line, type);
	}
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

// A name is explained once, in words that stand alone, and no sample is there twice: Prometheus drops the lot else.
static void names_are_explained_once_and_no_sample_comes_twice(void **state)
{
	const struct nib_port port[] = {{.port = 0, .name = "p1"}, {.port = 1, .name = "p2"}};
	const uint64_t value[64] = {0};
	struct fixture *f = *state;
	char *key[1024], *save = NULL;
	size_t n = 0;

	for (uint16_t p = 0; p < 2; p++) {
		nib_port_set(f->m.nib, &port[p]);
		nib_port_counters(f->m.nib, p, value, 64);
	}
	nib_figures_set(f->m.nib, value, 64);
	get(f);
	for (char *line = strtok_r(f->text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
		char *words = strchr(line, ' ');

		assert_true(n < sizeof(key) / sizeof(key[0]) && words != NULL);
		if (line[0] != '#') {
			*words = '\0'; // the sample without its value
		} else {
			words = strchr(strchr(words + 1, ' ') + 1, ' ');
			assert_non_null(words);
			if (words[1] == '.' || words[1] == '\0')
				fail_msg("\"%s\" does not stand alone", line);
			*words = '\0'; // "# HELP pane_rows"
		}
		key[n++] = line;
	}
	qsort(key, n, sizeof(key[0]), by_text);
	for (size_t i = 1; i < n; i++) {
		if (strcmp(key[i - 1], key[i]) == 0)
			fail_msg("\"%s\" twice", key[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(every_counter_of_a_port_has_its_line, setup, teardown),
		cmocka_unit_test_setup_teardown(figures_of_the_dataplane_and_the_controller_are_there, setup, teardown),
		cmocka_unit_test_setup_teardown(every_sample_follows_its_type, setup, teardown),
		cmocka_unit_test_setup_teardown(names_are_explained_once_and_no_sample_comes_twice, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
