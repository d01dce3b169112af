// SPDX-License-Identifier: Apache-2.0
#include "undo_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *file, int code, char why[ACTION_WHY_BYTES])
{
	bool denied = (code == EACCES || code == EPERM) && geteuid() != 0;

	return why_fail(why, code, "undo list %.128s: %s%s", file, strerror(code), denied ? "; root is needed" : "");
}

int undo_lock(const char *file, int *fd, char why[ACTION_WHY_BYTES])
{
	char path[PATH_MAX];
	int rc;

	snprintf(path, sizeof(path), "%.4000s", file);
	if (mkdir(dirname(path), 0755) < 0 && errno != EEXIST)
		return fail(file, errno, why);
	snprintf(path, sizeof(path), "%.4000s.lock", file);
	*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (*fd < 0)
		return fail(path, errno, why);
	if (flock(*fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		fprintf(stderr, "pane-nic: undo list %s: another pane-nic has it; this one waits\n", file);
	do
		rc = flock(*fd, LOCK_EX) < 0 ? -errno : 0;
	while (rc == -EINTR);
	if (rc == 0)
		return 0;
	close(*fd);
	return fail(path, -rc, why);
}

// Leaves whole lines only: 0, with what is left of the file in *size.
static int cut_unfinished(int fd, off_t *size)
{
	struct stat st;
	char c = '\n';
	off_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	for (end = st.st_size; end > 0; end--) {
		if (pread(fd, &c, 1, end - 1) < 0)
			return -errno;
		if (c == '\n')
			break;
	}
	*size = end;
	return end < st.st_size && ftruncate(fd, end) < 0 ? -errno : 0;
}

int undo_append(const char *file, const struct action *undo, char why[ACTION_WHY_BYTES])
{
	int fd = open(file, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644), rc;
	char line[ACTION_LINE_BYTES];
	ssize_t len, n;
	off_t size = 0;

	if (fd < 0)
		return fail(file, errno, why);
	len = action_line(undo, line);
	rc = cut_unfinished(fd, &size);
	if (rc == 0) {
		n = write(fd, line, (size_t)len);
		rc = n == len ? 0 : n < 0 ? -errno : -ENOSPC;
		if (rc < 0 && ftruncate(fd, size) < 0)
			size = 0; // an unfinished line: whoever reads the list leaves it out
	}
	if (close(fd) < 0 && rc == 0)
		rc = -errno;
	return rc < 0 ? fail(file, -rc, why) : 0;
}

static int list_add(struct undo_list *list, const char *line, char why[ACTION_WHY_BYTES])
{
	struct action *more = realloc(list->action, ((size_t)list->n + 1) * sizeof(*more));

	if (more == NULL)
		return why_fail(why, ENOMEM, "out of memory");
	list->action = more;
	return action_parse(line, &more[list->n++], why);
}

int undo_read(const char *file, struct undo_list *list, char why[ACTION_WHY_BYTES])
{
	char line[ACTION_LINE_BYTES];
	FILE *f = fopen(file, "re");
	int rc = 0;

	if (f == NULL)
		return errno == ENOENT ? 0 : fail(file, errno, why);
	while (rc == 0 && fgets(line, sizeof(line), f) != NULL) {
		char *end = strchr(line, '\n');

		list->unfinished = end == NULL && feof(f);
		if (list->unfinished)
			break;
		if (end != NULL)
			*end = '\0';
		rc = list_add(list, line, why);
	}
	if (rc == 0 && ferror(f))
		rc = fail(file, errno, why);
	fclose(f);
	return rc;
}

static int write_lines(const char *file, const struct undo_list *list)
{
	FILE *f = fopen(file, "we");
	int rc;

	if (f == NULL)
		return -errno;
	for (int i = 0; i < list->n; i++)
		action_print(&list->action[i], f);
	rc = fflush(f) != 0 || fsync(fileno(f)) < 0 ? -errno : 0;
	if (fclose(f) != 0 && rc == 0)
		rc = -errno;
	return rc;
}

int undo_write(const char *file, const struct undo_list *list, char why[ACTION_WHY_BYTES])
{
	char path[PATH_MAX];
	int rc;

	if (list->n == 0)
		return unlink(file) < 0 && errno != ENOENT ? fail(file, errno, why) : 0;
	snprintf(path, sizeof(path), "%.4000s.new", file);
	rc = write_lines(path, list);
	if (rc == 0 && rename(path, file) < 0)
		rc = -errno;
	if (rc == 0)
		return 0;
	unlink(path);
	return fail(file, -rc, why);
}
