#include "worker/build_exec.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/path.h"
#include "base/scoped.h"
#include "sys/cgroup.h"

#define OUTPUT_MAX                                                                           \
	(2u << 20) /* of one step, as BuildKit; a client that reads slowly must not fill the \
		      daemon */
#define CRUN_LOG_MAX 65536
#define STATUS_MAX 65536 /* /proc/PID/status */

/* From the first step on, all that this process starts is in a group that the daemon destroys when
 * this process is gone: also a half of crun that was making a container. */
int build_exec_prepare(struct build *b, struct err *e)
{
	const char *parent = json_str(b->request, "cgroup");
	int r = 0;
	pthread_mutex_lock(&b->exec_lock);
	if (!b->exec_ready) {
		scoped(free) char *group = xasprintf("%s/worker", parent + (*parent == '/'));
		r = prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ? -errno : cgroup_enter(group);
		b->exec_ready = r == 0;
	}
	pthread_mutex_unlock(&b->exec_lock);
	return r < 0 ? err_sys(e, -r, "cannot prepare for steps") : 0;
}

/* --- crun --- */

/* What the child needs, made before the fork. */
struct command {
	struct strv argv, env;
	int out[2], err[2]; /* pipes */
};

static void command_deinit(struct command *c)
{
	const int all[] = {c->out[0], c->out[1], c->err[0], c->err[1]};
	for (size_t k = 0; k < sizeof(all) / sizeof(*all); k++) {
		if (all[k] >= 0) {
			close(all[k]);
		}
	}
	strv_deinit(&c->argv);
	strv_deinit(&c->env);
}

static void scoped_command(struct command *c)
{
	command_deinit(c);
}

static int make_command(
	struct command *c, const struct build_step *t, const char *id, struct err *e)
{
	const char *dir = t->s->place.dir;
	strv_add(&c->argv, json_str(t->b->request, "crun"));
	strv_addf(&c->argv, "--root=%s/crun", dir);
	strv_addf(&c->argv, "--log=%s/crun.log", dir);
	strv_add(&c->argv, "--cgroup-manager=cgroupfs");
	strv_add(&c->argv, "run");
	strv_addf(&c->argv, "--bundle=%s/bundle", dir);
	strv_add(&c->argv, "--no-new-keyring");
	strv_add(&c->argv, "--detach");
	strv_addf(&c->argv, "--pid-file=%s/pid", dir);
	strv_add(&c->argv, id);
	for (char **v = environ; *v; v++) {
		strv_add(&c->env, *v);
	}
	/* where crun makes the file over which it binds itself (crun src/libcrun/cloned_binary.c)
	 */
	strv_addf(&c->env, "_LIBCONTAINER_STATEDIR=%s", dir);
	if (pipe2(c->out, O_CLOEXEC) < 0 || pipe2(c->err, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	return 0;
}

/* In the child of a process with threads: async-signal-safe calls only. */
static void exec_crun(const struct command *c)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL); /* the step's own processes go with its cgroup */
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(null_fd, 0);
	dup2(c->out[1], 1);
	dup2(c->err[1], 2);
	close_range(3, ~0u, 0); /* nothing of ours reaches the step (CVE-2024-21626) */
	execve(c->argv.v[0], c->argv.v, c->env.v);
	_exit(127);
}

static pid_t start_crun(struct command *c, struct err *e)
{
	pid_t pid = fork();
	if (pid == 0) {
		exec_crun(c);
	}
	close(TAKE_FD(c->out[1]));
	close(TAKE_FD(c->err[1]));
	return pid < 0 ? (pid_t)err_sys(e, errno, "cannot start crun") : pid;
}

/* crun's last words, when it could not run the command. */
static int crun_failure(const struct build_step *t, int code, struct err *e)
{
	scoped(buf) struct buf log = BUF_INIT;
	if (path_read(t->s->place.fd, "crun.log", CRUN_LOG_MAX, &log) < 0 || log.len == 0) {
		return err_set(e, ERR_SYSTEM, "RUN: crun failed with status %d", code);
	}
	while (log.len > 0 && log.data[log.len - 1] == '\n') {
		log.data[--log.len] = '\0';
	}
	const char *line = strrchr(buf_str(&log), '\n');
	line = line ? line + 1 : buf_str(&log);
	const char *message = *line >= '0' && *line <= '9' ? strstr(line, ": ") : NULL;
	return err_set(e, ERR_SYSTEM, "RUN: %.300s", message ? message + 2 : line);
}

static int wait_for(pid_t pid)
{
	int status;
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			return 255;
		}
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Until the process ends that is the parent of pid. */
static void wait_for_parent(pid_t pid)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *file = xasprintf("/proc/%d/status", pid);
	static const char name[] = "\nPPid:\t";
	int parent;
	if (path_read(AT_FDCWD, file, STATUS_MAX, &text) < 0) {
		return;
	}
	const char *line = strstr(buf_str(&text), name);
	scoped(free) char *number =
		line ? xstrndup(line + strlen(name), strcspn(line + strlen(name), "\n")) : NULL;
	if (!number || parse_int(number, 1, INT32_MAX, &parent) < 0 || parent == getpid()) {
		return;
	}
	scoped(close) int fd = (int)syscall(SYS_pidfd_open, parent, 0);
	struct pollfd ended = {fd, POLLIN, 0};
	while (fd >= 0 && poll(&ended, 1, -1) < 0 && errno == EINTR) {
	}
}

/* The half of crun that made the container ends a moment after crun itself: only then is the
 * container's process our child. */
static int wait_for_orphan(pid_t pid)
{
	while (waitid(P_PID, (id_t)pid, &(siginfo_t){0}, WEXITED | WNOWAIT) < 0 &&
		(errno == EINTR || kill(pid, 0) == 0)) {
		wait_for_parent(pid);
	}
	return wait_for(pid);
}

/* --- output --- */

/* How many bytes of a character that is cut off end the text. */
static size_t cut_tail(const char *text, size_t n)
{
	for (size_t k = 1; k <= 3 && k <= n; k++) {
		unsigned char c = (unsigned char)text[n - k];
		if ((c & 0xc0) == 0x80) {
			continue;
		}
		size_t want = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
		return want > k ? k : 0;
	}
	return 0;
}

struct output {
	int fd;
	int stream;  /* BUILD_STDOUT, BUILD_STDERR */
	size_t kept; /* of a character that is not complete yet */
	char chunk[16384];
};

static void say_output(const struct build_step *t, const struct output *o, size_t n)
{
	build_event_log(t->b->events, t->s->turn, t->s->vertex, o->stream, o->chunk, n);
}

/* What there is to read, to the client as long as *total allows it. False at the end. */
static bool relay_some(const struct build_step *t, struct output *o, size_t *total)
{
	ssize_t n = read(o->fd, o->chunk + o->kept, sizeof(o->chunk) - o->kept);
	if (n < 0 && errno == EINTR) {
		return true;
	}
	size_t have = o->kept + (n > 0 ? (size_t)n : 0);
	o->kept = n > 0 ? cut_tail(o->chunk, have) : 0;
	if (*total <= OUTPUT_MAX) {
		say_output(t, o, have - o->kept);
		*total += have;
		if (*total > OUTPUT_MAX) {
			static const char clipped[] =
				"\n[output clipped, log limit 2MiB reached]\n";
			build_event_log(t->b->events, t->s->turn, t->s->vertex, BUILD_STDOUT,
				clipped, strlen(clipped));
		}
	}
	memmove(o->chunk, o->chunk + have - o->kept, o->kept);
	return n > 0;
}

static void relay_output(const struct build_step *t, int out_fd, int err_fd)
{
	struct output sources[] = {
		{.fd = out_fd, .stream = BUILD_STDOUT}, {.fd = err_fd, .stream = BUILD_STDERR}};
	struct pollfd wanted[] = {{out_fd, POLLIN, 0}, {err_fd, POLLIN, 0}};
	size_t total = 0;
	int open_ends = 2;
	while (open_ends > 0) {
		if (poll(wanted, 2, -1) < 0) {
			continue; /* EINTR */
		}
		for (size_t i = 0; i < 2; i++) {
			if (wanted[i].revents && !relay_some(t, &sources[i], &total)) {
				wanted[i].fd = -1;
				wanted[i].revents = 0;
				open_ends--;
			}
		}
	}
}

/* --- the end --- */

static int read_pid(const struct build_step *t, pid_t *ret, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	int pid;
	int r = path_read(t->s->place.fd, "pid", 64, &text);
	if (r < 0 || parse_int(buf_str(&text), 1, INT32_MAX, &pid) < 0) {
		return err_set(e, ERR_SYSTEM, "RUN: crun did not say which process it started");
	}
	*ret = pid;
	return 0;
}

static unsigned long oom_kills(const struct build_step *t)
{
	struct cgroup_oom oom = {0};
	const char *group = t->s->place.cgroup;
	(void)cgroup_oom_read(*group == '/' ? group + 1 : group, &oom);
	return oom.kills;
}

int build_exec(const struct build_step *t, const char *id, struct build_exec *ret, struct err *e)
{
	scoped(command) struct command c = {.out = {-1, -1}, .err = {-1, -1}};
	unsigned long kills = oom_kills(t);
	if (build_exec_prepare(t->b, e) < 0) {
		return -1;
	}
	unlinkat(t->s->place.fd, "crun.log", 0);
	unlinkat(t->s->place.fd, "pid", 0);
	if (make_command(&c, t, id, e) < 0) {
		return -1;
	}
	pid_t crun = start_crun(&c, e);
	if (crun < 0) {
		return -1;
	}
	relay_output(t, c.out[0], c.err[0]);
	int code = wait_for(crun);
	pid_t pid;
	if (code != 0) {
		return crun_failure(t, code, e);
	}
	if (read_pid(t, &pid, e) < 0) {
		return -1;
	}
	ret->code = wait_for_orphan(pid);
	ret->out_of_memory = ret->code != 0 && oom_kills(t) > kills;
	return 0;
}

void build_exec_forget(const struct build_step *t, const char *id)
{
	scoped(free) char *state = xasprintf("crun/%s", id);
	path_remove_tree(t->s->place.fd, state);
}
