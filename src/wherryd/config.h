/* wherryd/config.h - what the daemon was told: flags and the configuration file, under dockerd's
 * names.
 *
 * One table holds every setting: its key in the file, its flag, its type. A setting given in both
 * places is an error, as in dockerd, and so is a key that is not in the table.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "base/err.h"
#include "base/strv.h"

struct config {
	struct strv hosts; /* "unix:///run/wherry/wherry.sock" */
	char *data_root;
	char *exec_root;
	char *pidfile;
	char *group; /* owner of the sockets */
	char *bridge;
	char *seccomp_profile;
	char *cgroup_parent;
	char *log_level;
	char *metrics_addr; /* "127.0.0.1:9323", or "" */
	char *peers_listen; /* the same for peers */
	bool debug;
	struct strv dns;
	json_t *log_defaults; /* {"Type", "Config"} */
	json_t *registry;     /* what pulls and pushes go by: {"registry-mirrors": [],
				 "insecure-registries": [], "image-signatures": [], "image-peers": [],
				 "max-concurrent-downloads", "max-concurrent-uploads",
				 "max-download-attempts"} */
	json_t *merged;       /* every setting by its key, for /info */
	bool validate, purge_network, help, version; /* --validate, --purge-network, --help,
							--version: the caller acts and exits */
};

/* Reads flags and the file they name (default /etc/wherry/daemon.json, which may be absent). */
int config_read(struct config *c, int argc, char **argv, struct err *e);
void config_deinit(struct config *c);
void config_print_help(void);
