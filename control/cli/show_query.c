// SPDX-License-Identifier: Apache-2.0
#include "show_query.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "show_table.h"

static bool is_one_of(const char *name, const char *const *names)
{
	for (; *names != NULL; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

// A value as its name tells: times and rates as people read them.
static void value_text(const char *name, const json_t *value, char *buf, size_t size)
{
	static const char *const rates[] = {"rate", "received", "promised", NULL};
	static const char *const times[] = {"seen", "at", "from", "to", "start", "end", NULL};
	char *text;

	if (value == NULL || json_is_null(value)) {
		snprintf(buf, size, "-");
	} else if (is_one_of(name, rates)) {
		show_quantity(value, "bit/s", buf, size);
	} else if (json_is_string(value) && is_one_of(name, times)) {
		show_time(value, buf, size);
	} else if (json_is_string(value)) {
		snprintf(buf, size, "%s", json_string_value(value));
	} else if (json_is_boolean(value)) {
		snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
	} else if (json_is_object(value) && json_object_get(value, "switch") != NULL) { // a port of another switch
		snprintf(buf, size, "%s %s", show_member(value, "switch"), show_member(value, "port"));
	} else {
		text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
		snprintf(buf, size, "%s", text != NULL ? text : "");
		free(text);
	}
}

// Of one kind are items whose first member is the same.
static const char *kind_of(const json_t *item)
{
	void *first = json_object_iter((json_t *)item);

	return first == NULL ? "" : json_object_iter_key(first);
}

// The names of all members that items [from, to) have, in the order met. Their number, at most COLUMNS_MAX.
static size_t member_names(const json_t *items, size_t from, size_t to, const char *names[COLUMNS_MAX])
{
	const char *name;
	json_t *value;
	size_t n = 0, k;

	for (size_t i = from; i < to; i++) {
		json_object_foreach(json_array_get(items, i), name, value)
		{
			for (k = 0; k < n && strcmp(names[k], name) != 0; k++)
				;
			if (k == n && n < COLUMNS_MAX)
				names[n++] = name;
		}
	}
	return n;
}

static void member_heads(struct table *t, const char *const names[COLUMNS_MAX], size_t n)
{
	char upper[COLUMNS_MAX][32];
	const char *heads[COLUMNS_MAX];

	for (size_t i = 0; i < n; i++) {
		snprintf(upper[i], sizeof(upper[i]), "%s", names[i]);
		for (char *c = upper[i]; *c != '\0'; c++)
			*c = *c == '_' ? '-' : (char)toupper((unsigned char)*c);
		heads[i] = upper[i];
	}
	table_heads(t, n, heads);
}

// Items of one kind are one table: a member that one of them has not is a dash there.
void show_objects(const json_t *items, FILE *out)
{
	size_t n_items = json_array_size(items), to;

	for (size_t from = 0; from < n_items; from = to) {
		const char *kind = kind_of(json_array_get(items, from)), *names[COLUMNS_MAX];
		struct table t = {0};
		size_t n;

		for (to = from + 1; to < n_items && strcmp(kind_of(json_array_get(items, to)), kind) == 0; to++)
			;
		n = member_names(items, from, to, names);
		member_heads(&t, names, n);
		for (size_t i = from; i < to; i++) {
			for (size_t k = 0; k < n; k++) {
				char text[512];

				value_text(names[k], json_object_get(json_array_get(items, i), names[k]), text,
					   sizeof(text));
				table_cell(&t, text);
			}
		}
		if (from > 0)
			fputc('\n', out);
		table_print(&t, out);
	}
}

void show_traffic(const json_t *answer, FILE *out)
{
	static const char *const names[] = {"REQUEST", "VERB", "SHARE", "PACKETS", "BYTES", "COUNTED"};
	static const char *const numbers[] = {"packets", "bytes"};
	const json_t *r, *requests = json_object_get(answer, "requests");
	struct table t = {0};
	char from[64], to[64];
	size_t i;

	show_time(json_object_get(answer, "from"), from, sizeof(from));
	show_time(json_object_get(answer, "to"), to, sizeof(to));
	fprintf(out, "%s%" JSON_INTEGER_FORMAT " packets, %" JSON_INTEGER_FORMAT " bytes from %s to %s\n",
		json_is_true(json_object_get(answer, "exact")) ? "" : "at least ",
		json_integer_value(json_object_get(answer, "packets")),
		json_integer_value(json_object_get(answer, "bytes")), from, to);
	if (json_array_size(requests) == 0)
		return;
	table_heads(&t, 6, names);
	json_array_foreach(requests, i, r)
	{
		char text[32];

		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(json_object_get(r, "request")));
		table_cell(&t, text);
		table_cell(&t, show_member(r, "verb"));
		table_cell(&t, show_member(r, "share"));
		for (size_t n = 0; n < 2; n++) {
			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
				 json_integer_value(json_object_get(r, numbers[n])));
			table_cell(&t, text);
		}
		// Packets of two requests would be in the sum twice, and those of a wider request are not all meant.
		table_cell(&t, json_is_true(json_object_get(r, "added"))     ? "in the sum"
			       : json_is_false(json_object_get(r, "inside")) ? "no: has other packets too"
									     : "no: shares packets with another");
	}
	table_print(&t, out);
}

// ", reservations 1 2"
static void put_numbers(const char *what, const json_t *numbers, FILE *out)
{
	const json_t *n;
	size_t i;

	if (json_array_size(numbers) > 0)
		fprintf(out, ", %s", what);
	json_array_foreach(numbers, i, n)
	{
		fprintf(out, " %" JSON_INTEGER_FORMAT, json_integer_value(n));
	}
}

static void put_background(const json_t *object, FILE *out)
{
	if (json_is_true(json_object_get(object, "background")))
		fprintf(out, ", background");
}

// allow by request 1, reservations 1
static void put_step(const json_t *step, FILE *out)
{
	const json_t *by = json_object_get(step, "by"), *waypoint = json_object_get(step, "waypoint");
	const char *access = show_member(step, "access");

	fprintf(out, "%s", strcmp(access, "none") == 0 ? "nothing" : access);
	if (json_is_integer(by))
		fprintf(out, " by request %" JSON_INTEGER_FORMAT, json_integer_value(by));
	put_numbers("reservations", json_object_get(step, "reservations"), out);
	put_numbers("limits", json_object_get(step, "limits"), out);
	put_background(step, out);
	if (json_is_integer(waypoint))
		fprintf(out, ", path of request %" JSON_INTEGER_FORMAT, json_integer_value(waypoint));
}

static void show_atom(const json_t *atom, int indent, FILE *out)
{
	const json_t *rate = json_object_get(atom, "rate"), *row = json_object_get(atom, "row");
	char text[64];

	fprintf(out, "%*srequest %" JSON_INTEGER_FORMAT " %s", indent, "",
		json_integer_value(json_object_get(atom, "request")), show_member(atom, "verb"));
	if (rate != NULL) {
		show_quantity(rate, "bit/s", text, sizeof(text));
		fprintf(out, " %s", text);
	}
	fprintf(out, " (access %s)%s", show_member(atom, "access"),
		json_is_true(json_object_get(atom, "suspended")) ? ", suspended" : "");
	put_background(atom, out);
	if (json_is_object(row))
		fprintf(out, ", row %s %s", show_member(row, "key"), show_member(row, "group"));
	fputc('\n', out);
}

static int depth_of(const json_t *nodes, const json_t *node)
{
	const char *parent = json_string_value(json_object_get(node, "parent"));
	const json_t *other;
	size_t i;

	json_array_foreach(nodes, i, other)
	{
		if (parent != NULL && other != node && strcmp(show_member(other, "share"), parent) == 0)
			return 1 + depth_of(nodes, other);
	}
	return 0;
}

// What the packet is that the answer is about: the description may fit many. Zeros that say nothing are left out.
static void put_packet(const json_t *packet, FILE *out)
{
	const char *name, *text;
	json_t *value;

	fprintf(out, "packet:");
	json_object_foreach((json_t *)packet, name, value)
	{
		text = json_string_value(value);
		if (text != NULL && strcmp(text, "00:00:00:00:00:00") != 0)
			fprintf(out, " %s=%s", name, text);
		else if (text == NULL && (json_integer_value(value) != 0 || strcmp(name, "vlan") != 0))
			fprintf(out, " %s=%" JSON_INTEGER_FORMAT, name, json_integer_value(value));
	}
	fputc('\n', out);
}

void show_explanation(const json_t *answer, FILE *out)
{
	const json_t *nodes = json_object_get(answer, "items"), *node, *atom, *by = json_object_get(answer, "by");
	const json_t *queue = json_object_get(answer, "queue");
	char at[64];
	size_t i, k;

	show_time(json_object_get(answer, "at"), at, sizeof(at));
	fprintf(out, "%s at %s: ", show_member(answer, "action"), at);
	if (json_is_integer(by))
		fprintf(out, "request %" JSON_INTEGER_FORMAT " decides (%s)", json_integer_value(by),
			show_member(answer, "access"));
	else
		fprintf(out, "access %s", show_member(answer, "access"));
	put_numbers("reservations", json_object_get(queue, "reservations"), out);
	put_numbers("limits", json_object_get(queue, "limits"), out);
	put_background(queue, out);
	fputc('\n', out);
	json_array_foreach(json_object_get(answer, "suspended"), i, node)
	{
		fprintf(out, "request %" JSON_INTEGER_FORMAT " is suspended, beside its access: %s\n",
			json_integer_value(json_object_get(node, "request")), show_member(node, "why"));
	}
	put_packet(json_object_get(answer, "packet"), out);
	if (json_is_false(json_object_get(answer, "uniform")))
		fprintf(out, "not all packets of this description go the same way: this is one of them\n");
	if (show_member(answer, "note")[0] != '\0')
		fprintf(out, "note: %s\n", show_member(answer, "note"));
	json_array_foreach(nodes, i, node)
	{
		int indent = 2 * depth_of(nodes, node);

		fprintf(out, "%*s%s: ", indent, "", show_member(node, "share"));
		put_step(json_object_get(node, "result"), out);
		fprintf(out, "; of its own ");
		put_step(json_object_get(node, "own"), out);
		fprintf(out, "; from below ");
		put_step(json_object_get(node, "below"), out);
		fputc('\n', out);
		json_array_foreach(json_object_get(node, "atoms"), k, atom)
		{
			show_atom(atom, indent + 4, out);
		}
	}
}
