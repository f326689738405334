/* The `wherry` program: finds the command and gives it a connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "wherry/commands.h"
#include "wherry/config_file.h"
#include "wherry/engine.h"
#include "http/client_tls.h"
#include "wherry/globals.h"

/* Joins "network" and "ls" to one word in *name and moves argv on when they are a two-word command.
 */
static const struct command *resolve(int *argc, char ***argv, char **name)
{
	*name = xstrdup((*argv)[0]);
	if (commands_parent(*name) && *argc > 1 && (*argv)[1][0] != '-') {
		char *both = xasprintf("%s %s", *name, (*argv)[1]);
		free(*name);
		*name = both;
		++*argv;
		--*argc;
	}
	return commands_find(*name);
}

static int unknown_flag(const char *parent, const char *flag)
{
	fprintf(stderr,
		"unknown flag: %s\n\nUsage:  wherry %s\n\nRun 'wherry %s --help' for more information\n",
		flag, parent, parent);
	return 125;
}

static int run_command(struct cli *cli, int argc, char **argv)
{
	if (commands_parent(argv[0]) && (argc == 1 || argv[1][0] == '-')) {
		bool wants_help =
			argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
		if (argc == 1) { /* docker shows it on stderr */
			dup2(STDERR_FILENO, STDOUT_FILENO);
		}
		if (wants_help) {
			commands_parent_help(argv[0]);
		}
		return wants_help ? 0 : unknown_flag(argv[0], argv[1]);
	}
	scoped(free) char *name = NULL;
	const struct command *c = resolve(&argc, &argv, &name);
	if (!c) {
		return commands_unknown(name);
	}
	argv[0] = name;
	return c->run(cli, argc, argv);
}

/* `wherry help`, `wherry help run`. */
static int help(struct cli *cli, int argc, char **argv)
{
	if (argc == 1) {
		commands_help();
		return 0;
	}
	bool parent = commands_parent(argv[1]);
	bool known = parent || commands_find(argv[1]);
	if (!known || argc > 2 + parent) {
		fprintf(stderr, "unknown help topic: %s\n", argv[known ? 2 + parent : 1]);
		return 1;
	}
	char flag[] = "--help";
	char *words[4] = {argv[1], argc > 2 ? argv[2] : flag, flag, NULL};
	return run_command(cli, argc > 2 ? 3 : 2, words);
}

static int connect_and_run(const struct globals *g, int argc, char **argv)
{
	struct err e;
	struct cli cli = {.debug = g->debug};
	scoped(free) char *config_dir = globals_config_dir(g);
	cli.config_dir = config_dir;
	scoped(json) json_t *config = config_file_read_or_empty(&cli);
	cli.config = config;
	bool about_contexts = strcmp(argv[0], "context") == 0; /* they must be there to mend them */
	int status;
	if (globals_choose_engine(g, &cli, &e) < 0 &&
		!(about_contexts && e.kind == ERR_NOT_FOUND)) {
		fprintf(stderr, "%s%s\n",
			strncmp(e.msg, "conflicting", 11) == 0
				? ""
				: "Failed to initialize: unable to resolve docker endpoint: ",
			e.msg);
		status = 1;
	} else {
		cli.host = cli.host ? cli.host : xstrdup("");
		cli.context = cli.context ? cli.context : json_str(config, "currentContext");
		cli.http = *cli.host ? engine_connect(&cli, &e) : NULL;
		bool wants_help = strcmp(argv[0], "help") == 0;
		if (!cli.http && !about_contexts) {
			fprintf(stderr,
				"Failed to initialize: unable to resolve docker endpoint: %s\n",
				e.msg);
			status = 1;
		} else {
			status = (wants_help ? help : run_command)(&cli, argc, argv);
		}
	}
	http_client_free(cli.http);
	free((char *)cli.host);
	free(cli.headers);
	if (cli.tls) {
		tls_files_deinit(cli.tls);
		free(cli.tls);
	}
	return status;
}

int main(int argc, char **argv)
{
	if (compose_plugin(&argc, &argv)) {
		return 0;
	}
	struct globals g = {0};
	int status = globals_read(&g, &argc, &argv);
	if (status < 0 && g.version) {
		printf("Wherry version " WHERRY_VERSION "\n");
		status = 0;
	} else if (status < 0 && (g.help || argc == 0)) {
		commands_help();
		status = 0;
	} else if (status < 0) {
		status = connect_and_run(&g, argc, argv);
	}
	globals_deinit(&g);
	return status;
}
