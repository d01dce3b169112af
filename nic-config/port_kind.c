// SPDX-License-Identifier: Apache-2.0
#include "port_kind.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_ring.h>

#include "af_packet_sockets.h"
#include "port_queues.h"

#define AF_PACKET_HEADER_BYTES 128 // what the kernel puts before a frame in its ring, rounded up

int port_kind_name_len(const char *arg)
{
	return (int)strcspn(arg, ",");
}

static bool is_interface_name(const char *arg)
{
	int len = port_kind_name_len(arg);

	if (len == 0 || len >= IFNAMSIZ || arg[0] == '.')
		return false;
	for (int i = 0; i < len; i++) {
		if (!isgraph((unsigned char)arg[i]) || strchr("/:=", arg[i]) != NULL)
			return false;
	}
	return true;
}

static bool is_any(const char *arg)
{
	return true;
}

static bool is_not_empty(const char *arg)
{
	return port_kind_name_len(arg) > 0;
}

static bool is_ring_name(const char *arg)
{
	return arg[0] != '\0' && strlen(arg) < RTE_RING_NAMESIZE - 4 && strchr(arg, ',') == NULL;
}

// One side may be empty, not both.
static bool is_file_pair(const char *arg)
{
	int in = port_kind_name_len(arg), out;

	if (arg[in] != ',')
		return false;
	out = port_kind_name_len(arg + in + 1);
	arg += in + 1 + out;
	return in + out > 0 && (*arg == '\0' || strchr(arg, '=') != NULL);
}

static bool is_pci_address(const char *arg)
{
	unsigned int domain, bus, dev, fn;
	int used = 0;

	if (sscanf(arg, "%4x:%2x:%2x.%1x%n", &domain, &bus, &dev, &fn, &used) != 4) {
		used = 0;
		if (sscanf(arg, "%2x:%2x.%1x%n", &bus, &dev, &fn, &used) != 3)
			return false;
	}
	return used == port_kind_name_len(arg) && dev < 32 && fn < 8;
}

// The rest after "IF": "" or ",key=value...".
static void args_af_xdp(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "iface=%.*s,start_queue=0,queue_count=%u%s", port_kind_name_len(arg), arg,
		 conf->n_queues, arg + port_kind_name_len(arg));
}

static void args_af_packet(const struct port_conf *conf, const char *arg, char *args)
{
	unsigned int frame = 2048;

	af_packet_sockets_mend();
	while (frame < (unsigned int)conf->mtu + PORT_L2_OVERHEAD_BYTES + AF_PACKET_HEADER_BYTES)
		frame *= 2;
	snprintf(args, PORT_ARGS_MAX, "iface=%.*s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=%u,qdisc_bypass=1%s",
		 port_kind_name_len(arg), arg, conf->n_queues, frame, RTE_MAX(frame, 4096u), PORT_AF_PACKET_FRAMES,
		 arg + port_kind_name_len(arg));
}

static void args_interface(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "iface=%s", arg);
}

static void args_vhost(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "iface=%.*s,queues=%u%s", port_kind_name_len(arg), arg, conf->n_queues,
		 arg + port_kind_name_len(arg));
}

static void args_pcap(const struct port_conf *conf, const char *arg, char *args)
{
	int in = port_kind_name_len(arg);
	const char *out = arg + in + 1;

	snprintf(args, PORT_ARGS_MAX, "%s%.*s%s%s%s", in > 0 ? "rx_pcap=" : "", in, arg,
		 in > 0 && port_kind_name_len(out) > 0 ? "," : "", port_kind_name_len(out) > 0 ? "tx_pcap=" : "", out);
}

// By itself the driver invents frames; here it is silent unless told otherwise.
static void args_null(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "%s", arg[0] == '\0' ? "no-rx=1" : arg);
}

static void args_plain(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "%s", arg);
}

static const struct port_kind kinds[] = {
	{"af_xdp", "net_af_xdp", "af_xdp:INTERFACE", is_interface_name, args_af_xdp, true, true},
	{"af_packet", "net_af_packet", "af_packet:INTERFACE", is_interface_name, args_af_packet, true, true},
	{"tap", "net_tap", "tap:NAME of the new interface", is_interface_name, args_interface, false, true},
	{"pcap", "net_pcap", "pcap:IN,OUT[,ARGS] (two files; one may be left out)", is_file_pair, args_pcap, false,
	 true},
	{"ring", NULL, "ring:NAME of 1 to 24 characters without comma", is_ring_name, args_plain, false, false},
	{"null", "net_null", "null: or null:size=64", is_any, args_null, false, true},
	{"memif", "net_memif", "memif:role=server,id=0,socket=PATH", is_any, args_plain, false, false},
	{"vhost", "net_vhost", "vhost:SOCKET", is_not_empty, args_vhost, false, false},
	{"pci", NULL, "pci:0000:03:00.0", is_pci_address, args_plain, false, true},
};

const struct port_kind *port_kind_find(const char *device, const char **arg)
{
	for (size_t i = 0; i < RTE_DIM(kinds); i++) {
		size_t len = strlen(kinds[i].prefix);

		if (strncmp(device, kinds[i].prefix, len) == 0 && device[len] == ':') {
			*arg = device + len + 1;
			return &kinds[i];
		}
	}
	return NULL;
}

bool port_kind_is_af_xdp(const struct port_kind *kind)
{
	return strcmp(kind->prefix, "af_xdp") == 0;
}

int port_device_check(const char *device, char why[PORT_ERR_MAX])
{
	const char *arg;
	const struct port_kind *kind = port_kind_find(device, &arg);

	if (kind == NULL)
		return why_fail(
			why, EINVAL,
			"device \"%.64s\": expected af_xdp:, af_packet:, tap:, pcap:, ring:, null:, memif:, vhost: "
			"or pci:",
			device);
	if (strlen(arg) > PORT_ARGS_MAX / 2 || !kind->is_valid(arg))
		return why_fail(why, EINVAL, "device \"%.64s\": expected %s", device, kind->expected);
	return 0;
}
