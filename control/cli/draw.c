// SPDX-License-Identifier: Apache-2.0
// Figures are rounded for the eye here, in floating point; the exact ones are in the answers.
#include "draw.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HEIGHT 10
#define SPAN_MIN_S 60.0
#define BAR_MAX 20
#define NAME_MIN 8

struct text {
	char s[32];
};

struct series {
	const json_t *items;
	size_t n;
	double start, span, top; // seconds; bit/s
};

// 3 digits and a prefix.
static struct text rate_text(double bps)
{
	static const char *const prefixes[] = {"", "k", "M", "G", "T", "P", "E"};
	struct text t;
	size_t i = 0;

	while (bps >= 999.5 && i + 1 < sizeof(prefixes) / sizeof(prefixes[0])) {
		bps /= 1000;
		i++;
	}
	snprintf(t.s, sizeof(t.s), "%.3g %sbit/s", bps, prefixes[i]);
	return t;
}

static struct text span_text(double s)
{
	static const struct {
		double seconds;
		const char *unit;
	} units[] = {{86400, "d"}, {3600, "h"}, {60, "min"}, {1, "s"}, {1e-3, "ms"}};
	struct text t;
	size_t i = 0;

	while (i + 1 < sizeof(units) / sizeof(units[0]) && s < 2 * units[i].seconds)
		i++;
	if (s == 0)
		i = 3;
	snprintf(t.s, sizeof(t.s), "%.3g%s", s / units[i].seconds, units[i].unit);
	return t;
}

static double at_of(const struct series *s, size_t i)
{
	const char *text = json_string_value(json_object_get(json_array_get(s->items, i), "at"));

	return text != NULL ? strtod(text, NULL) : s->start;
}

static double free_of(const struct series *s, size_t i)
{
	return (double)json_integer_value(json_object_get(json_array_get(s->items, i), "bandwidth"));
}

// Least and most free bandwidth in column c of n; *i is the point in force at the column's start and moves on.
static void column(const struct series *s, unsigned int c, unsigned int n, size_t *i, double *least, double *most)
{
	double end = s->start + s->span * (c + 1) / n, begin = s->start + s->span * c / n;

	while (*i + 1 < s->n && at_of(s, *i + 1) <= begin)
		(*i)++;
	*least = *most = free_of(s, *i);
	for (size_t k = *i + 1; k < s->n && at_of(s, k) < end; k++) {
		double value = free_of(s, k);

		*least = value < *least ? value : *least;
		*most = value > *most ? value : *most;
	}
}

// The sign of a cell: row counts from 1 at the bottom.
static const char *cell_sign(const struct draw *d, double least, double most, double top, unsigned int row)
{
	static const char *const eighths[] = {" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	int part = 0, level = top > 0 ? (int)(least * HEIGHT * 8 / top + 0.5) : 0;

	if (level == 0 && least > 0)
		level = 1; // little is not nothing
	part = level - 8 * ((int)row - 1);
	if (part <= 0)
		return top > 0 && most * HEIGHT / top >= row - 0.5 ? d->utf8 ? "░" : "." : " ";
	if (d->utf8)
		return eighths[part > 8 ? 8 : part];
	return part >= 4 || row == 1 ? "#" : " ";
}

static void axis(const struct draw *d, const struct series *s, unsigned int margin, unsigned int n)
{
	char *labels = malloc(n + 1);

	fprintf(d->out, "%*s %s", (int)margin, "0", d->utf8 ? "└" : "+");
	for (unsigned int c = 0; c < n; c++)
		fputs(c > 0 && c % (n / 4) == 0 ? (d->utf8 ? "┴" : "+") : (d->utf8 ? "─" : "-"), d->out);
	fputc('\n', d->out);
	if (labels == NULL)
		return;
	memset(labels, ' ', n);
	labels[n] = '\0';
	for (unsigned int c = 0; c < n; c += n / 4) {
		struct text t = span_text(s->span * c / n);
		char label[40];
		int len = snprintf(label, sizeof(label), c == 0 ? "now" : "+%s", t.s);

		if (c + (unsigned int)len <= n && (unsigned int)len < n / 4)
			memcpy(labels + c, label, (size_t)len);
	}
	for (unsigned int c = n; c > 0 && labels[c - 1] == ' '; c--)
		labels[c - 1] = '\0';
	fprintf(d->out, "%*s  %s\n", (int)margin, "", labels);
	free(labels);
}

static void summary(const struct draw *d, const struct series *s)
{
	size_t least = 0;

	for (size_t i = 1; i < s->n; i++)
		least = free_of(s, i) < free_of(s, least) ? i : least;
	fprintf(d->out, "now %s, ", rate_text(free_of(s, 0)).s);
	if (s->n == 1) {
		fprintf(d->out, "for ever\n");
		return;
	}
	fprintf(d->out, "least %s %s%s,\n", rate_text(free_of(s, least)).s, least == 0 ? "now" : "from +",
		least == 0 ? "" : span_text(at_of(s, least) - s->start).s);
	fprintf(d->out, "from +%s on %s for ever\n", span_text(at_of(s, s->n - 1) - s->start).s,
		rate_text(free_of(s, s->n - 1)).s);
}

void draw_schedule(const struct draw *d, const char *share, const json_t *items)
{
	struct series s = {.items = items, .n = json_array_size(items)};
	unsigned int width = d->width < DRAW_WIDTH_MIN ? DRAW_WIDTH_MIN : d->width, margin = 0, n;

	fprintf(d->out, "%s: free bandwidth\n", share);
	if (s.n == 0 || json_is_string(json_object_get(json_array_get(items, 0), "bandwidth"))) {
		fprintf(d->out, "no limit\n");
		return;
	}
	s.start = at_of(&s, 0);
	s.span = (at_of(&s, s.n - 1) - s.start) * 1.125; // some of what is then for ever
	s.span = s.span <= 0 ? SPAN_MIN_S : s.span;
	for (size_t i = 0; i < s.n; i++)
		s.top = free_of(&s, i) > s.top ? free_of(&s, i) : s.top;
	for (unsigned int row = 1; row <= HEIGHT; row++) {
		unsigned int len = (unsigned int)strlen(rate_text(s.top * row / HEIGHT).s);

		margin = len > margin ? len : margin;
	}
	n = width - margin - 2;
	for (unsigned int row = HEIGHT; row >= 1; row--) {
		size_t at = 0;
		struct text label = rate_text(s.top * row / HEIGHT);

		fprintf(d->out, "%*s %s", (int)margin, row % 2 == 0 && s.top > 0 ? label.s : "", d->utf8 ? "│" : "|");
		for (unsigned int c = 0; c < n; c++) {
			double least, most;

			column(&s, c, n, &at, &least, &most);
			fputs(cell_sign(d, least, most, s.top, row), d->out);
		}
		fputc('\n', d->out);
	}
	axis(d, &s, margin, n);
	summary(d, &s);
}

// A line of the tree.
struct line {
	const json_t *share;
	char *name; // with its branches
	unsigned int columns;
	char max[32], reserved[32], suspended[32], requests[32];
};

struct tree {
	const struct draw *d;
	const json_t *shares;
	struct line *lines;
	size_t n, total;
};

static const char *member(const json_t *share, const char *key)
{
	const char *text = json_string_value(json_object_get(share, key));

	return text != NULL ? text : "";
}

static bool is_top(const struct tree *t, const json_t *share)
{
	const json_t *other;
	size_t i;

	json_array_foreach(t->shares, i, other)
	{
		if (strcmp(member(other, "name"), member(share, "parent")) == 0)
			return false;
	}
	return true;
}

static void value_text(const json_t *value, char *buf, size_t size)
{
	if (json_is_integer(value))
		snprintf(buf, size, "%s", rate_text((double)json_integer_value(value)).s);
	else
		snprintf(buf, size, "%s", json_is_string(value) ? "no limit" : "-"); // may not be seen
}

static void add_line(struct tree *t, const json_t *share, const char *indent, const char *branch)
{
	struct line *l = &t->lines[t->n];
	size_t len = 0;
	FILE *f;

	if (t->n == t->total || (f = open_memstream(&l->name, &len)) == NULL)
		return;
	t->n++;
	fprintf(f, "%s%s%s", indent, branch, member(share, "name"));
	fclose(f);
	l->share = share;
	for (const char *c = l->name; *c != '\0'; c++)
		l->columns += (*c & 0xc0) != 0x80; // not the later bytes of a sign
	value_text(json_object_get(share, "reserve_max"), l->max, sizeof(l->max));
	value_text(json_object_get(share, "reserved"), l->reserved, sizeof(l->reserved));
	if (json_object_get(share, "suspended") != NULL)
		value_text(json_object_get(share, "suspended"), l->suspended, sizeof(l->suspended));
	snprintf(l->requests, sizeof(l->requests), "%" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(share, "requests")));
}

// ListShares tells them in preorder, so that the children of a share come in their order too.
static void add_children(struct tree *t, const char *parent, const char *indent)
{
	const json_t *share, *last = NULL;
	size_t i;

	json_array_foreach(t->shares, i, share)
	{
		if (strcmp(member(share, "parent"), parent) == 0)
			last = share;
	}
	json_array_foreach(t->shares, i, share)
	{
		bool utf8 = t->d->utf8;
		char *deeper = NULL;

		if (strcmp(member(share, "parent"), parent) != 0 || t->n == t->total)
			continue;
		add_line(t, share, indent, share == last ? (utf8 ? "└─ " : "`- ") : (utf8 ? "├─ " : "|- "));
		if (asprintf(&deeper, "%s%s", indent, share == last ? "   " : (utf8 ? "│  " : "|  ")) < 0)
			return;
		add_children(t, member(share, "name"), deeper);
		free(deeper);
	}
}

// The first `columns` of a text, cut off with a sign and filled up with blanks.
static void put_name(const struct draw *d, const struct line *l, unsigned int columns)
{
	const char *c = l->name;
	unsigned int put = 0, keep = l->columns > columns ? columns - 1 : columns;

	for (; *c != '\0' && (put < keep || (*c & 0xc0) == 0x80); c++) {
		put += (*c & 0xc0) != 0x80;
		fputc(*c, d->out);
	}
	if (l->columns > columns) {
		fputs(d->utf8 ? "…" : "~", d->out);
		put++;
	}
	fprintf(d->out, "%*s", (int)(columns - put), "");
}

static void put_bar(const struct draw *d, const struct line *l, unsigned int columns)
{
	const json_t *max = json_object_get(l->share, "reserve_max");
	double part, limit = (double)json_integer_value(max);
	unsigned int full;

	if (columns == 0 || !json_is_integer(max) || limit <= 0)
		return;
	part = (double)json_integer_value(json_object_get(l->share, "reserved")) / limit;
	full = (unsigned int)(part * columns + 0.5);
	full = full > columns ? columns : full == 0 && part > 0 ? 1 : full;
	fputs("  ", d->out);
	for (unsigned int i = 0; i < columns; i++)
		fputs(i < full ? (d->utf8 ? "█" : "#") : (d->utf8 ? "░" : "."), d->out);
}

static unsigned int wider(unsigned int width, const char *text)
{
	return strlen(text) > width ? (unsigned int)strlen(text) : width;
}

// A column that is only there where something is suspended.
static void put_suspended(FILE *out, unsigned int width, const char *text)
{
	if (width > 0)
		fprintf(out, "  %*s", (int)width, text);
}

static void put_lines(const struct tree *t)
{
	unsigned int width = t->d->width < DRAW_WIDTH_MIN + 20 ? DRAW_WIDTH_MIN + 20 : t->d->width;
	unsigned int name = 5, max = 11, reserved = 8, suspended = 0, requests = 8, rest, bar;
	FILE *out = t->d->out;

	for (size_t i = 0; i < t->n; i++) {
		const struct line *l = &t->lines[i];

		name = l->columns > name ? l->columns : name;
		max = wider(max, l->max);
		reserved = wider(reserved, l->reserved);
		suspended = l->suspended[0] != '\0' ? wider(suspended > 0 ? suspended : 9, l->suspended) : suspended;
		requests = wider(requests, l->requests);
	}
	rest = width - max - reserved - requests - 6 - (suspended > 0 ? suspended + 2 : 0);
	name = name > rest ? (rest > NAME_MIN ? rest : NAME_MIN) : name;
	bar = rest > name + 7 ? rest - name - 2 : 0;
	bar = bar > BAR_MAX ? BAR_MAX : bar;
	fprintf(out, "%-*s  %*s  %*s", (int)name, "SHARE", (int)max, "MAY RESERVE", (int)reserved, "RESERVED");
	put_suspended(out, suspended, "SUSPENDED");
	fprintf(out, "  %*s\n", (int)requests, "REQUESTS");
	for (size_t i = 0; i < t->n; i++) {
		const struct line *l = &t->lines[i];

		put_name(t->d, l, name);
		fprintf(out, "  %*s  %*s", (int)max, l->max, (int)reserved, l->reserved);
		put_suspended(out, suspended, l->suspended);
		fprintf(out, "  %*s", (int)requests, l->requests);
		put_bar(t->d, l, bar);
		fputc('\n', out);
	}
}

void draw_tree(const struct draw *d, const json_t *shares)
{
	struct tree t = {.d = d, .shares = shares, .total = json_array_size(shares)};
	const json_t *share;
	size_t i;

	t.lines = calloc(t.total + 1, sizeof(*t.lines));
	if (t.total == 0 || t.lines == NULL) {
		fprintf(d->out, "none\n");
		free(t.lines);
		return;
	}
	json_array_foreach(shares, i, share)
	{
		if (!is_top(&t, share))
			continue;
		add_line(&t, share, "", "");
		add_children(&t, member(share, "name"), "");
	}
	put_lines(&t);
	for (i = 0; i < t.n; i++)
		free(t.lines[i].name);
	free(t.lines);
}
