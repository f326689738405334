#include "container/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "container/mount_rules.h"
#include "job/limited.h"
#include "sys/mountinfo.h"

#define PATIENCE_MS 200
#define AWAY_MS 10000
#define AWAY_MAX 32

/* A mount whose server did not answer. */
struct away {
	pid_t pid; /* who asked it and has not ended, or 0 */
	int64_t until_ms;
	char *place;
};

struct patience {
	struct away away[AWAY_MAX];
	size_t n;
};

struct patience *patience_new(void)
{
	return xnew(struct patience);
}

void patience_free(struct patience *p)
{
	for (size_t i = 0; p && i < p->n; i++) {
		free(p->away[i].place);
	}
	free(p);
}

/* Those whose time is over, and whose process has ended, go. */
static void tidy(struct patience *p)
{
	int64_t now_ms = clock_mono_ms();
	size_t kept = 0;
	for (size_t i = 0; i < p->n; i++) {
		struct away a = p->away[i];
		if (a.pid > 0 && waitpid(a.pid, NULL, WNOHANG) != 0) {
			a.pid = 0;
		}
		if (a.pid > 0 || a.until_ms > now_ms) {
			p->away[kept++] = a;
		} else {
			free(a.place);
		}
	}
	p->n = kept;
}

static bool is_away(const struct patience *p, const char *place)
{
	for (size_t i = 0; i < p->n; i++) {
		if (strcmp(p->away[i].place, place) == 0) {
			return true;
		}
	}
	return p->n >= AWAY_MAX;
}

static void note_away(struct patience *p, const char *place, pid_t pid)
{
	p->away[p->n++] = (struct away){
		.pid = pid, .until_ms = clock_mono_ms() + AWAY_MS, .place = xstrdup(place)};
}

/* The mount point, when a server is behind it; NULL. The caller's. */
static char *server_of(const char *path)
{
	scoped(buf) struct buf text = BUF_INIT;
	if (path_read(AT_FDCWD, "/proc/self/mountinfo", MOUNTINFO_MAX, &text) < 0) {
		return NULL;
	}
	return mount_server_place(buf_str(&text), path);
}

struct question {
	const char *path;
	struct answer {
		int result;
		struct stat st;
	} * answer; /* shared with the child */
};

static int ask(void *arg, struct err *e)
{
	const struct question *q = arg;
	q->answer->result = stat(q->path, &q->answer->st) < 0 ? -errno : 0;
	return 0;
}

static int ask_server(struct patience *p, const char *place, const char *path, struct stat *ret)
{
	struct err ignored;
	pid_t late;
	struct answer *a =
		mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (a == MAP_FAILED) {
		return -errno;
	}
	struct question q = {path, a};
	int r = limited_run(PATIENCE_MS, ask, &q, &late, &ignored);
	int result = r < 0 ? -ETIMEDOUT : a->result;
	if (r < 0) {
		note_away(p, place, late);
	} else {
		*ret = a->st;
	}
	munmap(a, sizeof(*a));
	return result;
}

int patience_stat(struct patience *p, const char *path, struct stat *ret)
{
	struct stat ignored;
	scoped(free) char *place = server_of(path);
	ret = ret ? ret : &ignored;
	if (!place || !p) {
		return stat(path, ret) < 0 ? -errno : 0;
	}
	tidy(p);
	return is_away(p, place) ? -ETIMEDOUT : ask_server(p, place, path, ret);
}
