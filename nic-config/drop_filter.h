// SPDX-License-Identifier: Apache-2.0
// What a port drops before the switch sees it: by an XDP program (xdp_filter.h) or by the NIC (flow_filter.h). The
// switch denies the same by itself, so a rule that finds no place costs cycles, never correctness
// (docs/decisions/0016).
// No policy. Owner: the caller. Thread: one at a time; packets flow meanwhile.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "why.h"
#include "xdp_rule.h"

struct drop_filter;

enum xdp_rule_kind {
	XDP_RULE_EXACT,
	XDP_RULE_SRC4,
	XDP_RULE_DST4,
	XDP_RULE_SRC6,
	XDP_RULE_DST6,
};

struct xdp_rule {
	enum xdp_rule_kind kind;
	union {
		struct xdp_exact exact;
		struct xdp_prefix4 prefix4; // SRC4, DST4: host bits are zero
		struct xdp_prefix6 prefix6;
	};
};

// One kind of filter.
struct drop_filter_ops {
	// Drops what the rule says from now on. An equal rule may be added several times. 0; -ENOSPC: no room;
	// -ENOTSUP: it cannot be said there; -EINVAL: no such kind, or fields that are not named are not zero; else
	// -errno. On error nothing has changed.
	int (*add)(struct drop_filter *f, const struct xdp_rule *rule);
	// Undoes one add: when it was the last of this rule, later frames pass. 0; -ENOENT; else -errno.
	int (*del)(struct drop_filter *f, const struct xdp_rule *rule);
	// What the rule has dropped since it was added first; a frame that several rules match counts for one of them.
	// -ENOENT.
	int (*count)(struct drop_filter *f, const struct xdp_rule *rule, struct xdp_count *out);
	int (*total)(struct drop_filter *f, struct xdp_count *out); // all frames that rules dropped
	// All that came by receive queues which nobody serves; NULL: the device has none of those.
	int (*unserved)(struct drop_filter *f, struct xdp_count *out);
	void (*close)(struct drop_filter *f);
};

struct drop_filter { // the beginning of each kind
	const struct drop_filter_ops *ops;
};

// What the device (nic-config/port.h) of a started port can do. 0; -ENOTSUP: nothing; else -errno, with the reason in
// why. The device has no rules then.
int drop_filter_open(const char *device, uint16_t port_id, struct drop_filter **out, char why[WHY_BYTES]);

static inline int drop_filter_add(struct drop_filter *f, const struct xdp_rule *rule)
{
	return f->ops->add(f, rule);
}

static inline int drop_filter_del(struct drop_filter *f, const struct xdp_rule *rule)
{
	return f->ops->del(f, rule);
}

static inline int drop_filter_count(struct drop_filter *f, const struct xdp_rule *rule, struct xdp_count *out)
{
	return f->ops->count(f, rule, out);
}

static inline int drop_filter_total(struct drop_filter *f, struct xdp_count *out)
{
	return f->ops->total(f, out);
}

static inline int drop_filter_unserved(struct drop_filter *f, struct xdp_count *out)
{
	*out = (struct xdp_count){0};
	return f->ops->unserved == NULL ? 0 : f->ops->unserved(f, out);
}

// Accepts NULL.
static inline void drop_filter_close(struct drop_filter *f)
{
	if (f != NULL)
		f->ops->close(f);
}

// 0; -EINVAL: no such kind, or fields that are not named are not zero.
int drop_rule_check(const struct xdp_rule *rule);
// One form for equal rules: the union's unused bytes are zero.
struct xdp_rule drop_rule_plain(const struct xdp_rule *rule);
