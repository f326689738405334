/* pull, import, load, save */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "codec/ref.h"
#include "wherry/auth.h"
#include "wherry/download.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/specs.h"
#include "wherry/progress.h"
#include "wherry/pull.h"

static int post_pull(struct cli *cli, const struct ref *ref, const char *platform,
	const struct progress_sink *to, struct err *e)
{
	char name[REF_TEXT_MAX];
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf headers = BUF_INIT;
	buf_puts(&path, "/images/create");
	path_query(&path, "fromImage", ref_familiar_name(ref, name));
	const char *tag = *ref->digest ? ref->digest : ref->tag;
	path_query(&path, "tag", *tag ? tag : NULL);
	path_query(&path, "platform", platform && *platform ? platform : NULL);
	auth_header_for_image(cli, name, &headers);
	const struct http_call call = {.method = "POST",
		.path = buf_str(&path),
		.headers = headers.len ? buf_str(&headers) : NULL};
	return engine_send(cli->http, &call, NULL, e) < 0 ? -1 : progress_into(cli->http, to, e);
}

int pull_image(struct cli *cli, const char *image, const char *platform,
	const struct progress_sink *to, struct err *e)
{
	struct ref ref;
	if (ref_parse(image, &ref, e) < 0) {
		return -1;
	}
	ref_default_tag(&ref);
	return post_pull(cli, &ref, platform, to, e);
}

int command_pull(struct cli *cli, int argc, char **argv)
{
	bool quiet = false;
	bool all = false;
	const char *platform = NULL;
	const struct flag flags[] = {
		{"all-tags", 'a', FLAG_BOOL, &all, NULL,
			"Download all tagged images in the repository"},
		{"platform", 0, FLAG_STRING, &platform, NULL,
			"Set platform if server is multi-platform capable"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Suppress verbose output"},
		{0},
	};
	const struct syntax s = {"pull", "[OPTIONS] NAME[:TAG|@DIGEST]",
		"Download an image from a registry", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	struct ref ref;
	char name[REF_TEXT_MAX];
	if (ref_parse(argv[1], &ref, &e) < 0) {
		return cli_fail(&e);
	}
	if (all && (*ref.tag || *ref.digest)) {
		err_set(&e, ERR_INVALID, "tag can't be used with --all-tags/-a");
		return cli_fail(&e);
	}
	if (!all && !*ref.tag && !*ref.digest && !quiet) {
		printf("Using default tag: latest\n");
		fflush(stdout);
	}
	if (!all) { /* without a tag the engine takes all of them */
		ref_default_tag(&ref);
	}
	const struct progress_sink screen = {.out = stdout};
	if (post_pull(cli, &ref, platform, quiet ? NULL : &screen, &e) < 0) {
		return cli_fail(&e);
	}
	printf("%s\n", ref_canonical(&ref, name));
	return 0;
}

/* --- archives from a file or stdin --- */

static long read_fd(void *owner, char *data, size_t n)
{
	ssize_t got;
	do {
		got = read(*(int *)owner, data, n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? -errno : got;
}

static int open_input(const char *path, struct err *e)
{
	bool is_stdin = !path || !*path || strcmp(path, "-") == 0;
	int fd = is_stdin ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
			  : open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? spec_open_failed(errno, is_stdin ? "stdin" : path, e) : fd;
}

static int send_archive(struct cli *cli, const char *path, int *fd, FILE *out, struct err *e)
{
	const struct http_source source = {read_fd, fd};
	const struct http_call call = {.method = "POST",
		.path = path,
		.headers = "Content-Type: application/x-tar\r\n",
		.source = &source};
	return engine_send(cli->http, &call, NULL, e) < 0
		       ? -1
		       : progress_show(cli->http, out, NULL, NULL, NULL, e);
}

int command_load(struct cli *cli, int argc, char **argv)
{
	bool quiet = false;
	const char *input = NULL;
	const char *platform = NULL;
	const struct flag flags[] = {
		{"input", 'i', FLAG_STRING, &input, NULL,
			"Read from tar archive file, instead of STDIN"},
		{"platform", 0, FLAG_STRING, &platform, NULL,
			"Load only the given platform, several of them (a,b) or all"},
		{"quiet", 'q', FLAG_BOOL, &quiet, NULL, "Suppress the load output"},
		{0},
	};
	const struct syntax s = {
		"load", "[OPTIONS]", "Load an image from a tar archive or STDIN", 0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	if (!input && isatty(STDIN_FILENO)) {
		err_set(&e, ERR_INVALID, "requested load from stdin, but stdin is empty");
		return cli_fail(&e);
	}
	scoped(close) int fd = open_input(input, &e);
	scoped(buf) struct buf path = BUF_INIT;
	buf_puts(&path, "/images/load");
	path_query(&path, "quiet", quiet || !isatty(STDOUT_FILENO) ? "1" : "0");
	scoped(strv) struct strv platforms = STRV_INIT;
	strv_split(&platforms, platform ? platform : "", ',');
	for (size_t i = 0; i < platforms.n; i++) {
		path_query(&path, "platform", platforms.v[i]);
	}
	return fd < 0 || send_archive(cli, buf_str(&path), &fd, stdout, &e) < 0 ? cli_fail(&e) : 0;
}

int command_save(struct cli *cli, int argc, char **argv)
{
	const char *output = NULL;
	const char *platform = NULL;
	const struct flag flags[] = {
		{"output", 'o', FLAG_STRING, &output, NULL, "Write to a file, instead of STDOUT"},
		{"platform", 0, FLAG_STRING, &platform, NULL,
			"Save only the given platform variant"},
		{0},
	};
	const struct syntax s = {"save", "[OPTIONS] IMAGE [IMAGE...]",
		"Save one or more images to a tar archive (streamed to STDOUT by default)", 1, -1,
		false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(buf) struct buf path = BUF_INIT;
	buf_puts(&path, "/images/get");
	for (int i = 1; i < argc; i++) {
		path_query(&path, "names", argv[i]);
	}
	path_query(&path, "platform", platform);
	return download_check(output, &e) < 0 ||
			       download(cli, buf_str(&path), output, "failed to save image", &e) < 0
		       ? cli_fail(&e)
		       : 0;
}

struct import {
	struct strv changes;
	const char *message, *platform;
};

static int import_from(struct cli *cli, const struct import *o, const char *source,
	const char *reference, struct err *e)
{
	scoped(close) int fd = -1;
	scoped(buf) struct buf path = BUF_INIT;
	struct ref ref;
	char name[REF_TEXT_MAX];
	buf_puts(&path, "/images/create?fromSrc=-");
	if (reference) {
		if (ref_parse(reference, &ref, e) < 0) {
			return -1;
		}
		path_query(&path, "repo", ref_familiar_name(&ref, name));
		path_query(&path, "tag", *ref.tag ? ref.tag : NULL);
	}
	path_query(&path, "message", o->message);
	path_query(&path, "platform", o->platform);
	for (size_t i = 0; i < o->changes.n; i++) {
		path_query(&path, "changes", o->changes.v[i]);
	}
	if (strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0) {
		return err_set(e, ERR_INVALID,
			"importing from a URL is not supported: download %s and import the file",
			source);
	}
	fd = open_input(source, e);
	return fd < 0 ? -1 : send_archive(cli, buf_str(&path), &fd, stdout, e);
}

int command_import(struct cli *cli, int argc, char **argv)
{
	struct import o = {0};
	const struct flag flags[] = {
		{"change", 'c', FLAG_LIST, &o.changes, NULL,
			"Apply Dockerfile instruction to the created image"},
		{"message", 'm', FLAG_STRING, &o.message, NULL,
			"Set commit message for imported image"},
		{"platform", 0, FLAG_STRING, &o.platform, NULL,
			"Set platform if server is multi-platform capable"},
		{0},
	};
	const struct syntax s = {"import", "[OPTIONS] file|URL|- [REPOSITORY[:TAG]]",
		"Import the contents from a tarball to create a filesystem image", 1, -1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status < 0) {
		struct err e;
		status = import_from(cli, &o, argv[1], argc > 2 ? argv[2] : NULL, &e) < 0
				 ? cli_fail(&e)
				 : 0;
	}
	strv_deinit(&o.changes);
	return status;
}
