#include "wherry/spec_check.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "wherry/specs.h"

int spec_open_failed(int errnum, const char *path, struct err *e)
{
	scoped(free) char *why = xstrdup(strerror(errnum));
	*why = (char)tolower((unsigned char)*why);
	return err_set(e, ERR_SYSTEM, "open %s: %s", path, why);
}

bool spec_is_ip(const char *text)
{
	unsigned char address[16];
	return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1;
}

/* Whether a parser that gives JSON takes the value. */
static int parses(json_t *(*parse)(const char *, struct err *), const char *value, struct err *e)
{
	scoped(json) json_t *doc = parse(value, e);
	return doc ? 0 : -1;
}

int check_bytes_rate(const char *value, struct err *e)
{
	return parses(spec_bytes_rate, value, e);
}

int check_iops_rate(const char *value, struct err *e)
{
	return parses(spec_iops_rate, value, e);
}

int check_weight(const char *value, struct err *e)
{
	return parses(spec_weight, value, e);
}

int check_gpus(const char *value, struct err *e)
{
	return parses(spec_gpus, value, e);
}

int check_mount(const char *value, struct err *e)
{
	return parses(spec_mount, value, e);
}

int check_ulimit(const char *value, struct err *e)
{
	return parses(spec_ulimit, value, e);
}

int check_add_host(const char *value, struct err *e)
{
	scoped(free) char *text = spec_add_host(value, e);
	return text ? 0 : -1;
}

int check_attach(const char *value, struct err *e)
{
	bool known = strcasecmp(value, "stdin") == 0 || strcasecmp(value, "stdout") == 0 ||
		     strcasecmp(value, "stderr") == 0;
	return known ? 0 : err_set(e, ERR_INVALID, "valid streams are STDIN, STDOUT and STDERR");
}

/* "c 1:3 rwm", numbers or '*'. */
int check_device_rule(const char *value, struct err *e)
{
	static const char digits[] = "0123456789";
	const char *p = value + 2;
	bool right = *value && strchr("acb", *value) && value[1] == ' ';
	for (int i = 0; right && i < 2; i++) {
		size_t n = *p == '*' ? 1 : strspn(p, digits);
		right = n > 0 && p[n] == (i == 0 ? ':' : ' ');
		p += n + 1;
	}
	right = right && *p && strlen(p) <= 3 && strspn(p, "rwm") == strlen(p);
	return right ? 0 : err_set(e, ERR_INVALID, "invalid device cgroup format '%s'", value);
}

int check_dns(const char *value, struct err *e)
{
	return spec_is_ip(value) ? 0
				 : err_set(e, ERR_INVALID,
					   "IP address is not correctly formatted: %s", value);
}

/* Labels of letters, digits and inner hyphens; one letter at least. "." alone means no search at
 * all. */
int check_domain(const char *value, struct err *e)
{
	size_t n = strlen(value);
	bool letter = false;
	bool right = n > 0 && n < 255;
	for (size_t i = 0; right && i < n; i++) {
		char c = value[i];
		bool edge = i == 0 || value[i - 1] == '.' || !value[i + 1] || value[i + 1] == '.';
		letter = letter || isalpha((unsigned char)c);
		right = isalnum((unsigned char)c) || (c == '-' && !edge) ||
			(c == '.' && i > 0 && value[i - 1] != '.');
	}
	return (right && letter) || strcmp(value, ".") == 0
		       ? 0
		       : err_set(e, ERR_INVALID, "%s is not a valid domain", value);
}

int check_env(const char *value, struct err *e)
{
	return *value && *value != '='
		       ? 0
		       : err_set(e, ERR_INVALID, "invalid environment variable: %s", value);
}

int check_label(const char *value, struct err *e)
{
	scoped(json) json_t *labels = json_object();
	return spec_label(value, labels, e);
}

int check_link(const char *value, struct err *e)
{
	const char *colon = strchr(value, ':');
	if (!*value) {
		return err_set(e, ERR_INVALID, "empty string specified for links");
	}
	return colon && strchr(colon + 1, ':')
		       ? err_set(e, ERR_INVALID, "bad format for links: %s", value)
		       : 0;
}

/* Six, eight or twenty bytes in hex, between ':' or '-'. */
int check_mac(const char *value, struct err *e)
{
	size_t bytes = 0;
	const char *p = value;
	char sep = value[0] && value[1] ? value[2] : '\0';
	while (isxdigit((unsigned char)p[0]) && isxdigit((unsigned char)p[1])) {
		bytes++;
		p += 2;
		if (!*p || *p != sep) {
			break;
		}
		p++;
	}
	bool right = !*p && (sep == ':' || sep == '-') && (bytes == 6 || bytes == 8 || bytes == 20);
	return right ? 0 : err_set(e, ERR_INVALID, "%s is not a valid mac address", value);
}

int check_network(const char *value, struct err *e)
{
	scoped(free) char *name = NULL;
	json_t *endpoint = NULL;
	int r = spec_network(value, &name, &endpoint, e);
	json_decref(endpoint);
	return r;
}

int check_platform(const char *value, struct err *e)
{
	static const char *const known[] = {"linux", "windows", "darwin", "freebsd", "netbsd",
		"openbsd", "android", "aix", "solaris", "illumos", "plan9", "js", "wasip1", "386",
		"i386", "amd64", "x86_64", "x86-64", "arm", "armhf", "armel", "arm64", "aarch64",
		"ppc64", "ppc64le", "loong64", "mips", "mipsle", "mips64", "mips64le", "riscv64",
		"s390x", "sparc64", "wasm"};
	bool found = strchr(value, '/') || !*value;
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		found = found || strcasecmp(known[i], value) == 0;
	}
	return found ? 0
		     : err_set(e, ERR_INVALID,
			       "error parsing specified platform: \"%s\": unknown operating system or architecture: invalid argument",
			       value);
}

int check_sysctl(const char *value, struct err *e)
{
	static const char *const known[] = {"kernel.msgmax", "kernel.msgmnb", "kernel.msgmni",
		"kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
		"kernel.shm_rmid_forced"};
	size_t n = strcspn(value, "=");
	bool allowed = text_starts(value, "net.") || text_starts(value, "fs.mqueue.");
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		allowed = allowed || (strlen(known[i]) == n && strncmp(known[i], value, n) == 0);
	}
	return allowed && value[n] ? 0
				   : err_set(e, ERR_INVALID, "sysctl '%s' is not allowed", value);
}
