/* `wherry-worker tls HOST VERIFY CA CERT KEY`: TLS for the CLI (http/client_tls.h).
 *
 * stdin is the CLI's socket, stdout the connection to HOST. After the handshake one line goes to
 * the CLI, empty or the reason why not; then bytes go both ways until the server has ended its
 * side. The CLI's end of input is passed on as close_notify, which leaves the other way open.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/err.h"
#include "worker/jobs.h"

#define CLI_FD STDIN_FILENO
#define NET_FD STDOUT_FILENO
#define HANDSHAKE_MAX_S 30

struct tls_pipe {
	SSL *ssl;
	char up[16384], down[16384]; /* to the net, to the CLI */
	size_t up_n, down_n;
	bool cli_ended, cli_gone, net_ended;
};

/* --- the handshake --- */

static int refuse(struct err *e, const char *what)
{
	unsigned long code = ERR_peek_last_error();
	const char *reason = code ? ERR_reason_error_string(code) : NULL;
	return err_set(e, ERR_SYSTEM, "%s: %s", what,
		reason  ? reason
		: errno ? strerror(errno)
			: "the connection has ended");
}

static int load(SSL_CTX *ctx, char **args, struct err *e)
{
	const char *ca = args[2];
	const char *cert = args[3];
	const char *key = args[4];
	int r = *ca ? SSL_CTX_load_verify_locations(ctx, ca, NULL)
		    : SSL_CTX_set_default_verify_paths(ctx);
	if (r != 1) {
		return err_set(e, ERR_INVALID, "could not read CA certificate \"%.200s\"", ca);
	}
	bool pair = *cert || *key;
	if (pair && (SSL_CTX_use_certificate_chain_file(ctx, cert) != 1 ||
			    SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1)) {
		return err_set(e, ERR_INVALID,
			"could not load X509 key pair from \"%.100s\" and \"%.100s\"", cert, key);
	}
	return 0;
}

static int expect_host(SSL *ssl, const char *host)
{
	unsigned char address[sizeof(struct in6_addr)];
	if (inet_pton(AF_INET, host, address) == 1 || inet_pton(AF_INET6, host, address) == 1) {
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host);
	}
	return SSL_set_tlsext_host_name(ssl, host) == 1 && SSL_set1_host(ssl, host) == 1;
}

static int shake_hands(SSL *ssl, const char *host, bool verify, struct err *e)
{
	const struct timeval patience = {.tv_sec = HANDSHAKE_MAX_S};
	setsockopt(NET_FD, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (expect_host(ssl, host) != 1 || SSL_set_fd(ssl, NET_FD) != 1) {
		return refuse(e, "cannot begin");
	}
	SSL_set_verify(ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
	errno = 0;
	if (SSL_connect(ssl) == 1) {
		return 0;
	}
	long wrong = SSL_get_verify_result(ssl);
	return verify && wrong != X509_V_OK
		       ? err_set(e, ERR_DENIED, "failed to verify the certificate of %.100s: %s",
				 host, X509_verify_cert_error_string(wrong))
		       : refuse(e, "the handshake failed");
}

/* --- the bytes --- */

/* What SSL_read and SSL_write did when it was not moving bytes: nothing yet, or the end. */
static void judge(struct tls_pipe *p, int r)
{
	int why = SSL_get_error(p->ssl, r);
	if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE) {
		return;
	}
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	if (why == SSL_ERROR_SSL && reason && !strstr(reason, "unexpected eof")) {
		fprintf(stderr, "TLS: %s\n", reason); /* a certificate is missed only now (1.3) */
	}
	ERR_clear_error();
	p->net_ended = true;
}

static bool move_up(struct tls_pipe *p)
{
	bool moved = false;
	if (p->up_n == 0 && !p->cli_ended) {
		ssize_t n = recv(CLI_FD, p->up, sizeof(p->up), MSG_DONTWAIT);
		p->cli_ended = n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR);
		p->up_n = n > 0 ? (size_t)n : 0;
		moved = n >= 0;
		if (p->cli_ended) {
			SSL_shutdown(p->ssl);
		}
	}
	if (p->up_n > 0) {
		int r = SSL_write(p->ssl, p->up, (int)p->up_n);
		if (r <= 0) {
			judge(p, r);
			return moved;
		}
		memmove(p->up, p->up + r, p->up_n - (size_t)r);
		p->up_n -= (size_t)r;
		moved = true;
	}
	return moved;
}

static bool move_down(struct tls_pipe *p)
{
	bool moved = false;
	if (p->down_n == 0 && !p->net_ended) {
		int r = SSL_read(p->ssl, p->down, sizeof(p->down));
		if (r <= 0) {
			judge(p, r);
		} else {
			p->down_n = (size_t)r;
			moved = true;
		}
	}
	if (p->down_n > 0) {
		ssize_t n = send(CLI_FD, p->down, p->down_n, MSG_DONTWAIT | MSG_NOSIGNAL);
		p->cli_gone = p->cli_gone || (n < 0 && errno != EAGAIN && errno != EINTR);
		if (n > 0) {
			memmove(p->down, p->down + n, p->down_n - (size_t)n);
			p->down_n -= (size_t)n;
			moved = true;
		}
	}
	return moved;
}

static void wait_for_more(struct tls_pipe *p)
{
	bool reads = p->up_n == 0 && !p->cli_ended;
	bool writes = p->down_n > 0;
	struct pollfd fds[] = {
		{.fd = CLI_FD, .events = (short)((reads ? POLLIN : 0) | (writes ? POLLOUT : 0))},
		{.fd = NET_FD,
			.events = (short)((p->down_n == 0 ? POLLIN : 0) |
					  (p->up_n > 0 ? POLLOUT : 0))},
	};
	/* a hang-up is told also of what nobody asked for: with bytes of its left it would spin */
	if (p->up_n > 0 && !writes) {
		fds[0].fd = -1;
	}
	(void)poll(fds, 2, -1);
	p->cli_gone = p->cli_gone || (p->cli_ended && (fds[0].revents & (POLLHUP | POLLERR)));
}

static void carry(struct tls_pipe *p)
{
	(void)fcntl(NET_FD, F_SETFL, O_NONBLOCK);
	SSL_set_mode(p->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	while (!p->cli_gone && !(p->net_ended && p->down_n == 0)) {
		bool up = move_up(p);
		bool down = move_down(p);
		if (!up && !down && !p->cli_gone && !(p->net_ended && p->down_n == 0)) {
			wait_for_more(p);
		}
	}
}

int worker_tls(char **args)
{
	static struct tls_pipe p; /* 32 KiB */
	struct err e;
	signal(SIGPIPE, SIG_IGN);
	(void)setsid(); /* Ctrl-C is the CLI's to pass on, by the connection that is here */
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	p.ssl = NULL;
	int r = -1;
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1) {
		(void)refuse(&e, "cannot begin");
	} else if (load(ctx, args, &e) == 0) {
		p.ssl = SSL_new(ctx);
		r = shake_hands(p.ssl, args[0], *args[1] != '\0', &e);
	}
	char line[sizeof(e.msg) + 1];
	int n = snprintf(line, sizeof(line), "%.250s\n", r < 0 ? e.msg : "");
	bool told = send(CLI_FD, line, (size_t)n, MSG_NOSIGNAL) == n;
	if (r == 0 && told) {
		carry(&p);
	}
	SSL_free(p.ssl);
	SSL_CTX_free(ctx);
	return r < 0 ? 1 : 0;
}
