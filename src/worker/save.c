/* Job "save": images as one archive on fd 1, as dockerd 25 and later write it (moby
 * image/tarexport/save.go): blobs by their digest, then index.json, manifest.json, oci-layout,
 * repositories.
 *
 * request as worker/layout.h; result {}
 */
#include <unistd.h>

#include "base/json.h"
#include "worker/jobs.h"
#include "worker/layout.h"

json_t *worker_save(struct rpc *r, const json_t *request, struct err *e)
{
	scoped(layout_free) struct layout *l = layout_new(request, e);
	return l && layout_write(l, STDOUT_FILENO, e) == 0 ? json_object() : NULL;
}
