// SPDX-License-Identifier: Apache-2.0
// DPDK's own telemetry commands of ports, /ethdev/..., run in a thread of telemetry's, with no regard to ports that go
// meanwhile: a port that is closed frees what they read. ethdev registers them when it is loaded; this definition
// stands in front of telemetry's for that, and puts a command between that waits while ports change
// (dp_telemetry_hold).
#include <dlfcn.h>
#include <errno.h>
#include <string.h>

#include <rte_telemetry.h>

#include "dp_figures.h"

#define COMMANDS_MAX 32 // of ethdev; 22.11 has nine
#define COMMAND_BYTES 64

typedef int (*register_cmd)(const char *cmd, telemetry_cb fn, const char *help);

static struct command {
	char name[COMMAND_BYTES];
	telemetry_cb fn;
} command[COMMANDS_MAX];
static unsigned int n_commands;

static int between(const char *cmd, const char *params, struct rte_tel_data *d)
{
	int rc = -ENOENT;

	for (unsigned int i = 0; i < n_commands; i++) {
		if (strcmp(command[i].name, cmd) != 0)
			continue;
		dp_telemetry_hold(true);
		rc = command[i].fn(cmd, params, d);
		dp_telemetry_hold(false);
		break;
	}
	return rc;
}

int rte_telemetry_register_cmd(const char *cmd, telemetry_cb fn, const char *help)
{
	register_cmd next = (register_cmd)dlsym(RTLD_NEXT, "rte_telemetry_register_cmd");

	if (next == NULL)
		return -ENOSYS;
	if (strncmp(cmd, "/ethdev/", 8) == 0 && strlen(cmd) < COMMAND_BYTES && n_commands < COMMANDS_MAX) {
		strcpy(command[n_commands].name, cmd);
		command[n_commands++].fn = fn;
		fn = between;
	}
	return next(cmd, fn, help);
}
