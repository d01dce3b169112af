// SPDX-License-Identifier: Apache-2.0
#include "cmd_privilege.h"

#include <errno.h>

#include "cmd_ip.h"
#include "cmd_value.h"

#define EXPECTED_PRIVILEGE \
	"a privilege: allow, deny, reserve, reserveTBFill, reserveTBCapacity, ratelimit, waypoint, avoid, hint, " \
	"query, " \
	"view or weight"
#define RATE "a rate such as 10Mb"
#define AMOUNT "an amount such as 10Mb"

static int parse_quantity(struct lex *l, int (*value)(const char *, size_t, uint64_t *), const char *expected,
			  uint64_t *out)
{
	struct token t = lex_word(l, LEX_TEXT);
	int rc;

	if (t.len == 0)
		t = lex_peek(l);
	rc = value(t.text, t.len, out);
	if (rc == 0)
		return 0;
	return lex_expected(l,
			    rc == -ERANGE || (t.len > 0 && t.text[0] >= '0' && t.text[0] <= '9') ? REPLY_BAD_VALUE
												 : REPLY_SYNTAX,
			    t, expected);
}

static int parse_bool(struct lex *l, bool *out)
{
	*out = lex_accept_word(l, "True");
	if (*out || lex_accept_word(l, "False"))
		return 0;
	return lex_expected(l, REPLY_SYNTAX, lex_peek(l), "True or False");
}

static int parse_op(struct lex *l, const char *op, const char *expected)
{
	return lex_accept(l, op) ? 0 : lex_expected(l, REPLY_SYNTAX, lex_peek(l), expected);
}

static int duration_as_uint(const char *text, size_t len, uint64_t *out)
{
	int64_t ns;
	int rc = value_duration(text, len, &ns);

	if (rc == 0)
		*out = ns;
	return rc;
}

// `= True`, `= False` or `<= 5min`.
static int parse_access(struct lex *l, int64_t *limit_ns)
{
	uint64_t ns = 0;
	bool yes = false;

	if (lex_accept(l, "<=")) {
		if (parse_quantity(l, duration_as_uint, "a time such as 5min", &ns) < 0)
			return -1;
		*limit_ns = ns;
		return 0;
	}
	if (parse_op(l, "=", "\"=\" or \"<=\"") < 0 || parse_bool(l, &yes) < 0)
		return -1;
	*limit_ns = yes ? DURATION_UNLIMITED : 0;
	return 0;
}

static int parse_weight(struct lex *l, uint32_t *weight)
{
	static const char expected[] = "a weight 1..1000";
	struct token t = lex_word(l, LEX_TEXT);
	uint64_t n;
	int rc;

	if (t.len == 0)
		t = lex_peek(l);
	rc = value_number(t.text, t.len, 1000, &n);
	if (rc == 0 && n > 0) {
		*weight = n;
		return 0;
	}
	return lex_expected(l, rc == -EINVAL ? REPLY_SYNTAX : REPLY_BAD_VALUE, t, expected);
}

static const struct {
	const char *name;
	enum privilege which;
} names[] = {
	{"allow", PRIV_ALLOW},
	{"deny", PRIV_DENY},
	{"reserve", PRIV_RESERVE_MAX}, // PRIV_RESERVE_MIN when `>=` follows
	{"reserveTBFill", PRIV_TB_FILL},
	{"reserveTBCapacity", PRIV_TB_CAPACITY},
	{"ratelimit", PRIV_RATELIMIT},
	{"hint", PRIV_HINT},
	{"query", PRIV_QUERY},
	{"weight", PRIV_WEIGHT},
	{"waypoint", PRIV_WAYPOINT},
	{"avoid", PRIV_AVOID},
	{"view", PRIV_VIEW},
};

static int parse_name(struct lex *l, enum privilege *which)
{
	struct token t = lex_word(l, LEX_NAME);

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (token_is(t, names[i].name)) {
			*which = names[i].which;
			return 0;
		}
	}
	if (t.len == 0)
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), EXPECTED_PRIVILEGE);
	return lex_expected(l, REPLY_BAD_PRIVILEGE, t, EXPECTED_PRIVILEGE);
}

static int parse_view(struct lex *l, uint32_t *view)
{
	static const struct {
		const char *name;
		enum view bit;
	} views[] = {{"traffic", VIEW_TRAFFIC}, {"ports", VIEW_PORTS},   {"links", VIEW_LINKS},
		     {"hosts", VIEW_HOSTS},     {"queues", VIEW_QUEUES}, {"schedule", VIEW_SCHEDULE}};

	if (parse_op(l, "{", "\"{\"") < 0)
		return -1;
	if (lex_accept(l, "}"))
		return 0;
	do {
		size_t i = 0;

		while (i < sizeof(views) / sizeof(views[0]) && !lex_accept_word(l, views[i].name))
			i++;
		if (i == sizeof(views) / sizeof(views[0]))
			return lex_expected(l, REPLY_SYNTAX, lex_peek(l),
					    "traffic, ports, links, hosts, queues or schedule");
		*view |= views[i].bit;
	} while (lex_accept(l, ","));
	return parse_op(l, "}", "\",\" or \"}\"");
}

static int parse_ip_set(struct lex *l, const struct cmd_names *names, struct ip_list **out)
{
	return parse_op(l, "=", "\"=\"") < 0 ? -1 : cmd_ip_set_parse(l, names, out);
}

static int parse_reserve(struct lex *l, enum privilege which, struct privileges *out)
{
	uint64_t *bound = which == PRIV_RESERVE_MAX ? &out->reserve_max_bps : &out->reserve_min_bps;

	return parse_quantity(l, value_rate, RATE, bound);
}

static int parse_value(struct lex *l, const struct cmd_names *cmd_names, enum privilege which, struct privileges *out)
{
	switch (which) {
	case PRIV_ALLOW:
		return parse_access(l, &out->allow_ns);
	case PRIV_DENY:
		return parse_access(l, &out->deny_ns);
	case PRIV_RESERVE_MAX:
	case PRIV_RESERVE_MIN: // the operator told them apart
		return parse_reserve(l, which, out);
	case PRIV_TB_FILL:
		return parse_op(l, "=", "\"=\"") < 0 ? -1 : parse_quantity(l, value_rate, RATE, &out->tb_fill_bps);
	case PRIV_TB_CAPACITY:
		return parse_op(l, "=", "\"=\"") < 0 ? -1
						     : parse_quantity(l, value_amount, AMOUNT, &out->tb_capacity_bits);
	case PRIV_RATELIMIT:
		return parse_op(l, ">=", "\">=\"") < 0 ? -1
						       : parse_quantity(l, value_rate, RATE, &out->ratelimit_min_bps);
	case PRIV_WAYPOINT:
		return parse_ip_set(l, cmd_names, &out->waypoint);
	case PRIV_AVOID:
		return parse_ip_set(l, cmd_names, &out->avoid);
	case PRIV_VIEW:
		return parse_op(l, "=", "\"=\"") < 0 ? -1 : parse_view(l, &out->view);
	case PRIV_HINT:
		return parse_op(l, "=", "\"=\"") < 0 ? -1 : parse_bool(l, &out->hint);
	case PRIV_QUERY:
		return parse_op(l, "=", "\"=\"") < 0 ? -1 : parse_bool(l, &out->query);
	case PRIV_WEIGHT:
		return parse_op(l, "=", "\"=\"") < 0 ? -1 : parse_weight(l, &out->weight);
	case PRIV_N:
		break;
	}
	return -1;
}

static int parse_one(struct lex *l, const struct cmd_names *cmd_names, struct privileges *out)
{
	struct token start = lex_peek(l);
	enum privilege which = PRIV_N;

	if (parse_name(l, &which) < 0)
		return -1;
	if (which == PRIV_RESERVE_MAX && !lex_accept(l, "<=")) {
		if (parse_op(l, ">=", "\"<=\" or \">=\"") < 0)
			return -1;
		which = PRIV_RESERVE_MIN;
	}
	if ((out->given & 1u << which) != 0)
		return lex_refuse(l, REPLY_BAD_PRIVILEGE, start.at, "the privilege %.*s%s is given twice",
				  (int)start.len, start.text,
				  which == PRIV_RESERVE_MAX   ? " <="
				  : which == PRIV_RESERVE_MIN ? " >="
							      : "");
	out->given |= 1u << which;
	return parse_value(l, cmd_names, which, out);
}

// Without brackets the list ends at `on`; no privilege has that name.
static bool at_on(struct lex *l)
{
	size_t pos = l->pos;
	bool on = lex_accept_word(l, "on");

	l->pos = pos;
	return on;
}

int cmd_privileges_parse(struct lex *l, const struct cmd_names *cmd_names, struct privileges *out)
{
	bool brackets = lex_accept(l, "["), comma = false;

	while (comma || !(brackets ? lex_accept(l, "]") : at_on(l))) {
		if (parse_one(l, cmd_names, out) < 0)
			return -1;
		comma = lex_accept(l, ",");
	}
	return 0;
}
