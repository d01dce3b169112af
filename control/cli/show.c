// SPDX-License-Identifier: Apache-2.0
#include "show.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define COLUMNS_MAX 12

// A table is built row by row, and its columns made as wide as their widest cell when it is printed.
struct table {
	char **cells;
	size_t n_cells, cap, n_columns;
	bool failed;
};

static void show_accepted(const json_t *answer, FILE *out);
static void show_refused(const json_t *answer, FILE *out);
static void show_items(const json_t *answer, const json_t *items, FILE *out);

void show_answer(const json_t *answer, FILE *out)
{
	const json_t *items = json_object_get(answer, "items");

	if (!json_is_true(json_object_get(answer, "ok")))
		show_refused(answer, out);
	else if (json_is_array(items))
		show_items(answer, items, out);
	else
		show_accepted(answer, out);
}

static void cell(struct table *t, const char *text)
{
	if (t->n_cells == t->cap) {
		size_t cap = t->cap == 0 ? 64 : t->cap * 2;
		char **cells = realloc(t->cells, cap * sizeof(*cells));

		if (cells == NULL) {
			t->failed = true;
			return;
		}
		t->cells = cells;
		t->cap = cap;
	}
	t->cells[t->n_cells] = strdup(text);
	t->failed = t->failed || t->cells[t->n_cells] == NULL;
	t->n_cells++;
}

static void table_print(struct table *t, FILE *out)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->n_cells && !t->failed; i++) {
		size_t len = strlen(t->cells[i]);

		if (len > width[i % t->n_columns])
			width[i % t->n_columns] = len;
	}
	for (size_t i = 0; i < t->n_cells; i++) {
		bool last = i % t->n_columns == t->n_columns - 1;

		if (!t->failed && last)
			fprintf(out, "%s\n", t->cells[i]);
		else if (!t->failed)
			fprintf(out, "%-*s  ", (int)width[i % t->n_columns], t->cells[i]);
		free(t->cells[i]);
	}
	if (t->failed)
		fprintf(out, "out of memory\n");
	free(t->cells);
	memset(t, 0, sizeof(*t));
}

static void heads(struct table *t, size_t n, const char *const *names)
{
	t->n_columns = n;
	for (size_t i = 0; i < n; i++)
		cell(t, names[i]);
}

// Decimal seconds since the epoch -> 2026-11-20T10:00:00Z, with the fraction if there is one.
static void time_text(const json_t *value, char *buf, size_t size)
{
	const char *text = json_string_value(value), *dot;
	char stamp[32];
	time_t seconds;
	struct tm tm;

	if (text == NULL) {
		snprintf(buf, size, "forever");
		return;
	}
	seconds = (time_t)strtoll(text, NULL, 10);
	dot = strchr(text, '.');
	if (gmtime_r(&seconds, &tm) == NULL || strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm) == 0)
		snprintf(buf, size, "%s", text);
	else
		snprintf(buf, size, "%s%sZ", stamp, dot != NULL ? dot : "");
}

static void quantity_text(const json_t *value, const char *unit, char *buf, size_t size)
{
	static const struct {
		json_int_t factor;
		const char *prefix;
	} units[] = {{1000000000, "G"}, {1000000, "M"}, {1000, "k"}};
	json_int_t n = json_integer_value(value);

	if (json_is_string(value)) {
		snprintf(buf, size, "%s", json_string_value(value));
		return;
	}
	if (!json_is_integer(value)) {
		snprintf(buf, size, "-");
		return;
	}
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		if (n >= units[i].factor && n % (units[i].factor / 1000) == 0) {
			snprintf(buf, size, "%.10g %s%s", (double)n / (double)units[i].factor, units[i].prefix, unit);
			return;
		}
	}
	snprintf(buf, size, "%" JSON_INTEGER_FORMAT " %s", n, unit);
}

static const char *text_of(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}

// [{"group", "start", "end"}], one a line.
static void show_groups(const char *head, const json_t *groups, FILE *out)
{
	const json_t *g;
	size_t i;

	if (json_array_size(groups) > 0)
		fprintf(out, "  %s\n", head);
	json_array_foreach(groups, i, g)
	{
		char start[64], end[64];

		time_text(json_object_get(g, "start"), start, sizeof(start));
		time_text(json_object_get(g, "end"), end, sizeof(end));
		fprintf(out, "    %s from %s to %s\n", text_of(g, "group"), start, end);
	}
}

static void show_accepted(const json_t *answer, FILE *out)
{
	const json_t *id = json_object_get(answer, "id"), *granted = json_object_get(answer, "granted");
	char start[64], end[64], rate[64];

	fprintf(out, "accepted");
	if (id != NULL)
		fprintf(out, ", request %" JSON_INTEGER_FORMAT, json_integer_value(id));
	if (json_object_get(answer, "start") != NULL) {
		time_text(json_object_get(answer, "start"), start, sizeof(start));
		time_text(json_object_get(answer, "end"), end, sizeof(end));
		fprintf(out, " (from %s to %s)", start, end);
	}
	if (granted != NULL) {
		quantity_text(granted, "bit/s", rate, sizeof(rate));
		fprintf(out, ", %s granted", rate);
	}
	fputc('\n', out);
	show_groups("not in force:", json_object_get(answer, "not_in_force"), out);
}

static void show_refused(const json_t *answer, FILE *out)
{
	const json_t *earliest = json_object_get(answer, "earliest"), *c;
	size_t i;
	char at[64];

	fprintf(out, "refused (%s): %s\n", text_of(answer, "code"), text_of(answer, "why"));
	if (json_is_string(earliest)) {
		time_text(earliest, at, sizeof(at));
		fprintf(out, "  accepted if it starts at %s\n", at);
	}
	json_array_foreach(json_object_get(answer, "conflicts"), i, c)
	{
		char head[160];

		snprintf(head, sizeof(head), "decided by request %" JSON_INTEGER_FORMAT " on share %.80s:",
			 json_integer_value(json_object_get(c, "request")), text_of(c, "share"));
		show_groups(head, json_object_get(c, "groups"), out);
	}
}

static void show_schedule(const json_t *items, FILE *out)
{
	static const char *const names[] = {"FROM", "FREE", "TOKENS"};
	struct table t = {0};
	const json_t *item;
	char text[64];
	size_t i;

	heads(&t, 3, names);
	json_array_foreach(items, i, item)
	{
		time_text(json_object_get(item, "at"), text, sizeof(text));
		cell(&t, text);
		quantity_text(json_object_get(item, "bandwidth"), "bit/s", text, sizeof(text));
		cell(&t, text);
		quantity_text(json_object_get(item, "tokens"), "bit", text, sizeof(text));
		cell(&t, text);
	}
	table_print(&t, out);
}

static void show_requests(const json_t *requests, FILE *out)
{
	static const char *const names[] = {"REQUEST", "VERB", "SHARE", "RATE", "FROM", "TO", "FLOWS"};
	struct table t = {0};
	const json_t *r, *g;
	size_t i, n;

	heads(&t, 7, names);
	json_array_foreach(requests, i, r)
	{
		char text[64], *flows = NULL;
		size_t len;
		FILE *f = open_memstream(&flows, &len);

		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(r, "id")));
		cell(&t, text);
		cell(&t, text_of(r, "verb"));
		cell(&t, text_of(r, "share"));
		quantity_text(json_object_get(r, "rate"), "bit/s", text, sizeof(text));
		cell(&t, text);
		time_text(json_object_get(r, "start"), text, sizeof(text));
		cell(&t, text);
		time_text(json_object_get(r, "end"), text, sizeof(text));
		cell(&t, text);
		json_array_foreach(json_object_get(r, "groups"), n, g)
		{
			if (f != NULL)
				fprintf(f, "%s%s", n > 0 ? " " : "", json_string_value(g));
		}
		if (f != NULL)
			fclose(f);
		cell(&t, flows != NULL ? flows : "");
		free(flows);
	}
	table_print(&t, out);
}

// The counters that have no column of their own and are not 0.
static void other_counters(const json_t *counters, struct table *t)
{
	static const char *const shown[] = {"rx_packets", "tx_packets", "rx_bytes", "tx_bytes"};
	char text[1024] = "";
	const char *name;
	json_t *value;
	size_t len = 0;

	json_object_foreach((json_t *)counters, name, value)
	{
		bool skip = json_integer_value(value) == 0;

		for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++)
			skip = skip || strcmp(name, shown[i]) == 0;
		if (!skip && len < sizeof(text))
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s=%" JSON_INTEGER_FORMAT,
						len > 0 ? " " : "", name, json_integer_value(value));
	}
	cell(t, text);
}

static void show_ports(const json_t *items, FILE *out)
{
	static const char *const names[] = {"PORT",       "DEVICE",   "STATE",    "RATE", "RX-PACKETS",
					    "TX-PACKETS", "RX-BYTES", "TX-BYTES", "OTHER"};
	static const char *const columns[] = {"rx_packets", "tx_packets", "rx_bytes", "tx_bytes"};
	struct table t = {0};
	const json_t *port;
	char text[64];
	size_t i;

	heads(&t, 9, names);
	json_array_foreach(items, i, port)
	{
		const json_t *counters = json_object_get(port, "counters");
		bool local = json_object_get(port, "switch") == NULL;

		cell(&t, text_of(port, local ? "name" : "port"));
		snprintf(text, sizeof(text), "openflow:%s", text_of(port, "switch"));
		cell(&t, local ? text_of(port, "device") : text);
		cell(&t, json_is_true(json_object_get(port, "up")) ? "up" : "down");
		quantity_text(json_object_get(port, "rate"), "bit/s", text, sizeof(text));
		cell(&t, text);
		for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(json_object_get(counters, columns[c])));
			cell(&t, text);
		}
		other_counters(counters, &t);
	}
	table_print(&t, out);
}

static void show_help(const json_t *items, FILE *out)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		fprintf(out, "%s.\n    %s\n", text_of(item, "syntax"), text_of(item, "help"));
		if (json_array_size(items) == 1)
			fprintf(out, "    for example: %s\n", text_of(item, "example"));
	}
}

static void show_plain(const json_t *items, FILE *out)
{
	const json_t *item;
	size_t i;

	json_array_foreach(items, i, item)
	{
		char *text = json_is_string(item) ? NULL : json_dumps(item, JSON_COMPACT | JSON_ENCODE_ANY);

		fprintf(out, "%s\n", text != NULL ? text : json_string_value(item));
		free(text);
	}
}

// What the items are is told by the members of the first.
static void show_items(const json_t *answer, const json_t *items, FILE *out)
{
	const json_t *first = json_array_get(items, 0), *time = json_object_get(answer, "time");
	char text[64];

	if (time != NULL) {
		time_text(time, text, sizeof(text));
		fprintf(out, "%s (%s)\n", text, json_string_value(time));
	} else if (first == NULL) {
		fprintf(out, "none\n");
	} else if (json_is_array(json_object_get(answer, "requests"))) {
		show_requests(json_object_get(answer, "requests"), out);
	} else if (json_object_get(first, "bandwidth") != NULL) {
		show_schedule(items, out);
	} else if (json_object_get(first, "device") != NULL || json_object_get(first, "behind") != NULL) {
		show_ports(items, out);
	} else if (json_object_get(first, "syntax") != NULL) {
		show_help(items, out);
	} else {
		show_plain(items, out);
	}
}

void show_event(const json_t *event, FILE *out)
{
	const char *what = text_of(event, "event");
	const json_t *by = json_object_get(event, "by");
	char at[64];

	if (json_object_get(event, "id") == NULL) {
		fprintf(out, "event: %" JSON_INTEGER_FORMAT " events were lost\n",
			json_integer_value(json_object_get(event, "n")));
		return;
	}
	time_text(json_object_get(event, "at"), at, sizeof(at));
	fprintf(out, "event: request %" JSON_INTEGER_FORMAT " (%s on %s) %s at %s",
		json_integer_value(json_object_get(event, "id")), text_of(event, "verb"), text_of(event, "share"), what,
		at);
	if (by != NULL)
		fprintf(out, " by request %" JSON_INTEGER_FORMAT, json_integer_value(by));
	if (json_object_get(event, "why") != NULL)
		fprintf(out, ": %s", text_of(event, "why"));
	fputc('\n', out);
	show_groups("no longer decided by it:", json_object_get(event, "groups"), out);
}
