#include "oci/passwd.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"

#define FILE_MAX (1u << 20)
#define FIELDS_MAX 7

/* The file as the merged image has it: the topmost layer that holds it decides; a whiteout there
 * hides it. */
static int read_merged(const struct strv *roots, const char *path, struct buf *ret, struct err *e)
{
	for (size_t i = 0; i < roots->n; i++) {
		scoped(close) int root = open(roots->v[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (root < 0) {
			return err_sys(e, errno, "cannot open %s", roots->v[i]);
		}
		/* O_PATH first: opening a device or a fifo of the image would act on it */
		scoped(close) int place = path_open_in(root, path, O_PATH, 0);
		if (place < 0) {
			continue;
		}
		struct stat st;
		if (fstat(place, &st) < 0 || !S_ISREG(st.st_mode)) {
			return 0;
		}
		char self[32];
		snprintf(self, sizeof(self), "/proc/self/fd/%d", place);
		int r = path_read(AT_FDCWD, self, FILE_MAX, ret);
		if (r < 0) {
			return err_sys(e, -r, "cannot read the image's %s", path);
		}
		return 0;
	}
	return 0;
}

/* Takes the next line off *p as fields; false at the end. The text is cut in place. */
static bool next_line(char **p, char *fields[FIELDS_MAX], size_t *ret_n)
{
	if (!*p || !**p) {
		return false;
	}
	char *line = strsep(p, "\n");
	size_t n = 0;
	char *field;
	while (n < FIELDS_MAX && (field = strsep(&line, ":"))) {
		fields[n++] = field;
	}
	*ret_n = n;
	return true;
}

static bool is_number(const char *text, unsigned *ret)
{
	int64_t value;
	if (parse_i64(text, 0, UINT32_MAX - 1, &value) < 0) {
		return false;
	}
	*ret = (unsigned)value;
	return true;
}

/* What has the form of a number is one, or is refused: "4294967296" must not become the name of an
 * entry that the image made for it (CVE-2026-46680). */
static int check_range(const char *text, struct err *e)
{
	const char *digits = text + (*text == '-' || *text == '+');
	unsigned ignored;
	if (*digits && digits[strspn(digits, "0123456789")] == '\0' && !is_number(text, &ignored)) {
		return err_set(e, ERR_INVALID,
			"invalid id %.64s: uids and gids must be in range 0-4294967294", text);
	}
	return 0;
}

/* A numeric wish is compared with the numbers only, never with names (CVE-2026-46680). */
static bool find_user(char *passwd, const char *name, struct oci_user *u)
{
	unsigned wanted = 0;
	bool numeric = is_number(name, &wanted);
	char *fields[FIELDS_MAX];
	size_t n;
	while (next_line(&passwd, fields, &n)) {
		unsigned uid;
		unsigned gid;
		if (n < 6 || !is_number(fields[2], &uid) || !is_number(fields[3], &gid)) {
			continue;
		}
		if (numeric ? uid == wanted : strcmp(fields[0], name) == 0) {
			u->uid = uid;
			u->gid = gid;
			snprintf(u->home, sizeof(u->home), "%s", *fields[5] ? fields[5] : "/");
			return true;
		}
	}
	return false;
}

static bool find_group(const char *group_text, const char *name, gid_t *ret)
{
	unsigned wanted;
	if (is_number(name, &wanted)) {
		*ret = wanted;
		return true;
	}
	scoped(free) char *copy = xstrdup(group_text);
	char *p = copy;
	char *fields[FIELDS_MAX];
	size_t n;
	while (next_line(&p, fields, &n)) {
		unsigned gid;
		if (n >= 3 && strcmp(fields[0], name) == 0 && is_number(fields[2], &gid)) {
			*ret = gid;
			return true;
		}
	}
	return false;
}

static void add_group(struct oci_user *u, gid_t gid)
{
	for (size_t i = 0; i < u->n_groups; i++) {
		if (u->groups[i] == gid) {
			return;
		}
	}
	if (u->n_groups < OCI_GROUPS_MAX) {
		u->groups[u->n_groups++] = gid;
	}
}

/* Groups whose member list names the user. */
static void add_memberships(const char *group_text, const char *user, struct oci_user *u)
{
	scoped(free) char *copy = xstrdup(group_text);
	char *p = copy;
	char *fields[FIELDS_MAX];
	size_t n;
	while (next_line(&p, fields, &n)) {
		unsigned gid;
		if (n < 4 || !is_number(fields[2], &gid)) {
			continue;
		}
		char *members = fields[3];
		char *member;
		while ((member = strsep(&members, ","))) {
			if (strcmp(member, user) == 0) {
				add_group(u, gid);
			}
		}
	}
}

/* The name of a uid, for its memberships. The caller's string, or NULL. */
static char *name_of(const char *passwd_text, uid_t wanted)
{
	scoped(free) char *copy = xstrdup(passwd_text);
	char *p = copy;
	char *fields[FIELDS_MAX];
	size_t n;
	while (next_line(&p, fields, &n)) {
		unsigned uid;
		if (n >= 4 && is_number(fields[2], &uid) && uid == wanted) {
			return xstrdup(fields[0]);
		}
	}
	return NULL;
}

static int pick_user(const char *passwd_text, const char *name, struct oci_user *u, struct err *e)
{
	scoped(free) char *copy = xstrdup(passwd_text);
	unsigned uid;
	if (check_range(name, e) < 0) {
		return -1;
	}
	if (find_user(copy, name, u)) {
		return 0;
	}
	if (!is_number(name, &uid)) {
		return err_set(e, ERR_INVALID,
			"unable to find user %.64s: no matching entries in passwd file", name);
	}
	u->uid = uid;
	return 0;
}

int oci_user_find(const struct strv *roots, const char *user, const struct strv *extra_groups,
	struct oci_user *ret, struct err *e)
{
	struct oci_user u = {.home = "/"};
	scoped(buf) struct buf passwd = BUF_INIT;
	scoped(buf) struct buf group = BUF_INIT;
	if (read_merged(roots, "/etc/passwd", &passwd, e) < 0 ||
		read_merged(roots, "/etc/group", &group, e) < 0) {
		return -1;
	}
	scoped(free) char *name = xstrndup(user, strcspn(user, ":"));
	const char *group_name = strchr(user, ':');
	if (pick_user(buf_str(&passwd), *name ? name : "0", &u, e) < 0) {
		return -1;
	}
	if (group_name &&
		group_name[1]) { /* an explicit group drops the supplementary ones, as runc does */
		if (check_range(group_name + 1, e) < 0) {
			return -1;
		}
		if (!find_group(buf_str(&group), group_name + 1, &u.gid)) {
			return err_set(e, ERR_INVALID,
				"unable to find group %.64s: no matching entries in group file",
				group_name + 1);
		}
	} else {
		scoped(free) char *login = name_of(buf_str(&passwd), u.uid);
		if (login) {
			add_memberships(buf_str(&group), login, &u);
		}
	}
	for (size_t i = 0; extra_groups && i < extra_groups->n; i++) {
		gid_t gid;
		if (check_range(extra_groups->v[i], e) < 0) {
			return -1;
		}
		if (!find_group(buf_str(&group), extra_groups->v[i], &gid)) {
			return err_set(e, ERR_INVALID,
				"Unable to find group %.64s: no matching entries in group file",
				extra_groups->v[i]);
		}
		add_group(&u, gid);
	}
	*ret = u;
	return 0;
}
