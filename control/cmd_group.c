// SPDX-License-Identifier: Apache-2.0
#include "cmd_group.h"

#include <errno.h>
#include <string.h>

#include "cmd_value.h"
#include "flow_spec.h"

#define EXPECTED_FIELD \
	"a field: srcHost, dstHost, transport, srcPort, dstPort, srcEth, dstEth, vlan, srcUser, dstUser, user or kind"

struct group_parser {
	struct lex *lex;
	const struct cmd_names *names;
	struct flow_spec spec;
};

struct field {
	const char *name;
	enum flow_test test;
	int (*value)(struct group_parser *p, const struct field *field, struct flow_value *out);
	uint32_t max; // of numbers
	const char *expected;
};

// Something that starts like a number is a bad value, anything else does not belong here.
static enum reply_code number_code(struct token t)
{
	bool sign = t.len > 1 && (t.text[0] == '-' || t.text[0] == '+');
	char first = t.len > 0 ? t.text[sign] : '\0';

	return first >= '0' && first <= '9' ? REPLY_BAD_VALUE : REPLY_SYNTAX;
}

static int out_of_memory(struct lex *l)
{
	return lex_refuse(l, REPLY_LIMIT, l->pos, "out of memory");
}

static int add_value(struct group_parser *p, struct span_set *set, u128 lo, u128 hi)
{
	return span_set_add(set, lo, hi) < 0 ? out_of_memory(p->lex) : 0;
}

static int add_host(struct group_parser *p, struct flow_value *out, struct span128 addr, uint32_t kinds)
{
	return add_value(p, (kinds & MATCH_KINDS_V4) != 0 ? &out->set : &out->set6, addr.lo, addr.hi);
}

static int parse_host(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	struct token t = lex_word(p->lex, LEX_TEXT);
	char name[NAME_MAX_LEN];
	struct span128 addr;
	uint32_t kinds;

	if (t.len == 0)
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), field->expected);
	switch (value_address(t.text, t.len, &addr, &kinds)) {
	case 0:
		return add_host(p, out, addr, kinds);
	case -ENOENT:
		break;
	default:
		return lex_expected(p->lex, REPLY_BAD_VALUE, t, field->expected);
	}
	if (t.len < sizeof(name) && p->names != NULL && p->names->host != NULL) {
		memcpy(name, t.text, t.len);
		name[t.len] = '\0';
		if (p->names->host(p->names->ctx, name, &addr, &kinds))
			return add_host(p, out, addr, kinds);
	}
	return lex_expected(p->lex, REPLY_UNKNOWN_HOST, t, "an address, a prefix or the name of a known host");
}

static int parse_number(struct group_parser *p, const struct field *field, uint64_t *out)
{
	struct token t = lex_word(p->lex, LEX_PLAIN);

	if (t.len > 0 && value_number(t.text, t.len, field->max, out) == 0)
		return 0;
	if (t.len == 0)
		t = lex_peek(p->lex);
	return lex_expected(p->lex, number_code(t), t, field->expected);
}

static int parse_range(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	struct token start = lex_peek(p->lex);
	uint64_t lo = 0, hi;

	if (parse_number(p, field, &lo) < 0)
		return -1;
	hi = lo;
	if (lex_accept(p->lex, "-") && parse_number(p, field, &hi) < 0)
		return -1;
	if (lo > hi)
		return lex_expected(p->lex, REPLY_BAD_VALUE, start, "a range whose first number is not over its last");
	return add_value(p, &out->set, lo, hi);
}

static int parse_transport(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	static const struct {
		const char *name;
		uint8_t number;
	} protos[] = {{"TCP", 6}, {"UDP", 17}, {"ICMP", 1}, {"ICMPv6", 58}, {"SCTP", 132}};

	for (size_t i = 0; i < sizeof(protos) / sizeof(protos[0]); i++)
		if (lex_accept_word(p->lex, protos[i].name))
			return add_value(p, &out->set, protos[i].number, protos[i].number);
	return parse_range(p, field, out);
}

// One address or, as answers print what a complement leaves, a range of them.
static int parse_eth(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	struct token t = lex_word(p->lex, LEX_TEXT);
	const char *dash = memchr(t.text, '-', t.len);
	size_t lo_len = dash != NULL ? (size_t)(dash - t.text) : t.len;
	uint64_t lo, hi;

	if (t.len == 0)
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), field->expected);
	if (value_mac(t.text, lo_len, &lo) < 0)
		return lex_expected(p->lex, REPLY_BAD_VALUE, t, field->expected);
	hi = lo;
	if (dash != NULL && (value_mac(dash + 1, t.len - lo_len - 1, &hi) < 0 || lo > hi))
		return lex_expected(p->lex, REPLY_BAD_VALUE, t, field->expected);
	return add_value(p, &out->set, lo, hi);
}

static int parse_user(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	struct token t = lex_word(p->lex, LEX_NAME);
	char name[NAME_MAX_LEN];
	uint32_t user = 0;

	if (t.len == 0)
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), field->expected);
	if (t.len < sizeof(name) && p->names != NULL && p->names->user != NULL) {
		memcpy(name, t.text, t.len);
		name[t.len] = '\0';
		user = p->names->user(p->names->ctx, name);
	}
	if (user == 0)
		return lex_expected(p->lex, REPLY_NO_USER, t, field->expected);
	return add_value(p, &out->set, user, user);
}

static int parse_kind(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	static const struct {
		const char *name;
		uint32_t kind;
	} kinds[] = {{"nonip", MATCH_NONIP},
		     {"ip4", MATCH_IP4},
		     {"ip6", MATCH_IP6},
		     {"ip4ports", MATCH_IP4PORTS},
		     {"ip6ports", MATCH_IP6PORTS}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (lex_accept_word(p->lex, kinds[i].name)) {
			out->kinds |= kinds[i].kind;
			return 0;
		}
	}
	return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), field->expected);
}

#define HOST "an address, a prefix or the name of a host"
#define TRANSPORT "TCP, UDP, ICMP, ICMPv6, SCTP or 0..255"
#define PORT "a port 0..65535"
#define ETH "a MAC address (aa:bb:cc:dd:ee:ff)"
#define USER "the name of a user"
#define KIND "nonip, ip4, ip6, ip4ports or ip6ports"

static const struct field fields[] = {
	{"srcHost", FLOW_TEST_SRC_HOST, parse_host, 0, HOST},
	{"srcIP", FLOW_TEST_SRC_HOST, parse_host, 0, HOST},
	{"dstHost", FLOW_TEST_DST_HOST, parse_host, 0, HOST},
	{"dstIP", FLOW_TEST_DST_HOST, parse_host, 0, HOST},
	{"transport", FLOW_TEST_PROTO, parse_transport, 255, TRANSPORT},
	{"proto", FLOW_TEST_PROTO, parse_transport, 255, TRANSPORT},
	{"srcPort", FLOW_TEST_SRC_PORT, parse_range, 65535, PORT},
	{"dstPort", FLOW_TEST_DST_PORT, parse_range, 65535, PORT},
	{"srcEth", FLOW_TEST_SRC_ETH, parse_eth, 0, ETH},
	{"dstEth", FLOW_TEST_DST_ETH, parse_eth, 0, ETH},
	{"vlan", FLOW_TEST_VLAN, parse_range, 4095, "a VLAN id 0..4095"},
	{"srcUser", FLOW_TEST_SRC_USER, parse_user, 0, USER},
	{"dstUser", FLOW_TEST_DST_USER, parse_user, 0, USER},
	{"user", FLOW_TEST_USER, parse_user, 0, USER},
	{"kind", FLOW_TEST_KIND, parse_kind, 0, KIND},
};

static const struct field *parse_field_name(struct group_parser *p)
{
	struct token t = lex_word(p->lex, LEX_NAME);

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (token_is(t, fields[i].name))
			return &fields[i];
	if (t.len == 0)
		lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), EXPECTED_FIELD);
	else
		lex_expected(p->lex, REPLY_UNKNOWN_FIELD, t, EXPECTED_FIELD);
	return NULL;
}

static int parse_set(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	if (lex_accept(p->lex, "}"))
		return lex_refuse(p->lex, out->negate ? REPLY_SYNTAX : REPLY_EMPTY_GROUP, p->lex->pos - 1,
				  "a set needs at least one value");
	do {
		if (field->value(p, field, out) < 0)
			return -1;
	} while (lex_accept(p->lex, ","));
	if (!lex_accept(p->lex, "}"))
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), "\",\" or \"}\"");
	return 0;
}

// `<= 1024` and `>= 49152`, of ports only. 1 when that is what is here, 0 when not, -1 refused.
static int parse_bound(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	uint64_t bound = 0;

	if (field->test != FLOW_TEST_SRC_PORT && field->test != FLOW_TEST_DST_PORT)
		return 0;
	if (lex_accept(p->lex, "<="))
		return parse_number(p, field, &bound) < 0 || add_value(p, &out->set, 0, bound) < 0 ? -1 : 1;
	if (lex_accept(p->lex, ">="))
		return parse_number(p, field, &bound) < 0 || add_value(p, &out->set, bound, field->max) < 0 ? -1 : 1;
	return 0;
}

static int parse_values(struct group_parser *p, const struct field *field, struct flow_value *out)
{
	bool ports = field->test == FLOW_TEST_SRC_PORT || field->test == FLOW_TEST_DST_PORT;
	int bound = parse_bound(p, field, out);

	if (bound != 0)
		return bound < 0 ? -1 : 0;
	if (!lex_accept(p->lex, "="))
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex),
				    ports ? "\"=\", \"<=\" or \">=\"" : "\"=\"");
	out->negate = lex_accept(p->lex, "!");
	if (lex_accept(p->lex, "{"))
		return parse_set(p, field, out);
	return field->value(p, field, out);
}

static int refuse_test(struct group_parser *p, enum reply_code code, size_t at)
{
	switch (code) {
	case REPLY_OK:
		return 0;
	case REPLY_NO_PORTS:
		return lex_refuse(p->lex, code, at, "no packet is left: only TCP, UDP and SCTP packets have ports");
	case REPLY_FAMILY_MIX:
		return lex_refuse(p->lex, code, at, "no packet is left: IPv4 and IPv6 do not mix in one packet");
	case REPLY_EMPTY_GROUP:
		return lex_refuse(p->lex, code, at, "no packet is left: the tests contradict each other");
	default:
		return lex_refuse(p->lex, code, at, "too many users are combined here");
	}
}

static int binding_test(struct group_parser *p, const struct field *field, size_t at)
{
	struct flow_value value = {0};
	int rc = lex_accept(p->lex, "{") ? parse_set(p, field, &value) : field->value(p, field, &value);

	if (rc == 0)
		rc = refuse_test(p, flow_spec_test(&p->spec, field->test, &value), at);
	flow_value_fini(&value);
	return rc;
}

int cmd_binding_ports_parse(struct lex *l, const struct box *host, struct match *out)
{
	static const struct field transport = {"transport", FLOW_TEST_PROTO, parse_transport, 255, TRANSPORT};
	static const struct field ports = {"srcPort", FLOW_TEST_SRC_PORT, parse_range, 65535, PORT};
	struct group_parser p = {.lex = l};
	size_t at = lex_peek(l).at;
	struct match tests;
	int rc;

	if (flow_spec_init(&p.spec) < 0)
		return out_of_memory(l);
	match_init(&tests);
	rc = binding_test(&p, &transport, at);
	if (rc == 0)
		rc = binding_test(&p, &ports, lex_peek(l).at);
	if (rc == 0 && flow_spec_build(&p.spec, &tests) != REPLY_OK)
		rc = lex_refuse(l, REPLY_LIMIT, at, "the address has more than %d parts", FLOW_SPEC_BOXES_MAX);
	if (rc == 0 && match_intersect_box(out, &tests, host) < 0)
		rc = out_of_memory(l);
	match_fini(&tests);
	flow_spec_fini(&p.spec);
	return rc;
}

static int parse_test(struct group_parser *p)
{
	struct token start = lex_peek(p->lex);
	const struct field *field = parse_field_name(p);
	struct flow_value value = {0};
	int rc;

	if (field == NULL)
		return -1;
	rc = parse_values(p, field, &value);
	if (rc == 0)
		rc = refuse_test(p, flow_spec_test(&p->spec, field->test, &value), start.at);
	flow_value_fini(&value);
	return rc;
}

static int parse_tests(struct group_parser *p)
{
	unsigned int n = 0;
	size_t at;

	do {
		at = lex_peek(p->lex).at;
		if (n++ == CMD_GROUP_TESTS_MAX)
			return lex_refuse(p->lex, REPLY_LIMIT, at, "more than %d tests in one flow group",
					  CMD_GROUP_TESTS_MAX);
		if (parse_test(p) < 0)
			return -1;
	} while (lex_accept(p->lex, ","));
	if (!lex_accept(p->lex, ")"))
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), "\",\" or \")\"");
	return 0;
}

static int parse_inside(struct group_parser *p)
{
	if (lex_accept(p->lex, ")"))
		return lex_refuse(p->lex, REPLY_EMPTY_GROUP, p->lex->pos - 1,
				  "an empty flow group; (*) is every packet");
	if (!lex_accept(p->lex, "*"))
		return parse_tests(p);
	if (!lex_accept(p->lex, ")"))
		return lex_expected(p->lex, REPLY_SYNTAX, lex_peek(p->lex), "\")\"");
	return 0;
}

int cmd_group_parse(struct lex *l, const struct cmd_names *names, struct match *out)
{
	struct group_parser p = {.lex = l, .names = names};
	size_t start = lex_peek(l).at;
	int rc;

	if (!lex_accept(l, "("))
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), "a flow group: \"(\"");
	if (flow_spec_init(&p.spec) < 0)
		return out_of_memory(l);
	rc = parse_inside(&p);
	if (rc == 0 && flow_spec_build(&p.spec, out) != REPLY_OK)
		rc = lex_refuse(l, REPLY_LIMIT, start, "the flow group has more than %d parts", FLOW_SPEC_BOXES_MAX);
	flow_spec_fini(&p.spec);
	return rc;
}
