// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "control/log.h"

static int64_t now_ns = 1000000000000;
static int log_fd, real_stderr;

static int64_t clock_ns(void)
{
	return now_ns;
}

static int setup(void **state)
{
	log_fd = memfd_create("log", MFD_CLOEXEC);
	real_stderr = dup(STDERR_FILENO);
	log_init("test", LOG_LEVEL_INFO, clock_ns);
	return log_fd < 0 || dup2(log_fd, STDERR_FILENO) < 0;
}

static int teardown(void **state)
{
	log_flush(true);
	dup2(real_stderr, STDERR_FILENO);
	close(real_stderr);
	return close(log_fd);
}

// Lines with the text in them so far.
static int count(const char *text)
{
	char buf[65536];
	ssize_t n = pread(log_fd, buf, sizeof(buf) - 1, 0);
	int found = 0;

	assert_true(n >= 0);
	buf[n] = '\0';
	for (const char *at = buf; (at = strstr(at, text)) != NULL; at++)
		found++;
	return found;
}

static void a_line_said_again_and_again_is_counted(void **state)
{
	for (int i = 0; i < 100; i++) {
		log_warning("the same");
		log_info("one of several: %d", i % 2);
	}
	assert_int_equal(count("warning: the same\n"), LOG_SAME_MAX);
	assert_int_equal(count("one of several: 0\n"), LOG_SAME_MAX);
	now_ns += LOG_WINDOW_NS - 1;
	log_flush(false);
	assert_int_equal(count("more"), 0);
	now_ns++;
	log_flush(false);
	assert_int_equal(count("warning: the same (said 95 times more)\n"), 1);
	assert_int_equal(count("one of several: 1 (said 45 times more)\n"), 1);
	log_warning("the same");
	assert_int_equal(count("warning: the same\n"), LOG_SAME_MAX + 1);
}

static void other_lines_and_other_levels_are_not_held_back(void **state)
{
	for (int i = 0; i < 100; i++)
		log_info("line %d", i);
	assert_int_equal(count("info: line "), 100);
	for (int i = 0; i < LOG_SAME_MAX; i++) {
		log_info("both");
		log_error("both");
	}
	assert_int_equal(count("both\n"), 2 * LOG_SAME_MAX);
}

static void control_characters_forge_no_line(void **state)
{
	log_info("a\nforged: b\r\x1b[2J");
	assert_int_equal(count("a forged: b  [2J\n"), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_line_said_again_and_again_is_counted, setup, teardown),
		cmocka_unit_test_setup_teardown(other_lines_and_other_levels_are_not_held_back, setup, teardown),
		cmocka_unit_test_setup_teardown(control_characters_forge_no_line, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
