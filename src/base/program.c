#include "base/program.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"

char *program_find(const char *name, const char *folder, const char *libexec)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (n <= 0) {
		return NULL;
	}
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	char *places[] = {xasprintf("%s/%s", self, name),
		xasprintf("%s/../%s/%s", self, folder, name), xasprintf("%s/%s", libexec, name)};
	char *found = NULL;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		if (!found && access(places[i], X_OK) == 0) {
			found = path_clean(places[i]);
		}
		free(places[i]);
	}
	return found;
}
