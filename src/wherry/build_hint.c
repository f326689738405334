#include "wherry/build_hint.h"

#include <stddef.h>
#include <string.h>

/* The first whose words are all in the error. */
static const struct {
	const char *a, *b, *hint;
} hints[] = {
	{"failed to read dockerfile", "no such file",
		"the Dockerfile is looked for in the context; -f names another one"},
	{"cache key", "not found",
		"COPY and ADD name files of the context: is the path right, and is it not kept out by .dockerignore?"},
	{"target stage", "could not be found",
		"--target takes the name of a stage: FROM ... AS NAME"},
	{"exec format error", "",
		"the image is of another platform: install qemu-user-static, or build with --platform of this machine"},
	{"no space left on device", "",
		"'wherry builder prune' and 'wherry image prune' make room"},
	{"exit code: 137", "",
		"the command was killed (137), most often for lack of memory: 'wherry build --memory' sets the limit"},
	{"exit code: 127", "",
		"a command was not found (127): does the image have it, and is it in PATH?"},
	{"exit code: 126", "",
		"a command cannot be executed (126): is it executable? COPY --chmod=755 makes it so"},
	{"unset ssh forward key", "", "give the agent to the build: wherry build --ssh default"},
	{"secret", "not found",
		"give the secret to the build: wherry build --secret id=NAME,src=FILE"},
	{"pull access denied", "",
		"is the image's name right? For a private one, 'wherry login' first"},
	{"failed to resolve source metadata", "",
		"the base image is neither here nor could it be fetched: is its name right, is the registry reachable?"},
};

const char *build_hint(const char *error)
{
	for (size_t i = 0; i < sizeof(hints) / sizeof(*hints); i++) {
		if (strstr(error, hints[i].a) && strstr(error, hints[i].b)) {
			return hints[i].hint;
		}
	}
	return NULL;
}
