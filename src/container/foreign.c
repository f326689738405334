/* Containers of images for other architectures. */
#include <string.h>

#include "base/json.h"
#include "base/log.h"
#include "container/internal.h"
#include "image/image.h"
#include "oci/emulate.h"

/* 0: its programs run here, or nobody knows what they are. */
static int emulate(const struct container *c, struct err *e)
{
	struct err ignored;
	const struct image *i = image_find(c->set->d.images, c->image_id, &ignored);
	const char *arch = i ? json_str(i->config, "architecture") : "";
	return *arch ? oci_emulate(arch, e) : 0;
}

void container_foreign_prepare(const struct container *c)
{
	struct err e;
	if (emulate(c, &e) < 0) { /* images exist whose programs are not for what they say */
		log_debug("container", "foreign", "id", c->id, "error", e.msg, NULL);
	}
}

void container_foreign_explain(const struct container *c, const char *text, struct err *e)
{
	struct err why;
	if (strcasestr(text, "exec format error") && emulate(c, &why) < 0) {
		const struct err first = *e;
		err_set_(e, first.kind, "%.120s: %s", first.msg, why.msg);
	}
}
