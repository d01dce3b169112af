// SPDX-License-Identifier: Apache-2.0
#include "cmd_ip.h"

#include <errno.h>
#include <string.h>

#include "cmd_value.h"

#define EXPECTED_IP "an IP address or the name of a host"

static int add(struct lex *l, struct token t, struct span128 addr, uint32_t kinds, struct ip_list **out)
{
	struct ip_addr ip = {addr.lo, (kinds & MATCH_KINDS_V6) != 0};

	return ip_list_add(out, &ip) == 0 ? 0 : lex_refuse(l, REPLY_LIMIT, t.at, "out of memory");
}

int cmd_ip_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out)
{
	struct token t = lex_word(l, LEX_TEXT);
	char name[NAME_MAX_LEN];
	struct span128 addr;
	uint32_t kinds;
	int rc;

	if (t.len == 0)
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), EXPECTED_IP);
	rc = memchr(t.text, '/', t.len) != NULL ? -EINVAL : value_address(t.text, t.len, &addr, &kinds);
	if (rc == 0)
		return add(l, t, addr, kinds, out);
	if (rc != -ENOENT)
		return lex_expected(l, REPLY_BAD_VALUE, t, EXPECTED_IP);
	if (t.len < sizeof(name) && names != NULL && names->host != NULL) {
		memcpy(name, t.text, t.len);
		name[t.len] = '\0';
		if (names->host(names->ctx, name, &addr, &kinds))
			return add(l, t, addr, kinds, out);
	}
	return lex_expected(l, REPLY_UNKNOWN_HOST, t, EXPECTED_IP);
}

static int parse_ips(struct lex *l, const struct cmd_names *names, struct ip_list **out)
{
	do {
		if (cmd_ip_parse(l, names, out) < 0)
			return -1;
	} while (lex_accept(l, ","));
	return 0;
}

static int close_brace(struct lex *l)
{
	return lex_accept(l, "}") ? 0 : lex_expected(l, REPLY_SYNTAX, lex_peek(l), "\",\" or \"}\"");
}

int cmd_ips_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out)
{
	if (!lex_accept(l, "{"))
		return parse_ips(l, names, out);
	if (lex_accept(l, "}"))
		return lex_refuse(l, REPLY_BAD_VALUE, l->pos - 1, "a list needs at least one address");
	return parse_ips(l, names, out) < 0 ? -1 : close_brace(l);
}

int cmd_ip_set_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out)
{
	if (lex_accept(l, "*")) {
		*out = ip_list_any();
		return *out != NULL ? 0 : lex_refuse(l, REPLY_LIMIT, l->pos, "out of memory");
	}
	if (!lex_accept(l, "{"))
		return lex_expected(l, REPLY_SYNTAX, lex_peek(l), "\"*\" or \"{\"");
	if (lex_accept(l, "}"))
		return 0;
	if (parse_ips(l, names, out) < 0)
		return -1;
	ip_list_make_set(*out);
	return close_brace(l);
}
