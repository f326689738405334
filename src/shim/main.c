/* wherry-shim - holds one container (or exec): namespaces, overlay mount, stdio, log, exit record.
 *
 * Started by the daemon with the listening socket DIR/shim.sock as fd 3. Its mount and network
 * namespaces belong to it and its children only: when they end, the kernel takes mounts, namespace
 * and veth away (doc/architecture.md).
 */
#include "shim/shim.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/oom.h"
#include "codec/shim_frame.h"

#define LISTEN_FD 3
#define FLUSH_LIMIT_MS 10000
#define CONTROL_LIMIT_MS 5000

extern char **environ;

static int64_t real_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_REALTIME, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* --- what went wrong, for the daemon: the first sentence wins --- */

static char failure[4096];

static int fail(const char *what)
{
	if (!failure[0]) {
		snprintf(failure, sizeof(failure), "%s: %s", what, strerror(errno));
	}
	return -1;
}

/* --- namespaces and root filesystem --- */

static void loopback_up(void)
{
	struct ifreq q = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd >= 0) {
		ioctl(fd, SIOCSIFFLAGS, &q);
		close(fd);
	}
}

/* Docker's: any user may bind low ports and ping. Not by the runtime's configuration: runc takes
 * the network namespace that it is in for the host's, and refuses. */
static void open_ports(void)
{
	static const char *const settings[][2] = {
		{"/proc/sys/net/ipv4/ip_unprivileged_port_start", "0"},
		{"/proc/sys/net/ipv4/ping_group_range", "0 2147483647"}};
	for (size_t i = 0; i < 2; i++) {
		int fd = open(settings[i][0], O_WRONLY | O_CLOEXEC);
		if (fd >= 0) {
			(void)!write(fd, settings[i][1], strlen(settings[i][1]));
			close(fd);
		}
	}
}

/* Where the runtime mounts before anything runs. Layers are looked at when they come, but what
 * somebody copies into a container that rests is seen only here: through a link, crun 1.8 makes
 * device nodes in a directory of the host (CVE-2026-47766). */
static int check_root(const char *root)
{
	static const char *const places[] = {"dev", "proc", "sys"};
	struct stat st;
	int fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int wrong = fd < 0 ? -1 : 0;
	for (int i = 0; i < 3 && wrong == 0; i++) {
		bool is_there = fstatat(fd, places[i], &st, AT_SYMLINK_NOFOLLOW) == 0;
		if (is_there && !S_ISDIR(st.st_mode)) {
			snprintf(failure, sizeof(failure),
				"/%s of the container is not a directory", places[i]);
			wrong = -1;
		}
	}
	if (fd >= 0) {
		close(fd);
	}
	return wrong < 0 ? fail("cannot open the container's root filesystem") : 0;
}

static int mount_root(const struct shim_options *o)
{
	static char options[65536];
	char root[4096];
	int n = snprintf(options, sizeof(options),
		"index=off,redirect_dir=off,metacopy=off,lowerdir=%s,upperdir=%s,workdir=%s",
		o->lower, o->upper, o->work);
	snprintf(root, sizeof(root), "%s/rootfs", o->dir);
	if (n >= (int)getpagesize()) { /* mount(2) takes one page */
		errno = E2BIG;
		return fail("the image has too many layers to mount");
	}
	/* lower names are relative to the layers folder, so that over a hundred fit */
	if (chdir(o->layers) < 0 || mount("overlay", root, "overlay", 0, options) < 0) {
		return fail("cannot mount the container's root filesystem");
	}
	return chdir("/") < 0 ? fail("cannot leave the layers folder") : check_root(root);
}

static int enter_namespaces(const struct shim_options *o)
{
	if (unshare(CLONE_NEWNS | (o->new_netns ? CLONE_NEWNET : 0)) < 0) {
		return fail("cannot make the container's namespaces");
	}
	if (pins_take(o->pins, o->n_pins) < 0) {
		return fail("cannot take hold of a mount's source");
	}
	/* slave: a disk the host mounts later shows up in binds that asked for it; ours do not
	 * reach the host */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0) {
		return fail("cannot make the mount namespace private");
	}
	/* or our copies would keep a disk busy that its own containers have left */
	for (int i = 0; i < o->n_let_go; i++) {
		umount2(o->let_go[i], MNT_DETACH | UMOUNT_NOFOLLOW);
	}
	if (pins_mount(o->pins, o->n_pins, o->dir, o->layers) < 0) {
		return fail("cannot hold on to a mount's source");
	}
	if (o->new_netns) {
		loopback_up();
		open_ports();
	}
	return mount_root(o);
}

/* --- running crun --- */

struct stdio_ends {
	struct relay_stdio ours;
	int theirs[3];
	int console_fd; /* listening for crun's terminal, or -1 */
};

static int open_pipes(const struct shim_options *o, struct stdio_ends *s)
{
	int in[2] = {-1, -1};
	int out[2];
	int err[2];
	if (pipe2(out, O_CLOEXEC) < 0 || pipe2(err, O_CLOEXEC) < 0 ||
		(o->open_stdin && pipe2(in, O_CLOEXEC) < 0)) {
		return fail("cannot make the container's pipes");
	}
	if (!o->open_stdin) {
		in[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	}
	/* the container's user may reopen /dev/stdout, which needs the pipe to be his: crun chowns
	 * it */
	s->ours = (struct relay_stdio){in[1], out[0], err[0]};
	s->theirs[0] = in[0];
	s->theirs[1] = out[1];
	s->theirs[2] = err[1];
	return 0;
}

static int listen_console(const struct shim_options *o, struct stdio_ends *s)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int n = snprintf(a.sun_path, sizeof(a.sun_path), "%s/console.sock", o->dir);
	if (n >= (int)sizeof(a.sun_path)) {
		errno = ENAMETOOLONG;
		return fail("cannot make the console socket");
	}
	unlink(a.sun_path);
	s->console_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (s->console_fd < 0 || bind(s->console_fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(s->console_fd, 1) < 0) {
		return fail("cannot make the console socket");
	}
	s->ours = (struct relay_stdio){-1, -1, -1};
	for (int i = 0; i < 3; i++) {
		s->theirs[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
	}
	return 0;
}

/* The terminal's master end, sent by crun over the console socket. */
static int receive_console(int listen_fd)
{
	int conn = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	if (conn < 0) {
		return -1;
	}
	char name[256];
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec data = {name, sizeof(name)};
	struct msghdr m = {.msg_iov = &data,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof(control.space)};
	int fd = -1;
	if (recvmsg(conn, &m, MSG_CMSG_CLOEXEC) >= 0) {
		struct cmsghdr *c = CMSG_FIRSTHDR(&m);
		if (c && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int))) {
			memcpy(&fd, CMSG_DATA(c), sizeof(fd));
		}
	}
	close(conn);
	return fd;
}

static void exec_crun(const struct shim_options *o, const struct stdio_ends *s)
{
	char pid_file[4096];
	char log_file[4096];
	char console[4096];
	char process[4096];
	const char *argv[24 + SHIM_RUNTIME_ARGS_MAX];
	int n = 0;
	snprintf(pid_file, sizeof(pid_file), "--pid-file=%s/pid", o->dir);
	snprintf(log_file, sizeof(log_file), "--log=%s/crun.log", o->dir);
	snprintf(console, sizeof(console), "--console-socket=%s/console.sock", o->dir);
	argv[n++] = o->crun;
	argv[n++] = "--root";
	argv[n++] = o->crun_root;
	argv[n++] = log_file;
	for (size_t i = 0; i < o->n_runtime_args; i++) {
		argv[n++] = o->runtime_args[i];
	}
	if (o->exec) {
		snprintf(process, sizeof(process), "--process=%s", o->exec);
		argv[n++] = "exec";
		argv[n++] = process;
	} else {
		argv[n++] = "run";
		argv[n++] = "--bundle";
		argv[n++] = o->dir;
		argv[n++] = "--no-new-keyring";
	}
	argv[n++] = "--detach";
	argv[n++] = pid_file;
	if (o->tty) {
		argv[n++] = console;
	}
	argv[n++] = o->id;
	argv[n] = NULL;

	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	for (int i = 0; i < 3; i++) {
		dup2(s->theirs[i], i);
	}
	oom_drop_protection();
	/* where crun makes the file over which it binds itself: else a file in /tmp, on a disk, for
	 * every probe of a health check (crun src/libcrun/cloned_binary.c) */
	(void)setenv("_LIBCONTAINER_STATEDIR", o->dir, 1);
	close_range(3, ~0u, 0); /* nothing of ours reaches the container (CVE-2024-21626) */
	execve(o->crun, (char **)argv, environ);
	_exit(127);
}

static pid_t start_crun(const struct shim_options *o, struct stdio_ends *s)
{
	char log_file[4096];
	snprintf(log_file, sizeof(log_file), "%s/crun.log", o->dir);
	unlink(log_file);
	s->console_fd = -1;
	if ((o->tty ? listen_console(o, s) : open_pipes(o, s)) < 0) {
		return -1;
	}
	pid_t pid = fork();
	if (pid == 0) {
		exec_crun(o, s);
	}
	if (pid < 0) {
		fail("cannot start crun");
	}
	for (int i = 0; i < 3; i++) {
		close(s->theirs[i]);
	}
	return pid;
}

/* The message of a line of runc's log, time="..." level=error msg="... \"...\""; NULL when it is
 * none.
 */
static char *runc_message(char *line)
{
	char *start = strstr(line, " msg=\"");
	char *end = start ? strrchr(start, '"') : NULL;
	if (!start || end < start + 7) {
		return NULL;
	}
	*end = '\0';
	start += 7;
	char *to = start;
	for (const char *from = start; *from; from++) {
		from += from[0] == '\\' && from[1] ? 1 : 0;
		*to++ = *from;
	}
	*to = '\0';
	return start;
}

/* crun's last line is the reason: "2026-11-24T...: msg" in its text format. */
static void read_crun_failure(const struct shim_options *o)
{
	char file[4096];
	char text[4096];
	snprintf(file, sizeof(file), "%s/crun.log", o->dir);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0) {
		close(fd);
	}
	while (n > 0 && text[n - 1] == '\n') {
		n--;
	}
	if (n <= 0) {
		snprintf(failure, sizeof(failure), "crun failed without a reason");
		return;
	}
	text[n] = '\0';
	char *line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	char *message = line[0] >= '0' && line[0] <= '9' ? strstr(line, ": ") : NULL;
	const char *runc = runc_message(line);
	snprintf(failure, sizeof(failure), "%s", runc ? runc : message ? message + 2 : line);
}

static pid_t read_pid(const struct shim_options *o)
{
	char file[4096];
	char text[32] = "";
	snprintf(file, sizeof(file), "%s/pid", o->dir);
	int fd = open(file, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return -1;
	}
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? (pid_t)strtol(text, NULL, 10) : -1;
}

/* --- the end --- */

static void put32(uint8_t *p, uint32_t v)
{
	for (int i = 0; i < 4; i++) {
		p[i] = (uint8_t)(v >> (24 - 8 * i));
	}
}

static void put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static bool file_says(const char *path, const char *key)
{
	char text[4096];
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : -1;
	if (fd >= 0) {
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	const char *p = strstr(text, key);
	return p && p[strlen(key)] != '0';
}

static bool oom_killed(const struct shim_options *o)
{
	char path[4096];
	if (!o->cgroup) {
		return false;
	}
	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s/memory.events", o->cgroup);
	if (file_says(path, "oom_kill ")) {
		return true;
	}
	snprintf(path, sizeof(path), "/sys/fs/cgroup/memory/%s/memory.oom_control", o->cgroup);
	return file_says(path, "oom_kill ");
}

/* "CODE TIME_NS OOM\n": temporary file, then rename, so that a reader sees all or nothing. */
static void write_exit(const struct shim_options *o, int code, int64_t at_ns, bool oom)
{
	char temp[4096];
	char path[4096];
	char text[64];
	snprintf(temp, sizeof(temp), "%s/exit.tmp", o->dir);
	snprintf(path, sizeof(path), "%s/exit", o->dir);
	int n = snprintf(text, sizeof(text), "%d %lld %d\n", code, (long long)at_ns, oom);
	int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return;
	}
	if (write(fd, text, (size_t)n) == n) {
		rename(temp, path);
	}
	close(fd);
}

static int exit_code(int status)
{
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

#define ENDS_KEPT 16

struct child_end {
	pid_t pid;
	int status;
};

struct run {
	const struct shim_options *options;
	struct relay *relay;
	struct log *log;
	struct stdio_ends stdio;
	pid_t crun, init;
	struct child_end ends[ENDS_KEPT]; /* of children, the last ones */
	size_t n_ends;
};

/* Tells the daemon that nothing runs, and why. */
static int end_failed(struct run *r)
{
	relay_set_state(r->relay, SHIM_FAILED, failure, strlen(failure));
	relay_flush(r->relay, FLUSH_LIMIT_MS);
	return 1;
}

/* What crun left half-made when somebody killed a part of it: all of it are our children. */
static void kill_children(void)
{
	char text[1024];
	int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof(text) - 1) : 0;
	if (fd >= 0) {
		close(fd);
	}
	text[n > 0 ? n : 0] = '\0';
	char *next = text;
	for (long pid; (pid = strtol(next, &next, 10)) > 0;) {
		kill((pid_t)pid, SIGKILL);
	}
}

/* False when crun did not say which process it is: crun forks, and ends with 0 also when that part
 * of it was killed. Only now is the container's output read: what crun says when it fails goes down
 * the same pipes. */
static bool crun_succeeded(struct run *r)
{
	uint8_t payload[12];
	r->init = read_pid(r->options);
	if (r->init <= 0) {
		snprintf(failure, sizeof(failure), "crun ended before the container was started");
		kill_children();
		return false;
	}
	if (r->options->tty) {
		int master = receive_console(r->stdio.console_fd);
		close(r->stdio.console_fd);
		relay_set_stdio(r->relay, (struct relay_stdio){master, master, -1});
	} else {
		relay_set_stdio(r->relay, r->stdio.ours);
	}
	put32(payload, (uint32_t)r->init);
	put64(payload + 4, (uint64_t)real_ns());
	relay_set_state(r->relay, SHIM_STARTED, payload, sizeof(payload));
	return true;
}

/* Output first, then the record, then the news: who hears of the end finds everything in place. */
static int end_exited(struct run *r, int status)
{
	uint8_t payload[13];
	int code = exit_code(status);
	int64_t at = real_ns();
	bool oom = oom_killed(r->options);
	relay_drain_output(r->relay);
	if (r->log) {
		log_end(r->log);
	}
	write_exit(r->options, code, at, oom);
	put32(payload, (uint32_t)code);
	put64(payload + 4, (uint64_t)at);
	payload[12] = oom;
	relay_set_state(r->relay, SHIM_EXITED, payload, sizeof(payload));
	relay_flush(r->relay, FLUSH_LIMIT_MS);
	return 0;
}

/* crun makes the process of an exec as our own child (CLONE_PARENT): it may end before the pid file
 * says who it is, so ends are kept until crun has ended too. */
static void keep_end(struct run *r, pid_t pid, int status)
{
	r->ends[r->n_ends++ % ENDS_KEPT] = (struct child_end){pid, status};
}

static bool find_end(const struct run *r, pid_t pid, int *ret_status)
{
	for (size_t i = 0; i < ENDS_KEPT; i++) {
		if (r->ends[i].pid == pid && pid > 0) {
			*ret_status = r->ends[i].status;
			return true;
		}
	}
	return false;
}

/* Reaps. Returns true with *ret when the shim's work is over. */
static bool children_changed(struct run *r, int *ret)
{
	int status;
	int init_status = 0;
	bool init_ended = false;
	pid_t pid;
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (r->log) {
			log_child_ended(r->log, pid, status);
		}
		if (pid != r->crun && r->crun) {
			keep_end(r, pid, status);
		} else if (pid != r->crun) { /* others are orphans that came to us, the subreaper */
			init_ended = init_ended || pid == r->init;
			init_status = pid == r->init ? status : init_status;
		} else if (exit_code(status) != 0) {
			read_crun_failure(r->options);
			*ret = end_failed(r);
			return true;
		} else {
			r->crun = 0;
			if (!crun_succeeded(r)) { /* STARTED comes before EXITED */
				*ret = end_failed(r);
				return true;
			}
			init_ended = find_end(r, r->init, &init_status);
		}
	}
	if (init_ended) {
		*ret = end_exited(r, init_status);
	}
	return init_ended;
}

static int run(struct run *r)
{
	int result;
	for (;;) {
		enum relay_event event = relay_wait(r->relay);
		if (event == RELAY_ABANDONED) {
			return 1;
		}
		if (event == RELAY_GO) {
			if (r->crun || r->init) {
				continue;
			}
			prctl(PR_SET_PDEATHSIG, 0); /* from here on we outlive the daemon */
			r->crun = start_crun(r->options, &r->stdio);
			if (r->crun < 0) {
				return end_failed(r);
			}
		} else if (event == RELAY_CHILD && children_changed(r, &result)) {
			return result;
		}
	}
}

static int prepare_and_run(struct run *r)
{
	const struct shim_options *o = r->options;
	if ((o->log.path && !r->log && fail("cannot open the container's log") < 0) ||
		(!o->exec && enter_namespaces(o) < 0)) {
		relay_set_state(r->relay, SHIM_FAILED, failure, strlen(failure));
		relay_wait_control(r->relay, CONTROL_LIMIT_MS);
		return end_failed(r);
	}
	return run(r);
}

/* Until it says GO we end with the daemon, whatever we are doing: nobody else knows of us yet. */
static bool bound_to_parent(const struct shim_options *o)
{
	return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == o->parent;
}

static int block_child_signal(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_SETMASK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(int argc, char **argv)
{
	struct shim_options o;
	if (shim_options_read(&o, argc, argv) < 0) {
		fputs("wherry-shim is started by wherryd, not by hand\n", stderr);
		return 2;
	}
	if (!bound_to_parent(&o)) {
		return 1;
	}
	umask(0022);
	setsid();
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
	close_range(LISTEN_FD + 1, ~0u, 0);
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++) {
		dup2(null_fd, i);
	}
	if (chdir("/") < 0) {
		return 1;
	}
	struct run r = {.options = &o};
	r.log = o.log.path ? log_open(&o.log) : NULL;
	r.relay = relay_new(LISTEN_FD, block_child_signal(), r.log, o.tty);
	if (!r.relay) {
		return 1;
	}
	int result = prepare_and_run(&r);
	relay_free(r.relay);
	log_free(r.log);
	return result;
}
