// SPDX-License-Identifier: Apache-2.0
// Feeds the files of a corpus to a fuzz target: what a fuzzer found once stays found, without clang. Arguments:
// folders.
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int feed(const char *path)
{
	FILE *f = fopen(path, "r");
	uint8_t *data;
	size_t size;
	long len;

	if (f == NULL || fseek(f, 0, SEEK_END) < 0 || (len = ftell(f)) < 0 || fseek(f, 0, SEEK_SET) < 0) {
		perror(path);
		exit(1);
	}
	data = malloc((size_t)len + 1); // exactly as long as it is: a read beyond it is an error that a sanitizer sees
	size = data != NULL ? fread(data, 1, (size_t)len, f) : 0;
	data = realloc(data, size > 0 ? size : 1);
	fclose(f);
	printf("%s\n", path);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return 1;
}

int main(int argc, char **argv)
{
	int n = 0;

	for (int i = 1; i < argc; i++) {
		DIR *dir = opendir(argv[i]);
		const struct dirent *entry;
		char path[4096];

		while (dir != NULL && (entry = readdir(dir)) != NULL) {
			if (entry->d_name[0] == '.')
				continue;
			snprintf(path, sizeof(path), "%s/%s", argv[i], entry->d_name);
			n += feed(path);
		}
		if (dir != NULL)
			closedir(dir);
	}
	printf("%d inputs\n", n);
	return n == 0;
}
