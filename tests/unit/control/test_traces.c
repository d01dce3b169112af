// SPDX-License-Identifier: Apache-2.0
// Runs trace files, all of which must pass: argv[1] is the folder of the project's own, argv[2] one of published ones
// (it may be missing).
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/check.h"

static int is_trace(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > 5 && strcmp(entry->d_name + len - 5, ".pane") == 0;
}

// Number of failures, -1 when the folder cannot be read.
static int run_folder(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, is_trace, alphasort), failures = 0;

	for (int i = 0; i < n; i++) {
		struct check_result result;
		struct err err;
		char file[4096];
		int rc;

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		rc = check_file(file, stdout, &result, &err);
		if (rc < 0)
			printf("%s\n", err.msg);
		printf("%s: %zu statements, %zu differ\n", entries[i]->d_name, result.statements, result.differing);
		failures += rc < 0 || result.differing > 0 || result.statements == 0;
		free(entries[i]);
	}
	if (n >= 0)
		free(entries);
	return n < 0 ? -1 : failures + (n == 0);
}

int main(int argc, char **argv)
{
	int own, published;

	if (argc != 3) {
		fprintf(stderr, "usage: test_traces OWN-FOLDER PUBLISHED-FOLDER\n");
		return 2;
	}
	own = run_folder(argv[1]);
	published = run_folder(argv[2]);
	if (published < 0)
		printf("%s is not there: only the project's own traces were run\n", argv[2]);
	return own != 0 || published > 0;
}
