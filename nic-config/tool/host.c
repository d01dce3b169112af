// SPDX-License-Identifier: Apache-2.0
#include "host.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <limits.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <bpf/libbpf.h>

#include "ethtool.h"
#include "nic-config/channels.h"

#define CLASS_NETWORK 0x02

static int path_of(char path[PATH_MAX], const char *sys, const char *fmt, va_list ap)
{
	int len = snprintf(path, PATH_MAX, "%s/", sys), rest;

	if (len >= PATH_MAX)
		return -ENAMETOOLONG;
	rest = vsnprintf(path + len, (size_t)(PATH_MAX - len), fmt, ap);
	return rest >= PATH_MAX - len ? -ENAMETOOLONG : 0;
}

int host_read(const char *sys, char *out, uint32_t size, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	ssize_t n;
	int fd, rc;

	va_start(ap, fmt);
	rc = path_of(path, sys, fmt, ap);
	va_end(ap);
	if (rc < 0)
		return rc;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, out, size - 1);
	rc = n < 0 ? -errno : 0;
	close(fd);
	out[n > 0 ? n : 0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	return rc;
}

int host_write(const char *sys, const char *text, const char *fmt, ...)
{
	char path[PATH_MAX];
	va_list ap;
	int fd, rc;

	va_start(ap, fmt);
	rc = path_of(path, sys, fmt, ap);
	va_end(ap);
	if (rc < 0)
		return rc;
	fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	rc = write(fd, text, strlen(text)) < 0 ? -errno : 0;
	return close(fd) < 0 && rc == 0 ? -errno : rc;
}

// Last part of the symbolic link's target; "-" if there is none.
static void link_name(char out[NAME_MAX_BYTES], const char *sys, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static void link_name(char out[NAME_MAX_BYTES], const char *sys, const char *fmt, ...)
{
	char path[PATH_MAX], target[PATH_MAX];
	const char *slash;
	va_list ap;
	ssize_t n = -1;

	va_start(ap, fmt);
	if (path_of(path, sys, fmt, ap) == 0)
		n = readlink(path, target, sizeof(target) - 1);
	va_end(ap);
	target[n > 0 ? n : 0] = '\0';
	slash = strrchr(target, '/');
	snprintf(out, NAME_MAX_BYTES, "%.63s", n <= 0 ? "-" : slash != NULL ? slash + 1 : target);
}

int host_driver(const char *sys, const char *pci, char out[NAME_MAX_BYTES])
{
	char text[16];
	int rc = host_read(sys, text, sizeof(text), "bus/pci/devices/%s/vendor", pci);

	if (rc < 0)
		return -ENODEV;
	link_name(out, sys, "bus/pci/devices/%s/driver", pci);
	return 0;
}

static int is_shown(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

// Calls fn with each name in a folder below sys, sorted, until it returns non-zero.
static int each_name(const char *sys, const char *folder, int (*fn)(void *ctx, const char *name), void *ctx)
{
	struct dirent **list;
	char path[PATH_MAX];
	int n, rc = 0;

	if (snprintf(path, sizeof(path), "%s/%s", sys, folder) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	n = scandir(path, &list, is_shown, alphasort);
	if (n < 0)
		return -errno;
	for (int i = 0; i < n; i++) {
		if (rc == 0)
			rc = fn(ctx, list[i]->d_name);
		free(list[i]);
	}
	free(list);
	return rc;
}

struct pages_found {
	const char *sys;
	struct hugepages *out;
	int n, max;
};

static uint64_t read_number(const char *sys, const char *size, const char *file)
{
	char text[32];

	return host_read(sys, text, sizeof(text), "kernel/mm/hugepages/%s/%s", size, file) == 0
		       ? strtoull(text, NULL, 10)
		       : 0;
}

static int on_pages(void *ctx, const char *name)
{
	struct pages_found *f = ctx;
	uint64_t size_kb;

	if (sscanf(name, "hugepages-%lukB", &size_kb) != 1)
		return 0;
	if (f->n < f->max)
		f->out[f->n] = (struct hugepages){size_kb, read_number(f->sys, name, "nr_hugepages"),
						  read_number(f->sys, name, "free_hugepages")};
	f->n++;
	return 0;
}

int host_hugepages(const char *sys, struct hugepages *out, int max)
{
	struct pages_found found = {sys, out, 0, max};
	int rc = each_name(sys, "kernel/mm/hugepages", on_pages, &found);

	return rc < 0 ? rc : found.n;
}

struct nics_found {
	const char *sys;
	struct nic *out;
	int n, max;
};

static void fill_interface(struct nic *nic)
{
	uint8_t key[256];
	uint32_t id = 0;
	struct channels now;

	eth_flags(nic->interface, &nic->up, &nic->carrier);
	eth_mtu(nic->interface, &nic->mtu);
	eth_speed_mb(nic->interface, &nic->speed_mb);
	eth_queues(nic->interface, &nic->queues, &nic->queues_max);
	if (channels_get(nic->interface, &now) == 0) {
		nic->rx_queues = now.rx;
		nic->tx_queues = now.tx;
	}
	eth_rss_key(nic->interface, key, sizeof(key), &nic->rss_key_bytes);
	nic->xdp_attached = bpf_xdp_query_id((int)if_nametoindex(nic->interface), 0, &id) == 0 && id != 0;
}

static struct nic *nic_add(struct nics_found *f)
{
	static struct nic beyond;
	struct nic *nic = f->n < f->max ? &f->out[f->n] : &beyond;

	f->n++;
	memset(nic, 0, sizeof(*nic));
	nic->numa = -1;
	snprintf(nic->driver, sizeof(nic->driver), "-");
	return nic;
}

static int first_name(void *ctx, const char *name)
{
	snprintf(ctx, NAME_MAX_BYTES, "%.63s", name);
	return 1;
}

static int on_pci(void *ctx, const char *address)
{
	struct nics_found *f = ctx;
	char text[32], vendor[16] = "", device[16] = "", folder[PATH_MAX];
	struct nic *nic;

	if (host_read(f->sys, text, sizeof(text), "bus/pci/devices/%s/class", address) < 0 ||
	    strtoul(text, NULL, 16) >> 16 != CLASS_NETWORK)
		return 0;
	nic = nic_add(f);
	snprintf(nic->pci, sizeof(nic->pci), "%.63s", address);
	host_driver(f->sys, address, nic->driver);
	host_read(f->sys, vendor, sizeof(vendor), "bus/pci/devices/%s/vendor", address);
	host_read(f->sys, device, sizeof(device), "bus/pci/devices/%s/device", address);
	snprintf(nic->vendor_device, sizeof(nic->vendor_device), "%.6s:%.6s", vendor + 2 * (vendor[0] == '0'),
		 device + 2 * (device[0] == '0'));
	if (host_read(f->sys, text, sizeof(text), "bus/pci/devices/%s/numa_node", address) == 0)
		nic->numa = atoi(text);
	snprintf(folder, sizeof(folder), "bus/pci/devices/%.63s/net", address);
	each_name(f->sys, folder, first_name, nic->interface);
	if (nic->interface[0] != '\0')
		fill_interface(nic);
	return 0;
}

static bool is_known(const struct nics_found *f, const char *interface)
{
	for (int i = 0; i < f->n && i < f->max; i++) {
		if (strcmp(f->out[i].interface, interface) == 0)
			return true;
	}
	return false;
}

static bool is_link_local(const struct sockaddr *addr)
{
	const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)(const void *)addr;

	return addr->sa_family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&in6->sin6_addr);
}

static bool is_interface_of(const char *sys, const char *pci, const char *interface)
{
	char path[PATH_MAX], real[PATH_MAX], part[NAME_MAX_BYTES + 2];

	snprintf(path, sizeof(path), "%s/bus/pci/devices/%.63s/net/%.63s", sys, pci, interface);
	if (access(path, F_OK) == 0)
		return true;
	snprintf(path, sizeof(path), "%s/class/net/%.63s/device", sys, interface); // behind a bus of its own (virtio)
	if (realpath(path, real) == NULL)
		return false;
	strncat(real, "/", sizeof(real) - strlen(real) - 1);
	snprintf(part, sizeof(part), "/%.63s/", pci);
	return strstr(real, part) != NULL;
}

bool host_pci_in_use(const char *sys, const char *pci, char interface[NAME_MAX_BYTES], char address[NAME_MAX_BYTES])
{
	struct ifaddrs *all = NULL;
	bool found = false;

	if (getifaddrs(&all) < 0)
		return false;
	for (struct ifaddrs *a = all; a != NULL && !found; a = a->ifa_next) {
		int family = a->ifa_addr != NULL ? a->ifa_addr->sa_family : AF_UNSPEC;
		socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);

		if ((family != AF_INET && family != AF_INET6) || (a->ifa_flags & IFF_UP) == 0 ||
		    is_link_local(a->ifa_addr) || !is_interface_of(sys, pci, a->ifa_name))
			continue;
		found = getnameinfo(a->ifa_addr, len, address, NAME_MAX_BYTES, NULL, 0, NI_NUMERICHOST) == 0;
		snprintf(interface, NAME_MAX_BYTES, "%.63s", a->ifa_name);
	}
	freeifaddrs(all);
	return found;
}

// The PCI device that an interface is part of, also with a bus of its own in between (virtio); NULL: none.
static struct nic *pci_of(const struct nics_found *f, const char *interface)
{
	char path[PATH_MAX], real[PATH_MAX], part[NAME_MAX_BYTES + 2];

	snprintf(path, sizeof(path), "%s/class/net/%.63s/device", f->sys, interface);
	if (realpath(path, real) == NULL)
		return NULL;
	strncat(real, "/", sizeof(real) - strlen(real) - 1);
	for (int i = 0; i < f->n && i < f->max; i++) {
		snprintf(part, sizeof(part), "/%s/", f->out[i].pci);
		if (f->out[i].pci[0] != '\0' && f->out[i].interface[0] == '\0' && strstr(real, part) != NULL)
			return &f->out[i];
	}
	return NULL;
}

static int on_interface(void *ctx, const char *name)
{
	struct nics_found *f = ctx;
	struct nic *nic;
	char type[16];

	// 1: Ethernet (ARPHRD_ETHER)
	if (is_known(f, name) || host_read(f->sys, type, sizeof(type), "class/net/%s/type", name) < 0 ||
	    strcmp(type, "1") != 0)
		return 0;
	nic = pci_of(f, name);
	if (nic == NULL) {
		nic = nic_add(f);
		link_name(nic->driver, f->sys, "class/net/%s/device/driver", name);
	}
	snprintf(nic->interface, sizeof(nic->interface), "%.63s", name);
	fill_interface(nic);
	return 0;
}

int host_nics(const char *sys, struct nic *out, int max)
{
	struct nics_found found = {sys, out, 0, max};
	int rc;

	each_name(sys, "bus/pci/devices", on_pci, &found); // a machine may have no PCI bus
	rc = each_name(sys, "class/net", on_interface, &found);
	return rc < 0 ? rc : found.n;
}

static int any_name(void *ctx, const char *name)
{
	return 1;
}

bool host_has_iommu(const char *sys)
{
	return each_name(sys, "kernel/iommu_groups", any_name, NULL) == 1;
}

bool host_has_driver(const char *sys, const char *driver)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/bus/pci/drivers/%s", sys, driver);
	return access(path, F_OK) == 0;
}
