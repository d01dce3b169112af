// SPDX-License-Identifier: Apache-2.0
#include "show.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

#include "queues.h"
#include "show_query.h"
#include "show_table.h"
#include "show_trace.h"
#include "show_verify.h"

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

		show_time(json_object_get(g, "start"), start, sizeof(start));
		show_time(json_object_get(g, "end"), end, sizeof(end));
		fprintf(out, "    %s from %s to %s\n", show_member(g, "group"), start, end);
	}
}

static void show_accepted(const json_t *answer, FILE *out)
{
	const json_t *id = json_object_get(answer, "id"), *granted = json_object_get(answer, "granted");
	char start[64], end[64], rate[64];

	fprintf(out, "accepted");
	if (json_is_integer(json_object_get(answer, "round")))
		fprintf(out,
			", round %" JSON_INTEGER_FORMAT " of checks is under way: verify %" JSON_INTEGER_FORMAT
			". tells what it has found",
			json_integer_value(json_object_get(answer, "round")),
			json_integer_value(json_object_get(answer, "round")));
	if (id != NULL)
		fprintf(out, ", request %" JSON_INTEGER_FORMAT, json_integer_value(id));
	if (json_object_get(answer, "start") != NULL) {
		show_time(json_object_get(answer, "start"), start, sizeof(start));
		show_time(json_object_get(answer, "end"), end, sizeof(end));
		fprintf(out, " (from %s to %s)", start, end);
	}
	if (json_is_true(json_object_get(answer, "realised"))) {
		if (json_is_integer(json_object_get(answer, "rate"))) {
			show_quantity(json_object_get(answer, "rate"), "bit/s", rate, sizeof(rate));
			fprintf(out, ", %s reserved for it while nobody else asks", rate);
		}
		if (json_is_true(json_object_get(answer, "background")))
			fprintf(out, ", gets %sbandwidth that nobody else wants",
				json_object_get(answer, "rate") == NULL ? "only " : "beside it ");
	} else if (json_is_false(json_object_get(answer, "realised"))) {
		fprintf(out, ", kept as a hint: %s", show_member(answer, "why_not"));
	}
	if (granted != NULL) {
		show_quantity(granted, "bit/s", rate, sizeof(rate));
		fprintf(out, ", %s granted", rate);
	}
	fputc('\n', out);
	show_groups("not in force:", json_object_get(answer, "not_in_force"), out);
	if (json_is_string(json_object_get(answer, "note")))
		fprintf(out, "  note: %s\n", show_member(answer, "note"));
}

static void show_refused(const json_t *answer, FILE *out)
{
	const json_t *earliest = json_object_get(answer, "earliest"), *c;
	size_t i;
	char at[64];

	fprintf(out, "refused (%s): %s\n", show_member(answer, "code"), show_member(answer, "why"));
	if (json_is_string(earliest)) {
		show_time(earliest, at, sizeof(at));
		fprintf(out, "  accepted if it starts at %s\n", at);
	}
	json_array_foreach(json_object_get(answer, "conflicts"), i, c)
	{
		char head[160];

		snprintf(head, sizeof(head), "decided by request %" JSON_INTEGER_FORMAT " on share %.80s:",
			 json_integer_value(json_object_get(c, "request")), show_member(c, "share"));
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

	table_heads(&t, 3, names);
	json_array_foreach(items, i, item)
	{
		show_time(json_object_get(item, "at"), text, sizeof(text));
		table_cell(&t, text);
		show_quantity(json_object_get(item, "bandwidth"), "bit/s", text, sizeof(text));
		table_cell(&t, text);
		show_quantity(json_object_get(item, "tokens"), "bit", text, sizeof(text));
		table_cell(&t, text);
	}
	table_print(&t, out);
}

static void show_requests(const json_t *requests, FILE *out)
{
	static const char *const names[] = {"REQUEST", "VERB", "SHARE", "RATE", "FROM", "TO", "STATE", "FLOWS"};
	struct table t = {0};
	const json_t *r, *g;
	size_t i, n;

	table_heads(&t, 8, names);
	json_array_foreach(requests, i, r)
	{
		char text[64], state[256], *flows = NULL;
		size_t len;
		FILE *f = open_memstream(&flows, &len);

		snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(json_object_get(r, "id")));
		table_cell(&t, text);
		table_cell(&t, show_member(r, "verb"));
		table_cell(&t, show_member(r, "share"));
		show_quantity(json_object_get(r, "rate"), "bit/s", text, sizeof(text));
		table_cell(&t, text);
		show_time(json_object_get(r, "start"), text, sizeof(text));
		table_cell(&t, text);
		show_time(json_object_get(r, "end"), text, sizeof(text));
		table_cell(&t, text);
		snprintf(state, sizeof(state), "%s%s%s", show_member(r, "state"),
			 show_member(r, "why")[0] != '\0' ? ": " : "", show_member(r, "why"));
		table_cell(&t, state);
		json_array_foreach(json_object_get(r, "groups"), n, g)
		{
			if (f != NULL)
				fprintf(f, "%s%s", n > 0 ? " " : "", json_string_value(g));
		}
		if (f != NULL)
			fclose(f);
		table_cell(&t, flows != NULL ? flows : "");
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
	table_cell(t, text);
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

	table_heads(&t, 9, names);
	json_array_foreach(items, i, port)
	{
		const json_t *counters = json_object_get(port, "counters");
		bool local = json_object_get(port, "switch") == NULL;

		table_cell(&t, show_member(port, local ? "name" : "port"));
		snprintf(text, sizeof(text), "openflow:%s", show_member(port, "switch"));
		table_cell(&t, local ? show_member(port, "device") : text);
		table_cell(&t, json_is_true(json_object_get(port, "up")) ? "up" : "down");
		show_quantity(json_object_get(port, "rate"), "bit/s", text, sizeof(text));
		table_cell(&t, text);
		for (size_t c = 0; c < sizeof(columns) / sizeof(columns[0]); c++) {
			const json_t *counter = json_object_get(counters, columns[c]);

			snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT, json_integer_value(counter));
			table_cell(&t, json_is_integer(counter) ? text : "-"); // those of other switches are not known
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
		fprintf(out, "%s.\n    %s\n", show_member(item, "syntax"), show_member(item, "help"));
		if (json_array_size(items) == 1)
			fprintf(out, "    for example: %s\n", show_member(item, "example"));
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

static void show_queues(const json_t *items, FILE *out)
{
	struct draw d = {.utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0, .out = out};

	queues_draw(&d, items);
}

// What the items are is told by the members of the first.
static void show_items(const json_t *answer, const json_t *items, FILE *out)
{
	const json_t *first = json_array_get(items, 0), *time = json_object_get(answer, "time");
	char text[64];

	if (time != NULL) {
		show_time(time, text, sizeof(text));
		fprintf(out, "%s (%s)\n", text, json_string_value(time));
	} else if (json_object_get(answer, "packet") != NULL) {
		show_explanation(answer, out);
		show_trace(json_object_get(answer, "dataplane"), out);
	} else if (json_is_boolean(json_object_get(answer, "exact"))) {
		show_traffic(answer, out);
	} else if (json_object_get(answer, "findings") != NULL) {
		show_verdict(answer, out);
	} else if (first == NULL) {
		fprintf(out, "none\n");
	} else if (json_is_array(json_object_get(answer, "requests"))) {
		show_requests(json_object_get(answer, "requests"), out);
	} else if (json_object_get(first, "bandwidth") != NULL) {
		show_schedule(items, out);
	} else if (json_object_get(first, "device") != NULL || json_object_get(first, "behind") != NULL) {
		show_ports(items, out);
	} else if (json_object_get(first, "queues") != NULL || json_object_get(first, "request") != NULL ||
		   json_object_get(first, "queue") != NULL) {
		show_queues(items, out);
	} else if (json_object_get(first, "syntax") != NULL) {
		show_help(items, out);
	} else if (json_is_object(first)) {
		show_objects(items, out);
	} else {
		show_plain(items, out);
	}
}

void show_event(const json_t *event, FILE *out)
{
	const char *what = show_member(event, "event");
	const json_t *by = json_object_get(event, "by");
	char at[64];

	if (strcmp(what, "lost") == 0) {
		fprintf(out, "event: %" JSON_INTEGER_FORMAT " events were lost\n",
			json_integer_value(json_object_get(event, "n")));
		return;
	}
	if (json_object_get(event, "id") == NULL) {
		fprintf(out, "event: %s%s%s\n", what, show_member(event, "why")[0] != '\0' ? ": " : "",
			show_member(event, "why"));
		return;
	}
	show_time(json_object_get(event, "at"), at, sizeof(at));
	fprintf(out, "event: request %" JSON_INTEGER_FORMAT " (%s on %s) %s at %s",
		json_integer_value(json_object_get(event, "id")), show_member(event, "verb"),
		show_member(event, "share"), what, at);
	if (by != NULL)
		fprintf(out, " by request %" JSON_INTEGER_FORMAT, json_integer_value(by));
	if (json_object_get(event, "port") != NULL)
		fprintf(out, " at port %s", show_member(event, "port"));
	if (json_object_get(event, "received") != NULL) {
		show_quantity(json_object_get(event, "received"), "bit/s", at, sizeof(at));
		fprintf(out, " (%s", at);
		show_quantity(json_object_get(event, "rate"), "bit/s", at, sizeof(at));
		fprintf(out, " of %s)", at);
	}
	if (json_object_get(event, "why") != NULL)
		fprintf(out, ": %s", show_member(event, "why"));
	fputc('\n', out);
	show_groups(strcmp(what, "restored") == 0 ? "decided by it again:" : "no longer decided by it:",
		    json_object_get(event, "groups"), out);
}
