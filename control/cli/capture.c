// SPDX-License-Identifier: Apache-2.0
#include "capture.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "pcapng.h"
#include "show.h"

#define PORTS_MAX 64
#define FRAME_MAX 65536

struct asked {
	const char *group, *file, *share, *count, *seconds;
};

static int usage_error(const char *what)
{
	fprintf(stderr, "panectl: capture: %s (see --help)\n", what);
	return STATUS_USAGE;
}

static int parse(char **args, int n_args, struct asked *out)
{
	struct {
		const char *flag, **value;
	} flags[] = {{"--share", &out->share}, {"--count", &out->count}, {"--seconds", &out->seconds}};

	for (int i = 0; i < n_args; i++) {
		size_t k = 0;

		while (k < 3 && strcmp(args[i], flags[k].flag) != 0)
			k++;
		if (k < 3 && i + 1 == n_args)
			return usage_error("a flag needs a value");
		if (k < 3)
			*flags[k].value = args[++i];
		else if (args[i][0] == '-' && args[i][1] != '\0')
			return usage_error("unknown flag");
		else if (out->group == NULL)
			out->group = args[i];
		else if (out->file == NULL)
			out->file = args[i];
		else
			return usage_error("one flow group and one file");
	}
	return out->file == NULL ? usage_error("which flow group, and into which file?") : STATUS_ACCEPTED;
}

static char *statement_of(const struct asked *a)
{
	char *text = NULL;
	bool bare = a->group[0] != '(';
	int n = asprintf(&text, "capture%s%s%s on %s%s%s%s%s%s.", bare ? "(" : "", a->group, bare ? ")" : "", a->share,
			 a->count != NULL ? " count " : "", a->count != NULL ? a->count : "",
			 a->seconds != NULL ? " for " : "", a->seconds != NULL ? a->seconds : "",
			 a->seconds != NULL ? "s" : "");

	return n < 0 ? NULL : text;
}

// Numbers of interfaces by the names of ports, as they come.
struct ports {
	const char *name[PORTS_MAX];
	uint32_t n;
};

static int interface_of(FILE *f, struct ports *ports, const char *name, uint32_t *out)
{
	for (*out = 0; *out < ports->n; (*out)++) {
		if (strcmp(ports->name[*out], name) == 0)
			return 0;
	}
	if (ports->n == PORTS_MAX)
		return -E2BIG;
	ports->name[ports->n++] = name;
	return pcapng_interface(f, name);
}

static int write_frame(FILE *f, struct ports *ports, const json_t *frame)
{
	const char *port = json_string_value(json_object_get(frame, "port"));
	const char *text = json_string_value(json_object_get(frame, "data"));
	json_int_t bytes = json_integer_value(json_object_get(frame, "bytes"));
	size_t len = text == NULL ? 0 : strlen(text);
	static uint8_t data[FRAME_MAX];
	uint32_t interface;
	int n;

	if (len == 0 || len / 4 * 3 > sizeof(data) || bytes <= 0 || bytes > UINT32_MAX)
		return -EPROTO;
	n = EVP_DecodeBlock(data, (const unsigned char *)text, (int)len);
	n -= (text[len - 1] == '=') + (len > 1 && text[len - 2] == '=');
	if (n <= 0 || n > bytes || interface_of(f, ports, port != NULL ? port : "switch", &interface) < 0)
		return -EPROTO;
	return pcapng_frame(f, interface, json_integer_value(json_object_get(frame, "time_ns")), data, (uint32_t)n,
			    (uint32_t)bytes);
}

static int write_file(const char *path, const json_t *frames, struct err *err)
{
	FILE *f = fopen(path, "wb");
	struct ports ports = {0};
	const json_t *frame;
	size_t i;
	int ret;

	if (f == NULL)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	ret = pcapng_begin(f);
	json_array_foreach(frames, i, frame)
	{
		if (ret == 0)
			ret = write_frame(f, &ports, frame);
	}
	if (fclose(f) != 0 && ret == 0)
		ret = -errno;
	return ret < 0 ? err_set(err, -ret, "%s: cannot be written: %s", path, strerror(-ret)) : 0;
}

// Before frames are waited for. No file is made yet: whoever is refused leaves none.
static int check_file(const char *path, struct err *err)
{
	char *folder = strdup(path), *slash = folder == NULL ? NULL : strrchr(folder, '/');
	struct stat st;
	int rc = 0;

	if (slash != NULL)
		slash[slash == folder] = '\0';
	if (folder == NULL)
		rc = -ENOMEM;
	else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else if (access(path, F_OK) == 0)
		rc = access(path, W_OK) < 0 ? -errno : 0;
	else if (access(slash == NULL ? "." : folder, W_OK | X_OK) < 0)
		rc = -errno;
	free(folder);
	return rc < 0 ? err_set(err, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

static int finish(const struct options *o, const char *path, const json_t *answer, const char *line)
{
	const json_t *frames = json_object_get(answer, "frames");
	struct err err;

	if (!json_is_true(json_object_get(answer, "ok"))) {
		if (o->json)
			puts(line);
		else
			show_answer(answer, stdout);
		return STATUS_REFUSED;
	}
	if (write_file(path, frames, &err) < 0)
		return panectl_failed(&err);
	printf("%zu frames, %lld missed (%s)\n", json_array_size(frames),
	       (long long)json_integer_value(json_object_get(answer, "missed")),
	       json_string_value(json_object_get(answer, "ended")));
	return STATUS_ACCEPTED;
}

// Whoever sits before it is told what it waits for.
static json_t *ask(const struct asked *a, struct client *client, const char *statement, const char **line,
		   struct err *err)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "at most %s frames, %s s; ^C: no file\n", a->count != NULL ? a->count : "1000",
			a->seconds != NULL ? a->seconds : "10");
	return panectl_ask(client, statement, line, err);
}

int capture_run(const struct options *o, char **args, int n_args)
{
	struct asked asked = {.share = "rootShare"};
	struct client *client = NULL;
	json_t *answer = NULL;
	const char *line;
	struct err err;
	char *statement;
	int status = parse(args, n_args, &asked);

	if (status != STATUS_ACCEPTED)
		return status;
	if (check_file(asked.file, &err) < 0) {
		fprintf(stderr, "panectl: %s\n", err.msg);
		return STATUS_USAGE;
	}
	statement = statement_of(&asked);
	if (statement == NULL)
		err_set(&err, ENOMEM, "out of memory");
	else
		client = client_open(&o->at, o->user, &err);
	if (client != NULL)
		answer = ask(&asked, client, statement, &line, &err);
	status = answer == NULL ? panectl_failed(&err) : finish(o, asked.file, answer, line);
	free(statement);
	json_decref(answer);
	client_close(client);
	return status;
}
