// SPDX-License-Identifier: Apache-2.0
#include "random_talk.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define SHARES RANDOM_SHARES

struct writer {
	char text[1024];
	size_t len;
	struct dice *d;
};

static void put(struct writer *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(struct writer *w, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	w->len += (size_t)vsnprintf(w->text + w->len, sizeof(w->text) - w->len, fmt, ap);
	va_end(ap);
	assert_true(w->len < sizeof(w->text));
}

static uint64_t roll(struct writer *w, uint64_t n)
{
	return dice_roll(w->d, n);
}

static const char *speaker_name(struct writer *w)
{
	static const char *const names[] = {"root", "root", "root", "u0", "u1", "u2@10.0.0.1", "stranger"};

	return names[roll(w, sizeof(names) / sizeof(names[0]))];
}

static void put_share(struct writer *w)
{
	uint64_t n = roll(w, SHARES + 2);

	if (n < SHARES)
		put(w, "s%" PRIu64, n);
	else
		put(w, "%s", n == SHARES ? "rootShare" : "nowhere");
}

static void put_group(struct writer *w)
{
	static const char *const fields[] = {"srcPort",   "dstPort", "srcHost", "dstHost", "vlan",
					     "transport", "user",    "srcUser", "kind",    "colour"};
	static const char *const values[] = {"80",          "1-100", "{80,443}", "10.0.0.1", "10/8",  "!{u0}",  "TCP",
					     "2001:db8::1", "u1",    "{u0,u1}",  "ip4",      "!{80}", "<= 1024"};
	uint64_t n = roll(w, 4);

	if (n == 0) {
		put(w, "(*)");
		return;
	}
	for (uint64_t i = 0; i < n; i++)
		put(w, "%s%s=%s", i == 0 ? "(" : ", ", roll(w, 3) ? fields[roll(w, 2)] : fields[roll(w, 10)],
		    roll(w, 3) ? values[roll(w, 3)] : values[roll(w, 13)]);
	put(w, ")");
}

static void put_time(struct writer *w)
{
	static const char *const odd[] = {"now", "forever", "+1h", "5", "99999999999999999999", "2026-11-20T10:00:00Z",
					  "+",   "+106752d"};

	if (roll(w, 6) > 0)
		put(w, "+%" PRIu64, roll(w, 30));
	else
		put(w, "%s", odd[roll(w, 8)]);
}

static void put_hint(struct writer *w)
{
	put(w, "hint");
	put_group(w);
	put(w, " %s", roll(w, 2) ? "class = background" : "predictability = steady");
	if (roll(w, 4) > 0)
		put(w, " size = %" PRIu64 "MB deadline = +%" PRIu64, 1 + roll(w, 100), 1 + roll(w, 60));
	else
		put(w, " duration = %" PRIu64 "s", roll(w, 30));
	put(w, " on ");
	put_share(w);
	put(w, ".");
}

static void put_request(struct writer *w)
{
	static const char *const verbs[] = {"allow", "deny", "reserve", "reserve", "ratelimit", "waypoint", "avoid"};
	uint64_t verb = roll(w, 7);

	if (roll(w, 12) == 0) {
		put_hint(w);
		return;
	}
	put(w, "%s", verbs[verb]);
	put_group(w);
	if (verb >= 5)
		put(w, " = 10.1.0.%" PRIu64 ", 10.1.0.%" PRIu64, roll(w, 4), roll(w, 4));
	else if (verb >= 2)
		put(w, " = %" PRIu64 "%s", roll(w, 60), roll(w, 2) ? "" : "Mb");
	put(w, " %s on ", roll(w, 2) ? "partial" : roll(w, 2) ? "strict" : "");
	put_share(w);
	if (roll(w, 3) == 0) {
		put(w, " from ");
		put_time(w);
	}
	if (roll(w, 12) > 0) {
		put(w, " to ");
		put_time(w);
	}
	put(w, ".");
}

static void put_new_share(struct writer *w)
{
	static const char *const extra[] = {"allow <= 10s",
					    "deny = False",
					    "reserve >= 5",
					    "reserveTBFill = 20",
					    "reserveTBCapacity = 300",
					    "ratelimit >= 0",
					    "hint = False",
					    "query = False",
					    "waypoint = *",
					    "avoid = *",
					    "waypoint = {10.1.0.1, 10.1.0.2}",
					    "avoid = {10.1.0.1}",
					    "view = {ports}"};

	put(w, "NewShare s%" PRIu64 " for ", roll(w, SHARES));
	if (roll(w, 3))
		put(w, "(*)");
	else
		put_group(w);
	put(w, " [reserve <= %" PRIu64, roll(w, 3) ? 100 : roll(w, 200));
	for (uint64_t i = roll(w, 3); i > 0; i--)
		put(w, " %s", extra[roll(w, 13)]);
	put(w, "] on ");
	put_share(w);
	put(w, ".");
}

static void put_other(struct writer *w, uint64_t last_id)
{
	switch (roll(w, 18)) {
	case 0:
		put(w, "AddUser u%" PRIu64 ".", roll(w, 4));
		break;
	case 1:
		put(w, "Grant ");
		put_share(w);
		put(w, " to u%" PRIu64 "%s.", roll(w, 4), roll(w, 3) ? "" : "@10.0.0.1/ssh");
		break;
	case 2:
		put(w, "Bind u%" PRIu64 " to 10.0.0.%" PRIu64 ".", roll(w, 3), roll(w, 6));
		break;
	case 3:
		put(w, "Unbind u%" PRIu64 "%s.", roll(w, 3), roll(w, 2) ? " from 10.0.0.1" : "");
		break;
	case 4:
	case 5:
	case 6:
		put(w, "cancel %" PRIu64 ".", last_id < 40 ? roll(w, 40) : last_id - roll(w, 40));
		break;
	case 7:
		put(w, "GetSchedule ");
		put_share(w);
		put(w, ".");
		break;
	case 8:
		put(w, "ListSharesByFlowGroup ");
		put_group(w);
		put(w, ".");
		break;
	case 9:
		put(w, roll(w, 2) ? "ListShares." : "ListRequests.");
		break;
	case 11:
	case 12:
		put(w, "renew %" PRIu64 " to +%" PRIu64 ".", last_id < 40 ? roll(w, 40) : last_id - roll(w, 40),
		    roll(w, 60));
		break;
	case 13:
		put(w, "Revoke ");
		put_share(w);
		put(w, " from u%" PRIu64 "%s.", roll(w, 4), roll(w, 3) ? "" : "@10.0.0.1/ssh");
		break;
	case 14:
		if (roll(w, 16) == 0) {
			put(w, "DropShare ");
			put_share(w);
			put(w, ".");
		} else
			put(w, "%s u%" PRIu64 ".", roll(w, 10) == 0 ? "DropUser" : "AddUser", roll(w, 4));
		break;
	case 15:
		put(w, "Bind u%" PRIu64 " to 10.0.0.%" PRIu64 " TCP %" PRIu64 "-20.", roll(w, 3), roll(w, 6),
		    roll(w, 22));
		break;
	case 10:
		put(w, roll(w, 2) ? "help." : "time.");
		break;
	default:
		put(w, roll(w, 40) == 0 ? "GrantDefault s1." : "Tick 5.");
		break;
	}
}

void random_statement(struct random_statement *r, struct dice *d, uint64_t next_id)
{
	struct writer w = {.d = d};
	uint64_t kind = roll(&w, 20);

	r->speaker = speaker_name(&w);
	if (kind < 11)
		put_request(&w);
	else if (kind < 13)
		put_new_share(&w);
	else
		put_other(&w, next_id);
	memcpy(r->text, w.text, w.len + 1);
	r->len = w.len;
}

void random_spoil(struct random_statement *r, struct dice *d)
{
	for (uint64_t n = 1 + dice_roll(d, 3); n > 0 && r->len > 0; n--)
		r->text[dice_roll(d, r->len)] = (char)(1 + dice_roll(d, 255));
}
