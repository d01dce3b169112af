// SPDX-License-Identifier: Apache-2.0
// Names known to the parser's tests: users alice 1, bob 2, Arjun 3, 80 4, a 5, root 6; hosts h1 10.0.0.1, h2 10.0.0.2,
// h6 2001:db8::6.
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cmd_parse.h"

static const char *const fixture_users[] = {"alice", "bob", "Arjun", "80", "a", "root"};

static inline uint32_t fixture_user(void *ctx, const char *name)
{
	for (uint32_t i = 0; i < sizeof(fixture_users) / sizeof(fixture_users[0]); i++)
		if (strcmp(name, fixture_users[i]) == 0)
			return i + 1;
	return 0;
}

static inline bool fixture_host(void *ctx, const char *name, struct span128 *addr, uint32_t *kinds)
{
	static const uint8_t h6[16] = {0x20, 0x01, 0x0d, 0xb8, [15] = 6};

	*kinds = MATCH_KINDS_V4;
	if (strcmp(name, "h1") == 0) {
		*addr = match_ip4_prefix(0x0a000001, 32);
	} else if (strcmp(name, "h2") == 0) {
		*addr = match_ip4_prefix(0x0a000002, 32);
	} else if (strcmp(name, "h6") == 0) {
		*addr = match_ip6_prefix(h6, 128);
		*kinds = MATCH_KINDS_V6;
	} else {
		return false;
	}
	return true;
}

static const struct cmd_names fixture_names = {NULL, fixture_user, fixture_host};

struct parsed {
	struct statement s;
	struct reply reply;
	int rc;
};

static inline void parsed_init(struct parsed *p, const char *text, size_t len)
{
	statement_init(&p->s);
	reply_init(&p->reply);
	p->rc = cmd_parse(text, len, &fixture_names, &p->s, &p->reply);
}

static inline void parsed_fini(struct parsed *p)
{
	statement_fini(&p->s);
	reply_fini(&p->reply);
}

static inline const char *parsed_why(const struct parsed *p)
{
	const char *why = json_string_value(json_object_get(p->reply.body, "why"));

	return why != NULL ? why : "";
}

// Fails the test, naming the statement, unless it parses.
static inline void parsed_good(struct parsed *p, const char *text)
{
	parsed_init(p, text, strlen(text));
	if (p->rc != 0)
		fail_msg("%s: %s", text, parsed_why(p));
	assert_int_equal(p->reply.code, REPLY_OK);
}

static inline void parsed_refused(const char *text, size_t len, enum reply_code code, int line, int column)
{
	struct parsed p;
	int got_line, got_column;

	parsed_init(&p, text, len);
	got_line = (int)json_integer_value(json_object_get(p.reply.body, "line"));
	got_column = (int)json_integer_value(json_object_get(p.reply.body, "column"));
	if (p.rc != -1 || p.reply.code != code || got_line != line || got_column != column)
		fail_msg("%.*s: wanted %s at %d:%d, got %d %s at %d:%d: %s", (int)len, text, reply_code_name(code),
			 line, column, p.rc, reply_code_name(p.reply.code), got_line, got_column, parsed_why(&p));
	parsed_fini(&p);
}
