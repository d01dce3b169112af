// SPDX-License-Identifier: Apache-2.0
#include "bench.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

uint64_t bench_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

static char *trim(char *s)
{
	size_t n;

	s += strspn(s, " \t");
	n = strlen(s);
	while (n > 0 && strchr(" \t\r\n", s[n - 1]) != NULL)
		s[--n] = '\0';
	return s;
}

static int script_add(struct bench_script *s, const char *speaker, const char *statement, bool timed)
{
	struct bench_line *lines = s->lines, *line;

	if ((s->n & (s->n + 1)) == 0) { // full at every power of two less one
		lines = realloc(s->lines, (2 * s->n + 2) * sizeof(*lines));
		if (lines == NULL)
			return -ENOMEM;
		s->lines = lines;
	}
	line = &s->lines[s->n++];
	*line = (struct bench_line){
		.speaker = strdup(speaker),
		.statement = strdup(statement),
		.len = strlen(statement),
		.timed = timed,
	};
	s->n_timed += timed;
	return line->speaker == NULL || line->statement == NULL ? -ENOMEM : 0;
}

static int script_line(struct bench_script *s, char *text, bool *timed)
{
	char *colon, *line = trim(text);

	if (strcmp(line, "// BEGIN") == 0) {
		*timed = true;
		return 0;
	}
	if (*line == '\0' || strncmp(line, "//", 2) == 0)
		return 0;
	colon = strstr(line, " : ");
	if (colon == NULL)
		return -EINVAL;
	*colon = '\0';
	return script_add(s, trim(line), trim(colon + 3), *timed);
}

FILE *bench_open(const char *path, struct err *err)
{
	FILE *f = fopen(path, "re");
	struct stat st;

	if (f == NULL) {
		err_set(err, errno, "%s: %s", path, strerror(errno));
		return NULL;
	}
	if (fstat(fileno(f), &st) == 0 && S_ISDIR(st.st_mode)) {
		err_set(err, EISDIR, "%s: expected a file, it is a folder", path);
		fclose(f);
		return NULL;
	}
	return f;
}

int bench_not_empty(const char *path, size_t n, const char *what, struct err *err)
{
	struct stat st;

	if (n > 0 || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	return err_set(err, EINVAL, "%s: no %s in it", path, what);
}

int bench_script_load(const char *path, struct bench_script *s, struct err *err)
{
	FILE *f = bench_open(path, err);
	char *text = NULL;
	size_t cap = 0, line_no = 0;
	bool timed = false;
	int ret = 0;

	*s = (struct bench_script){0};
	if (f == NULL)
		return -err->code;
	while (ret == 0 && getline(&text, &cap, f) >= 0) {
		line_no++;
		ret = script_line(s, text, &timed);
	}
	free(text);
	fclose(f);
	if (ret < 0) {
		bench_script_free(s);
		return err_set(err, -ret, "%s:%zu: expected \"speaker : statement.\", a // comment or \"// BEGIN\"",
			       path, line_no);
	}
	if (bench_not_empty(path, s->n, "statement", err) < 0)
		return -EINVAL;
	if (s->n_timed == 0) { // a script without the mark is timed whole
		for (size_t i = 0; i < s->n; i++)
			s->lines[i].timed = true;
		s->n_timed = s->n;
	}
	return 0;
}

void bench_script_free(struct bench_script *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free(s->lines[i].speaker);
		free(s->lines[i].statement);
	}
	free(s->lines);
	*s = (struct bench_script){0};
}

static int cmp_double(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_quantile(double *values, size_t n, double q)
{
	if (n == 0)
		return 0;
	qsort(values, n, sizeof(*values), cmp_double);
	return values[(size_t)(q * (double)(n - 1) + 0.5)];
}

void bench_spread(json_t *out, const char *name, double *values, size_t n)
{
	char key[64];

	json_object_set_new(out, name, json_real(bench_quantile(values, n, 0.5)));
	snprintf(key, sizeof(key), "%s_min", name);
	json_object_set_new(out, key, json_real(bench_quantile(values, n, 0)));
	snprintf(key, sizeof(key), "%s_max", name);
	json_object_set_new(out, key, json_real(bench_quantile(values, n, 1)));
}

void bench_journal_path(const struct bench_opts *opts, char *path, size_t size)
{
	const char *dir = getenv("TMPDIR");

	if (opts->journal != NULL)
		snprintf(path, size, "%s", opts->journal);
	else
		snprintf(path, size, "%s/pane-bench-%d.db", dir != NULL ? dir : "/var/tmp", (int)getpid());
}

void bench_journal_forget(const char *path)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char name[4096];

	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		snprintf(name, sizeof(name), "%s%s", path, ends[i]);
		unlink(name);
	}
}
