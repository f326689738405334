/* A result of one build as an input of another: buildx's bake and compose give a target's result to
 * the builds that use it ("target:NAME"). On the wire it is a definition (LLB) of one source, whose
 * identifier names the run; a client copies it without a look. moby/buildkit solver/pb/ops.proto.
 */
#include <string.h>

#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "bridge.pb-c.h"
#include "codec/sha256.h"
#include "worker/gateway.h"

#define SCHEME "wherry-build://"

/* A source and, as in every definition, a last operation that only points at it. */
struct gateway_definition {
	Buildkit__Definition definition;
	ProtobufCBinaryData ops[2];
	Buildkit__OpMetadata none;
	Buildkit__OpMetadataPair metadata[2]; /* clients want it for each operation */
	Buildkit__OpMetadataPair *metadata_list[2];
	char digests[2][72];
	struct buf source, last;
};

static void pack_op(const Buildkit__Op *op, struct buf *ret)
{
	size_t n = buildkit__op__get_packed_size(op);
	buildkit__op__pack(op, (uint8_t *)buf_room(ret, n));
	buf_added(ret, n);
}

struct gateway_definition *gateway_definition_new(const struct gateway_run *r)
{
	scoped(free) char *identifier = xasprintf(SCHEME "%s", r->ref);
	struct gateway_definition *d = xnew(struct gateway_definition);
	Buildkit__OpSource source = BUILDKIT__OP_SOURCE__INIT;
	Buildkit__Op first = BUILDKIT__OP__INIT;
	Buildkit__OpInput input = BUILDKIT__OP_INPUT__INIT;
	Buildkit__OpInput *inputs = &input;
	Buildkit__Op last = BUILDKIT__OP__INIT;
	source.identifier = identifier;
	first.source = &source;
	pack_op(&first, &d->source);
	sha256_digest(d->source.data, d->source.len, d->digests[0]);
	input.digest = d->digests[0];
	last.n_inputs = 1;
	last.inputs = &inputs;
	pack_op(&last, &d->last);
	buildkit__definition__init(&d->definition);
	d->ops[0] = (ProtobufCBinaryData){d->source.len, (uint8_t *)d->source.data};
	d->ops[1] = (ProtobufCBinaryData){d->last.len, (uint8_t *)d->last.data};
	sha256_digest(d->last.data, d->last.len, d->digests[1]);
	buildkit__op_metadata__init(&d->none);
	for (size_t i = 0; i < 2; i++) {
		buildkit__op_metadata_pair__init(&d->metadata[i]);
		d->metadata[i].key = d->digests[i];
		d->metadata[i].value = &d->none;
		d->metadata_list[i] = &d->metadata[i];
	}
	d->definition.n_metadata = 2;
	d->definition.metadata = d->metadata_list;
	d->definition.n_def = 2;
	d->definition.def = d->ops;
	return d;
}

void gateway_definition_free(struct gateway_definition *d)
{
	if (d) {
		buf_deinit(&d->source);
		buf_deinit(&d->last);
		free(d);
	}
}

Buildkit__Definition *gateway_definition_of(struct gateway_definition *d)
{
	return &d->definition;
}

static struct gateway_run *find_run(struct gateway *g, const char *ref)
{
	list_each (pos, &g->builds) {
		struct gateway_build *b = container_of(pos, struct gateway_build, node);
		struct gateway_run *r = gateway_run_find(b, ref);
		if (r) {
			b->users++;
			return r;
		}
	}
	return NULL;
}

struct gateway_run *gateway_input_find(struct gateway *g, const Buildkit__Definition *d)
{
	struct gateway_run *found = NULL;
	for (size_t i = 0; d && i < d->n_def && !found; i++) {
		Buildkit__Op *op = buildkit__op__unpack(NULL, d->def[i].len, d->def[i].data);
		const char *name = op && op->source ? op->source->identifier : "";
		if (text_starts(name, SCHEME)) {
			found = find_run(g, name + strlen(SCHEME));
		}
		buildkit__op__free_unpacked(op, NULL);
	}
	return found;
}
