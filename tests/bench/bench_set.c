// SPDX-License-Identifier: Apache-2.0
#include "bench_set.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <rte_byteorder.h>

#include "bench.h"
#include "control/engine.h"
#include "hft/parts_compile.h"

static int row_add(struct bench_set *set, const struct cls_row *row)
{
	struct cls_row *rows = set->rows;

	if ((set->n_rows & (set->n_rows + 1)) == 0) { // full at every power of two less one
		rows = reallocarray(rows, 2 * (size_t)set->n_rows + 2, sizeof(*rows));
		if (rows == NULL)
			return -ENOMEM;
		set->rows = rows;
	}
	rows[set->n_rows++] = *row;
	return 0;
}

static int pkt_add(struct bench_set *set, const struct pkt *pkt)
{
	struct pkt *pkts = set->pkts;

	if ((set->n_pkts & (set->n_pkts + 1)) == 0) {
		pkts = reallocarray(pkts, 2 * (size_t)set->n_pkts + 2, sizeof(*pkts));
		if (pkts == NULL)
			return -ENOMEM;
		set->pkts = pkts;
	}
	pkts[set->n_pkts++] = *pkt;
	return 0;
}

// --- ClassBench

struct rule_text {
	unsigned int src[5], dst[5]; // four bytes and the prefix length
	unsigned int sport[2], dport[2], proto, proto_mask;
};

static bool prefix_ok(const unsigned int p[5])
{
	return p[0] < 256 && p[1] < 256 && p[2] < 256 && p[3] < 256 && p[4] <= 32;
}

static struct span128 prefix_of(const unsigned int p[5])
{
	return match_ip4_prefix(p[0] << 24 | p[1] << 16 | p[2] << 8 | p[3], p[4]);
}

static int parse_rule(const char *line, struct box *box)
{
	struct rule_text r;

	if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %u : %u %u : %u %x/%x", &r.src[0], &r.src[1], &r.src[2],
		   &r.src[3], &r.src[4], &r.dst[0], &r.dst[1], &r.dst[2], &r.dst[3], &r.dst[4], &r.sport[0],
		   &r.sport[1], &r.dport[0], &r.dport[1], &r.proto, &r.proto_mask) != 16)
		return -EINVAL;
	if (!prefix_ok(r.src) || !prefix_ok(r.dst) || r.sport[0] > r.sport[1] || r.sport[1] > UINT16_MAX ||
	    r.dport[0] > r.dport[1] || r.dport[1] > UINT16_MAX || r.proto > 255 || (r.proto_mask & ~0xffu) != 0)
		return -EINVAL;
	*box = box_any();
	box->kinds = MATCH_KINDS_V4;
	box->src = prefix_of(r.src);
	box->dst = prefix_of(r.dst);
	if (r.proto_mask == 0xff)
		box->f[MATCH_PROTO] = (struct span){r.proto, r.proto};
	if (r.sport[0] > 0 || r.sport[1] < UINT16_MAX || r.dport[0] > 0 || r.dport[1] < UINT16_MAX)
		box->kinds = MATCH_IP4PORTS;
	box->f[MATCH_SRC_PORT] = (struct span){r.sport[0], r.sport[1]};
	box->f[MATCH_DST_PORT] = (struct span){r.dport[0], r.dport[1]};
	return box_normalize(box) ? 1 : 0;
}

static bool has_ports(unsigned int proto)
{
	return proto == 6 || proto == 17 || proto == 132;
}

static struct pkt pkt_ip4(uint32_t src, uint32_t dst, unsigned int sport, unsigned int dport, unsigned int proto)
{
	bool ports = has_ports(proto);
	struct pkt pkt = {.src_mac = 1, .dst_mac = 2, .len_bytes = 64, .verdict = PKT_OK, .family = PKT_IP4};

	pkt.ip4 = (struct pkt_key_ip4){
		.proto = (uint8_t)proto,
		.src_be = rte_cpu_to_be_32(src),
		.dst_be = rte_cpu_to_be_32(dst),
		.sport_be = ports ? rte_cpu_to_be_16((uint16_t)sport) : 0,
		.dport_be = ports ? rte_cpu_to_be_16((uint16_t)dport) : 0,
		.has_ports = ports,
		.macs = {.src_lo_be = rte_cpu_to_be_32(1), .dst_lo_be = rte_cpu_to_be_32(2)},
	};
	return pkt;
}

static int add_rule_line(struct bench_set *set, const char *line)
{
	struct cls_row row = {.access_category = 0, .meter_category = CLS_NO_CATEGORY};
	int ret = parse_rule(line, &row.box);

	if (ret <= 0) // a rule that no packet can match is left out
		return ret;
	row.payload.id = set->n_rows + 1;
	return row_add(set, &row);
}

static int add_trace_line(struct bench_set *set, const char *line)
{
	unsigned int src, dst, sport, dport, proto;
	struct pkt pkt;

	if (sscanf(line, "%u %u %u %u %u", &src, &dst, &sport, &dport, &proto) != 5 || sport > UINT16_MAX ||
	    dport > UINT16_MAX || proto > 255)
		return -EINVAL;
	pkt = pkt_ip4(src, dst, sport, dport, proto);
	return pkt_add(set, &pkt);
}

static int each_line(const char *path, struct bench_set *set, int (*add)(struct bench_set *set, const char *line),
		     struct err *err)
{
	FILE *f = bench_open(path, err);
	char *line = NULL;
	size_t cap = 0, n = 0;
	int ret = 0;

	if (f == NULL)
		return -err->code;
	while (ret == 0 && getline(&line, &cap, f) >= 0) {
		n++;
		if (line[strspn(line, " \t\r\n")] != '\0')
			ret = add(set, line);
	}
	free(line);
	fclose(f);
	if (ret == -EINVAL)
		return err_set(err, EINVAL, "%s:%zu: not a line of ClassBench's format", path, n);
	return ret < 0 ? err_set(err, -ret, "%s:%zu: %s", path, n, strerror(-ret)) : 0;
}

static int load_rules(const char *path, struct bench_set *set, struct err *err)
{
	size_t len = strlen(path) - strlen(".rules");
	char *trace = NULL;
	int ret = each_line(path, set, add_rule_line, err);

	if (ret == 0)
		ret = bench_not_empty(path, set->n_rows, "rule", err);
	set->is_rules = true;
	for (uint32_t i = 0; i < set->n_rows; i++)
		set->rows[i].rank = set->n_rows - i;
	if (ret == 0 && asprintf(&trace, "%.*s.trace", (int)len, path) < 0)
		return err_set(err, ENOMEM, "out of memory");
	if (ret == 0 && each_line(trace, set, add_trace_line, err) < 0 && err->code != ENOENT)
		ret = -err->code;
	free(trace);
	return ret;
}

// --- policy by parts

static int add_part_row(void *ctx, const struct part_row *row)
{
	struct cls_row out = {
		.box = row->box,
		.rank = part_row_rank(row),
		.access_category = row->access_category,
		.meter_category = row->meter_category,
		.hides = row->part == PART_SHARE,
		.payload = {.id = row->id, .node = row->node, .part = row->part, .access = row->access},
	};

	if (row->access_category == PARTS_NO_CATEGORY && row->meter_category == PARTS_NO_CATEGORY)
		return 0;
	return row_add(ctx, &out);
}

static int load_policy(const char *path, struct bench_set *set, struct err *err)
{
	struct bench_policy policy = {0};
	struct tree tree;
	struct parts_nodes *nodes = parts_nodes_create();
	struct parts *parts = nodes == NULL ? NULL : parts_create(nodes);
	int ret = parts == NULL ? err_set(err, ENOMEM, "out of memory") : bench_policy_load(path, &policy, err);

	tree_init(&tree);
	if (ret == 0) {
		ret = engine_policy(policy.engine, 0, &tree);
		if (ret < 0)
			err_set(err, -ret, "policy tree: %s", strerror(-ret));
	}
	if (ret == 0)
		ret = parts_compile(&tree, 0, nodes, parts, err);
	if (ret == 0) {
		ret = parts_each(parts, add_part_row, set);
		if (ret < 0)
			err_set(err, -ret, "%s: out of memory", path);
	}
	tree_fini(&tree);
	parts_destroy(parts);
	parts_nodes_destroy(nodes);
	bench_policy_free(&policy);
	return ret;
}

// --- packets drawn from rows

static uint64_t pick(const struct span *span, uint64_t *rnd)
{
	uint64_t n = span->hi - span->lo;

	return span->lo + (n == UINT64_MAX ? bench_random(rnd) : bench_random(rnd) % (n + 1));
}

static u128 pick_address(const struct span128 *span, uint64_t *rnd)
{
	u128 any = (u128)bench_random(rnd) << 64 | bench_random(rnd), n = span->hi - span->lo;

	return span->lo + (n == ~(u128)0 ? any : any % (n + 1));
}

static void put_ip6(uint32_t out_be[4], u128 addr)
{
	for (int i = 0; i < 4; i++)
		out_be[i] = rte_cpu_to_be_32((uint32_t)(addr >> (96 - 32 * i)));
}

// A packet in the box; what the box leaves open mostly has ports.
static struct pkt pkt_within(const struct box *box, uint64_t *rnd)
{
	u128 src = pick_address(&box->src, rnd), dst = pick_address(&box->dst, rnd);
	uint64_t sport = pick(&box->f[MATCH_SRC_PORT], rnd), dport = pick(&box->f[MATCH_DST_PORT], rnd);
	uint64_t proto = box->f[MATCH_PROTO].lo == 0 && box->f[MATCH_PROTO].hi == 255 ? 6 + 11 * (bench_random(rnd) & 1)
										      : pick(&box->f[MATCH_PROTO], rnd);
	bool v6 = (box->kinds & MATCH_KINDS_V4) == 0 && (box->kinds & MATCH_KINDS_V6) != 0;
	struct pkt pkt = pkt_ip4((uint32_t)(src >> 96), (uint32_t)(dst >> 96), (uint32_t)sport, (uint32_t)dport,
				 (uint32_t)proto);
	struct pkt_key_ip4 k = pkt.ip4;

	if (v6) {
		pkt.family = PKT_IP6;
		pkt.ip6 = (struct pkt_key_ip6){
			.proto = k.proto,
			.sport_be = k.sport_be,
			.dport_be = k.dport_be,
			.has_ports = k.has_ports,
			.macs = k.macs,
		};
		put_ip6(pkt.ip6.src_be, src);
		put_ip6(pkt.ip6.dst_be, dst);
	}
	return pkt;
}

static int draw_packets(struct bench_set *set, uint32_t n)
{
	uint64_t rnd = 1;
	int ret = 0;

	for (uint32_t i = 0; i < n && ret == 0; i++) {
		struct pkt pkt = pkt_within(&set->rows[bench_random(&rnd) % set->n_rows].box, &rnd);

		ret = pkt_add(set, &pkt);
	}
	return ret;
}

static bool ends_in(const char *path, const char *end)
{
	size_t n = strlen(path), m = strlen(end);

	return n > m && strcmp(path + n - m, end) == 0;
}

int bench_set_load(const char *path, uint32_t n_pkts, struct bench_set *set, struct err *err)
{
	int ret;

	*set = (struct bench_set){0};
	if (ends_in(path, ".rules"))
		ret = load_rules(path, set, err);
	else if (ends_in(path, ".pane"))
		ret = load_policy(path, set, err);
	else
		ret = err_set(err, EINVAL, "%s: expected a file PATH.rules or PATH.pane", path);
	if (ret == 0 && set->n_rows == 0)
		ret = err_set(err, EINVAL, "%s: no rows", path);
	if (ret == 0 && set->n_pkts == 0 && draw_packets(set, n_pkts < PKT_BURST ? PKT_BURST : n_pkts) < 0)
		ret = err_set(err, ENOMEM, "out of memory");
	if (ret < 0)
		bench_set_free(set);
	return ret;
}

void bench_set_free(struct bench_set *set)
{
	free(set->rows);
	free(set->pkts);
	*set = (struct bench_set){0};
}

static void offer(const struct bench_set *set, uint32_t idx, uint32_t *best)
{
	if (*best == 0 || set->rows[idx].rank > set->rows[*best - 1].rank)
		*best = idx + 1;
}

void bench_set_find(const struct bench_set *set, const struct pkt *pkt, const bool *skip, uint32_t n_categories,
		    uint32_t *best)
{
	struct match_packet m;

	pkt_to_match_packet(pkt, 0, &m);
	memset(best, 0, n_categories * sizeof(*best));
	for (uint32_t i = 0; i < set->n_rows; i++) {
		const struct cls_row *row = &set->rows[i];

		m.f[MATCH_TIME] = row->box.f[MATCH_TIME].lo;
		if ((skip != NULL && skip[i]) || !box_covers(&row->box, &m))
			continue;
		if (row->access_category < n_categories)
			offer(set, i, &best[row->access_category]);
		if (row->meter_category < n_categories)
			offer(set, i, &best[row->meter_category]);
	}
}
