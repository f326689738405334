#include "worker/build_git_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "build/git_url.h"
#include "worker/build_exec.h"
#include "worker/build_secret.h"
#include "worker/build_ssh.h"
#include "worker/context.h"
#include "worker/session.h"

#define OUTPUT_MAX (1u << 20)
#define ERRORS_MAX 8192   /* of its messages the last ones are kept */
#define LOOK_EVERY_MS 200 /* at the disk's free space */
#define MEMORY_MIN ((size_t)128 << 20)
#define MEMORY_MAX ((size_t)2 << 30)

/* --- logins --- */

static const char *host_of(const char *remote, size_t *ret_n)
{
	const char *scheme = strstr(remote, "://");
	const char *begin = scheme ? scheme + 3 : remote;
	size_t n = strcspn(begin, scheme ? "/" : ":");
	const char *at = memrchr(begin, '@', n);
	const char *host = at ? at + 1 : begin;
	*ret_n = strcspn(host, ":/");
	return host;
}

/* What is said of a login is one line: a file's last newline is not part of it, and no second
 * header comes after it. */
static void keep_first_line(struct buf *secret)
{
	size_t n = strcspn(buf_str(secret), "\r\n");
	if (n < secret->len) {
		secret->len = n;
		secret->data[n] = '\0';
	}
}

/* The client's secret NAME.HOST, or NAME. 1, 0 (none) or -1. */
static int find_secret(
	struct build *b, const char *name, const char *remote, struct buf *ret, struct err *e)
{
	size_t n;
	const char *host = host_of(remote, &n);
	scoped(free) char *own = xasprintf("%s.%.*s", name, n > 255 ? 255 : (int)n, host);
	int found = secret_get(b, own, ret, e);
	return found == 0 ? secret_get(b, name, ret, e) : found;
}

static void put_config(struct strv *env, int n, const char *key, const char *value)
{
	strv_addf(env, "GIT_CONFIG_KEY_%d=%s", n, key);
	strv_addf(env, "GIT_CONFIG_VALUE_%d=%s", n, value);
}

/* By the environment: arguments are for everybody to see. */
static int add_login(struct git_session *s, const char *remote, int n, struct err *e)
{
	scoped(secret) struct buf secret = BUF_INIT;
	scoped(secret) struct buf header = BUF_INIT;
	int found = find_secret(s->b, "GIT_AUTH_HEADER", remote, &secret, e);
	if (found > 0) {
		keep_first_line(&secret);
		buf_printf(&header, "Authorization: %s", buf_str(&secret));
	} else if (found == 0) {
		found = find_secret(s->b, "GIT_AUTH_TOKEN", remote, &secret, e);
		if (found > 0) {
			scoped(secret) struct buf login = BUF_INIT;
			keep_first_line(&secret);
			buf_printf(&login, "x-access-token:%s", buf_str(&secret));
			buf_puts(&header, "Authorization: basic ");
			base64_encode(login.data, login.len, &header);
		}
	}
	if (found <= 0) {
		return found;
	}
	scoped(free) char *server = xstrndup(remote, strlen(remote));
	char *path = strchr(strstr(server, "://") + 3, '/');
	path[1] = '\0'; /* the same host has its submodules */
	scoped(free) char *key = xasprintf("http.%s.extraheader", server);
	put_config(&s->env, n, key, buf_str(&header));
	return 1;
}

/* By the environment, which ssh reads itself: our directory's name may have blanks. */
#define SSH_PROGRAM                                                                              \
	"GIT_SSH_COMMAND=ssh -F /dev/null -oBatchMode=yes -oLogLevel=ERROR -oConnectTimeout=30 " \
	"-oServerAliveInterval=20 -oServerAliveCountMax=3 -oForwardAgent=no "                    \
	"-oPermitLocalCommand=no -oClearAllForwardings=yes "
#define SSH_STRICT                     \
	"-oStrictHostKeyChecking=yes " \
	"-oUserKnownHostsFile='${WHERRY_KNOWN_HOSTS}'"
/* What /etc/ssh/ssh_known_hosts says of a server holds, an unknown one is taken. */
#define SSH_ACCEPT "-oStrictHostKeyChecking=accept-new -oUserKnownHostsFile=/dev/null"

/* Stages that run beside each other have the same dir. */
static int make_own(struct git_session *s, struct err *e)
{
	if (s->own) {
		return 0;
	}
	scoped(free) char *own = xasprintf("%s/gXXXXXX", s->dir);
	if (!mkdtemp(own)) {
		return err_sys(e, errno, "cannot make a directory for git");
	}
	s->own = TAKE(own);
	return 0;
}

static void remove_own(struct git_session *s)
{
	scoped(close) int dir = s->own ? open(s->dir, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (dir >= 0) {
		path_remove_tree(dir, strrchr(s->own, '/') + 1);
	}
	free(s->own);
}

static int write_known_hosts(const struct git_session *s, const struct buf *lines, struct err *e)
{
	scoped(free) char *path = xasprintf("%s/hosts", s->own);
	scoped(close) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	int r = fd < 0 ? -errno : path_write_all(fd, lines->data, lines->len);
	return r < 0 ? err_sys(e, -r, "cannot write %s", path) : 0;
}

static int add_known_hosts(struct git_session *s, const char *remote, struct err *e)
{
	scoped(secret) struct buf lines = BUF_INIT;
	int found = session_is_there(s->b)
			    ? find_secret(s->b, "GIT_SSH_KNOWN_HOSTS", remote, &lines, e)
			    : 0;
	if (found < 0 ||
		(found > 0 && (make_own(s, e) < 0 || write_known_hosts(s, &lines, e) < 0))) {
		return -1;
	}
	if (found > 0) {
		strv_addf(&s->env, "WHERRY_KNOWN_HOSTS=%s/hosts", s->own);
	}
	strv_add(&s->env, found > 0 ? SSH_PROGRAM SSH_STRICT : SSH_PROGRAM SSH_ACCEPT);
	return 0;
}

static int start_agent(struct git_session *s, struct err *e)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	if (make_own(s, e) < 0) {
		return -1;
	}
	scoped(close) int dir = open(s->own, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/s", dir);
	if (dir < 0 || fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 ||
		listen(fd, 4) < 0) {
		(void)err_sys(e, errno, "cannot relay the ssh agent");
		if (fd >= 0) {
			close(fd);
		}
		return -1;
	}
	if (ssh_relay_start(s->b, "default", fd, &s->relay, e) < 0) {
		return -1;
	}
	if (s->relay) {
		strv_addf(&s->env, "SSH_AUTH_SOCK=%s/s", s->own);
	}
	return 0;
}

/* --- the environment --- */

static void add_environment(struct git_session *s)
{
	static const char *const fixed[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/dev/null",
		"XDG_CONFIG_HOME=/dev/null", "LC_ALL=C", "GIT_CONFIG_NOSYSTEM=1",
		"GIT_CONFIG_SYSTEM=/dev/null", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_ATTR_NOSYSTEM=1",
		"GIT_TEMPLATE_DIR=/dev/null", "GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=/bin/false",
		"SSH_ASKPASS=/bin/false", "GIT_ALLOW_PROTOCOL=http:https:ssh:git",
		"GIT_LFS_SKIP_SMUDGE=1", "GIT_FLUSH=1"};
	static const char *const proxies[] = {
		"http_proxy", "https_proxy", "no_proxy", "all_proxy", "HTTPS_PROXY", "NO_PROXY"};
	for (size_t i = 0; i < sizeof(fixed) / sizeof(*fixed); i++) {
		strv_add(&s->env, fixed[i]);
	}
	for (size_t i = 0; i < sizeof(proxies) / sizeof(*proxies); i++) {
		const char *value = getenv(proxies[i]);
		if (value) {
			strv_addf(&s->env, "%s=%s", proxies[i], value);
		}
	}
}

static int add_configuration(struct git_session *s, const char *remote, struct err *e)
{
	static const char *const fixed[][2] = {{"core.hooksPath", "/dev/null"},
		{"core.fsmonitor", "false"}, {"core.symlinks", "true"}, {"protocol.allow", "never"},
		{"protocol.http.allow", "always"}, {"protocol.https.allow", "always"},
		{"protocol.ssh.allow", "always"}, {"protocol.git.allow", "always"},
		{"http.lowSpeedLimit", "1"}, {"http.lowSpeedTime", "60"}, {"gc.auto", "0"},
		{"maintenance.auto", "false"}, {"advice.detachedHead", "false"},
		{"init.defaultBranch", "main"}, {"core.bigFileThreshold", "16m"},
		{"pack.threads", "1"}, {"safe.directory", "*"}, {"credential.helper", ""}};
	int n = sizeof(fixed) / sizeof(*fixed);
	for (int i = 0; i < n; i++) {
		put_config(&s->env, i, fixed[i][0], fixed[i][1]);
	}
	bool http = git_url_is_http(remote); /* and not httpd@host:path */
	if (session_is_there(s->b) && http) {
		int login = add_login(s, remote, n, e);
		if (login < 0) {
			return -1;
		}
		n += login;
	}
	strv_addf(&s->env, "GIT_CONFIG_COUNT=%d", n);
	if (add_known_hosts(s, remote, e) < 0) {
		return -1;
	}
	return session_is_there(s->b) && !http ? start_agent(s, e) : 0;
}

/* Half of the machine's: git keeps a server's references and a table of all objects in memory. */
static size_t memory_limit(void)
{
	long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
	size_t half = pages > 0 && size > 0 ? (size_t)pages / 2 * (size_t)size : MEMORY_MIN;
	return half < MEMORY_MIN ? MEMORY_MIN : half > MEMORY_MAX ? MEMORY_MAX : half;
}

int git_session_begin(struct git_session *s, struct build *b, const char *remote, const char *shown,
	const char *dir, struct err *e)
{
	*s = (struct git_session){.b = b, .shown = shown, .dir = dir, .memory = memory_limit()};
	add_environment(s);
	return build_exec_prepare(b, e) < 0 ? -1 : add_configuration(s, remote, e);
}

void git_session_end(struct git_session *s)
{
	ssh_relay_stop(s->relay);
	remove_own(s);
	for (size_t k = 0; k < s->env.n; k++) { /* a login may be among them */
		explicit_bzero(s->env.v[k], strlen(s->env.v[k]));
	}
	strv_deinit(&s->env);
}

/* --- the program --- */

struct run {
	struct git_session *s;
	pid_t pid;
	int out_fd, err_fd, pid_fd;
	struct buf *output; /* or NULL */
	char errors[ERRORS_MAX];
	size_t n_errors;
	const char *why; /* it was ended by us */
};

/* In the child of a process with threads: async-signal-safe calls only. */
static void exec_git(const struct git_session *s, char **argv, const char *cwd, int out, int err)
{
	const struct rlimit memory = {s->memory, s->memory}, core = {0, 0};
	setrlimit(RLIMIT_DATA, &memory);
	setrlimit(RLIMIT_CORE, &core);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	int null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	dup2(null_fd, 0);
	dup2(out, 1);
	dup2(err, 2);
	close_range(3, ~0u, 0);
	if (chdir(cwd) == 0) {
		execve("/usr/bin/git", argv, s->env.v);
	}
	_exit(127);
}

static void keep_errors(struct run *r, const char *text, size_t n)
{
	if (n >= ERRORS_MAX) {
		text += n - ERRORS_MAX + 1;
		n = ERRORS_MAX - 1;
	}
	size_t spare = ERRORS_MAX - 1 - r->n_errors;
	if (n > spare) {
		memmove(r->errors, r->errors + (n - spare), r->n_errors - (n - spare));
		r->n_errors -= n - spare;
	}
	memcpy(r->errors + r->n_errors, text, n);
	r->n_errors += n;
	r->errors[r->n_errors] = '\0';
}

static bool disk_is_full(const struct run *r)
{
	struct statvfs fs;
	return statvfs(r->s->dir, &fs) == 0 &&
	       (uint64_t)fs.f_bavail * fs.f_frsize < CONTEXT_RESERVE_BYTES;
}

static void end_program(struct run *r, const char *why)
{
	if (!r->why) {
		r->why = why;
		kill(-r->pid, SIGKILL);
	}
}

/* False at the end. */
static bool read_some(struct run *r, int fd)
{
	char chunk[16384];
	ssize_t n = read(fd, chunk, sizeof(chunk));
	if (n < 0 && errno == EINTR) {
		return true;
	}
	if (n > 0 && fd == r->err_fd) {
		keep_errors(r, chunk, (size_t)n);
	} else if (n > 0 && r->output &&
		   buf_append_limited(r->output, chunk, (size_t)n, OUTPUT_MAX) < 0) {
		end_program(r, "the server has too many references");
	}
	return n > 0;
}

static void watch(struct run *r)
{
	struct pollfd wanted[] = {
		{r->out_fd, POLLIN, 0}, {r->err_fd, POLLIN, 0}, {r->pid_fd, POLLIN, 0}};
	int open_ends = 3;
	while (open_ends > 0) {
		int n = poll(wanted, 3, LOOK_EVERY_MS);
		struct err stopping;
		if (build_go_on(r->s->b, &stopping) < 0) {
			end_program(r, "the build has ended");
		} else if (disk_is_full(r)) {
			end_program(r, "no space left on device");
		}
		for (size_t i = 0; n > 0 && i < 3; i++) {
			if (wanted[i].revents && (i == 2 || !read_some(r, wanted[i].fd))) {
				wanted[i].fd = -1;
				wanted[i].revents = 0;
				open_ends--;
			}
		}
	}
}

/* The last line that says something: "fatal: repository not found"; of ssh's, not what git adds. */
static const char *last_words(struct run *r)
{
	const char *found = "";
	char *rest = r->errors;
	char *line;
	while ((line = strsep(&rest, "\n\r"))) {
		bool hint = text_starts(line, "hint:") || text_starts(line, "warning:");
		if (*found && text_starts(line, "fatal: Could not read from remote")) {
			return found;
		}
		found = *line && !hint ? line : found;
	}
	return *found ? found : "git failed";
}

static int finish(struct run *r, struct err *e)
{
	int status;
	while (waitpid(r->pid, &status, 0) < 0 && errno == EINTR) {
	}
	if (r->why) {
		return err_set(e, ERR_SYSTEM, "%.150s: %s", r->s->shown, r->why);
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		return 0;
	}
	return err_set(e, ERR_INVALID, "%.150s: %.300s", r->s->shown, last_words(r));
}

static void make_argv(const char *const *args, struct strv *ret)
{
	strv_add(ret, "git");
	for (; *args; args++) {
		strv_add(ret, *args);
	}
}

int git_run(struct git_session *s, const char *cwd, const char *const *args, struct buf *ret,
	struct err *e)
{
	int out[2], err[2];
	if (access("/usr/bin/git", X_OK) < 0) {
		return err_set(e, ERR_INVALID,
			"%.150s: git is not installed on this machine: apt-get install git",
			s->shown);
	}
	if (pipe2(out, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	scoped(close) int out_fd = out[0];
	scoped(close) int out_end = out[1];
	if (pipe2(err, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	scoped(close) int err_fd = err[0];
	scoped(close) int err_end = err[1];
	scoped(strv) struct strv argv = STRV_INIT;
	make_argv(args, &argv);
	pid_t pid = fork();
	if (pid == 0) {
		exec_git(s, argv.v, cwd, out_end, err_end);
	}
	if (pid < 0) {
		return err_sys(e, errno, "cannot start git");
	}
	setpgid(pid, pid);
	close(TAKE_FD(out_end));
	close(TAKE_FD(err_end));
	scoped(close) int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct run r = {.s = s,
		.pid = pid,
		.out_fd = out_fd,
		.err_fd = err_fd,
		.pid_fd = pid_fd,
		.output = ret};
	watch(&r);
	return finish(&r, e);
}
