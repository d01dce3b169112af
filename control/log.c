// SPDX-License-Identifier: Apache-2.0
#include "log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LINE_MAX_BYTES 2048

static const char *const level_name[] = {"error", "warning", "info", "debug"};

static struct {
	const char *role;
	enum log_level level;
	int64_t (*clock_ns)(void);
} conf = {"pane", LOG_LEVEL_INFO, NULL};

void log_init(const char *role, enum log_level level, int64_t (*clock_ns)(void))
{
	conf.role = role;
	conf.level = level;
	conf.clock_ns = clock_ns;
}

int log_level_parse(const char *text, enum log_level *level)
{
	for (size_t i = 0; i < sizeof(level_name) / sizeof(level_name[0]); i++) {
		if (strcmp(text, level_name[i]) == 0) {
			*level = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

bool log_enabled(enum log_level level)
{
	return level <= conf.level;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char words[LINE_MAX_BYTES - 128], line[LINE_MAX_BYTES];
	size_t len;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	len = log_format(line, sizeof(line), conf.clock_ns != NULL ? conf.clock_ns() : 0, level, words);
	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

size_t log_format(char *buf, size_t size, int64_t now_ns, enum log_level level, const char *words)
{
	char stamp[48] = "";
	size_t len;

	if (now_ns > 0) {
		time_t seconds = now_ns / 1000000000;
		struct tm tm;

		gmtime_r(&seconds, &tm);
		strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
		len = strlen(stamp);
		snprintf(stamp + len, sizeof(stamp) - len, ".%03dZ ", (int)(now_ns / 1000000 % 1000));
	}
	snprintf(buf, size - 1, "%s%s %s: %s", stamp, conf.role, level_name[level], words);
	len = strlen(buf);
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
			buf[i] = ' ';
	}
	buf[len++] = '\n';
	buf[len] = '\0';
	return len;
}
