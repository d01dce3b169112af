// SPDX-License-Identifier: Apache-2.0
#include "show_verify.h"

#include <string.h>

#include "show_table.h"

#define SWITCHES_SHOWN 8 // of a part of the network

// null: the dataplane, which is one of the network's switches.
static const char *switch_name(const json_t *name)
{
	return json_is_string(name) ? json_string_value(name) : "this switch";
}

static void put_place(const char *head, const json_t *place, FILE *out)
{
	fprintf(out, "%s%s/%s", head, switch_name(json_object_get(place, "switch")), show_member(place, "port"));
}

static void put_findings(const json_t *answer, FILE *out)
{
	const json_t *f, *hop;
	size_t i, k;

	json_array_foreach(json_object_get(answer, "items"), i, f)
	{
		fprintf(out, "%s: %s\n  packet  %s\n", show_member(f, "finding"), show_member(f, "why"),
			show_member(f, "packet"));
		put_place("  from    ", json_object_get(f, "from"), out);
		put_place("\n  at      ", json_object_get(f, "at"), out);
		fputc('\n', out);
		json_array_foreach(json_object_get(f, "path"), k, hop)
		{
			put_place(k == 0 ? "  way     " : " > ", hop, out);
		}
		fprintf(out, "%s", json_array_size(json_object_get(f, "path")) > 0 ? "\n" : "");
	}
}

static void put_unconnected(const json_t *unconnected, FILE *out)
{
	const json_t *part, *name;
	json_int_t pairs = json_integer_value(json_object_get(unconnected, "pairs"));
	size_t i, k;

	if (pairs == 0)
		return;
	fprintf(out,
		"unconnected: no links join these parts of the network, so nothing passes between their hosts "
		"(%" JSON_INTEGER_FORMAT " pairs of addresses)\n",
		pairs);
	json_array_foreach(json_object_get(unconnected, "parts"), i, part)
	{
		fprintf(out, "  part %zu ", i + 1);
		json_array_foreach(part, k, name)
		{
			if (k < SWITCHES_SHOWN)
				fprintf(out, " %s", switch_name(name));
		}
		if (json_array_size(part) > SWITCHES_SHOWN)
			fprintf(out, " and %zu more", json_array_size(part) - SWITCHES_SHOWN);
		fputc('\n', out);
	}
}

void show_verdict(const json_t *answer, FILE *out)
{
	static const char *const counts[][2] = {{"switches", "switches"},
						{"entries", "entries"},
						{"pairs", "pairs of addresses"},
						{"packets", "packets"}};
	json_int_t n = json_integer_value(json_object_get(answer, "findings"));
	json_int_t sampled = json_integer_value(json_object_get(answer, "sampled_pairs"));

	put_findings(answer, out);
	put_unconnected(json_object_get(answer, "unconnected"), out);
	if (n == 0)
		fprintf(out, "clean: ");
	else
		fprintf(out, "%" JSON_INTEGER_FORMAT " found: ", n);
	for (size_t i = 0; i < 4; i++)
		fprintf(out, "%s%" JSON_INTEGER_FORMAT " %s", i == 0 ? "" : ", ",
			json_integer_value(json_object_get(answer, counts[i][0])), counts[i][1]);
	fputc('\n', out);
	if (sampled > 0)
		fprintf(out, "of %" JSON_INTEGER_FORMAT " pairs not every class of packets was tried\n", sampled);
}
