// SPDX-License-Identifier: Apache-2.0
// Ports: one line of configuration -> a configured, started rte_ethdev port, and its capabilities as a record.
// No policy. Thread: main lcore.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "why.h"

// nic-config/ may not include hft/: errors come back as text.
#define PORT_ERR_MAX WHY_BYTES

struct rte_mempool;

// Devices; [A]: more arguments of the driver, ",NAME=VALUE...". MTUs are up to PORT_MTU_MAX where nothing else is said;
// a kernel interface or a card has a limit of its own, too.
//
// af_xdp:IF[A]: kernel interface; every receive queue that it has is the port's. It is brought up, its MTU raised where
// smaller than mtu, and promiscuous, until the port is closed (interface.h). Where IF is a veth, its peer must not
// offload VLAN tags (ethtool -K PEER txvlan off): XDP does not see those. MTU 3434 at most.
//
// af_packet:IF[A]: likewise, but MTU; frames no longer than mtu where it can be had (port_frames.h). The driver
// puts tags back as type 0x8100, also those that were 0x88a8.
//
// tap:NAME: makes the interface NAME, which goes with the port. MTU 1504 at most.
//
// pcap:IN,OUT[A]: capture files; one may be left out. Without OUT what is sent is dropped.
//
// ring:NAME: frames from the rte_ring NAME.rx to NAME.tx; rings not there are made, none is ever freed.
//
// null:[ARGS]: receives nothing and swallows all; null:size=64 invents frames.
//
// memif:ARGS, vhost:SOCKET[A], pci:ADDRESS[A]
struct port_conf {
	const char *name;   // of the configuration
	const char *device; // valid by port_device_check
	// In each direction, at most: as many as the device has; 0 counts as 1. af_xdp: all of the interface's, as
	// frames of others reach nobody; as many as asked for only where it is without_program.
	uint16_t n_queues;
	uint16_t rx_desc, tx_desc; // 0: default
	uint16_t mtu;
	bool without_program; // no XDP program of the switch, which drops or changes the other end: for who only looks
	struct rte_mempool *pool; // its buffers have port_room_bytes(mtu) after their headroom, or more
};

// Of a port. The af_xdp driver (DPDK 22.11) writes its figures of more queues past the end of struct rte_eth_stats.
#define PORT_QUEUES_MAX 16
#define PORT_L2_OVERHEAD_BYTES 22 // that a frame of the MTU has before it: Ethernet header and two VLAN tags
#define PORT_MTU_MAX 9600

struct port_caps {
	char driver[32];
	uint8_t mac[6];
	uint64_t link_bps; // 0: unknown
	bool up;
	bool rx_copies;         // frames may be copied by the kernel (af_packet, af_xdp in copy mode)
	bool partial_checksums; // frames may come with transport checksums that their sender left to its device
	uint16_t max_frame_bytes;
	uint16_t n_rx_queues, n_tx_queues; // it got; tx: that its interface has, too
};

// Checks the text only (at configuration time): 0, or -EINVAL with what was expected in why.
int port_device_check(const char *device, char why[PORT_ERR_MAX]);
// The largest MTU of a port of this device, as far as it can be told while it is not open. A kernel interface that is
// there is asked; a PCI device is not.
uint16_t port_mtu_max(const char *device);
int port_mtu_check(const char *device, uint16_t mtu, char why[PORT_ERR_MAX]); // 0, or -EINVAL with that in why
// What a buffer needs after its headroom, whatever the device: a frame of the MTU, and what drivers put beside it.
uint32_t port_room_bytes(uint16_t mtu);
// Creates (virtual) or finds (PCI) the device, configures queues, MTU and promiscuous mode; VLAN tags stay in the
// frames. Several queues are filled by a hash of addresses and ports that is the same for both directions, where the
// device lets itself be told: by its configuration, or by rules once it has started (flow_spread.h). *port_id is
// rte_ethdev's. 0, with "" in why or what its user ought to know (port_frames.h); or -errno with the device and the
// reason in why; then nothing is left open. -EBUSY: another process
// drives the interface (interface_lock.h), or another's XDP program is on it.
int port_open(const struct port_conf *conf, uint16_t *port_id, char why[PORT_ERR_MAX]);
int port_start(uint16_t port_id, char why[PORT_ERR_MAX]);
void port_close(uint16_t port_id); // stop, close, remove the virtual device
int port_caps_get(uint16_t port_id, struct port_caps *out);
// Receive queues that port_open would take now, of a device that is there or not, asked for wanted of them.
uint16_t port_queues(const char *device, uint16_t wanted);
// How its interface gets n receive queues, as a command ("ethtool -L eth0 combined 4"); of another device: "".
void port_queues_line(const char *device, uint16_t n, char line[PORT_ERR_MAX]);
// The interface of an open af_xdp port has other queues than when it was opened (ethtool -L), said in why: frames may
// come by queues that nobody serves. It is to be opened again.
bool port_queues_changed(uint16_t port_id, char why[PORT_ERR_MAX]);
bool port_is_up(uint16_t port_id); // no wait
// The device of an open port has vanished: it will not come back by itself.
bool port_is_gone(uint16_t port_id);
// Frames lost in the device since the port was started that rte_eth_stats_get does not tell of: those for which the
// receive rings of an af_packet port had no room. Thread: any, but not while the port is opened or closed.
uint64_t port_missed(uint16_t port_id);
// A descriptor, the port's, that poll() finds readable while frames wait in the receive queue; -1: there is none (only
// af_xdp and af_packet ports have them).
int port_wait_fd(uint16_t port_id, uint16_t queue);
// Whether it makes sense to open it: the kernel interface exists, if it is one that must; somebody listens for a memif
// client.
bool port_device_is_there(const char *device);
// An open port of this device that is not up is to be connected anew: a memif client, whose driver tries only when the
// port starts, and somebody listens.
bool port_can_reconnect(const char *device);
// Stops and starts it; nobody uses it meanwhile. 0, or -errno with the reason in why: it stands still, to be closed.
int port_reconnect(uint16_t port_id, char why[PORT_ERR_MAX]);
// What takes the frames off a kernel interface must stay on it, and others can take it away. 0: all is well; 1: it was
// taken away, and is put back; -errno: it was, and cannot be: nothing is received. The latter two are said in why.
int port_keep(uint16_t port_id, char why[PORT_ERR_MAX]);
// What a process that was killed has left on the device's interface goes: the XDP program, which would go on dropping.
// 1: there was one; 0: there was none, or the device is no af_xdp; -errno with the reason in why; -EBUSY: another
// process drives the interface, or the program is another's. Thread: any, EAL need not be up.
int port_clear(const char *device, char why[PORT_ERR_MAX]);
