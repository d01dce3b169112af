// SPDX-License-Identifier: Apache-2.0
#include "rundir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

int rundir_path(char *buf, size_t size, const char *dir, const char *name, struct err *err)
{
	if ((size_t)snprintf(buf, size, "%s/%s", dir, name) >= size)
		return err_set(err, ENAMETOOLONG, "%.100s.../%s: the path is too long", dir, name);
	return 0;
}

int rundir_control_user(const struct config *c, uid_t *uid, gid_t *gid, struct err *err)
{
	const struct passwd *pw;

	*uid = geteuid();
	*gid = getegid();
	if (c->control_user == NULL)
		return 0;
	pw = getpwnam(c->control_user);
	if (pw == NULL)
		return err_set(err, ENOENT, "control_user: there is no OS user %s", c->control_user);
	*uid = pw->pw_uid;
	*gid = pw->pw_gid;
	return 0;
}

static int make_dirs(const char *path, mode_t mode, struct err *err)
{
	char part[RUNDIR_PATH_MAX];
	struct stat st;

	if (strlen(path) >= sizeof(part))
		return err_set(err, ENAMETOOLONG, "%.100s...: the path is too long", path);
	for (size_t i = 1; i <= strlen(path); i++) {
		if (path[i] != '/' && path[i] != '\0')
			continue;
		memcpy(part, path, i);
		part[i] = '\0';
		if (mkdir(part, path[i] == '\0' ? mode : 0755) < 0 && errno != EEXIST)
			return err_set(err, errno, "%s: cannot be made: %s", part, strerror(errno));
	}
	if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR, "%s: not a directory", path);
	return 0;
}

static bool holds_other_files(const char *path, const char *const *files, size_t n_files)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;
	bool other = dir == NULL;

	while (!other && (entry = readdir(dir)) != NULL) {
		other = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
		for (size_t i = 0; i < n_files && other; i++)
			other = strcmp(entry->d_name, files[i]) != 0;
	}
	if (dir != NULL)
		closedir(dir);
	return other;
}

// The files go over with the directory, once: a directory that is already the user's is never entered as root.
static int give_dir(const char *path, uid_t uid, gid_t gid, struct err *err)
{
	static const char *const files[] = {"journal.db", "journal.db-wal", "journal.db-shm"};
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct stat st;
	int ret = 0;

	if (dir < 0 || fstat(dir, &st) < 0) {
		ret = err_set(err, errno, "%s: %s", path, strerror(errno));
	} else if (st.st_uid != uid && holds_other_files(path, files, sizeof(files) / sizeof(files[0]))) {
		ret = err_set(err, EPERM,
			      "state_dir %s: holds other files than the journal: expected a folder of its own to give "
			      "to uid %u",
			      path, (unsigned int)uid);
	} else if (st.st_uid != uid) {
		for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
			int fd = openat(dir, files[i], O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

			if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_nlink == 1 &&
			    fchown(fd, uid, gid) < 0)
				ret = err_set(err, errno, "%s/%s: %s", path, files[i], strerror(errno));
			if (fd >= 0)
				close(fd);
		}
		if (fchown(dir, uid, gid) < 0)
			ret = err_set(err, errno, "%s: cannot be given to uid %u: %s", path, (unsigned int)uid,
				      strerror(errno));
	}
	if (dir >= 0)
		close(dir);
	return ret;
}

int rundir_prepare(const struct config *c, struct err *err)
{
	uid_t uid;
	gid_t gid;

	if (rundir_control_user(c, &uid, &gid, err) < 0 || make_dirs(c->run_dir, 0755, err) < 0 ||
	    make_dirs(c->state_dir, 0700, err) < 0)
		return -err->code;
	return geteuid() == 0 ? give_dir(c->state_dir, uid, gid, err) : 0;
}

int rundir_lock(const struct config *c, const char *name, struct err *err)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[RUNDIR_PATH_MAX];
	int fd;

	if (rundir_path(path, sizeof(path), c->run_dir, name, err) < 0)
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return err_set(err, errno, "%s: %s", path, strerror(errno));
	// Of the open file, as flock's; who has it can be asked without taking it.
	if (fcntl(fd, F_OFD_SETLK, &lock) < 0) {
		int code = errno == EAGAIN || errno == EACCES ? EADDRINUSE : errno;

		close(fd);
		return err_set(err, code, "%s: %s", path,
			       code == EADDRINUSE ? "another pane-switchd runs with this run_dir" : strerror(code));
	}
	return 0;
}

bool rundir_is_locked(const struct config *c, const char *name)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
	char path[RUNDIR_PATH_MAX];
	struct err err;
	bool locked;
	int fd;

	if (rundir_path(path, sizeof(path), c->run_dir, name, &err) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return false;
	locked = fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
	close(fd);
	return locked;
}

int rundir_become(uid_t uid, gid_t gid, const char *user, struct err *err)
{
	if (uid == geteuid() && uid == getuid())
		return 0;
	if (initgroups(user, gid) < 0 || setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		return err_set(err, EPERM, "cannot become OS user %s: %s", user, strerror(errno));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(err, EPERM, "cannot become OS user %s: %s", user, strerror(errno));
	return 0;
}
