// SPDX-License-Identifier: Apache-2.0
#include "lldp.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <stdbool.h>
#include <string.h>

#include "of_buf.h"

#define TLV_END 0
#define TLV_CHASSIS 1
#define TLV_PORT 2
#define TLV_TTL 3
#define TLV_ORGANISATION 127
#define SUBTYPE_LOCAL 7
#define TAG_BYTES 16
#define SAID_BYTES (8 + 4 + 8) // what the tag is about: dpid, port, round

static const uint8_t nearest_bridge[6] = {0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e};
static const uint8_t all_switches[6] = {0x01, 0x23, 0x20, 0x00, 0x00, 0x01};
static const uint8_t ours[4] = {0x52, 0x50, 0x4e, 0x01}; // a local OUI, and the kind of TLV

static void tag_of(const uint8_t said[SAID_BYTES], const uint8_t *key, uint8_t tag[TAG_BYTES])
{
	uint8_t whole[EVP_MAX_MD_SIZE] = {0};
	unsigned int n = 0;

	HMAC(EVP_sha256(), key, LLDP_KEY_BYTES, said, SAID_BYTES, whole, &n);
	memcpy(tag, whole, TAG_BYTES);
}

static void put_tlv(struct of_out *out, unsigned int type, unsigned int len)
{
	of_put(out, type << 9 | len, 2);
}

size_t lldp_make(const struct lldp_probe *probe, const uint8_t src[6], const uint8_t key[LLDP_KEY_BYTES],
		 uint16_t eth_type, uint8_t *frame)
{
	struct of_out out = {.p = frame, .left = LLDP_FRAME_MAX}, said;
	uint8_t bytes[SAID_BYTES], tag[TAG_BYTES];

	said = (struct of_out){.p = bytes, .left = sizeof(bytes)};
	of_put(&said, probe->dpid, 8);
	of_put(&said, probe->port, 4);
	of_put(&said, probe->round, 8);
	tag_of(bytes, key, tag);
	of_put_bytes(&out, eth_type == LLDP_ETH_TYPE ? nearest_bridge : all_switches, 6);
	of_put_bytes(&out, src, 6);
	of_put(&out, eth_type, 2);
	put_tlv(&out, TLV_CHASSIS, 9);
	of_put(&out, SUBTYPE_LOCAL, 1);
	of_put(&out, probe->dpid, 8);
	put_tlv(&out, TLV_PORT, 5);
	of_put(&out, SUBTYPE_LOCAL, 1);
	of_put(&out, probe->port, 4);
	put_tlv(&out, TLV_TTL, 2);
	of_put(&out, 15, 2);
	put_tlv(&out, TLV_ORGANISATION, sizeof(ours) + SAID_BYTES + TAG_BYTES);
	of_put_bytes(&out, ours, sizeof(ours));
	of_put_bytes(&out, bytes, SAID_BYTES);
	of_put_bytes(&out, tag, TAG_BYTES);
	put_tlv(&out, TLV_END, 0);
	return out.n;
}

static int read_ours(struct of_in *in, const uint8_t *key, struct lldp_probe *probe)
{
	const uint8_t *said = of_take(in, SAID_BYTES), *tag = of_take(in, TAG_BYTES);
	struct of_in numbers = {.p = said, .left = SAID_BYTES};
	uint8_t right[TAG_BYTES];

	if (said == NULL || tag == NULL || in->left != 0)
		return -EBADMSG;
	tag_of(said, key, right);
	if (CRYPTO_memcmp(tag, right, TAG_BYTES) != 0)
		return -EBADMSG;
	probe->dpid = of_get(&numbers, 8);
	probe->port = of_get32(&numbers);
	probe->round = of_get(&numbers, 8);
	return 0;
}

int lldp_read(const uint8_t *frame, size_t len, const uint8_t key[LLDP_KEY_BYTES], struct lldp_probe *probe)
{
	struct of_in in = {.p = frame, .left = len};
	uint16_t eth_type;

	of_skip(&in, 12);
	eth_type = of_get16(&in);
	if ((eth_type != LLDP_ETH_TYPE && eth_type != LLDP_THROUGH_TYPE) || in.bad)
		return -EPROTO;
	for (;;) {
		unsigned int head = of_get16(&in);
		struct of_in tlv = of_sub(&in, head & 0x1ff);
		const uint8_t *who;

		if (in.bad || tlv.bad || head >> 9 == TLV_END)
			return -EPROTO;
		if (head >> 9 != TLV_ORGANISATION)
			continue;
		who = of_take(&tlv, sizeof(ours));
		if (who != NULL && memcmp(who, ours, sizeof(ours)) == 0)
			return read_ours(&tlv, key, probe);
	}
}
