/* The `wherry` program: finds the command and gives it a connection. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "wherry/command.h"

#define OWN_SOCKET "/run/wherry/wherry.sock"
#define DOCKER_SOCKET "/var/run/docker.sock"

enum group { COMMON, CONTAINERS, IMAGES, NETWORKS, VOLUMES, SYSTEM, GROUP_MAX };
static const char *const group_titles[] = {
	[COMMON] = "Common commands",
	[CONTAINERS] = "Containers",
	[IMAGES] = "Images",
	[NETWORKS] = "Networks",
	[VOLUMES] = "Volumes",
	[SYSTEM] = "System",
};
_Static_assert(
	sizeof(group_titles) / sizeof(*group_titles) == GROUP_MAX, "every group has a title");

static const struct command {
	const char *name;
	const char *aliases; /* separated by '|'; NULL when there are none */
	enum group group;
	command_fn *run;
	const char *summary;
} commands[] = {
	{"run", "container run", COMMON, command_run,
		"Create and run a new container from an image"},
	{"exec", "container exec", COMMON, command_exec,
		"Execute a command in a running container"},
	{"ps", "container ls|container list|container ps", COMMON, command_ps, "List containers"},
	{"build", "image build", COMMON, command_build, "Build an image from a Dockerfile"},
	{"pull", "image pull", COMMON, command_pull, "Download an image from a registry"},
	{"images", "image ls|image list", COMMON, command_images, "List images"},
	{"logs", "container logs", COMMON, command_logs, "Fetch the logs of a container"},
	{"login", NULL, COMMON, command_login, "Authenticate to a registry"},
	{"logout", NULL, COMMON, command_logout, "Log out from a registry"},
	{"compose", NULL, COMMON, command_compose,
		"Define and run applications of several containers"},

	{"attach", "container attach", CONTAINERS, command_attach,
		"Attach local standard input, output, and error streams to a running container"},
	{"create", "container create", CONTAINERS, command_create, "Create a new container"},
	{"inspect", NULL, CONTAINERS, command_inspect, "Return low-level information on objects"},
	{"kill", "container kill", CONTAINERS, command_kill, "Kill one or more running containers"},
	{"pause", "container pause", CONTAINERS, command_pause,
		"Pause all processes within one or more containers"},
	{"port", "container port", CONTAINERS, command_port,
		"List port mappings for the container"},
	{"rename", "container rename", CONTAINERS, command_rename, "Rename a container"},
	{"restart", "container restart", CONTAINERS, command_restart,
		"Restart one or more containers"},
	{"rm", "container rm|container remove", CONTAINERS, command_rm,
		"Remove one or more containers"},
	{"start", "container start", CONTAINERS, command_start,
		"Start one or more stopped containers"},
	{"stop", "container stop", CONTAINERS, command_stop, "Stop one or more running containers"},
	{"unpause", "container unpause", CONTAINERS, command_unpause,
		"Unpause all processes within one or more containers"},
	{"wait", "container wait", CONTAINERS, command_wait,
		"Block until one or more containers stop, then print their exit codes"},
	{"container inspect", NULL, CONTAINERS, command_container_inspect,
		"Display detailed information on one or more containers"},
	{"container prune", NULL, CONTAINERS, command_container_prune,
		"Remove all stopped containers"},

	{"history", "image history", IMAGES, command_history, "Show the history of an image"},
	{"import", "image import", IMAGES, command_import,
		"Import the contents from a tarball to create an image"},
	{"load", "image load", IMAGES, command_load, "Load an image from a tar archive or STDIN"},
	{"rmi", "image rm|image remove", IMAGES, command_rmi, "Remove one or more images"},
	{"tag", "image tag", IMAGES, command_tag,
		"Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"},
	{"image inspect", NULL, IMAGES, command_image_inspect,
		"Display detailed information on one or more images"},
	{"image prune", NULL, IMAGES, command_image_prune, "Remove unused images"},

	{"network connect", NULL, NETWORKS, command_network_connect,
		"Connect a container to a network"},
	{"network create", NULL, NETWORKS, command_network_create, "Create a network"},
	{"network disconnect", NULL, NETWORKS, command_network_disconnect,
		"Disconnect a container from a network"},
	{"network inspect", NULL, NETWORKS, command_network_inspect,
		"Display detailed information on one or more networks"},
	{"network ls", "network list", NETWORKS, command_network_ls, "List networks"},
	{"network prune", NULL, NETWORKS, command_network_prune, "Remove all unused networks"},
	{"network rm", "network remove", NETWORKS, command_network_rm,
		"Remove one or more networks"},

	{"volume create", NULL, VOLUMES, command_volume_create, "Create a volume"},
	{"volume inspect", NULL, VOLUMES, command_volume_inspect,
		"Display detailed information on one or more volumes"},
	{"volume ls", "volume list", VOLUMES, command_volume_ls, "List volumes"},
	{"volume prune", NULL, VOLUMES, command_volume_prune, "Remove unused local volumes"},
	{"volume rm", "volume remove", VOLUMES, command_volume_rm, "Remove one or more volumes"},

	{"events", "system events", SYSTEM, command_events, "Get real time events from the server"},
	{"info", "system info", SYSTEM, command_info, "Display system-wide information"},
	{"version", NULL, SYSTEM, command_version, "Show the Wherry version information"},
	{"system df", NULL, SYSTEM, command_system_df, "Show disk usage"},
	{"system prune", NULL, SYSTEM, command_system_prune, "Remove unused data"},
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

int cli_fail(const struct err *e)
{
	fprintf(stderr, "%s\n", e->msg);
	return 1;
}

static bool alias_matches(const char *aliases, const char *name)
{
	size_t n = strlen(name);
	for (const char *p = aliases; p && *p; p += strcspn(p, "|"), p += *p == '|') {
		if (strncmp(p, name, n) == 0 && (p[n] == '\0' || p[n] == '|')) {
			return true;
		}
	}
	return false;
}

static const struct command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0 ||
			alias_matches(commands[i].aliases, name)) {
			return &commands[i];
		}
	}
	return NULL;
}

/* True for "network", "container", ...: the first word of two-word commands. */
static bool is_parent(const char *word)
{
	scoped(free) char *prefix = xasprintf("%s ", word);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *a = commands[i].aliases;
		if (text_starts(commands[i].name, prefix) || (a && text_starts(a, prefix))) {
			return true;
		}
	}
	return false;
}

static void print_commands(enum group group)
{
	printf("\n%s:\n", group_titles[group]);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (commands[i].group == group) {
			printf("  %-19s %s\n", commands[i].name, commands[i].summary);
		}
	}
}

static void print_help(void)
{
	printf("Usage:  wherry [OPTIONS] COMMAND\n\nA container platform for small Linux machines\n");
	for (enum group g = 0; g < GROUP_MAX; g++) {
		print_commands(g);
	}
	printf("\nOptions:\n"
	       "  -D, --debug         Enable debug mode\n"
	       "  -H, --host string   Engine to talk to: unix://PATH or tcp://HOST:PORT (default $WHERRY_HOST,\n"
	       "                      $DOCKER_HOST, unix://" OWN_SOCKET ")\n"
	       "      --config string Directory with config.json (default $DOCKER_CONFIG, ~/.docker)\n"
	       "  -v, --version       Print version information and quit\n"
	       "\nRun 'wherry COMMAND --help' for more information on a command.\n");
}

/* "network ls" of a parent, or the last word of the alias that begins with it ("container ls" of
 * ps). */
static const char *subcommand(const struct command *c, const char *prefix)
{
	if (text_starts(c->name, prefix)) {
		return c->name + strlen(prefix);
	}
	return c->aliases && text_starts(c->aliases, prefix) ? c->aliases + strlen(prefix) : NULL;
}

static void print_parent_help(const char *word)
{
	scoped(free) char *prefix = xasprintf("%s ", word);
	printf("Usage:  wherry %s COMMAND\n\nCommands:\n", word);
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const char *sub = subcommand(&commands[i], prefix);
		if (sub) {
			printf("  %-11.*s %s\n", (int)strcspn(sub, "|"), sub, commands[i].summary);
		}
	}
	printf("\nRun 'wherry %s COMMAND --help' for more information on a command.\n", word);
}

static int unknown_command(const char *name)
{
	const char *nearest = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		unsigned d = text_distance(name, commands[i].name);
		if (d < best) {
			best = d;
			nearest = commands[i].name;
		}
	}
	fprintf(stderr, "wherry: unknown command: wherry %s\n\n", name);
	if (nearest) {
		fprintf(stderr, "Did you mean 'wherry %s'?\n", nearest);
	}
	fprintf(stderr, "Run 'wherry --help' for more information\n");
	return 1;
}

/* -H, then WHERRY_HOST, then DOCKER_HOST, then our socket, or Docker's when ours is absent. */
static const char *choose_host(const char *flag)
{
	const char *env[] = {flag, getenv("WHERRY_HOST"), getenv("DOCKER_HOST")};
	for (size_t i = 0; i < sizeof(env) / sizeof(*env); i++) {
		if (env[i] && *env[i]) {
			return env[i];
		}
	}
	bool only_docker = access(OWN_SOCKET, F_OK) < 0 && access(DOCKER_SOCKET, F_OK) == 0;
	return only_docker ? "unix://" DOCKER_SOCKET : "unix://" OWN_SOCKET;
}

static char *choose_config_dir(const char *flag)
{
	const char *dir = flag ? flag : getenv("DOCKER_CONFIG");
	if (dir && *dir) {
		return xstrdup(dir);
	}
	const char *home = getenv("HOME");
	return xasprintf("%s/.docker", home && *home ? home : "/root");
}

struct globals {
	const char *host;
	const char *config;
	bool debug;
	bool version;
	bool help;
};

/* The value of "-H x", "-Hx", "--host x", "--host=x"; NULL when arg is another flag. Moves *i over
 * a separate value. */
static const char *value_of(char **argv, int argc, int *i, const char *letter, const char *name)
{
	const char *arg = argv[*i];
	size_t n = strlen(name);
	if (!arg) {
		return NULL;
	}
	if (strncmp(arg, name, n) == 0 && arg[n] == '=') {
		return arg + n + 1;
	}
	if (letter && strncmp(arg, letter, 2) == 0 && arg[2]) {
		return arg + 2 + (arg[2] == '=');
	}
	if (strcmp(arg, name) == 0 || (letter && strcmp(arg, letter) == 0)) {
		if (*i + 1 < argc) {
			return argv[++*i];
		}
		fprintf(stderr, "wherry: flag needs an argument: %s\n", arg);
		exit(125);
	}
	return NULL;
}

/* Reads what stands before the command. Returns the index of the command. */
static int read_globals(int argc, char **argv, struct globals *g)
{
	int i = 1;
	for (; i < argc && argv[i][0] == '-'; i++) {
		const char *value;
		if (strcmp(argv[i], "-D") == 0 || strcmp(argv[i], "--debug") == 0) {
			g->debug = true;
		} else if (strcmp(argv[i], "-v") == 0 || strcmp(argv[i], "--version") == 0) {
			g->version = true;
		} else if (strcmp(argv[i], "-h") == 0 || strcmp(argv[i], "--help") == 0) {
			g->help = true;
		} else if ((value = value_of(argv, argc, &i, "-H", "--host"))) {
			g->host = value;
		} else if ((value = value_of(argv, argc, &i, NULL, "--config"))) {
			g->config = value;
		} else {
			fprintf(stderr, "unknown flag: %s\nSee 'wherry --help'.\n", argv[i]);
			exit(125);
		}
	}
	return i;
}

/* Joins "network" and "ls" to one word in *name and moves argv on when they are a two-word command.
 */
static const struct command *resolve(int *argc, char ***argv, char **name)
{
	*name = xstrdup((*argv)[0]);
	if (is_parent(*name) && *argc > 1) {
		char *both = xasprintf("%s %s", *name, (*argv)[1]);
		free(*name);
		*name = both;
		++*argv;
		--*argc;
	}
	return find(*name);
}

static int run_command(struct cli *cli, int argc, char **argv)
{
	if (is_parent(argv[0]) && !find(argv[0]) &&
		(argc == 1 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)) {
		print_parent_help(argv[0]);
		return 0;
	}
	scoped(free) char *name = NULL;
	const struct command *c = resolve(&argc, &argv, &name);
	if (!c) {
		return unknown_command(name);
	}
	argv[0] = name;
	return c->run(cli, argc, argv);
}

/* `wherry help`, `wherry help run`. */
static int help(struct cli *cli, int argc, char **argv)
{
	if (argc == 1) {
		print_help();
		return 0;
	}
	char flag[] = "--help";
	char *words[4] = {argv[1], argc > 2 ? argv[2] : flag, flag, NULL};
	return run_command(cli, argc > 2 ? 3 : 2, words);
}

int main(int argc, char **argv)
{
	if (compose_plugin(&argc, &argv)) {
		return 0;
	}
	struct globals g = {0};
	int first = read_globals(argc, argv, &g);
	if (g.version) {
		printf("Wherry version " WHERRY_VERSION "\n");
		return 0;
	}
	if (g.help || first == argc) {
		print_help();
		return 0;
	}
	scoped(free) char *config_dir = choose_config_dir(g.config);
	struct cli cli = {.host = choose_host(g.host), .config_dir = config_dir, .debug = g.debug};
	struct err e;
	cli.http = http_client_new(cli.host, &e);
	if (!cli.http) {
		return cli_fail(&e);
	}
	bool wants_help = strcmp(argv[first], "help") == 0;
	int status = (wants_help ? help : run_command)(&cli, argc - first, argv + first);
	http_client_free(cli.http);
	return status;
}
