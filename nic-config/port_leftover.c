// SPDX-License-Identifier: Apache-2.0
// ethdev has the functions for it, but shows them to drivers only.
#include "port_leftover.h"

#include <dlfcn.h>
#include <stdint.h>

#include <rte_ethdev.h>

struct rte_eth_dev;

typedef struct rte_eth_dev *(*dev_allocated)(const char *name);
typedef int (*dev_release)(struct rte_eth_dev *dev);

void port_leftover_free(const char *name)
{
	dev_allocated allocated = (dev_allocated)dlsym(RTLD_DEFAULT, "rte_eth_dev_allocated");
	dev_release release = (dev_release)dlsym(RTLD_DEFAULT, "rte_eth_dev_release_port");
	struct rte_eth_dev *dev;
	uint16_t port_id;

	if (allocated == NULL || release == NULL || rte_eth_dev_get_port_by_name(name, &port_id) == 0)
		return;
	dev = allocated(name);
	if (dev != NULL)
		release(dev);
}
