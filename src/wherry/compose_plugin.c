/* The same program under the name docker-compose: `docker compose` and `docker-compose` then run
 * ours.
 *
 * docker/cli cli-plugins: a plugin answers "docker-cli-plugin-metadata" with JSON, and is otherwise
 * started with the words that docker was given, "compose" among them. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "wherry/compose.h"

#define METADATA "docker-cli-plugin-metadata"

/* Is one of the words "compose", before anything that could be a service's name? Global flags stand
 * before it. */
static bool has_command(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "compose") == 0) {
			return true;
		}
		bool with_value = strcmp(argv[i], "-H") == 0 || strcmp(argv[i], "--host") == 0 ||
				  strcmp(argv[i], "--config") == 0;
		if (argv[i][0] != '-') {
			return false;
		}
		i += with_value;
	}
	return false;
}

bool compose_plugin(int *argc, char ***argv)
{
	const char *slash = strrchr((*argv)[0], '/');
	if (strcmp(slash ? slash + 1 : (*argv)[0], "docker-compose") != 0) {
		return false;
	}
	if (*argc == 2 && strcmp((*argv)[1], METADATA) == 0) {
		printf("{\"SchemaVersion\":\"0.1.0\",\"Vendor\":\"Wherry\",\"Version\":\"%s\","
		       "\"ShortDescription\":\"Define and run applications of several containers\"}\n",
			WHERRY_VERSION);
		return true;
	}
	if (!has_command(*argc, *argv)) {
		static char word[] = "compose";
		char **longer =
			xnew_array(char *, (size_t)*argc + 2); /* lives as long as the program */
		longer[0] = (*argv)[0];
		longer[1] = word;
		memcpy(longer + 2, *argv + 1, sizeof(*longer) * (size_t)(*argc - 1));
		*argv = longer;
		++*argc;
	}
	return false;
}
