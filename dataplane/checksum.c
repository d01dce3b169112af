// SPDX-License-Identifier: Apache-2.0
#include "checksum.h"

#include <stdint.h>
#include <string.h>

#include <rte_byteorder.h>
#include <rte_hash_crc.h>
#include <rte_ip.h>
#include <rte_mbuf.h>

#include "pkt.h"

// Of the checksum in its header, and the shortest header.
enum { TCP_FIELD = 16, UDP_FIELD = 6, SCTP_FIELD = 8, TCP_HEADER = 20, UDP_HEADER = 8, SCTP_HEADER = 12 };

static uint16_t fold(uint64_t sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16 & 0xffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)((sum & 0xffff) + (sum >> 16));
}

// RFC 9293 3.1, RFC 8200 8.1; in the order of the network, as it lies in memory. Never 0.
static uint16_t pseudo_header(const struct pkt *pkt, const struct pkt_l4 *l4)
{
	uint64_t sum = (uint64_t)rte_cpu_to_be_32(l4->len_bytes) + rte_cpu_to_be_32(l4->proto);

	if (pkt->family == PKT_IP4)
		return fold(sum + pkt->ip4.src_be + pkt->ip4.dst_be);
	for (int i = 0; i < 4; i++)
		sum += (uint64_t)pkt->ip6.src_be[i] + pkt->ip6.dst_be[i];
	return fold(sum);
}

// Wherever its segments end.
static void put(struct rte_mbuf *m, uint32_t offset, const void *value, uint32_t n)
{
	const uint8_t *from = value;

	for (; n > 0; m = m->next, offset = 0) {
		uint32_t here;

		if (offset >= rte_pktmbuf_data_len(m)) {
			offset -= rte_pktmbuf_data_len(m);
			for (m = m->next; offset >= rte_pktmbuf_data_len(m); m = m->next)
				offset -= rte_pktmbuf_data_len(m);
		}
		here = RTE_MIN(n, rte_pktmbuf_data_len(m) - offset);
		memcpy(rte_pktmbuf_mtod_offset(m, uint8_t *, offset), from, here);
		from += here;
		n -= here;
	}
}

// Not rte_raw_cksum_mbuf, which (22.11) loses a carry of each segment that begins at an odd byte.
static uint16_t sum_of(const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	uint32_t sum = 0, done = 0;

	for (; m != NULL && done < len; m = m->next) {
		uint32_t here = rte_pktmbuf_data_len(m);
		uint16_t part;

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here = RTE_MIN(here - offset, len - done);
		part = rte_raw_cksum(rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), here);
		sum += done % 2 == 0 ? part : rte_bswap16(part);
		done += here;
		offset = 0;
	}
	return fold(sum);
}

// rte_hash_crc, of bytes wherever they lie.
static uint32_t crc_add(const uint8_t *bytes, uint32_t n, uint32_t crc)
{
	for (; n >= 8; n -= 8, bytes += 8) {
		uint64_t word;

		memcpy(&word, bytes, sizeof(word));
		crc = rte_hash_crc_8byte(word, crc);
	}
	for (; n > 0; n--, bytes++)
		crc = rte_hash_crc_1byte(*bytes, crc);
	return crc;
}

static uint32_t crc32c(const struct rte_mbuf *m, uint32_t offset, uint32_t len)
{
	uint32_t crc = UINT32_MAX;

	for (; m != NULL && len > 0; m = m->next) {
		uint32_t here = rte_pktmbuf_data_len(m);

		if (offset >= here) {
			offset -= here;
			continue;
		}
		here = RTE_MIN(here - offset, len);
		crc = crc_add(rte_pktmbuf_mtod_offset(m, const uint8_t *, offset), here, crc);
		len -= here;
		offset = 0;
	}
	return ~crc;
}

static bool complete_sum(struct rte_mbuf *m, const struct pkt *pkt, const struct pkt_l4 *l4, uint32_t field)
{
	uint16_t copy, value;

	memcpy(&value, rte_pktmbuf_read(m, l4->offset + field, sizeof(value), &copy), sizeof(value));
	if (likely(value != pseudo_header(pkt, l4)))
		return false;
	value = (uint16_t)~sum_of(m, l4->offset, l4->len_bytes);
	if (value == 0 && field == UDP_FIELD) // there it says that there is none
		value = 0xffff;
	put(m, l4->offset + field, &value, sizeof(value));
	return true;
}

static bool complete_crc(struct rte_mbuf *m, const struct pkt_l4 *l4)
{
	uint32_t copy, value;

	memcpy(&value, rte_pktmbuf_read(m, l4->offset + SCTP_FIELD, sizeof(value), &copy), sizeof(value));
	if (likely(value != 0))
		return false;
	value = rte_cpu_to_le_32(crc32c(m, l4->offset, l4->len_bytes));
	put(m, l4->offset + SCTP_FIELD, &value, sizeof(value));
	return true;
}

bool checksum_complete(struct rte_mbuf *m, const struct pkt *pkt)
{
	uint8_t copy[PKT_WINDOW_BYTES];
	uint32_t len = rte_pktmbuf_pkt_len(m), avail = RTE_MIN(len, (uint32_t)PKT_WINDOW_BYTES);
	const uint8_t *data = rte_pktmbuf_mtod(m, const uint8_t *);
	struct pkt_l4 l4;

	if (unlikely(rte_pktmbuf_data_len(m) < avail))
		data = rte_pktmbuf_read(m, 0, avail, copy);
	if (!pkt_l4_find(data, avail, len, pkt, &l4))
		return false;
	if (l4.proto == IPPROTO_TCP)
		return l4.len_bytes >= TCP_HEADER && complete_sum(m, pkt, &l4, TCP_FIELD);
	if (l4.proto == IPPROTO_UDP)
		return l4.len_bytes >= UDP_HEADER && complete_sum(m, pkt, &l4, UDP_FIELD);
	return l4.len_bytes >= SCTP_HEADER && complete_crc(m, &l4);
}
