/* PATH is the live file; full, it becomes PATH.1, that one PATH.2 ... by renaming, and the oldest
 * goes. With compression PATH.n becomes PATH.n.gz when a helper process has made it.
 *
 * Invariants
 * 1. Only this process renames: whoever reads finds the way from one file to the next by inode.
 * 2. PATH.n.gz is there before PATH.n goes.
 * 3. While somebody reads (a shared lock on PATH.readers) rotated files are kept beyond the limit,
 * up to SPARE_BYTES: a reader that is a little late misses nothing, one that is stuck keeps nothing
 *    alive for ever and never stops the container.
 */
#include "shim/log.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SPARE_BYTES (16 << 20)
#define SPARE_FILES_MAX 100
#define NAME_MAX_BYTES (sizeof(((struct log_files *)0)->path) + 24)

static const char *name_of(const struct log_files *f, int number, bool gz, char *ret)
{
	if (number == 0) {
		return f->path;
	}
	snprintf(ret, NAME_MAX_BYTES, "%s.%d%s", f->path, number, gz ? ".gz" : "");
	return ret;
}

static bool exists(const struct log_files *f, int number)
{
	char name[NAME_MAX_BYTES];
	return access(name_of(f, number, false, name), F_OK) == 0 ||
	       access(name_of(f, number, true, name), F_OK) == 0;
}

int log_files_open(struct log_files *f, const struct log_options *o)
{
	struct stat st;
	char name[NAME_MAX_BYTES];
	if (strlen(o->path) >= sizeof(f->path)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	strcpy(f->path, o->path);
	f->max_bytes = o->max_bytes;
	f->limit = o->files;
	f->compressor = o->compressor;
	f->compressing = 0;
	f->compressing_fd = -1;
	f->fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0640);
	if (f->fd < 0 || fstat(f->fd, &st) < 0) {
		return -1;
	}
	f->size = st.st_size;
	while (exists(f, f->oldest + 1)) {
		f->oldest++;
	}
	snprintf(name, sizeof(name), "%s.gz.tmp", f->path); /* of a run that was cut off */
	unlink(name);
	return 0;
}

bool log_files_full(const struct log_files *f, size_t n)
{
	return f->max_bytes > 0 && f->size + (int64_t)n >= f->max_bytes;
}

/* --- rotation --- */

static bool somebody_reads(const struct log_files *f)
{
	char name[NAME_MAX_BYTES];
	snprintf(name, sizeof(name), "%s.readers", f->path);
	int fd = open(name, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		return false;
	}
	bool read = flock(fd, LOCK_EX | LOCK_NB) < 0;
	close(fd);
	return read;
}

static int spare_files(const struct log_files *f)
{
	int64_t n = SPARE_BYTES / f->max_bytes;
	return n < 1 ? 1 : n > SPARE_FILES_MAX ? SPARE_FILES_MAX : (int)n;
}

static void move_up(struct log_files *f, int number, bool keep)
{
	for (int gz = 0; gz <= (f->compressor != NULL); gz++) {
		char from[NAME_MAX_BYTES];
		char to[NAME_MAX_BYTES];
		const char *name = name_of(f, number, gz, from);
		if (keep) {
			rename(name, name_of(f, number + 1, gz, to));
		} else {
			unlink(name);
		}
	}
}

static void compress_one(struct log_files *f);

static void rotate(struct log_files *f)
{
	int limit = f->limit + (somebody_reads(f) ? spare_files(f) : 0);
	for (int i = f->oldest; i >= 1; i--) {
		move_up(f, i, i + 1 < limit);
	}
	f->oldest = f->oldest + 1 < limit ? f->oldest + 1 : limit - 1;
	if (limit > 1) {
		char to[NAME_MAX_BYTES];
		rename(f->path, name_of(f, 1, false, to));
	}
	int fd = open(f->path, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	if (fd >= 0) {
		close(f->fd);
		f->fd = fd;
	}
	f->size = 0;
	compress_one(f);
}

/* --- compression --- */

static void exec_compressor(const struct log_files *f, int from, int to)
{
	char inode[24];
	struct stat st;
	sigset_t none;
	if (fstat(from, &st) < 0) {
		_exit(1);
	}
	snprintf(inode, sizeof(inode), "%llu", (unsigned long long)st.st_ino);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	setpriority(PRIO_PROCESS, 0, 10);
	dup2(from, 0);
	dup2(to, 1);
	close_range(3, ~0u, 0);
	execl(f->compressor, f->compressor, "compress-log", inode, (char *)NULL);
	_exit(127);
}

/* The oldest file that is not compressed yet; one at a time. */
static void compress_one(struct log_files *f)
{
	char name[NAME_MAX_BYTES];
	int from = -1;
	if (!f->compressor || f->compressing) {
		return;
	}
	for (int i = f->oldest; i >= 1 && from < 0; i--) {
		from = open(name_of(f, i, false, name), O_RDONLY | O_CLOEXEC);
	}
	if (from < 0) {
		return;
	}
	snprintf(name, sizeof(name), "%s.gz.tmp", f->path);
	int to = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
	pid_t pid = to >= 0 ? fork() : -1;
	if (pid == 0) {
		exec_compressor(f, from, to);
	}
	if (to >= 0) {
		close(to);
	}
	if (pid < 0) {
		close(from);
		return;
	}
	f->compressing = pid;
	f->compressing_fd = from;
}

/* Its number may have grown meanwhile. 0: it has gone. */
static int number_now(const struct log_files *f)
{
	struct stat ours;
	struct stat st;
	char name[NAME_MAX_BYTES];
	if (fstat(f->compressing_fd, &ours) < 0) {
		return 0;
	}
	for (int i = f->oldest; i >= 1; i--) {
		if (stat(name_of(f, i, false, name), &st) == 0 && st.st_ino == ours.st_ino &&
			st.st_dev == ours.st_dev) {
			return i;
		}
	}
	return 0;
}

void log_files_child_ended(struct log_files *f, pid_t pid, int status)
{
	char temp[NAME_MAX_BYTES];
	char plain[NAME_MAX_BYTES];
	char gz[NAME_MAX_BYTES];
	if (!f->compressing || pid != f->compressing) {
		return;
	}
	int number = number_now(f);
	bool done = status == 0;
	f->compressing = 0;
	close(f->compressing_fd);
	f->compressing_fd = -1;
	snprintf(temp, sizeof(temp), "%s.gz.tmp", f->path);
	if (!done || number == 0) {
		unlink(temp);
	} else if (rename(temp, name_of(f, number, true, gz)) == 0) {
		unlink(name_of(f, number, false, plain));
	}
	if (done) { /* a full disk is tried again at the next rotation, not at once */
		compress_one(f);
	}
}

/* --- writing --- */

/* The disk took only a part: what it has of the last line goes, or the next line would be torn with
 * it. end is where the written part of data ends. */
static void cut_torn_line(struct log_files *f, const char *data, const char *end)
{
	const char *p = end;
	while (p > data && p[-1] != '\n') {
		p--;
	}
	off_t size = lseek(f->fd, 0, SEEK_END);
	if (p < end && size >= end - p && ftruncate(f->fd, size - (end - p)) == 0) {
		f->size -= end - p;
	}
}

void log_files_write(struct log_files *f, const char *data, size_t n)
{
	const char *p = data;
	size_t left = n;
	if (log_files_full(f, 0)) {
		rotate(f);
	}
	while (left > 0) {
		ssize_t done = write(f->fd, p, left);
		if (done < 0 && errno == EINTR) {
			continue;
		}
		if (done <= 0) { /* a full disk must not stop the container: these lines are lost */
			cut_torn_line(f, data, p);
			break;
		}
		p += done;
		left -= (size_t)done;
		f->size += done;
	}
}

void log_files_close(struct log_files *f)
{
	if (f->fd >= 0) {
		close(f->fd);
	}
	if (f->compressing) {
		close(f->compressing_fd);
	}
}
