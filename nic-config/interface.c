// SPDX-License-Identifier: Apache-2.0
#include "interface.h"

#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "interface_lock.h"

#define PATH_BYTES 4096
#define BOOT_BYTES 64

// How one was, where it is not so any more.
struct before {
	struct before *next;
	char name[IFNAMSIZ];
	unsigned int if_index;
	bool was_down, was_selective; // the latter: not promiscuous
	int mtu, mtu_now;             // 0: as it was
	bool merge_known, merged;     // whether GRO was on
	bool prepared;                // else from the file, since when nobody has prepared it
};

static struct before *all;
static char file[PATH_BYTES];

// 0, or -errno with ifr as far as the kernel filled it.
static int interface_ioctl(const char *name, unsigned long request, struct ifreq *ifr)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc = 0;

	if (fd < 0)
		return -errno;
	snprintf(ifr->ifr_name, sizeof(ifr->ifr_name), "%s", name);
	if (ioctl(fd, request, ifr) < 0)
		rc = -errno;
	close(fd);
	return rc;
}

static int interface_ethtool(const char *name, void *command)
{
	struct ifreq ifr = {.ifr_data = command};

	return interface_ioctl(name, SIOCETHTOOL, &ifr);
}

static int set_flags(const char *name, int on, int off)
{
	struct ifreq ifr = {0};
	int rc = interface_ioctl(name, SIOCGIFFLAGS, &ifr), flags = (ifr.ifr_flags | on) & ~off;

	if (rc < 0 || flags == ifr.ifr_flags)
		return rc;
	ifr.ifr_flags = (short)flags;
	return interface_ioctl(name, SIOCSIFFLAGS, &ifr);
}

// --- what is remembered

static struct before *find(unsigned int if_index)
{
	for (struct before *b = all; b != NULL; b = b->next) {
		if (b->if_index == if_index)
			return b;
	}
	return NULL;
}

static struct before *add(const char *name, unsigned int if_index)
{
	struct before *b = calloc(1, sizeof(*b));

	if (b == NULL)
		return NULL;
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->if_index = if_index;
	b->next = all;
	all = b;
	return b;
}

static void forget(struct before *gone)
{
	for (struct before **at = &all; *at != NULL; at = &(*at)->next) {
		if (*at == gone) {
			*at = gone->next;
			free(gone);
			return;
		}
	}
}

// What was so before the machine started says nothing.
static const char *boot_id(char out[BOOT_BYTES])
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");

	out[0] = '\0';
	if (f != NULL && fgets(out, BOOT_BYTES, f) == NULL)
		out[0] = '\0';
	if (f != NULL)
		fclose(f);
	out[strcspn(out, "\n")] = '\0';
	return out;
}

static bool is_of_this_boot(FILE *f)
{
	char line[BOOT_BYTES + 8] = "", boot[BOOT_BYTES];

	if (fgets(line, sizeof(line), f) == NULL || strncmp(line, "boot ", 5) != 0)
		return false;
	line[strcspn(line, "\n")] = '\0';
	return strcmp(line + 5, boot_id(boot)) == 0;
}

// One line each; a reader sees the old file or the new one.
static void write_file(void)
{
	char fresh[PATH_BYTES + 8], boot[BOOT_BYTES];
	FILE *f;
	bool ok;

	if (file[0] == '\0')
		return;
	if (all == NULL) {
		unlink(file);
		return;
	}
	snprintf(fresh, sizeof(fresh), "%s.new", file);
	f = fopen(fresh, "we");
	if (f == NULL)
		return;
	fprintf(f, "boot %s\n", boot_id(boot));
	for (const struct before *b = all; b != NULL; b = b->next)
		fprintf(f, "%u %s %d %d %d %d %d\n", b->if_index, b->name, b->was_down, b->was_selective, b->mtu,
			b->mtu_now, b->merged);
	ok = fflush(f) == 0 && !ferror(f);
	fclose(f);
	if (!ok || rename(fresh, file) < 0)
		unlink(fresh);
}

// An interface that has the number by now under another name is another one.
static void read_line(const char *line)
{
	int was_down, was_selective, mtu, mtu_now, merged = 0;
	char name[IFNAMSIZ];
	unsigned int if_index;
	struct before *b;

	if (sscanf(line, "%u %15s %d %d %d %d %d", &if_index, name, &was_down, &was_selective, &mtu, &mtu_now,
		   &merged) < 6 ||
	    if_nametoindex(name) != if_index || find(if_index) != NULL)
		return;
	b = add(name, if_index);
	if (b == NULL)
		return;
	b->was_down = was_down != 0;
	b->was_selective = was_selective != 0;
	b->mtu = mtu;
	b->mtu_now = mtu_now;
	b->merged = merged != 0;
	b->merge_known = b->merged;
}

void interface_keep_in(const char *path)
{
	char line[128];
	FILE *f;

	if (path == NULL || strlen(path) >= sizeof(file)) {
		file[0] = '\0';
		return;
	}
	snprintf(file, sizeof(file), "%s", path);
	f = fopen(file, "re");
	if (f == NULL)
		return;
	if (is_of_this_boot(f)) {
		while (fgets(line, sizeof(line), f) != NULL)
			read_line(line);
	}
	fclose(f);
}

// Its state is first asked for: once it is remembered, what it is now is our doing.
static struct before *remember(const char *name, int flags)
{
	unsigned int if_index = if_nametoindex(name);
	struct before *b = find(if_index);

	if (b == NULL) {
		b = add(name, if_index);
		if (b == NULL)
			return NULL;
		b->was_down = (flags & IFF_UP) == 0;
		b->was_selective = (flags & IFF_PROMISC) == 0;
	}
	b->prepared = true;
	return b;
}

// --- what is done

static int raise_mtu(const char *name, int mtu, struct before *before)
{
	struct ifreq ifr = {0};
	int rc = interface_ioctl(name, SIOCGIFMTU, &ifr), was = ifr.ifr_mtu;

	if (rc < 0 || was >= mtu)
		return rc;
	if (before != NULL) {
		if (before->mtu == 0)
			before->mtu = was;
		before->mtu_now = mtu;
		write_file(); // first: who is killed in between has changed nothing that is not written
	}
	ifr.ifr_mtu = mtu;
	return interface_ioctl(name, SIOCSIFMTU, &ifr);
}

int interface_prepare(const char *name, uint16_t mtu, char why[WHY_BYTES])
{
	struct ifreq ifr = {0};
	struct before *before;
	int rc;

	if (if_nametoindex(name) == 0)
		return why_fail(why, ENODEV, "interface %s: there is none of this name", name);
	rc = interface_ioctl(name, SIOCGIFFLAGS, &ifr);
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: cannot be asked what it is: %s", name, strerror(-rc));
	before = remember(name, ifr.ifr_flags);
	write_file();
	rc = raise_mtu(name, mtu, before);
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: MTU %u: %s", name, mtu, strerror(-rc));
	rc = set_flags(name, IFF_UP, 0);
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: cannot be brought up: %s", name, strerror(-rc));
	return 0;
}

static void set_merging(const char *name, bool on)
{
	struct ethtool_value set = {.cmd = ETHTOOL_SGRO, .data = on};

	interface_ethtool(name, &set);
}

void interface_no_merging(const char *name)
{
	struct ethtool_value gro = {.cmd = ETHTOOL_GGRO}, flags = {.cmd = ETHTOOL_GFLAGS};
	struct before *b = find(if_nametoindex(name));

	if (b != NULL && !b->merge_known) {
		b->merged = interface_ethtool(name, &gro) == 0 && gro.data != 0;
		b->merge_known = true;
		write_file();
	}
	set_merging(name, false);
	if (interface_ethtool(name, &flags) < 0 || (flags.data & ETH_FLAG_LRO) == 0)
		return;
	flags.cmd = ETHTOOL_SFLAGS;
	flags.data &= ~(uint32_t)ETH_FLAG_LRO;
	interface_ethtool(name, &flags);
}

static void restore(struct before *b)
{
	struct ifreq ifr = {0};
	char name[IFNAMSIZ];

	if (if_indextoname(b->if_index, name) != NULL) {
		set_flags(name, 0, (b->was_selective ? IFF_PROMISC : 0) | (b->was_down ? IFF_UP : 0));
		if (b->mtu != 0 && interface_ioctl(name, SIOCGIFMTU, &ifr) == 0 && ifr.ifr_mtu == b->mtu_now) {
			ifr.ifr_mtu = b->mtu;
			interface_ioctl(name, SIOCSIFMTU, &ifr);
		}
		if (b->merged)
			set_merging(name, true);
	}
	forget(b);
}

void interface_restore(unsigned int if_index)
{
	struct before *b = find(if_index);

	if (b == NULL)
		return;
	restore(b);
	write_file();
}

// Another process may drive it by now.
static void restore_unless_taken(struct before *b)
{
	char name[IFNAMSIZ], why[WHY_BYTES];
	int lock;

	if (if_indextoname(b->if_index, name) == NULL || interface_lock(name, &lock, why) < 0) {
		forget(b);
		return;
	}
	restore(b);
	if (lock >= 0)
		close(lock);
}

void interface_restore_left(void)
{
	for (struct before *b = all, *next; b != NULL; b = next) {
		next = b->next;
		if (!b->prepared)
			restore_unless_taken(b);
	}
	write_file();
}

// The carrier itself: IFF_RUNNING follows it up to a second later.
bool interface_is_up(const char *name)
{
	struct ethtool_value carrier = {.cmd = ETHTOOL_GLINK};
	struct ifreq ifr = {0};
	bool running;

	if (interface_ioctl(name, SIOCGIFFLAGS, &ifr) < 0 || (ifr.ifr_flags & IFF_UP) == 0)
		return false;
	running = (ifr.ifr_flags & IFF_RUNNING) != 0;
	ifr.ifr_data = (void *)&carrier;
	return interface_ioctl(name, SIOCETHTOOL, &ifr) == 0 ? carrier.data != 0 : running;
}

bool interface_is_veth(const char *name)
{
	struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};

	return interface_ethtool(name, &info) == 0 && strcmp(info.driver, "veth") == 0;
}

bool interface_is_card(const char *name)
{
	char path[64], bus[256];
	const char *last;
	ssize_t n;

	snprintf(path, sizeof(path), "/sys/class/net/%s/device/subsystem", name);
	n = readlink(path, bus, sizeof(bus) - 1);
	if (n <= 0)
		return false;
	bus[n] = '\0';
	last = strrchr(bus, '/');
	last = last == NULL ? bus : last + 1;
	return strcmp(last, "pci") == 0 || strcmp(last, "usb") == 0 || strcmp(last, "platform") == 0;
}
