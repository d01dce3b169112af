// SPDX-License-Identifier: Apache-2.0
#include "port_plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "nic-config/port.h"

static int check(const struct dp_port_conf *ports, uint32_t n, struct err *err)
{
	char why[PORT_ERR_MAX];

	if (n == 0)
		return err_set(err, EINVAL, "no ports");
	for (uint32_t i = 0; i < n; i++) {
		if (port_device_check(ports[i].device, why) < 0)
			return err_set(err, EINVAL, "port %s: %s", ports[i].name, why);
	}
	return 0;
}

// In one piece of memory.
static struct dp_port_conf *copy_ports(const struct dp_port_conf *ports, uint32_t n)
{
	size_t bytes = n * sizeof(*ports), used = bytes;
	struct dp_port_conf *out;

	for (uint32_t i = 0; i < n; i++)
		bytes += strlen(ports[i].name) + 1 + strlen(ports[i].device) + 1;
	out = malloc(bytes);
	for (uint32_t i = 0; out != NULL && i < n; i++) {
		size_t name_bytes = strlen(ports[i].name) + 1, device_bytes = strlen(ports[i].device) + 1;
		char *name = (char *)out + used, *device = name + name_bytes;

		memcpy(name, ports[i].name, name_bytes);
		memcpy(device, ports[i].device, device_bytes);
		out[i] = (struct dp_port_conf){name, device, ports[i].rate_bps};
		used += name_bytes + device_bytes;
	}
	return out;
}

int port_plan_set(struct port_plan *plan, const struct dp_port_conf *ports, uint32_t n, struct err *err)
{
	struct dp_port_conf *copy;
	int ret = check(ports, n, err);

	if (ret < 0)
		return ret;
	copy = copy_ports(ports, n);
	if (copy == NULL)
		return err_set(err, ENOMEM, "no memory");
	port_plan_clear(plan);
	*plan = (struct port_plan){copy, n, 0};
	return 0;
}

void port_plan_clear(struct port_plan *plan)
{
	free(plan->ports);
	*plan = (struct port_plan){0};
}

bool port_plan_has(const struct port_plan *plan, const char *name, const char *device, uint64_t rate_bps)
{
	for (uint32_t i = 0; i < plan->n; i++) {
		const struct dp_port_conf *conf = &plan->ports[i];

		if (strcmp(conf->name, name) == 0 && strcmp(conf->device, device) == 0 && conf->rate_bps == rate_bps)
			return true;
	}
	return false;
}

const struct dp_port_conf *port_plan_next(struct port_plan *plan)
{
	return plan->at < plan->n ? &plan->ports[plan->at++] : NULL;
}
