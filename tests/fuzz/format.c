/* Parses a template and runs it; what an action is printed as in sentences means the same again. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/format.h"
#include "wherry/format_node.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char document[] =
	"{\"Id\":\"abc\",\"State\":{\"Code\":3,\"Running\":true},\"L\":[\"a\",2,null],\"Labels\":{\"a\":\"b\"},\"N\":null,\"F\":1.5}";

static void check_again(const struct format_node *pipe)
{
	scoped(buf) struct buf first = BUF_INIT;
	scoped(buf) struct buf second = BUF_INIT;
	format_node_put(pipe, &first);
	if (strchr(buf_str(&first), '$')) {
		return; /* variables are known where they stood only */
	}
	struct err e;
	scoped(free) char *text = xasprintf("{{%s}}", buf_str(&first));
	scoped(format_node) struct format_node *again = format_parse("", text, &e);
	assert(again && again->n_kids == 1);
	format_node_put(again->kids[0]->pipe, &second);
	assert(strcmp(buf_str(&first), buf_str(&second)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct err e;
	scoped(free) char *text = xstrndup((const char *)data, size);
	scoped(json) json_t *doc = json_loads(document, 0, NULL);
	scoped(format_node) struct format_node *root = format_parse("", text, &e);
	for (size_t i = 0; root && i < root->n_kids; i++) {
		if (root->kids[i]->kind == NODE_ACTION) {
			check_again(root->kids[i]->pipe);
		}
	}
	scoped(format) struct format *f = format_new("", text, &e);
	assert(!f == !root);
	const struct format_style styles[] = {
		{0}, {.is_row = true, .type = "t"}, {.is_titles = true}};
	for (size_t i = 0; f && i < 3 && size < 4096; i++) {
		scoped(buf) struct buf out = BUF_INIT;
		(void)format_run(f, doc, &styles[i], &out, &e);
	}
	return 0;
}
