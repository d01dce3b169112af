// SPDX-License-Identifier: Apache-2.0
// Link probes: LLDP frames (IEEE 802.1AB) with a TLV of ours that says which port of which switch they left, and a tag
// that only this controller can make (HMAC-SHA-256, RFC 2104, cut to 16 bytes), so that a host cannot make up a link.
// Values only. Thread: any.
#pragma once
#include <stddef.h>
#include <stdint.h>

#define LLDP_ETH_TYPE 0x88cc
// A bridge between two switches does not forward LLDP (IEEE 802.1D, 7.12.6): the same under this type, to a group that
// is forwarded, finds links that lead through one.
#define LLDP_THROUGH_TYPE 0x8942
#define LLDP_KEY_BYTES 32
#define LLDP_FRAME_MAX 128

struct lldp_probe {
	uint64_t dpid;
	uint32_t port;
	uint64_t round; // of probes: what is not of a recent one is a replay
};

// Bytes written to frame (LLDP_FRAME_MAX is enough). src: the port's address; eth_type: one of the two above.
size_t lldp_make(const struct lldp_probe *probe, const uint8_t src[6], const uint8_t key[LLDP_KEY_BYTES],
		 uint16_t eth_type, uint8_t *frame);
// 0; -EPROTO: no LLDP frame, or one of somebody else; -EBADMSG: ours by its looks, but the tag is wrong.
int lldp_read(const uint8_t *frame, size_t len, const uint8_t key[LLDP_KEY_BYTES], struct lldp_probe *probe);
