// SPDX-License-Identifier: Apache-2.0
#include "port_channels.h"

#include <errno.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>

#include <rte_common.h>
#include <rte_config.h>

#include "channels.h"

static struct noted {
	unsigned int if_index; // 0: nothing is
	struct channels had;
	uint16_t first; // queue that is its
} noted[RTE_MAX_ETHPORTS];

uint32_t port_number_arg(const char *args, const char *key, uint32_t absent)
{
	for (; (args = strstr(args, key)) != NULL; args += strlen(key))
		absent = (uint32_t)strtoul(args + strlen(key), NULL, 10);
	return absent;
}

static uint16_t first_of(const char *args)
{
	return (uint16_t)port_number_arg(args, ",start_queue=", 0);
}

int port_channels_wanted(const struct port_conf *conf, const char *interface, const char *args, uint16_t *n,
			 char why[PORT_ERR_MAX])
{
	struct channels now;
	char line[CHANNELS_LINE_BYTES];
	uint32_t first = first_of(args), all;

	*n = RTE_MAX(conf->n_queues, 1);
	if (channels_get(interface, &now) < 0)
		return 0;
	all = port_number_arg(args, ",queue_count=", now.rx > first ? now.rx - first : 1);
	if (conf->without_program)
		all = RTE_MIN(all, (uint32_t)*n);
	if (all > PORT_QUEUES_MAX) {
		channels_line(interface, &now, PORT_QUEUES_MAX, line);
		return why_fail(why, E2BIG,
				"%s: interface %s has %u receive queues, and a port serves at most %u: run \"%s\"",
				conf->device, interface, now.rx, PORT_QUEUES_MAX, line);
	}
	*n = (uint16_t)RTE_MAX(all, 1U);
	return 0;
}

void port_channels_note(uint16_t port_id, const char *interface, const char *args)
{
	struct noted *p = &noted[port_id];

	*p = (struct noted){.if_index = if_nametoindex(interface), .first = first_of(args)};
	if (channels_get(interface, &p->had) < 0)
		p->if_index = 0;
}

void port_channels_forget(uint16_t port_id)
{
	noted[port_id].if_index = 0;
}

uint16_t port_channels_tx(uint16_t port_id, uint16_t n)
{
	const struct noted *p = &noted[port_id];

	if (p->if_index == 0)
		return n;
	return RTE_MIN(n, (uint16_t)(p->had.tx > p->first ? p->had.tx - p->first : 1));
}

int port_channels_changed(uint16_t port_id, char why[PORT_ERR_MAX])
{
	const struct noted *p = &noted[port_id];
	char interface[IFNAMSIZ];
	struct channels now;

	if (p->if_index == 0 || if_indextoname(p->if_index, interface) == NULL || channels_get(interface, &now) < 0 ||
	    (now.rx == p->had.rx && now.tx == p->had.tx))
		return 0;
	why_fail(why, 0, "interface %s has %u receive and %u transmit queues now, before %u and %u", interface, now.rx,
		 now.tx, p->had.rx, p->had.tx);
	return 1;
}
