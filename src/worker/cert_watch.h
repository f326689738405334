/* worker/cert_watch.h - which directories change when a file does, however it is replaced. */
#pragma once
#include "base/strv.h"

#define CERT_WATCH_MAX 64

/* Appends the directories of path's own name, of each link on the way to what it stands for, and
 * of that: certbot puts new links into a directory, Kubernetes and others rename a link in the
 * middle of the path. Of what is missing, the next directory above that is there. */
void cert_watch_dirs(const char *path, struct strv *ret);
