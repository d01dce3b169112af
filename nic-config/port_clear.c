// SPDX-License-Identifier: Apache-2.0
#include <net/if.h>
#include <stdio.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include "interface_lock.h"
#include "port.h"
#include "port_kind.h"
#include "xdp_filter.h"

int port_clear(const char *device, char why[PORT_ERR_MAX])
{
	char interface[IFNAMSIZ];
	const char *arg;
	const struct port_kind *kind = port_kind_find(device, &arg);
	uint32_t id = 0;
	int lock, rc;

	if (kind == NULL || !port_kind_is_af_xdp(kind))
		return 0;
	snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
	if (bpf_xdp_query_id((int)if_nametoindex(interface), 0, &id) < 0 || id == 0)
		return 0;
	rc = interface_lock(interface, &lock, why);
	if (rc < 0)
		return rc;
	rc = xdp_program_clear(interface, why);
	if (lock >= 0)
		close(lock);
	return rc < 0 ? rc : 1;
}
