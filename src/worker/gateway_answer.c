/* Requests and answers as messages, and why a build failed. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "buildkit/failure.h"
#include "codec/sha256.h"
#include "oci/platform.h"
#include "worker/gateway.h"

void gateway_reply(struct grpc_call *c, const ProtobufCMessage *message)
{
	struct err e;
	scoped(buf) struct buf packed = BUF_INIT;
	size_t n = protobuf_c_message_get_packed_size(message);
	protobuf_c_message_pack(message, (uint8_t *)buf_room(&packed, n));
	buf_added(&packed, n);
	if (grpc_send(c, packed.data, packed.len, &e) == 0) {
		grpc_finish(c, GRPC_OK, "");
	}
}

ProtobufCMessage *gateway_request(struct grpc_call *c, const ProtobufCMessageDescriptor *type)
{
	struct err e;
	scoped(buf) struct buf packed = BUF_INIT;
	int r = grpc_recv(c, &packed, &e);
	if (r < 0) {
		grpc_finish_err(c, &e);
		return NULL;
	}
	ProtobufCMessage *m = r > 0 ? protobuf_c_message_unpack(
					      type, NULL, packed.len, (uint8_t *)buf_str(&packed))
				    : NULL;
	if (!m) {
		grpc_finish(c, GRPC_INVALID_ARGUMENT, "the request cannot be read");
	}
	return m;
}

void gateway_fail_run(struct grpc_call *c, const struct gateway_run *r)
{
	scoped(buf) struct buf details = BUF_INIT;
	failure_pack((int)r->code, r->message, r->source, &details);
	grpc_finish_details(c, r->code, r->message, details.data, details.len);
}

void gateway_fail_packed(struct grpc_call *c, const struct buf *status)
{
	Buildkit__RpcStatus *s =
		buildkit__rpc_status__unpack(NULL, status->len, (uint8_t *)buf_str(status));
	bool known = s && s->code > GRPC_OK && s->code <= GRPC_UNAUTHENTICATED;
	grpc_finish_details(c, known ? (enum grpc_code)s->code : GRPC_UNKNOWN, s ? s->message : "",
		status->data, status->len);
	buildkit__rpc_status__free_unpacked(s, NULL);
}

/* --- the machine as a worker --- */

#define PLATFORMS_MAX 8
#define LABELS_MAX 4

struct gateway_worker {
	Buildkit__WorkerRecord record;
	Buildkit__BuildkitVersion version;
	Buildkit__Platform platforms[PLATFORMS_MAX];
	Buildkit__Platform *platform_list[PLATFORMS_MAX];
	Buildkit__Pair labels[LABELS_MAX];
	Buildkit__Pair *label_list[LABELS_MAX];
	struct platform host;
	char id[72];
	char hostname[256];
};

static void add_platform(
	struct gateway_worker *w, const char *os, const char *arch, const char *variant)
{
	if (w->record.n_platforms < PLATFORMS_MAX) {
		size_t n = w->record.n_platforms++;
		buildkit__platform__init(&w->platforms[n]);
		w->platforms[n].os = (char *)os;
		w->platforms[n].architecture = (char *)arch;
		w->platforms[n].variant = (char *)variant;
		w->platform_list[n] = &w->platforms[n];
	}
}

static void add_label(struct gateway_worker *w, const char *key, const char *value)
{
	if (w->record.n_labels < LABELS_MAX) {
		size_t n = w->record.n_labels++;
		buildkit__pair__init(&w->labels[n]);
		w->labels[n].key = (char *)key;
		w->labels[n].value = (char *)value;
		w->label_list[n] = &w->labels[n];
	}
}

/* What the kernel runs by an interpreter that was registered: kernel binfmt_misc. */
static void add_foreign(struct gateway_worker *w)
{
	static const struct {
		const char *handler, *arch, *variant;
	} known[] = {
		{"qemu-x86_64", "amd64", ""},
		{"qemu-aarch64", "arm64", ""},
		{"qemu-arm", "arm", "v7"},
		{"qemu-riscv64", "riscv64", ""},
		{"qemu-ppc64le", "ppc64le", ""},
		{"qemu-s390x", "s390x", ""},
		{"qemu-i386", "386", ""},
	};
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		scoped(free) char *path =
			xasprintf("/proc/sys/fs/binfmt_misc/%s", known[i].handler);
		if (access(path, F_OK) == 0 && strcmp(known[i].arch, w->host.arch) != 0) {
			add_platform(w, "linux", known[i].arch, known[i].variant);
		}
	}
}

struct gateway_worker *gateway_worker_new(void)
{
	struct gateway_worker *w = xnew(struct gateway_worker);
	buildkit__worker_record__init(&w->record);
	buildkit__buildkit_version__init(&w->version);
	platform_host(&w->host);
	(void)gethostname(w->hostname, sizeof(w->hostname) - 1);
	sha256_digest(w->hostname, strlen(w->hostname), w->id);
	add_platform(w, w->host.os, w->host.arch, w->host.variant);
	add_foreign(w);
	add_label(w, "org.mobyproject.buildkit.worker.hostname", w->hostname);
	add_label(w, "org.mobyproject.buildkit.worker.executor", "oci");
	/* by this buildx knows that the engine takes several platforms, archives of images and the
	 * cache out of a build, and pushes itself: of dockerd only the containerd store does */
	add_label(w, "org.mobyproject.buildkit.worker.snapshotter", "overlayfs");
	w->version.package = (char *)"wherry";
	w->version.version = (char *)"v" WHERRY_VERSION;
	w->record.id = w->id + strlen("sha256:");
	w->record.platforms = w->platform_list;
	w->record.labels = w->label_list;
	w->record.version = &w->version;
	return w;
}

void gateway_worker_free(struct gateway_worker *w)
{
	free(w);
}

Buildkit__WorkerRecord *gateway_worker_record(struct gateway_worker *w)
{
	return &w->record;
}
