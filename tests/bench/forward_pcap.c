// SPDX-License-Identifier: Apache-2.0
// Flows -> frames in a capture file (libpcap's classic format, Ethernet).
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "forward.h"

#define FRAME_MIN 60
#define FRAME_MAX 1514
#define ETH_BYTES 14
#define IP_BYTES 20
#define ICMP 1
#define TCP 6
#define UDP 17
#define PCAP_MAGIC 0xa1b2c3d4u
#define LINKTYPE_ETHERNET 1

struct pcap_file_header {
	uint32_t magic;
	uint16_t major, minor;
	uint32_t zone, sigfigs, snaplen, linktype;
};

struct pcap_record {
	uint32_t s, us, captured, length;
};

static void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static void put_mac(uint8_t *p, uint8_t side, uint32_t host)
{
	p[0] = 2;
	p[1] = side;
	put32(p + 2, host);
}

static uint32_t ip_checksum(const uint8_t *ip)
{
	uint32_t sum = 0;

	for (int i = 0; i < IP_BYTES; i += 2)
		sum += (uint32_t)ip[i] << 8 | ip[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	return ~(sum + (sum >> 16)) & 0xffff;
}

static void put_l4(uint8_t *l4, const struct flow *f, uint32_t len)
{
	if (f->proto == TCP || f->proto == UDP) {
		put16(l4, f->sport);
		put16(l4 + 2, f->dport);
	}
	if (f->proto == TCP) {
		l4[12] = 5 << 4;
		l4[13] = 0x10; // ACK
	} else if (f->proto == UDP) {
		put16(l4 + 4, len);
	} else if (f->proto == ICMP) {
		l4[0] = 8; // echo request
	}
}

// A flow of one alone is sent by both.
uint32_t flows_n_of_side(const struct flows *f, uint32_t side)
{
	return f->n == 1 ? 1 : (f->n + 1 - side) / 2;
}

const struct flow *flows_of_side(const struct flows *f, uint32_t side, uint32_t i)
{
	return &f->flow[f->n == 1 ? 0 : 2 * i + side];
}

static void make_frame(const struct flow *f, uint32_t i, uint32_t len, uint32_t n_hosts, uint32_t side, uint8_t *frame)
{
	uint8_t *ip = frame + ETH_BYTES;

	memset(frame, 0, len);
	put_mac(frame, side == 0 ? 2 : 1, i % n_hosts);
	put_mac(frame + 6, side == 0 ? 1 : 2, i % n_hosts);
	put16(frame + 12, 0x0800);
	ip[0] = 0x45;
	put16(ip + 2, len - ETH_BYTES);
	ip[8] = 64;
	ip[9] = f->proto;
	put32(ip + 12, f->src);
	put32(ip + 16, f->dst);
	put16(ip + 10, ip_checksum(ip));
	put_l4(ip + IP_BYTES, f, len - ETH_BYTES - IP_BYTES);
}

int flows_write(const struct flows *f, const char *path, uint32_t frame_bytes, uint32_t n_hosts, uint32_t side,
		struct err *err)
{
	const struct pcap_file_header header = {PCAP_MAGIC, 2, 4, 0, 0, 65535, LINKTYPE_ETHERNET};
	struct pcap_record record = {.captured = frame_bytes, .length = frame_bytes};
	uint8_t frame[FRAME_MAX];
	FILE *out;
	bool ok;

	if (frame_bytes < FRAME_MIN || frame_bytes > FRAME_MAX || n_hosts == 0)
		return err_set(err, EINVAL, "frames of %u bytes, %u hosts: expected %d..%d, at least one host",
			       frame_bytes, n_hosts, FRAME_MIN, FRAME_MAX);
	out = fopen(path, "wb");
	if (out == NULL)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	ok = fwrite(&header, sizeof(header), 1, out) == 1;
	for (uint32_t i = 0; i < flows_n_of_side(f, side) && ok; i++) {
		make_frame(flows_of_side(f, side, i), i, frame_bytes, n_hosts, side, frame);
		record.us = i % 1000000;
		ok = fwrite(&record, sizeof(record), 1, out) == 1 && fwrite(frame, frame_bytes, 1, out) == 1;
	}
	if (fclose(out) != 0 || !ok)
		return err_set(err, EIO, "%s: cannot be written", path);
	return 0;
}
