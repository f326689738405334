#include "wherry/download.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "wherry/command.h"
#include "wherry/engine.h"

int download_check(const char *output, struct err *e)
{
	return output || !isatty(STDOUT_FILENO)
		       ? 0
		       : err_set(e, ERR_INVALID,
				 "cowardly refusing to save to a terminal. Use the -o flag or redirect");
}

static int save_answer(struct http_client *http, int fd, struct err *e)
{
	char chunk[65536];
	long n;
	while ((n = http_client_read(http, chunk, sizeof(chunk), e)) > 0) {
		int r = path_write_all(fd, chunk, (size_t)n);
		if (r < 0) {
			return err_sys(e, -r, "write");
		}
	}
	return n < 0 ? -1 : 0;
}

int download(struct cli *cli, const char *path, const char *output, const char *what, struct err *e)
{
	const struct http_call call = {.method = "GET", .path = path};
	if (engine_send(cli->http, &call, NULL, e) < 0) {
		return -1;
	}
	if (!output) {
		return save_answer(cli->http, STDOUT_FILENO, e);
	}
	/* beside it first: a file that is there is whole */
	scoped(free) char *temp = xasprintf("%s.part", output);
	scoped(close) int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0) {
		return err_sys(e, errno, "%s: open %.300s", what, output);
	}
	int r = save_answer(cli->http, fd, e);
	if (r == 0 && rename(temp, output) < 0) {
		r = err_sys(e, errno, "%s: rename to %.300s", what, output);
	}
	if (r < 0) {
		unlink(temp);
	}
	return r;
}
