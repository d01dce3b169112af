// SPDX-License-Identifier: Apache-2.0
#include "show_table.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

void table_cell(struct table *t, const char *text)
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

// Cells [from, n_columns) of the row whose first cell is the given one say nothing.
static bool rest_is_empty(const struct table *t, size_t row, size_t from)
{
	while (from < t->n_columns && t->cells[row + from][0] == '\0')
		from++;
	return from == t->n_columns;
}

void table_print(struct table *t, FILE *out)
{
	size_t width[COLUMNS_MAX] = {0};

	for (size_t i = 0; i < t->n_cells && !t->failed; i++) {
		size_t len = strlen(t->cells[i]);

		if (len > width[i % t->n_columns])
			width[i % t->n_columns] = len;
	}
	for (size_t row = 0; row < t->n_cells && !t->failed; row += t->n_columns) {
		for (size_t c = 0; !rest_is_empty(t, row, c); c++) {
			bool last = rest_is_empty(t, row, c + 1);

			fprintf(out, "%-*s%s", last ? 0 : (int)width[c], t->cells[row + c], last ? "" : "  ");
		}
		fputc('\n', out);
	}
	if (t->failed)
		fprintf(out, "out of memory\n");
	table_free(t);
}

void table_free(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i]);
	free(t->cells);
	memset(t, 0, sizeof(*t));
}

void table_heads(struct table *t, size_t n, const char *const *names)
{
	t->n_columns = n;
	for (size_t i = 0; i < n; i++)
		table_cell(t, names[i]);
}

// Decimal seconds since the epoch -> 2026-11-20T10:00:00Z, with the fraction if there is one.
void show_time(const json_t *value, char *buf, size_t size)
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

void show_quantity(const json_t *value, const char *unit, char *buf, size_t size)
{
	static const struct {
		json_int_t factor;
		const char *prefix;
	} units[] = {{1000000000000000000, "E"}, {1000000000000000, "P"}, {1000000000000, "T"},
		     {1000000000, "G"},          {1000000, "M"},          {1000, "k"}};
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

const char *show_member(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text != NULL ? text : "";
}
