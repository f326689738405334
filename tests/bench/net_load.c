/* net_load - both ends of the network figures of tests/bench: a server for a container and clients
 * for the host.
 *
 *   net_load serve PORT              each connection says first what it wants: 't' takes bytes, 'e'
 * echoes one at a time net_load send ADDRESS PORT MS    prints Gb/s sent in so many milliseconds
 *   net_load rtt ADDRESS PORT N      prints the median time of one byte there and back, in us
 *   net_load connect ADDRESS PORT N  prints the median of connect + one byte there and back, in us
 *   net_load dns NAME N WINDOW       asks 127.0.0.11 N times, WINDOW at once: prints answers a
 * second, or the median in us when WINDOW is 1 Static, so that it runs in any image.
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

/* --- DNS --- */

#define DNS_SERVER "127.0.0.11"
#define DNS_PORT 53
#define DNS_HEADER_BYTES 12

/* The address of a name, asked for. */
struct dns_question {
	uint8_t bytes[512];
	size_t n;
};

static struct dns_question ask_for(const char *name)
{
	static const uint8_t head[DNS_HEADER_BYTES] = {0, 0, 1, 0, 0, 1};
	static const uint8_t tail[4] = {0, 1, 0, 1};
	struct dns_question q = {.n = sizeof(head)};
	memcpy(q.bytes, head, sizeof(head));
	while (*name && q.n < sizeof(q.bytes) / 2) {
		size_t label = strcspn(name, ".") & 63;
		q.bytes[q.n++] = (uint8_t)label;
		memcpy(q.bytes + q.n, name, label);
		q.n += label;
		name += label + (name[label] == '.');
	}
	q.bytes[q.n++] = 0;
	memcpy(q.bytes + q.n, tail, sizeof(tail));
	q.n += sizeof(tail);
	return q;
}

static int dns_socket(void)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(DNS_PORT)};
	struct timeval limit = {.tv_sec = 5};
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	inet_pton(AF_INET, DNS_SERVER, &a.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	if (connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0) {
		die("net_load: cannot connect");
	}
	return fd;
}

static void dns_receive(int fd)
{
	uint8_t answer[1500];
	if (recv(fd, answer, sizeof(answer), 0) < DNS_HEADER_BYTES || (answer[3] & 15) ||
		!answer[7]) {
		die("net_load: no answer");
	}
}

/* window questions under way, n in all. */
static int dns_rate(const char *name, int n, int window)
{
	struct dns_question q = ask_for(name);
	int fd = dns_socket();
	int64_t begin = now_ns();
	for (int sent = 0, got = 0; got < n; got++) {
		for (; sent < n && sent - got < window; sent++) {
			if (send(fd, q.bytes, q.n, 0) < 0) {
				die("net_load: cannot ask");
			}
		}
		dns_receive(fd);
	}
	printf("%.0f\n", n * 1e9 / (double)(now_ns() - begin));
	return 0;
}

static int dns_time(const char *name, int n)
{
	static int64_t took[SAMPLES_MAX];
	struct dns_question q = ask_for(name);
	int fd = dns_socket();
	n = n < 1 ? 1 : n > SAMPLES_MAX ? SAMPLES_MAX : n;
	for (int i = 0; i < n; i++) {
		int64_t begin = now_ns();
		if (send(fd, q.bytes, q.n, 0) < 0) {
			die("net_load: cannot ask");
		}
		dns_receive(fd);
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
	if (argc == 5 && strcmp(argv[1], "dns") == 0) {
		int n = (int)strtol(argv[3], NULL, 10);
		int window = (int)strtol(argv[4], NULL, 10);
		return window > 1 ? dns_rate(argv[2], n, window) : dns_time(argv[2], n);
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
	fputs("usage: net_load serve PORT | send ADDRESS PORT MS | rtt|connect ADDRESS PORT N | dns NAME N WINDOW\n",
		stderr);
	return 2;
}
