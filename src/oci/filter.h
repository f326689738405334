/* oci/filter.h - seccomp filters that crun has compiled before.
 *
 * crun compiles the profile with libseccomp at every start, which is a third of a start's CPU time;
 * its own cache is not in every build of it. What it compiled once for a profile is kept in a
 * directory of ours (on a tmpfs: it does not outlive the kernel it was made for) and handed to it
 * in the annotation run.oci.seccomp_bpf_data (crun(1)). The profile itself stays in config.json: a
 * runtime that does not know the annotation takes that.
 */
#pragma once
#include <stdbool.h>

#include "codec/sha256.h"

#define OCI_FILTER_ANNOTATION "run.oci.seccomp_bpf_data"
#define OCI_FILTER_KEY_LEN 64

/* Names the filter of a profile (its OCI text) within dir. */
void oci_filter_key(const char *profile, char ret[static OCI_FILTER_KEY_LEN + 1]);

/* The filter as base64, the caller's; NULL when it has not been kept yet. */
char *oci_filter_read(const char *dir, const char *key);

/* Keeps what crun made for a container whose state is crun_root/id, for the next one. Failures mean
 * only that it is compiled again. */
void oci_filter_keep(const char *dir, const char *key, const char *crun_root, const char *id);
