#include "container/top.h"

#include <ctype.h>
#include <string.h>

#include "base/mem.h"
#include "container/internal.h"
#include "job/job.h"

#define PS_ARGS_MAX 4096

struct top {
	struct container_set *set;
	char id[ID_LEN + 1];
	struct job *job;
	container_top_fn *fn;
	void *owner;
};

/* moby's expression \s+([^\s]*)=\s*(PID[^\s]*) */
int container_top_check(const char *ps_args, struct err *e)
{
	for (const char *p = strchr(ps_args, '='); p; p = strchr(p + 1, '=')) {
		const char *key = p;
		const char *value = p + 1 + strspn(p + 1, " \t\n\r\f");
		while (key > ps_args && !isspace((unsigned char)key[-1])) {
			key--;
		}
		size_t n = (size_t)(p - key);
		if (key == ps_args || strncmp(value, "PID", 3) != 0 ||
			(n == 3 && strncmp(key, "pid", 3) == 0)) {
			continue;
		}
		return err_set(e, ERR_SYSTEM, "specifying \"%.*s=%.*s\" is not allowed",
			n > 64 ? 64 : (int)n, key, (int)strcspn(value, " \t\n\r\f") % 64, value);
	}
	return 0;
}

static void listed(void *owner, struct job *j, json_t *result, const struct err *failed)
{
	struct top *t = owner;
	struct err ignored;
	const struct container *c = container_find(t->set, t->id, &ignored);
	if (result && c && !t->set->closing) {
		container_event(c, "top", NULL);
	}
	t->fn(t->owner, result, failed);
	free(t);
}

struct top *container_top(
	struct container *c, const char *ps_args, container_top_fn *fn, void *owner, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, listed};
	if (c->state == CONTAINER_RESTARTING) {
		(void)err_set(e, ERR_CONFLICT,
			"Container %s is restarting, wait until the container is running", c->id);
		return NULL;
	}
	if (!container_is_running(c)) {
		(void)err_set(e, ERR_CONFLICT, "container %s is not running", c->id);
		return NULL;
	}
	if (strlen(ps_args) > PS_ARGS_MAX) {
		(void)err_set(e, ERR_INVALID, "ps_args is longer than %d bytes", PS_ARGS_MAX);
		return NULL;
	}
	struct top *t = xnew(struct top);
	t->set = c->set;
	memcpy(t->id, c->id, sizeof(t->id));
	t->fn = fn;
	t->owner = owner;
	json_t *request =
		json_pack("{ss ss}", "args", *ps_args ? ps_args : "-ef", "cgroup", c->cgroup);
	t->job = job_start(c->set->d.jobs, "top", request, -1, false, &handlers, t, e);
	if (!t->job) {
		free(t);
		return NULL;
	}
	return t;
}

void container_top_cancel(struct top *t)
{
	job_cancel(t->job);
}
