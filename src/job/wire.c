#include "job/wire.h"

#include <string.h>

#include "base/json.h"

static const char *const kind_names[] = {
	[ERR_SYSTEM] = "system",
	[ERR_INVALID] = "invalid",
	[ERR_DENIED] = "denied",
	[ERR_NOT_FOUND] = "not_found",
	[ERR_CONFLICT] = "conflict",
	[ERR_UNCHANGED] = "unchanged",
	[ERR_BUSY] = "busy",
	[ERR_NOT_IMPLEMENTED] = "not_implemented",
	[ERR_UNAUTHORIZED] = "unauthorized",
};
#define N_KINDS (sizeof(kind_names) / sizeof(*kind_names))

json_t *job_err_to_json(const struct err *e)
{
	json_t *doc = json_object();
	json_put_str(doc, "kind", e->kind < N_KINDS ? kind_names[e->kind] : kind_names[ERR_SYSTEM]);
	json_put_str(doc, "message", e->msg);
	return doc;
}

void job_err_from_json(const json_t *doc, struct err *ret)
{
	const char *name = json_str(doc, "kind");
	enum err_kind kind = ERR_SYSTEM;
	for (size_t i = 0; i < N_KINDS; i++) {
		if (strcmp(kind_names[i], name) == 0) {
			kind = (enum err_kind)i;
		}
	}
	const char *message = json_str(doc, "message");
	(void)err_set(ret, kind, "%s", *message ? message : "the worker failed without a reason");
}
