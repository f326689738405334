/* wherryd - the daemon: reads its configuration, builds the objects, runs the loop until a signal.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <uv.h>

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "wherryd/config.h"
#include "wherryd/daemon.h"
#include "wherryd/reload.h"

/* systemd's readiness message: sd_notify(3), "READY=1" as a datagram to $NOTIFY_SOCKET. */
static void notify_ready(void)
{
	const char *path = getenv("NOTIFY_SOCKET");
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	if (!path || strlen(path) >= sizeof(to.sun_path)) {
		return;
	}
	memcpy(to.sun_path, path, strlen(path));
	if (to.sun_path[0] == '@') {
		to.sun_path[0] = '\0';
	}
	scoped(close) int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
	if (fd >= 0 && sendto(fd, "READY=1", 7, MSG_NOSIGNAL, (struct sockaddr *)&to, len) < 0) {
		log_warning("daemon", "notify_failed", "reason", strerror(errno), NULL);
	}
	/* crun would wait for the container to say the same */
	unsetenv("NOTIFY_SOCKET");
}

/* Every container costs a few descriptors: take what we may have. */
static void raise_fd_limit(void)
{
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
		limit.rlim_cur = limit.rlim_max;
		setrlimit(RLIMIT_NOFILE, &limit);
	}
}

/* Holds the pid file locked for the life of the process: a stale file is reused, a second daemon
 * refused. */
static int take_pidfile(const char *path, int *ret_fd, struct err *e)
{
	scoped(free) char *folder = xstrdup(path);
	char *slash = strrchr(folder, '/');
	if (slash && slash != folder) {
		*slash = '\0';
		path_mkdirs(folder, 0711);
	}
	scoped(close) int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	if (fd < 0) {
		return err_sys(e, errno, "cannot open the pid file %s", path);
	}
	int r = flock(fd, LOCK_EX | LOCK_NB);
	for (int i = 0; r < 0 && i < DAEMON_LOCK_TRIES; i++) {
		usleep(DAEMON_LOCK_PAUSE_US);
		r = flock(fd, LOCK_EX | LOCK_NB);
	}
	if (r < 0) {
		return err_set(e, ERR_CONFLICT, "another wherryd runs with the pid file %s", path);
	}
	char text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)n, 0) != n) {
		return err_sys(e, errno, "cannot write the pid file %s", path);
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/* For the workers that speak to registries: libcurl reads them. Here they would be the daemon's own
 * only if it asked the network for anything. */
static void set_proxies(const json_t *merged)
{
	static const struct {
		const char *key, *variable;
	} proxies[] = {{"http-proxy", "http_proxy"}, {"https-proxy", "https_proxy"},
		{"no-proxy", "no_proxy"}};
	for (size_t i = 0; i < 3; i++) {
		const char *own = json_str(merged, proxies[i].key);
		const char *grouped = json_str(json_object_get(merged, "proxies"), proxies[i].key);
		const char *value = *own ? own : grouped;
		if (*value) {
			setenv(proxies[i].variable, value, 1);
		}
	}
}

static int set_level(const struct config *c, struct err *e)
{
	static const struct {
		const char *name;
		enum log_level level;
	} levels[] = {{"error", LOG_ERROR}, {"fatal", LOG_ERROR}, {"panic", LOG_ERROR},
		{"trace", LOG_DEBUG}, {"warn", LOG_WARNING}, {"info", LOG_INFO},
		{"debug", LOG_DEBUG}};
	for (size_t i = 0; i < sizeof(levels) / sizeof(*levels); i++) {
		if (strcmp(levels[i].name, c->log_level) == 0) {
			log_set_level(c->debug ? LOG_DEBUG : levels[i].level);
			return 0;
		}
	}
	return err_set(e, ERR_INVALID, "log-level \"%s\": expected error, warn, info or debug",
		c->log_level);
}

struct service {
	uv_loop_t loop;
	struct daemon *daemon;
	struct config *config;
	int argc; /* of the command line, to read it again */
	char **argv;
	bool going_down;
	bool ended;
};

static void stop_loop(void *owner)
{
	struct service *v = owner;
	v->ended = true;
	uv_stop(&v->loop);
}

/* A broken file changes nothing: the daemon goes on with what it has. */
static void reload(struct service *v)
{
	struct err e;
	if (config_reload(v->config, v->argc, v->argv, &e) < 0 || set_level(v->config, &e) < 0) {
		log_error("daemon", "configuration_not_reloaded", "reason", e.msg, NULL);
		return;
	}
	log_info("daemon", "configuration_reloaded", NULL);
	daemon_reloaded(v->daemon);
}

/* SIGPWR: the machine goes down and the containers with it. systemd's SIGTERM follows at once and
 * must not cut their patience short, not even when both come at once and it is heard first; SIGINT
 * may. */
static void on_signal(uv_signal_t *s, int signum)
{
	struct service *v = s->data;
	if (signum == SIGHUP) {
		reload(v);
		return;
	}
	if (v->going_down && signum != SIGINT) {
		return;
	}
	log_info("daemon", "stopping", "signal", strsignal(signum), NULL);
	if (signum == SIGPWR) {
		v->going_down = true;
		v->ended = false;
		daemon_stop_containers(v->daemon, stop_loop, v);
		return;
	}
	stop_loop(v);
}

/* Runs the callbacks of handles that were closed when the daemon was freed. */
static void end_loop(uv_loop_t *l)
{
	for (int rounds = 0; rounds < 100 && uv_run(l, UV_RUN_NOWAIT) != 0; rounds++) {
	}
	if (uv_loop_close(l) < 0) {
		log_debug("daemon", "handles_left", NULL);
	}
}

static int serve(struct config *c, int argc, char **argv, struct err *e)
{
	static const int numbers[] = {SIGTERM, SIGINT, SIGPWR, SIGHUP};
	enum { N = sizeof(numbers) / sizeof(*numbers) };
	struct service v = {.config = c, .argc = argc, .argv = argv};
	uv_signal_t signals[N];
	uv_loop_init(&v.loop);
	v.daemon = daemon_new(&v.loop, c, e);
	if (!v.daemon) {
		end_loop(&v.loop);
		return -1;
	}
	for (size_t i = 0; i < N; i++) {
		uv_signal_init(&v.loop, &signals[i]);
		signals[i].data = &v;
		uv_signal_start(&signals[i], on_signal, numbers[i]);
	}
	log_info("daemon", "ready", "version", WHERRY_VERSION, "data_root", c->data_root, NULL);
	notify_ready();
	do {
		uv_run(&v.loop, UV_RUN_DEFAULT);
	} while (!v.ended);

	daemon_free(v.daemon);
	for (size_t i = 0; i < N; i++) {
		uv_close((uv_handle_t *)&signals[i], NULL);
	}
	end_loop(&v.loop);
	return 0;
}

static int purge_network(const struct config *c, struct err *e)
{
	uv_loop_t loop;
	uv_loop_init(&loop);
	int r = daemon_purge_network(&loop, c, e);
	end_loop(&loop);
	return r;
}

static int run(struct config *c, int argc, char **argv, struct err *e)
{
	if (config_read(c, argc, argv, e) < 0) {
		return -1;
	}
	if (c->help) {
		config_print_help();
		return 0;
	}
	if (c->version) {
		puts("wherryd version " WHERRY_VERSION);
		return 0;
	}
	if (set_level(c, e) < 0) {
		return -1;
	}
	if (c->validate) {
		puts("configuration OK");
		return 0;
	}
	if (geteuid() != 0) {
		return err_set(e, ERR_DENIED, "wherryd needs to be started as root");
	}
	scoped(close) int pidfile_fd = -1;
	if (take_pidfile(c->pidfile, &pidfile_fd, e) < 0) {
		return -1;
	}
	raise_fd_limit();
	set_proxies(c->merged);
	int r = c->purge_network ? purge_network(c, e) : serve(c, argc, argv, e);
	unlink(c->pidfile);
	return r;
}

int main(int argc, char **argv)
{
	struct config c;
	struct err e;
	umask(0022);
	signal(SIGPIPE, SIG_IGN);
	int r = run(&c, argc, argv, &e);
	if (r < 0) {
		fprintf(stderr, "wherryd: %s\n", e.msg);
	}
	config_deinit(&c);
	return r < 0 ? 1 : 0;
}
