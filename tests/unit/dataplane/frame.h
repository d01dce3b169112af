// SPDX-License-Identifier: Apache-2.0
// Builds frames for tests, header by header, at the end of what is there.
#pragma once
#include <stdint.h>
#include <string.h>

#define FRAME_MAX 2048

struct frame {
	uint8_t data[FRAME_MAX];
	uint32_t len;
};

static inline void frame_put(struct frame *f, const void *bytes, uint32_t n)
{
	memcpy(f->data + f->len, bytes, n);
	f->len += n;
}

static inline void frame_put16(struct frame *f, uint16_t v)
{
	f->data[f->len++] = (uint8_t)(v >> 8);
	f->data[f->len++] = (uint8_t)v;
}

static inline void frame_put32(struct frame *f, uint32_t v)
{
	frame_put16(f, (uint16_t)(v >> 16));
	frame_put16(f, (uint16_t)v);
}

static inline void frame_set16(struct frame *f, uint32_t at, uint16_t v)
{
	f->data[at] = (uint8_t)(v >> 8);
	f->data[at + 1] = (uint8_t)v;
}

static inline void frame_put_mac(struct frame *f, uint64_t mac)
{
	frame_put16(f, (uint16_t)(mac >> 32));
	frame_put32(f, (uint32_t)mac);
}

// Starts a frame: addresses only.
static inline void frame_start(struct frame *f, uint64_t dst_mac, uint64_t src_mac)
{
	f->len = 0;
	frame_put_mac(f, dst_mac);
	frame_put_mac(f, src_mac);
}

static inline void frame_tag(struct frame *f, uint16_t tpid, uint16_t tci)
{
	frame_put16(f, tpid);
	frame_put16(f, tci);
}

// EtherType and IPv4 header with option_words words of options; frag: flags and offset. Returns where the header
// starts.
static inline uint32_t frame_ip4(struct frame *f, uint32_t src, uint32_t dst, uint8_t proto, uint16_t frag,
				 unsigned int option_words)
{
	uint32_t at;

	frame_put16(f, 0x0800);
	at = f->len;
	frame_put16(f, (uint16_t)(0x4500 + (option_words << 8)));
	frame_put16(f, 0); // total length: frame_ip4_end
	frame_put16(f, 7);
	frame_put16(f, frag);
	frame_put16(f, (uint16_t)(64 << 8 | proto));
	frame_put16(f, 0);
	frame_put32(f, src);
	frame_put32(f, dst);
	for (unsigned int i = 0; i < option_words; i++)
		frame_put32(f, 0x01010101);
	return at;
}

static inline void frame_ip4_end(struct frame *f, uint32_t at)
{
	frame_set16(f, at + 2, (uint16_t)(f->len - at));
}

static inline uint32_t frame_ip6(struct frame *f, const uint8_t src[16], const uint8_t dst[16], uint8_t next)
{
	uint32_t at;

	frame_put16(f, 0x86dd);
	at = f->len;
	frame_put32(f, 0x60000000);
	frame_put16(f, 0); // payload length: frame_ip6_end
	frame_put16(f, (uint16_t)(next << 8 | 64));
	frame_put(f, src, 16);
	frame_put(f, dst, 16);
	return at;
}

static inline void frame_ip6_end(struct frame *f, uint32_t at)
{
	frame_set16(f, at + 4, (uint16_t)(f->len - at - 40));
}

// An extension header of 8 * (1 + words8) bytes.
static inline void frame_ip6_ext(struct frame *f, uint8_t next, uint8_t words8)
{
	frame_put16(f, (uint16_t)(next << 8 | words8));
	memset(f->data + f->len, 0, 6 + 8u * words8);
	f->len += 6 + 8u * words8;
}

static inline void frame_ip6_fragment(struct frame *f, uint8_t next, uint16_t offset8, unsigned int more)
{
	frame_put16(f, (uint16_t)(next << 8));
	frame_put16(f, (uint16_t)(offset8 << 3 | more));
	frame_put32(f, 99);
}

static inline void frame_ports(struct frame *f, uint16_t sport, uint16_t dport)
{
	frame_put16(f, sport);
	frame_put16(f, dport);
}

static inline void frame_pad(struct frame *f, uint32_t n, uint8_t byte)
{
	memset(f->data + f->len, byte, n);
	f->len += n;
}
