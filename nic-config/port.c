// SPDX-License-Identifier: Apache-2.0
// Every kind of device becomes a name and an argument string for EAL's hotplug; from there on all are ethdev ports.
// What a port is, is read back from ethdev and from the kernel (port_caps.c): nothing is remembered here but sockets to
// be closed.
#include "port.h"

#include <errno.h>
#include <net/if.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <rte_bus_pci.h>
#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "af_packet_sockets.h"
#include "bpf_objects.h"
#include "bpf_words.h"
#include "channels.h"
#include "flow_spread.h"
#include "interface.h"
#include "interface_lock.h"
#include "local_socket.h"
#include "memif_frames.h"
#include "memif_listener.h"
#include "port_can.h"
#include "port_channels.h"
#include "port_frames.h"
#include "port_kind.h"
#include "port_leftover.h"
#include "port_program.h"
#include "port_queues.h"
#include "port_socket.h"
#include "socket_set.h"
#include "xdp_filter.h"
#include "xsk_fill.h"

#define RING_SLOTS 1024 // of a ring: port's rings

// more: further arguments of the driver.
static int create_vdev(const struct port_kind *kind, const struct port_conf *conf, const char *arg, const char *more,
		       uint16_t *port_id, char why[PORT_ERR_MAX])
{
	const struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
	char name[RTE_ETH_NAME_MAX_LEN], args[PORT_ARGS_MAX], interface[IFNAMSIZ];
	size_t len;
	int rc;

	if (kind->is_interface) {
		snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
		rc = interface_prepare(interface, conf->mtu, why);
		if (rc < 0)
			return rc;
		bpf_words_listen();
		setrlimit(RLIMIT_MEMLOCK,
			  &unlimited); // kernels before 5.11 count BPF maps; without the right: as it is
	}
	if (snprintf(name, sizeof(name), "%s_%s", kind->driver, conf->name) >= (int)sizeof(name))
		return why_fail(why, ENAMETOOLONG, "port %.32s...: the name is too long", conf->name);
	kind->format_args(conf, arg, args);
	len = strlen(args);
	snprintf(args + len, sizeof(args) - len, "%s", more);
	rc = port_socket_prepare(conf->device, why);
	if (rc < 0)
		return rc;
	memif_listener_before();
	channels_tell_combined(port_kind_is_af_xdp(kind));
	rc = rte_eal_hotplug_add("vdev", name, args);
	channels_tell_combined(false);
	memif_listener_made();
	if (rc < 0)
		port_leftover_free(name);
	if (rc < 0 && port_socket_is_taken(conf->device, why))
		return -EADDRINUSE;
	if (rc < 0)
		return why_fail(why, -rc, "%s: the driver %s refused (%s): %s%s%s", conf->device, kind->driver, args,
				port_driver_words(rc), bpf_words_first()[0] != '\0' ? "; first complaint: " : "",
				bpf_words_first());
	if (rte_eth_dev_get_port_by_name(name, port_id) != 0)
		return why_fail(why, ENODEV, "%s: the driver %s made no port", conf->device, kind->driver);
	if (strcmp(kind->prefix, "memif") == 0)
		memif_listener_use(*port_id, local_socket_of(conf->device).path);
	return 0;
}

static int create_pci(const struct port_conf *conf, const char *arg, uint16_t *port_id, char why[PORT_ERR_MAX])
{
	char name[RTE_ETH_NAME_MAX_LEN];
	struct rte_pci_addr addr;
	int rc;

	if (rte_eal_hotplug_add("pci", arg, "") < 0)
		return why_fail(why, ENODEV, "%s: no driver took the device; is it bound to vfio-pci?", conf->device);
	snprintf(name, sizeof(name), "%.*s", port_kind_name_len(arg), arg);
	rc = rte_pci_addr_parse(name, &addr);
	if (rc == 0) {
		rte_pci_device_name(&addr, name, sizeof(name));
		rc = rte_eth_dev_get_port_by_name(name, port_id);
	}
	if (rc != 0)
		return why_fail(why, ENODEV, "%s: the driver made no port", conf->device);
	return 0;
}

static struct rte_ring *ring_get(const char *name, const char *direction)
{
	char full[RTE_RING_NAMESIZE];
	struct rte_ring *ring;

	snprintf(full, sizeof(full), "%.24s.%s", name, direction);
	ring = rte_ring_lookup(full);
	return ring != NULL ? ring : rte_ring_create(full, RING_SLOTS, SOCKET_ID_ANY, RING_F_SP_ENQ | RING_F_SC_DEQ);
}

static int create_ring(const struct port_conf *conf, const char *arg, uint16_t *port_id, char why[PORT_ERR_MAX])
{
	struct rte_ring *rx = ring_get(arg, "rx"), *tx = ring_get(arg, "tx");
	int rc;

	if (rx == NULL || tx == NULL)
		return why_fail(why, ENOMEM, "%s: no ring: %s", conf->device, rte_strerror(rte_errno));
	rc = rte_eth_from_rings(arg, &rx, 1, &tx, 1, 0);
	if (rc < 0)
		return why_fail(why, rte_errno != 0 ? rte_errno : EINVAL, "%s: no port: %s", conf->device,
				rte_strerror(rte_errno));
	*port_id = (uint16_t)rc;
	return 0;
}

static struct socket_set sockets[RTE_MAX_ETHPORTS]; // of af_xdp and af_packet ports
static _Atomic uint64_t missed[RTE_MAX_ETHPORTS];   // in the receive rings of af_packet ports
static int locks[RTE_MAX_ETHPORTS];                 // their interfaces', descriptor + 1; 0: none
static unsigned int interfaces[RTE_MAX_ETHPORTS];   // their numbers

// The driver of af_xdp has one error for everything that the kernel refuses.
static int explain(const struct port_conf *conf, int rc, char why[PORT_ERR_MAX])
{
	size_t len = strlen(why);
	uint32_t queue;
	int refusal = xsk_fill_refusal(&queue);

	if (refusal == -EBUSY)
		return why_fail(why, EBUSY,
				"%s: another socket has queue %u of the interface, or had it until just now",
				conf->device, queue);
	if (refusal != 0)
		snprintf(why + len, PORT_ERR_MAX - len, ": %s", strerror(-refusal));
	else if (bpf_words_first()[0] != '\0')
		snprintf(why + len, PORT_ERR_MAX - len, "; first complaint: %s", bpf_words_first());
	return rc;
}

static int open_with(const struct port_kind *kind, const struct port_conf *conf, const char *arg, const char *more,
		     uint16_t *port_id, char why[PORT_ERR_MAX])
{
	struct socket_set made;
	int rc;

	socket_set_before(&made, strcmp(kind->prefix, "af_packet") == 0 ? AF_PACKET : AF_XDP);
	if (kind->driver != NULL)
		rc = create_vdev(kind, conf, arg, more, port_id, why);
	else if (strcmp(kind->prefix, "ring") == 0)
		rc = create_ring(conf, arg, port_id, why);
	else
		rc = create_pci(conf, arg, port_id, why);
	if (rc < 0)
		return rc;
	xsk_fill_before(conf->pool);
	bpf_objects_before();
	rc = port_configure(conf, *port_id, why);
	if (rc == 0)
		rc = memif_frames_use(*port_id, conf->device, why);
	bpf_objects_made(*port_id);
	socket_set_made_since(&made);
	sockets[*port_id] = made;
	xsk_fill_made(*port_id);
	if (rc == 0)
		return 0;
	if (kind->is_interface)
		rc = explain(conf, rc, why);
	port_close(*port_id);
	return rc;
}

// With the switch's XDP program: the driver loads it from its file when the queues are set up.
static int open_with_program(const struct port_kind *kind, const struct port_conf *conf, const char *arg,
			     uint16_t *port_id, char why[PORT_ERR_MAX])
{
	char interface[IFNAMSIZ], path[64], more[80];
	int fd, rc;

	snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
	if (if_nametoindex(interface) == 0)
		return -ENODEV;
	rc = xdp_program_clear(interface, why);
	if (rc < 0)
		return rc;
	rc = xdp_program_file(path, sizeof(path), &fd);
	if (rc < 0)
		return why_fail(why, -rc, "%s: no file for the XDP program: %s", conf->device, strerror(-rc));
	snprintf(more, sizeof(more), ",xdp_prog=%s", path);
	rc = open_with(kind, conf, arg, more, port_id, why);
	close(fd);
	return rc;
}

// How many there may be before the device is asked.
static int queues_of(const struct port_kind *kind, const struct port_conf *conf, const char *arg, uint16_t *n,
		     char why[PORT_ERR_MAX])
{
	uint16_t wanted = kind->has_queues ? RTE_MAX(conf->n_queues, 1) : 1;
	char interface[IFNAMSIZ];

	*n = wanted;
	if (port_kind_is_af_xdp(kind)) {
		snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
		return port_channels_wanted(conf, interface, arg + port_kind_name_len(arg), n, why);
	}
	if (strcmp(kind->prefix, "pcap") == 0) { // a file each
		for (*n = 1; (arg = strstr(arg, ",rx_pcap=")) != NULL; arg++)
			++*n;
		*n = RTE_MIN(*n, wanted);
	}
	return 0;
}

uint16_t port_queues(const char *device, uint16_t wanted)
{
	const struct port_conf conf = {.device = device, .n_queues = wanted};
	const char *arg = NULL;
	const struct port_kind *kind = port_kind_find(device, &arg);
	char why[PORT_ERR_MAX];
	uint16_t n = wanted;

	if (kind != NULL && queues_of(kind, &conf, arg, &n, why) < 0)
		n = wanted; // it will be refused, with the reason
	return n;
}

static int open_kind(const struct port_kind *kind, const struct port_conf *conf, const char *arg, uint16_t *port_id,
		     char why[PORT_ERR_MAX])
{
	int rc;

	if (port_kind_is_af_xdp(kind) && strstr(arg, ",xdp_prog=") == NULL && !conf->without_program) {
		rc = open_with_program(kind, conf, arg, port_id, why);
		if (rc == 0 || rc == -EBUSY)
			return rc;
		// a kernel or an interface that does not take it gets the driver's own program, which drops nothing
	}
	return open_with(kind, conf, arg, "", port_id, why);
}

static int open_interface(const struct port_kind *kind, const struct port_conf *conf, const char *arg,
			  uint16_t *port_id, char why[PORT_ERR_MAX])
{
	char interface[IFNAMSIZ];
	unsigned int if_index;
	int lock, rc;

	snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
	if_index = if_nametoindex(interface);
	rc = interface_lock(interface, &lock, why);
	if (rc < 0)
		return rc;
	rc = port_can_open(conf->device, interface, arg + port_kind_name_len(arg), why);
	if (rc == 0)
		rc = open_kind(kind, conf, arg, port_id, why);
	if (rc == 0) {
		locks[*port_id] = lock + 1;
		interfaces[*port_id] = if_index;
		why[0] = '\0'; // of attempts before
		if (port_kind_is_af_xdp(kind)) {
			port_program_note(*port_id, (int)if_index);
			if (!conf->without_program)
				port_channels_note(*port_id, interface, arg + port_kind_name_len(arg));
		} else if (!conf->without_program) {
			port_frames_cut(*port_id, interface, why);
		}
	} else {
		interface_restore(if_index);
		if (lock >= 0)
			close(lock);
	}
	return rc;
}

int port_open(const struct port_conf *wanted, uint16_t *port_id, char why[PORT_ERR_MAX])
{
	struct port_conf conf = *wanted;
	const char *arg = NULL;
	const struct port_kind *kind = port_kind_find(conf.device, &arg);
	int rc = port_device_check(conf.device, why);

	if (rc == 0)
		rc = port_mtu_check(conf.device, conf.mtu, why);
	if (rc == 0)
		rc = port_can_make(conf.device, why);
	if (rc == 0)
		rc = queues_of(kind, wanted, arg, &conf.n_queues, why);
	if (rc < 0)
		return rc;
	why[0] = '\0';
	rc = port_can_have_files(conf.device, conf.n_queues, why);
	if (rc < 0)
		return rc;
	return (kind->is_interface ? open_interface : open_kind)(kind, &conf, arg, port_id, why);
}

int port_start(uint16_t port_id, char why[PORT_ERR_MAX])
{
	char name[RTE_ETH_NAME_MAX_LEN] = "?";
	int rc = port_socket_start(port_id);

	if (rc == 0) {
		port_forget_received(port_id);
		port_missed(port_id); // this neither
		atomic_store(&missed[port_id], 0);
		flow_spread_set(port_id);
		return 0;
	}
	rte_eth_dev_get_name_by_port(port_id, name);
	return why_fail(why, -rc, "port %s does not start: %s", name, port_driver_words(rc));
}

void port_close(uint16_t port_id)
{
	struct rte_eth_dev_info info;

	if (rte_eth_dev_info_get(port_id, &info) < 0)
		return;
	flow_spread_clear(port_id);
	port_program_forget(port_id);
	port_channels_forget(port_id);
	port_frames_forget(port_id);
	port_socket_stop(port_id);
	memif_listener_leave(port_id);
	memif_frames_leave(port_id);
	bpf_objects_before();
	xsk_fill_delete(port_id);
	// some drivers do not close on removal, others do; closing twice is harmless
	rte_eth_dev_close(port_id);
	rte_dev_remove(info.device);
	bpf_objects_made(port_id);
	socket_set_close(&sockets[port_id]);
	xsk_fill_free(port_id);
	bpf_objects_close(port_id);
	if (interfaces[port_id] != 0)
		interface_restore(interfaces[port_id]);
	interfaces[port_id] = 0;
	if (locks[port_id] != 0)
		close(locks[port_id] - 1);
	locks[port_id] = 0;
}

int port_wait_fd(uint16_t port_id, uint16_t queue)
{
	const struct socket_set *set = &sockets[port_id];
	struct rte_eth_dev_info info;

	// one for each queue, else it is not known whose they are
	if (rte_eth_dev_info_get(port_id, &info) < 0 || set->n != info.nb_rx_queues || queue >= set->n)
		return -1;
	return set->fd[queue];
}

uint64_t port_missed(uint16_t port_id)
{
	const struct socket_set *set = &sockets[port_id];

	for (uint32_t i = 0; set->domain == AF_PACKET && i < set->n; i++)
		atomic_fetch_add(&missed[port_id], af_packet_sockets_lost(set->fd[i]));
	return atomic_load(&missed[port_id]);
}

bool port_device_is_there(const char *device)
{
	char interface[IFNAMSIZ];
	const char *arg;
	const struct port_kind *kind = port_kind_find(device, &arg);

	if (!port_socket_is_there(device))
		return false;
	if (kind == NULL || !kind->is_interface)
		return true;
	snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
	return if_nametoindex(interface) != 0;
}

void port_queues_line(const char *device, uint16_t n, char line[PORT_ERR_MAX])
{
	const char *arg = NULL;
	const struct port_kind *kind = port_kind_find(device, &arg);
	char interface[IFNAMSIZ];
	struct channels now;

	line[0] = '\0';
	if (kind == NULL || !port_kind_is_af_xdp(kind))
		return;
	snprintf(interface, sizeof(interface), "%.*s", port_kind_name_len(arg), arg);
	if (channels_get(interface, &now) == 0)
		channels_line(interface, &now, n, line);
}

bool port_queues_changed(uint16_t port_id, char why[PORT_ERR_MAX])
{
	return port_channels_changed(port_id, why) != 0;
}

int port_keep(uint16_t port_id, char why[PORT_ERR_MAX])
{
	return port_program_keep(port_id, why);
}
