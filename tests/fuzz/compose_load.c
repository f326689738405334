/* A compose file of a stranger's: the loader never crashes, a refusal says where, and what is
 * accepted is printed as a file that loads again to the same thing. */
#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "compose/emit.h"
#include "compose/load.h"
#include "compose/request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct text {
	const char *data;
	size_t n;
};

/* compose.yaml, and base.yaml with the same text, so that extends and include find something. */
static int read_input(void *owner, const char *path, size_t limit, struct buf *ret)
{
	const struct text *t = owner;
	if (strcmp(path, "/p/compose.yaml") != 0 && strcmp(path, "/p/base.yaml") != 0) {
		return -ENOENT;
	}
	return buf_append_limited(ret, t->data, t->n, limit) < 0 ? -EFBIG : 0;
}

static struct project *load(const char *data, size_t n, struct err *e)
{
	static char variable[] = "SET=value";
	static char *const environment[] = {variable, NULL};
	static const struct strv none;
	struct strv all = STRV_INIT;
	strv_add(&all, "*");
	struct text text = {data, n};
	const struct load_options o = {.files = &none,
		.env_files = &none,
		.profiles = &all,
		.services = &none,
		.cwd = "/p",
		.environment = environment,
		.read = read_input,
		.owner = &text};
	struct project *p = project_load(&o, e);
	strv_deinit(&all);
	return p;
}

/* ":LINE:COLUMN: " somewhere. */
static bool says_where(const char *message)
{
	for (const char *p = strchr(message, ':'); p; p = strchr(p + 1, ':')) {
		size_t line = strspn(p + 1, "0123456789");
		if (line > 0 && p[1 + line] == ':' && strspn(p + 2 + line, "0123456789") > 0) {
			return true;
		}
	}
	return false;
}

static const char *container_of(void *owner, const char *service)
{
	return service;
}

static void make_requests(const struct project *p)
{
	for (size_t i = 0; i < p->n_services; i++) {
		struct err e;
		const struct request_container r = {.service = &p->services[i],
			.number = 1,
			.image_id = "",
			.hash = "",
			.container_of = container_of};
		json_decref(request_container(p, &r, &e));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e = {0};
	struct project *first = load((const char *)data, size, &e);
	if (!first) {
		assert(e.kind == ERR_INVALID && says_where(e.msg));
		return 0;
	}
	make_requests(first);
	struct buf printed = BUF_INIT;
	struct buf again = BUF_INIT;
	emit_yaml(first->root, false, &printed);
	struct project *second = load(buf_str(&printed), printed.len, &e);
	if (!second) {
		fprintf(stderr, "%s\n%s", e.msg, buf_str(&printed));
	}
	assert(second);
	emit_yaml(second->root, false, &again);
	if (strcmp(buf_str(&printed), buf_str(&again)) != 0) {
		fprintf(stderr, "%s---\n%s", buf_str(&printed), buf_str(&again));
	}
	assert(strcmp(buf_str(&printed), buf_str(&again)) == 0);
	buf_deinit(&printed);
	buf_deinit(&again);
	project_free(first);
	project_free(second);
	return 0;
}
