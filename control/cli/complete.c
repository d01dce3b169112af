// SPDX-License-Identifier: Apache-2.0
#include "complete.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "control/cmd_parse.h"
#include "control/cmd_table.h"

static bool in_word(char c)
{
	return isalnum((unsigned char)c) || c == '_' || c == '$' || c == '-';
}

static size_t blanks_back(const char *text, size_t len)
{
	while (len > 0 && isspace((unsigned char)text[len - 1]))
		len--;
	return len;
}

static size_t word_back(const char *text, size_t len)
{
	while (len > 0 && in_word(text[len - 1]))
		len--;
	return len;
}

static bool is_one_of(const char *word, size_t len, const char *const *words)
{
	for (; *words != NULL; words++)
		if (strlen(*words) == len && memcmp(*words, word, len) == 0)
			return true;
	return false;
}

// Inside `user=...`, also in a set or behind a `!`.
static bool in_user_value(const char *text, size_t len)
{
	static const char *const fields[] = {"user", "srcUser", "dstUser", NULL};
	size_t end;

	while (len > 0 && (in_word(text[len - 1]) || strchr(" \t{,!", text[len - 1]) != NULL))
		len--;
	if (len == 0 || text[len - 1] != '=')
		return false;
	end = blanks_back(text, len - 1);
	len = word_back(text, end);
	return is_one_of(text + len, end - len, fields);
}

// Inside the parentheses of a flow group, where a test begins.
static bool at_field(const char *text, size_t len)
{
	int groups = 0, sets = 0;

	len = blanks_back(text, len);
	for (size_t i = 0; i < len; i++) {
		groups += (text[i] == '(') - (text[i] == ')');
		sets += (text[i] == '{') - (text[i] == '}');
	}
	return len > 0 && groups == 1 && sets == 0 && (text[len - 1] == '(' || text[len - 1] == ',');
}

// Behind the flow group of a hint and before its share.
static bool at_hint(const char *text, size_t len, const char *verb, size_t verb_len)
{
	static const char *const hint[] = {"hint", NULL};

	if (!is_one_of(verb, verb_len, hint))
		return false;
	len = blanks_back(text, len);
	if (len == 0 || (text[len - 1] != ')' && text[len - 1] != ','))
		return false;
	while (len > 0 && strchr("()", text[len - 1]) == NULL)
		len--;
	return len > 0 && text[len - 1] == ')';
}

enum complete_what complete_what(const char *text, size_t len, size_t *word_len)
{
	static const char *const of_share[] = {"GetSchedule",  "Grant", "GrantDefault", "Revoke", "DropShare",
					       "ListRequests", NULL};
	static const char *const of_user[] = {"Bind", "Unbind", "DropUser", NULL};
	static const char *const granting[] = {"Grant", "Revoke", NULL};
	static const char *const on[] = {"on", NULL}, *const to[] = {"to", "from", NULL},
				 *const help[] = {"help", NULL}, *const behind[] = {"behind", NULL};
	const char *verb, *before;
	size_t skip, n, at, verb_len, before_len;

	while ((n = cmd_split(text, len, false, &skip)) > 0) {
		text += skip + n;
		len -= skip + n;
	}
	for (; len > 0 && isspace((unsigned char)*text); text++)
		len--;
	at = word_back(text, len);
	*word_len = len - at;
	if (at == 0)
		return COMPLETE_VERB;
	if (in_user_value(text, at))
		return COMPLETE_USER;
	verb = text;
	for (verb_len = 0; verb_len < at && in_word(text[verb_len]); verb_len++)
		;
	if (at_hint(text, at, verb, verb_len))
		return COMPLETE_HINT;
	if (at_field(text, at))
		return COMPLETE_FIELD;
	n = blanks_back(text, at);
	before = text + word_back(text, n);
	before_len = (size_t)(text + n - before);
	if (n == at)
		return COMPLETE_NOTHING; // a sign stands right before the word
	if (is_one_of(before, before_len, on))
		return COMPLETE_SHARE;
	if (is_one_of(verb, verb_len, granting) && is_one_of(before, before_len, to))
		return COMPLETE_USER;
	if (is_one_of(before, before_len, behind))
		return COMPLETE_PORT;
	if (before != verb)
		return COMPLETE_NOTHING;
	if (is_one_of(verb, verb_len, of_share))
		return COMPLETE_SHARE;
	if (is_one_of(verb, verb_len, of_user))
		return COMPLETE_USER;
	return is_one_of(verb, verb_len, help) ? COMPLETE_VERB : COMPLETE_NOTHING;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *complete_match(const json_t *names, const char *word, size_t word_len, size_t *common)
{
	json_t *found = json_array();
	const char **all = calloc(json_array_size(names) + 1, sizeof(*all));
	const json_t *name;
	size_t i, n = 0;

	*common = 0;
	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);

		if (all != NULL && text != NULL && strncmp(text, word, word_len) == 0)
			all[n++] = text;
	}
	if (n > 0) {
		qsort(all, n, sizeof(*all), by_name);
		*common = strlen(all[0]) - word_len;
	}
	for (i = 0; i < n; i++) {
		size_t same = 0;

		while (same < *common && all[i][word_len + same] == all[0][word_len + same])
			same++;
		*common = same;
		if (i == 0 || strcmp(all[i], all[i - 1]) != 0)
			json_array_append_new(found, json_string(all[i]));
	}
	free(all);
	return found;
}

json_t *complete_verbs(void)
{
	json_t *verbs = json_array();
	const struct cmd_info *row;

	for (size_t i = 0; (row = cmd_table_at(i)) != NULL; i++)
		json_array_append_new(verbs, json_string(row->name));
	return verbs;
}

static json_t *words(const char *const *all)
{
	json_t *out = json_array();

	for (; *all != NULL; all++)
		json_array_append_new(out, json_string(*all));
	return out;
}

json_t *complete_known(enum complete_what what)
{
	static const char *const fields[] = {"srcHost", "dstHost", "srcIP",  "dstIP",  "transport", "proto",
					     "srcPort", "dstPort", "srcEth", "dstEth", "vlan",      "srcUser",
					     "dstUser", "user",    "kind",   NULL};
	static const char *const hint[] = {"duration", "size", "deadline", "predictability", "class", NULL};

	switch (what) {
	case COMPLETE_VERB:
		return complete_verbs();
	case COMPLETE_FIELD:
		return words(fields);
	case COMPLETE_HINT:
		return words(hint);
	default:
		return NULL;
	}
}

json_t *complete_users(const json_t *shares)
{
	json_t *users = json_array();
	const json_t *share, *principal;
	size_t i, k;

	json_array_foreach(shares, i, share)
	{
		json_array_foreach(json_object_get(share, "principals"), k, principal)
		{
			const char *text = json_string_value(principal);

			if (text != NULL)
				json_array_append_new(users, json_stringn(text, strcspn(text, "@/")));
		}
	}
	return users;
}
