// SPDX-License-Identifier: Apache-2.0
#include "rates.h"

#include <string.h>

#define SILENT_S 10 // it tells its figures each second

// Why frames are lost, as dataplane/counters.def names it.
static const char *const reasons[] = {
#define COUNTER(name, unit, help)
#define COUNTER_DROP_RX(name, unit, help) #name,
#define COUNTER_DROP_TX(name, unit, help) #name,
#define COUNTER_DEVICE(name, unit, help) #name,
#include "dataplane/counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
};

static const json_t *find_port(const json_t *ports, const char *name)
{
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port)
	{
		const char *other = json_string_value(json_object_get(port, "name"));

		if (other != NULL && strcmp(other, name) == 0)
			return port;
	}
	return NULL;
}

static double counter_rate(const json_t *before, const json_t *after, const char *counter, double seconds)
{
	json_int_t a = json_integer_value(json_object_get(json_object_get(before, "counters"), counter));
	json_int_t b = json_integer_value(json_object_get(json_object_get(after, "counters"), counter));

	return (double)(b >= a ? b - a : b) / seconds;
}

static json_t *port_rates(const json_t *before, const json_t *after, double seconds)
{
	json_t *drops = json_object();
	double dropped = 0;

	for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
		double rate = counter_rate(before, after, reasons[i], seconds);

		dropped += rate;
		if (rate > 0)
			json_object_set_new(drops, reasons[i], json_real(rate));
	}
	return json_pack("{s:O, s:O, s:f, s:f, s:f, s:f, s:f, s:o}", "port", json_object_get(after, "name"), "up",
			 json_object_get(after, "up"), "rx_pps", counter_rate(before, after, "rx_packets", seconds),
			 "rx_bps", 8 * counter_rate(before, after, "rx_bytes", seconds), "tx_pps",
			 counter_rate(before, after, "tx_packets", seconds), "tx_bps",
			 8 * counter_rate(before, after, "tx_bytes", seconds), "drop_pps", dropped, "drops", drops);
}

json_t *rates_of(const json_t *before, const json_t *after, double seconds)
{
	json_t *rates = json_array();
	const json_t *port;
	size_t i;

	json_array_foreach(after, i, port)
	{
		const char *name = json_string_value(json_object_get(port, "name"));
		const json_t *old = name != NULL ? find_port(before, name) : NULL;

		if (old != NULL && json_is_object(json_object_get(port, "counters")))
			json_array_append_new(rates, port_rates(old, port, seconds));
	}
	return rates;
}

bool rates_stale(const json_t *answer, char *words, size_t size)
{
	const json_t *dataplane = json_object_get(answer, "dataplane");
	double silent_s = json_real_value(json_object_get(dataplane, "silent_s"));

	if (json_is_null(dataplane))
		snprintf(words, size, "no session with the dataplane: its ports are as it told them last");
	else if (silent_s > SILENT_S)
		snprintf(words, size, "the dataplane has told nothing for %.0f s: its ports are as they were then",
			 silent_s);
	else
		return false;
	return true;
}

// 1234567 -> 1.23M. width: of the number; prefix_width: of what follows it.
static void print_scaled(FILE *out, double value, int width, int prefix_width)
{
	static const char *const prefix[] = {"", "k", "M", "G", "T"};
	int i = 0, digits = 0;

	for (; value >= 999.5 && i < 4; i++)
		value /= 1000;
	if (i > 0)
		digits = value < 10 ? 2 : value < 100;
	fprintf(out, "%*.*f%-*s", width, digits, value, prefix_width, prefix[i]);
}

// How many for each reason, where there are several.
static void print_reasons(FILE *out, const json_t *drops)
{
	const char *reason, *space = "  ";
	const json_t *rate;

	json_object_foreach((json_t *)drops, reason, rate)
	{
		fprintf(out, "%s%s", space, reason);
		space = " ";
		if (json_object_size(drops) == 1)
			break;
		fputc('=', out);
		print_scaled(out, json_number_value(rate), 0, 0);
	}
}

void rates_show(const json_t *rates, FILE *out)
{
	static const char *const columns[] = {"rx_pps", "rx_bps", "tx_pps", "tx_bps", "drop_pps"};
	const size_t n = sizeof(columns) / sizeof(columns[0]);
	const json_t *port;
	size_t i;

	fprintf(out, "%-16s %-5s %10s %10s %10s %10s %10s  why\n", "port", "state", "in pkt/s", "in bit/s", "out pkt/s",
		"out bit/s", "lost pkt/s");
	json_array_foreach(rates, i, port)
	{
		const json_t *drops = json_object_get(port, "drops");

		fprintf(out, "%-16s %-5s ", json_string_value(json_object_get(port, "port")),
			json_is_true(json_object_get(port, "up")) ? "up" : "down");
		// digits stand below each other; nothing follows the last ones of a line
		for (size_t c = 0; c < n; c++) {
			fputs(c > 0 ? " " : "", out);
			print_scaled(out, json_number_value(json_object_get(port, columns[c])), 9,
				     c + 1 < n || json_object_size(drops) > 0);
		}
		print_reasons(out, drops);
		fputc('\n', out);
	}
}
