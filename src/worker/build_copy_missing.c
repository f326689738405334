/* A source of COPY or ADD that is not there: hidden by .dockerignore, mistyped, or simply absent.
 */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "build/hint.h"
#include "worker/build_copy.h"

#define NAMES_SHOWN 60 /* bytes */

/* The directory that should hold it: its path, as far as it is there, below the root. */
static int open_parent(const struct copy_step *c, const char *clean)
{
	scoped(free) char *parent = xstrdup(clean);
	*strrchr(parent, '/') = '\0';
	return path_open_in(
		c->root_fd, *parent ? parent + 1 : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
}

static void list_names(const struct strv *names, struct buf *ret)
{
	for (size_t k = 0; k < names->n; k++) {
		if (ret->len > NAMES_SHOWN) {
			buf_puts(ret, ", ...");
			return;
		}
		buf_printf(ret, "%s%.40s", k ? ", " : "", names->v[k]);
	}
}

/* What is there instead, for the end of the sentence. */
static void say_what_is_there(const struct copy_step *c, const char *clean, struct buf *ret)
{
	scoped(strv) struct strv names = STRV_INIT;
	scoped(close) int fd = open_parent(c, clean);
	if (fd < 0 || path_list(fd, &names) < 0) {
		buf_puts(ret, "; its directory is not there either");
		return;
	}
	char room[HINT_TEXT_MAX];
	struct hint hint = hint_for(strrchr(clean, '/') + 1);
	for (size_t k = 0; k < names.n; k++) {
		if (strcasecmp(names.v[k], hint.word) == 0) { /* another case is another file */
			hint.nearest = names.v[k];
			break;
		}
		hint_offer(&hint, names.v[k]);
	}
	if (hint.nearest) {
		buf_puts(ret, hint_text(&hint, room));
	} else if (names.n > 0) {
		buf_puts(ret, "; there is ");
		list_names(&names, ret);
	}
}

int copy_missing(const struct copy_step *c, const char *written, struct err *e)
{
	const struct build_step *t = c->t;
	const char *keyword = df_keyword(t->i->kind);
	const bool context = c->root_fd == t->b->context_fd;
	scoped(free) char *clean = path_join("/", written);
	int line = context ? ignore_line(t->b->ignore, clean + 1) : 0;
	if (line > 0) {
		return err_set(e, ERR_INVALID, "%s failed: \"%.100s\" is excluded by %.60s line %d",
			keyword, written, ignore_name(t->b->ignore), line);
	}
	scoped(buf) struct buf rest = BUF_INIT;
	say_what_is_there(c, clean, &rest);
	return err_set(e, ERR_INVALID, "%s failed: %s: stat %.60s: file does not exist%s", keyword,
		context ? "file not found in build context or excluded by .dockerignore"
			: "file not found in the source",
		written, buf_str(&rest));
}
