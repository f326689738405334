#include "worker/config_change.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "build/dockerfile.h"

#define CHANGES_NAME "--change"

/* As a commit in Docker takes them (moby daemon/builder/dockerfile validCommitCommands). */
static bool may_change(enum df_kind kind)
{
	static const enum df_kind allowed[] = {DF_CMD, DF_ENTRYPOINT, DF_HEALTHCHECK, DF_ENV,
		DF_EXPOSE, DF_LABEL, DF_ONBUILD, DF_STOPSIGNAL, DF_USER, DF_VOLUME, DF_WORKDIR};
	for (size_t i = 0; i < sizeof(allowed) / sizeof(*allowed); i++) {
		if (allowed[i] == kind) {
			return true;
		}
	}
	return false;
}

static int apply_change(struct build_config *c, const char *text, struct err *e)
{
	static const struct strv none = STRV_INIT;
	struct strv used = STRV_INIT;
	const struct config_args args = {&none, &none, &used, NULL};
	scoped(dockerfile) struct dockerfile d = {0};
	if (dockerfile_parse_trigger(text, CHANGES_NAME, &d, e) < 0) {
		return -1;
	}
	if (!may_change(d.v[0].kind)) {
		return err_set(e, ERR_INVALID, "%s is not a valid change command",
			df_keyword(d.v[0].kind));
	}
	int r = build_config_apply(c, &d, &d.v[0], &args, e);
	strv_deinit(&used);
	return r;
}

/* The messages of the Dockerfile language begin with a place that does not exist here. */
static int change_failed(const char *text, struct err *e)
{
	static const char place[] = "ONBUILD of " CHANGES_NAME ":1: ";
	struct err why = *e;
	if (!text_starts(why.msg, place)) {
		return -1;
	}
	return err_set(
		e, ERR_INVALID, "invalid change \"%.200s\": %.280s", text, why.msg + strlen(place));
}

int config_changes_apply(struct build_config *c, const json_t *changes, struct err *e)
{
	size_t i;
	json_t *item;
	json_array_foreach (changes, i, item) {
		const char *text = json_string_value(item);
		if (text && apply_change(c, text, e) < 0) {
			return change_failed(text, e);
		}
	}
	return 0;
}
