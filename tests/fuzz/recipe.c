/* A recipe that a broken disk, or somebody, has changed: reading it ends, with an error or the
 * bytes it asks for, and never gives what lies outside of the layer. */
#include <assert.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "tree/recipe.h"
#include "tree/stream.h"

#define OUTPUT_MAX (4 << 20) /* a few bytes can mean any number of zeros */
#define CANARY "outside of the layer"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char top[] = "/tmp/fuzz-recipe.XXXXXX";
static int layers = -1;

static void remove_top(void)
{
	path_remove_tree(AT_FDCWD, top);
}

static void make_layers(void)
{
	assert(mkdtemp(top));
	atexit(remove_top);
	layers = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert(layers >= 0 && mkdirat(layers, "x", 0700) == 0 && mkdirat(layers, "x/d", 0700) == 0);
	scoped(free) char *absolute = xasprintf("%s/canary", top);
	assert(path_write(layers, "canary", CANARY, strlen(CANARY), 0600, false) == 0);
	assert(path_write(layers, "x/d/f", "a file of it", 12, 0600, false) == 0);
	assert(symlinkat(absolute, layers, "x/absolute") == 0);
	assert(symlinkat("../canary", layers, "x/relative") == 0);
	assert(symlinkat("..", layers, "x/up") == 0);
	assert(symlinkat("d", layers, "x/inside") == 0);
	assert(mkfifoat(layers, "x/fifo", 0600) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	if (size > 0 && memmem(data, size, CANARY, strlen(CANARY))) {
		return 0; /* libFuzzer learns what is compared: bytes of its own are not from a file
			   */
	}
	if (layers < 0) {
		make_layers();
	}
	assert(path_write(layers, "x.recipe", data, size, 0600, false) == 0);
	scoped(buf) struct buf out = BUF_INIT;
	scoped(stream_free) struct stream *s = recipe_open(layers, "x", &e);
	char chunk[4096];
	ssize_t n = s ? 1 : -1;
	while (n > 0 && out.len < OUTPUT_MAX) {
		n = stream_read(s, chunk, sizeof(chunk), &e);
		if (n > 0) {
			buf_append(&out, chunk, (size_t)n);
		}
	}
	assert(n >= 0 || (*e.msg && (e.kind == ERR_INVALID || e.kind == ERR_SYSTEM)));
	assert(out.len == 0 || !memmem(out.data, out.len, CANARY, strlen(CANARY)));
	return 0;
}
