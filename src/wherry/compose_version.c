/* compose version: scripts compare it with what docker compose they know, so its number is the one
 * of the docker compose that we follow; ours stands behind it. */
#include <stdio.h>
#include <string.h>

#include "wherry/compose.h"

#define FOLLOWED "2.40.3"

int compose_version(struct compose *c, int argc, char **argv)
{
	const char *format = "";
	bool brief = false;
	const struct flag flags[] = {
		{"format", 'f', FLAG_STRING, &format, NULL,
			"Format the output. Values: [pretty | json]. (Default: pretty)"},
		{"short", 0, FLAG_BOOL, &brief, NULL, "Shows only Compose's version number"},
		{0},
	};
	const struct syntax s = {"compose version", "[OPTIONS]",
		"Show the Docker Compose version information", 0, 0, false};
	int status = compose_flags(c, &s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	if (brief) {
		printf(FOLLOWED "+wherry%s\n", WHERRY_VERSION);
	} else if (strcmp(format, "json") == 0) {
		printf("{\"version\":\"" FOLLOWED "+wherry%s\"}\n", WHERRY_VERSION);
	} else {
		printf("Docker Compose version " FOLLOWED "+wherry%s\n", WHERRY_VERSION);
	}
	return 0;
}
