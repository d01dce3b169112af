// SPDX-License-Identifier: Apache-2.0
// Any bytes as a configuration file: refused with a line that names the file, or right by what config.h promises.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "control/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct config *c)
{
	if (c->run_dir == NULL || c->run_dir[0] != '/' || c->state_dir == NULL || c->log_level == NULL ||
	    c->n_ports > 32 || c->dataplane.mtu < 576 || c->dataplane.memory_mb < 64)
		abort();
	for (unsigned int i = 0; i < c->n_ports; i++)
		if (c->ports[i].name == NULL || c->ports[i].device == NULL ||
		    (c->ports[i].rate != NULL) != (c->ports[i].rate_bps > 0))
			abort();
	for (unsigned int i = 0; i < c->n_hosts; i++)
		if (c->hosts[i].name == NULL || c->hosts[i].address == NULL)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config *c = NULL;
	struct err err = {0};
	char path[64];
	int fd = memfd_create("config", MFD_CLOEXEC);

	if (fd < 0 || write(fd, data, size) != (ssize_t)size) {
		close(fd);
		return 0;
	}
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (config_load(path, &c, &err) == 0)
		check(c);
	else if (c != NULL || err.code <= 0 || strncmp(err.msg, path, strlen(path)) != 0)
		abort();
	config_free(c);
	close(fd);
	return 0;
}
