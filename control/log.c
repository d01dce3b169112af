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

// The lines of late, to know one that comes again.
#define SAID_MAX 16

static struct said {
	char words[240];
	enum log_level level;
	unsigned int n; // 0: free
	int64_t since_ns;
} said[SAID_MAX];

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

static void write_line(int64_t now_ns, enum log_level level, const char *words)
{
	char line[LINE_MAX_BYTES];
	size_t len = log_format(line, sizeof(line), now_ns, level, words);

	while (write(STDERR_FILENO, line, len) < 0 && errno == EINTR)
		;
}

static int64_t clock_now(void)
{
	return conf.clock_ns != NULL ? conf.clock_ns() : 0;
}

static void tell_count(struct said *s, int64_t now_ns)
{
	char words[sizeof(s->words) + 40];

	if (s->n > LOG_SAME_MAX) {
		snprintf(words, sizeof(words), "%s (said %u times more)", s->words, s->n - LOG_SAME_MAX);
		write_line(now_ns, s->level, words);
	}
	s->n = 0;
}

void log_flush(bool at_once)
{
	int64_t now_ns = clock_now();

	for (size_t i = 0; i < SAID_MAX; i++)
		if (said[i].n > 0 &&
		    (at_once || now_ns - said[i].since_ns >= LOG_WINDOW_NS || now_ns < said[i].since_ns))
			tell_count(&said[i], now_ns);
}

// Whether the line is one too many of its like. Without a clock nothing is.
static bool is_repeated(enum log_level level, const char *words, int64_t now_ns)
{
	struct said *oldest = &said[0];

	if (conf.clock_ns == NULL)
		return false;
	log_flush(false);
	for (size_t i = 0; i < SAID_MAX; i++) {
		if (said[i].n > 0 && said[i].level == level &&
		    strncmp(said[i].words, words, sizeof(said[i].words) - 1) == 0)
			return ++said[i].n > LOG_SAME_MAX;
		if (said[i].n == 0 || (oldest->n > 0 && said[i].since_ns < oldest->since_ns))
			oldest = &said[i];
	}
	tell_count(oldest, now_ns);
	*oldest = (struct said){.level = level, .n = 1, .since_ns = now_ns};
	snprintf(oldest->words, sizeof(oldest->words), "%.*s", (int)sizeof(oldest->words) - 1, words);
	return false;
}

void log_msg(enum log_level level, const char *fmt, ...)
{
	char words[LINE_MAX_BYTES - 128];
	int64_t now_ns;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	now_ns = clock_now();
	if (level != LOG_LEVEL_DEBUG && is_repeated(level, words, now_ns))
		return;
	write_line(now_ns, level, words);
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
