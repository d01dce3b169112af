// SPDX-License-Identifier: Apache-2.0
#include "port_kind.h"

#include <ctype.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include <rte_ring.h>

#include "af_packet_sockets.h"
#include "interface_mtu.h"
#include "port_queues.h"

#define AF_PACKET_HEADER_BYTES 128 // what the kernel puts before a frame in its ring, rounded up
#define AF_PACKET_BLOCK 4096       // blocks of a ring are whole pages
#define XDP_HEADER_BYTES 256       // what the kernel keeps before a frame in a buffer of af_xdp (XDP_PACKET_HEADROOM)
#define ROOM_LEAST 2048
// The kernel takes buffers of af_xdp of a page at most. Of it a mempool has 64 bytes, and 64 more where it keeps
// buffers from falling on the same memory channel; the mbuf and its headroom have 256.
#define XDP_FRAME_MAX (4096 - 2 * 64 - 256 - XDP_HEADER_BYTES)
#define XDP_MTU_MAX (XDP_FRAME_MAX - PORT_L2_OVERHEAD_BYTES)
#define TAP_MTU_MAX (1522 - 18) // the driver's own

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

// A place in a ring of af_packet. Its blocks are few pages long, and hold a power of two of them, as the number of all
// is; the driver wants buffers not much smaller.
static uint32_t af_packet_frame_bytes(uint16_t mtu)
{
	uint32_t need = mtu + (uint32_t)PORT_L2_OVERHEAD_BYTES + AF_PACKET_HEADER_BYTES;

	return need <= ROOM_LEAST ? ROOM_LEAST : RTE_ALIGN_CEIL(need, mtu <= XDP_MTU_MAX ? 256U : 1024U);
}

uint32_t port_room_bytes(uint16_t mtu)
{
	uint32_t xdp = RTE_ALIGN_CEIL(mtu + (uint32_t)PORT_L2_OVERHEAD_BYTES + XDP_HEADER_BYTES, 64U);

	return RTE_MAX(mtu <= XDP_MTU_MAX ? xdp : 0U, af_packet_frame_bytes(mtu));
}

// The rest after "IF": "" or ",key=value...".
static void args_af_xdp(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "iface=%.*s,start_queue=0,queue_count=%u%s", port_kind_name_len(arg), arg,
		 conf->n_queues, arg + port_kind_name_len(arg));
}

static void args_af_packet(const struct port_conf *conf, const char *arg, char *args)
{
	uint32_t frame = af_packet_frame_bytes(conf->mtu), block = AF_PACKET_BLOCK;

	af_packet_sockets_mend();
	while (block % frame != 0) // the driver takes it that the frames of a ring lie side by side
		block += AF_PACKET_BLOCK;
	snprintf(args, PORT_ARGS_MAX, "iface=%.*s,qpairs=%u,framesz=%u,blocksz=%u,framecnt=%u,qdisc_bypass=1%s",
		 port_kind_name_len(arg), arg, conf->n_queues, frame, block, PORT_AF_PACKET_FRAMES,
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

// The buffers are the client's. A frame of one that has smaller ones comes in several (memif_frames.h).
static void args_memif(const struct port_conf *conf, const char *arg, char *args)
{
	uint32_t frame = RTE_ALIGN_CEIL(conf->mtu + (uint32_t)PORT_L2_OVERHEAD_BYTES, 64U);
	char size[24] = "";

	if (frame > ROOM_LEAST && strstr(arg, "bsize=") == NULL)
		snprintf(size, sizeof(size), "%sbsize=%u", arg[0] != '\0' ? "," : "", frame);
	snprintf(args, PORT_ARGS_MAX, "%s%s", arg, size);
}

static void args_plain(const struct port_conf *conf, const char *arg, char *args)
{
	snprintf(args, PORT_ARGS_MAX, "%s", arg);
}

static const struct port_kind kinds[] = {
	{"af_xdp", "net_af_xdp", "af_xdp:INTERFACE", is_interface_name, args_af_xdp, true, true, XDP_MTU_MAX, 1,
	 "start_queue queue_count shared_umem xdp_prog busy_budget force_copy ", false},
	{"af_packet", "net_af_packet", "af_packet:INTERFACE", is_interface_name, args_af_packet, true, true,
	 PORT_MTU_MAX, 1, "qpairs blocksz framesz framecnt qdisc_bypass ", true},
	{"tap", "net_tap", "tap:NAME of the new interface", is_interface_name, args_interface, false, true, TAP_MTU_MAX,
	 1, "mac remote persist ", false},
	{"pcap", "net_pcap", "pcap:IN,OUT[,ARGS] (two files; one may be left out: pcap:,OUT or pcap:IN,)", is_file_pair,
	 args_pcap, false, true, PORT_MTU_MAX, 2,
	 "rx_pcap tx_pcap rx_iface rx_iface_in tx_iface iface phy_mac infinite_rx ", false},
	{"ring", NULL, "ring:NAME of 1 to 24 characters without comma", is_ring_name, args_plain, false, false,
	 PORT_MTU_MAX, 1, NULL, false},
	{"null", "net_null", "null: or null:size=64", is_any, args_null, false, true, PORT_MTU_MAX, 0,
	 "size copy no-rx ", false},
	{"memif", "net_memif", "memif:role=server,id=0,socket=PATH", is_any, args_memif, false, false, PORT_MTU_MAX, 0,
	 "id role bsize rsize socket socket-abstract owner-uid owner-gid mac zero-copy secret ", true},
	{"vhost", "net_vhost", "vhost:SOCKET", is_not_empty, args_vhost, false, false, PORT_MTU_MAX, 1,
	 "queues client iommu-support postcopy-support tso linear-buffer ext-buffer legacy-ol-flags ", false},
	{"pci", NULL, "pci:0000:03:00.0", is_pci_address, args_plain, false, true, PORT_MTU_MAX, 1, NULL, false},
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

uint16_t port_mtu_max(const char *device)
{
	const char *arg = NULL;
	const struct port_kind *kind = port_kind_find(device, &arg);
	uint32_t max = kind != NULL ? kind->mtu_max : 0, now, of_interface;
	char interface[IFNAMSIZ];

	if (kind != NULL && kind->is_interface) {
		snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
		if (interface_mtu(interface, &now, &of_interface) == 0)
			max = RTE_MIN(max, of_interface);
	}
	return (uint16_t)max;
}

int port_mtu_check(const char *device, uint16_t mtu, char why[PORT_ERR_MAX])
{
	uint16_t max = port_mtu_max(device);

	return mtu <= max ? 0 : why_fail(why, EINVAL, "%s: MTU %u: it can have %u at most", device, mtu, max);
}

static bool has_word(const char *words, const char *word)
{
	size_t len = strlen(word);

	for (; *words != '\0'; words += strcspn(words, " ") + 1) {
		if (strncmp(words, word, len) == 0 && words[len] == ' ')
			return true;
	}
	return false;
}

// The driver refuses a key that it does not know, on standard error, and in its own words.
static int check_keys(const struct port_kind *kind, const char *device, const char *arg, char why[PORT_ERR_MAX])
{
	char key[32];

	for (int at = 0; kind->keys != NULL && *arg != '\0'; at++, arg += *arg == ',') {
		int len = port_kind_name_len(arg);

		snprintf(key, sizeof(key), "%.*s", (int)RTE_MIN(strcspn(arg, "=,"), sizeof(key) - 2), arg);
		arg += len;
		if (at < kind->n_names || len == 0)
			continue;
		if (!has_word(kind->keys, key))
			return why_fail(why, EINVAL, "device \"%.64s\": \"%s\" is no argument of %s, which has %s",
					device, key, kind->driver, kind->keys);
	}
	return 0;
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
	return check_keys(kind, device, arg, why);
}
