// SPDX-License-Identifier: Apache-2.0
#include "forward.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define LINE_MAX_BYTES 512
#define TCP 6
#define UDP 17
#define SCTP 132

static uint64_t next_random(uint64_t *state) // splitmix64
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

// --- rules

static bool prefix_range(const unsigned int byte[4], unsigned int len, struct rule_range *out)
{
	uint32_t addr = byte[0] << 24 | byte[1] << 16 | byte[2] << 8 | byte[3];
	uint32_t rest = len < 32 ? UINT32_MAX >> len : 0;

	for (int i = 0; i < 4; i++) {
		if (byte[i] > UINT8_MAX)
			return false;
	}
	*out = (struct rule_range){addr & ~rest, addr | rest};
	return len <= 32;
}

static bool is_port_range(const struct rule_range *r)
{
	return r->lo <= r->hi && r->hi <= UINT16_MAX;
}

static bool parse_rule(const char *line, struct rule *r)
{
	unsigned int src[4], dst[4], src_len, dst_len, proto, mask;

	if (sscanf(line, "@%u.%u.%u.%u/%u %u.%u.%u.%u/%u %" SCNu32 " : %" SCNu32 " %" SCNu32 " : %" SCNu32 " %x/%x",
		   &src[0], &src[1], &src[2], &src[3], &src_len, &dst[0], &dst[1], &dst[2], &dst[3], &dst_len,
		   &r->sport.lo, &r->sport.hi, &r->dport.lo, &r->dport.hi, &proto, &mask) != 16)
		return false;
	if (proto > UINT8_MAX || (mask != 0 && mask != UINT8_MAX))
		return false;
	r->proto = mask == 0 ? (struct rule_range){0, UINT8_MAX} : (struct rule_range){proto, proto};
	return prefix_range(src, src_len, &r->src) && prefix_range(dst, dst_len, &r->dst) && is_port_range(&r->sport) &&
	       is_port_range(&r->dport);
}

static int add_rule(struct rules *r, const struct rule *rule)
{
	if (r->n == r->cap) {
		uint32_t cap = r->cap == 0 ? 1024 : 2 * r->cap;
		struct rule *more = realloc(r->rule, cap * sizeof(*more));

		if (more == NULL)
			return -ENOMEM;
		r->rule = more;
		r->cap = cap;
	}
	r->rule[r->n++] = *rule;
	return 0;
}

static struct rule_range random_prefix(uint64_t *seed, uint32_t any_pct, uint32_t host_pct)
{
	uint32_t dice = (uint32_t)(next_random(seed) % 100), addr = (uint32_t)next_random(seed), rest;

	if (dice < any_pct)
		return (struct rule_range){0, UINT32_MAX};
	addr = (addr & 0x0fffffff) | 0x0a000000; // some networks, so that prefixes lie in one another
	rest = dice < any_pct + host_pct ? 0 : (1u << (next_random(seed) % 17 + 4)) - 1;
	return (struct rule_range){addr & ~rest, addr | rest};
}

static struct rule_range random_ports(uint64_t *seed, uint32_t any_pct, uint32_t one_pct)
{
	static const struct rule_range common[] = {{1024, UINT16_MAX}, {0, 1023}, {6000, 6063}, {135, 139}};
	static const uint16_t services[] = {22, 25, 53, 80, 110, 123, 143, 161, 389, 443, 445, 993, 3306, 5060, 8080};
	uint32_t dice = (uint32_t)(next_random(seed) % 100), at = (uint32_t)next_random(seed);

	if (dice < any_pct)
		return (struct rule_range){0, UINT16_MAX};
	if (dice >= any_pct + one_pct)
		return common[at % (sizeof(common) / sizeof(common[0]))];
	at = services[at % (sizeof(services) / sizeof(services[0]))];
	return (struct rule_range){at, at};
}

static int make_firewall(uint32_t n, uint64_t seed, struct rules *out)
{
	while (out->n < n) {
		uint32_t dice = (uint32_t)(next_random(&seed) % 100);
		uint32_t proto = dice < 60 ? TCP : UDP;
		struct rule r = {.src = random_prefix(&seed, 40, 20),
				 .dst = random_prefix(&seed, 25, 40),
				 .sport = random_ports(&seed, 90, 2),
				 .dport = random_ports(&seed, 30, 45),
				 .proto = {proto, proto}};

		if (dice >= 85)
			r.proto = (struct rule_range){0, UINT8_MAX};
		if (r.src.lo == 0 && r.dst.lo == 0)
			continue; // would cover a large part of all that follow
		if (add_rule(out, &r) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int make_rules(const char *path, uint64_t seed, struct rules *out, struct err *err)
{
	char *end;
	unsigned long n = strtoul(path + 3, &end, 10);

	if (*end != '\0' || n == 0 || n > 1000000)
		return err_set(err, EINVAL, "rules \"%s\": expected fw:1 to fw:1000000, or a file", path);
	return make_firewall((uint32_t)n, seed, out) < 0 ? err_set(err, ENOMEM, "no memory for %lu rules", n) : 0;
}

int rules_load(const char *path, uint64_t seed, struct rules *out, struct err *err)
{
	char line[LINE_MAX_BYTES];
	FILE *f;
	int rc = 0;

	*out = (struct rules){0};
	if (strncmp(path, "fw:", 3) == 0)
		return make_rules(path, seed, out, err);
	f = bench_open(path, err);
	if (f == NULL)
		return -err->code;
	for (uint32_t n = 1; rc == 0 && fgets(line, sizeof(line), f) != NULL; n++) {
		struct rule rule;

		if (line[strspn(line, " \t\r\n")] == '\0')
			continue;
		if (!parse_rule(line, &rule))
			rc = err_set(err, EINVAL, "%s:%u: expected \"@SRC/LEN DST/LEN LO : HI LO : HI PROTO/MASK\"",
				     path, n);
		else if (add_rule(out, &rule) < 0)
			rc = err_set(err, ENOMEM, "%s: no memory", path);
	}
	fclose(f);
	if (rc == 0)
		rc = bench_not_empty(path, out->n, "rule", err);
	if (rc < 0)
		rules_free(out);
	return rc;
}

static void write_prefix(FILE *f, const struct rule_range *r)
{
	fprintf(f, "%u.%u.%u.%u/%d", r->lo >> 24, r->lo >> 16 & 255, r->lo >> 8 & 255, r->lo & 255,
		r->lo == r->hi ? 32 : __builtin_clz(r->lo ^ r->hi));
}

int rules_write(const struct rules *r, const char *path, struct err *err)
{
	FILE *f = fopen(path, "w");
	bool ok;

	if (f == NULL)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	for (uint32_t i = 0; i < r->n; i++) {
		const struct rule *rule = &r->rule[i];

		fputc('@', f);
		write_prefix(f, &rule->src);
		fputc('\t', f);
		write_prefix(f, &rule->dst);
		fprintf(f, "\t%u : %u\t%u : %u\t0x%02x/0x%02x\t0x0000/0x0000\n", rule->sport.lo, rule->sport.hi,
			rule->dport.lo, rule->dport.hi, rule->proto.lo != rule->proto.hi ? 0 : rule->proto.lo,
			rule->proto.lo != rule->proto.hi ? 0 : UINT8_MAX);
	}
	ok = !ferror(f);
	return fclose(f) == 0 && ok ? 0 : err_set(err, EIO, "%s: cannot be written", path);
}

void rules_free(struct rules *r)
{
	free(r->rule);
	*r = (struct rules){0};
}

static bool has_ports(uint8_t proto)
{
	return proto == TCP || proto == UDP || proto == SCTP;
}

// ClassBench gives every packet ports; here only TCP, UDP and SCTP have some.
struct box rule_box(const struct rule *rule)
{
	struct box box = box_any();

	box.kinds = MATCH_KINDS_V4;
	box.src = (struct span128){match_ip4(rule->src.lo), match_ip4_prefix(rule->src.hi, 32).hi};
	box.dst = (struct span128){match_ip4(rule->dst.lo), match_ip4_prefix(rule->dst.hi, 32).hi};
	box.f[MATCH_PROTO] = (struct span){rule->proto.lo, rule->proto.hi};
	if (rule->sport.lo > 0 || rule->sport.hi < UINT16_MAX || rule->dport.lo > 0 || rule->dport.hi < UINT16_MAX) {
		box.kinds = MATCH_IP4PORTS;
		box.f[MATCH_SRC_PORT] = (struct span){rule->sport.lo, rule->sport.hi};
		box.f[MATCH_DST_PORT] = (struct span){rule->dport.lo, rule->dport.hi};
	}
	box_normalize(&box);
	return box;
}

static bool in(const struct rule_range *r, uint32_t v)
{
	return r->lo <= v && v <= r->hi;
}

static bool is_full(const struct rule_range *r)
{
	return r->lo == 0 && r->hi == UINT16_MAX;
}

int64_t rules_find(const struct rules *r, const struct flow *flow, uint32_t first, uint32_t step)
{
	bool ports = has_ports(flow->proto);

	for (uint32_t i = first; i < r->n; i += step) {
		const struct rule *rule = &r->rule[i];

		if (!in(&rule->src, flow->src) || !in(&rule->dst, flow->dst) || !in(&rule->proto, flow->proto))
			continue;
		if (ports ? in(&rule->sport, flow->sport) && in(&rule->dport, flow->dport)
			  : is_full(&rule->sport) && is_full(&rule->dport))
			return i;
	}
	return -1;
}

// --- flows

static uint32_t within(const struct rule_range *r, uint64_t *seed)
{
	return r->lo + (uint32_t)(next_random(seed) % ((uint64_t)r->hi - r->lo + 1));
}

static struct flow flow_in(const struct rule *rule, uint64_t *seed)
{
	struct flow f = {.src = within(&rule->src, seed),
			 .dst = within(&rule->dst, seed),
			 .sport = (uint16_t)within(&rule->sport, seed),
			 .dport = (uint16_t)within(&rule->dport, seed),
			 .proto = (uint8_t)rule->proto.lo};

	if (rule->proto.lo != rule->proto.hi)
		f.proto = (next_random(seed) & 1) != 0 ? TCP : UDP;
	return f;
}

int flows_make(const struct rules *rules, uint32_t n, uint64_t seed, struct flows *out)
{
	static const struct rule plain = {.src = {0x0a000000, 0x0a00ffff},
					  .dst = {0x0a010000, 0x0a01ffff},
					  .sport = {1024, UINT16_MAX},
					  .dport = {1, 1023},
					  .proto = {UDP, UDP}};

	out->flow = malloc((n == 0 ? 1 : n) * sizeof(*out->flow));
	out->n = n;
	if (out->flow == NULL)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		const struct rule *rule = &plain;

		if (rules->n > 0)
			rule = &rules->rule[next_random(&seed) % rules->n];
		out->flow[i] = flow_in(rule, &seed);
	}
	return 0;
}

static bool parse_flow(const char *line, struct flow *f)
{
	return sscanf(line, "%" SCNu32 " %" SCNu32 " %" SCNu16 " %" SCNu16 " %" SCNu8, &f->src, &f->dst, &f->sport,
		      &f->dport, &f->proto) == 5;
}

int flows_load(const char *path, struct flows *out, struct err *err)
{
	FILE *f = bench_open(path, err);
	char line[LINE_MAX_BYTES];
	uint32_t cap = 0, n = 0;
	int rc = 0;

	*out = (struct flows){0};
	if (f == NULL)
		return -err->code;
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		n++;
		if (out->n == cap) {
			struct flow *more = realloc(out->flow, (cap = cap * 2 + 1024) * sizeof(*more));

			if (more == NULL) {
				rc = err_set(err, ENOMEM, "%s: no memory", path);
				break;
			}
			out->flow = more;
		}
		if (!parse_flow(line, &out->flow[out->n++]))
			rc = err_set(err, EINVAL, "%s:%u: expected \"SRC DST SPORT DPORT PROTO\" in decimal", path, n);
	}
	fclose(f);
	if (rc == 0 && out->n == 0)
		rc = err_set(err, EINVAL, "%s: no packet in it", path);
	if (rc < 0)
		flows_free(out);
	return rc;
}

void flows_free(struct flows *f)
{
	free(f->flow);
	*f = (struct flows){0};
}
