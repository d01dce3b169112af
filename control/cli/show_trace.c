// SPDX-License-Identifier: Apache-2.0
#include "show_trace.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "show.h"
#include "show_table.h"

// A field's name and what compares it: a test begins here.
static bool begins_test(const char *c)
{
	if (!isalpha((unsigned char)*c))
		return false;
	while (isalpha((unsigned char)*c))
		c++;
	c += strspn(c, " \t");
	return *c == '=' || *c == '<' || *c == '>';
}

// Between tests that only blanks divide comes a comma.
static void put_tests(const char *text, FILE *out)
{
	char last = '\0';

	for (const char *c = text; *c != '\0'; c++) {
		bool blank = *c == ' ' || *c == '\t';

		if (!blank && c > text && (c[-1] == ' ' || c[-1] == '\t') && last != '\0' &&
		    strchr(",{=<>!", last) == NULL && begins_test(c))
			fputs(", ", out);
		if (!blank) {
			fputc(*c, out);
			last = *c;
		} else if (last != '\0' && !begins_test(c + strspn(c, " \t"))) {
			fputc(' ', out);
		}
	}
}

char *trace_statement(char **tests, int n_tests)
{
	char *text = NULL, *joined = NULL, *from;
	size_t len;
	FILE *f = open_memstream(&joined, &len);

	if (f == NULL)
		return NULL;
	for (int i = 0; i < n_tests; i++)
		fprintf(f, "%s%s", i == 0 ? "" : " ", tests[i]);
	if (fclose(f) != 0)
		return NULL;
	from = joined + strspn(joined, " \t");
	len = strlen(from);
	while (len > 0 && strchr(" \t.", from[len - 1]) != NULL)
		from[--len] = '\0';
	if (len > 1 && from[0] == '(' && from[len - 1] == ')') {
		from[len - 1] = '\0';
		from++;
	}
	f = open_memstream(&text, &len);
	if (f != NULL) {
		fputs("trace(", f);
		put_tests(from, f);
		fputs(").", f);
		fclose(f);
	}
	free(joined);
	return text;
}

static void show_queue(const json_t *queue, FILE *out)
{
	const json_t *class = json_object_get(queue, "class");
	const char *port = show_member(queue, "port");

	if (port[0] == '\0')
		fprintf(out, "    its port is not known: the destination was not seen yet, or you may not see hosts\n");
	else if (json_is_integer(class) && json_integer_value(class) == 0)
		fprintf(out, "    queue: best effort at port %s\n", port);
	else if (json_is_integer(class))
		fprintf(out, "    queue: class %" JSON_INTEGER_FORMAT " at port %s\n", json_integer_value(class), port);
	else
		fprintf(out, "    queue: none at port %s yet, the next such packet makes one\n", port);
}

void show_trace(const json_t *dataplane, FILE *out)
{
	static const char *const names[] = {"ROW", "REQUEST", "SHARE", "PART", "ACCESS", "FOUND IN"};
	static const char *const members[] = {"key", "request", "share", "part", "access", "layer"};
	const json_t *rows = json_object_get(dataplane, "rows"), *queue = json_object_get(dataplane, "queue"), *row;
	struct table t = {0};
	size_t i;

	if (dataplane == NULL)
		return;
	fprintf(out, "dataplane: %s%s\n", show_member(dataplane, "action"),
		json_is_true(json_object_get(dataplane, "agrees"))     ? ", as explained"
		: json_is_false(json_object_get(dataplane, "settled")) ? "; not as explained: a change is on its way"
								       : "; NOT AS EXPLAINED");
	if (queue != NULL)
		show_queue(queue, out);
	if (json_array_size(rows) == 0)
		return;
	table_heads(&t, sizeof(names) / sizeof(names[0]), names);
	json_array_foreach(rows, i, row)
	{
		for (size_t n = 0; n < sizeof(members) / sizeof(members[0]); n++) {
			const json_t *value = json_object_get(row, members[n]);
			char text[32];

			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(value));
			table_cell(&t, json_is_integer(value)  ? text
				       : json_is_string(value) ? json_string_value(value)
							       : "-");
		}
	}
	table_print(&t, out);
}
