// SPDX-License-Identifier: Apache-2.0
// A flow group while it is read: what each field may be, then the boxes of their product (SPEC 1). A field named twice
// is intersected field by field, so long value lists stay linear until the product is taken.
// Owner: the caller (flow_spec_init ... flow_spec_fini). Thread: any, values only.
#pragma once
#include "hft/match.h"
#include "reply.h"
#include "span_set.h"

#define FLOW_SPEC_BOXES_MAX 4096 // boxes in one flow group; more are refused

enum flow_dim {
	FLOW_SRC4, // addresses of IPv4 packets in match.h's 128-bit form
	FLOW_DST4,
	FLOW_SRC6,
	FLOW_DST6,
	FLOW_SRC_ETH,
	FLOW_DST_ETH,
	FLOW_VLAN,
	FLOW_PROTO,
	FLOW_SRC_PORT,
	FLOW_DST_PORT,
	FLOW_N_DIMS,
};

struct user_pair { // one product of the union that `user=` makes
	struct span_set src, dst;
};

struct flow_spec {
	struct span_set dim[FLOW_N_DIMS];
	struct user_pair *pairs;
	uint32_t n_pairs;
	uint32_t kinds;
	bool hosts_tested, ports_tested;
};

enum flow_test {
	FLOW_TEST_SRC_HOST,
	FLOW_TEST_DST_HOST,
	FLOW_TEST_PROTO,
	FLOW_TEST_SRC_PORT,
	FLOW_TEST_DST_PORT,
	FLOW_TEST_SRC_ETH,
	FLOW_TEST_DST_ETH,
	FLOW_TEST_VLAN,
	FLOW_TEST_SRC_USER,
	FLOW_TEST_DST_USER,
	FLOW_TEST_USER,
	FLOW_TEST_KIND,
};

// The values of one test. set: the field's; for hosts the IPv4 ones, and set6 the IPv6 ones. kinds: only for `kind=`.
struct flow_value {
	struct span_set set, set6;
	uint32_t kinds;
	bool negate; // a complement
};

int flow_spec_init(struct flow_spec *spec); // every packet; 0 or -ENOMEM
void flow_spec_fini(struct flow_spec *spec);
void flow_value_fini(struct flow_value *value);
// Adds a test (value is normalized and complemented in place). REPLY_OK; EMPTY_GROUP, NO_PORTS or FAMILY_MIX when no
// packet is left; LIMIT when memory or the union of users runs out.
enum reply_code flow_spec_test(struct flow_spec *spec, enum flow_test test, struct flow_value *value);
// The boxes. REPLY_OK or REPLY_LIMIT (over FLOW_SPEC_BOXES_MAX, or no memory; out is then empty).
enum reply_code flow_spec_build(const struct flow_spec *spec, struct match *out);
