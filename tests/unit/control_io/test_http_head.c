// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP requests: what they ask for, wherever they are cut; what is none is refused with the right status.
#include "control/http_head.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/prop/hft_random.h"
#include "tests/rounds.h"

#define SEED 20261122

static const struct {
	const char *text;
	int status;
	enum http_method method;
	const char *path;
	bool keeps;
} cases[] = {
	{"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_GET, "/metrics", true},
	{"GET /metrics HTTP/1.1\nHost: a\n\n", 200, HTTP_METHOD_GET, "/metrics", true}, // LF alone ends a line, too
	{"\r\n\r\nGET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_GET, "/metrics", true},
	{"HEAD /metrics?a=b HTTP/1.1\r\nhost:a\r\n\r\n", 200, HTTP_METHOD_HEAD, "/metrics", true},
	{"POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", 200, HTTP_METHOD_OTHER, "/metrics", true},
	{"get /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_OTHER, "/metrics", true}, // names have their case
	{"GET http://a:9464/metrics?x HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_GET, "/metrics", true},
	{"GET http://a HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_GET, "/", true},
	{"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 200, HTTP_METHOD_OTHER, "*", true},
	{"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE, Close\r\n\r\n", 200, HTTP_METHOD_GET, "/", false},
	{"GET / HTTP/1.0\r\n\r\n", 200, HTTP_METHOD_GET, "/", false},
	{"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, HTTP_METHOD_GET, "/", true},
	{"GET / HTTP/1.1\r\nHost: a\r\nX: \t a \x80 b\t\r\nEmpty:\r\n\r\n", 200, HTTP_METHOD_GET, "/", true},
	// refused
	{"GET /metrics\r\n\r\n", 400, 0, NULL, false},
	{"GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1 \r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"GET /met\trics HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"G(T /metrics HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{" / HTTP/1.1\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics http/1.1\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/11\r\nHost: a\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\n\r\n", 400, 0, NULL, false}, // no Host
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost : a\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nX: b\r\n folded\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n", 400, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n", 400, 0, NULL, false},
	{"PRI * HTTP/2.0\r\n\r\n", 505, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n", 413, 0, NULL, false},
	{"GET /metrics HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 413, 0, NULL, false},
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

// From a copy that is just as long: a sanitizer sees what is read beyond it.
static bool parse(const char *text, size_t len, struct http_head *out, char **copy)
{
	bool whole;

	*copy = malloc(len > 0 ? len : 1);
	memcpy(*copy, text, len);
	whole = http_head_parse(*copy, len, out);
	return whole;
}

static void each_head_is_what_it_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CASES; i++) {
		struct http_head head;
		char *copy;

		assert_true(parse(cases[i].text, strlen(cases[i].text), &head, &copy));
		if (head.status != cases[i].status)
			fail_msg("%d, expected %d: %s", head.status, cases[i].status, cases[i].text);
		assert_int_equal(head.len, strlen(cases[i].text));
		assert_int_equal(head.keeps, cases[i].keeps);
		if (cases[i].path != NULL) {
			assert_int_equal(head.method, cases[i].method);
			assert_int_equal(head.path_len, strlen(cases[i].path));
			assert_memory_equal(head.path, cases[i].path, head.path_len);
		}
		free(copy);
	}
}

static void a_part_of_a_head_is_waited_on(void **state)
{
	(void)state;
	for (size_t i = 0; i < N_CASES; i++) {
		for (size_t len = 0; len < strlen(cases[i].text); len++) {
			struct http_head head;
			char *copy;

			assert_false(parse(cases[i].text, len, &head, &copy));
			free(copy);
		}
	}
}

static void what_follows_is_left(void **state)
{
	static const char two[] = "GET /a HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.1\r\nHost: a\r\n\r\n";
	struct http_head head;

	(void)state;
	assert_true(http_head_parse(two, strlen(two), &head));
	assert_int_equal(head.len, strlen(two) / 2);
	assert_true(http_head_parse(two + head.len, strlen(two) - head.len, &head));
	assert_memory_equal(head.path, "/b", 2);
}

static void a_head_without_end_is_refused(void **state)
{
	char text[HTTP_HEAD_MAX + 64];
	struct http_head head;

	(void)state;
	memset(text, 'a', sizeof(text));
	assert_false(http_head_parse(text, HTTP_HEAD_MAX - 1, &head));
	assert_true(http_head_parse(text, HTTP_HEAD_MAX, &head));
	assert_int_equal(head.status, 431);
	memset(text, '\n', sizeof(text)); // and empty lines without one
	assert_true(http_head_parse(text, sizeof(text), &head));
	assert_int_equal(head.status, 431);
	assert_false(head.keeps);
}

// Good heads with some of their bytes replaced: some status, and nothing beyond the data.
static void any_bytes_have_a_status(void **state)
{
	static const char bytes[] = "\r\n\t :,/?*\0\x7f\xff"
				    "aGT10";
	uint64_t seed = seed_from_env(SEED);
	unsigned long rounds = rounds_from_env(20000);
	struct rng rng;

	(void)state;
	rng = (struct rng){seed};
	print_message("seed %llu\n", (unsigned long long)seed);
	for (unsigned long i = 0; i < rounds; i++) {
		const char *from = cases[rng_below(&rng, N_CASES)].text;
		size_t len = strlen(from);
		char text[128], *copy;
		struct http_head head;

		assert_true(len < sizeof(text));
		memcpy(text, from, len);
		for (uint32_t k = rng_below(&rng, 4); k > 0; k--)
			text[rng_below(&rng, (uint32_t)len)] = bytes[rng_below(&rng, sizeof(bytes))];
		if (parse(text, len, &head, &copy)) {
			assert_in_range(head.len, 1, len);
			assert_true(head.status == 200 || !head.keeps);
			assert_true(head.status != 200 ||
				    (head.path >= copy && head.path + head.path_len <= copy + len) ||
				    (head.path_len == 1 && head.path[0] == '/'));
		}
		free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_head_is_what_it_says), cmocka_unit_test(a_part_of_a_head_is_waited_on),
		cmocka_unit_test(what_follows_is_left),      cmocka_unit_test(a_head_without_end_is_refused),
		cmocka_unit_test(any_bytes_have_a_status),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
