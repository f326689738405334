/* net_load - both ends of the network figures of tests/bench: a server for a container and clients
 * for the host.
 *
 *   net_load serve PORT              each connection says first what it wants: 't' takes bytes, 'e'
 * echoes one at a time net_load send ADDRESS PORT MS    prints Gb/s sent in so many milliseconds
 *   net_load rtt ADDRESS PORT N      prints the median time of one byte there and back, in us
 *   net_load connect ADDRESS PORT N  prints the median of connect + one byte there and back, in us
 * Static, so that it runs in any image.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (128 * 1024)
#define SAMPLES_MAX 10000

static char chunk[CHUNK];

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void answer(int fd)
{
	char wish;
	if (read(fd, &wish, 1) != 1) {
		return;
	}
	if (wish == 't') {
		while (read(fd, chunk, sizeof(chunk)) > 0) {
		}
		return;
	}
	for (char c; read(fd, &c, 1) == 1;) {
		if (write(fd, &c, 1) != 1) {
			return;
		}
	}
}

static int serve(int port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;
	int l = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	setsockopt(l, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (l < 0 || bind(l, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(l, 64) < 0) {
		die("net_load: cannot listen");
	}
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		int fd = accept4(l, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0 && fork() == 0) {
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
			answer(fd);
			_exit(0);
		}
		close(fd);
	}
}

static int connect_to(const char *address, int port, char wish)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
	int one = 1;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || inet_pton(AF_INET, address, &a.sin_addr) != 1 ||
		connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		die("net_load: cannot connect");
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (write(fd, &wish, 1) != 1) {
		die("net_load: cannot write");
	}
	return fd;
}

static void there_and_back(int fd)
{
	char c = 'x';
	if (write(fd, &c, 1) != 1 || read(fd, &c, 1) != 1) {
		die("net_load: the connection broke");
	}
}

static int send_for(const char *address, int port, int ms)
{
	int fd = connect_to(address, port, 't');
	int64_t begin = now_ns();
	int64_t end = begin + (int64_t)ms * 1000000;
	int64_t sent = 0;
	while (now_ns() < end) {
		ssize_t n = write(fd, chunk, sizeof(chunk));
		if (n < 0) {
			die("net_load: cannot write");
		}
		sent += n;
	}
	printf("%.3f\n", (double)sent * 8 / (double)(now_ns() - begin));
	return 0;
}

static int by_time(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static int sample(const char *address, int port, int n, bool connect_each)
{
	static int64_t took[SAMPLES_MAX];
	if (n < 1 || n > SAMPLES_MAX) {
		fprintf(stderr, "net_load: 1 to %d samples\n", SAMPLES_MAX);
		return 2;
	}
	int fd = connect_to(address, port, 'e');
	for (int i = 0; i < n; i++) {
		int64_t begin = now_ns();
		if (connect_each) {
			close(fd);
			fd = connect_to(address, port, 'e');
		}
		there_and_back(fd);
		took[i] = now_ns() - begin;
	}
	qsort(took, (size_t)n, sizeof(*took), by_time);
	printf("%.1f\n", (double)took[n / 2] / 1000);
	return 0;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);
	if (argc == 3 && strcmp(argv[1], "serve") == 0) {
		return serve((int)strtol(argv[2], NULL, 10));
	}
	if (argc == 5) {
		int port = (int)strtol(argv[3], NULL, 10);
		int n = (int)strtol(argv[4], NULL, 10);
		if (strcmp(argv[1], "send") == 0) {
			return send_for(argv[2], port, n);
		}
		if (strcmp(argv[1], "rtt") == 0 || strcmp(argv[1], "connect") == 0) {
			return sample(argv[2], port, n, argv[1][0] == 'c');
		}
	}
	fputs("usage: net_load serve PORT | send ADDRESS PORT MS | rtt|connect ADDRESS PORT N\n",
		stderr);
	return 2;
}
