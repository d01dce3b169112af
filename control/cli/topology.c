// SPDX-License-Identifier: Apache-2.0
#include "topology.h"

#include <stdlib.h>
#include <string.h>

#define THIS_SWITCH "this switch"

static const char *text(const json_t *object, const char *member)
{
	const char *value = json_string_value(json_object_get(object, member));

	return value == NULL ? "" : value;
}

static bool is(const json_t *object, const char *member, const char *value)
{
	return strcmp(text(object, member), value) == 0;
}

static int compare(const void *a, const void *b)
{
	const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
	int by_switch = strcmp(text(x, "switch"), text(y, "switch"));
	json_int_t i = json_integer_value(json_object_get(x, "number"));
	json_int_t k = json_integer_value(json_object_get(y, "number"));

	return by_switch != 0 ? by_switch : i != k ? (i < k ? -1 : 1) : strcmp(text(x, "port"), text(y, "port"));
}

// Ports by switch and number: this switch's own, which have no "switch", first. NULL: out of memory.
static const json_t **sorted_ports(const json_t *net, size_t *n)
{
	const json_t *ports = json_object_get(net, "ports"), *port;
	const json_t **all = calloc(json_array_size(ports) + 1, sizeof(const json_t *));
	size_t i;

	*n = json_array_size(ports);
	if (all == NULL)
		return NULL;
	json_array_foreach(ports, i, port)
	{
		all[i] = port;
	}
	qsort(all, *n, sizeof(const json_t *), compare);
	return all;
}

// Of this switch's own ports the name is "name", everywhere else "port".
static const char *port_name(const json_t *port)
{
	return text(port, json_object_get(port, "switch") == NULL ? "name" : "port");
}

static void rate_text(const json_t *rate, char *buf, size_t size)
{
	static const char *const units[] = {"", "k", "M", "G", "T"};
	double bps = json_number_value(rate);
	int i = 0;

	for (; bps >= 999.5 && i < 4; i++)
		bps /= 1000;
	buf[0] = '\0';
	if (bps > 0)
		snprintf(buf, size, "%.3g %sbit/s", bps, units[i]);
}

// --- terminal

// The end of a link that is at this port, with the other one in *peer; NULL: none.
static const json_t *link_at(const json_t *net, const json_t *port, const json_t **peer)
{
	const json_t *link;
	size_t i;

	json_array_foreach(json_object_get(net, "links"), i, link)
	{
		const json_t *from = json_object_get(link, "from"), *to = json_object_get(link, "to");

		for (int turn = 0; turn < 2; turn++) {
			const json_t *here = turn == 0 ? from : to;

			*peer = turn == 0 ? to : from;
			if (is(here, "switch", text(port, "switch")) && is(here, "port", port_name(port)))
				return link;
		}
	}
	return NULL;
}

static bool host_is_at(const json_t *host, const json_t *port)
{
	return is(host, "switch", text(port, "switch")) && is(host, "port", port_name(port)) &&
	       json_is_string(json_object_get(host, "mac"));
}

static void draw_host(const struct draw *d, const json_t *host, const char *bar)
{
	const char *name = text(host, "name"), *user = text(host, "user"), *ip = text(host, "address");

	fprintf(d->out, "%s   %s  %s%s%s%s%s%s\n", bar, text(host, "mac"), ip[0] == '\0' ? "-" : ip,
		name[0] == '\0' ? "" : "  ", name, user[0] == '\0' ? "" : "  user ", user,
		json_is_true(json_object_get(host, "contested")) ? "  claimed by several" : "");
}

static void draw_port(const struct draw *d, const json_t *net, const json_t *port, bool last)
{
	const char *branch = d->utf8 ? (last ? "└─ " : "├─ ") : (last ? "`- " : "|- ");
	const char *bar = d->utf8 ? (last ? " " : "│") : (last ? " " : "|");
	const json_t *peer = NULL, *link = link_at(net, port, &peer), *host;
	char rate[32];
	size_t i;

	rate_text(json_object_get(link == NULL ? port : link, "rate"), rate, sizeof(rate));
	fprintf(d->out, "%s%s", branch, port_name(port));
	if (!json_is_true(json_object_get(port, "up")))
		fprintf(d->out, "  down");
	if (link != NULL)
		fprintf(d->out, " %s %s/%s%s", d->utf8 ? "──" : "--",
			text(peer, "switch")[0] == '\0' ? THIS_SWITCH : text(peer, "switch"), text(peer, "port"),
			json_is_true(json_object_get(link, "both_ways")) ? "" : "  seen one way only");
	fprintf(d->out, "%s%s\n", rate[0] == '\0' ? "" : "  ", rate);
	json_array_foreach(json_object_get(net, "hosts"), i, host)
	{
		if (host_is_at(host, port))
			draw_host(d, host, bar);
	}
}

static void draw_switch(const struct draw *d, const json_t *port, const char *sw)
{
	const char *version = text(port, "openflow"), *cannot = text(port, "cannot");

	if (sw[0] == '\0')
		fprintf(d->out, "%s\n", THIS_SWITCH);
	else
		fprintf(d->out, "switch %s%s%s\n", sw, version[0] == '\0' ? "" : "  OpenFlow ", version);
	if (cannot[0] != '\0')
		fprintf(d->out, "cannot %s\n", cannot);
}

void topology_draw(const struct draw *d, const json_t *net)
{
	size_t n;
	const json_t **ports = sorted_ports(net, &n);

	if (ports == NULL || n == 0)
		fprintf(d->out, "no ports are known\n");
	for (size_t i = 0; ports != NULL && i < n; i++) {
		const char *sw = text(ports[i], "switch");

		if (i == 0 || strcmp(text(ports[i - 1], "switch"), sw) != 0)
			draw_switch(d, ports[i], sw);
		draw_port(d, net, ports[i], i + 1 == n || strcmp(text(ports[i + 1], "switch"), sw) != 0);
	}
	free(ports);
}

// --- Graphviz

// A quoted string of its language.
static void quoted(FILE *out, const char *s)
{
	for (; *s != '\0'; s++) {
		if (*s == '"' || *s == '\\')
			fputc('\\', out);
		fputc(*s, out);
	}
}

static void node_name(FILE *out, const char *kind, const char *name)
{
	fprintf(out, "\"%s ", kind);
	quoted(out, name);
	fputc('"', out);
}

static void dot_switches(const json_t *net, FILE *out)
{
	size_t n;
	const json_t **ports = sorted_ports(net, &n);

	for (size_t i = 0; ports != NULL && i < n; i++) {
		const char *sw = text(ports[i], "switch");

		if (i > 0 && strcmp(text(ports[i - 1], "switch"), sw) == 0)
			continue;
		fputc('\t', out);
		node_name(out, "switch", sw);
		fprintf(out, " [shape=box, label=\"");
		quoted(out, sw[0] == '\0' ? THIS_SWITCH : sw);
		fprintf(out, "\"];\n");
	}
	free(ports);
}

static void dot_hosts(const json_t *net, FILE *out)
{
	const json_t *host, *hosts = json_object_get(net, "hosts"), *other;
	size_t i, k;

	json_array_foreach(hosts, i, host)
	{
		bool first = json_is_string(json_object_get(host, "mac"));

		for (k = 0; k < i && first; k++) // a host has an item for each of its addresses
			first = !is(json_array_get(hosts, k), "mac", text(host, "mac"));
		if (!first)
			continue;
		fputc('\t', out);
		node_name(out, "host", text(host, "mac"));
		fprintf(out, " [label=\"");
		quoted(out, text(host, "mac"));
		json_array_foreach(hosts, k, other)
		{
			if (!is(other, "mac", text(host, "mac")))
				continue;
			fprintf(out, "\\n");
			quoted(out, text(other, "address"));
			fprintf(out, "%s", text(other, "name")[0] == '\0' ? "" : " ");
			quoted(out, text(other, "name"));
		}
		fprintf(out, "\"];\n\t");
		node_name(out, "switch", text(host, "switch"));
		fprintf(out, " -- ");
		node_name(out, "host", text(host, "mac"));
		fprintf(out, " [taillabel=\"");
		quoted(out, text(host, "port"));
		fprintf(out, "\"];\n");
	}
}

static void dot_links(const json_t *net, FILE *out)
{
	const json_t *link;
	size_t i;

	json_array_foreach(json_object_get(net, "links"), i, link)
	{
		const json_t *from = json_object_get(link, "from"), *to = json_object_get(link, "to");
		char rate[32];

		rate_text(json_object_get(link, "rate"), rate, sizeof(rate));
		fputc('\t', out);
		node_name(out, "switch", text(from, "switch"));
		fprintf(out, " -- ");
		node_name(out, "switch", text(to, "switch"));
		fprintf(out, " [taillabel=\"");
		quoted(out, text(from, "port"));
		fprintf(out, "\", headlabel=\"");
		quoted(out, text(to, "port"));
		fprintf(out, "\", label=\"%s\"%s];\n", rate,
			json_is_true(json_object_get(link, "both_ways")) ? "" : ", style=dashed");
	}
}

void topology_dot(const json_t *net, FILE *out)
{
	fprintf(out, "graph network {\n");
	dot_switches(net, out);
	dot_hosts(net, out);
	dot_links(net, out);
	fprintf(out, "}\n");
}
