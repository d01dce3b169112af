// SPDX-License-Identifier: Apache-2.0
// What can stand where the cursor is. Thread: one.
#pragma once
#include <jansson.h>
#include <stddef.h>

enum complete_what {
	COMPLETE_NOTHING,
	COMPLETE_VERB,
	COMPLETE_SHARE,
	COMPLETE_USER,
	COMPLETE_PORT,  // of the switch
	COMPLETE_FIELD, // of a flow group
	COMPLETE_HINT,  // a parameter of a hint
};

// text: the input up to the cursor, whole statements before the last one are passed over. *word_len: bytes at its end
// that are begun already.
enum complete_what complete_what(const char *text, size_t len, size_t *word_len);
// Those of the names (strings) that begin with the word, sorted, each once; *common: how many bytes more they all share
// behind the word. New reference.
json_t *complete_match(const json_t *names, const char *word, size_t word_len, size_t *common);
json_t *complete_verbs(void); // new reference
// What can be told without asking the switch: verbs, fields, parameters. New reference; NULL: nothing.
json_t *complete_known(enum complete_what what);
// The names of users in ListShares' answer. New reference.
json_t *complete_users(const json_t *shares);
