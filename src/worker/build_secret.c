#include "worker/build_secret.h"

#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "session.pb-c.h"
#include "worker/session.h"

#define GET_SECRET "/moby.buildkit.secrets.v1.Secrets/GetSecret"

void secret_wipe(struct buf *secret)
{
	if (secret->data) {
		explicit_bzero(secret->data, secret->len);
	}
	buf_deinit(secret);
}

/* --- the client's --- */

static void pack_request(const char *id, struct buf *ret)
{
	Buildkit__GetSecretRequest request = BUILDKIT__GET_SECRET_REQUEST__INIT;
	request.id = (char *)id;
	size_t n = buildkit__get_secret_request__get_packed_size(&request);
	uint8_t *bytes = xcalloc(1, n + 1);
	buildkit__get_secret_request__pack(&request, bytes);
	buf_append(ret, bytes, n);
	free(bytes);
}

static int unpack_answer(const char *id, const struct buf *answer, struct buf *ret, struct err *e)
{
	Buildkit__GetSecretResponse *r = buildkit__get_secret_response__unpack(
		NULL, answer->len, (const uint8_t *)answer->data);
	if (!r) {
		return err_set(e, ERR_INVALID, "secret %.100s: the client's answer is broken", id);
	}
	int ok = 1;
	if (r->data.len > SECRET_MAX) {
		ok = err_set(e, ERR_INVALID, "secret %.100s is too big: at most %u KB are possible",
			id, SECRET_MAX >> 10);
	} else {
		buf_append(ret, r->data.data, r->data.len);
	}
	if (r->data.data) {
		explicit_bzero(r->data.data, r->data.len);
	}
	buildkit__get_secret_response__free_unpacked(r, NULL);
	return ok;
}

int secret_get(const struct build *b, const char *id, struct buf *ret, struct err *e)
{
	scoped(buf) struct buf request = BUF_INIT;
	scoped(secret) struct buf answer = BUF_INIT;
	struct err why = {0};
	pack_request(id, &request);
	scoped(grpc_call_free) struct grpc_call *call = session_question(b, GET_SECRET, e);
	if (!call) {
		return -1;
	}
	if (grpc_exchange(call, &request, &answer, &why) < 0) {
		const char *message;
		enum grpc_code code = grpc_status(call, &message, NULL);
		if (code == GRPC_NOT_FOUND || code == GRPC_UNIMPLEMENTED) {
			return 0;
		}
		*e = why;
		return err_wrap(e, "secret %.100s", id);
	}
	return unpack_answer(id, &answer, ret, e);
}
