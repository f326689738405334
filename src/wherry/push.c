/* push */
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "codec/ref.h"
#include "wherry/auth.h"
#include "wherry/engine.h"
#include "wherry/flags.h"
#include "wherry/progress.h"
#include "wherry/push.h"

struct push {
	bool all, quiet;
	const char *platform;
};

/* An image has one platform here: another one cannot be pushed of it. */
static int check_platform(struct cli *cli, const char *name, const char *platform, struct err *e)
{
	scoped(json) json_t *image = NULL;
	if (engine_on(cli, "GET", "/images/", name, "/json", &image, e) < 0) {
		return -1;
	}
	const char *variant = json_str(image, "Variant");
	scoped(free) char *plain =
		xasprintf("%s/%s", json_str(image, "Os"), json_str(image, "Architecture"));
	scoped(free) char *whole = xasprintf("%s%s%s", plain, *variant ? "/" : "", variant);
	if (strcmp(platform, plain) == 0 || strcmp(platform, whole) == 0) {
		return 0;
	}
	return err_set(e, ERR_NOT_FOUND,
		"image with reference %s was found but does not match the specified platform: wanted %s, actual: %s",
		name, platform, whole);
}

static int post_push(
	struct cli *cli, const struct ref *ref, const struct progress_sink *to, struct err *e)
{
	char name[REF_TEXT_MAX];
	scoped(buf) struct buf path = BUF_INIT;
	scoped(buf) struct buf headers = BUF_INIT;
	path_add(&path, "/images/", ref_familiar_name(ref, name), "/push");
	path_query(&path, "tag", *ref->tag ? ref->tag : NULL);
	auth_header_for_image(cli, name, &headers);
	if (headers.len == 0) { /* "{}": without the header engines read a body */
		buf_puts(&headers, "X-Registry-Auth: e30=\r\n");
	}
	const struct http_call call = {
		.method = "POST", .path = buf_str(&path), .headers = buf_str(&headers)};
	return engine_send(cli->http, &call, NULL, e) < 0 ? -1 : progress_into(cli->http, to, e);
}

int push_image(struct cli *cli, const char *image, const struct progress_sink *to, struct err *e)
{
	struct ref ref;
	if (ref_parse(image, &ref, e) < 0) {
		return -1;
	}
	ref_default_tag(&ref);
	return post_push(cli, &ref, to, e);
}

static int push(struct cli *cli, const struct push *o, const char *image, struct err *e)
{
	struct ref ref;
	char name[REF_TEXT_MAX];
	if (ref_parse(image, &ref, e) < 0) {
		return -1;
	}
	bool named = *ref.tag || *ref.digest;
	if (o->all && named) {
		return err_set(e, ERR_INVALID, "tag can't be used with --all-tags/-a");
	}
	if (*ref.digest) {
		return err_set(e, ERR_INVALID, "cannot push a digest reference");
	}
	if (!o->all) {
		ref_default_tag(&ref);
	}
	if (!o->all && !named && !o->quiet) {
		printf("Using default tag: latest\n");
		fflush(stdout);
	}
	if (o->platform && check_platform(cli, ref_familiar(&ref, name), o->platform, e) < 0) {
		return -1;
	}
	const struct progress_sink screen = {.out = stdout};
	if (post_push(cli, &ref, o->quiet ? NULL : &screen, e) < 0) {
		return -1;
	}
	if (o->quiet) {
		printf("%s\n", o->all ? ref_name(&ref, name) : ref_canonical(&ref, name));
	}
	return 0;
}

int command_push(struct cli *cli, int argc, char **argv)
{
	struct push o = {0};
	const struct flag flags[] = {
		{"all-tags", 'a', FLAG_BOOL, &o.all, NULL,
			"Push all tags of an image to the repository"},
		{"platform", 0, FLAG_STRING, &o.platform, NULL,
			"Push only if the image is of this platform (os[/arch[/variant]])"},
		{"quiet", 'q', FLAG_BOOL, &o.quiet, NULL, "Suppress verbose output"},
		{0},
	};
	const struct syntax s = {
		"push", "[OPTIONS] NAME[:TAG]", "Upload an image to a registry", 1, 1, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	return push(cli, &o, argv[1], &e) < 0 ? cli_fail(&e) : 0;
}
