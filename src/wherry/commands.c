/* The table of all commands, and the helps that come from it. */
#include "wherry/commands.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "wherry/flags.h"
#include "wherry/globals.h"

static const struct command commands[] = {
	{"run", "container run", GROUP_COMMON, command_run,
		"Create and run a new container from an image"},
	{"exec", "container exec", GROUP_COMMON, command_exec,
		"Execute a command in a running container"},
	{"ps", "container ls|container list|container ps", GROUP_COMMON, command_ps,
		"List containers"},
	{"build", "buildx build|buildx b|image build|builder build", GROUP_COMMON, command_build,
		"Build an image from a Dockerfile"},
	{"pull", "image pull", GROUP_COMMON, command_pull, "Download an image from a registry"},
	{"push", "image push", GROUP_COMMON, command_push, "Upload an image to a registry"},
	{"images", "image ls|image list", GROUP_COMMON, command_images, "List images"},
	{"logs", "container logs", GROUP_COMMON, command_logs, "Fetch the logs of a container"},
	{"search", NULL, GROUP_COMMON, command_search, "Search a registry for images"},
	{"login", NULL, GROUP_COMMON, command_login, "Authenticate to a registry"},
	{"logout", NULL, GROUP_COMMON, command_logout, "Log out from a registry"},
	{"compose", NULL, GROUP_COMMON, command_compose,
		"Define and run applications of several containers"},

	{"attach", "container attach", GROUP_COMMAND, command_attach,
		"Attach local standard input, output, and error streams to a running container"},
	{"commit", "container commit", GROUP_COMMAND, command_commit,
		"Create a new image from a container's changes"},
	{"cp", "container cp", GROUP_COMMAND, command_cp,
		"Copy files/folders between a container and the local filesystem"},
	{"diff", "container diff", GROUP_COMMAND, command_diff,
		"Inspect changes to files or directories on a container's filesystem"},
	{"export", "container export", GROUP_COMMAND, command_export,
		"Export a container's filesystem as a tar archive"},
	{"create", "container create", GROUP_COMMAND, command_create, "Create a new container"},
	{"inspect", NULL, GROUP_COMMAND, command_inspect,
		"Return low-level information on Wherry objects"},
	{"kill", "container kill", GROUP_COMMAND, command_kill,
		"Kill one or more running containers"},
	{"pause", "container pause", GROUP_COMMAND, command_pause,
		"Pause all processes within one or more containers"},
	{"port", "container port", GROUP_COMMAND, command_port,
		"List port mappings or a specific mapping for the container"},
	{"rename", "container rename", GROUP_COMMAND, command_rename, "Rename a container"},
	{"restart", "container restart", GROUP_COMMAND, command_restart,
		"Restart one or more containers"},
	{"rm", "container rm|container remove", GROUP_COMMAND, command_rm,
		"Remove one or more containers"},
	{"start", "container start", GROUP_COMMAND, command_start,
		"Start one or more stopped containers"},
	{"stats", "container stats", GROUP_COMMAND, command_stats,
		"Display a live stream of container(s) resource usage statistics"},
	{"stop", "container stop", GROUP_COMMAND, command_stop,
		"Stop one or more running containers"},
	{"top", "container top", GROUP_COMMAND, command_top,
		"Display the running processes of a container"},
	{"unpause", "container unpause", GROUP_COMMAND, command_unpause,
		"Unpause all processes within one or more containers"},
	{"update", "container update", GROUP_COMMAND, command_update,
		"Update configuration of one or more containers"},
	{"wait", "container wait", GROUP_COMMAND, command_wait,
		"Block until one or more containers stop, then print their exit codes"},
	{"container inspect", NULL, GROUP_BELOW, command_container_inspect,
		"Display detailed information on one or more containers"},
	{"container prune", NULL, GROUP_BELOW, command_container_prune,
		"Remove all stopped containers"},

	{"history", "image history", GROUP_COMMAND, command_history,
		"Show the history of an image"},
	{"import", "image import", GROUP_COMMAND, command_import,
		"Import the contents from a tarball to create a filesystem image"},
	{"load", "image load", GROUP_COMMAND, command_load,
		"Load an image from a tar archive or STDIN"},
	{"rmi", "image rm|image remove", GROUP_COMMAND, command_rmi, "Remove one or more images"},
	{"save", "image save", GROUP_COMMAND, command_save,
		"Save one or more images to a tar archive (streamed to STDOUT by default)"},
	{"tag", "image tag", GROUP_COMMAND, command_tag,
		"Create a tag TARGET_IMAGE that refers to SOURCE_IMAGE"},
	{"image inspect", NULL, GROUP_BELOW, command_image_inspect,
		"Display detailed information on one or more images"},
	{"image prune", NULL, GROUP_BELOW, command_image_prune, "Remove unused images"},
	{"image verify", NULL, GROUP_BELOW, command_image_verify,
		"Look for damaged or missing layer files"},

	{"manifest annotate", NULL, GROUP_BELOW, command_manifest_annotate,
		"Add additional information to a local image manifest"},
	{"manifest create", NULL, GROUP_BELOW, command_manifest_create,
		"Create a local manifest list for annotating and pushing to a registry"},
	{"manifest inspect", NULL, GROUP_BELOW, command_manifest_inspect,
		"Display an image manifest, or manifest list"},
	{"manifest push", NULL, GROUP_BELOW, command_manifest_push,
		"Push a manifest list to a repository"},
	{"manifest rm", NULL, GROUP_BELOW, command_manifest_rm,
		"Delete one or more manifest lists from local storage"},

	{"builder prune", "buildx prune", GROUP_BELOW, command_builder_prune, "Remove build cache"},
	{"buildx du", NULL, GROUP_BELOW, command_buildx_du, "Disk usage of the build cache"},
	{"buildx inspect", NULL, GROUP_BELOW, command_buildx_inspect, "Inspect the builder"},
	{"buildx ls", NULL, GROUP_BELOW, command_buildx_ls,
		"List builders: the engine is the only one"},
	{"buildx version", NULL, GROUP_BELOW, command_buildx_version, "Show version information"},

	{"network connect", NULL, GROUP_BELOW, command_network_connect,
		"Connect a container to a network"},
	{"network create", NULL, GROUP_BELOW, command_network_create, "Create a network"},
	{"network disconnect", NULL, GROUP_BELOW, command_network_disconnect,
		"Disconnect a container from a network"},
	{"network inspect", NULL, GROUP_BELOW, command_network_inspect,
		"Display detailed information on one or more networks"},
	{"network ls", "network list", GROUP_BELOW, command_network_ls, "List networks"},
	{"network prune", NULL, GROUP_BELOW, command_network_prune, "Remove all unused networks"},
	{"network rm", "network remove", GROUP_BELOW, command_network_rm,
		"Remove one or more networks"},

	{"volume create", NULL, GROUP_BELOW, command_volume_create, "Create a volume"},
	{"volume inspect", NULL, GROUP_BELOW, command_volume_inspect,
		"Display detailed information on one or more volumes"},
	{"volume ls", "volume list", GROUP_BELOW, command_volume_ls, "List volumes"},
	{"volume prune", NULL, GROUP_BELOW, command_volume_prune, "Remove unused local volumes"},
	{"volume rm", "volume remove", GROUP_BELOW, command_volume_rm,
		"Remove one or more volumes"},

	{"device inspect", NULL, GROUP_BELOW, command_device_inspect,
		"Display detailed information on one or more devices"},
	{"device ls", "device list", GROUP_BELOW, command_device_ls,
		"List the machine's devices and what uses them"},
	{"device watch", NULL, GROUP_BELOW, command_device_watch,
		"Show devices as they come, change and go"},

	{"user add", "user create", GROUP_BELOW, command_user_add, "Add a user"},
	{"user cert", NULL, GROUP_BELOW, command_user_cert,
		"Issue or revoke certificates for the remote API"},
	{"user ls", "user list", GROUP_BELOW, command_user_ls, "List users"},
	{"user passwd", NULL, GROUP_BELOW, command_user_passwd, "Change a user's password"},
	{"user rm", "user remove", GROUP_BELOW, command_user_rm, "Remove users"},
	{"user totp", NULL, GROUP_BELOW, command_user_totp,
		"Ask for a code of an authenticator, too, when a user signs in"},
	{"user update", NULL, GROUP_BELOW, command_user_update, "Change what a user may"},
	{"ingress ca", NULL, GROUP_BELOW, command_ingress_ca,
		"Print the certificate of the authority that signs for this device"},
	{"ingress ls", "ingress list", GROUP_BELOW, command_ingress_ls,
		"List what the front door serves, and what it cannot"},

	{"events", "system events", GROUP_COMMAND, command_events,
		"Get real time events from the server"},
	{"info", "system info", GROUP_COMMON, command_info, "Display system-wide information"},
	{"version", NULL, GROUP_COMMON, command_version, "Show the Wherry version information"},
	{"system df", NULL, GROUP_BELOW, command_system_df, "Show wherry disk usage"},
	{"system prune", NULL, GROUP_BELOW, command_system_prune, "Remove unused data"},

	{"context inspect", NULL, GROUP_BELOW, command_context_inspect,
		"Display detailed information on one or more contexts"},
	{"context ls", "context list", GROUP_BELOW, command_context_ls, "List contexts"},
	{"context show", NULL, GROUP_BELOW, command_context_show,
		"Print the name of the current context"},
	{"context use", NULL, GROUP_BELOW, command_context_use, "Set the current docker context"},

	{"completion", NULL, GROUP_COMMAND, command_completion,
		"Generate the autocompletion script for the specified shell"},
	{"__complete", NULL, GROUP_HIDDEN, command_complete, ""},
	{"__manual", NULL, GROUP_HIDDEN, command_manual, ""},
	{"system dial-stdio", NULL, GROUP_HIDDEN, command_dial_stdio,
		"Proxy the stdio stream to the daemon connection. Should not be invoked manually."},
};
#define N_COMMANDS (sizeof(commands) / sizeof(*commands))

static const char *const parents[][2] = {
	{"builder", "Manage builds"},
	{"buildx", "Build, as docker's plugin of that name"},
	{"container", "Manage containers"},
	{"context", "Manage contexts"},
	{"device", "See the machine's devices"},
	{"image", "Manage images"},
	{"ingress", "See the front door of the apps"},
	{"manifest", "Manage image manifests and manifest lists"},
	{"network", "Manage networks"},
	{"system", "Manage Wherry"},
	{"user", "Manage who may sign in and who may use the engine from afar"},
	{"volume", "Manage volumes"},
};

/* Docker's commands that this program does not have, and what to do instead. */
static const struct {
	const char *name, *instead;
} absent[] = {
	{"buildx bake", "'wherry compose build' builds several images"},
	{"buildx create", "an engine is the only builder; -H and --context choose it"},
	{"buildx imagetools", "'wherry manifest' shows and makes lists of images"},
	{"buildx rm", "an engine is the only builder"},
	{"buildx stop", "an engine is the only builder"},
	{"buildx use", "an engine is the only builder; -H and --context choose it"},
	{"checkpoint", "checkpoints are not supported"},
	{"config", "swarm is not supported; compose has configs"},
	{"context create", "the docker command makes contexts; 'wherry -H' needs none"},
	{"context export", "the docker command does it"},
	{"context import", "the docker command does it"},
	{"context rm",
		"the docker command does it, or remove its directory below ~/.docker/contexts"},
	{"context update", "the docker command does it"},
	{"node", "swarm is not supported"},
	{"plugin", "engine plugins are not supported"},
	{"secret", "swarm is not supported; compose has secrets"},
	{"service", "swarm is not supported; compose has services"},
	{"stack", "swarm is not supported; compose has projects"},
	{"swarm", "swarm is not supported"},
	{"trust", "content trust is not supported"},
};

const struct command *commands_at(size_t i)
{
	return i < N_COMMANDS ? &commands[i] : NULL;
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

const struct command *commands_find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].name, name) == 0 ||
			alias_matches(commands[i].aliases, name)) {
			return &commands[i];
		}
	}
	return NULL;
}

const char *commands_parent(const char *word)
{
	for (size_t i = 0; i < sizeof(parents) / sizeof(*parents); i++) {
		if (strcmp(parents[i][0], word) == 0) {
			return parents[i][1];
		}
	}
	return NULL;
}

/* text "network ls" below "network" is "ls". */
static const char *last_word(const char *text, const char *parent)
{
	size_t n = strlen(parent);
	return text && strncmp(text, parent, n) == 0 && text[n] == ' ' ? text + n + 1 : NULL;
}

const char *commands_below(const struct command *c, const char *parent, size_t *ret_n)
{
	const char *word = last_word(c->name, parent);
	for (const char *p = c->aliases; !word && p && *p; p += strcspn(p, "|"), p += *p == '|') {
		word = last_word(p, parent);
	}
	*ret_n = word ? strcspn(word, "|") : 0;
	return c->group == GROUP_HIDDEN ? NULL : word;
}

char *commands_aliases(const char *name)
{
	const struct command *c = commands_find(name);
	scoped(strv) struct strv list = STRV_INIT;
	struct buf text = BUF_INIT;
	if (!c || !c->aliases) {
		return NULL;
	}
	strv_split(&list, c->aliases, '|');
	bool below = strchr(c->name, ' ');
	if (below) {
		buf_printf(&text, "wherry %s", c->name);
	}
	for (size_t i = 0; i < list.n; i++) {
		buf_printf(&text, "%swherry %s", text.len ? ", " : "", list.v[i]);
	}
	if (!below) {
		buf_printf(&text, ", wherry %s", c->name);
	}
	return buf_take_str(&text);
}

/* --- helps --- */

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_sorted(struct strv *lines)
{
	if (lines->n > 0) {
		qsort(lines->v, lines->n, sizeof(*lines->v), by_name);
	}
	for (size_t i = 0; i < lines->n; i++) {
		printf("%s\n", lines->v[i]);
	}
}

void commands_help(void)
{
	scoped(strv) struct strv others = STRV_INIT;
	scoped(buf) struct buf flags = BUF_INIT;
	printf("Usage:  wherry [OPTIONS] COMMAND\n\nA container platform for small Linux machines\n\nCommon Commands:\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];
		if (c->group == GROUP_COMMON) {
			printf("  %-11s %s\n", c->name, c->summary);
		} else if (c->group == GROUP_COMMAND) {
			strv_addf(&others, "  %-11s %s", c->name, c->summary);
		}
	}
	printf("\nManagement Commands:\n");
	for (size_t i = 0; i < sizeof(parents) / sizeof(*parents); i++) {
		printf("  %-11s %s\n", parents[i][0], parents[i][1]);
	}
	printf("\nCommands:\n");
	print_sorted(&others);
	globals_list(flags_width(), &flags);
	printf("\nGlobal Options:\n%s\nRun 'wherry COMMAND --help' for more information on a command.\n",
		buf_str(&flags));
}

void commands_parent_help(const char *word)
{
	scoped(strv) struct strv lines = STRV_INIT;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		size_t n;
		const char *sub = commands_below(&commands[i], word, &n);
		if (sub) {
			strv_addf(&lines, "  %-11.*s %s", (int)n, sub, commands[i].summary);
		}
	}
	printf("Usage:  wherry %s COMMAND\n\n%s\n\nCommands:\n", word, commands_parent(word));
	print_sorted(&lines);
	printf("\nRun 'wherry %s COMMAND --help' for more information on a command.\n", word);
}

/* "image push" is absent as "push" is. */
static const char *instead_of(const char *name)
{
	const char *plain = text_starts(name, "image ") ? name + 6 : name;
	for (size_t i = 0; i < sizeof(absent) / sizeof(*absent); i++) {
		size_t n = strlen(absent[i].name);
		if (strcmp(plain, absent[i].name) == 0 ||
			(strncmp(name, absent[i].name, n) == 0 && name[n] == ' ')) {
			return absent[i].instead;
		}
	}
	return NULL;
}

static const char *nearest_to(const char *name)
{
	const char *nearest = NULL;
	unsigned best = 3;
	for (size_t i = 0; i < N_COMMANDS; i++) {
		unsigned d = commands[i].group == GROUP_HIDDEN
				     ? best
				     : text_distance(name, commands[i].name);
		if (d < best) {
			best = d;
			nearest = commands[i].name;
		}
	}
	return nearest;
}

int commands_unknown(const char *name)
{
	const char *instead = instead_of(name);
	const char *nearest = nearest_to(name);
	if (instead) {
		fprintf(stderr, "wherry: there is no 'wherry %s': %s\n", name, instead);
		return 1;
	}
	scoped(free) char *parent = xstrndup(name, strcspn(name, " "));
	fprintf(stderr, "wherry: unknown command: wherry %s\n\n", name);
	if (strchr(name, ' ')) {
		fprintf(stderr, "Usage:  wherry %s\n\n", parent);
	}
	if (nearest) {
		fprintf(stderr, "Did you mean 'wherry %s'?\n", nearest);
	}
	bool below = strchr(name, ' ');
	fprintf(stderr, "Run 'wherry%s%s --help' for more information\n", below ? " " : "",
		below ? parent : "");
	return 1;
}
