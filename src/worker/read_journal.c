/* read-journal: the lines of a container that journald keeps, as lines of a log file.
 *
 * {"id", "follow": bool, "details": bool, "tail": N or -1, "since_us"}; to fd 1 go lines of format
 * "local", or json-file with details. journalctl reads, in its export format:
 * https://systemd.io/JOURNAL_EXPORT_FORMATS/ "FIELD=text\n", or "FIELD\n", 64 bits little endian,
 * bytes,
 * "\n"; an empty line ends an entry.
 * While following, the first bytes on fd 3 mean that the container has ended: what journald still
 * has is fetched with a second journalctl, from the last cursor on.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "worker/jobs.h"
#include "worker/journal_export.h"

#define RPC_FD 3
#define READ_BYTES 65536

extern char **environ;

struct reading {
	struct journal_export *parser;
	bool details;
	char cursor[256];
	struct buf out;
};

/* --- one entry --- */

static const char *field(const struct journal_entry *en, const char *name, size_t *ret_n)
{
	for (size_t i = 0; i < en->n; i++) {
		if (strcmp(en->fields[i].name, name) == 0) {
			*ret_n = en->fields[i].n;
			return en->fields[i].value;
		}
	}
	*ret_n = 0;
	return "";
}

/* As moby journald/read.go wellKnownFields: what the driver itself and journald wrote. */
static bool is_attribute(const char *name)
{
	static const char *const known[] = {"MESSAGE", "MESSAGE_ID", "PRIORITY", "CODE_FILE",
		"CODE_LINE", "CODE_FUNC", "ERRNO", "SYSLOG_FACILITY", "SYSLOG_IDENTIFIER",
		"SYSLOG_PID", "SYSLOG_TIMESTAMP", "CONTAINER_ID", "CONTAINER_ID_FULL",
		"CONTAINER_NAME", "CONTAINER_TAG", "IMAGE_NAME", "CONTAINER_PARTIAL_ID",
		"CONTAINER_PARTIAL_ORDINAL", "CONTAINER_PARTIAL_LAST", "CONTAINER_PARTIAL_MESSAGE",
		"CONTAINER_LOG_EPOCH", "CONTAINER_LOG_ORDINAL"};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strcmp(known[i], name) == 0) {
			return false;
		}
	}
	return *name != '_';
}

static void put_json(struct reading *r, const struct journal_entry *en, const char *text, size_t n,
	int64_t at_ns, bool part, int stream)
{
	scoped(json) json_t *o = json_object();
	scoped(json) json_t *attrs = json_object();
	scoped(buf) struct buf line = BUF_INIT;
	char stamp[CLOCK_TEXT_MAX];
	buf_append(&line, text, n);
	buf_puts(&line, part ? "" : "\n");
	json_t *said = json_stringn(line.data, line.len);
	for (size_t i = 0; i < en->n; i++) {
		if (is_attribute(en->fields[i].name)) {
			json_object_set_new(attrs, en->fields[i].name,
				json_stringn(en->fields[i].value, en->fields[i].n));
		}
	}
	json_put(o, "log", said ? said : json_string("\xef\xbf\xbd\n"));
	json_put_str(o, "stream", stream == 1 ? "stdout" : "stderr");
	json_put(o, "attrs", json_incref(attrs));
	json_put_str(o, "time", clock_format_ns(at_ns, stamp));
	scoped(free) char *dumped = json_text(o);
	buf_printf(&r->out, "%s\n", dumped);
}

static void take_entry(void *owner, const struct journal_entry *en)
{
	struct reading *r = owner;
	size_t n;
	size_t len;
	snprintf(r->cursor, sizeof(r->cursor), "%s", field(en, "__CURSOR", &n));
	int64_t at_us = strtoll(field(en, "__REALTIME_TIMESTAMP", &n), NULL, 10);
	bool part = strcmp(field(en, "CONTAINER_PARTIAL_MESSAGE", &n), "true") == 0;
	int stream = strcmp(field(en, "PRIORITY", &n), "3") == 0 ? 2 : 1;
	const char *text = field(en, "MESSAGE", &len);
	if (r->details) {
		put_json(r, en, text, len, at_us * 1000, part, stream);
		return;
	}
	buf_printf(&r->out, "%019lld%c", (long long)at_us * 1000,
		stream == 1 ? (part ? 'O' : 'o') : (part ? 'E' : 'e'));
	buf_append(&r->out, text, len);
	buf_putc(&r->out, '\n');
}

/* --- journalctl --- */

static pid_t start_journalctl(const struct strv *args, int *ret_fd, struct err *e)
{
	int fds[2];
	pid_t pid;
	posix_spawn_file_actions_t actions;
	if (pipe2(fds, O_CLOEXEC) < 0) {
		return err_sys(e, errno, "cannot make a pipe");
	}
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
	int r = posix_spawnp(&pid, "journalctl", &actions, NULL, args->v, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(fds[1]);
	if (r != 0) {
		close(fds[0]);
		return err_sys(e, r, "cannot start journalctl");
	}
	*ret_fd = fds[0];
	return pid;
}

/* Until it ends, or (watch) the daemon says something. */
static int copy_entries(struct reading *r, int fd, bool watch, struct err *e)
{
	static char data[READ_BYTES];
	for (;;) {
		struct pollfd p[] = {{.fd = fd, .events = POLLIN},
			{.fd = watch ? RPC_FD : -1, .events = POLLIN}};
		if (poll(p, 2, -1) < 0) {
			continue;
		}
		if (!p[0].revents) {
			return 0;
		}
		ssize_t n = read(fd, data, sizeof(data));
		if (n <= 0) {
			return 0;
		}
		if (journal_export_feed(r->parser, data, (size_t)n, take_entry, r) < 0) {
			return err_set(e, ERR_SYSTEM, "journalctl says what is no export format");
		}
		int w = path_write_all(STDOUT_FILENO, buf_str(&r->out), r->out.len);
		if (w < 0) {
			return err_sys(e, -w, "nobody reads the log");
		}
		buf_clear(&r->out);
	}
}

static int run_journalctl(struct reading *r, const struct strv *args, bool watch, struct err *e)
{
	int fd;
	pid_t pid = start_journalctl(args, &fd, e);
	if (pid < 0) {
		return -1;
	}
	int result = copy_entries(r, fd, watch, e);
	if (watch) {
		kill(pid, SIGTERM);
	}
	close(fd);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
	return result;
}

static void common_args(struct strv *args, const char *id)
{
	strv_add(args, "journalctl");
	strv_add(args, "--output=export");
	strv_add(args, "--quiet");
	strv_add(args, "--no-pager");
	strv_addf(args, "CONTAINER_ID_FULL=%s", id);
}

static void run_sync(void)
{
	scoped(strv) struct strv args = STRV_INIT;
	struct err ignored;
	int fd;
	strv_add(&args, "journalctl");
	strv_add(&args, "--sync");
	pid_t pid = start_journalctl(&args, &fd, &ignored);
	if (pid > 0) {
		close(fd);
		waitpid(pid, NULL, 0);
	}
}

static int read_first(struct reading *r, const json_t *request, bool follow, struct err *e)
{
	scoped(strv) struct strv args = STRV_INIT;
	int64_t tail = json_i64(request, "tail", -1);
	int64_t since = json_i64(request, "since_us", 0);
	common_args(&args, json_str(request, "id"));
	if (tail >= 0) {
		strv_addf(&args, "--lines=%lld", (long long)tail);
	} else if (follow) {
		strv_add(&args, "--no-tail");
	}
	if (since > 0) {
		strv_addf(&args, "--since=@%lld.%06d", (long long)(since / 1000000),
			(int)(since % 1000000));
	}
	if (follow) {
		strv_add(&args, "--follow");
	}
	return run_journalctl(r, &args, follow, e);
}

static int read_rest(struct reading *r, const json_t *request, struct err *e)
{
	scoped(strv) struct strv args = STRV_INIT;
	common_args(&args, json_str(request, "id"));
	if (r->cursor[0]) {
		strv_addf(&args, "--after-cursor=%s", r->cursor);
	} else if (json_i64(request, "tail", -1) >= 0) {
		strv_addf(&args, "--lines=%lld", (long long)json_i64(request, "tail", 0));
	}
	return run_journalctl(r, &args, false, e);
}

json_t *worker_read_journal(struct rpc *rpc, const json_t *request, struct err *e)
{
	bool follow = json_bool(request, "follow");
	struct reading r = {.details = json_bool(request, "details")};
	if (!text_is_hex(json_str(request, "id"), ID_LEN)) {
		(void)err_set(e, ERR_INVALID, "no container id");
		return NULL;
	}
	r.parser = journal_export_new();
	if (!follow) {
		run_sync(); /* what a container said before it ended is there */
	}
	int result = read_first(&r, request, follow, e);
	if (result == 0 && follow) {
		run_sync();
		journal_export_free(r.parser); /* it may be in the middle of an entry */
		r.parser = journal_export_new();
		result = read_rest(&r, request, e);
	}
	journal_export_free(r.parser);
	buf_deinit(&r.out);
	return result < 0 ? NULL : json_object();
}
