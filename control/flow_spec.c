// SPDX-License-Identifier: Apache-2.0
#include "flow_spec.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#define ADDRESS_MAX (~(u128)0)
#define PAIRS_MAX 16 // products in the union that tests of `user` make
#define BOX_DIMS 10  // src, dst, then the fields from MATCH_SRC_ETH on

static_assert(FLOW_DST_PORT - FLOW_SRC_ETH == MATCH_DST_PORT - MATCH_SRC_ETH &&
		      2 + MATCH_N_FIELDS - MATCH_SRC_ETH == BOX_DIMS,
	      "dimensions follow the order of match fields");

static const unsigned int port_protos[] = {6, 17, 132}; // TCP, UDP, SCTP

int flow_spec_init(struct flow_spec *spec)
{
	*spec = (struct flow_spec){.kinds = MATCH_KINDS_ALL, .pairs = calloc(1, sizeof(struct user_pair))};
	if (spec->pairs == NULL)
		return -ENOMEM;
	for (int i = 0; i < FLOW_N_DIMS; i++)
		spec->dim[i] = span_set_any();
	spec->pairs[0] = (struct user_pair){span_set_any(), span_set_any()};
	spec->n_pairs = 1;
	return 0;
}

static void pairs_free(struct user_pair *pairs, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		span_set_fini(&pairs[i].src);
		span_set_fini(&pairs[i].dst);
	}
	free(pairs);
}

void flow_spec_fini(struct flow_spec *spec)
{
	for (int i = 0; i < FLOW_N_DIMS; i++)
		span_set_fini(&spec->dim[i]);
	pairs_free(spec->pairs, spec->n_pairs);
}

void flow_value_fini(struct flow_value *value)
{
	span_set_fini(&value->set);
	span_set_fini(&value->set6);
}

static bool has_port_proto(const struct span_set *protos)
{
	for (size_t i = 0; i < sizeof(port_protos) / sizeof(port_protos[0]); i++)
		if (span_set_has(protos, port_protos[i]))
			return true;
	return false;
}

// The kinds of which packets are left; 0: the group is empty.
static uint32_t live_kinds(const struct flow_spec *spec)
{
	const struct span_set *dim = spec->dim;
	uint32_t kinds = spec->kinds;

	if (span_set_is_empty(&dim[FLOW_SRC4]) || span_set_is_empty(&dim[FLOW_DST4]))
		kinds &= ~MATCH_KINDS_V4;
	if (span_set_is_empty(&dim[FLOW_SRC6]) || span_set_is_empty(&dim[FLOW_DST6]))
		kinds &= ~MATCH_KINDS_V6;
	if (span_set_is_empty(&dim[FLOW_PROTO]))
		kinds &= ~MATCH_KINDS_IP;
	if (!has_port_proto(&dim[FLOW_PROTO]) || span_set_is_empty(&dim[FLOW_SRC_PORT]) ||
	    span_set_is_empty(&dim[FLOW_DST_PORT]))
		kinds &= ~MATCH_KINDS_PORTS;
	if (spec->n_pairs == 0 || span_set_is_empty(&dim[FLOW_SRC_ETH]) || span_set_is_empty(&dim[FLOW_DST_ETH]) ||
	    span_set_is_empty(&dim[FLOW_VLAN]))
		kinds = 0;
	return kinds;
}

static uint32_t families(uint32_t kinds)
{
	return ((kinds & MATCH_KINDS_V4) != 0 ? MATCH_KINDS_V4 : 0) |
	       ((kinds & MATCH_KINDS_V6) != 0 ? MATCH_KINDS_V6 : 0);
}

// Why nothing is left after a test that found packets of the kinds `before`.
static enum reply_code empty_code(const struct flow_spec *spec, enum flow_test test, const struct flow_value *value,
				  uint32_t before)
{
	bool only_ports = spec->ports_tested || (before & ~MATCH_KINDS_PORTS) == 0;
	uint32_t kinds = 0;

	switch (test) {
	case FLOW_TEST_SRC_PORT:
	case FLOW_TEST_DST_PORT:
		return (before & MATCH_KINDS_PORTS) == 0 ? REPLY_NO_PORTS : REPLY_EMPTY_GROUP;
	case FLOW_TEST_PROTO:
		return only_ports && !span_set_is_empty(&value->set) && !has_port_proto(&value->set)
			       ? REPLY_NO_PORTS
			       : REPLY_EMPTY_GROUP;
	case FLOW_TEST_SRC_HOST:
	case FLOW_TEST_DST_HOST:
		kinds = (span_set_is_empty(&value->set) ? 0 : MATCH_KINDS_V4) |
			(span_set_is_empty(&value->set6) ? 0 : MATCH_KINDS_V6);
		break;
	case FLOW_TEST_KIND:
		kinds = value->kinds;
		if (kinds != 0 && ((spec->ports_tested && (kinds & MATCH_KINDS_PORTS) == 0) ||
				   ((kinds & ~MATCH_KINDS_PORTS) == 0 && (before & MATCH_KINDS_PORTS) == 0)))
			return REPLY_NO_PORTS;
		break;
	default:
		break;
	}
	if (families(kinds) != 0 && families(before) != 0 && (families(kinds) & families(before)) == 0)
		return REPLY_FAMILY_MIX;
	return REPLY_EMPTY_GROUP;
}

static bool pair_within(const struct user_pair *inner, const struct user_pair *outer)
{
	struct span_set src = {0}, dst = {0};
	bool within = span_set_copy(&src, &inner->src) == 0 && span_set_intersect(&src, &outer->src) == 0 &&
		      span_set_equal(&src, &inner->src) && span_set_copy(&dst, &inner->dst) == 0 &&
		      span_set_intersect(&dst, &outer->dst) == 0 && span_set_equal(&dst, &inner->dst);

	span_set_fini(&src);
	span_set_fini(&dst);
	return within;
}

// Adds the part of a pair with the user on one side, unless it is empty or within one that is there.
static int add_side(struct user_pair *pairs, uint32_t *n, const struct user_pair *from, const struct span_set *users,
		    bool source)
{
	struct user_pair pair = {0};
	int rc = -ENOMEM;

	if (span_set_copy(&pair.src, &from->src) < 0 || span_set_copy(&pair.dst, &from->dst) < 0 ||
	    span_set_intersect(source ? &pair.src : &pair.dst, users) < 0)
		goto drop;
	rc = 0;
	if (span_set_is_empty(&pair.src) || span_set_is_empty(&pair.dst))
		goto drop;
	for (uint32_t i = 0; i < *n; i++)
		if (pair_within(&pair, &pairs[i]))
			goto drop;
	pairs[(*n)++] = pair;
	return 0;
drop:
	span_set_fini(&pair.src);
	span_set_fini(&pair.dst);
	return rc;
}

// Source or destination: (s, d) becomes (s and users, d) and (s, d and users).
static int test_either_user(struct flow_spec *spec, const struct span_set *users)
{
	struct user_pair *pairs = calloc(2 * (size_t)spec->n_pairs, sizeof(*pairs));
	uint32_t n = 0;
	int rc = pairs != NULL ? 0 : -ENOMEM;

	for (uint32_t i = 0; rc == 0 && i < 2 * spec->n_pairs; i++)
		rc = add_side(pairs, &n, &spec->pairs[i / 2], users, i % 2 == 0);
	if (rc == 0 && n > PAIRS_MAX)
		rc = -E2BIG;
	if (rc < 0) {
		pairs_free(pairs, n);
		return rc;
	}
	pairs_free(spec->pairs, spec->n_pairs);
	spec->pairs = pairs;
	spec->n_pairs = n;
	return 0;
}

static int test_users(struct flow_spec *spec, const struct span_set *users, bool src, bool dst)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < spec->n_pairs; i++)
		if ((src && span_set_intersect(&spec->pairs[i].src, users) < 0) ||
		    (dst && span_set_intersect(&spec->pairs[i].dst, users) < 0))
			return -ENOMEM;
	for (uint32_t i = 0; i < spec->n_pairs; i++) {
		struct user_pair *pair = &spec->pairs[i];

		if (span_set_is_empty(&pair->src) || span_set_is_empty(&pair->dst)) {
			span_set_fini(&pair->src);
			span_set_fini(&pair->dst);
		} else {
			spec->pairs[n++] = *pair;
		}
	}
	spec->n_pairs = n;
	return 0;
}

static int value_finish(struct flow_value *value, enum flow_test test)
{
	static const u128 max[] = {
		[FLOW_TEST_SRC_HOST] = ADDRESS_MAX,
		[FLOW_TEST_DST_HOST] = ADDRESS_MAX,
		[FLOW_TEST_PROTO] = 255,
		[FLOW_TEST_SRC_PORT] = 65535,
		[FLOW_TEST_DST_PORT] = 65535,
		[FLOW_TEST_SRC_ETH] = (UINT64_C(1) << 48) - 1,
		[FLOW_TEST_VLAN] = 4095,
		[FLOW_TEST_DST_ETH] = (UINT64_C(1) << 48) - 1,
		[FLOW_TEST_SRC_USER] = UINT32_MAX,
		[FLOW_TEST_DST_USER] = UINT32_MAX,
		[FLOW_TEST_USER] = UINT32_MAX,
		[FLOW_TEST_KIND] = 0,
	};

	span_set_normalize(&value->set);
	span_set_normalize(&value->set6);
	if (!value->negate)
		return 0;
	value->kinds = ~value->kinds & MATCH_KINDS_ALL;
	if (span_set_complement(&value->set, max[test]) < 0)
		return -ENOMEM;
	return span_set_complement(&value->set6, ADDRESS_MAX);
}

static int apply(struct flow_spec *spec, enum flow_test test, const struct flow_value *value)
{
	struct span_set *dim = spec->dim;
	int rc;

	switch (test) {
	case FLOW_TEST_SRC_HOST:
	case FLOW_TEST_DST_HOST:
		spec->hosts_tested = true;
		spec->kinds &= MATCH_KINDS_IP;
		rc = span_set_intersect(&dim[test == FLOW_TEST_SRC_HOST ? FLOW_SRC4 : FLOW_DST4], &value->set);
		return rc < 0 ? rc
			      : span_set_intersect(&dim[test == FLOW_TEST_SRC_HOST ? FLOW_SRC6 : FLOW_DST6],
						   &value->set6);
	case FLOW_TEST_PROTO:
		spec->kinds &= MATCH_KINDS_IP;
		return span_set_intersect(&dim[FLOW_PROTO], &value->set);
	case FLOW_TEST_SRC_PORT:
	case FLOW_TEST_DST_PORT:
		spec->ports_tested = true;
		spec->kinds &= MATCH_KINDS_PORTS;
		return span_set_intersect(&dim[test == FLOW_TEST_SRC_PORT ? FLOW_SRC_PORT : FLOW_DST_PORT],
					  &value->set);
	case FLOW_TEST_SRC_ETH:
		return span_set_intersect(&dim[FLOW_SRC_ETH], &value->set);
	case FLOW_TEST_DST_ETH:
		return span_set_intersect(&dim[FLOW_DST_ETH], &value->set);
	case FLOW_TEST_VLAN:
		return span_set_intersect(&dim[FLOW_VLAN], &value->set);
	case FLOW_TEST_SRC_USER:
		return test_users(spec, &value->set, true, false);
	case FLOW_TEST_DST_USER:
		return test_users(spec, &value->set, false, true);
	case FLOW_TEST_USER: // the complement: neither direction
		return value->negate ? test_users(spec, &value->set, true, true) : test_either_user(spec, &value->set);
	case FLOW_TEST_KIND:
		spec->kinds &= value->kinds;
		return 0;
	}
	return 0;
}

enum reply_code flow_spec_test(struct flow_spec *spec, enum flow_test test, struct flow_value *value)
{
	uint32_t before = live_kinds(spec);

	if (value_finish(value, test) < 0 || apply(spec, test, value) < 0)
		return REPLY_LIMIT;
	return live_kinds(spec) == 0 ? empty_code(spec, test, value, before) : REPLY_OK;
}

struct product {
	const struct span_set *set[BOX_DIMS];
	u128 max[BOX_DIMS];
	uint32_t n_dims;
};

static void product_push(struct product *p, const struct span_set *set, u128 max)
{
	p->set[p->n_dims] = set;
	p->max[p->n_dims++] = max;
}

static bool product_fits(const struct product *p, uint64_t *total)
{
	uint64_t boxes = 1;

	for (uint32_t i = 0; i < p->n_dims; i++) {
		boxes *= span_set_n(p->set[i]);
		if (boxes > FLOW_SPEC_BOXES_MAX)
			return false;
	}
	*total += boxes;
	return *total <= FLOW_SPEC_BOXES_MAX;
}

static struct box product_box(const struct product *p, const uint32_t *at, uint32_t kinds)
{
	struct box box = box_any();

	box.kinds = kinds;
	for (uint32_t i = 0; i < p->n_dims; i++) {
		struct span128 span = span_set_at(p->set[i], at[i], p->max[i]);

		if (i == 0)
			box.src = span;
		else if (i == 1)
			box.dst = span;
		else
			box.f[MATCH_SRC_ETH + i - 2] = (struct span){(uint64_t)span.lo, (uint64_t)span.hi};
	}
	return box;
}

// Counts through all combinations, the last dimension fastest.
static int product_add(const struct product *p, uint32_t kinds, struct match *out)
{
	uint32_t at[BOX_DIMS] = {0}, i;

	do {
		struct box box = product_box(p, at, kinds);

		if (box_normalize(&box) && match_add(out, &box) < 0)
			return -ENOMEM;
		for (i = p->n_dims; i > 0; i--) {
			if (++at[i - 1] < span_set_n(p->set[i - 1]))
				break;
			at[i - 1] = 0;
		}
	} while (i > 0);
	return 0;
}

// The boxes of packets of these kinds whose addresses are as said.
static int build_kinds(const struct flow_spec *spec, uint32_t kinds, enum flow_dim src, enum flow_dim dst,
		       uint64_t *total, struct match *out)
{
	for (uint32_t i = 0; kinds != 0 && i < spec->n_pairs; i++) {
		struct product p = {0};

		product_push(&p, &spec->dim[src], ADDRESS_MAX);
		product_push(&p, &spec->dim[dst], ADDRESS_MAX);
		for (int f = 0; f < FLOW_N_DIMS - FLOW_SRC_ETH; f++) // both enums go on in the same order
			product_push(&p, &spec->dim[FLOW_SRC_ETH + f], match_field_max(MATCH_SRC_ETH + f));
		product_push(&p, &spec->pairs[i].src, MATCH_USER_MAX);
		product_push(&p, &spec->pairs[i].dst, MATCH_USER_MAX);
		if (!product_fits(&p, total) || product_add(&p, kinds, out) < 0)
			return -E2BIG;
	}
	return 0;
}

enum reply_code flow_spec_build(const struct flow_spec *spec, struct match *out)
{
	uint32_t kinds = live_kinds(spec);
	uint64_t total = 0;
	int rc;

	if (!spec->hosts_tested) {
		rc = build_kinds(spec, kinds, FLOW_SRC4, FLOW_DST4, &total, out);
	} else {
		rc = build_kinds(spec, kinds & MATCH_KINDS_V4, FLOW_SRC4, FLOW_DST4, &total, out);
		if (rc == 0)
			rc = build_kinds(spec, kinds & MATCH_KINDS_V6, FLOW_SRC6, FLOW_DST6, &total, out);
	}
	if (rc == 0)
		return REPLY_OK;
	match_fini(out);
	match_init(out);
	return REPLY_LIMIT;
}
