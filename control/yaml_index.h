// SPDX-License-Identifier: Apache-2.0
// Where in a YAML text each key and value stands: path ("ports[1].rate") -> line and scalar. libcyaml says what is
// wrong, this says where. Also refuses what a configuration has no use for: aliases, several documents, deep nesting.
// Owner: the caller (yaml_index_build ... yaml_index_free). Thread: start-up.
#pragma once
#include <stddef.h>

#include "hft/err.h"

enum yaml_kind {
	YAML_KIND_SCALAR,
	YAML_KIND_MAPPING,
	YAML_KIND_SEQUENCE,
};

struct yaml_place {
	char *path;  // "" is the document
	char *value; // of a scalar, NULL otherwise
	enum yaml_kind kind;
	size_t line; // 1-based: of the key, or of the sequence entry
};

struct yaml_index {
	struct yaml_place *places; // in the order of the text
	size_t n_places, cap_places;
};

// 0, -EINVAL ("FILE:LINE: words", also for an empty text), -ENOMEM. The index is empty on error.
int yaml_index_build(struct yaml_index *index, const char *file, const char *text, size_t len, struct err *err);
void yaml_index_free(struct yaml_index *index);
const struct yaml_place *yaml_index_find(const struct yaml_index *index, const char *path); // NULL: not there
