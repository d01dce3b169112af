// SPDX-License-Identifier: Apache-2.0
#include "pcapng.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define BLOCK_SECTION 0x0a0d0d0au
#define BLOCK_INTERFACE 1
#define BLOCK_FRAME 6
#define BYTE_ORDER_MAGIC 0x1a2b3c4du
#define LINKTYPE_ETHERNET 1
#define OPTION_END 0
#define OPTION_NAME 2
#define OPTION_RESOLUTION 9
#define NANOSECONDS 9

static void put16(FILE *f, uint16_t v)
{
	v = htole16(v);
	fwrite(&v, sizeof(v), 1, f);
}

static void put32(FILE *f, uint32_t v)
{
	v = htole32(v);
	fwrite(&v, sizeof(v), 1, f);
}

static uint32_t padded(uint32_t n)
{
	return (n + 3) & ~3u;
}

static void put_padded(FILE *f, const void *data, uint32_t n)
{
	fwrite(data, 1, n, f);
	for (uint32_t i = n; i < padded(n); i++)
		fputc(0, f);
}

// A block is its type, its length, its body, and its length again.
static void block_begin(FILE *f, uint32_t type, uint32_t body_bytes)
{
	put32(f, type);
	put32(f, body_bytes + 12);
}

static int block_end(FILE *f, uint32_t body_bytes)
{
	put32(f, body_bytes + 12);
	return ferror(f) ? -(errno != 0 ? errno : EIO) : 0;
}

int pcapng_begin(FILE *f)
{
	block_begin(f, BLOCK_SECTION, 16);
	put32(f, BYTE_ORDER_MAGIC);
	put16(f, 1); // version 1.0
	put16(f, 0);
	put32(f, UINT32_MAX); // length of the section: not said
	put32(f, UINT32_MAX);
	return block_end(f, 16);
}

int pcapng_interface(FILE *f, const char *name)
{
	uint32_t len = (uint32_t)strlen(name), body = 8 + 4 + padded(len) + 8 + 4;

	block_begin(f, BLOCK_INTERFACE, body);
	put16(f, LINKTYPE_ETHERNET);
	put16(f, 0);
	put32(f, 0); // no limit to the length
	put16(f, OPTION_NAME);
	put16(f, (uint16_t)len);
	put_padded(f, name, len);
	put16(f, OPTION_RESOLUTION);
	put16(f, 1);
	put_padded(f, &(uint8_t){NANOSECONDS}, 1);
	put16(f, OPTION_END);
	put16(f, 0);
	return block_end(f, body);
}

int pcapng_frame(FILE *f, uint32_t interface, int64_t time_ns, const uint8_t *data, uint32_t n, uint32_t len_bytes)
{
	uint32_t body = 20 + padded(n);

	block_begin(f, BLOCK_FRAME, body);
	put32(f, interface);
	put32(f, (uint32_t)((uint64_t)time_ns >> 32));
	put32(f, (uint32_t)time_ns);
	put32(f, n);
	put32(f, len_bytes);
	put_padded(f, data, n);
	return block_end(f, body);
}
