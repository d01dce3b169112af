// SPDX-License-Identifier: Apache-2.0
// Log lines on stderr: `2026-11-20T10:00:00.123Z controller info: words`. One write(2) a line, control characters
// replaced, so that what a client sends cannot forge a line. A line that is said again and again is written
// LOG_SAME_MAX times in LOG_WINDOW_NS, and then counted: `... (said 17 times more)`. Reads no clock of its own. Owner:
// the process. Thread: control only (supervisor, controller).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum log_level {
	LOG_LEVEL_ERROR,
	LOG_LEVEL_WARNING,
	LOG_LEVEL_INFO,
	LOG_LEVEL_DEBUG,
};

#define LOG_SAME_MAX 5
#define LOG_WINDOW_NS 10000000000

// role: first word of a line, borrowed (a literal). clock_ns: ns since the epoch, NULL: lines carry no time.
void log_init(const char *role, enum log_level level, int64_t (*clock_ns)(void));
// "error", "warning", "info" or "debug": 0, or -EINVAL.
int log_level_parse(const char *text, enum log_level *level);
bool log_enabled(enum log_level level);
void log_msg(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
// The line as log_msg would write it, with newline, cut to size. Returns its length.
size_t log_format(char *buf, size_t size, int64_t now_ns, enum log_level level, const char *words);

// Writes what was counted, where its time is over or (at_once) in any case: the role calls it now and then and at its
// end.
void log_flush(bool at_once);

#define log_error(...) log_msg(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_msg(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_msg(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_msg(LOG_LEVEL_DEBUG, __VA_ARGS__)
