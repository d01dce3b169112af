// SPDX-License-Identifier: Apache-2.0
// The kinds of devices: what a device's text may say, and the arguments that DPDK's driver is given for it. Values and
// functions; args_af_packet alone does something (af_packet_sockets_mend). Thread: any but for that.
#pragma once
#include <stdbool.h>

#include "port.h"

#define PORT_ARGS_MAX 512

struct port_kind {
	const char *prefix;
	const char *driver; // NULL: not a virtual device made by name
	const char *expected;
	bool (*is_valid)(const char *arg);
	void (*format_args)(const struct port_conf *conf, const char *arg, char *args);
	bool is_interface; // arg starts with the name of a kernel interface that must exist
	bool has_queues;   // may have more than one
	uint16_t mtu_max;
	uint8_t n_names;       // what comes before arguments of the driver: so many texts with commas between
	const char *keys;      // of the driver, a blank after each; NULL: not known
	bool longer_than_said; // frames of MTUs up to mtu_max pass, though the driver says 1518 bytes
};

// *arg: what follows the colon. NULL: there is no such kind.
const struct port_kind *port_kind_find(const char *device, const char **arg);
bool port_kind_is_af_xdp(const struct port_kind *kind);
int port_kind_name_len(const char *arg); // characters up to the first comma
