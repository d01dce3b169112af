// SPDX-License-Identifier: Apache-2.0
// One answer, built once, rendered as classic text or as one JSON object a line (SPEC 7).
// Owner: the caller (reply_init ... reply_fini). Thread: control only.
#pragma once
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"

// SPEC 7's refusal codes; the names are reply_code_name().
enum reply_code {
	REPLY_OK,
	REPLY_SYNTAX,
	REPLY_BAD_VALUE,
	REPLY_TOO_LONG,
	REPLY_UNKNOWN_FIELD,
	REPLY_EMPTY_GROUP,
	REPLY_NO_PORTS,
	REPLY_FAMILY_MIX,
	REPLY_UNKNOWN_HOST,
	REPLY_NO_SHARE,
	REPLY_NOT_PRINCIPAL,
	REPLY_NOT_CONTAINED,
	REPLY_NO_PRIVILEGE,
	REPLY_BAD_TIME,
	REPLY_SCHEDULE_FULL,
	REPLY_STRICT_CONFLICT,
	REPLY_OVERLAP,
	REPLY_UNREALIZABLE,
	REPLY_NETWORK,
	REPLY_BAD_PRIVILEGE,
	REPLY_DUP_SHARE,
	REPLY_DUP_USER,
	REPLY_NO_USER,
	REPLY_NOT_GRANTED,
	REPLY_NO_BINDING,
	REPLY_BOUND,
	REPLY_NO_REQUEST,
	REPLY_NOT_ROOT,
	REPLY_LIMIT,
};

struct reply {
	enum reply_code code;
	bool mutated;   // state changed: journal before answering
	bool close;     // quit
	bool set_json;  // mode json.
	uint64_t later; // not 0: the answer is not whole; what will complete it knows it by this number
	bool is_list;   // classic renders `N; item; item...` instead of True/False
	json_t *body;   // JSON object: extra members (id, why, share, at, earliest, items, line, column, expected ...)
	json_t *items;  // array of strings or objects; classic text of item i is text[i]
	char **text;
	size_t n_items, cap_items;
};

void reply_init(struct reply *r);
void reply_fini(struct reply *r);
const char *reply_code_name(enum reply_code code);
// Refuses with a code and a sentence ("why"). Returns -1, so that refusing is one statement.
int reply_refuse(struct reply *r, enum reply_code code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
// A list answer's item: JSON form (reference stolen) and classic text.
void reply_item(struct reply *r, json_t *json, const char *text);
// The same, in classic answers only.
void reply_line(struct reply *r, const char *text);
// The whole answer as a malloc'ed string without newline (caller frees): classic "True", "False", "2; a; b"; JSON one
// object.
char *reply_render_classic(const struct reply *r);
char *reply_render_json(const struct reply *r);
