// SPDX-License-Identifier: Apache-2.0
// Statements: what is accepted with which values, and what is refused where.
#include "cmd_fixture.h"

#include "control/cmd_table.h"

#define NS INT64_C(1000000000)

struct refusal {
	const char *text;
	enum reply_code code;
	int line, column;
};

static void refuse_all(const struct refusal *list, size_t n)
{
	for (size_t i = 0; i < n; i++)
		parsed_refused(list[i].text, strlen(list[i].text), list[i].code, list[i].line, list[i].column);
}

#define REFUSE_ALL(list) refuse_all(list, sizeof(list) / sizeof((list)[0]))

static void every_verb_parses_its_own_example(void **state)
{
	size_t n = 0;
	struct parsed p;

	for (const struct cmd_info *info; (info = cmd_table_at(n)) != NULL; n++) {
		parsed_good(&p, info->example);
		assert_int_equal(p.s.verb, info->verb);
		assert_ptr_equal(cmd_table_get(info->verb), info);
		assert_ptr_equal(cmd_table_find(info->name, strlen(info->name)), info);
		parsed_fini(&p);
	}
	assert_int_equal(n, VERB_QUIT + 1);
}

static void request_keeps_its_parts(void **state)
{
	struct parsed p;

	parsed_good(&p, "reserve(*) = 5Mb partial on net0 from now to +10min.");
	assert_int_equal(p.s.verb, VERB_RESERVE);
	assert_int_equal(p.s.rate_bps, 5000000);
	assert_int_equal(p.s.strictness, STRICT_PARTIAL);
	assert_string_equal(p.s.share, "net0");
	assert_int_equal(p.s.from.kind, TIME_NOW);
	assert_int_equal(p.s.to.kind, TIME_RELATIVE);
	assert_int_equal(p.s.to.ns, 600 * NS);
	assert_int_equal(p.s.flows.n_boxes, 1);
	parsed_fini(&p);

	parsed_good(&p, "deny(dstPort=80)strict on net0");
	assert_int_equal(p.s.strictness, STRICT_STRICT);
	assert_int_equal(p.s.from.kind, TIME_DEFAULT);
	assert_int_equal(p.s.to.kind, TIME_DEFAULT);
	parsed_fini(&p);
}

static void tokens_are_read_by_context(void **state)
{
	struct parsed p;

	parsed_good(&p, "NewShare 80 for (dstPort=80) on on.");
	assert_string_equal(p.s.name, "80");
	assert_string_equal(p.s.share, "on");
	parsed_fini(&p);
	parsed_good(&p, "NewShare on for (user=80) reserve<=100,weight=2 hint = True on for.");
	assert_string_equal(p.s.name, "on");
	assert_string_equal(p.s.share, "for");
	assert_int_equal(p.s.privileges.reserve_max_bps, 100000000);
	parsed_fini(&p);
	parsed_good(&p, "allow(*) on from from 10 to 20.");
	assert_string_equal(p.s.share, "from");
	assert_int_equal(p.s.from.ns, 10 * NS);
	assert_int_equal(p.s.to.ns, 20 * NS);
	parsed_fini(&p);
	parsed_good(&p, "ListRequests a-b-$_9.");
	assert_string_equal(p.s.name, "a-b-$_9");
	parsed_fini(&p);
}

static void comments_and_blanks_are_free(void **state)
{
	struct parsed p;

	parsed_good(&p, " // first\n /* x. */ reserve ( /* all */ * )\n=\t5 // five.\n on/**/net0 . /* bye */ // end");
	assert_int_equal(p.s.rate_bps, 5000000);
	assert_string_equal(p.s.share, "net0");
	parsed_fini(&p);
	parsed_good(&p, "Grant net0 to alice@10.0.0.5/ssh.// later");
	assert_string_equal(p.s.principal.host, "10.0.0.5");
	assert_string_equal(p.s.principal.app, "ssh");
	parsed_fini(&p);
}

static void privileges_keep_their_values(void **state)
{
	const char *text =
		"NewShare x for (*) [allow <= 5min, deny = False reserve <= 10 reserve >= 1kb reserveTBFill = 2Gbps\n"
		"reserveTBCapacity = 3, ratelimit >= 0 hint = False, query = True weight = 1000\n"
		"waypoint = {h2, 10.0.0.1 , 10.0.0.2}, avoid = * view = {schedule, ports}] on rootShare.";
	struct privileges *v;
	struct parsed p;

	parsed_good(&p, text);
	v = &p.s.privileges;
	assert_int_equal(v->given, (1u << PRIV_N) - 1);
	assert_int_equal(v->allow_ns, 300 * NS);
	assert_int_equal(v->deny_ns, 0);
	assert_int_equal(v->reserve_max_bps, 10000000);
	assert_int_equal(v->reserve_min_bps, 1000);
	assert_int_equal(v->tb_fill_bps, 2000000000);
	assert_int_equal(v->tb_capacity_bits, 3000000);
	assert_int_equal(v->ratelimit_min_bps, 0);
	assert_false(v->hint);
	assert_true(v->query);
	assert_int_equal(v->weight, 1000);
	assert_int_equal(v->waypoint->n, 2); // a set
	assert_true(v->waypoint->at[0].addr == match_ip4(0x0a000001));
	assert_true(v->avoid->any);
	assert_int_equal(v->view, VIEW_PORTS | VIEW_SCHEDULE);
	parsed_fini(&p);

	parsed_good(&p, "NewShare x for (*) [allow = True] on rootShare.");
	assert_true(p.s.privileges.allow_ns == DURATION_UNLIMITED);
	assert_int_equal(p.s.privileges.given, 1u << PRIV_ALLOW);
	parsed_fini(&p);
	parsed_good(&p, "NewShare x for (*) [allow <= 0] on rootShare.");
	assert_int_equal(p.s.privileges.allow_ns, 0);
	parsed_fini(&p);
	parsed_good(&p, "NewShare x for (*) [] on rootShare.");
	assert_int_equal(p.s.privileges.given, 0);
	parsed_fini(&p);
}

static void lists_of_addresses_keep_their_order(void **state)
{
	struct parsed p;

	parsed_good(&p, "waypoint(dstPort=80) = 10.0.0.2, h6, 10.0.0.2, h1 partial on net from 5 to +1h.");
	assert_int_equal(p.s.verb, VERB_WAYPOINT);
	assert_int_equal(p.s.addresses->n, 4);
	assert_true(p.s.addresses->at[0].addr == match_ip4(0x0a000002));
	assert_true(p.s.addresses->at[1].ip6);
	assert_true(p.s.addresses->at[3].addr == match_ip4(0x0a000001));
	assert_int_equal(p.s.strictness, STRICT_PARTIAL);
	parsed_fini(&p);
	parsed_good(&p, "avoid(*)={10.0.0.2,10.0.0.1,10.0.0.2}on net.");
	assert_int_equal(p.s.addresses->n, 2);
	assert_true(p.s.addresses->at[0].addr == match_ip4(0x0a000001));
	parsed_fini(&p);
}

static void ends_and_renewals_are_read(void **state)
{
	static const struct refusal list[] = {
		{"renew x to 5.", REPLY_SYNTAX, 1, 7},
		{"renew 5 from 5.", REPLY_SYNTAX, 1, 9},
		{"renew 5 to.", REPLY_SYNTAX, 1, 11},
		{"Revoke net to alice.", REPLY_SYNTAX, 1, 12},
		{"DropShare.", REPLY_SYNTAX, 1, 10},
		{"DropUser a b.", REPLY_SYNTAX, 1, 12},
		{"Bind alice to 10.0.0.1 TCP.", REPLY_SYNTAX, 1, 27},
		{"Bind alice to 10.0.0.1 FTP 80.", REPLY_SYNTAX, 1, 24},
		{"Bind alice to 10.0.0.1 ICMP 80.", REPLY_NO_PORTS, 1, 29},
		{"Bind alice to 10.0.0.1 TCP 65536.", REPLY_BAD_VALUE, 1, 28},
		{"Bind alice to 02:00:00:00:00:01 TCP 80.", REPLY_SYNTAX, 1, 33},
		{"waypoint(*) = {} on net.", REPLY_BAD_VALUE, 1, 16},
		{"waypoint(*) on net.", REPLY_SYNTAX, 1, 13},
		{"avoid(*) = * on net.", REPLY_SYNTAX, 1, 12},
	};
	struct parsed p;

	parsed_good(&p, "renew 17 to +5min.");
	assert_int_equal(p.s.number, 17);
	assert_int_equal(p.s.to.kind, TIME_RELATIVE);
	assert_int_equal(p.s.to.ns, 300 * NS);
	parsed_fini(&p);
	parsed_good(&p, "Revoke net from alice@10.0.0.1/ssh.");
	assert_string_equal(p.s.share, "net");
	assert_string_equal(p.s.principal.app, "ssh");
	parsed_fini(&p);
	parsed_good(&p, "Unbind alice from 2001:db8::1 UDP {53, 1000-1999}.");
	assert_true(p.s.has_binding);
	assert_int_equal(p.s.binding.n_boxes, 2);
	assert_int_equal(p.s.binding.boxes[0].kinds, MATCH_IP6PORTS);
	assert_int_equal(p.s.binding.boxes[0].f[MATCH_PROTO].hi, 17);
	parsed_fini(&p);
	REFUSE_ALL(list);
}

static void bad_privileges_are_refused_where_they_stand(void **state)
{
	static const struct refusal list[] = {
		{"NewShare x for (*) [reserve <= 5 reserve <= 5] on r.", REPLY_BAD_PRIVILEGE, 1, 34},
		{"NewShare x for (*) [allow = True, allow <= 5min] on r.", REPLY_BAD_PRIVILEGE, 1, 35},
		{"NewShare x for (*) [hint = True weight = 2 hint = True] on r.", REPLY_BAD_PRIVILEGE, 1, 44},
		{"NewShare x for (*) [fly = True] on r.", REPLY_BAD_PRIVILEGE, 1, 21},
		{"NewShare x for (*) [waypoint = *, waypoint = {}] on r.", REPLY_BAD_PRIVILEGE, 1, 35},
		{"NewShare x for (*) [waypoint <= *] on r.", REPLY_SYNTAX, 1, 30},
		{"NewShare x for (*) [waypoint = 10.0.0.1] on r.", REPLY_SYNTAX, 1, 32},
		{"NewShare x for (*) [avoid = {10.0.0.0/8}] on r.", REPLY_BAD_VALUE, 1, 30},
		{"NewShare x for (*) [avoid = {10.0.0.1,}] on r.", REPLY_SYNTAX, 1, 39},
		{"NewShare x for (*) [avoid = {h9}] on r.", REPLY_UNKNOWN_HOST, 1, 30},
		{"NewShare x for (*) [view = {traffic] on r.", REPLY_SYNTAX, 1, 36},
		{"NewShare x for (*) [view = {fields}] on r.", REPLY_SYNTAX, 1, 29},
		{"NewShare x for (*) [reserve <= -1] on r.", REPLY_BAD_VALUE, 1, 32},
		{"NewShare x for (*) [reserve < 5] on r.", REPLY_SYNTAX, 1, 29},
		{"NewShare x for (*) [reserve = 5] on r.", REPLY_SYNTAX, 1, 29},
		{"NewShare x for (*) [weight = 0] on r.", REPLY_BAD_VALUE, 1, 30},
		{"NewShare x for (*) [weight = 1001] on r.", REPLY_BAD_VALUE, 1, 30},
		{"NewShare x for (*) [weight = x] on r.", REPLY_SYNTAX, 1, 30},
		{"NewShare x for (*) [reserveTBFill = -1] on r.", REPLY_BAD_VALUE, 1, 37},
		{"NewShare x for (*) [ratelimit <= 5] on r.", REPLY_SYNTAX, 1, 31},
		{"NewShare x for (*) [allow = true] on r.", REPLY_SYNTAX, 1, 29},
		{"NewShare x for (*) [allow <= 5 parsecs] on r.", REPLY_BAD_PRIVILEGE, 1, 32},
		{"NewShare x for (*) [allow <= 106752d] on r.", REPLY_BAD_VALUE, 1, 30},
		{"NewShare x for (*) [reserve <= 5,] on r.", REPLY_SYNTAX, 1, 34},
		{"NewShare x for (*) [reserve <= 5,,weight = 1] on r.", REPLY_SYNTAX, 1, 34},
		{"NewShare x for (*) [reserve <= 5 on r.", REPLY_BAD_PRIVILEGE, 1, 34},
		{"NewShare x for (*) reserve <= 5] on r.", REPLY_SYNTAX, 1, 32},
		{"NewShare x for (*) [reserve <= 5", REPLY_SYNTAX, 1, 33},
	};

	REFUSE_ALL(list);
}

static void malformed_statements_are_refused_where_it_hurts(void **state)
{
	static const struct refusal list[] = {
		{"", REPLY_SYNTAX, 1, 1},
		{".", REPLY_SYNTAX, 1, 1},
		{"   \n .", REPLY_SYNTAX, 1, 1},
		{"frobnicate(*) on net.", REPLY_SYNTAX, 1, 1},
		{"newshare c for (*) on rootShare.", REPLY_SYNTAX, 1, 1},
		{"NewShare c.d for (*) on rootShare.", REPLY_SYNTAX, 1, 11},
		{"NewShare -c for (*) on rootShare.", REPLY_SYNTAX, 1, 10},
		{"NewShare c for * on rootShare.", REPLY_SYNTAX, 1, 16},
		{"AddUser .", REPLY_SYNTAX, 1, 9},
		{"AddUser a b.", REPLY_SYNTAX, 1, 11},
		{"AddUser a. AddUser b.", REPLY_SYNTAX, 1, 12},
		{"AddUser a.b", REPLY_SYNTAX, 1, 10},
		{"quit now.", REPLY_SYNTAX, 1, 6},
		{"reserve(*) = -5 on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 0 on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 0kb partial on net.", REPLY_BAD_VALUE, 1, 14},
		{"ratelimit(*) = -1 on net.", REPLY_BAD_VALUE, 1, 16},
		{"reserve(*) = on net.", REPLY_SYNTAX, 1, 14},
		{"reserve(*) on net.", REPLY_SYNTAX, 1, 12},
		{"allow(*) = 5 on net.", REPLY_SYNTAX, 1, 10},
		{"reserve(*) = 5MB on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 1.5Mb on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 99999999999999999999 on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 9223372036854775808b on net.", REPLY_BAD_VALUE, 1, 14},
		{"reserve(*) = 18446744073709551617b on net.", REPLY_BAD_VALUE, 1, 14},
		{"allow(*) strict partial on net.", REPLY_SYNTAX, 1, 17},
		{"allow(*) on net strict.", REPLY_SYNTAX, 1, 17},
		{"allow(*) on net to 5 from 3.", REPLY_SYNTAX, 1, 22},
		{"allow(*) on net from.", REPLY_SYNTAX, 1, 21},
		{"allow(*) on net\n\tfrom -5.", REPLY_BAD_TIME, 2, 7},
		{"allow(*) on net from forever.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net to soon.", REPLY_SYNTAX, 1, 20},
		{"allow(*) on net to +106752d.", REPLY_BAD_TIME, 1, 20},
		{"allow(*) on net to 9223372037.", REPLY_BAD_TIME, 1, 20},
		{"allow(*) on net to 10min.", REPLY_SYNTAX, 1, 20},
		{"allow(*) on net from 2026-13-01T00:00:00Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 2026-02-29T00:00:00Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 2100-02-29T00:00:00Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 2026-01-01T24:00:00Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 2026-01-01T00:00:60Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 1969-12-31T23:59:59Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 9999-12-31T23:59:59Z.", REPLY_BAD_TIME, 1, 22},
		{"allow(*) on net from 2026-01-01T00:00:00.", REPLY_SYNTAX, 1, 22},
		{"Tick -1.", REPLY_BAD_VALUE, 1, 6},
		{"Tick 9223372037.", REPLY_BAD_VALUE, 1, 6},
		{"Tick.", REPLY_SYNTAX, 1, 5},
		{"cancel x.", REPLY_SYNTAX, 1, 8},
		{"cancel 9223372036854775808.", REPLY_BAD_VALUE, 1, 8},
		{"mode xml.", REPLY_SYNTAX, 1, 6},
		{"mode jsonx.", REPLY_SYNTAX, 1, 6},
		{"Grant a to @x.", REPLY_SYNTAX, 1, 12},
		{"Grant a alice.", REPLY_SYNTAX, 1, 9},
		{"Bind alice to 10.0.0.0/8.", REPLY_BAD_VALUE, 1, 15},
		{"Bind alice to h1.", REPLY_BAD_VALUE, 1, 15},
		{"Unbind alice to 10.0.0.1.", REPLY_SYNTAX, 1, 14},
		{"allow(*) on /* never", REPLY_SYNTAX, 1, 13},
		{"allow(*) on a /* never.", REPLY_SYNTAX, 1, 15},
		{"/* \xc3\xa4 */ allow(* on a.", REPLY_SYNTAX, 1, 9},
		{"allow /* \xc3\xa4 */ (* on a.", REPLY_SYNTAX, 1, 18},
		{"allow(*)\non\n  ,.", REPLY_SYNTAX, 3, 3},
	};

	REFUSE_ALL(list);
	parsed_refused("allow\0(*) on a.", 15, REPLY_SYNTAX, 1, 6);
	parsed_refused("\xff\xfe\x00.", 4, REPLY_SYNTAX, 1, 1);
}

static void refusal_says_place_expectation_and_what_was_there(void **state)
{
	struct parsed p;
	const char *text = "allow(dstPort=65536) on a.";

	parsed_init(&p, text, strlen(text));
	assert_string_equal(parsed_why(&p), "line 1, column 15: expected a port 0..65535, got \"65536\"");
	assert_string_equal(json_string_value(json_object_get(p.reply.body, "expected")), "a port 0..65535");
	assert_int_equal(json_integer_value(json_object_get(p.reply.body, "line")), 1);
	assert_int_equal(json_integer_value(json_object_get(p.reply.body, "column")), 15);
	parsed_fini(&p);

	parsed_init(&p, "allow\x01(*)", 9);
	assert_string_equal(parsed_why(&p), "line 1, column 6: expected a flow group: \"(\", got \"\\x01\"");
	parsed_fini(&p);
	parsed_init(&p, "AddUser", 7);
	assert_string_equal(parsed_why(&p), "line 1, column 8: expected the name of the new user, got the end");
	parsed_fini(&p);
}

static void names_have_at_most_63_characters(void **state)
{
	char text[128];
	struct parsed p;

	snprintf(text, sizeof(text), "AddUser %063d.", 7);
	parsed_good(&p, text);
	assert_int_equal(strlen(p.s.name), 63);
	parsed_fini(&p);
	snprintf(text, sizeof(text), "AddUser %064d.", 7);
	parsed_refused(text, strlen(text), REPLY_BAD_VALUE, 1, 9);
	snprintf(text, sizeof(text), "Grant a to %064d.", 7);
	parsed_refused(text, strlen(text), REPLY_SYNTAX, 1, 12);
}

static void statements_over_64_kib_are_refused(void **state)
{
	size_t len = 65536;
	char *text = malloc(len + 1);
	struct parsed p;

	memset(text, ' ', len + 1);
	memcpy(text, "quit", 4);
	text[len - 1] = '.';
	parsed_init(&p, text, len);
	assert_int_equal(p.rc, 0);
	parsed_fini(&p);
	parsed_refused(text, len + 1, REPLY_TOO_LONG, 1, 1);
	memset(text, '(', len);
	memcpy(text, "allow", 5);
	parsed_refused(text, len, REPLY_SYNTAX, 1, 7);
	free(text);
}

static void times_are_exact(void **state)
{
	static const struct {
		const char *text;
		enum time_kind kind;
		int64_t s;
	} list[] = {
		{"now", TIME_NOW, 0},
		{"+10", TIME_RELATIVE, 10},
		{"+10s", TIME_RELATIVE, 10},
		{"+10min", TIME_RELATIVE, 600},
		{"+2h", TIME_RELATIVE, 7200},
		{"+106751d", TIME_RELATIVE, 106751 * INT64_C(86400)},
		{"0", TIME_ABSOLUTE, 0},
		{"9223372036", TIME_ABSOLUTE, 9223372036},
		{"1970-01-01T00:00:10Z", TIME_ABSOLUTE, 10},
		{"2000-02-29T12:34:56Z", TIME_ABSOLUTE, 951827696},
		{"2026-11-20T10:00:00Z", TIME_ABSOLUTE, 1795168800},
		{"2262-04-11T23:47:16Z", TIME_ABSOLUTE, 9223372036},
	};
	char text[96];
	struct parsed p;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		snprintf(text, sizeof(text), "allow(*) on a from %s to %s.", list[i].text, list[i].text);
		parsed_good(&p, text);
		assert_int_equal(p.s.from.kind, list[i].kind);
		assert_int_equal(p.s.from.ns, list[i].s * NS);
		assert_int_equal(p.s.to.ns, list[i].s * NS);
		parsed_fini(&p);
	}
	parsed_good(&p, "allow(*) on a to forever.");
	assert_int_equal(p.s.to.kind, TIME_FOREVER);
	parsed_fini(&p);
	parsed_refused("allow(*) on a to 2262-04-11T23:47:17Z.", 38, REPLY_BAD_TIME, 1, 18);
}

static void times_have_up_to_nine_decimals(void **state)
{
	struct parsed p;

	parsed_good(&p, "allow(*) on a from 12.000000001 to +1.5min.");
	assert_int_equal(p.s.from.ns, 12 * NS + 1);
	assert_int_equal(p.s.to.ns, 90 * NS);
	parsed_fini(&p);
	parsed_good(&p, "allow(*) on a from 0.25 to 9223372036.854775806 .");
	assert_int_equal(p.s.from.ns, NS / 4);
	assert_int_equal(p.s.to.ns, INT64_MAX - 1);
	parsed_fini(&p);
	parsed_good(&p, "allow(*) on a from +0.5 to +0.000000001d.");
	assert_int_equal(p.s.from.ns, NS / 2);
	assert_int_equal(p.s.to.ns, 86400);
	parsed_fini(&p);
	parsed_refused("allow(*) on a to 9223372036.854775808.", 38, REPLY_BAD_TIME, 1, 18);
	parsed_refused("allow(*) on a to 1.0000000001.", 30, REPLY_BAD_TIME, 1, 18);
	parsed_refused("allow(*) on a to 1.5x.", 22, REPLY_SYNTAX, 1, 18);
	parsed_refused("allow(*) on a to 1.5.5.", 23, REPLY_SYNTAX, 1, 18);
	parsed_refused("allow(*) on a to .5.", 20, REPLY_SYNTAX, 1, 18);
}

static void rates_are_decimal_and_bare_numbers_are_megabits(void **state)
{
	static const struct {
		const char *text;
		uint64_t bps;
	} good[] = {
		{"5", 5000000},
		{"1b", 1},
		{"7bps", 7},
		{"10kb", 10000},
		{"10kbps", 10000},
		{"5Mb", 5000000},
		{"5Mbps", 5000000},
		{"2Gb", 2000000000},
		{"2Gbps", 2000000000},
		{"1Tb", 1000000000000},
		{"0", 0},
		{"9223372036854775807b", INT64_MAX},
	};
	static const char *const bad[] = {
		"",  "Mb", "-5", "5MB", "5 Mb", "5mb", "1.5Mb", "+5", "5Mbx", "9223372036854775808b", "9223372036855",
		"5M"};
	uint64_t bps;

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(cmd_parse_rate(good[i].text, &bps), 0);
		assert_int_equal(bps, good[i].bps);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		if (cmd_parse_rate(bad[i], &bps) == 0)
			fail_msg("%s is a rate", bad[i]);
}

static void bindings_are_source_side_groups(void **state)
{
	struct parsed p;

	parsed_good(&p, "Bind alice to 10.0.0.5.");
	assert_true(p.s.has_binding);
	assert_int_equal(p.s.binding.n_boxes, 1);
	assert_int_equal(p.s.binding.boxes[0].kinds, MATCH_KINDS_V4);
	assert_true(p.s.binding.boxes[0].src.lo == match_ip4(0x0a000005));
	parsed_fini(&p);
	parsed_good(&p, "Bind alice to 2001:db8::1.");
	assert_int_equal(p.s.binding.boxes[0].kinds, MATCH_KINDS_V6);
	parsed_fini(&p);
	parsed_good(&p, "Unbind alice from 02:00:00:00:00:fF.");
	assert_true(p.s.has_binding);
	assert_int_equal(p.s.binding.boxes[0].f[MATCH_SRC_ETH].lo, 0x0200000000ff);
	assert_int_equal(p.s.binding.boxes[0].kinds, MATCH_KINDS_ALL);
	parsed_fini(&p);
	parsed_good(&p, "Unbind alice.");
	assert_false(p.s.has_binding);
	parsed_fini(&p);
}

static void optional_names_may_be_missing(void **state)
{
	static const char *const list[] = {"help.", "help", "ListRequests.", "ListRequests . ", "help // all\n ."};
	struct parsed p;

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		parsed_good(&p, list[i]);
		assert_string_equal(p.s.name, "");
		parsed_fini(&p);
	}
	parsed_good(&p, "mode classic.");
	assert_string_equal(p.s.name, "classic");
	parsed_fini(&p);
}

static void statements_end_at_a_dot_before_a_blank_or_comment(void **state)
{
	static const struct {
		const char *text;
		bool at_end;
		size_t skip, len;
	} list[] = {
		{"quit. x", false, 0, 5},
		{"quit.", false, 0, 0},
		{"quit.", true, 0, 5},
		{"quit.\n", false, 0, 5},
		{"quit./", false, 0, 0},
		{"quit.// bye", false, 0, 5},
		{"quit./* bye", false, 0, 5},
		{"quit", true, 0, 0},
		{" // a.\n\t/* b. */quit. ", false, 16, 5},
		{"srcHost=10.0.0.5 x. ", false, 0, 19},
		{"srcHost=10.0.0.5.\n", false, 0, 17},
		{"a // b. \n c. ", false, 0, 12},
		{"a /* b. ", true, 0, 0},
		{"  /* b. ", true, 2, 0},
		{"  ", true, 2, 0},
		{"", true, 0, 0},
		{". ", false, 0, 1},
		{"/quit. ", false, 0, 6},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		size_t skip = 99, len = cmd_split(list[i].text, strlen(list[i].text), list[i].at_end, &skip);

		if (len != list[i].len || skip != list[i].skip)
			fail_msg("\"%s\": skip %zu, length %zu", list[i].text, skip, len);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_verb_parses_its_own_example),
		cmocka_unit_test(request_keeps_its_parts),
		cmocka_unit_test(tokens_are_read_by_context),
		cmocka_unit_test(comments_and_blanks_are_free),
		cmocka_unit_test(privileges_keep_their_values),
		cmocka_unit_test(lists_of_addresses_keep_their_order),
		cmocka_unit_test(ends_and_renewals_are_read),
		cmocka_unit_test(bad_privileges_are_refused_where_they_stand),
		cmocka_unit_test(malformed_statements_are_refused_where_it_hurts),
		cmocka_unit_test(refusal_says_place_expectation_and_what_was_there),
		cmocka_unit_test(names_have_at_most_63_characters),
		cmocka_unit_test(statements_over_64_kib_are_refused),
		cmocka_unit_test(times_are_exact),
		cmocka_unit_test(times_have_up_to_nine_decimals),
		cmocka_unit_test(rates_are_decimal_and_bare_numbers_are_megabits),
		cmocka_unit_test(bindings_are_source_side_groups),
		cmocka_unit_test(optional_names_may_be_missing),
		cmocka_unit_test(statements_end_at_a_dot_before_a_blank_or_comment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
