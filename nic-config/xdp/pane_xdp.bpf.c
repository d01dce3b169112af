// SPDX-License-Identifier: Apache-2.0
// In front of an af_xdp port: drops in the driver what the policy denies outright, hands the rest to the socket of its
// queue. The interface is the switch's: a frame for which there is no socket is dropped and counted, for in the host's
// own stack it would be past all policy.
// Invariant: it drops no frame that the switch would let through. So whatever it is not sure of (malformed headers,
// fragments, extension headers) it knows less fields of, and a rule that names a field not known does not match.
// What it must agree with: dataplane/pkt.c.
#include <linux/bpf.h>

#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "../xdp_rule.h"

#define ETH_HEADER_BYTES 14
#define TAGS_MAX 2
#define QUEUES_MAX 64

// The name is the driver's: it puts its sockets here.
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, QUEUES_MAX);
	__type(key, __u32);
	__type(value, __u32);
} xsks_map SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, XDP_RULES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct xdp_exact);
	__type(value, struct xdp_count);
} pane_exact SEC(".maps");

#define PREFIX_MAP(name, key_type) \
	struct { \
		__uint(type, BPF_MAP_TYPE_LPM_TRIE); \
		__uint(max_entries, XDP_RULES_MAX); \
		__uint(map_flags, BPF_F_NO_PREALLOC); \
		__type(key, key_type); \
		__type(value, struct xdp_count); \
	} name SEC(".maps")

PREFIX_MAP(pane_src4, struct xdp_prefix4);
PREFIX_MAP(pane_dst4, struct xdp_prefix4);
PREFIX_MAP(pane_src6, struct xdp_prefix6);
PREFIX_MAP(pane_dst6, struct xdp_prefix6);

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct xdp_config);
} pane_config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, XDP_TOTALS);
	__type(key, __u32);
	__type(value, struct xdp_count);
} pane_total SEC(".maps");

static __always_inline __u16 get16(const __u8 *p)
{
	return (__u16)(p[0] << 8 | p[1]);
}

static __always_inline bool has_ports(__u8 proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static __always_inline bool is_extension(__u8 proto)
{
	return proto == 0 || proto == 43 || proto == 44 || proto == 51 || proto == 60;
}

// The ports at l4, if they are in the frame and in the IP packet, of left bytes.
static __always_inline void read_ports(struct xdp_exact *k, const __u8 *l4, const __u8 *end, __u32 left)
{
	if (!has_ports(k->proto) || left < 4 || l4 + 4 > end)
		return;
	__builtin_memcpy(&k->sport_be, l4, 2);
	__builtin_memcpy(&k->dport_be, l4 + 2, 2);
	k->fields |= XDP_SPORT | XDP_DPORT;
}

static __always_inline bool read_ip4(struct xdp_exact *k, const __u8 *ip, const __u8 *end)
{
	__u32 header, total;

	if (ip + 20 > end || ip[0] >> 4 != 4)
		return false;
	header = (ip[0] & 0xfu) * 4;
	total = get16(ip + 2);
	if (header < 20 || total < header || ip + total > end)
		return false;
	k->family = 4;
	k->proto = ip[9];
	__builtin_memcpy(&k->src_be[0], ip + 12, 4);
	__builtin_memcpy(&k->dst_be[0], ip + 16, 4);
	k->fields = XDP_SRC | XDP_DST | XDP_PROTO;
	if ((get16(ip + 6) & 0x3fff) == 0)
		read_ports(k, ip + header, end, total - header);
	return true;
}

static __always_inline bool read_ip6(struct xdp_exact *k, const __u8 *ip, const __u8 *end)
{
	__u32 payload;

	if (ip + 40 > end || ip[0] >> 4 != 6)
		return false;
	payload = get16(ip + 4);
	if (ip + 40 + payload > end)
		return false;
	k->family = 6;
	__builtin_memcpy(k->src_be, ip + 8, 16);
	__builtin_memcpy(k->dst_be, ip + 24, 16);
	k->fields = XDP_SRC | XDP_DST;
	if (is_extension(ip[6]))
		return true;
	k->proto = ip[6];
	k->fields |= XDP_PROTO;
	read_ports(k, ip + 40, end, payload);
	return true;
}

static __always_inline bool read_frame(struct xdp_exact *k, const __u8 *data, const __u8 *end)
{
	const __u8 *at = data + ETH_HEADER_BYTES;
	__u16 type;

	if (at > end)
		return false;
	type = get16(data + 12);
	for (int tags = 0; tags < TAGS_MAX; tags++) {
		if (type != 0x8100 && type != 0x88a8)
			break;
		if (at + 4 > end)
			return false;
		type = get16(at + 2);
		at += 4;
	}
	if (type == 0x0800)
		return read_ip4(k, at, end);
	if (type == 0x86dd)
		return read_ip6(k, at, end);
	return false;
}

static __always_inline bool counted(struct xdp_count *c, __u32 bytes)
{
	if (!c)
		return false;
	__sync_fetch_and_add(&c->packets, 1);
	__sync_fetch_and_add(&c->bytes, bytes);
	return true;
}

static __always_inline bool by_prefix(const struct xdp_exact *k, __u32 bytes)
{
	if (k->family == 4) {
		struct xdp_prefix4 src = {32, k->src_be[0]}, dst = {32, k->dst_be[0]};

		return counted(bpf_map_lookup_elem(&pane_src4, &src), bytes) ||
		       counted(bpf_map_lookup_elem(&pane_dst4, &dst), bytes);
	}
	struct xdp_prefix6 src = {.prefix_len = 128}, dst = {.prefix_len = 128};

	__builtin_memcpy(src.addr_be, k->src_be, 16);
	__builtin_memcpy(dst.addr_be, k->dst_be, 16);
	return counted(bpf_map_lookup_elem(&pane_src6, &src), bytes) ||
	       counted(bpf_map_lookup_elem(&pane_dst6, &dst), bytes);
}

// Those fields of k that the template names, and no others.
static __always_inline bool by_template(const struct xdp_exact *k, __u8 fields, __u32 bytes)
{
	struct xdp_exact masked = {.family = k->family, .fields = fields};

	if (fields & ~k->fields)
		return false;
	if (fields & XDP_SRC)
		__builtin_memcpy(masked.src_be, k->src_be, 16);
	if (fields & XDP_DST)
		__builtin_memcpy(masked.dst_be, k->dst_be, 16);
	if (fields & XDP_PROTO)
		masked.proto = k->proto;
	if (fields & XDP_SPORT)
		masked.sport_be = k->sport_be;
	if (fields & XDP_DPORT)
		masked.dport_be = k->dport_be;
	return counted(bpf_map_lookup_elem(&pane_exact, &masked), bytes);
}

static __always_inline bool is_denied(const struct xdp_config *config, const struct xdp_exact *k, __u32 bytes)
{
	if ((config->flags & XDP_CONFIG_PREFIXES) && by_prefix(k, bytes))
		return true;
	for (__u32 i = 0; i < XDP_TEMPLATES_MAX; i++) {
		if (i >= config->n_templates)
			break;
		if (by_template(k, config->templates[i], bytes))
			return true;
	}
	return false;
}

// This CPU's alone.
static __always_inline void count_total(__u32 what, __u32 bytes)
{
	struct xdp_count *total = bpf_map_lookup_elem(&pane_total, &what);

	if (total) {
		total->packets++;
		total->bytes += bytes;
	}
}

SEC("xdp")
int pane_xdp(struct xdp_md *ctx)
{
	const __u8 *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	__u32 zero = 0, bytes = (__u32)(end - data);
	const struct xdp_config *config = bpf_map_lookup_elem(&pane_config, &zero);
	struct xdp_exact k = {0};
	int action;

	if (config && (config->flags || config->n_templates) && read_frame(&k, data, end) &&
	    is_denied(config, &k, bytes)) {
		count_total(XDP_TOTAL_DENIED, bytes);
		return XDP_DROP;
	}
	action = (int)bpf_redirect_map(&xsks_map, ctx->rx_queue_index, XDP_DROP);
	if (action != XDP_REDIRECT)
		count_total(XDP_TOTAL_UNSERVED, bytes);
	return action;
}

char _license[] SEC("license") = "Apache-2.0";
