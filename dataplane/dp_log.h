// SPDX-License-Identifier: Apache-2.0
// Log lines of the dataplane process on stderr: `2026-11-20T10:00:00.123Z dataplane info: words`. One write a line.
// Thread: any but lcores that carry packets (they count instead).
#pragma once

enum dp_log_level {
	DP_LOG_ERROR,
	DP_LOG_WARNING,
	DP_LOG_NOTICE,
	DP_LOG_INFO,
};

void dp_log(enum dp_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define dp_error(...) dp_log(DP_LOG_ERROR, __VA_ARGS__)
#define dp_warning(...) dp_log(DP_LOG_WARNING, __VA_ARGS__)
#define dp_notice(...) dp_log(DP_LOG_NOTICE, __VA_ARGS__)
#define dp_info(...) dp_log(DP_LOG_INFO, __VA_ARGS__)
