// SPDX-License-Identifier: Apache-2.0
#include "queues.h"

#include <stdlib.h>
#include <string.h>

#include "show_table.h"

#define CELLS 6 // beside the name

struct line {
	char *name;
	unsigned int columns; // that the name takes on a terminal
	char cell[CELLS][32];
};

struct lines {
	const struct draw *d;
	const json_t *items;
	struct line *line;
	size_t n, max;
};

static const char *const tree_heads[] = {"SHARE, REQUEST", "PROMISED", "RECEIVED", "WAITING",
					 "DELAY 50, 99%",  "LOST",     "MARKED"};
static const char *const port_heads[] = {"PORT", "RATE", "RECEIVED", "WAITING", "QUEUES", "LOST", "BEHIND"};

// 3 digits, a prefix and the unit: 88.4 Mbit/s.
static void scaled(char *buf, size_t size, double value, const char *unit)
{
	static const char *const prefix[] = {"", "k", "M", "G", "T", "P", "E"};
	int i = 0;

	for (; value >= 999.5 && i < 6; i++)
		value /= 1000;
	snprintf(buf, size, "%.3g %s%s", value, prefix[i], unit);
}

static double member(const json_t *item, const char *name)
{
	return (double)json_integer_value(json_object_get(item, name));
}

static void rate_cell(char *buf, size_t size, const json_t *item, const char *name)
{
	const json_t *value = json_object_get(item, name);

	if (json_is_integer(value))
		scaled(buf, size, (double)json_integer_value(value), "bit/s");
	else
		snprintf(buf, size, "-");
}

static void delay_cell(char *buf, size_t size, const json_t *item)
{
	double half = member(item, "delay_p50_us"), most = member(item, "delay_p99_us");

	if (most <= 0)
		snprintf(buf, size, "-");
	else if (most < 10000)
		snprintf(buf, size, "%.0f, %.0f us", half, most);
	else
		snprintf(buf, size, "%.3g, %.3g ms", half / 1e3, most / 1e3);
}

static struct line *line_add(struct lines *l, const char *indent, const char *branch, const char *name)
{
	struct line *line = &l->line[l->n];

	if (l->n == l->max || asprintf(&line->name, "%s%s%s", indent, branch, name) < 0)
		return NULL;
	for (const char *c = line->name; *c != '\0'; c++)
		line->columns += (*c & 0xc0) != 0x80; // not the later bytes of a sign
	l->n++;
	return line;
}

static void common_cells(struct line *line, const json_t *item)
{
	static const char *const counts[] = {"dropped", "marked"};
	const size_t size = sizeof(line->cell[0]);

	rate_cell(line->cell[1], size, item, "received");
	snprintf(line->cell[2], size, "-"); // what has no rate has no queue of its own
	if (json_object_get(item, "backlog_bytes") != NULL)
		scaled(line->cell[2], size, member(item, "backlog_bytes"), "B");
	delay_cell(line->cell[3], size, item);
	for (int i = 0; i < 2; i++) {
		snprintf(line->cell[4 + i], size, "-");
		if (json_object_get(item, counts[i]) != NULL)
			snprintf(line->cell[4 + i], size, "%.0f", member(item, counts[i]));
	}
}

static void put_request(struct lines *l, const json_t *item, const char *indent, const char *branch)
{
	bool is_limit = strcmp(show_member(item, "verb"), "ratelimit") == 0;
	struct line *line;
	char name[80], rate[28];

	snprintf(name, sizeof(name), "%" JSON_INTEGER_FORMAT " %s%s",
		 json_integer_value(json_object_get(item, "request")), show_member(item, "verb"),
		 json_is_true(json_object_get(item, "background")) ? ", background" : "");
	line = line_add(l, indent, branch, name);
	if (line == NULL)
		return;
	common_cells(line, item);
	rate_cell(rate, sizeof(rate), item, "rate");
	if (json_is_true(json_object_get(item, "suspended")))
		snprintf(line->cell[0], sizeof(line->cell[0]), "suspended");
	else
		snprintf(line->cell[0], sizeof(line->cell[0]), "%s%s", is_limit ? "<= " : "", rate);
}

static void put_share(struct lines *l, const json_t *item, const char *indent, const char *branch)
{
	json_int_t weight = json_integer_value(json_object_get(item, "weight"));
	struct line *line;
	char name[192];

	snprintf(name, sizeof(name), "%s", show_member(item, "share"));
	if (weight != 1)
		snprintf(name, sizeof(name), "%s (weight %" JSON_INTEGER_FORMAT ")", show_member(item, "share"),
			 weight);
	line = line_add(l, indent, branch, name);
	if (line == NULL)
		return;
	common_cells(line, item);
	rate_cell(line->cell[0], sizeof(line->cell[0]), item, "promised");
}

static bool is_request(const json_t *item)
{
	return json_object_get(item, "request") != NULL;
}

static bool is_share(const json_t *item)
{
	return json_object_get(item, "share") != NULL && json_object_get(item, "parent") != NULL;
}

// What stands directly in a share: its requests, then the shares below.
static bool is_child(const json_t *item, const char *share)
{
	return strcmp(show_member(item, is_request(item) ? "share" : "parent"), share) == 0 &&
	       (is_request(item) || is_share(item));
}

static void put_children(struct lines *l, const char *share, const char *indent)
{
	bool utf8 = l->d->utf8;
	const json_t *item, *last = NULL;
	size_t i;

	json_array_foreach(l->items, i, item)
	{
		if (is_child(item, share))
			last = item;
	}
	json_array_foreach(l->items, i, item)
	{
		const char *branch = item == last ? (utf8 ? "└─ " : "`- ") : (utf8 ? "├─ " : "|- ");
		char *deeper = NULL;

		if (!is_child(item, share) || l->n == l->max)
			continue;
		if (is_request(item)) {
			put_request(l, item, indent, branch);
			continue;
		}
		put_share(l, item, indent, branch);
		if (asprintf(&deeper, "%s%s", indent, item == last ? "   " : (utf8 ? "│  " : "|  ")) < 0)
			return;
		put_children(l, show_member(item, "share"), deeper);
		free(deeper);
	}
}

static void put_ports(struct lines *l)
{
	const json_t *item;
	size_t i;

	json_array_foreach(l->items, i, item)
	{
		struct line *line = is_share(item) || is_request(item) || json_object_get(item, "queues") == NULL
					    ? NULL
					    : line_add(l, "", "", show_member(item, "port"));

		if (line == NULL)
			continue;
		common_cells(line, item);
		rate_cell(line->cell[0], sizeof(line->cell[0]), item, "rate");
		snprintf(line->cell[3], sizeof(line->cell[3]), "%.0f", member(item, "queues"));
		snprintf(line->cell[5], sizeof(line->cell[5]), "%.3g ms", member(item, "late_us") / 1e3);
	}
}

// The queues that other switches have been given, one for each request and port.
static void print_switch_queues(const json_t *items, FILE *out)
{
	static const char *const names[] = {"SWITCH", "PORT", "QUEUE", "REQUEST", "OWNER", "RATE", "KEPT"};
	struct table t = {0};
	const json_t *item;
	char text[64], rate[48];
	size_t i, n = 0;

	table_heads(&t, 7, names);
	json_array_foreach(items, i, item)
	{
		const json_t *max = json_object_get(item, "max_rate");

		if (json_object_get(item, "switch") == NULL)
			continue;
		n++;
		table_cell(&t, show_member(item, "switch"));
		table_cell(&t, show_member(item, "port"));
		snprintf(text, sizeof(text), "%.0f", member(item, "queue"));
		table_cell(&t, text);
		snprintf(text, sizeof(text), "%.0f", member(item, "request"));
		table_cell(&t, text);
		table_cell(&t, show_member(item, "owner")[0] != '\0' ? show_member(item, "owner") : "-");
		rate_cell(rate, sizeof(rate), item, max != NULL ? "max_rate" : "min_rate");
		snprintf(text, sizeof(text), "%s %s", max != NULL ? "<=" : ">=", rate);
		table_cell(&t, text);
		table_cell(&t,
			   json_is_true(json_object_get(item, "ignored")) ? "no: its datapath ignores queues" : "yes");
	}
	if (n > 0)
		fputc('\n', out);
	if (n > 0)
		table_print(&t, out);
	else
		table_free(&t);
}

static void print_lines(struct lines *l, const char *const *heads)
{
	unsigned int name = (unsigned int)strlen(heads[0]), width[CELLS];
	FILE *out = l->d->out;

	for (int c = 0; c < CELLS; c++)
		width[c] = (unsigned int)strlen(heads[c + 1]);
	for (size_t i = 0; i < l->n; i++) {
		name = l->line[i].columns > name ? l->line[i].columns : name;
		for (int c = 0; c < CELLS; c++) {
			unsigned int len = (unsigned int)strlen(l->line[i].cell[c]);

			width[c] = len > width[c] ? len : width[c];
		}
	}
	fprintf(out, "%-*s", (int)name, heads[0]);
	for (int c = 0; c < CELLS; c++)
		fprintf(out, "  %*s", (int)width[c], heads[c + 1]);
	fputc('\n', out);
	for (size_t i = 0; i < l->n; i++) {
		fprintf(out, "%s%*s", l->line[i].name, (int)(name - l->line[i].columns), "");
		for (int c = 0; c < CELLS; c++)
			fprintf(out, "  %*s", (int)width[c], l->line[i].cell[c]);
		fputc('\n', out);
		free(l->line[i].name);
	}
	l->n = 0;
	memset(l->line, 0, l->max * sizeof(*l->line));
}

void queues_draw(const struct draw *d, const json_t *items)
{
	struct lines l = {.d = d, .items = items, .max = json_array_size(items) + 1};
	const json_t *item;
	size_t i;

	l.line = calloc(l.max, sizeof(*l.line));
	if (l.line == NULL || json_array_size(items) == 0) {
		fprintf(d->out, "none\n");
		free(l.line);
		return;
	}
	json_array_foreach(items, i, item)
	{
		if (!is_share(item) || !json_is_null(json_object_get(item, "parent")))
			continue;
		put_share(&l, item, "", "");
		put_children(&l, show_member(item, "share"), "");
	}
	print_lines(&l, tree_heads);
	put_ports(&l);
	if (l.n > 0)
		fputc('\n', d->out);
	if (l.n > 0)
		print_lines(&l, port_heads);
	print_switch_queues(items, d->out);
	free(l.line);
}
