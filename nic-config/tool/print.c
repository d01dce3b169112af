// SPDX-License-Identifier: Apache-2.0
// The host as tables, and as JSON.
#include <string.h>

#include "host.h"

#define PAGE_SIZES_MAX 8
#define NICS_MAX 256

static const char *or_dash(const char *text)
{
	return text[0] != '\0' ? text : "-";
}

static const char *number_or_dash(char out[16], uint32_t n)
{
	if (n == 0)
		return "-";
	snprintf(out, 16, "%u", n);
	return out;
}

// How a line of the configuration names it best.
static void device_of(const struct nic *nic, char out[2 * NAME_MAX_BYTES])
{
	if (strcmp(nic->driver, "vfio-pci") == 0 || nic->interface[0] == '\0')
		snprintf(out, 2 * NAME_MAX_BYTES, "pci:%s", nic->pci);
	else
		snprintf(out, 2 * NAME_MAX_BYTES, "af_xdp:%s", nic->interface);
}

static void print_pages(const char *sys, FILE *to)
{
	struct hugepages pages[PAGE_SIZES_MAX];
	int n = host_hugepages(sys, pages, PAGE_SIZES_MAX);

	fprintf(to, "%-16s %10s %10s %12s\n", "HUGE PAGES (kB)", "PAGES", "FREE", "MEMORY (MB)");
	for (int i = 0; i < n && i < PAGE_SIZES_MAX; i++)
		fprintf(to, "%-16lu %10lu %10lu %12lu\n", pages[i].size_kb, pages[i].total, pages[i].free,
			pages[i].size_kb * pages[i].total / 1024);
	if (n <= 0)
		fprintf(to, "none: the switch runs without (--no-huge)\n");
}

// As `caps` says them: receive and transmit queues, once where they are as many.
static const char *queues_or_dash(char out[32], const struct nic *nic)
{
	int at;

	if (nic->rx_queues == 0)
		return "-";
	at = snprintf(out, 32, "%u", nic->rx_queues);
	if (nic->rx_queues != nic->tx_queues)
		at += snprintf(out + at, 32 - (size_t)at, "+%u", nic->tx_queues);
	if (nic->queues_max != 0)
		snprintf(out + at, 32 - (size_t)at, "/%u", nic->queues_max);
	return out;
}

void host_print(const char *sys, FILE *to)
{
	static struct nic nics[NICS_MAX];
	int n = host_nics(sys, nics, NICS_MAX);

	print_pages(sys, to);
	fprintf(to, "\nIOMMU %s, vfio-pci %s\n\n", host_has_iommu(sys) ? "on" : "off",
		host_has_driver(sys, "vfio-pci") ? "loaded" : "not loaded");
	fprintf(to, "%-15s %-13s %-14s %-5s %-8s %6s %9s %9s %-4s %-4s %s\n", "INTERFACE", "PCI", "DRIVER", "STATE",
		"CARRIER", "MTU", "Mb/s", "QUEUES", "RSS", "XDP", "DEVICE");
	for (int i = 0; i < n && i < NICS_MAX; i++) {
		char speed[16], queues[32], device[2 * NAME_MAX_BYTES], mtu[16];

		device_of(&nics[i], device);
		fprintf(to, "%-15s %-13s %-14s %-5s %-8s %6s %9s %9s %-4s %-4s %s\n", or_dash(nics[i].interface),
			or_dash(nics[i].pci), nics[i].driver, nics[i].up ? "up" : "down",
			nics[i].carrier ? "yes" : "no", number_or_dash(mtu, nics[i].mtu),
			number_or_dash(speed, nics[i].speed_mb), queues_or_dash(queues, &nics[i]),
			nics[i].rss_key_bytes != 0 ? "yes" : "no", nics[i].xdp_attached ? "used" : "free", device);
	}
	if (n <= 0)
		fprintf(to, "no network devices\n");
	else
		fprintf(to, "\nQUEUES: in use (receive+transmit where they differ)/possible; XDP: \"used\" while a "
			    "program is on the interface\n");
}

static void print_text(FILE *to, const char *key, const char *text)
{
	fprintf(to, "\"%s\":\"", key);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', to);
		if ((unsigned char)*text >= ' ')
			fputc(*text, to);
	}
	fputc('"', to);
}

static void print_nic(const struct nic *nic, FILE *to)
{
	char device[2 * NAME_MAX_BYTES];

	device_of(nic, device);
	fputc('{', to);
	print_text(to, "interface", nic->interface);
	fputc(',', to);
	print_text(to, "pci", nic->pci);
	fputc(',', to);
	print_text(to, "driver", nic->driver);
	fputc(',', to);
	print_text(to, "id", nic->vendor_device);
	fputc(',', to);
	print_text(to, "device", device);
	fprintf(to,
		",\"up\":%s,\"carrier\":%s,\"mtu\":%u,\"speed_mb\":%u,\"queues\":%u,\"queues_max\":%u,"
		"\"rx_queues\":%u,\"tx_queues\":%u,\"rss_key_bytes\":%u,\"xdp\":%s,\"numa\":%d}",
		nic->up ? "true" : "false", nic->carrier ? "true" : "false", nic->mtu, nic->speed_mb, nic->queues,
		nic->queues_max, nic->rx_queues, nic->tx_queues, nic->rss_key_bytes,
		nic->xdp_attached ? "true" : "false", nic->numa);
}

void host_print_json(const char *sys, FILE *to)
{
	static struct nic nics[NICS_MAX];
	struct hugepages pages[PAGE_SIZES_MAX];
	int n = host_hugepages(sys, pages, PAGE_SIZES_MAX);

	fprintf(to, "{\"hugepages\":[");
	for (int i = 0; i < n && i < PAGE_SIZES_MAX; i++)
		fprintf(to, "%s{\"size_kb\":%lu,\"total\":%lu,\"free\":%lu}", i > 0 ? "," : "", pages[i].size_kb,
			pages[i].total, pages[i].free);
	fprintf(to, "],\"iommu\":%s,\"vfio_pci\":%s,\"nics\":[", host_has_iommu(sys) ? "true" : "false",
		host_has_driver(sys, "vfio-pci") ? "true" : "false");
	n = host_nics(sys, nics, NICS_MAX);
	for (int i = 0; i < n && i < NICS_MAX; i++) {
		if (i > 0)
			fputc(',', to);
		print_nic(&nics[i], to);
	}
	fprintf(to, "]}\n");
}
