/* `wherry compose`: its own flags, the table of its subcommands, loading. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "wherry/compose.h"

extern char **environ;

static const struct subcommand {
	const char *name;
	compose_fn *run;
	const char *summary;
} subcommands[] = {
	{"attach", compose_attach,
		"Attach local standard input, output, and error streams to a service's running container"},
	{"build", compose_build, "Build or rebuild services"},
	{"commit", compose_commit, "Create a new image from a service container's changes"},
	{"config", compose_config, "Parse, resolve and render compose file in canonical format"},
	{"convert", compose_config, NULL}, /* its older name */
	{"cp", compose_cp,
		"Copy files/folders between a service container and the local filesystem"},
	{"create", compose_create, "Creates containers for a service"},
	{"diff", compose_diff, "Show what an up would change, and why"},
	{"down", compose_down, "Stop and remove containers, networks"},
	{"events", compose_events, "Receive real time events from containers"},
	{"exec", compose_exec, "Execute a command in a running container"},
	{"export", compose_export, "Export a service container's filesystem as a tar archive"},
	{"images", compose_images, "List images used by the created containers"},
	{"kill", compose_kill, "Force stop service containers"},
	{"logs", compose_logs, "View output from containers"},
	{"ls", compose_ls, "List running compose projects"},
	{"pause", compose_pause, "Pause services"},
	{"port", compose_port, "Print the public port for a port binding"},
	{"ps", compose_ps, "List containers"},
	{"pull", compose_pull, "Pull service images"},
	{"push", compose_push, "Push service images"},
	{"restart", compose_restart, "Restart service containers"},
	{"rm", compose_rm, "Removes stopped service containers"},
	{"run", compose_run, "Run a one-off command on a service"},
	{"scale", compose_scale, "Scale services"},
	{"start", compose_start, "Start services"},
	{"stats", compose_stats, "Display a live stream of container(s) resource usage statistics"},
	{"stop", compose_stop, "Stop services"},
	{"top", compose_top, "Display the running processes"},
	{"unpause", compose_unpause, "Unpause services"},
	{"up", compose_up, "Create and start containers"},
	{"version", compose_version, "Show the Docker Compose version information"},
	{"volumes", compose_volumes, "List volumes"},
	{"wait", compose_wait, "Block until containers of all (or specified) services stop."},
	{"watch", compose_watch,
		"Watch build context for service and rebuild/refresh containers when files are updated"},
};

#define N_SUBCOMMANDS (sizeof(subcommands) / sizeof(*subcommands))

/* Reads standard input once: `-f -` may be asked for twice (the name, then the services). */
static int read_stdin(struct buf *kept, size_t limit, struct buf *ret)
{
	char data[4096];
	while (kept->len <= limit) {
		ssize_t n = read(STDIN_FILENO, data, sizeof(data));
		if (n < 0 && errno == EINTR) {
			continue;
		}
		if (n < 0) {
			return -errno;
		}
		if (n == 0) {
			break;
		}
		buf_append(kept, data, (size_t)n);
	}
	buf_append(ret, buf_str(kept), kept->len > limit ? limit : kept->len);
	return kept->len > limit ? -EFBIG : 0;
}

/* The first limit bytes. */
static void read_head(const char *path, size_t limit, struct buf *ret)
{
	scoped(close) int fd = open(path, O_RDONLY | O_CLOEXEC);
	char data[4096];
	while (fd >= 0 && limit > 0) {
		ssize_t n = read(fd, data, limit < sizeof(data) ? limit : sizeof(data));
		if (n <= 0) {
			break;
		}
		buf_append(ret, data, (size_t)n);
		limit -= (size_t)n;
	}
}

static int read_file(void *owner, const char *path, size_t limit, struct buf *ret)
{
	if (strcmp(path, "-") == 0) {
		return read_stdin(owner, limit, ret);
	}
	int r = path_read(AT_FDCWD, path, limit, ret);
	if (r == -EFBIG) {
		read_head(path, limit, ret);
	}
	return r;
}

int compose_load(struct compose *c, char *const *names, int n, struct err *e)
{
	scoped(buf) struct buf input = BUF_INIT;
	scoped(strv) struct strv warnings = STRV_INIT;
	scoped(free) char *cwd = getcwd(NULL, 0);
	if (!cwd) {
		return err_sys(e, errno, "cannot find out the current directory");
	}
	for (int i = 0; i < n; i++) {
		strv_add(&c->services, names[i]);
	}
	const struct load_options o = {.files = &c->files,
		.env_files = &c->env_files,
		.profiles = &c->profiles,
		.services = &c->services,
		.project_name = c->project_name,
		.project_directory = c->project_directory,
		.cwd = cwd,
		.environment = environ,
		.warnings = &warnings,
		.read = read_file,
		.owner = &input,
		.keep_variables = c->how && c->how->keep_variables,
		.only_show = c->how && c->how->only_show,
		.all_resources = c->all_resources,
		.no_normalise = c->how && c->how->no_normalise,
		.no_paths = c->how && c->how->no_paths,
		.no_consistency = c->how && c->how->no_consistency};
	c->project = project_load(&o, e);
	for (size_t i = 0; i < warnings.n; i++) {
		compose_warn(warnings.v[i]);
	}
	if (!c->project && e->kind == ERR_NOT_FOUND) {
		(void)compose_load_kept(c, e);
	}
	for (size_t i = 0; c->project && i < c->project->warnings.n; i++) {
		compose_warn(c->project->warnings.v[i]);
	}
	return c->project ? 0 : -1;
}

int compose_load_or_name(
	struct compose *c, char *const *names, int n, const char **ret_name, struct err *e)
{
	const char *variable = getenv("COMPOSE_PROJECT_NAME");
	const char *given = c->project_name ? c->project_name : variable;
	if (compose_load(c, names, n, e) == 0) {
		*ret_name = c->project->name;
		return 0;
	}
	if (e->kind != ERR_NOT_FOUND || !given || !*given) {
		return -1;
	}
	*ret_name = given;
	return 0;
}

static void print_help(const char *options)
{
	printf("Usage:  wherry compose [OPTIONS] COMMAND\n\nDefine and run applications of several containers\n\nOptions:\n%s\nCommands:\n",
		options);
	for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
		if (subcommands[i].summary) {
			printf("  %-11s %s\n", subcommands[i].name, subcommands[i].summary);
		}
	}
	printf("\nRun 'wherry compose COMMAND --help' for more information on a command.\n");
}

static const struct subcommand *find(const char *name)
{
	for (size_t i = 0; i < N_SUBCOMMANDS; i++) {
		if (strcmp(subcommands[i].name, name) == 0) {
			return &subcommands[i];
		}
	}
	return NULL;
}

/* What docker compose has and this program does not: said instead of a list of commands. */
static int refuse(const char *name)
{
	static const struct {
		const char *name, *why;
	} absent[] = {
		{"alpha", "the commands under \"alpha\" are experiments of docker compose"},
		{"bridge", "files are not converted into other models"},
		{"publish", "projects are not put into registries; share the file itself"},
		{"viz", "graphs are not drawn"},
	};
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		if (strcmp(name, absent[i].name) == 0) {
			fprintf(stderr, "\"%s\" is not supported by wherry compose: %s\n", name,
				absent[i].why);
			return 1;
		}
	}
	return 0;
}

static int dispatch(struct compose *c, int argc, char **argv, const char *options)
{
	if (argc < 2 || strcmp(argv[1], "help") == 0) {
		print_help(options);
		return 0;
	}
	const struct subcommand *sub = find(argv[1]);
	if (!sub && refuse(argv[1])) {
		return 1;
	}
	if (!sub) {
		print_help(options);
		fflush(stdout);
		fprintf(stderr, "unknown docker command: \"compose %s\"\n", argv[1]);
		return 1;
	}
	compose_on_interrupt(NULL);
	return sub->run(c, argc - 1, argv + 1);
}

int command_compose(struct cli *cli, int argc, char **argv)
{
	struct compose c = {.cli = cli};
	scoped(buf) struct buf options = BUF_INIT;
	int status = compose_options(&c, &argc, argv, &options);
	if (status < 0) {
		status = dispatch(&c, argc, argv, buf_str(&options));
	}
	compose_progress_free(c.progress);
	project_free(c.project);
	strv_deinit(&c.files);
	strv_deinit(&c.env_files);
	strv_deinit(&c.profiles);
	strv_deinit(&c.services);
	return status;
}
