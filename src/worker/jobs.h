/* worker/jobs.h - the jobs that main.c's table names: one function each, in a file of its own.
 *
 * A job gets the request of job.h (borrowed) and returns its result (a new reference), or NULL with
 * *e set. It runs alone in its process: what it leaves open or mounted in its own namespaces ends
 * with it, what it leaves on disk does not.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"

struct rpc;

typedef json_t *worker_job_fn(struct rpc *r, const json_t *request, struct err *e);

worker_job_fn worker_build;              /* build.c */
worker_job_fn worker_cache_mounts;       /* cache_mounts.c */
worker_job_fn worker_buildkit;           /* gateway.c */
worker_job_fn worker_changes;            /* changes.c */
worker_job_fn worker_client_certificate; /* client_certificate.c */
worker_job_fn worker_commit;             /* commit.c */
worker_job_fn worker_devices;            /* devices.c */
worker_job_fn worker_files_export;       /* files.c */
worker_job_fn worker_files_get, worker_files_put, worker_files_stat;
worker_job_fn worker_import;                           /* import.c */
worker_job_fn worker_ingress;                          /* ingress.c */
worker_job_fn worker_ingress_count;                    /* ingress_count.c */
worker_job_fn worker_keep_volume, worker_leave_volume; /* keep_volume.c */
worker_job_fn worker_layer_tar;                        /* layer_tar.c */
worker_job_fn worker_load;                             /* load.c */
worker_job_fn worker_login;                            /* login.c */
worker_job_fn worker_manifests; /* registry_manifests.c; started by the CLI */
worker_job_fn worker_password;  /* password.c */
worker_job_fn worker_plug;      /* plug.c */
worker_job_fn worker_pull;      /* pull.c */
worker_job_fn worker_push;      /* push.c */
worker_job_fn worker_registry;  /* registry_ask.c */
/* {"dir", "names": [], "sync": path}: trees below dir, in this order, once the file has reached the
 * disk that says that nobody needs them; without "sync" at once */
worker_job_fn worker_remove_tree;
worker_job_fn worker_save;         /* save.c */
worker_job_fn worker_seed_volume;  /* seed_volume.c */
worker_job_fn worker_storage;      /* storage.c */
worker_job_fn worker_storage_disk; /* storage_disk.c */
worker_job_fn worker_sync;         /* sync.c */
worker_job_fn worker_tree_sizes;   /* {"paths": []}: {"sizes": []}, in bytes */
worker_job_fn worker_top;          /* top.c */
worker_job_fn worker_update;       /* update.c */
worker_job_fn worker_verify;       /* verify.c */

/* certificates.c, acme.c */
worker_job_fn worker_certificates;
worker_job_fn worker_acme;

/* logs and volumes: log_pack.c, read_journal.c, mount_volume.c */
worker_job_fn worker_unpack_log;
worker_job_fn worker_read_journal;
worker_job_fn worker_mount_volume;
worker_job_fn worker_unmount_volume;
/* `wherry-worker compress-log INODE`, started by a shim: no job of the daemon. The exit status. */
int worker_compress_log(const char *inode);
/* `wherry-worker begin|done|failed TYPE IDENT TOKEN AUTH`, started by uacme: the same, in acme.c.
 */
bool worker_is_acme_hook(const char *method);
int worker_acme_hook(char **args);
/* `wherry-worker tls HOST VERIFY CA CERT KEY`, started by the CLI: the same, in tls_pipe.c. */
int worker_tls(char **args);
