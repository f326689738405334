/* The job "top": {"args", "cgroup"}: ps with those arguments; only the cgroup's processes. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "sys/cgroup.h"
#include "worker/capture.h"
#include "worker/jobs.h"
#include "worker/top_table.h"

/* Runs ps. 1 when it succeeded, 0 when it did not: *e then says why, as dockerd says it. */
static int try_ps(const struct strv *argv, struct buf *ret, struct err *e)
{
	scoped(buf) struct buf words = BUF_INIT;
	int status;
	int r = capture_run(argv, ret, &words, &status);
	if (r == -ENOENT) {
		return err_set(e, ERR_SYSTEM,
			"ps: exec: \"ps\": executable file not found in $PATH: apt-get install procps");
	}
	if (r < 0) {
		return err_sys(e, -r, "cannot run ps");
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 1;
	}
	size_t n = strcspn(buf_str(&words), "\n");
	if (n > 0) {
		(void)err_set(e, ERR_SYSTEM, "ps: %.*s", n > 200 ? 200 : (int)n, words.data);
	} else {
		(void)err_set(e, ERR_SYSTEM, "ps: exit status %d", WEXITSTATUS(status));
	}
	return 0;
}

/* First only the wanted processes; some options (f) do not go together with -q. */
static int run_ps(const char *args, const struct cgroup_pids *pids, struct buf *ret, struct err *e)
{
	scoped(strv) struct strv argv = STRV_INIT;
	scoped(strv) struct strv few = STRV_INIT;
	struct buf q = BUF_INIT;
	strv_add(&argv, "ps");
	strv_split(&argv, args, ' ');
	buf_puts(&q, "-q");
	for (size_t i = 0; i < pids->n; i++) {
		buf_printf(&q, "%s%d", i ? "," : "", (int)pids->v[i]);
	}
	strv_copy(&few, &argv);
	strv_take(&few, buf_take_str(&q));
	int r = try_ps(&few, ret, e);
	if (r == 0) {
		r = try_ps(&argv, ret, e);
	}
	return r == 1 ? 0 : -1;
}

json_t *worker_top(struct rpc *r, const json_t *request, struct err *e)
{
	struct cgroup_pids pids;
	scoped(buf) struct buf text = BUF_INIT;
	int found = cgroup_pids_read(json_str(request, "cgroup"), &pids);
	if (found < 0) {
		(void)err_sys(e, -found, "cannot read the processes of the container");
		return NULL;
	}
	json_t *table = NULL;
	if (run_ps(json_str(request, "args"), &pids, &text, e) == 0) {
		table = top_table(buf_str(&text), pids.v, pids.n, e);
	}
	free(pids.v);
	return table;
}
