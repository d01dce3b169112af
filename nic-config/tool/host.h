// SPDX-License-Identifier: Apache-2.0
// What this machine has for ports: read from sysfs and ethtool, nothing remembered.
// Thread: one. sys: the root of sysfs, "/sys" or a tree made by a test.
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define NAME_MAX_BYTES 64

struct hugepages {
	uint64_t size_kb, total, free;
};

struct nic {
	char pci[NAME_MAX_BYTES];       // "" for virtual ones
	char interface[NAME_MAX_BYTES]; // "" when its driver makes none (vfio-pci)
	char driver[NAME_MAX_BYTES];    // "-": none
	char vendor_device[16];         // "8086:1572"
	bool up, carrier;
	uint32_t mtu, speed_mb;      // speed_mb 0: unknown
	uint32_t queues, queues_max; // pairs; 0: cannot be told
	uint32_t rx_queues, tx_queues;
	uint32_t rss_key_bytes; // 0: no RSS to be set
	bool xdp_attached;
	int numa; // -1: unknown
};

// Fills up to max; returns how many there are (may be more), or -errno.
int host_hugepages(const char *sys, struct hugepages *out, int max);
// Network devices: PCI ones of class 02, and interfaces that are none (except lo). Sorted by PCI address, then name.
int host_nics(const char *sys, struct nic *out, int max);
// An interface of the PCI device that is up and has an address beyond its own link, as this host's own network has:
// true, with the first of them. In the network namespace of the caller.
bool host_pci_in_use(const char *sys, const char *pci, char interface[NAME_MAX_BYTES], char address[NAME_MAX_BYTES]);
bool host_has_iommu(const char *sys);
bool host_has_driver(const char *sys, const char *driver); // of the PCI bus

// Reads one line of a file below sys: 0, or -errno. printf-like path.
int host_read(const char *sys, char *out, uint32_t size, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
// Writes text to a file below sys.
int host_write(const char *sys, const char *text, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// The driver a PCI device is bound to; "-": none. -ENODEV: no such device.
int host_driver(const char *sys, const char *pci, char out[NAME_MAX_BYTES]);

void host_print(const char *sys, FILE *to);      // tables for people
void host_print_json(const char *sys, FILE *to); // one object
