// SPDX-License-Identifier: Apache-2.0
#include "drop_filter.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "flow_filter.h"
#include "xdp_filter.h"

int drop_filter_open(const char *device, uint16_t port_id, struct drop_filter **out, char why[PORT_ERR_MAX])
{
	static const char prefix[] = "af_xdp:";
	const char *name = device + sizeof(prefix) - 1;
	struct xdp_filter *filter;
	char interface[64];
	int rc;

	if (strncmp(device, prefix, sizeof(prefix) - 1) != 0)
		return flow_filter_open(port_id, out, why);
	snprintf(interface, sizeof(interface), "%.*s", (int)strcspn(name, ","), name);
	rc = xdp_filter_open(interface, &filter, why);
	if (rc == 0)
		*out = xdp_filter_base(filter);
	return rc;
}

int drop_rule_check(const struct xdp_rule *rule)
{
	static const uint32_t zero[4];
	const struct xdp_exact *e = &rule->exact;
	bool ok;

	switch (rule->kind) {
	case XDP_RULE_SRC4:
	case XDP_RULE_DST4:
		return rule->prefix4.prefix_len <= 32 ? 0 : -EINVAL;
	case XDP_RULE_SRC6:
	case XDP_RULE_DST6:
		return rule->prefix6.prefix_len <= 128 ? 0 : -EINVAL;
	case XDP_RULE_EXACT:
		break;
	default:
		return -EINVAL;
	}
	ok = (e->family == 4 || e->family == 6) && e->fields != 0 && e->fields < 2 * XDP_DPORT && e->zero == 0 &&
	     ((e->fields & XDP_SRC) != 0 || memcmp(e->src_be, zero, sizeof(zero)) == 0) &&
	     ((e->fields & XDP_DST) != 0 || memcmp(e->dst_be, zero, sizeof(zero)) == 0) &&
	     ((e->fields & XDP_PROTO) != 0 || e->proto == 0) && ((e->fields & XDP_SPORT) != 0 || e->sport_be == 0) &&
	     ((e->fields & XDP_DPORT) != 0 || e->dport_be == 0);
	return ok ? 0 : -EINVAL;
}

struct xdp_rule drop_rule_plain(const struct xdp_rule *rule)
{
	struct xdp_rule plain;

	memset(&plain, 0, sizeof(plain));
	plain.kind = rule->kind;
	if (rule->kind == XDP_RULE_EXACT)
		plain.exact = rule->exact;
	else if (rule->kind <= XDP_RULE_DST4)
		plain.prefix4 = rule->prefix4;
	else
		plain.prefix6 = rule->prefix6;
	return plain;
}
