// SPDX-License-Identifier: Apache-2.0
#include "reply.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const code_name[] = {
	[REPLY_OK] = "ok",
	[REPLY_SYNTAX] = "syntax",
	[REPLY_BAD_VALUE] = "bad_value",
	[REPLY_TOO_LONG] = "too_long",
	[REPLY_UNKNOWN_FIELD] = "unknown_field",
	[REPLY_EMPTY_GROUP] = "empty_group",
	[REPLY_NO_PORTS] = "no_ports",
	[REPLY_FAMILY_MIX] = "family_mix",
	[REPLY_UNKNOWN_HOST] = "unknown_host",
	[REPLY_NO_SHARE] = "no_share",
	[REPLY_NOT_PRINCIPAL] = "not_principal",
	[REPLY_NOT_CONTAINED] = "not_contained",
	[REPLY_NO_PRIVILEGE] = "no_privilege",
	[REPLY_BAD_TIME] = "bad_time",
	[REPLY_SCHEDULE_FULL] = "schedule_full",
	[REPLY_STRICT_CONFLICT] = "strict_conflict",
	[REPLY_OVERLAP] = "overlap",
	[REPLY_UNREALIZABLE] = "unrealizable",
	[REPLY_NETWORK] = "network",
	[REPLY_BAD_PRIVILEGE] = "bad_privilege",
	[REPLY_DUP_SHARE] = "dup_share",
	[REPLY_DUP_USER] = "dup_user",
	[REPLY_NO_USER] = "no_user",
	[REPLY_NOT_GRANTED] = "not_granted",
	[REPLY_NO_BINDING] = "no_binding",
	[REPLY_BOUND] = "bound",
	[REPLY_NO_REQUEST] = "no_request",
	[REPLY_NOT_ROOT] = "not_root",
	[REPLY_LIMIT] = "limit",
};

void reply_init(struct reply *r)
{
	memset(r, 0, sizeof(*r));
	r->body = json_object();
	r->items = json_array();
}

void reply_fini(struct reply *r)
{
	for (size_t i = 0; i < r->n_items; i++)
		free(r->text[i]);
	free(r->text);
	json_decref(r->body);
	json_decref(r->items);
	memset(r, 0, sizeof(*r));
}

const char *reply_code_name(enum reply_code code)
{
	assert((size_t)code < sizeof(code_name) / sizeof(code_name[0]));
	return code_name[code];
}

// Bytes that are not ASCII text become '?': what a stranger sent must not make the answer unprintable.
static void make_printable(char *text)
{
	for (unsigned char *c = (unsigned char *)text; *c != '\0'; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

int reply_refuse(struct reply *r, enum reply_code code, const char *fmt, ...)
{
	char *why = NULL;
	va_list ap;

	assert(code != REPLY_OK);
	r->code = code;
	va_start(ap, fmt);
	if (vasprintf(&why, fmt, ap) < 0)
		why = NULL;
	va_end(ap);
	if (why != NULL)
		make_printable(why);
	json_object_set_new(r->body, "why", json_string(why != NULL ? why : "out of memory"));
	free(why);
	return -1;
}

static bool reserve_text(struct reply *r)
{
	size_t cap = r->cap_items == 0 ? 8 : r->cap_items * 2;
	char **text;

	if (r->n_items < r->cap_items)
		return true;
	text = realloc(r->text, cap * sizeof(*text));
	if (text == NULL)
		return false;
	r->text = text;
	r->cap_items = cap;
	return true;
}

void reply_item(struct reply *r, json_t *json, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL || !reserve_text(r) || json_array_append(r->items, json) < 0) {
		free(copy);
		json_decref(json);
		reply_refuse(r, REPLY_LIMIT, "out of memory");
		return;
	}
	json_decref(json);
	r->text[r->n_items++] = copy;
}

void reply_line(struct reply *r, const char *text)
{
	char *copy = strdup(text);

	if (copy == NULL || !reserve_text(r)) {
		free(copy);
		reply_refuse(r, REPLY_LIMIT, "out of memory");
		return;
	}
	r->text[r->n_items++] = copy;
}

char *reply_render_classic(const struct reply *r)
{
	char *out = NULL;
	size_t len;
	FILE *f;

	if (r->code != REPLY_OK)
		return strdup("False");
	if (!r->is_list)
		return strdup("True");
	f = open_memstream(&out, &len);
	if (f == NULL)
		return NULL;
	fprintf(f, "%zu", r->n_items);
	for (size_t i = 0; i < r->n_items; i++)
		fprintf(f, "; %s", r->text[i]);
	if (fclose(f) != 0) {
		free(out);
		return NULL;
	}
	return out;
}

char *reply_render_json(const struct reply *r)
{
	json_t *all = json_object(), *why = json_object_get(r->body, "why");
	char *text;

	json_object_set_new(all, "ok", json_boolean(r->code == REPLY_OK));
	if (r->code != REPLY_OK) {
		json_object_set_new(all, "code", json_string(reply_code_name(r->code)));
		if (why != NULL)
			json_object_set(all, "why", why);
	}
	json_object_update_missing(all, r->body);
	if (r->is_list || r->n_items > 0)
		json_object_set(all, "items", r->items);
	text = json_dumps(all, JSON_COMPACT);
	json_decref(all);
	return text;
}
