#include "wherry/complete_values.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/strv.h"
#include "base/text.h"
#include "wherry/context_store.h"
#include "wherry/engine.h"

struct offer {
	struct cli *cli;
	const char *prefix, *typed;
};

static void offer(const struct offer *o, const char *word)
{
	if (word && text_starts(word, o->typed)) {
		printf("%s%s\n", o->prefix, word);
	}
}

/* --- names that the engine knows --- */

/* Which containers a command can do something with. */
static bool fits(const char *command, const char *state)
{
	static const struct {
		const char *command, *states;
	} wanted[] = {{"start", "created exited dead"}, {"unpause", "paused"}, {"exec", "running"},
		{"attach", "running"}, {"pause", "running"}, {"kill", "running paused restarting"},
		{"stop", "running paused restarting"}, {"top", "running"},
		{"port", "running paused"}};
	for (size_t i = 0; i < sizeof(wanted) / sizeof(*wanted); i++) {
		if (strcmp(command, wanted[i].command) == 0) {
			return strstr(wanted[i].states, state);
		}
	}
	return true;
}

static void offer_containers(const struct offer *o, const char *command)
{
	struct err e;
	scoped(json) json_t *list = NULL;
	size_t i;
	json_t *c;
	engine_json(o->cli, "GET", "/containers/json?all=1", NULL, &list, &e);
	json_array_foreach (list, i, c) {
		const char *name =
			json_string_value(json_array_get(json_object_get(c, "Names"), 0));
		if (name && fits(command, json_str(c, "State"))) {
			offer(o, name + (*name == '/'));
		}
	}
}

static void offer_images(const struct offer *o)
{
	struct err e;
	scoped(json) json_t *list = NULL;
	size_t i;
	json_t *image;
	engine_json(o->cli, "GET", "/images/json", NULL, &list, &e);
	json_array_foreach (list, i, image) {
		const json_t *tags = json_object_get(image, "RepoTags");
		for (size_t k = 0; k < json_array_size(tags); k++) {
			const char *tag = json_string_value(json_array_get(tags, k));
			bool latest = tag && text_ends(tag, ":latest");
			scoped(free) char *bare = latest ? xstrndup(tag, strlen(tag) - 7) : NULL;
			offer(o, strchr(o->typed, ':') || !bare ? tag : bare);
		}
	}
}

static void offer_named(const struct offer *o, const char *path, const char *member)
{
	struct err e;
	scoped(json) json_t *answer = NULL;
	size_t i;
	json_t *v;
	engine_json(o->cli, "GET", path, NULL, &answer, &e);
	json_t *list = member ? json_object_get(answer, member) : answer;
	json_array_foreach (list, i, v) {
		offer(o, json_str(v, "Name"));
	}
}

static void offer_networks(const struct offer *o)
{
	offer_named(o, "/networks", NULL);
}

static void offer_volumes(const struct offer *o)
{
	offer_named(o, "/volumes", "Volumes");
}

static void offer_devices(const struct offer *o)
{
	struct err e;
	scoped(json) json_t *list = NULL;
	size_t i;
	json_t *d;
	engine_json(o->cli, "GET", "/wherry/v1/devices", NULL, &list, &e);
	json_array_foreach (list, i, d) {
		offer(o, json_str(d, "node"));
	}
}

static void offer_users(const struct offer *o)
{
	struct err e;
	scoped(json) json_t *list = NULL;
	size_t i;
	json_t *u;
	engine_json(o->cli, "GET", "/wherry/v1/users", NULL, &list, &e);
	json_array_foreach (list, i, u) {
		offer(o, json_str(u, "name"));
	}
}

static void offer_contexts(const struct offer *o)
{
	scoped(json) json_t *list = docker_context_list(o->cli->config_dir);
	size_t i;
	json_t *v;
	offer(o, CONTEXT_DEFAULT);
	json_array_foreach (list, i, v) {
		offer(o, json_str(v, "Name"));
	}
}

static void offer_environment(const struct offer *o)
{
	for (char **v = environ; *v; v++) {
		scoped(free) char *name = xstrndup(*v, strcspn(*v, "="));
		offer(o, name);
	}
}

/* --- values --- */

/* Words that a flag takes; command NULL: of any command. '|' between them. */
static const struct {
	const char *command, *flag, *words;
} known[] = {
	{NULL, "pull", "always|missing|never"},
	{NULL, "restart", "no|always|on-failure|unless-stopped"},
	{NULL, "log-driver", "json-file|local|journald|none"},
	{NULL, "log-level", "debug|info|warn|error|fatal"},
	{NULL, "cgroupns", "host|private"},
	{NULL, "ipc", "none|private|shareable|host|container:"},
	{NULL, "pid", "host|container:"},
	{NULL, "uts", "host"},
	{NULL, "userns", "host"},
	{NULL, "signal",
		"SIGHUP|SIGINT|SIGQUIT|SIGKILL|SIGUSR1|SIGUSR2|SIGTERM|SIGSTOP|SIGCONT|SIGWINCH|SIGALRM"},
	{NULL, "stop-signal", "SIGHUP|SIGINT|SIGQUIT|SIGKILL|SIGUSR1|SIGUSR2|SIGTERM"},
	{NULL, "attach", "stdin|stdout|stderr"},
	{NULL, "type", "container|image|network|volume"},
	{NULL, "platform", "linux/amd64|linux/arm64|linux/arm/v7|linux/arm/v6|linux/386"},
	{NULL, "security-opt",
		"apparmor=|label=|no-new-privileges|seccomp=|systempaths=unconfined"},
	{NULL, "ulimit",
		"core=|cpu=|data=|fsize=|locks=|memlock=|msgqueue=|nice=|nofile=|nproc=|rss=|rtprio=|rttime=|sigpending=|stack="},
	{NULL, "mount", "type=bind|type=volume|type=tmpfs"},
	{NULL, "cap-add",
		"ALL|AUDIT_CONTROL|BLOCK_SUSPEND|DAC_READ_SEARCH|IPC_LOCK|IPC_OWNER|LEASE|NET_ADMIN|NET_BROADCAST|SYSLOG|SYS_ADMIN|SYS_BOOT|SYS_MODULE|SYS_NICE|SYS_PACCT|SYS_PTRACE|SYS_RAWIO|SYS_RESOURCE|SYS_TIME|SYS_TTY_CONFIG|WAKE_ALARM|PERFMON|BPF"},
	{NULL, "cap-drop",
		"ALL|AUDIT_WRITE|CHOWN|DAC_OVERRIDE|FOWNER|FSETID|KILL|MKNOD|NET_BIND_SERVICE|NET_RAW|SETFCAP|SETGID|SETPCAP|SETUID|SYS_CHROOT"},
	{"build", "progress", "auto|none|plain|quiet|rawjson|tty"},
	{"build", "call", "build|check"},
	{"build", "output",
		"type=docker|type=image|type=local,dest=|type=oci,dest=|type=registry|type=tar,dest="},
	{"build", "network", "default|host|none"},
	{"build", "ssh", "default"},
	{"network create", "driver", "bridge|ipvlan|macvlan"},
	{"volume create", "driver", "local"},
	{"user add", "role", "admin|operate|read"},
	{"user update", "role", "admin|operate|read"},
	{"ps", "filter",
		"ancestor=|before=|expose=|exited=|health=|id=|label=|name=|network=|publish=|since=|status=|volume="},
	{"images", "filter", "before=|dangling=|label=|reference=|since="},
	{"network ls", "filter", "dangling=|driver=|id=|label=|name=|scope=|type="},
	{"volume ls", "filter", "dangling=|driver=|label=|name="},
	{"events", "filter", "container=|daemon=|event=|image=|label=|network=|type=|volume="},
	{NULL, "filter", "label=|label!=|until="},
	{"inspect", "format", "json"},
	{"container inspect", "format", "json"},
	{"image inspect", "format", "json"},
	{"network inspect", "format", "json"},
	{"volume inspect", "format", "json"},
	{"device inspect", "format", "json"},
	{"device watch", "format", "json"},
	{"info", "format", "json"},
	{"version", "format", "json"},
	{"events", "format", "json"},
	{NULL, "format", "json|table"},
};

static bool offer_known(const struct offer *o, const char *command, const char *flag)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		bool of_command = !known[i].command || strcmp(known[i].command, command) == 0;
		if (strcmp(known[i].flag, flag) != 0 || !of_command) {
			continue;
		}
		scoped(strv) struct strv words = STRV_INIT;
		strv_split(&words, known[i].words, '|');
		for (size_t k = 0; k < words.n; k++) {
			offer(o, words.v[k]);
		}
		return true;
	}
	return false;
}

static bool is_in(const char *const *list, const char *word)
{
	while (*list && strcmp(*list, word) != 0) {
		list++;
	}
	return *list;
}

bool complete_flag(struct cli *cli, const char *command, const char *flag, const char *prefix,
	const char *typed)
{
	static const char *const of_networks[] = {"network", "net", NULL};
	static const char *const of_containers[] = {"volumes-from", "link", NULL};
	static const char *const of_files[] = {"env-file", "label-file", "cidfile", "config",
		"file", "input", "output", "iidfile", "volume", NULL};
	const struct offer o = {cli, prefix, typed};
	if (offer_known(&o, command, flag)) {
		return false;
	}
	if (is_in(of_networks, flag)) {
		offer_networks(&o);
		offer(&o, "container:");
		return false;
	}
	if (is_in(of_containers, flag)) {
		offer_containers(&o, command);
		return false;
	}
	if (strcmp(flag, "context") == 0) {
		offer_contexts(&o);
	} else if (strcmp(flag, "env") == 0) {
		offer_environment(&o);
	} else if (strcmp(flag, "volume") == 0) {
		offer_volumes(&o);
	}
	return is_in(of_files, flag);
}

bool complete_operand(struct cli *cli, const char *command, const char *operand, const char *typed)
{
	static const char *const of_images[] = {
		"IMAGE", "SOURCE_IMAGE", "TARGET_IMAGE", "REPOSITORY", NULL};
	const struct offer o = {cli, "", typed};
	bool any = strcmp(operand, "NAME|ID") == 0;
	bool container = any || strcmp(operand, "CONTAINER") == 0;
	bool image = any || is_in(of_images, operand);
	if (container) {
		offer_containers(&o, command);
	}
	if (image && strcmp(command, "pull") != 0) {
		offer_images(&o);
	}
	if (any || strcmp(operand, "NETWORK") == 0) {
		offer_networks(&o);
	}
	if (any || strcmp(operand, "VOLUME") == 0) {
		offer_volumes(&o);
	}
	if (strcmp(operand, "DEVICE") == 0) {
		offer_devices(&o);
	}
	if (strcmp(operand, "USER") == 0) {
		offer_users(&o);
	}
	if (strcmp(operand, "CONTEXT") == 0) {
		offer_contexts(&o);
	}
	if (strcmp(operand, "SHELL") == 0) {
		offer(&o, "bash");
		offer(&o, "fish");
		offer(&o, "zsh");
	}
	return strcmp(operand, "PATH") == 0 || text_starts(operand, "file") ||
	       strcmp(operand, "COMMAND") == 0 || strcmp(operand, "ARG") == 0;
}
