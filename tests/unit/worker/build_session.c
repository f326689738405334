/* Secrets and ssh agents over a session's streams: the other end is a thread of the test. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "grpc/grpc.h"
#include "session.pb-c.h"
#include "worker/build.h"
#include "worker/build_secret.h"
#include "worker/build_ssh.h"

/* What a client offers: the secret "known", the agent "default", and calls that get no answer. */
struct peer {
	char dir[64], path[96];
	int listen_fd;
	pthread_t thread;
	struct build b;
};

/* --- the client's services --- */

static void answer_secret(struct grpc_call *call)
{
	scoped(buf) struct buf m = BUF_INIT;
	struct err e = {0};
	if (grpc_recv(call, &m, &e) != 1) {
		return;
	}
	Buildkit__GetSecretRequest *r =
		buildkit__get_secret_request__unpack(NULL, m.len, (uint8_t *)m.data);
	Buildkit__GetSecretResponse answer = BUILDKIT__GET_SECRET_RESPONSE__INIT;
	scoped(free) char *id = xstrdup(r->id);
	buildkit__get_secret_request__free_unpacked(r, NULL);
	if (strcmp(id, "none") == 0) {
		grpc_finish(call, GRPC_NOT_FOUND, "not found");
		return;
	}
	if (strcmp(id, "denied") == 0) {
		grpc_finish(call, GRPC_PERMISSION_DENIED, "not for you");
		return;
	}
	answer.data.len = strcmp(id, "huge") == 0 ? SECRET_MAX + 1 : 3;
	answer.data.data = xcalloc(1, answer.data.len + 1);
	memcpy(answer.data.data, "a\0b", 3);
	size_t n = buildkit__get_secret_response__get_packed_size(&answer);
	scoped(free) uint8_t *bytes = xcalloc(1, n + 1);
	buildkit__get_secret_response__pack(&answer, bytes);
	free(answer.data.data);
	if (strcmp(id, "broken") == 0) {
		memset(bytes, 0xff, n);
	}
	grpc_send(call, bytes, n, &e);
	grpc_finish(call, GRPC_OK, "");
}

static void check_agent(struct grpc_call *call)
{
	scoped(buf) struct buf m = BUF_INIT;
	struct err e = {0};
	if (grpc_recv(call, &m, &e) != 1) {
		return;
	}
	Buildkit__CheckAgentRequest *r =
		buildkit__check_agent_request__unpack(NULL, m.len, (uint8_t *)m.data);
	bool known = strcmp(r->id, "default") == 0 || strcmp(r->id, "silent") == 0;
	buildkit__check_agent_request__free_unpacked(r, NULL);
	if (known) {
		grpc_send(call, "", 0, &e);
	}
	grpc_finish(call, known ? GRPC_OK : GRPC_UNKNOWN, "unset ssh forward key");
}

/* Sends back what comes, unless it is the agent that never answers. */
static void forward_agent(struct grpc_call *call, const char *id)
{
	scoped(buf) struct buf m = BUF_INIT;
	struct err e = {0};
	while (grpc_recv(call, &m, &e) == 1) {
		if (strcmp(id, "silent") != 0) {
			grpc_send(call, m.data, m.len, &e);
		}
	}
	grpc_finish(call, GRPC_OK, "");
}

/* --- the gateway's place --- */

static void *serve_one(void *arg)
{
	int fd = (int)(intptr_t)arg;
	scoped(buf) struct buf line = BUF_INIT;
	char c;
	while (read(fd, &c, 1) == 1 && c != '\n') {
		buf_putc(&line, c);
	}
	struct err e = {0};
	scoped(json) json_t *head = json_parse(buf_str(&line), line.len, "head", &e);
	const char *method = json_str(head, "method");
	const json_t *ids = json_object_get(json_object_get(head, "metadata"), "buildkit.ssh.id");
	const char *id = json_string_value(json_array_get(ids, 0));
	struct grpc_call *call = grpc_call_over_peer(fd, NULL, 0);
	if (strcmp(method, "/moby.buildkit.secrets.v1.Secrets/GetSecret") == 0) {
		answer_secret(call);
	} else if (strcmp(method, "/moby.sshforward.v1.SSH/CheckAgent") == 0) {
		check_agent(call);
	} else if (strcmp(method, "/moby.sshforward.v1.SSH/ForwardAgent") == 0 && id) {
		forward_agent(call, id);
	}
	grpc_call_free(call);
	return NULL;
}

static void *serve(void *arg)
{
	struct peer *p = arg;
	pthread_t threads[64];
	size_t n = 0;
	int fd;
	while (n < 64 && (fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
		pthread_create(&threads[n++], NULL, serve_one, (void *)(intptr_t)fd);
	}
	for (size_t k = 0; k < n; k++) {
		pthread_join(threads[k], NULL);
	}
	return NULL;
}

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 32), 0);
	return fd;
}

static int dial(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	return fd;
}

static int setup(void **state)
{
	struct peer *p = xnew(struct peer);
	strcpy(p->dir, "/tmp/wherry-unit.XXXXXX");
	assert_non_null(mkdtemp(p->dir));
	snprintf(p->path, sizeof(p->path), "%s/build.sock", p->dir);
	p->listen_fd = listen_at(p->path);
	p->b.options = json_pack("{ss}", "session", "s");
	p->b.request = json_pack("{ss}", "session_socket", p->path);
	assert_int_equal(pthread_create(&p->thread, NULL, serve, p), 0);
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct peer *p = *state;
	shutdown(p->listen_fd, SHUT_RDWR);
	pthread_join(p->thread, NULL);
	close(p->listen_fd);
	path_remove_tree(AT_FDCWD, p->dir);
	json_decref((json_t *)p->b.options);
	json_decref((json_t *)p->b.request);
	free(p);
	return 0;
}

/* --- secrets --- */

static void a_secret_is_the_clients_bytes(void **state)
{
	struct peer *p = *state;
	scoped(secret) struct buf secret = BUF_INIT;
	struct err e = {0};

	int r = secret_get(&p->b, "known", &secret, &e);

	assert_int_equal(r, 1);
	assert_int_equal(secret.len, 3);
	assert_memory_equal(secret.data, "a\0b", 3);
}

static void a_client_may_not_have_it_or_not_give_it(void **state)
{
	struct peer *p = *state;
	static const struct {
		const char *id, *words;
	} cases[] = {
		{"denied", "secret denied: not for you"},
		{"huge", "secret huge is too big: at most 500 KB are possible"},
		{"broken", "secret broken: the client's answer is broken"},
	};
	scoped(secret) struct buf secret = BUF_INIT;
	struct err e = {0};

	assert_int_equal(secret_get(&p->b, "none", &secret, &e), 0);
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		assert_int_equal(secret_get(&p->b, cases[i].id, &secret, &e), -1);
		assert_string_equal(e.msg, cases[i].words);
	}
	assert_int_equal(secret.len, 0);
}

/* --- ssh --- */

static char *socket_path(const struct peer *p)
{
	return xasprintf("%s/agent.sock", p->dir);
}

static void an_agent_that_is_not_there_is_no_error(void **state)
{
	struct peer *p = *state;
	scoped(free) char *path = socket_path(p);
	struct ssh_relay *relay = (struct ssh_relay *)p;
	struct err e = {0};

	assert_int_equal(ssh_relay_start(&p->b, "other", listen_at(path), &relay, &e), 0);

	assert_null(relay);
	unlink(path);
}

/* More connections than there are places: the later ones wait for the earlier ones to end. */
static void every_connection_reaches_the_agent(void **state)
{
	struct peer *p = *state;
	scoped(free) char *path = socket_path(p);
	struct ssh_relay *relay;
	struct err e = {0};
	assert_int_equal(ssh_relay_start(&p->b, "default", listen_at(path), &relay, &e), 0);
	assert_non_null(relay);

	for (int k = 0; k < SSH_CONNECTIONS_MAX + 4; k++) {
		char got[8] = "";
		int fd = dial(path);
		assert_int_equal(write(fd, "hello", 5), 5);
		shutdown(fd, SHUT_WR);
		assert_int_equal(recv(fd, got, 5, MSG_WAITALL), 5);
		assert_string_equal(got, "hello");
		assert_int_equal(read(fd, got, 1), 0); /* the end comes through, too */
		close(fd);
	}

	ssh_relay_stop(relay);
	unlink(path);
}

static void an_agent_that_never_answers_does_not_keep_the_end(void **state)
{
	struct peer *p = *state;
	scoped(free) char *path = socket_path(p);
	struct ssh_relay *relay;
	struct err e = {0};
	int fds[SSH_CONNECTIONS_MAX];
	assert_int_equal(ssh_relay_start(&p->b, "silent", listen_at(path), &relay, &e), 0);
	assert_non_null(relay);
	for (int k = 0; k < SSH_CONNECTIONS_MAX; k++) {
		fds[k] = dial(path);
		assert_int_equal(write(fds[k], "hello", 5), 5);
	}

	ssh_relay_stop(relay);

	for (int k = 0; k < SSH_CONNECTIONS_MAX; k++) {
		struct pollfd ended = {fds[k], POLLIN | POLLHUP, 0};
		assert_int_equal(poll(&ended, 1, -1), 1);
		close(fds[k]);
	}
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_secret_is_the_clients_bytes, setup, teardown),
		cmocka_unit_test_setup_teardown(
			a_client_may_not_have_it_or_not_give_it, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_agent_that_is_not_there_is_no_error, setup, teardown),
		cmocka_unit_test_setup_teardown(
			every_connection_reaches_the_agent, setup, teardown),
		cmocka_unit_test_setup_teardown(
			an_agent_that_never_answers_does_not_keep_the_end, setup, teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
