/* What remains to be done when the engine is done with a build. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/text.h"
#include "build/excerpt.h"
#include "wherry/build_hint.h"
#include "wherry/build_run.h"
#include "wherry/build_screen.h"
#include "wherry/push.h"

/* The image's id: with a store of images that is the digest of its configuration. */
static const char *id_of(const json_t *response)
{
	const char *config = json_str(response, "containerimage.config.digest");
	return *config ? config : json_str(response, "containerimage.digest");
}

/* Values that are base64 of JSON become what they hold, as buildx writes them. */
static json_t *metadata_of(const json_t *response)
{
	json_t *ret = json_object();
	const char *key;
	json_t *v;
	json_object_foreach ((json_t *)(uintptr_t)response, key, v) {
		const char *text = json_string_value(v);
		scoped(buf) struct buf bytes = BUF_INIT;
		struct err ignored;
		bool encoded = text && base64_decode(text, strlen(text), &bytes) == 0 &&
			       bytes.len > 0 && bytes.data[0] == '{';
		json_t *decoded =
			encoded ? json_parse(bytes.data, bytes.len, "it", &ignored) : NULL;
		json_put(ret, key, decoded ? decoded : json_incref(v));
	}
	return ret;
}

static int write_metadata(const char *path, const json_t *response, struct err *e)
{
	scoped(json) json_t *doc = metadata_of(response);
	scoped(free) char *text = json_dumps(doc, JSON_INDENT(2) | JSON_SORT_KEYS);
	int r = path_write(AT_FDCWD, path, text, strlen(text), 0644, false);
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

int build_outcome(struct cli *cli, const struct build_job *j, struct err *e)
{
	const struct build_options *o = j->options;
	const char *id = id_of(j->response);
	if (build_stores_update(&j->request, j->response, e) < 0) {
		return -1;
	}
	if (o->iidfile && *id) {
		int r = path_write(AT_FDCWD, o->iidfile, id, strlen(id), 0644, false);
		if (r < 0) {
			return err_sys(e, -r, "cannot write %s", o->iidfile);
		}
	}
	if (o->metadata_file && write_metadata(o->metadata_file, j->response, e) < 0) {
		return -1;
	}
	const struct progress_sink screen = {.out = stderr};
	for (size_t i = 0; i < j->request.push_names.n; i++) {
		if (push_image(cli, j->request.push_names.v[i], o->quiet ? NULL : &screen, e) < 0) {
			return err_wrap(e, "failed to push %s", j->request.push_names.v[i]);
		}
	}
	if (o->quiet && *id && !o->source) {
		printf("%s\n", id);
		fflush(stdout);
	}
	return 0;
}

int build_outcome_answer(const struct build_job *j)
{
	bool json = text_ends(j->options->call, "format=json");
	const char *text = json_str(j->response, json ? "result.json" : "result.txt");
	if (!*text && !json_object_get(j->response, "result.json")) {
		fprintf(stderr, "ERROR: this engine does not answer --call=%s\n", j->options->call);
		return 1;
	}
	bool check = strcmp(json_str(j->request.attrs, "requestid"), "frontend.lint") == 0;
	if (!*text && !check) {
		return 0; /* there is nothing to say */
	}
	printf("%s%s", *text ? text : "Check complete, no warnings found.",
		*text && text_ends(text, "\n") ? "" : "\n");
	return strcmp(json_str(j->response, "result.statuscode"), "1") == 0;
}

void build_outcome_failed(const struct build_job *j)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *error = j->error ? j->error : "unknown";
	const char *prefix = j->options->source && *j->options->source ? j->options->source : NULL;
	if (j->cancelled) {
		fprintf(stderr, "ERROR: %s%sfailed to solve: Canceled: context canceled\n",
			prefix ? prefix : "", prefix ? ": " : "");
		return;
	}
	if (j->place.line > 0 && j->place.text) {
		scoped(free) char *word = excerpt_word(error);
		const struct excerpt x = {.file = j->place.file,
			.text = j->place.text,
			.line = j->place.line,
			.end_line = j->place.last_line,
			.word = word};
		excerpt_print(&x, &text);
	}
	buf_printf(&text, "ERROR: %s%s%s%s\n", prefix ? prefix : "", prefix ? ": " : "",
		j->solving ? "failed to solve: " : "", error);
	const char *hint = build_hint(error);
	if (hint) {
		buf_printf(&text, "hint: %s\n", hint);
	}
	scoped(buf) struct buf shown = BUF_INIT; /* words and lines of a Dockerfile */
	screen_text(buf_str(&text), &shown);
	fputs(buf_str(&shown), stderr);
}
