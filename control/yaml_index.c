// SPDX-License-Identifier: Apache-2.0
#include "yaml_index.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 8 // the schema needs 4
#define PATH_MAX_LEN 256

struct level {
	bool is_mapping;
	bool have_key;
	size_t n_entries;
	size_t key_line;
	size_t path_len; // of the container's own path
};

struct walk {
	struct yaml_index *index;
	const char *file;
	struct level level[DEPTH_MAX];
	int depth; // open containers
	size_t n_documents;
	char path[PATH_MAX_LEN];
};

static int on_event(struct walk *w, const yaml_event_t *event, struct err *err);
static int parse_error(const yaml_parser_t *parser, const char *file, struct err *err);

int yaml_index_build(struct yaml_index *index, const char *file, const char *text, size_t len, struct err *err)
{
	struct walk w = {.index = index, .file = file};
	yaml_parser_t parser;
	bool done = false;
	int ret = 0;

	memset(index, 0, sizeof(*index));
	if (yaml_parser_initialize(&parser) == 0)
		return err_set(err, ENOMEM, "%s: out of memory", file);
	yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
	while (ret == 0 && !done) {
		yaml_event_t event;

		if (yaml_parser_parse(&parser, &event) == 0) {
			ret = parse_error(&parser, file, err);
			break;
		}
		done = event.type == YAML_STREAM_END_EVENT;
		ret = on_event(&w, &event, err);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&parser);
	if (ret == 0 && w.n_documents == 0)
		ret = err_set(err, EINVAL, "%s:1: the file is empty, expected keys such as run_dir and ports", file);
	if (ret < 0)
		yaml_index_free(index);
	return ret;
}

void yaml_index_free(struct yaml_index *index)
{
	for (size_t i = 0; i < index->n_places; i++) {
		free(index->places[i].path);
		free(index->places[i].value);
	}
	free(index->places);
	memset(index, 0, sizeof(*index));
}

const struct yaml_place *yaml_index_find(const struct yaml_index *index, const char *path)
{
	for (size_t i = 0; i < index->n_places; i++) {
		if (strcmp(index->places[i].path, path) == 0)
			return &index->places[i];
	}
	return NULL;
}

static int parse_error(const yaml_parser_t *parser, const char *file, struct err *err)
{
	const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
	const char *hint = "";

	if (strstr(problem, "cannot start any token") != NULL)
		hint = " (a tab? YAML is indented with blanks)";
	else if (strstr(problem, "mapping values are not allowed") != NULL)
		hint = " (a value that ends in a colon, or has a blank after one, needs quotes: \"null:\")";

	if (parser->error == YAML_MEMORY_ERROR)
		return err_set(err, ENOMEM, "%s: out of memory", file);
	if (parser->error == YAML_READER_ERROR)
		return err_set(err, EINVAL, "%s: not a YAML text: %s at byte %zu", file, problem,
			       parser->problem_offset);
	return err_set(err, EINVAL, "%s:%zu: %s%s", file, parser->problem_mark.line + 1, problem, hint);
}

static int add_place(struct walk *w, enum yaml_kind kind, const char *value, size_t line, struct err *err)
{
	struct yaml_index *index = w->index;
	struct yaml_place *place;

	if (index->n_places == index->cap_places) {
		size_t cap = index->cap_places == 0 ? 64 : index->cap_places * 2;
		struct yaml_place *places = realloc(index->places, cap * sizeof(*places));

		if (places == NULL)
			return err_set(err, ENOMEM, "%s: out of memory", w->file);
		index->places = places;
		index->cap_places = cap;
	}
	place = &index->places[index->n_places];
	*place = (struct yaml_place){.path = strdup(w->path), .kind = kind, .line = line};
	if (value != NULL)
		place->value = strdup(value);
	if (place->path == NULL || (value != NULL && place->value == NULL)) {
		free(place->path);
		free(place->value);
		return err_set(err, ENOMEM, "%s: out of memory", w->file);
	}
	index->n_places++;
	return 0;
}

// A scalar as a mapping's key: the path goes on with it.
static int take_key(struct walk *w, struct level *l, const yaml_event_t *event, struct err *err)
{
	const char *key = (const char *)event->data.scalar.value;
	size_t line = event->start_mark.line + 1;

	if (event->data.scalar.length > 64)
		return err_set(err, EINVAL, "%s:%zu: a key of %zu characters", w->file, line,
			       event->data.scalar.length);
	snprintf(w->path + l->path_len, sizeof(w->path) - l->path_len, "%s%s", l->path_len > 0 ? "." : "", key);
	l->have_key = true;
	l->key_line = line;
	return 0;
}

// A value begins: the line to name for it, and the path of a sequence's entry.
static size_t begin_value(struct walk *w, const yaml_event_t *event)
{
	size_t line = event->start_mark.line + 1;
	struct level *l;

	if (w->depth == 0)
		return line;
	l = &w->level[w->depth - 1];
	if (l->is_mapping) {
		l->have_key = false;
		return l->key_line;
	}
	snprintf(w->path + l->path_len, sizeof(w->path) - l->path_len, "[%zu]", l->n_entries++);
	return line;
}

static int open_container(struct walk *w, const yaml_event_t *event, struct err *err)
{
	bool is_mapping = event->type == YAML_MAPPING_START_EVENT;
	size_t line = event->start_mark.line + 1;

	if (w->depth > 0 && w->level[w->depth - 1].is_mapping && !w->level[w->depth - 1].have_key)
		return err_set(err, EINVAL, "%s:%zu: a key must be a word", w->file, line);
	if (w->depth == DEPTH_MAX)
		return err_set(err, EINVAL, "%s:%zu: nested more than %d deep", w->file, line, DEPTH_MAX);
	line = begin_value(w, event);
	if (add_place(w, is_mapping ? YAML_KIND_MAPPING : YAML_KIND_SEQUENCE, NULL, line, err) < 0)
		return -ENOMEM;
	w->level[w->depth++] = (struct level){.is_mapping = is_mapping, .path_len = strlen(w->path)};
	return 0;
}

static int on_event(struct walk *w, const yaml_event_t *event, struct err *err)
{
	struct level *l = w->depth > 0 ? &w->level[w->depth - 1] : NULL;

	switch (event->type) {
	case YAML_DOCUMENT_START_EVENT:
		if (w->n_documents++ > 0)
			return err_set(err, EINVAL, "%s:%zu: a second document", w->file, event->start_mark.line + 1);
		return 0;
	case YAML_ALIAS_EVENT:
		return err_set(err, EINVAL, "%s:%zu: aliases (*name) are not used here", w->file,
			       event->start_mark.line + 1);
	case YAML_SCALAR_EVENT:
		if (memchr(event->data.scalar.value, '\0', event->data.scalar.length) != NULL)
			return err_set(err, EINVAL, "%s:%zu: a zero byte in a value", w->file,
				       event->start_mark.line + 1);
		if (l != NULL && l->is_mapping && !l->have_key)
			return take_key(w, l, event, err);
		return add_place(w, YAML_KIND_SCALAR, (const char *)event->data.scalar.value, begin_value(w, event),
				 err);
	case YAML_MAPPING_START_EVENT:
	case YAML_SEQUENCE_START_EVENT:
		return open_container(w, event, err);
	case YAML_MAPPING_END_EVENT:
	case YAML_SEQUENCE_END_EVENT:
		w->path[l->path_len] = '\0';
		w->depth--;
		return 0;
	default:
		return 0;
	}
}
