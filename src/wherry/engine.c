#include "wherry/engine.h"

#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/program.h"
#include "base/text.h"

#define DOCUMENT_MAX (16u << 20)

int cli_fail(const struct err *e)
{
	fprintf(stderr, "%s\n", e->msg);
	return 1;
}

void path_add(struct buf *path, const char *prefix, const char *name, const char *suffix)
{
	buf_puts(path, prefix);
	for (const char *p = name; *p;) {
		size_t n = strcspn(p, "/");
		scoped(strv) struct strv part = STRV_INIT;
		strv_addn(&part, p, n);
		percent_encode(part.v[0], path);
		p += n;
		if (*p) {
			buf_putc(path, *p++);
		}
	}
	buf_puts(path, suffix);
}

void path_query(struct buf *path, const char *key, const char *value)
{
	if (value) {
		buf_printf(path, "%c%s=", strchr(buf_str(path), '?') ? '&' : '?', key);
		percent_encode(value, path);
	}
}

int path_filters(struct buf *path, const struct strv *filters, struct err *e)
{
	if (filters->n == 0) {
		return 0;
	}
	scoped(json) json_t *doc = json_object();
	for (size_t i = 0; i < filters->n; i++) {
		char *equal = strchr(filters->v[i], '=');
		if (!equal) {
			return err_set(e, ERR_INVALID,
				"invalid argument \"%s\" for \"-f, --filter\" flag: bad format of filter (expected name=value)",
				filters->v[i]);
		}
		scoped(strv) struct strv key = STRV_INIT;
		strv_addn(&key, filters->v[i], (size_t)(equal - filters->v[i]));
		json_t *values = json_object_get(doc, key.v[0]);
		if (!values) {
			values = json_object();
			json_put(doc, key.v[0], values);
		}
		json_put(values, equal + 1, json_true());
	}
	scoped(free) char *text = json_text(doc);
	path_query(path, "filters", text);
	return 0;
}

/* http_client_fail's sentence is the engine's own when the answer was read. */
static int refused(struct http_client *http, const struct http_response *r, struct err *e)
{
	http_client_fail(http, r, e);
	size_t n = strlen(e->msg);
	while (n > 0 && strchr(" \n", e->msg[n - 1])) {
		e->msg[--n] = '\0';
	}
	return err_wrap(e, "Error response from daemon");
}

int engine_send(
	struct http_client *http, const struct http_call *call, int *ret_status, struct err *e)
{
	struct http_response r;
	if (http_client_send(http, call, &r, e) < 0) {
		return -1;
	}
	int result = r.status >= 400 ? refused(http, &r, e) : 0;
	if (ret_status && result == 0) {
		*ret_status = r.status;
	}
	http_response_deinit(&r);
	return result;
}

static int keep_document(void *owner, const json_t *doc, struct err *e)
{
	json_t **ret = owner;
	json_decref(*ret);
	*ret = json_incref((json_t *)doc);
	return 0;
}

int engine_json(struct cli *cli, const char *method, const char *path, const json_t *body,
	json_t **ret, struct err *e)
{
	const struct http_call call = {.method = method, .path = path, .body_json = body};
	if (engine_send(cli->http, &call, NULL, e) < 0) {
		return -1;
	}
	if (!ret) {
		http_client_skip(cli->http);
		return 0;
	}
	*ret = NULL;
	return engine_documents(cli->http, keep_document, ret, e);
}

int engine_on(struct cli *cli, const char *method, const char *prefix, const char *name,
	const char *suffix, json_t **ret, struct err *e)
{
	scoped(buf) struct buf path = BUF_INIT;
	size_t kind = strspn(prefix, "/");
	size_t n = strcspn(prefix + kind, "/"); /* "containers" */
	if (!*name && n > 0) {
		return err_set(e, ERR_INVALID, "invalid %.*s name or ID: value is empty",
			(int)n - 1, prefix + kind);
	}
	path_add(&path, prefix, name, suffix);
	return engine_json(cli, method, buf_str(&path), NULL, ret, e);
}

/* The length of the first complete document in text, 0 when there is none yet. */
static size_t document_length(const char *text, size_t n)
{
	int depth = 0;
	bool quoted = false;
	for (size_t i = 0; i < n; i++) {
		char c = text[i];
		if (quoted) {
			i += c == '\\';
			quoted = c != '"';
			continue;
		}
		quoted = c == '"';
		depth += (c == '{' || c == '[') - (c == '}' || c == ']');
		if (depth == 0 && (c == '}' || c == ']' || c == '\n')) {
			return i + 1;
		}
	}
	return 0;
}

static int give_documents(
	struct buf *text, bool at_end, engine_doc_fn *fn, void *owner, struct err *e)
{
	for (;;) {
		size_t blanks = strspn(buf_str(text), " \r\n\t");
		buf_consume(text, blanks < text->len ? blanks : text->len);
		size_t n = document_length(buf_str(text), text->len);
		if (n == 0 && at_end) {
			n = text->len;
		}
		if (n == 0) {
			return 0;
		}
		scoped(json) json_t *doc = json_parse(buf_str(text), n, "the answer", e);
		buf_consume(text, n);
		int r = doc ? fn(owner, doc, e) : -1;
		if (r != 0) {
			return r;
		}
	}
}

int engine_documents(struct http_client *http, engine_doc_fn *fn, void *owner, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	char data[16384];
	long n;
	while ((n = http_client_read(http, data, sizeof(data), e)) > 0) {
		if (buf_append_limited(&text, data, (size_t)n, DOCUMENT_MAX) < 0) {
			return err_set(e, ERR_SYSTEM,
				"the engine sent a document of more than %u bytes", DOCUMENT_MAX);
		}
		/* an end can only be where a bracket or a line closes: a large document is not
		 * scanned again for each piece */
		int r = memchr(data, '}', (size_t)n) || memchr(data, ']', (size_t)n)
				? give_documents(&text, false, fn, owner, e)
				: 0;
		if (r != 0) {
			return r;
		}
	}
	return n < 0 ? -1 : give_documents(&text, true, fn, owner, e);
}

struct http_client *engine_connect(const struct cli *cli, struct err *e)
{
	struct http_client *http = http_client_new(cli->host, e);
	scoped(free) char *worker =
		cli->tls ? program_find("wherry-worker", "worker", WHERRY_LIBEXECDIR) : NULL;
	if (http && worker) {
		http_client_tls(http, worker, cli->tls);
	} else if (http && cli->tls) {
		http_client_free(http);
		err_set(e, ERR_NOT_FOUND,
			"TLS needs wherry-worker, which is neither beside this program nor in %s",
			WHERRY_LIBEXECDIR);
		return NULL;
	}
	if (http && cli->headers) {
		http_client_headers(http, cli->headers);
	}
	return http;
}

int engine_each(struct cli *cli, int argc, char **argv, engine_each_fn *fn, void *owner)
{
	int status = 0;
	for (int i = 1; i < argc; i++) {
		struct err e;
		if (fn(cli, argv[i], owner, &e) < 0) {
			status = cli_fail(&e);
		} else {
			printf("%s\n", argv[i]);
			fflush(stdout);
		}
	}
	return status;
}

bool engine_confirm(const char *warning)
{
	printf("WARNING! %s\nAre you sure you want to continue? [y/N] ", warning);
	fflush(stdout);
	char answer[16];
	return fgets(answer, sizeof(answer), stdin) && (answer[0] == 'y' || answer[0] == 'Y');
}
