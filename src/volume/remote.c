#include "volume/remote.h"

#include <errno.h>
#include <string.h>

#include "base/buf.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"

bool remote_type_is_cifs(const char *type)
{
	return strcmp(type, "cifs") == 0 || strcmp(type, "smb3") == 0;
}

bool remote_type_is_nfs(const char *type)
{
	return strcmp(type, "nfs") == 0 || strcmp(type, "nfs4") == 0;
}

/* --- settings --- */

const char *remote_setting(const json_t *options, const json_t *labels, const char *key)
{
	const char *option = json_str(options, key);
	return *option ? option : json_str(labels, key);
}

int remote_check(const json_t *options, const json_t *labels, struct err *e)
{
	const char *wait = remote_setting(options, labels, REMOTE_WAIT);
	const char *file = remote_setting(options, labels, REMOTE_CREDENTIALS);
	const char *type = json_str(options, "type");
	if (*wait && strcmp(wait, "true") != 0 && strcmp(wait, "false") != 0) {
		return err_set(
			e, ERR_INVALID, "%s is true or false, not \"%.64s\"", REMOTE_WAIT, wait);
	}
	if (*wait && !*type) {
		return err_set(e, ERR_INVALID, "%s is for volumes with the options type and device",
			REMOTE_WAIT);
	}
	if (*file && *file != '/') {
		return err_set(e, ERR_INVALID, "%s must be the absolute path of a file",
			REMOTE_CREDENTIALS);
	}
	if (*file && !remote_type_is_cifs(type)) {
		return err_set(
			e, ERR_INVALID, "%s is for the types cifs and smb3", REMOTE_CREDENTIALS);
	}
	return 0;
}

bool remote_is_watched(const json_t *options, const json_t *labels)
{
	const char *type = json_str(options, "type");
	return remote_type_is_cifs(type) || remote_type_is_nfs(type) ||
	       (*type && *remote_setting(options, labels, REMOTE_WAIT));
}

enum remote_start remote_start_of(const json_t *options, const json_t *labels)
{
	const char *wait = remote_setting(options, labels, REMOTE_WAIT);
	return !*wait                      ? REMOTE_START_FAILS
	       : strcmp(wait, "true") == 0 ? REMOTE_START_WAITS
					   : REMOTE_START_WITHOUT;
}

/* --- options of mount(2) --- */

static bool has_key(const struct strv *parts, const char *key)
{
	size_t n = strlen(key);
	for (size_t i = 0; i < parts->n; i++) {
		if (strncmp(parts->v[i], key, n) == 0 &&
			(parts->v[i][n] == '\0' || parts->v[i][n] == '=')) {
			return true;
		}
	}
	return false;
}

static void add(struct buf *o, const char *part)
{
	buf_printf(o, "%s%s", o->len ? "," : "", part);
}

static void add_unless(struct buf *o, bool there, const char *part)
{
	if (!there) {
		add(o, part);
	}
}

/* "server:/path", "[fe80::1]:/path"; what is not of this form has no server. */
static void add_address(struct buf *o, const char *device)
{
	const char *end = strstr(device, ":/");
	bool brackets = device[0] == '[';
	if (!end || end == device) {
		return;
	}
	int n = (int)(end - device);
	if (brackets && n > 2 && device[n - 1] == ']') {
		device++;
		n -= 2;
	}
	buf_printf(o, "%saddr=%.*s", o->len ? "," : "", n, device);
}

char *remote_options(const char *type, const char *device, const char *o)
{
	scoped(strv) struct strv parts = STRV_INIT;
	scoped(buf) struct buf text = BUF_INIT;
	strv_split(&parts, o, ',');
	buf_puts(&text, o);
	bool chosen =
		has_key(&parts, "hard") || has_key(&parts, "soft") || has_key(&parts, "softerr");
	if (remote_type_is_nfs(type)) {
		if (!has_key(&parts, "addr")) {
			add_address(&text, device);
		}
		if (!chosen) {
			add(&text, "soft");
			add_unless(&text, has_key(&parts, "timeo"), "timeo=50");
			add_unless(&text, has_key(&parts, "retrans"), "retrans=2");
		}
	} else if (remote_type_is_cifs(type)) {
		add_unless(&text, chosen, "soft");
		add_unless(&text, has_key(&parts, "echo_interval"), "echo_interval=10");
	}
	return buf_take_str(&text);
}

/* --- secrets --- */

static void add_value(struct buf *o, const char *key, const char *value)
{
	buf_printf(o, "%s%s=", o->len ? "," : "", key);
	for (const char *p = value; *p; p++) {
		buf_putc(o, *p);
		if (*p == ',') {
			buf_putc(o, ',');
		}
	}
}

/* mount.cifs(8) credentials=: its keys, and their short forms. */
static const char *credential_key(const char *line, const char **ret_value)
{
	static const char *const keys[][2] = {{"username", "username"}, {"user", "username"},
		{"password", "password"}, {"pass", "password"}, {"domain", "domain"},
		{"dom", "domain"}, {"workgroup", "domain"}};
	size_t n = strcspn(line, "=");
	while (n > 0 && line[n] == '=' && (line[n - 1] == ' ' || line[n - 1] == '\t')) {
		n--;
	}
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strlen(keys[i][0]) == n && strncmp(line, keys[i][0], n) == 0 &&
			strchr(line + n, '=')) {
			*ret_value = strchr(line + n, '=') + 1;
			return keys[i][1];
		}
	}
	return NULL;
}

char *remote_credentials(const char *text, struct err *e)
{
	scoped(strv) struct strv lines = STRV_INIT;
	scoped(buf) struct buf o = BUF_INIT;
	bool named = false;
	strv_split(&lines, text, '\n');
	for (size_t i = 0; i < lines.n; i++) {
		char *line = lines.v[i];
		size_t n = strlen(line);
		const char *value;
		if (n > 0 && line[n - 1] == '\r') {
			line[--n] = '\0';
		}
		line += strspn(line, " \t");
		if (!*line || *line == '#') {
			continue;
		}
		const char *key = credential_key(line, &value);
		if (!key) {
			(void)err_set(e, ERR_INVALID,
				"line %zu of the credentials is none of username=, password=, domain=",
				i + 1);
			return NULL;
		}
		add_value(&o, key, value);
		named = named || strcmp(key, "username") == 0;
	}
	if (!named) {
		(void)err_set(e, ERR_INVALID, "the credentials have no line username=");
		return NULL;
	}
	return buf_take_str(&o);
}

static size_t secret_key(const char *part)
{
	static const char *const keys[] = {"password=", "password2=", "pass=", "passwd="};
	for (size_t i = 0; i < sizeof(keys) / sizeof(*keys); i++) {
		if (strncasecmp(part, keys[i], strlen(keys[i])) == 0) {
			return strlen(keys[i]);
		}
	}
	return 0;
}

/* A value ends at a comma that is not one of two. */
char *remote_shown(const char *o)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *p = o;
	while (*p) {
		size_t key = secret_key(p);
		size_t n = 0;
		while (p[n] && !(p[n] == ',' && p[n + 1] != ',')) {
			n += p[n] == ',' ? 2 : 1;
		}
		if (key > 0 && n > key) {
			buf_printf(&text, "%.*s********", (int)key, p);
		} else {
			buf_append(&text, p, n);
		}
		p += n;
		if (*p == ',') {
			buf_putc(&text, *p++);
		}
	}
	return buf_take_str(&text);
}

/* --- reasons --- */

const char *remote_reason(const char *type, int errnum)
{
	switch (errnum) {
	case EACCES:
	case EPERM:
	case EKEYREJECTED:
		return remote_type_is_cifs(type)  ? "the server refuses the name and password"
		       : remote_type_is_nfs(type) ? "the server does not let this machine in"
						  : NULL;
	case ENOKEY:
		return "there are no credentials for it";
	case EHOSTDOWN:
	case ETIMEDOUT:
	case EAGAIN:
		return "the server does not answer";
	case ECONNREFUSED:
		return "nothing serves there: connection refused";
	case ESTALE:
		return "the server no longer knows what is mounted";
	case EIO:
		return remote_type_is_nfs(type) || remote_type_is_cifs(type)
			       ? "the server does not answer"
			       : NULL;
	case ENODEV:
		return "this kernel does not have that kind of file system";
	case ENOENT:
		return remote_type_is_nfs(type) || remote_type_is_cifs(type)
			       ? "the server has no such share"
			       : NULL;
	default:
		return NULL;
	}
}
