// SPDX-License-Identifier: Apache-2.0
// Figures for people: a line each, with its unit, and where there are several runs the median, the least and the most.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"

#define NAME_WIDTH 28
#define VALUE_WIDTH 12

// The unit that a figure's name tells; parts of a name stand between underscores. The first that is found is it.
static const char *unit_of(const char *name)
{
	static const char *const units[][2] = {
		{"per_s", "/s"}, {"per_cpu_s", "/s"}, {"cycles", "cycles"}, {"ns", "ns"},      {"us", "us"},
		{"ms", "ms"},    {"bytes", "B"},      {"mb", "MB"},         {"mpps", "Mpps"},  {"gbps", "Gbit/s"},
		{"cpu_s", "s"},  {"ratio", "times"},  {"to", "times"},      {"kept", "times"},
	};
	char padded[80], part[20];

	snprintf(padded, sizeof(padded), "_%s_", name);
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		snprintf(part, sizeof(part), "_%s_", units[i][0]);
		if (strstr(padded, part) != NULL)
			return units[i][1];
	}
	return "";
}

static void put_number(const json_t *value, char *buf, size_t size)
{
	double v = json_number_value(value);

	if (json_is_integer(value))
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(buf, size, "%.*f", v >= 10000 ? 0 : v >= 100 ? 1 : 3, v);
	else if (json_is_string(value))
		snprintf(buf, size, "%s", json_string_value(value));
	else
		snprintf(buf, size, "-");
}

static json_t *extreme(json_t *figures, const char *key, const char *which)
{
	char name[80];

	snprintf(name, sizeof(name), "%s_%s", key, which);
	return json_object_get(figures, name);
}

// NAME_min or NAME_max of a NAME that is there, too.
static bool is_extreme(json_t *figures, const char *key)
{
	size_t len = strlen(key);
	char base[80];

	if (len <= 4 || (strcmp(key + len - 4, "_min") != 0 && strcmp(key + len - 4, "_max") != 0))
		return false;
	snprintf(base, sizeof(base), "%.*s", (int)(len - 4), key);
	return json_object_get(figures, base) != NULL;
}

static void put_line(const char *name, int indent, const json_t *value, const char *unit, const json_t *min,
		     const json_t *max)
{
	char text[32], least[32], most[32];

	put_number(value, text, sizeof(text));
	printf("%*s%-*s %*s%s%s", indent, "", NAME_WIDTH + 2 - indent, name, VALUE_WIDTH, text,
	       unit[0] == '\0' ? "" : " ", unit);
	if (min != NULL && max != NULL && !json_equal(min, max)) {
		put_number(min, least, sizeof(least));
		put_number(max, most, sizeof(most));
		printf("%*s(%s to %s)", (int)(8 - strlen(unit)), "", least, most);
	}
	putchar('\n');
}

// Figures in figures stand below their name, in its unit where their own says none.
static void put_all(json_t *figures, int indent, const char *unit_above)
{
	const char *key;
	json_t *value;

	json_object_foreach(figures, key, value)
	{
		const char *unit = unit_of(key);

		if (unit[0] == '\0')
			unit = unit_above;
		if (is_extreme(figures, key))
			continue;
		if (!json_is_object(value)) {
			put_line(key, indent, value, unit, extreme(figures, key, "min"), extreme(figures, key, "max"));
			continue;
		}
		if (json_object_size(value) == 0)
			printf("%*s%-*s %*s\n", indent, "", NAME_WIDTH + 2 - indent, key, VALUE_WIDTH, "none");
		else
			printf("%*s%s\n", indent, "", key);
		put_all(value, indent + 2, unit);
	}
}

void bench_table(const char *command, json_t *figures, uint32_t repeat)
{
	const char *key;
	json_t *value;
	bool of_runs = false;

	json_object_foreach(figures, key, value)
	{
		of_runs = of_runs || extreme(figures, key, "min") != NULL;
	}
	printf("%s", command);
	if (of_runs && repeat > 1)
		printf(" (of %u runs the median, and the least to the most)", repeat);
	putchar('\n');
	put_all(figures, 2, "");
}
