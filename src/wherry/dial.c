/* system dial-stdio: what the other end of an ssh:// host runs */
#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/path.h"
#include "wherry/engine.h"
#include "wherry/flags.h"

/* Some bytes from one side to the other. 0 at the end, -1 when the other side is gone. */
static int pass(int from, int to)
{
	char data[65536];
	ssize_t n;
	do {
		n = read(from, data, sizeof(data));
	} while (n < 0 && errno == EINTR);
	if (n <= 0) {
		return 0;
	}
	return path_write_all(to, data, (size_t)n) < 0 ? -1 : 1;
}

/* Until the engine has said everything; the end of stdin is told to it. */
static void relay(int engine)
{
	struct pollfd p[] = {
		{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = engine, .events = POLLIN}};
	for (;;) {
		if (poll(p, 2, -1) < 0) {
			continue;
		}
		if (p[1].revents && pass(engine, STDOUT_FILENO) <= 0) {
			return;
		}
		if (p[0].revents && pass(STDIN_FILENO, engine) <= 0) {
			shutdown(engine, SHUT_WR);
			p[0].fd = -1;
		}
	}
}

int command_dial_stdio(struct cli *cli, int argc, char **argv)
{
	const struct flag flags[] = {{0}};
	const struct syntax s = {"system dial-stdio", "",
		"Proxy the stdio stream to the daemon connection. Should not be invoked manually.",
		0, 0, false};
	int status = flags_parse(&s, flags, &argc, argv);
	if (status >= 0) {
		return status;
	}
	struct err e;
	scoped(close) int fd = http_client_dial(cli->http, &e);
	if (fd < 0) {
		return cli_fail(&e);
	}
	relay(fd);
	return 0;
}
