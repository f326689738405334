#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/cgroup.h"
#include "worker/build.h"

int build_place_open(struct build *b, struct build_place *p, struct err *e)
{
	p->dir = xasprintf("%s/%s", b->tmp_dir, p->name);
	p->cgroup = xasprintf("%s/%s", json_str(b->request, "cgroup"), p->name);
	p->fd = -1;
	if (mkdirat(b->tmp_fd, p->name, 0711) < 0) {
		return err_sys(e, errno, "cannot make a directory for the stage");
	}
	p->fd = openat(b->tmp_fd, p->name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return p->fd < 0 ? err_sys(e, errno, "cannot make a directory for the stage") : 0;
}

void build_place_close(struct build *b, struct build_place *p)
{
	if (!p->dir) {
		return;
	}
	cgroup_remove(*p->cgroup == '/' ? p->cgroup + 1 : p->cgroup);
	if (p->fd >= 0) {
		close(p->fd);
		path_remove_tree(b->tmp_fd, p->name);
	}
	free(TAKE(p->dir));
	free(TAKE(p->cgroup));
	p->fd = -1;
}

int build_place_mkdir(const struct build_place *p, const char *name, mode_t mode, struct err *e)
{
	if (mkdirat(p->fd, name, mode) < 0 && errno != EEXIST) {
		return err_sys(e, errno, "cannot make a directory for the step");
	}
	return 0;
}
