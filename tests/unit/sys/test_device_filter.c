/* A device program on a group of the kernel's; as root and where there is cgroup v2 (also beside
 * v1), else "skipped". */
#include "sys/device_filter.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"

static char *make_group(void)
{
	const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
	for (int i = 0; i < 2; i++) {
		scoped(free) char *mark = xasprintf("%s/cgroup.controllers", roots[i]);
		scoped(free) char *group =
			xasprintf("%s/wherry-unit-filter-%d", roots[i], (int)getpid());
		if (geteuid() == 0 && access(mark, F_OK) == 0 && mkdir(group, 0755) == 0) {
			return TAKE(group);
		}
	}
	return NULL;
}

/* 0, or the errno of open(2) for a process of the group. */
static int try_open(const char *group, const char *node, int flags)
{
	int status;
	pid_t pid = fork();
	if (pid == 0) {
		scoped(free) char *procs = xasprintf("%s/cgroup.procs", group);
		int fd = open(procs, O_WRONLY | O_CLOEXEC);
		if (fd < 0 || write(fd, "0", 1) != 1) {
			_exit(200);
		}
		_exit(open(node, flags | O_CLOEXEC) < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WEXITSTATUS(status);
}

static void the_last_rule_that_counts_decides_and_a_new_program_replaces_the_old(void **state)
{
	/* as of a container: nothing, but null all ways and zero to be read */
	const struct device_filter_rule first[] = {{false, 'a', -1, -1, DEVICE_ACCESS_ALL},
		{true, 'c', 1, 3, DEVICE_ACCESS_ALL}, {true, 'c', 1, 5, DEVICE_READ}};
	const struct device_filter_rule second[] = {{true, 'c', 1, -1, DEVICE_READ | DEVICE_WRITE},
		{false, 'c', 1, 3, DEVICE_WRITE}, {true, 'b', 1, 5, DEVICE_ACCESS_ALL}};
	scoped(free) char *group = make_group();
	if (!group) {
		skip();
	}

	int r = device_filter_set(group, first, 3);
	if (r == -ENOSYS || r == -EPERM) { /* a kernel without such programs */
		rmdir(group);
		skip();
	}
	assert_int_equal(r, 0);
	assert_int_equal(try_open(group, "/dev/null", O_RDWR), 0);
	assert_int_equal(try_open(group, "/dev/zero", O_RDONLY), 0);
	assert_int_equal(try_open(group, "/dev/zero", O_RDWR), EPERM);
	assert_int_equal(try_open(group, "/dev/full", O_RDONLY), EPERM);

	assert_int_equal(device_filter_set(group, second, 3), 0);
	assert_int_equal(try_open(group, "/dev/full", O_RDWR), 0);
	assert_int_equal(try_open(group, "/dev/null", O_RDONLY), 0);
	assert_int_equal(try_open(group, "/dev/null", O_WRONLY), EPERM);
	assert_int_equal(try_open(group, "/dev/zero", O_RDWR), 0);

	assert_int_equal(device_filter_set(group, NULL, 0), 0);
	assert_int_equal(try_open(group, "/dev/null", O_RDONLY), EPERM);
	assert_int_equal(rmdir(group), 0);
	assert_int_equal(device_filter_set(group, first, 3), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(
			the_last_rule_that_counts_decides_and_a_new_program_replaces_the_old),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
