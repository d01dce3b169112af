// SPDX-License-Identifier: Apache-2.0
#include "dp_reconnect.h"

#include "dp_priv.h"
#include "nic-config/port.h"
#include "workers.h"

#define FIRST_NS INT64_C(1000000000)
#define LONGEST_NS (32 * FIRST_NS) // between two tries with one who does not want to

void dp_reconnect_later(struct dp_port *port, int64_t mono_ns)
{
	port->reconnect_after_ns = FIRST_NS;
	port->reconnect_ns = mono_ns + FIRST_NS;
}

void dp_reconnect(struct dp *dp, struct dp_port *port, int64_t mono_ns)
{
	char why[PORT_ERR_MAX];
	int rc;

	if (port->up || mono_ns < port->reconnect_ns)
		return;
	port->reconnect_ns = mono_ns + port->reconnect_after_ns;
	if (!port_can_reconnect(port->device))
		return;
	workers_hold(dp->workers);
	rc = port_reconnect(port->port_id, why);
	if (rc < 0) // it stands still until it is closed: nobody may poll it
		workers_port_detach(dp->workers, (uint16_t)(port - dp->port));
	workers_release(dp->workers);
	port->broken = rc < 0;
	if (port->reconnect_after_ns < LONGEST_NS)
		port->reconnect_after_ns *= 2;
}
