// SPDX-License-Identifier: Apache-2.0
// Random bytes and random changes to good statements: nothing crashes, every refusal has a code, a place inside the
// text and a sentence, what is accepted is whole, and splitting never leaves the buffer. PANE_SEED and PANE_ROUNDS
// steer it.
#include "cmd_fixture.h"
#include "tests/rounds.h"

static uint64_t rng_state;

static uint32_t rnd(uint32_t n)
{
	rng_state = rng_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(rng_state >> 33) % n;
}

static const char *const good[] = {
	"reserve(srcHost=10.0.0.0/8, dstPort={80,443,8000-8100}, transport=TCP) = 5Mb partial on net0 from now to "
	"+10min.",
	"allow(user=alice, srcEth=!{02:00:00:00:00:01}, vlan={0,4095}) on a from 2026-11-20T10:00:00Z to forever.",
	"NewShare x for (srcHost={10/8,2001:db8::/32}, kind=!{nonip}) [reserve <= 10 reserve >= 1kb, weight = 2, allow "
	"<= 5min] "
	"on rootShare.",
	"deny(dstPort >= 49152, dstHost=h1, srcUser=!alice) strict on net0 from 10 to 20. // bye",
	"Grant net0 to alice@10.0.0.5/ssh.",
	"Unbind bob from 02:00:00:00:00:01.",
	"Bind alice to 10.0.0.5 TCP {80, 8000-8100}.",
	"waypoint(dstPort=80) = 10.0.0.1, h1, 2001:db8::1 partial on net0 from 5 to +1h.",
	"avoid(srcHost=10/8) = {10.0.0.1, 10.0.0.2} on net0.",
	"renew 17 to +10min.",
	"Revoke net0 from alice@10.0.0.5/ssh.",
	"DropShare net0.",
	"DropUser alice.",
	"NewShare y for (*) [waypoint = {10.0.0.1, h2}, avoid = * view = {traffic, queues}] on net0.",
	"NewShare $-1 for (proto=0-255, srcIP=::/0) reserveTBFill = 1Gbps reserveTBCapacity = 2Tb hint = True on b /* "
	"c */ .",
};

#define N_GOOD (sizeof(good) / sizeof(good[0]))
#define TEXT_MAX 512

static const char *const pieces[] = {
	"(",           ")",
	"{",           "}",
	"[",           "]",
	",",           "=",
	"!",           "<=",
	">=",          "*",
	"/*",          "*/",
	"//",          ".",
	". ",          "-",
	"+",           "/",
	":",           "::",
	"\n",          " on",
	"99999999999", "-1",
	"80",          "10/",
	"@",           "forever",
	"user",        "kind",
	"ip4",         "True",
	"65536",       "\xff",
	"\xc3",        "2026-02-30T00:00:00Z",
};

static size_t mutate(char *text, size_t len)
{
	size_t at = len > 0 ? rnd((uint32_t)len) : 0, n;
	const char *piece;

	switch (rnd(5)) {
	case 0: // one byte
		if (len > 0)
			text[at] = (char)rnd(256);
		return len;
	case 1: // cut some out
		n = rnd(8);
		n = n < len - at ? n : len - at;
		memmove(text + at, text + at + n, len - at - n);
		return len - n;
	case 2: // the end is missing
		return at;
	case 3: // say something twice
		n = len - at < 16 ? len - at : 16;
		if (len + n > TEXT_MAX)
			return len;
		memmove(text + at + n, text + at, len - at);
		return len + n;
	default:
		piece = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];
		n = strlen(piece);
		if (len + n > TEXT_MAX)
			return len;
		memmove(text + at + n, text + at, len - at);
		memcpy(text + at, piece, n);
		return len + n;
	}
}

static size_t random_text(char *text)
{
	size_t len;

	if (rnd(2) == 0) {
		len = rnd(64);
		for (size_t i = 0; i < len; i++)
			text[i] = (char)rnd(256);
		return len;
	}
	len = 0;
	for (uint32_t n = rnd(20); n > 0; n--) {
		const char *piece = pieces[rnd(sizeof(pieces) / sizeof(pieces[0]))];

		memcpy(text + len, piece, strlen(piece));
		len += strlen(piece);
	}
	return len;
}

static void check_refusal(const struct parsed *p, const char *text, size_t len)
{
	size_t lines = 1;
	json_int_t line = json_integer_value(json_object_get(p->reply.body, "line"));
	json_int_t column = json_integer_value(json_object_get(p->reply.body, "column"));
	char *json = reply_render_json(&p->reply);

	for (size_t i = 0; i < len; i++)
		lines += text[i] == '\n';
	assert_int_not_equal(p->reply.code, REPLY_OK);
	assert_true(parsed_why(p)[0] != '\0');
	assert_true(line >= 1 && (size_t)line <= lines && column >= 1 && (size_t)column <= len + 1);
	assert_non_null(json);
	assert_null(strchr(json, '\n'));
	free(json);
}

static void check_accepted(const struct parsed *p)
{
	assert_int_equal(p->rc, 0);
	assert_int_equal(p->reply.code, REPLY_OK);
	switch (p->s.verb) {
	case VERB_RESERVE:
	case VERB_RATELIMIT:
		assert_true(p->s.rate_bps > 0 && p->s.rate_bps <= INT64_MAX);
		// fall through
	case VERB_WAYPOINT:
	case VERB_AVOID:
		assert_true((p->s.verb == VERB_WAYPOINT || p->s.verb == VERB_AVOID) == (p->s.addresses != NULL));
		// fall through
	case VERB_ALLOW:
	case VERB_DENY:
		assert_true(p->s.from.ns >= 0 && p->s.to.ns >= 0 && p->s.from.kind != TIME_FOREVER);
		// fall through
	case VERB_NEW_SHARE:
		assert_true(p->s.share[0] != '\0');
		// fall through
	case VERB_LIST_SHARES_BY_FLOW_GROUP:
		assert_false(match_is_empty(&p->s.flows));
		break;
	default:
		break;
	}
}

// The heap copy has no byte to spare, so that a sanitizer sees every step over the end.
static bool try_text(const char *text, size_t len)
{
	char *exact = malloc(len > 0 ? len : 1);
	size_t skip, n;
	struct parsed p;
	bool accepted;

	memcpy(exact, text, len);
	parsed_init(&p, exact, len);
	accepted = p.rc == 0;
	if (accepted)
		check_accepted(&p);
	else
		check_refusal(&p, text, len);
	parsed_fini(&p);
	n = cmd_split(exact, len, rnd(2), &skip);
	assert_true(skip <= len && n <= len - skip);
	assert_true(n == 0 || exact[skip + n - 1] == '.');
	free(exact);
	return accepted;
}

static void random_statements_crash_nothing_and_are_refused_with_a_code(void **state)
{
	uint64_t rounds = rounds_from_env(100000), seed = seed_from_env(1), accepted = 0;
	char text[TEXT_MAX + 32];

	rng_state = seed;
	print_message("PANE_SEED=%lu PANE_ROUNDS=%lu\n", (unsigned long)seed, (unsigned long)rounds);
	for (uint64_t i = 0; i < rounds; i++) {
		size_t len;

		if (rnd(2) == 0) {
			const char *from = good[rnd(N_GOOD)];

			len = strlen(from);
			memcpy(text, from, len);
			for (uint32_t n = 1 + rnd(3); n > 0; n--)
				len = mutate(text, len);
		} else {
			len = random_text(text);
		}
		accepted += try_text(text, len);
	}
	assert_true(accepted > rounds / 1000); // some changes do no harm
	assert_true(accepted < rounds / 2);
}

static void unchanged_statements_are_accepted(void **state)
{
	for (size_t i = 0; i < N_GOOD; i++)
		assert_true(try_text(good[i], strlen(good[i])));
}

// Every proper prefix, so that a cut at each place is tried.
static void cut_statements_are_refused_or_whole(void **state)
{
	for (size_t i = 0; i < N_GOOD; i++)
		for (size_t len = 0; len < strlen(good[i]); len++)
			try_text(good[i], len);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(unchanged_statements_are_accepted),
		cmocka_unit_test(cut_statements_are_refused_or_whole),
		cmocka_unit_test(random_statements_crash_nothing_and_are_refused_with_a_code),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
