/* The job "update-limits": {"crun", "crun_root", "id", "cgroup", "resources", "no_pids_limit",
 * "no_cpu_quota"}: new limits for a container that runs. In a worker because a lower memory limit
 * makes the kernel reclaim before the write returns. */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/cgroup.h"
#include "worker/capture.h"
#include "worker/jobs.h"

static int run_crun(const json_t *request, const struct strv *argv, struct err *e)
{
	scoped(buf) struct buf out = BUF_INIT;
	scoped(buf) struct buf words = BUF_INIT;
	int status;
	int r = capture_run(argv, &out, &words, &status);
	if (r < 0) {
		return err_sys(e, -r, "cannot run %s", json_str(request, "crun"));
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	size_t n = strcspn(buf_str(&words), "\n");
	return err_set(e, ERR_SYSTEM, "crun: %.*s", n > 150 ? 150 : (int)n, buf_str(&words));
}

/* The resources go by a memfd that crun inherits and opens by name. */
static int crun_update(const json_t *request, const json_t *resources, struct err *e)
{
	if (json_object_size(resources) == 0) {
		return 0;
	}
	scoped(free) char *text = json_text(resources);
	scoped(close) int fd = memfd_create("resources", 0);
	int r = fd < 0 ? -errno : path_write_all(fd, text, strlen(text));
	if (r < 0) {
		return err_sys(e, -r, "cannot hand the limits to crun");
	}
	scoped(strv) struct strv argv = STRV_INIT;
	strv_add(&argv, json_str(request, "crun"));
	strv_addf(&argv, "--root=%s", json_str(request, "crun_root"));
	strv_add(&argv, "update");
	strv_addf(&argv, "--resources=/proc/self/fd/%d", fd);
	strv_add(&argv, json_str(request, "id"));
	return run_crun(request, &argv, e);
}

json_t *worker_update(struct rpc *r, const json_t *request, struct err *e)
{
	if (crun_update(request, json_object_get(request, "resources"), e) < 0) {
		return NULL;
	}
	if (json_bool(request, "no_pids_limit")) { /* crun 1.8 writes its number, -1, which the
						      kernel does not know */
		int failed = cgroup_unlimit_pids(json_str(request, "cgroup"));
		if (failed < 0) {
			(void)err_sys(e, -failed, "cannot lift the limit of processes");
			return NULL;
		}
	}
	if (json_bool(request, "no_cpu_quota")) {
		int failed = cgroup_unlimit_cpu(json_str(request, "cgroup"));
		if (failed < 0) {
			(void)err_sys(e, -failed, "cannot lift the quota of processor time");
			return NULL;
		}
	}
	return json_object();
}
