// SPDX-License-Identifier: Apache-2.0
#include "dp_driver_log.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include <rte_log.h>

#include "dp_log.h"

static const char *const of_no_concern[] = {
	// of processes that share a port with ours; there are none, and EAL has no channel for them (--no-shconf)
	"Failed to register mp action callback",
	"Failed to send start req to secondary",
	"Failed to send stop req to secondary",
	// of a tap's rte_flow, which needs a qdisc of the kernel's; who asks for a rule is told that there are none
	"tap_nl_dump_ext_ack()",
	"multiq qdisc",
	"Disabling rte flow support",
	"Kernel refused TC filter rule",
};

static bool concerns(const char *line)
{
	for (size_t i = 0; i < sizeof(of_no_concern) / sizeof(of_no_concern[0]); i++) {
		if (strstr(line, of_no_concern[i]) != NULL)
			return false;
	}
	return true;
}

static enum dp_log_level level_of(int level)
{
	if (level <= 0 || level > (int)RTE_LOG_NOTICE)
		return DP_LOG_INFO;
	return level <= (int)RTE_LOG_ERR       ? DP_LOG_ERROR
	       : level == (int)RTE_LOG_WARNING ? DP_LOG_WARNING
					       : DP_LOG_NOTICE;
}

// rte_vlog() flushes after each message, and stdio has the stream locked meanwhile: what a message left unended is
// ended by the next.
static ssize_t on_write(void *cookie, const char *text, size_t len)
{
	static char line[512];
	static size_t n;

	for (size_t i = 0; i < len; i++) {
		if (text[i] != '\n')
			line[n++] = text[i];
		if (text[i] != '\n' && n < sizeof(line) - 1)
			continue;
		line[n] = '\0';
		if (n > 0 && concerns(line))
			dp_log(level_of(rte_log_cur_msg_loglevel()), "driver: %s", line);
		n = 0;
	}
	return (ssize_t)len;
}

void dp_driver_log_on(void)
{
	static FILE *stream;

	if (stream == NULL)
		stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = on_write});
	if (stream != NULL)
		rte_openlog_stream(stream);
}
