// SPDX-License-Identifier: Apache-2.0
#include "dp_log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static const char *const level_name[] = {"error", "warning", "notice", "info"};

void dp_log(enum dp_log_level level, const char *fmt, ...)
{
	char line[1024], stamp[32];
	struct timespec now;
	struct tm tm;
	va_list ap;
	int n;

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	n = snprintf(line, sizeof(line), "%s.%03ldZ dataplane %s: ", stamp, now.tv_nsec / 1000000, level_name[level]);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - 1 - n, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	for (int i = 0; i < n; i++) {
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?'; // what others sent must not forge a line
	}
	line[n] = '\n';
	if (write(STDERR_FILENO, line, n + 1) < 0)
		return; // nobody to tell
}
