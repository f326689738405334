#include "api/measure.h"

#include <stdlib.h>

#include "api/call.h"
#include "base/json.h"
#include "base/mem.h"
#include "job/job.h"

struct measurement {
	struct call *call; /* a call_ref */
	json_t *doc;
	measure_fn *fn;
};

static void measured(void *owner, struct job *j, json_t *result, const struct err *e)
{
	struct measurement m = *(struct measurement *)owner;
	free(owner);
	if (result) {
		m.fn(m.call, m.doc, json_object_get(result, "sizes"));
	} else {
		json_decref(m.doc);
		call_reply_error(m.call, e);
	}
	call_unref(m.call);
}

void measure(struct call *c, json_t *take_paths, json_t *take_doc, measure_fn *fn)
{
	static const struct job_handlers handlers = {NULL, NULL, measured};
	struct err e;
	struct measurement *m = xnew(struct measurement);
	*m = (struct measurement){call_ref(c), take_doc, fn};
	json_t *request = json_pack("{so}", "paths", take_paths);
	if (!job_start(c->api->d.jobs, "tree-sizes", request, -1, false, &handlers, m, &e)) {
		measured(m, NULL, NULL, &e);
	}
}
