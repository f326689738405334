/* GET /_ping and /version; /auth, /info, /events and /system/df have files of their own. */
#include <string.h>
#include <sys/utsname.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/json.h"

void system_ping(struct call *c)
{
	static const char *const headers[][2] = {
		{"Builder-Version", "2"},
		{"Swarm", "inactive"},
		{"Cache-Control", "no-cache, no-store, must-revalidate"},
		{"Pragma", "no-cache"},
	};
	for (size_t i = 0; i < sizeof(headers) / sizeof(*headers); i++) {
		http_set_header(c->r, headers[i][0], headers[i][1]);
	}
	bool head = strcmp(http_method(c->r), "HEAD") == 0;
	http_reply(c->r, 200, "text/plain; charset=utf-8", "OK", head ? 0 : 2);
}

/* Go's name for this machine's architecture: what clients compare with image platforms. */
static const char *go_arch(const char *machine)
{
	static const char *const names[][2] = {{"x86_64", "amd64"}, {"aarch64", "arm64"},
		{"armv7l", "arm"}, {"armv6l", "arm"}, {"i686", "386"}, {"riscv64", "riscv64"}};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(machine, names[i][0]) == 0) {
			return names[i][1];
		}
	}
	return machine;
}

void system_version(struct call *c)
{
	struct utsname u;
	uname(&u);
	json_t *details = json_pack("{ss ss ss ss ss ss}", "ApiVersion", API_VERSION_TEXT, "Arch",
		go_arch(u.machine), "KernelVersion", u.release, "MinAPIVersion",
		API_VERSION_MIN_TEXT, "Os", "linux", "Experimental", "false");
	json_t *doc = json_pack("{s{ss} s[{ss ss so}] ss ss ss ss ss ss ss}", "Platform", "Name",
		"Wherry Engine", "Components", "Name", "Engine", "Version", WHERRY_VERSION,
		"Details", details, "Version", WHERRY_VERSION, "ApiVersion", API_VERSION_TEXT,
		"MinAPIVersion", API_VERSION_MIN_TEXT, "GitCommit", "", "GoVersion", "", "Os",
		"linux", "Arch", go_arch(u.machine));
	json_put_str(doc, "KernelVersion", u.release);
	json_put_str(doc, "BuildTime", "");
	call_reply_json(c, 200, doc);
}
