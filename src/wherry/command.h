/* wherry/command.h - what every command of the `wherry` program gets, and the list of all commands.
 *
 * A command is one function: it reads its own flags (wherry/flags.h), talks to the engine through
 * cli->http, prints, and returns the exit status of the program. The table that names them is in
 * commands.c; help texts and aliases come from it.
 */
#pragma once
#include <stdbool.h>

#include "base/err.h"
#include "http/client.h"

struct cli {
	struct http_client
		*http;    /* one kept connection to the engine; connects at the first request */
	const char *host; /* "unix:///run/wherry/wherry.sock": to open further connections */
	const char *config_dir; /* DOCKER_CONFIG or ~/.docker: registry logins */
	const char *context;    /* the name of docker's context, "default" */
	const json_t *config;   /* config.json as it was at the start; never NULL in a command */
	char *headers;          /* "Name: value\r\n" for each request, or NULL */
	struct tls_files *tls;  /* to the engine; NULL: none */
	bool debug;
};

/* argv[0] is the command as the user spelt it in the table ("run", "network ls"); returns the exit
 * status. */
typedef int command_fn(struct cli *cli, int argc, char **argv);

/* Prints the sentence on stderr. Returns 1, the exit status of a failed command. */
int cli_fail(const struct err *e);

/* wherry/compose_plugin.c: under the name docker-compose the words mean `compose`. True when all
 * was said. */
bool compose_plugin(int *argc, char ***argv);

command_fn command_attach;
command_fn command_build;
command_fn command_builder_prune;
command_fn command_buildx_du;
command_fn command_buildx_inspect;
command_fn command_buildx_ls;
command_fn command_buildx_version;
command_fn command_complete;
command_fn command_completion;
command_fn command_commit;
command_fn command_compose; /* wherry/compose*.c */
command_fn command_context_inspect;
command_fn command_context_ls;
command_fn command_context_show;
command_fn command_context_use;
command_fn command_cp;
command_fn command_create;
command_fn command_dial_stdio;
command_fn command_diff;
command_fn command_events;
command_fn command_exec;
command_fn command_export;
command_fn command_history;
command_fn command_images;
command_fn command_import;
command_fn command_info;
command_fn command_inspect;
command_fn command_kill;
command_fn command_load;
command_fn command_login;
command_fn command_logout;
command_fn command_logs;
command_fn command_manual; /* wherry-commands(1) */
command_fn command_pause;
command_fn command_port;
command_fn command_ps;
command_fn command_pull;
command_fn command_push;
command_fn command_rename;
command_fn command_restart;
command_fn command_rm;
command_fn command_rmi;
command_fn command_run;
command_fn command_save;
command_fn command_search;
command_fn command_start;
command_fn command_stats;
command_fn command_stop;
command_fn command_tag;
command_fn command_top;
command_fn command_unpause;
command_fn command_update;
command_fn command_version;
command_fn command_wait;
command_fn command_container_inspect;
command_fn command_container_prune;
command_fn command_image_inspect;
command_fn command_image_prune;
command_fn command_image_verify;
command_fn command_manifest_annotate;
command_fn command_manifest_create;
command_fn command_manifest_inspect;
command_fn command_manifest_push;
command_fn command_manifest_rm;
command_fn command_network_connect;
command_fn command_network_create;
command_fn command_network_disconnect;
command_fn command_network_inspect;
command_fn command_network_ls;
command_fn command_network_prune;
command_fn command_network_rm;
command_fn command_volume_create;
command_fn command_volume_inspect;
command_fn command_volume_ls;
command_fn command_volume_prune;
command_fn command_volume_rm;
command_fn command_device_inspect;
command_fn command_device_ls;
command_fn command_device_watch;
command_fn command_user_add;
command_fn command_user_cert;
command_fn command_user_ls;
command_fn command_user_passwd;
command_fn command_user_rm;
command_fn command_user_totp;
command_fn command_user_update;
command_fn command_ingress_ca, command_ingress_ls;
command_fn command_system_df;
command_fn command_system_prune;
