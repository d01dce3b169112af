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
#define SECONDS_DEFAULT 10
#define SECONDS_MAX 60
#define ANSWERS_S 10 // the dataplane's, to begin and to end

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
	for (size_t k = 1; k < 3; k++) {
		if (*flags[k].value != NULL && !(strtod(*flags[k].value, NULL) > 0)) {
			fprintf(stderr, "panectl: capture: %s: expected a number over 0, got %s\n", flags[k].flag,
				*flags[k].value);
			return STATUS_USAGE;
		}
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

static int write_frames(FILE *f, const json_t *frames)
{
	struct ports ports = {0};
	const json_t *frame;
	size_t i;
	int ret;

	errno = 0;
	ret = pcapng_begin(f);
	json_array_foreach(frames, i, frame)
	{
		if (ret == 0)
			ret = write_frame(f, &ports, frame);
	}
	if (ret == 0 && fflush(f) != 0)
		ret = -errno;
	return ret;
}

static int cannot(const char *path, int ret, struct err *err)
{
	return err_set(err, -ret, "%s: cannot be written: %s", path, strerror(-ret));
}

// Standard output, a device, a pipe, or a file in a folder that takes no new ones.
static int write_into(FILE *f, const char *path, const json_t *frames, struct err *err)
{
	int ret = f == NULL ? -errno : write_frames(f, frames);

	if (f != NULL && f != stdout && fclose(f) != 0 && ret == 0)
		ret = -errno;
	return ret < 0 ? cannot(path, ret, err) : 0;
}

// As a new file would have them, or as the one has them whose place it takes, as far as that may be.
static void take_rights(int fd, const struct stat *old)
{
	mode_t mask = umask(0);

	umask(mask);
	if (old == NULL || fchown(fd, old->st_uid, old->st_gid) < 0)
		errno = 0;
	fchmod(fd, old != NULL ? old->st_mode & 0777 : 0666 & ~mask);
}

// In one go: whatever goes wrong, the file that was there before stays as it was.
static int write_anew(const char *path, const struct stat *old, const json_t *frames, struct err *err)
{
	char *beside = NULL;
	int ret = asprintf(&beside, "%s.XXXXXX", path) < 0 ? -ENOMEM : 0, fd;
	FILE *f;

	if (ret < 0)
		return cannot(path, ret, err);
	fd = mkstemp(beside);
	f = fd >= 0 ? fdopen(fd, "wb") : NULL;
	if (f == NULL) {
		ret = cannot(path, -errno, err);
		if (fd >= 0)
			close(fd);
	} else {
		take_rights(fd, old);
		ret = write_into(f, path, frames, err);
	}
	if (ret == 0 && rename(beside, path) < 0)
		ret = cannot(path, -errno, err);
	if (ret < 0 && fd >= 0)
		unlink(beside);
	free(beside);
	return ret;
}

// The folder of a path (caller: free), NULL: out of memory.
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return strdup(".");
	return slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

static int write_file(const char *path, const json_t *frames, struct err *err)
{
	char *real = realpath(path, NULL), *folder; // a link stays one
	const char *at = real != NULL ? real : path;
	struct stat st;
	bool is_old = stat(at, &st) == 0;
	int ret;

	folder = folder_of(at);
	if (strcmp(path, "-") == 0)
		ret = write_into(stdout, "standard output", frames, err);
	else if (is_old && (!S_ISREG(st.st_mode) || folder == NULL || access(folder, W_OK | X_OK) < 0))
		ret = write_into(fopen(at, "wb"), path, frames, err);
	else
		ret = write_anew(at, is_old ? &st : NULL, frames, err);
	free(folder);
	free(real);
	return ret;
}

// Before frames are waited for. No file is made yet: whoever is refused leaves none.
static int check_file(const char *path, struct err *err)
{
	char *folder = folder_of(path);
	struct stat st;
	int rc = 0;

	if (folder == NULL)
		rc = -ENOMEM;
	else if (strcmp(path, "-") == 0)
		rc = isatty(STDOUT_FILENO) ? -ENOTTY : 0;
	else if (path[0] == '\0')
		rc = -ENOENT;
	else if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		rc = -EISDIR;
	else if (access(path, F_OK) == 0)
		rc = access(path, W_OK) < 0 ? -errno : 0;
	else if (access(folder, W_OK | X_OK) < 0)
		rc = -errno;
	free(folder);
	if (rc == -ENOTTY)
		return err_set(err, ENOTTY, "frames are not for a terminal: name a file, or a pipe behind -");
	return rc < 0 ? err_set(err, -rc, "%s: %s", path, strerror(-rc)) : 0;
}

static int finish(const struct options *o, const char *path, const json_t *answer, const char *line)
{
	const json_t *frames = json_object_get(answer, "frames");
	const char *ended = json_string_value(json_object_get(answer, "ended"));
	bool whole = json_is_true(json_object_get(answer, "whole"));
	struct err err;

	if (!json_is_true(json_object_get(answer, "ok"))) {
		if (o->json)
			puts(line);
		else
			show_answer(answer, strcmp(path, "-") == 0 ? stderr : stdout);
		return STATUS_REFUSED;
	}
	if (write_file(path, frames, &err) < 0) {
		fprintf(stderr, "panectl: %s\n", err.msg);
		return STATUS_USAGE;
	}
	fprintf(strcmp(path, "-") == 0 ? stderr : stdout, "%zu frames, %lld missed (%s)\n", json_array_size(frames),
		(long long)json_integer_value(json_object_get(answer, "missed")), whole ? ended : "not all");
	if (!whole)
		fprintf(stderr, "panectl: the capture has ended early: %s\n", ended);
	return whole ? STATUS_ACCEPTED : STATUS_REFUSED;
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

// For how long it goes on at most.
static int seconds_of(const struct asked *a)
{
	double s = a->seconds != NULL ? strtod(a->seconds, NULL) : SECONDS_DEFAULT;

	return s > 0 && s < SECONDS_MAX ? (int)s + 1 : SECONDS_MAX;
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
		client_patience(client, ANSWERS_S + seconds_of(&asked));
	if (client != NULL)
		answer = ask(&asked, client, statement, &line, &err);
	status = answer == NULL ? panectl_failed(&err) : finish(o, asked.file, answer, line);
	free(statement);
	json_decref(answer);
	client_close(client);
	return status;
}
