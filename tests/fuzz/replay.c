/* Runs a fuzz target over every file of a corpus folder, and over each file cut short at every
 * eighth of its length. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/path.h"
#include "base/scoped.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A copy of exactly size bytes, so that ASan sees a read beyond the end. */
static void run(const char *data, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);
	for (size_t i = 0; i < size; i++) {
		copy[i] = (uint8_t)data[i];
	}
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]);
		return 2;
	}
	scoped(closedir) DIR *dir = opendir(argv[1]);
	if (!dir) {
		perror(argv[1]);
		return 2;
	}
	int files = 0;
	struct dirent *entry;
	while ((entry = readdir(dir))) {
		scoped(buf) struct buf data = BUF_INIT;
		if (entry->d_type == DT_DIR ||
			path_read(dirfd(dir), entry->d_name, 64u << 20, &data) < 0) {
			continue;
		}
		for (size_t eighths = 0; eighths <= 8; eighths++) {
			run(buf_str(&data), data.len * eighths / 8);
		}
		files++;
	}
	printf("%d inputs\n", files);
	return files > 0 ? 0 : 1;
}
