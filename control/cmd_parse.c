// SPDX-License-Identifier: Apache-2.0
#include "cmd_parse.h"

#include <errno.h>
#include <string.h>

#include "capture.h"
#include "cmd_group.h"
#include "cmd_ip.h"
#include "cmd_lex.h"
#include "cmd_privilege.h"
#include "cmd_table.h"
#include "cmd_value.h"
#include "traffic.h"

struct parser {
	struct lex lex;
	const struct cmd_names *names;
	struct statement *out;
};

static int expected(struct parser *p, const char *what)
{
	return lex_expected(&p->lex, REPLY_SYNTAX, lex_peek(&p->lex), what);
}

static int keyword(struct parser *p, const char *word, const char *what)
{
	return lex_accept_word(&p->lex, word) ? 0 : expected(p, what);
}

static int name(struct parser *p, const char *what, char out[NAME_MAX_LEN])
{
	struct token t = lex_word(&p->lex, LEX_NAME);

	if (t.len == 0)
		return expected(p, what);
	if (t.len >= NAME_MAX_LEN)
		return lex_expected(&p->lex, REPLY_BAD_VALUE, t, "a name of at most 63 characters");
	memcpy(out, t.text, t.len);
	out[t.len] = '\0';
	return 0;
}

static bool at_end(struct parser *p)
{
	struct token t = lex_peek(&p->lex);

	return t.len == 0 || (t.len == 1 && t.text[0] == '.');
}

static int end(struct parser *p)
{
	return lex_end(&p->lex, "the end of the statement (\".\")");
}

static int optional_name_only(struct parser *p, const char *what)
{
	if (!at_end(p) && name(p, what, p->out->name) < 0)
		return -1;
	return end(p);
}

static int parse_add_user(struct parser *p)
{
	return name(p, "the name of the new user", p->out->name) < 0 ? -1 : end(p);
}

static int parse_share_only(struct parser *p)
{
	return name(p, "the name of a share", p->out->name) < 0 ? -1 : end(p);
}

static int parse_grant_default(struct parser *p)
{
	return name(p, "the name of a share", p->out->share) < 0 ? -1 : end(p);
}

static int parse_list_requests(struct parser *p)
{
	return optional_name_only(p, "the name of a share, or the end of the statement (\".\")");
}

static int parse_help(struct parser *p)
{
	return optional_name_only(p, "a verb, or the end of the statement (\".\")");
}

static int flows(struct parser *p)
{
	return cmd_group_parse(&p->lex, p->names, &p->out->flows);
}

static int parse_by_flow_group(struct parser *p)
{
	return flows(p) < 0 ? -1 : end(p);
}

static int parse_new_share(struct parser *p)
{
	if (name(p, "the name of the new share", p->out->name) < 0 || keyword(p, "for", "\"for\"") < 0 ||
	    flows(p) < 0 || cmd_privileges_parse(&p->lex, p->names, &p->out->privileges) < 0 ||
	    keyword(p, "on", "\"on\"") < 0 || name(p, "the name of the parent share", p->out->share) < 0)
		return -1;
	return end(p);
}

static int principal(struct parser *p)
{
	struct token t = lex_word(&p->lex, LEX_TEXT);
	char text[3 * PRINCIPAL_NAME_MAX];
	struct err err;

	if (t.len == 0)
		return expected(p, "a principal: USER, USER@HOST, USER/APP or USER@HOST/APP");
	if (t.len >= sizeof(text))
		return lex_expected(&p->lex, REPLY_BAD_VALUE, t, "a shorter principal");
	memcpy(text, t.text, t.len);
	text[t.len] = '\0';
	if (principal_parse(text, &p->out->principal, &err) < 0) {
		lex_refuse(&p->lex, REPLY_SYNTAX, t.at,
			   "expected a principal: USER, USER@HOST, USER/APP or USER@HOST/APP; "
			   "%s",
			   err.msg);
		json_object_set_new(p->lex.reply->body, "expected", json_string("a principal"));
		return -1;
	}
	return 0;
}

static int parse_grant(struct parser *p)
{
	if (name(p, "the name of a share", p->out->share) < 0 || keyword(p, "to", "\"to\"") < 0 || principal(p) < 0)
		return -1;
	return end(p);
}

static int parse_revoke(struct parser *p)
{
	if (name(p, "the name of a share", p->out->share) < 0 || keyword(p, "from", "\"from\"") < 0 || principal(p) < 0)
		return -1;
	return end(p);
}

static int parse_user_only(struct parser *p)
{
	return name(p, "the name of a user", p->out->name) < 0 ? -1 : end(p);
}

// An IP address, with ports where they follow, or a MAC address, as the flow group of what is sent from it.
static int address(struct parser *p)
{
	static const char what[] = "an IP address or a MAC address";
	struct token t = lex_word(&p->lex, LEX_TEXT);
	struct box box = box_any();
	uint64_t mac;

	if (t.len == 0)
		return expected(p, what);
	if (value_mac(t.text, t.len, &mac) == 0)
		box.f[MATCH_SRC_ETH] = (struct span){mac, mac};
	else if (memchr(t.text, '/', t.len) != NULL || value_address(t.text, t.len, &box.src, &box.kinds) < 0)
		return lex_expected(&p->lex, REPLY_BAD_VALUE, t, what);
	else if (!at_end(p)) {
		p->out->has_binding = true;
		return cmd_binding_ports_parse(&p->lex, &box, &p->out->binding);
	}
	if (match_add(&p->out->binding, &box) < 0)
		return lex_refuse(&p->lex, REPLY_LIMIT, t.at, "out of memory");
	p->out->has_binding = true;
	return 0;
}

static int parse_bind(struct parser *p)
{
	if (name(p, "the name of a user", p->out->name) < 0 || keyword(p, "to", "\"to\"") < 0 || address(p) < 0)
		return -1;
	return end(p);
}

static int parse_unbind(struct parser *p)
{
	if (name(p, "the name of a user", p->out->name) < 0)
		return -1;
	if (!lex_accept_word(&p->lex, "from"))
		return lex_end(&p->lex, "\"from\" or the end of the statement (\".\")");
	return address(p) < 0 ? -1 : end(p);
}

static int number(struct parser *p, uint64_t max, const char *what)
{
	struct token t = lex_word(&p->lex, LEX_TEXT);
	int rc;

	if (t.len == 0)
		t = lex_peek(&p->lex);
	rc = value_number(t.text, t.len, max, &p->out->number);
	return rc == 0 ? 0 : lex_expected(&p->lex, rc == -ERANGE ? REPLY_BAD_VALUE : REPLY_SYNTAX, t, what);
}

static int parse_cancel(struct parser *p)
{
	return number(p, INT64_MAX, "the number of a request") < 0 ? -1 : end(p);
}

static int time_value(struct parser *p, bool is_end, struct time_spec *out);

static int parse_renew(struct parser *p)
{
	if (number(p, INT64_MAX, "the number of a request") < 0 || keyword(p, "to", "\"to\"") < 0 ||
	    time_value(p, true, &p->out->to) < 0)
		return -1;
	return end(p);
}

static int parse_tick(struct parser *p)
{
	return number(p, INT64_MAX / 1000000000, "a number of seconds") < 0 ? -1 : end(p);
}

static int parse_mode(struct parser *p)
{
	static const char what[] = "json or classic";
	struct token t = lex_peek(&p->lex);

	if (!token_is(t, "json") && !token_is(t, "classic"))
		return expected(p, what);
	return name(p, what, p->out->name) < 0 ? -1 : end(p);
}

static int rate(struct parser *p)
{
	static const char what[] = "a rate over zero and at most 2^63-1 bit/s, such as 10Mb";
	struct token t = lex_word(&p->lex, LEX_TEXT);
	int rc;

	if (t.len == 0)
		t = lex_peek(&p->lex);
	rc = value_rate(t.text, t.len, &p->out->rate_bps);
	if (rc == 0 && p->out->rate_bps > 0)
		return 0;
	if (rc == -EINVAL && (t.len == 0 || t.text[0] < '0' || t.text[0] > '9'))
		return lex_expected(&p->lex, REPLY_SYNTAX, t, what);
	return lex_expected(&p->lex, REPLY_BAD_VALUE, t, what);
}

static int time_value(struct parser *p, bool is_end, struct time_spec *out)
{
	const char *what = is_end ? "a time: now, +10min, seconds since the epoch, 2026-11-20T10:00:00Z or forever"
				  : "a time: now, +10min, seconds since the epoch or 2026-11-20T10:00:00Z";
	struct token t = lex_word(&p->lex, LEX_TEXT);
	int rc;

	if (t.len == 0)
		return expected(p, what);
	rc = value_time(t.text, t.len, out);
	if (rc == 0 && (is_end || out->kind != TIME_FOREVER))
		return 0;
	if (rc == -ERANGE)
		what = "a time that exists, of 1970 to 2262-04-11T23:47:16Z";
	return lex_expected(&p->lex, rc == -EINVAL ? REPLY_SYNTAX : REPLY_BAD_TIME, t, what);
}

// `[from T1] [to T2].`
static int times(struct parser *p)
{
	if (lex_accept_word(&p->lex, "from") && time_value(p, false, &p->out->from) < 0)
		return -1;
	if (lex_accept_word(&p->lex, "to"))
		return time_value(p, true, &p->out->to) < 0 ? -1 : end(p);
	return lex_end(&p->lex, p->out->from.kind == TIME_DEFAULT
					? "\"from\", \"to\" or the end of the statement (\".\")"
					: "\"to\" or the end of the statement (\".\")");
}

static int on_share_and_times(struct parser *p, const char *what)
{
	if (keyword(p, "on", what) < 0 || name(p, "the name of a share", p->out->share) < 0)
		return -1;
	return times(p);
}

// `[strict|partial] on SHARE [from T1] [to T2].`
static int request_tail(struct parser *p)
{
	if (lex_accept_word(&p->lex, "strict"))
		p->out->strictness = STRICT_STRICT;
	else if (lex_accept_word(&p->lex, "partial"))
		p->out->strictness = STRICT_PARTIAL;
	return on_share_and_times(p, p->out->strictness == STRICT_DEFAULT ? "\"strict\", \"partial\" or \"on\""
									  : "\"on\"");
}

static int parse_access(struct parser *p)
{
	return flows(p) < 0 ? -1 : request_tail(p);
}

static int parse_rate_request(struct parser *p)
{
	if (flows(p) < 0)
		return -1;
	if (!lex_accept(&p->lex, "="))
		return expected(p, "\"=\"");
	return rate(p) < 0 ? -1 : request_tail(p);
}

static int parse_addresses(struct parser *p)
{
	if (flows(p) < 0)
		return -1;
	if (!lex_accept(&p->lex, "="))
		return expected(p, "\"=\"");
	if (cmd_ips_parse(&p->lex, p->names, &p->out->addresses) < 0)
		return -1;
	if (p->out->verb == VERB_AVOID)
		ip_list_make_set(p->out->addresses);
	return request_tail(p);
}

static int word_of(struct parser *p, const char *const words[2], const char *what)
{
	for (int i = 0; i < 2; i++)
		if (lex_accept_word(&p->lex, words[i]))
			return i;
	return expected(p, what);
}

// A positive quantity of a hint.
static int hint_quantity(struct parser *p, int (*value)(const char *, size_t, uint64_t *), const char *what,
			 uint64_t *out)
{
	struct token t = lex_word(&p->lex, LEX_TEXT);
	int rc;

	if (t.len == 0)
		t = lex_peek(&p->lex);
	rc = value(t.text, t.len, out);
	if (rc == 0 && *out > 0)
		return 0;
	if (rc == -EINVAL && (t.len == 0 || t.text[0] < '0' || t.text[0] > '9'))
		return lex_expected(&p->lex, REPLY_SYNTAX, t, what);
	return lex_expected(&p->lex, REPLY_BAD_VALUE, t, what);
}

static int duration_value(const char *text, size_t len, uint64_t *out)
{
	int64_t ns;
	int rc = value_duration(text, len, &ns);

	if (rc == 0)
		*out = (uint64_t)ns;
	return rc;
}

static int hint_value(struct parser *p, enum hint_param which, struct hint *out)
{
	static const char *const predictabilities[] = {"bursty", "steady"}, *const classes[] = {"interactive",
												"background"};
	uint64_t ns = 0;
	int n;

	switch (which) {
	case HINT_DURATION:
		if (hint_quantity(p, duration_value, "a time over zero, such as 10min", &ns) < 0)
			return -1;
		out->duration_ns = (int64_t)ns;
		return 0;
	case HINT_SIZE:
		return hint_quantity(p, value_size, "a size over zero and at most 2^63-1 bytes, such as 10MB or 4GiB",
				     &out->size_bytes);
	case HINT_DEADLINE:
		return time_value(p, false, &out->deadline);
	case HINT_PREDICTABILITY:
		n = word_of(p, predictabilities, "bursty or steady");
		out->predictability = n == 1 ? PREDICT_STEADY : PREDICT_BURSTY;
		return n < 0 ? -1 : 0;
	case HINT_CLASS:
		n = word_of(p, classes, "background or interactive");
		out->class = n == 1 ? CLASS_BACKGROUND : CLASS_INTERACTIVE;
		return n < 0 ? -1 : 0;
	case HINT_N:
		break;
	}
	return expected(p, "a parameter: duration, size, deadline, predictability or class");
}

// `duration = 10min, size = 2GB on SHARE [from T1] [to T2].`
static int parse_hint(struct parser *p)
{
	static const char *const names[] = {"duration", "size", "deadline", "predictability", "class"};
	bool comma = false;

	if (flows(p) < 0)
		return -1;
	for (;;) {
		size_t pos = p->lex.pos;
		struct token t = lex_peek(&p->lex);
		enum hint_param which = 0;

		// No parameter is called `on`.
		if (!comma && p->out->hint.given != 0 && token_is(t, "on"))
			break;
		p->lex.pos = pos;
		while (which < HINT_N && !lex_accept_word(&p->lex, names[which]))
			which++;
		if (which == HINT_N)
			return expected(p, p->out->hint.given != 0 && !comma
						   ? "a further parameter or \"on\""
						   : "a parameter: duration, size, deadline, predictability or class");
		if ((p->out->hint.given & 1u << which) != 0)
			return lex_refuse(&p->lex, REPLY_BAD_VALUE, t.at, "%s is given twice", names[which]);
		if (!lex_accept(&p->lex, "="))
			return expected(p, "\"=\"");
		if (hint_value(p, which, &p->out->hint) < 0)
			return -1;
		p->out->hint.given |= 1u << which;
		comma = lex_accept(&p->lex, ",");
	}
	return on_share_and_times(p, "\"on\"");
}

static int parse_traffic(struct parser *p)
{
	static const char what[] = "a time over zero and at most 24h, such as 10min";
	uint64_t ns = 0;
	struct token t;

	if (flows(p) < 0 || keyword(p, "on", "\"on\"") < 0 || name(p, "the name of a share", p->out->share) < 0)
		return -1;
	if (!lex_accept_word(&p->lex, "last"))
		return lex_end(&p->lex, "\"last\" or the end of the statement (\".\")");
	t = lex_peek(&p->lex);
	if (hint_quantity(p, duration_value, what, &ns) < 0)
		return -1;
	if (ns > TRAFFIC_LAST_MAX_NS)
		return lex_expected(&p->lex, REPLY_BAD_VALUE, t, what);
	p->out->last_ns = (int64_t)ns;
	return end(p);
}

static int parse_capture(struct parser *p)
{
	static const char count[] = "1 to 5000 frames", time[] = "a time over zero and at most 60s";
	uint64_t ns = CAPTURE_NS_DEFAULT;
	struct token t;

	p->out->number = CAPTURE_FRAMES_DEFAULT;
	if (flows(p) < 0 || keyword(p, "on", "\"on\"") < 0 || name(p, "the name of a share", p->out->share) < 0)
		return -1;
	if (lex_accept_word(&p->lex, "count")) {
		t = lex_peek(&p->lex);
		if (number(p, CAPTURE_FRAMES_MAX, count) < 0)
			return -1;
		if (p->out->number == 0)
			return lex_expected(&p->lex, REPLY_BAD_VALUE, t, count);
	}
	if (lex_accept_word(&p->lex, "for")) {
		t = lex_peek(&p->lex);
		if (hint_quantity(p, duration_value, time, &ns) < 0)
			return -1;
		if (ns > CAPTURE_NS_MAX)
			return lex_expected(&p->lex, REPLY_BAD_VALUE, t, time);
	}
	p->out->last_ns = (int64_t)ns;
	return end(p);
}

static int parse_between(struct parser *p)
{
	for (int i = 0; i < 2; i++) {
		if (cmd_ip_parse(&p->lex, p->names, &p->out->addresses) < 0)
			return -1;
	}
	return end(p);
}

static int parse_verify(struct parser *p)
{
	if (!at_end(p) && number(p, INT64_MAX, "the number of a round, or the end of the statement (\".\")") < 0)
		return -1;
	return end(p);
}

static int parse_where(struct parser *p)
{
	return cmd_ip_parse(&p->lex, p->names, &p->out->addresses) < 0 ? -1 : end(p);
}

// The name of a port as the configuration has it.
static int parse_hosts(struct parser *p)
{
	if (!lex_accept_word(&p->lex, "behind"))
		return lex_end(&p->lex, "\"behind\" or the end of the statement (\".\")");
	return name(p, "the name of a port", p->out->name) < 0 ? -1 : end(p);
}

static int parse_explain(struct parser *p)
{
	if (flows(p) < 0)
		return -1;
	if (!lex_accept_word(&p->lex, "at"))
		return lex_end(&p->lex, "\"at\" or the end of the statement (\".\")");
	return time_value(p, false, &p->out->to) < 0 ? -1 : end(p);
}

static int parse_trace(struct parser *p)
{
	return flows(p) < 0 ? -1 : end(p);
}

static int (*const parse_verb[])(struct parser *) = {
	[VERB_ADD_USER] = parse_add_user,
	[VERB_NEW_SHARE] = parse_new_share,
	[VERB_GRANT] = parse_grant,
	[VERB_GRANT_DEFAULT] = parse_grant_default,
	[VERB_REVOKE] = parse_revoke,
	[VERB_DROP_SHARE] = parse_share_only,
	[VERB_DROP_USER] = parse_user_only,
	[VERB_BIND] = parse_bind,
	[VERB_UNBIND] = parse_unbind,
	[VERB_ALLOW] = parse_access,
	[VERB_DENY] = parse_access,
	[VERB_RESERVE] = parse_rate_request,
	[VERB_RATELIMIT] = parse_rate_request,
	[VERB_WAYPOINT] = parse_addresses,
	[VERB_AVOID] = parse_addresses,
	[VERB_HINT] = parse_hint,
	[VERB_CANCEL] = parse_cancel,
	[VERB_RENEW] = parse_renew,
	[VERB_GET_SCHEDULE] = parse_share_only,
	[VERB_LIST_SHARES] = end,
	[VERB_LIST_SHARES_BY_FLOW_GROUP] = parse_by_flow_group,
	[VERB_LIST_REQUESTS] = parse_list_requests,
	[VERB_TRAFFIC] = parse_traffic,
	[VERB_TRAFFIC_BETWEEN] = parse_between,
	[VERB_PORTS] = end,
	[VERB_LINKS] = end,
	[VERB_HOSTS] = parse_hosts,
	[VERB_QUEUES] = end,
	[VERB_VERIFY] = parse_verify,
	[VERB_WHERE] = parse_where,
	[VERB_EXPLAIN] = parse_explain,
	[VERB_TRACE] = parse_trace,
	[VERB_CAPTURE] = parse_capture,
	[VERB_TIME] = end,
	[VERB_HELP] = parse_help,
	[VERB_TICK] = parse_tick,
	[VERB_MODE] = parse_mode,
	[VERB_QUIT] = end,
};

int cmd_parse(const char *text, size_t len, const struct cmd_names *names, struct statement *out, struct reply *reply)
{
	struct parser p = {.names = names, .out = out};
	const struct cmd_info *info;
	struct token t;

	lex_init(&p.lex, text, len, reply);
	if (len - p.lex.origin > LEX_STATEMENT_MAX)
		return lex_refuse(&p.lex, REPLY_TOO_LONG, p.lex.origin, "a statement has at most %d bytes",
				  LEX_STATEMENT_MAX);
	t = lex_word(&p.lex, LEX_NAME);
	info = cmd_table_find(t.text, t.len);
	if (info == NULL)
		return lex_expected(&p.lex, REPLY_SYNTAX, t.len > 0 ? t : lex_peek(&p.lex),
				    "a verb such as allow or NewShare (\"help.\" lists them)");
	out->verb = info->verb;
	return parse_verb[info->verb](&p);
}
