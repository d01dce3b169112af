// SPDX-License-Identifier: Apache-2.0
// Flow groups: which text means which set of packets. Fixed pairs, refusals, and random groups against a predicate that
// is evaluated packet by packet straight from SPEC 1. PANE_SEED and PANE_ROUNDS steer the random part.
#include "cmd_fixture.h"
#include "tests/rounds.h"

struct group {
	struct parsed p;
};

static void group_init(struct group *g, const char *text)
{
	char statement[4096];

	snprintf(statement, sizeof(statement), "ListSharesByFlowGroup (%s).", text);
	parsed_good(&g->p, statement);
}

static void assert_same(const char *a, const char *b)
{
	struct group x, y;

	group_init(&x, a);
	group_init(&y, b);
	if (!match_equal(&x.p.s.flows, &y.p.s.flows))
		fail_msg("(%s) and (%s) differ", a, b);
	parsed_fini(&x.p);
	parsed_fini(&y.p);
}

static void assert_within(const char *inner, const char *outer, bool want)
{
	struct group x, y;

	group_init(&x, inner);
	group_init(&y, outer);
	if (match_subset(&x.p.s.flows, &y.p.s.flows) != want)
		fail_msg("(%s) within (%s): %d", inner, outer, !want);
	parsed_fini(&x.p);
	parsed_fini(&y.p);
}

static void equal_sets_have_many_texts(void **state)
{
	static const char *const list[][2] = {
		{"*", "vlan=0-4095"},
		{"srcIP=10.0.0.1", "srcHost = h1"},
		{"dstIP=10.77.1.2/16", "dstHost=10.77/16"},
		{"srcHost=10/8", "srcHost={10.0.0.0/9, 10.128/9}"},
		{"srcHost=h6", "srcHost=2001:DB8:0:0::6"},
		{"srcHost=2001:db8:1::5/32", "srcHost=2001:db8::/32"},
		{"dstPort <= 1023", "dstPort=0-1023"},
		{"dstPort<=1023", "dstPort=!{1024-65535}"},
		{"dstPort>=49152", "dstPort = 49152 - 65535"},
		{"dstPort={80,81,79}", "dstPort=79-81"},
		{"dstPort=80-443, dstPort={80,443}", "dstPort={443,80}"},
		{"dstPort=!80", "dstPort={0-79,81-65535}"},
		{"transport=TCP", "proto=6"},
		{"transport={UDP,ICMP,ICMPv6,SCTP}", "transport={17,1,58,132}"},
		{"transport=0-255", "kind=!nonip"},
		{"kind={ip4,ip4ports}", "srcHost=0.0.0.0/0"},
		{"kind={ip6,ip6ports}", "dstHost=::/0"},
		{"kind={ip4,ip4ports,ip6,ip6ports}", "dstHost={::/0,0/0}"},
		{"srcHost=!{10/8}", "kind=!nonip, srcHost={::/0,0/5,8/7,11/8,12/6,16/4,32/3,64/2,128/1}"},
		{"srcEth=02:00:00:00:00:AA", "srcEth=02:00:00:00:00:aa-02:00:00:00:00:aa"},
		{"srcUser=alice, srcUser={alice,bob}", "srcUser=alice"},
		{"user=alice, user=alice", "user=alice"},
		{"user={alice,bob}, user=alice", "user=alice"},
		{"user=!{alice}", "srcUser=!alice, dstUser=!alice"},
		{"srcPort=0-65535", "kind={ip4ports,ip6ports}"},
		{"srcHost={10.0.0.1,2001:db8::6}, dstHost=10.0.0.2", "srcHost=h1,dstHost=h2"},
		{"transport={TCP,ICMP}, dstPort=80", "transport=TCP,dstPort=80"},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		assert_same(list[i][0], list[i][1]);
}

static void user_is_the_union_of_both_directions(void **state)
{
	assert_within("srcUser=alice", "user=alice", true);
	assert_within("dstUser=alice", "user=alice", true);
	assert_within("user=alice", "srcUser=alice", false);
	assert_within("user=alice", "dstUser=alice", false);
	assert_within("user=alice, dstPort=80", "user=alice", true);
	assert_within("srcUser=alice, dstUser=bob", "user=alice, user=bob", true);
	assert_within("user=alice, user=bob", "srcUser=alice", false);
}

static char *many(const char *head, const char *item_fmt, unsigned int n, const char *tail)
{
	size_t size;
	char *text;
	FILE *f = open_memstream(&text, &size);

	fputs(head, f);
	for (unsigned int i = 0; i < n; i++) {
		if (i > 0)
			fputc(',', f);
		fprintf(f, item_fmt, i * 2);
	}
	fputs(tail, f);
	fclose(f);
	return text;
}

// Saying it again changes nothing, so it may be said often; what really branches is refused before it grows.
static void repeated_user_tests_do_not_pile_up(void **state)
{
	char *text = many("allow(", "user=alice, vlan=%u-4095", 120, ") on a.");
	struct parsed p;

	parsed_good(&p, text);
	assert_int_equal(p.s.flows.n_boxes, 2);
	parsed_fini(&p);
	free(text);
	text = many("allow(", "user={alice,bob,a}, user={bob,Arjun,a}, user={root,a}, user={80,a,alice}, vlan=%u-4095",
		    12, ") on a.");
	parsed_init(&p, text, strlen(text));
	if (p.rc != 0)
		assert_int_equal(p.reply.code, REPLY_LIMIT);
	else
		assert_in_range(p.s.flows.n_boxes, 1, 4096);
	parsed_fini(&p);
	free(text);
}

static void groups_without_packets_are_refused(void **state)
{
	static const struct {
		const char *text;
		enum reply_code code;
		int column;
	} list[] = {
		{"allow()", REPLY_EMPTY_GROUP, 7},
		{"allow(dstPort=80, dstPort=443)", REPLY_EMPTY_GROUP, 19},
		{"allow(dstPort={})", REPLY_EMPTY_GROUP, 16},
		{"allow(dstPort=!{0-65535})", REPLY_EMPTY_GROUP, 7},
		{"allow(transport=ICMP, dstPort=80)", REPLY_NO_PORTS, 23},
		{"allow(dstPort=80, transport=ICMP)", REPLY_NO_PORTS, 19},
		{"allow(kind=ip4, dstPort=80)", REPLY_NO_PORTS, 17},
		{"allow(dstPort=80, kind=ip4)", REPLY_NO_PORTS, 19},
		{"allow(transport=ICMP, kind=ip4ports)", REPLY_NO_PORTS, 23},
		{"allow(transport=TCP, transport=UDP)", REPLY_EMPTY_GROUP, 22},
		{"allow(kind=ip4ports, srcHost=::1)", REPLY_FAMILY_MIX, 22},
		{"allow(srcHost=10/8, dstHost=::1)", REPLY_FAMILY_MIX, 21},
		{"allow(srcHost=10/8, srcHost=h6)", REPLY_FAMILY_MIX, 21},
		{"allow(srcHost=10/8, kind=ip6)", REPLY_FAMILY_MIX, 21},
		{"allow(srcHost=10/8, srcHost=11/8)", REPLY_EMPTY_GROUP, 21},
		{"allow(kind=nonip, srcHost=10/8)", REPLY_EMPTY_GROUP, 19},
		{"allow(kind=nonip, kind=ip4)", REPLY_EMPTY_GROUP, 19},
		{"allow(srcUser=alice, srcUser=bob)", REPLY_EMPTY_GROUP, 22},
		{"allow(user=alice, user=!alice)", REPLY_EMPTY_GROUP, 19},
		{"allow(user=alice, user=bob, user=a)", REPLY_EMPTY_GROUP, 29},
		{"allow(vlan=!{0-4095})", REPLY_EMPTY_GROUP, 7},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		parsed_refused(list[i].text, strlen(list[i].text), list[i].code, 1, list[i].column);
}

static void bad_values_are_refused_where_they_stand(void **state)
{
	static const struct {
		const char *text;
		enum reply_code code;
		int column;
	} list[] = {
		{"allow(dstPort=65536)", REPLY_BAD_VALUE, 15},
		{"allow(dstPort=-5)", REPLY_BAD_VALUE, 15},
		{"allow(dstPort=80-)", REPLY_SYNTAX, 18},
		{"allow(dstPort=90-80)", REPLY_BAD_VALUE, 15},
		{"allow(dstPort=http)", REPLY_SYNTAX, 15},
		{"allow(dstPort=80x)", REPLY_BAD_VALUE, 15},
		{"allow(dstPort={80,65536})", REPLY_BAD_VALUE, 19},
		{"allow(dstPort={80 81})", REPLY_SYNTAX, 19},
		{"allow(dstPort={80,})", REPLY_SYNTAX, 19},
		{"allow(dstPort=!{})", REPLY_SYNTAX, 17},
		{"allow(dstPort=!!80)", REPLY_SYNTAX, 16},
		{"allow(dstPort={{80}})", REPLY_SYNTAX, 16},
		{"allow(dstPort < 80)", REPLY_SYNTAX, 15},
		{"allow(vlan <= 80)", REPLY_SYNTAX, 12},
		{"allow(vlan=4096)", REPLY_BAD_VALUE, 12},
		{"allow(colour=3)", REPLY_UNKNOWN_FIELD, 7},
		{"allow(srchost=h1)", REPLY_UNKNOWN_FIELD, 7},
		{"allow(dstPort=80,)", REPLY_SYNTAX, 18},
		{"allow(,dstPort=80)", REPLY_SYNTAX, 7},
		{"allow(dstPort=80", REPLY_SYNTAX, 17},
		{"allow(dstPort=80 srcPort=1)", REPLY_SYNTAX, 18},
		{"allow(*, dstPort=80)", REPLY_SYNTAX, 8},
		{"allow(transport=256)", REPLY_BAD_VALUE, 17},
		{"allow(transport=tcp)", REPLY_SYNTAX, 17},
		{"allow(srcHost=10.0.0.256)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=10.0.0.1/33)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=300.0.0.1)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=300lab)", REPLY_UNKNOWN_HOST, 15},
		{"allow(srcHost=10.0.0.1.2/8)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=010/8)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=/8)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=10/)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=10/8/8)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=::1/129)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=2001:db8::g)", REPLY_BAD_VALUE, 15},
		{"allow(srcHost=10.1)", REPLY_UNKNOWN_HOST, 15},
		{"allow(srcHost={h1,h9})", REPLY_UNKNOWN_HOST, 19},
		{"allow(srcHost=)", REPLY_SYNTAX, 15},
		{"allow(srcUser=nobody)", REPLY_NO_USER, 15},
		{"allow(srcEth=02:00:00:00:00)", REPLY_BAD_VALUE, 14},
		{"allow(srcEth=02:00:00:00:00:0g)", REPLY_BAD_VALUE, 14},
		{"allow(srcEth=02:00:00:00:00:02-02:00:00:00:00:01)", REPLY_BAD_VALUE, 14},
		{"allow(kind=ip5)", REPLY_SYNTAX, 12},
	};

	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++)
		parsed_refused(list[i].text, strlen(list[i].text), list[i].code, 1, list[i].column);
}

static void oversized_groups_are_refused_not_built(void **state)
{
	char *half = many("allow(dstPort={", "%u", 65, "}, srcPort={"), *rest = many("", "%u", 64, "}) on a."), *text;
	struct parsed p;

	assert_true(asprintf(&text, "%s%s", half, rest) > 0);
	parsed_refused(text, strlen(text), REPLY_LIMIT, 1, 6);
	free(text);
	free(half);
	half = many("allow(dstPort={", "%u", 64, "}, srcPort={");
	assert_true(asprintf(&text, "%s%s", half, rest) > 0);
	parsed_good(&p, text);
	assert_int_equal(p.s.flows.n_boxes, 4096);
	parsed_fini(&p);
	free(text);
	free(half);
	free(rest);

	text = many("allow(", "vlan=%u-4095", 257, ") on a.");
	parsed_init(&p, text, strlen(text));
	assert_int_equal(p.reply.code, REPLY_LIMIT);
	parsed_fini(&p);
	free(text);
	text = many("allow(", "vlan=%u-4095", 256, ") on a.");
	parsed_good(&p, text);
	assert_int_equal(p.s.flows.n_boxes, 1);
	parsed_fini(&p);
	free(text);
}

// ---- random groups against a predicate

static uint64_t rng_state;

static uint32_t rnd(uint32_t n)
{
	rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(rng_state >> 33) % n;
}

struct packet {
	bool ip, v6, ports;
	uint32_t addr[2]; // v4: 10.0.0.x; v6: 2001:db8::x
	uint32_t proto, port[2], eth[2], vlan, user[2];
};

// One test: a list of ranges over small numbers, which the text writes in the field's own way.
struct test {
	int field; // 0,1 host  2 proto  3,4 port  5,6 eth  7 vlan  8,9 user  10 either user  11 kind
	bool negate;
	int n;
	struct {
		uint32_t lo, hi;
		bool v6;
	} range[3];
};

static const uint32_t protos[] = {1, 6, 17, 58, 132};

static struct packet random_packet(void)
{
	struct packet p = {.ip = rnd(5) > 0, .vlan = rnd(4)};

	p.v6 = p.ip && rnd(2);
	p.proto = protos[rnd(5)];
	p.ports = p.ip && (p.proto == 6 || p.proto == 17 || p.proto == 132) && rnd(4) > 0;
	for (int i = 0; i < 2; i++) {
		p.addr[i] = rnd(6);
		p.port[i] = rnd(6);
		p.eth[i] = rnd(4);
		p.user[i] = rnd(4);
	}
	return p;
}

static struct match_packet to_match(const struct packet *p)
{
	struct match_packet m = {.kind = MATCH_NONIP};

	m.f[MATCH_SRC_ETH] = p->eth[0];
	m.f[MATCH_DST_ETH] = p->eth[1];
	m.f[MATCH_VLAN] = p->vlan;
	m.f[MATCH_SRC_USER] = p->user[0];
	m.f[MATCH_DST_USER] = p->user[1];
	if (!p->ip)
		return m;
	m.kind = p->v6 ? (p->ports ? MATCH_IP6PORTS : MATCH_IP6) : (p->ports ? MATCH_IP4PORTS : MATCH_IP4);
	m.src = p->v6 ? ((u128)0x20010db8 << 96) + p->addr[0] : match_ip4(0x0a000000 + p->addr[0]);
	m.dst = p->v6 ? ((u128)0x20010db8 << 96) + p->addr[1] : match_ip4(0x0a000000 + p->addr[1]);
	m.f[MATCH_PROTO] = p->proto;
	m.f[MATCH_SRC_PORT] = p->ports ? p->port[0] : 0;
	m.f[MATCH_DST_PORT] = p->ports ? p->port[1] : 0;
	return m;
}

static struct test random_test(void)
{
	struct test t = {.field = (int)rnd(12), .negate = rnd(3) == 0, .n = 1 + (int)rnd(3)};

	for (int i = 0; i < t.n; i++) {
		uint32_t lo = rnd(6), hi = lo;

		switch (t.field) {
		case 2:
			lo = hi = protos[rnd(5)];
			break;
		case 3:
		case 4:
		case 7:
			lo = rnd(t.field == 7 ? 4 : 6);
			hi = lo + rnd(3);
			break;
		case 8:
		case 9:
		case 10:
			lo = hi = 1 + rnd(3);
			break;
		case 11:
			lo = hi = rnd(5);
			break;
		}
		t.range[i].lo = lo;
		t.range[i].hi = hi;
		t.range[i].v6 = rnd(2);
	}
	return t;
}

static void print_value(FILE *f, const struct test *t, int i)
{
	static const char *const kinds[] = {"nonip", "ip4", "ip6", "ip4ports", "ip6ports"};
	uint32_t lo = t->range[i].lo, hi = t->range[i].hi;

	switch (t->field) {
	case 0:
	case 1:
		fprintf(f, t->range[i].v6 ? "2001:db8::%x" : "10.0.0.%u", lo);
		break;
	case 5:
	case 6:
		fprintf(f, "00:00:00:00:00:%02x", lo);
		break;
	case 8:
	case 9:
	case 10:
		fputs(fixture_users[lo - 1], f);
		break;
	case 11:
		fputs(kinds[lo], f);
		break;
	default:
		if (lo == hi)
			fprintf(f, "%u", lo);
		else
			fprintf(f, "%u-%u", lo, hi);
	}
}

static void print_test(FILE *f, const struct test *t)
{
	static const char *const names[] = {"srcHost", "dstHost", "transport", "srcPort", "dstPort", "srcEth",
					    "dstEth",  "vlan",    "srcUser",   "dstUser", "user",    "kind"};

	fprintf(f, "%s=%s{", names[t->field], t->negate ? "!" : "");
	for (int i = 0; i < t->n; i++) {
		if (i > 0)
			fputc(',', f);
		print_value(f, t, i);
	}
	fputc('}', f);
}

static bool in_ranges(const struct test *t, uint32_t value)
{
	for (int i = 0; i < t->n; i++)
		if (t->range[i].lo <= value && value <= t->range[i].hi)
			return true;
	return false;
}

static bool host_in(const struct test *t, const struct packet *p, uint32_t addr)
{
	for (int i = 0; i < t->n; i++)
		if (t->range[i].v6 == p->v6 && t->range[i].lo == addr)
			return true;
	return false;
}

static bool holds(const struct test *t, const struct packet *p)
{
	uint32_t kind = !p->ip ? 0 : 1 + p->v6 + 2 * p->ports;

	switch (t->field) {
	case 0:
	case 1:
		return p->ip && host_in(t, p, p->addr[t->field]) != t->negate;
	case 2:
		return p->ip && in_ranges(t, p->proto) != t->negate;
	case 3:
	case 4:
		return p->ports && in_ranges(t, p->port[t->field - 3]) != t->negate;
	case 5:
	case 6:
		return in_ranges(t, p->eth[t->field - 5]) != t->negate;
	case 7:
		return in_ranges(t, p->vlan) != t->negate;
	case 8:
	case 9:
		return in_ranges(t, p->user[t->field - 8]) != t->negate;
	case 10:
		return (in_ranges(t, p->user[0]) || in_ranges(t, p->user[1])) != t->negate;
	default:
		return in_ranges(t, kind) != t->negate;
	}
}

static bool is_empty_code(enum reply_code code)
{
	return code == REPLY_EMPTY_GROUP || code == REPLY_NO_PORTS || code == REPLY_FAMILY_MIX;
}

// Counts whether the group was accepted. A box is read back from its text (users have names here, so most can be).
static void check_boxes_read_back(const struct match *m);

static unsigned int random_round(uint64_t round)
{
	struct test tests[4];
	int n = 1 + (int)rnd(4);
	char *text;
	size_t size;
	FILE *f = open_memstream(&text, &size);
	struct parsed p;
	unsigned int accepted;

	fputs("ListSharesByFlowGroup (", f);
	for (int i = 0; i < n; i++) {
		tests[i] = random_test();
		if (i > 0)
			fputs(", ", f);
		print_test(f, &tests[i]);
	}
	fputs(").", f);
	fclose(f);
	parsed_init(&p, text, size);
	if (p.rc != 0 && !is_empty_code(p.reply.code))
		fail_msg("round %lu: %s: %s", (unsigned long)round, text, parsed_why(&p));
	for (int i = 0; i < 200; i++) {
		struct packet packet = random_packet();
		struct match_packet m = to_match(&packet);
		bool want = true;

		for (int j = 0; j < n; j++)
			want = want && holds(&tests[j], &packet);
		if (want != (p.rc == 0 && match_covers(&p.s.flows, &m)))
			fail_msg("round %lu: %s: ip %d v6 %d ports %d proto %u: %d wanted", (unsigned long)round, text,
				 packet.ip, packet.v6, packet.ports, packet.proto, want);
	}
	accepted = p.rc == 0;
	if (accepted)
		check_boxes_read_back(&p.s.flows);
	parsed_fini(&p);
	free(text);
	return accepted;
}

static const char *user_name(void *ctx, uint32_t user)
{
	return user <= sizeof(fixture_users) / sizeof(fixture_users[0]) ? fixture_users[user - 1] : NULL;
}

// Only packets of users there are, or of nobody: a text says nothing of those yet to come.
static void clip_users(const struct match *m, struct match *out)
{
	struct box known = box_any();

	known.f[MATCH_SRC_USER].hi = known.f[MATCH_DST_USER].hi = sizeof(fixture_users) / sizeof(fixture_users[0]);
	match_init(out);
	assert_int_equal(match_intersect_box(out, m, &known), 0);
}

static void check_boxes_read_back(const struct match *m)
{
	for (uint32_t i = 0; i < m->n_boxes && i < 8; i++) {
		char text[32768] = "ListSharesByFlowGroup ";
		size_t used = strlen(text);
		struct match one = {.boxes = &m->boxes[i], .n_boxes = 1, .cap = 1}, printed, read;
		struct parsed p;

		box_format(&m->boxes[i], user_name, NULL, text + used, sizeof(text) - used);
		if (strchr(text, '#') != NULL)
			continue; // of users yet to come: not a value one can write
		parsed_good(&p, text);
		clip_users(&one, &printed);
		clip_users(&p.s.flows, &read);
		if (!match_equal(&read, &printed))
			fail_msg("%s is not the box it was printed from", text);
		match_fini(&printed);
		match_fini(&read);
		parsed_fini(&p);
	}
}

static void random_groups_mean_what_their_tests_say(void **state)
{
	uint64_t rounds = rounds_from_env(3000), accepted = 0, seed = seed_from_env(1);

	rng_state = seed;
	print_message("PANE_SEED=%lu PANE_ROUNDS=%lu\n", (unsigned long)seed, (unsigned long)rounds);
	for (uint64_t i = 0; i < rounds; i++)
		accepted += random_round(i);
	assert_true(accepted > rounds / 4); // else the test looks at nothing
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(equal_sets_have_many_texts),
		cmocka_unit_test(user_is_the_union_of_both_directions),
		cmocka_unit_test(repeated_user_tests_do_not_pile_up),
		cmocka_unit_test(groups_without_packets_are_refused),
		cmocka_unit_test(bad_values_are_refused_where_they_stand),
		cmocka_unit_test(oversized_groups_are_refused_not_built),
		cmocka_unit_test(random_groups_mean_what_their_tests_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
