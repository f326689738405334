/* worker/build_output.h - what the files build_output*.c share: the outputs of a build, one after
 * another (option "outputs", BuildKit's exporters).
 */
#pragma once
#include "worker/build.h"

struct layout;

/* The image of one target. */
struct build_image {
	const struct build_stage *s; /* borrowed */
	json_t *text;                /* its configuration, exact */
	char key[65];                /* of what it is, whenever it was made */
	char id[72];                 /* digest of text */
};

struct build_outputs {
	struct build *b;
	struct build_image *images; /* in the order of the targets */
	size_t n;
	json_t *response; /* BuildKit's ExporterResponse */
	char id[72];      /* of what was put into the store last, or "" */
	int vertex;       /* of the output at work */
};

/* One of them. */
struct build_output {
	struct build_outputs *all;
	const char *type;
	const json_t *attrs; /* texts */
	int number;          /* in the request: by it the client knows where it goes */
	struct strv names;   /* canonical, with tags */
};

bool build_output_is(const struct build_output *o, const char *attr); /* a true value */
/* "push" and the like, or dflt; ERR_INVALID for what is no truth value. */
int build_output_bool(
	const struct build_output *o, const char *attr, bool dflt, bool *ret, struct err *e);
/* The images as worker/layout.h has them, with the names of the output. The request must outlive
 * the layout. NULL with *e. */
json_t *build_output_request(const struct build_output *o, struct err *e);
/* The same annotations as worker/push_annotate.h has them; new, NULL with *e. */
json_t *build_output_annotations(const struct build_output *o, struct err *e);
/* containerimage.digest and what goes with it, from the layout's manifest or index. */
void build_output_respond(const struct build_output *o, const struct layout *l);
/* What is shown below the vertex of the output, once it is done. */
void build_output_say(const struct build_output *o, int64_t started_ns, const char *fmt, ...)
	PRINTF(3, 4);

void build_output_respond_names(const struct build_output *o);

/* build_output_store.c: "moby", "image" */
int build_output_store(struct build_output *o, struct err *e);
/* build_output_send.c: "oci", "docker"; "tar"; "local" */
int build_output_archive(struct build_output *o, struct err *e);
int build_output_tar(struct build_output *o, struct err *e);
int build_output_local(struct build_output *o, struct err *e);
