#include "device/rule.h"

#include <ctype.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/text.h"
#include "codec/glob.h"
#include "device/device.h"
#include "device/label.h"

#define AS_BYTES_MAX 200
#define EXEC_WORDS_MAX 64

static const char *const keys[] = {"usb", "class", "serial", "port", "path", "as", "permissions",
	"uid", "gid", "mode", "required", "on_change", "exec", NULL};

void device_rule_free(struct device_rule *r)
{
	if (!r) {
		return;
	}
	free(r->name);
	free(r->usb);
	free(r->serial);
	free(r->port);
	free(r->path);
	free(r->as);
	strv_deinit(&r->exec);
	free(r);
}

/* "0403:6001" or "0403:6001:A1B2". */
static bool is_usb(const char *text)
{
	for (int i = 0; i < 9; i++) {
		bool right = i == 4 ? text[i] == ':' : isxdigit((unsigned char)text[i]);
		if (!right) {
			return false;
		}
	}
	return text[9] == '\0' || (text[9] == ':' && text[10] != '\0');
}

/* What the word that stands alone at the front is. */
static const char *key_of_first(const char *word)
{
	return is_usb(word) ? "usb" : *word == '/' ? "path" : "class";
}

static int name_first(json_t *doc, struct err *e)
{
	json_t *word = json_object_get(doc, "");
	return json_is_string(word) ? label_name_first(doc, key_of_first(json_string_value(word)),
					      json_incref(word), e)
				    : 0;
}

static int get_text(const json_t *doc, const char *key, char **ret, struct err *e)
{
	const char *text;
	if (json_get_str(doc, key, &text, e) < 0) {
		return -1;
	}
	if (text && !*text) {
		return err_set(e, ERR_INVALID, "%s has no value", key);
	}
	*ret = xstrdup(text);
	return 0;
}

static int read_selectors(struct device_rule *r, const json_t *doc, struct err *e)
{
	const char *class;
	if (get_text(doc, "usb", &r->usb, e) < 0 || get_text(doc, "serial", &r->serial, e) < 0 ||
		get_text(doc, "port", &r->port, e) < 0 || get_text(doc, "path", &r->path, e) < 0 ||
		json_get_str(doc, "class", &class, e) < 0) {
		return -1;
	}
	if (r->usb && !is_usb(r->usb)) {
		return err_set(e, ERR_INVALID,
			"usb must be vendor:product or vendor:product:serial, as 0403:6001, not '%.60s'",
			r->usb);
	}
	if (class && (r->classes = device_class_parse(class)) == 0) {
		scoped(free) char *all = device_class_names(~0u, ", ");
		return err_set(
			e, ERR_INVALID, "there is no class '%.60s'; there are: %s", class, all);
	}
	if (r->path && (!text_starts(r->path, "/dev/") || glob_check(r->path) < 0)) {
		return err_set(e, ERR_INVALID,
			"path must be a name below /dev, with *, ? and [] as in a shell, not '%.60s'",
			r->path);
	}
	return r->usb || r->classes || r->serial || r->port || r->path
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "it says of no device: one of usb, class, serial, port and path is needed");
}

/* Below /dev, which is the container's own file system; a last '/' makes it a directory. */
static int read_as(struct device_rule *r, const json_t *doc, struct err *e)
{
	if (get_text(doc, "as", &r->as, e) < 0) {
		return -1;
	}
	if (!r->as) {
		return 0;
	}
	scoped(free) char *clean = path_clean(r->as);
	size_t n = strlen(clean);
	bool same = strncmp(r->as, clean, n) == 0 && (!r->as[n] || strcmp(r->as + n, "/") == 0);
	if (!text_starts(clean, "/dev/") || !same || strlen(r->as) > AS_BYTES_MAX) {
		return err_set(e, ERR_INVALID,
			"as must be a plain name below /dev of at most %d bytes, not '%.60s'",
			AS_BYTES_MAX, r->as);
	}
	return 0;
}

static int read_permissions(struct device_rule *r, const json_t *doc, struct err *e)
{
	const char *text;
	if (json_get_str(doc, "permissions", &text, e) < 0) {
		return -1;
	}
	text = text ? text : "rw";
	size_t n = strlen(text);
	if (n == 0 || n >= sizeof(r->permissions) || strspn(text, "rwm") != n) {
		return err_set(e, ERR_INVALID,
			"permissions must be some of r, w and m, not '%.16s'", text);
	}
	memcpy(r->permissions, text, n + 1);
	return 0;
}

/* As chmod writes it: in a JSON number nobody could tell 660 from 0660. */
static int read_mode(struct device_rule *r, const json_t *doc, struct err *e)
{
	const json_t *v = json_object_get(doc, "mode");
	const char *text = json_is_string(v) ? json_string_value(v) : "";
	size_t n = strlen(text);
	if (!v || json_is_null(v)) {
		return 0;
	}
	if (n == 0 || n > 4 || strspn(text, "01234567") != n || strtol(text, NULL, 8) > 0777) {
		return err_set(e, ERR_INVALID, "mode must be text of octal digits, as \"0660\"");
	}
	r->mode = (int)strtol(text, NULL, 8);
	return 0;
}

static int read_node(struct device_rule *r, const json_t *doc, struct err *e)
{
	r->uid = r->gid = -1;
	r->mode = -1;
	r->required = true;
	return read_as(r, doc, e) < 0 || read_permissions(r, doc, e) < 0 ||
			       label_get_number(doc, "uid", INT32_MAX, &r->uid, e) < 0 ||
			       label_get_number(doc, "gid", INT32_MAX, &r->gid, e) < 0 ||
			       read_mode(r, doc, e) < 0
		       ? -1
		       : label_get_bool(doc, "required", &r->required, e);
}

/* Text is for a shell, a list is a program and its arguments. */
static int read_exec(struct device_rule *r, const json_t *doc, struct err *e)
{
	const json_t *v = json_object_get(doc, "exec");
	if (json_is_string(v)) {
		strv_add(&r->exec, "/bin/sh");
		strv_add(&r->exec, "-c");
	}
	if (json_get_strv(doc, "exec", &r->exec, e) < 0) {
		return -1;
	}
	return r->exec.n <= EXEC_WORDS_MAX
		       ? 0
		       : err_set(e, ERR_INVALID, "exec has more than %d words", EXEC_WORDS_MAX);
}

static int parse_on_change(struct device_rule *r, const char *text, struct err *e)
{
	if (strcmp(text, "none") == 0) {
		r->on_change = DEVICE_ON_CHANGE_NONE;
	} else if (strcmp(text, "restart") == 0) {
		r->on_change = DEVICE_ON_CHANGE_RESTART;
	} else if (strcmp(text, "exec") == 0) {
		r->on_change = DEVICE_ON_CHANGE_EXEC;
	} else if (strcmp(text, "signal") == 0) {
		r->on_change = DEVICE_ON_CHANGE_SIGNAL;
		r->signal = SIGHUP;
	} else if (text_starts(text, "signal:")) {
		r->on_change = DEVICE_ON_CHANGE_SIGNAL;
		return parse_signal(text + strlen("signal:"), &r->signal) < 0
			       ? err_set(e, ERR_INVALID, "there is no signal '%.32s'",
					 text + strlen("signal:"))
			       : 0;
	} else {
		return err_set(e, ERR_INVALID,
			"on_change must be none, signal, signal:NAME, restart or exec, not '%.32s'",
			text);
	}
	return 0;
}

static int read_on_change(struct device_rule *r, const json_t *doc, struct err *e)
{
	const char *text;
	if (read_exec(r, doc, e) < 0 || json_get_str(doc, "on_change", &text, e) < 0) {
		return -1;
	}
	if (parse_on_change(r, text ? text : r->exec.n > 0 ? "exec" : "none", e) < 0) {
		return -1;
	}
	if ((r->on_change == DEVICE_ON_CHANGE_EXEC) != (r->exec.n > 0)) {
		return err_set(e, ERR_INVALID, "exec and on_change=exec belong together");
	}
	return 0;
}

static int check_name(const char *name, struct err *e)
{
	return label_is_name(name)
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "a name of letters, digits, '_', '.' and '-' is expected");
}

static struct device_rule *read_rule(const char *name, const json_t *doc, struct err *e)
{
	scoped(device_rule_free) struct device_rule *r = xnew(struct device_rule);
	r->name = xstrdup(name);
	if (check_name(name, e) < 0 || label_check_keys(doc, keys, e) < 0 ||
		read_selectors(r, doc, e) < 0 || read_node(r, doc, e) < 0 ||
		read_on_change(r, doc, e) < 0) {
		return NULL;
	}
	return TAKE(r);
}

struct device_rule *device_rule_from_json(const char *name, const json_t *doc, struct err *e)
{
	struct device_rule *r = read_rule(name, doc, e);
	if (!r) {
		(void)err_wrap(e, DEVICE_LABEL "%.64s", name);
	}
	return r;
}

struct device_rule *device_rule_parse(const char *name, const char *text, struct err *e)
{
	if (strlen(text) > DEVICE_RULE_BYTES_MAX) {
		(void)err_set(e, ERR_INVALID, DEVICE_LABEL "%.64s: longer than %d bytes", name,
			DEVICE_RULE_BYTES_MAX);
		return NULL;
	}
	scoped(json) json_t *doc = label_parse(text, e);
	if (!doc || name_first(doc, e) < 0) {
		(void)err_wrap(e, DEVICE_LABEL "%.64s", name);
		return NULL;
	}
	return device_rule_from_json(name, doc, e);
}

void device_rules_free(struct device_rule **rules, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		device_rule_free(rules[i]);
	}
	free(rules);
}

int device_rules_read(const json_t *labels, struct device_rule ***ret, size_t *ret_n, struct err *e)
{
	struct device_rule **rules = NULL;
	size_t n = 0;
	scoped(strv) struct strv names = STRV_INIT;
	label_find(labels, DEVICE_LABEL, &names);
	if (names.n > DEVICE_RULES_MAX) {
		return err_set(e, ERR_INVALID, "more than %d labels " DEVICE_LABEL "NAME",
			DEVICE_RULES_MAX);
	}
	rules = xnew_array(struct device_rule *, names.n + 1);
	for (; n < names.n; n++) {
		rules[n] = device_rule_parse(
			names.v[n] + strlen(DEVICE_LABEL), json_str(labels, names.v[n]), e);
		if (!rules[n]) {
			device_rules_free(rules, n);
			return -1;
		}
	}
	*ret = rules;
	*ret_n = n;
	return 0;
}

static bool same_text(const char *a, const char *b)
{
	return *a && strcmp(a, b) == 0;
}

static bool match_usb(const char *usb, const struct device *d)
{
	if (!*d->vendor || strncasecmp(usb, d->vendor, 4) != 0 ||
		strncasecmp(usb + 5, d->product, 4) != 0) {
		return false;
	}
	return !usb[9] || same_text(d->serial_short, usb + 10);
}

/* "1-1.2" of ".../usb1/1-1/1-1.2/1-1.2:1.0/ttyUSB0/tty/ttyUSB0", or the path's end. */
static bool match_port(const char *port, const struct device *d)
{
	size_t n = strlen(port);
	size_t all = strlen(d->sysfs);
	bool end = all > n && text_ends(d->sysfs, port) &&
		   (*port == '/' || d->sysfs[all - n - 1] == '/');
	return end || same_text(d->port, port) || same_text(d->usb_port, port);
}

static bool match_path(const char *pattern, const struct device *d)
{
	if (glob_match(pattern, d->node)) {
		return true;
	}
	for (size_t i = 0; i < d->links.n; i++) {
		if (glob_match(pattern, d->links.v[i])) {
			return true;
		}
	}
	return false;
}

/* A stick has two nodes, /dev/ttyUSB0 and the raw one of the bus, and both bear its names.
 * "usb=0403:6001, as=/dev/zigbee" is about the first. */
static bool means_bus(const struct device_rule *r, const struct device *d)
{
	return !(d->classes & DEVICE_USB) || (r->classes & DEVICE_USB) || r->path;
}

bool device_rule_matches(const struct device_rule *r, const struct device *d)
{
	return means_bus(r, d) && (!r->usb || match_usb(r->usb, d)) &&
	       (!r->classes || (r->classes & d->classes)) &&
	       (!r->serial || same_text(d->serial_short, r->serial) ||
		       same_text(d->serial, r->serial)) &&
	       (!r->port || match_port(r->port, d)) && (!r->path || match_path(r->path, d));
}

bool device_rule_is_many(const struct device_rule *r)
{
	return !r->as || text_ends(r->as, "/");
}

bool device_rule_has_links(const struct device_rule *r)
{
	return !r->as;
}

char *device_rule_target(const struct device_rule *r, const struct device *d)
{
	if (!r->as) {
		return xstrdup(d->node);
	}
	return text_ends(r->as, "/") ? xasprintf("%s%s", r->as, strrchr(d->node, '/') + 1)
				     : xstrdup(r->as);
}
