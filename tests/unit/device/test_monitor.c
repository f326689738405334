/* What keeps the set of devices true: a worker that fails is asked again. */
#include "device/monitor.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include <cmocka.h>

#include "device/set.h"
#include "job/job.h"

/* It fails the first time, as one that finds no memory. */
static const char worker[] = "#!/bin/sh\n"
			     "if [ ! -e \"$0.ran\" ]; then : >\"$0.ran\"; exit 1; fi\n"
			     "echo '{\"result\": {\"devices\": []}}' >&3\n";

static void on_change(void *owner, const struct device_event *event)
{
	uv_stop(owner);
}

static void a_look_that_fails_is_repeated(void **state)
{
	char path[] = "/tmp/wherry-monitor.XXXXXX";
	char mark[64];
	uv_loop_t loop;
	struct err e;
	int fd = mkstemp(path);
	signal(SIGPIPE, SIG_IGN); /* as the daemon does: the worker may end before it is asked */
	assert_int_equal(write(fd, worker, strlen(worker)), strlen(worker));
	fchmod(fd, 0700);
	close(fd);
	snprintf(mark, sizeof(mark), "%s.ran", path);
	uv_loop_init(&loop);
	struct job_pool *jobs = job_pool_new(&loop, path);
	struct device_set *set = device_set_new();
	struct device_listener *listener = device_listen(set, on_change, &loop);
	struct device_monitor *m = device_monitor_new(&loop, jobs, set, &e);
	assert_non_null(m);

	uv_run(&loop, UV_RUN_DEFAULT);

	assert_true(device_set_ready(set));
	assert_int_equal(access(mark, F_OK), 0);
	job_pool_free(jobs);
	device_monitor_free(m);
	uv_run(&loop, UV_RUN_DEFAULT);
	device_unlisten(listener);
	device_set_free(set);
	assert_int_equal(uv_loop_close(&loop), 0);
	unlink(mark);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_look_that_fails_is_repeated),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
