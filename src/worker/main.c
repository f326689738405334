/* wherry-worker NAME - does one job for the daemon and ends (job/job.h). */
#include <fcntl.h>
#include <locale.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/oom.h"
#include "worker/jobs.h"
#include "worker/rpc.h"
#include "worker/view.h"

#define RPC_FD 3

static const struct {
	const char *name;
	worker_job_fn *run;
} jobs[] = {
	{"acme", worker_acme},
	{"build", worker_build},
	{"cache-mounts", worker_cache_mounts},
	{"buildkit", worker_buildkit},
	{"certificates", worker_certificates},
	{"changes", worker_changes},
	{"client-certificate", worker_client_certificate},
	{"commit", worker_commit},
	{"devices", worker_devices},
	{"files-export", worker_files_export},
	{"files-get", worker_files_get},
	{"files-put", worker_files_put},
	{"files-stat", worker_files_stat},
	{"import", worker_import},
	{"ingress", worker_ingress},
	{"ingress-count", worker_ingress_count},
	{"keep-volume", worker_keep_volume},
	{"leave-volume", worker_leave_volume},
	{"layer-tar", worker_layer_tar},
	{"load", worker_load},
	{"login", worker_login},
	{"manifests", worker_manifests},
	{"mount-volume", worker_mount_volume},
	{"password", worker_password},
	{"plug", worker_plug},
	{"pull", worker_pull},
	{"push", worker_push},
	{"registry", worker_registry},
	{"read-journal", worker_read_journal},
	{"remove-tree", worker_remove_tree},
	{"save", worker_save},
	{"seed-volume", worker_seed_volume},
	{"storage", worker_storage},
	{"storage-disk", worker_storage_disk},
	{"sync", worker_sync},
	{"tree-sizes", worker_tree_sizes},
	{"top", worker_top},
	{"unmount-volume", worker_unmount_volume},
	{"unpack-log", worker_unpack_log},
	{"update-limits", worker_update},
	{"verify", worker_verify},
};

static worker_job_fn *find_job(const char *name)
{
	for (size_t i = 0; i < sizeof(jobs) / sizeof(*jobs); i++) {
		if (strcmp(jobs[i].name, name) == 0) {
			return jobs[i].run;
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "compress-log") == 0) {
		return worker_compress_log(argv[2]);
	}
	if (argc == 6 && worker_is_acme_hook(argv[1])) {
		return worker_acme_hook(argv + 1);
	}
	if (argc == 7 && strcmp(argv[1], "tls") == 0) {
		return worker_tls(argv + 2);
	}
	worker_job_fn *run = argc == 2 ? find_job(argv[1]) : NULL;
	if (!run) {
		fprintf(stderr,
			"wherry-worker does one job for wherryd; it is not meant to be run by hand\n");
		return 2;
	}
	/* A daemon that died before this line has closed the socket, which rpc notices. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	oom_drop_protection();
	if (fcntl(RPC_FD, F_SETFD, FD_CLOEXEC) < 0) {
		fprintf(stderr, "wherry-worker: fd 3 must be the daemon's socket\n");
		return 2;
	}
	(void)fcntl(VIEW_NS_FD, F_SETFD, FD_CLOEXEC); /* only the jobs of files.c have one */
	umask(022);
	setlocale(LC_CTYPE, "C.UTF-8"); /* libarchive converts the names in pax headers */
	mallopt(M_ARENA_MAX, 2);        /* a heap for each thread would cost more than the work */
	struct rpc *r = rpc_new(RPC_FD);
	struct err e = {0};
	json_t *request = rpc_request(r, &e);
	json_t *result = request ? run(r, request, &e) : NULL;
	json_decref(request);
	if (!result) {
		rpc_error(r, &e);
		rpc_free(r);
		return 1;
	}
	rpc_result(r, result);
	rpc_free(r);
	return 0;
}
