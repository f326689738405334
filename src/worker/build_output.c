/* What becomes of a build: the images of its targets, and where they go. */
#include "worker/build_output.h"

#include <stdarg.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/ref.h"
#include "codec/sha256.h"
#include "worker/build_annotations.h"
#include "worker/build_cache_format.h"
#include "worker/build_cache_remote.h"
#include "worker/layout.h"
#include "worker/manifest.h"
#include "worker/rpc.h"
#include "worker/sync.h"

#define OUTPUTS_MAX 16
#define NAMES_MAX 64

/* --- the images --- */

/* What the image is, whenever it was made: a build that changes nothing gives the same image again.
 */
static void timeless_key(const json_t *image, char key[static 65])
{
	scoped(json) json_t *copy = json_deep_copy(image);
	size_t i;
	json_t *entry;
	json_object_del(copy, "created");
	json_array_foreach (json_object_get(copy, "history"), i, entry) {
		json_object_del(entry, "created");
	}
	scoped(free) char *text = json_text(copy);
	memset(key, '0', 64);
	key[64] = '\0';
	build_mix(key, text);
}

/* What came before the first layer has no time of its own. */
static void clamp_history(json_t *image, int64_t latest_ns)
{
	char text[CLOCK_TEXT_MAX];
	size_t i;
	json_t *entry;
	json_array_foreach (json_object_get(image, "history"), i, entry) {
		int64_t ns = 0;
		if (clock_parse(json_str(entry, "created"), &ns) == 0 && ns > latest_ns) {
			json_put_str(entry, "created", clock_format(latest_ns, text));
		}
	}
}

static void finish_config(const struct build *b, const struct build_stage *s)
{
	char made[CLOCK_TEXT_MAX];
	json_t *image = s->c.image;
	int64_t ns = s->made_ns && b->epoch_ns < 0 ? s->made_ns : build_now_ns(b);
	json_put_str(image, "created", clock_format(ns, made));
	clamp_history(image, ns);
	json_object_del(image, "container");
	json_object_del(
		image, "container_config"); /* of a base that Docker's classic builder made */
	json_object_del(image, "id");
	json_object_del(image, "parent");
	json_t *rootfs = json_object();
	json_put_str(rootfs, "type", "layers");
	json_put(rootfs, "diff_ids", json_strv(&s->layers));
	json_put(image, "rootfs", rootfs);
	json_t *cache = build_cache_inline(s);
	json_object_del(image, BUILD_CACHE_MEMBER); /* of the base */
	if (cache) {
		json_put(image, BUILD_CACHE_MEMBER, cache);
	}
}

static int make_images(struct build_outputs *all, struct err *e)
{
	struct build *b = all->b;
	all->images = xnew_array(struct build_image, b->n_targets);
	for (size_t k = 0; k < b->n_targets; k++) {
		struct build_image *i = &all->images[all->n++];
		i->s = build_target_stage(&b->targets[k]);
		finish_config(b, i->s);
		timeless_key(i->s->c.image, i->key);
		scoped(free) char *text = json_text(i->s->c.image);
		i->text = json_string(text);
		if (!i->text) {
			return err_set(e, ERR_INVALID, "the image's configuration is not UTF-8");
		}
		sha256_digest(text, strlen(text), i->id);
	}
	return 0;
}

/* --- one output --- */

int build_output_bool(
	const struct build_output *o, const char *attr, bool dflt, bool *ret, struct err *e)
{
	static const char *const words[][2] = {
		{"1", "0"}, {"t", "f"}, {"true", "false"}}; /* Go's strconv.ParseBool */
	const char *text = json_str(o->attrs, attr);
	*ret = dflt;
	for (size_t k = 0; *text && k < sizeof(words) / sizeof(*words); k++) {
		for (int value = 0; value < 2; value++) {
			if (strcasecmp(words[k][1 - value], text) == 0) {
				*ret = value;
				return 0;
			}
		}
	}
	return *text ? err_set(e, ERR_INVALID, "non-bool value specified for %.40s: %.60s", attr,
			       text)
		     : 0;
}

bool build_output_is(const struct build_output *o, const char *attr)
{
	struct err ignored;
	bool value;
	return build_output_bool(o, attr, false, &value, &ignored) == 0 && value;
}

static int add_name(struct build_output *o, const char *name, struct err *e)
{
	struct ref r;
	char canonical[REF_TEXT_MAX];
	if (ref_parse(name, &r, e) < 0) {
		return err_wrap(e, "failed to parse %.200s", name);
	}
	if (*r.digest) {
		return err_set(e, ERR_INVALID, "build tag cannot contain a digest");
	}
	ref_default_tag(&r);
	ref_canonical(&r, canonical);
	if (!strv_has(&o->names, canonical)) {
		strv_add(&o->names, canonical);
	}
	return o->names.n > NAMES_MAX ? err_set(e, ERR_INVALID, "more than %d names", NAMES_MAX)
				      : 0;
}

/* "name" with commas, else the build's tags. */
static int read_names(struct build_output *o, struct err *e)
{
	scoped(strv) struct strv names = STRV_INIT;
	const char *own = json_str(o->attrs, "name");
	if (*own) {
		strv_split(&names, own, ',');
	} else if (json_get_strv(o->all->b->options, "tags", &names, e) < 0) {
		return -1;
	}
	for (size_t k = 0; k < names.n; k++) {
		if (*names.v[k] && add_name(o, names.v[k], e) < 0) {
			return -1;
		}
	}
	return 0;
}

void build_output_say(const struct build_output *o, int64_t started_ns, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	const struct build_status status = {
		.id = text, .started_ns = started_ns, .completed = true};
	build_event_status(o->all->b->events, o->all->vertex, &status);
}

/* --- descriptions --- */

static json_t *image_layers(const struct build_stage *s)
{
	json_t *layers = json_array();
	for (size_t k = 0; k < s->layers.n; k++) {
		json_array_append_new(layers,
			json_pack("{ss ss}", "diff_id", s->layers.v[k], "dir", s->dirs.v[k]));
	}
	return layers;
}

static int read_annotations(
	const struct build_output *o, json_t **ret_common, json_t **ret_images, struct err *e)
{
	const struct build_outputs *all = o->all;
	scoped(free) const char **platforms = xnew_array(const char *, all->n);
	for (size_t k = 0; k < all->n; k++) {
		platforms[k] = build_stage_platform(all->images[k].s);
	}
	scoped(json) json_t *common = NULL;
	scoped(json) json_t *images = NULL;
	if (build_annotations(o->attrs, platforms, all->n, &common, &images, e) < 0) {
		return -1;
	}
	bool index = json_object_size(json_object_get(common, "index")) > 0 ||
		     json_object_size(json_object_get(common, "index-descriptor")) > 0;
	if (index && all->n == 1) {
		return err_set(e, ERR_INVALID,
			"index annotations not supported for single platform export");
	}
	*ret_common = TAKE(common);
	*ret_images = TAKE(images);
	return 0;
}

json_t *build_output_annotations(const struct build_output *o, struct err *e)
{
	const struct build_outputs *all = o->all;
	scoped(json) json_t *common = NULL;
	scoped(json) json_t *own = NULL;
	if (read_annotations(o, &common, &own, e) < 0) {
		return NULL;
	}
	json_t *images = json_object();
	for (size_t k = 0; k < all->n; k++) {
		json_put(images, all->images[k].id, json_incref(json_array_get(own, k)));
	}
	json_put(common, "images", images);
	return TAKE(common);
}

static int read_compression(const struct build_output *o, const char **ret, struct err *e)
{
	static const char *const known[] = {"uncompressed", "gzip", "zstd"};
	const char *asked = json_str(o->attrs, "compression");
	*ret = "";
	for (size_t k = 0; k < sizeof(known) / sizeof(*known); k++) {
		if (strcmp(asked, known[k]) == 0) {
			*ret = k > 0 ? known[k] : "";
			return 0;
		}
	}
	return *asked ? err_set(e, ERR_INVALID,
				"compression %.40s is not supported: gzip, zstd or uncompressed",
				asked)
		      : 0;
}

json_t *build_output_request(const struct build_output *o, struct err *e)
{
	const struct build_outputs *all = o->all;
	const bool several = all->n > 1;
	const char *compression;
	scoped(json) json_t *common = NULL;
	scoped(json) json_t *own = NULL;
	if (read_compression(o, &compression, e) < 0 || read_annotations(o, &common, &own, e) < 0) {
		return NULL;
	}
	json_t *images = json_array();
	json_t *ids = json_array();
	for (size_t k = 0; k < all->n; k++) {
		const struct build_image *i = &all->images[k];
		json_t *image = json_pack("{ss sO so sb s[] sO}", "id", i->id, "config", i->text,
			"layers", image_layers(i->s), "member", several, "index_references",
			"annotations", json_array_get(own, k));
		json_put(image, "references", several ? json_array() : json_strv(&o->names));
		json_array_append_new(images, image);
		json_array_append_new(ids, json_string(i->id));
	}
	json_t *request = json_pack("{ss ss so ss sO sb sb}", "layers_dir", all->b->layers_dir,
		"spool", all->b->tmp_dir, "images", images, "compression", compression,
		"annotations", common, "empty", true, "oci", strcmp(o->type, "docker") != 0);
	if (several) {
		json_put(request, "indexes",
			json_pack("[{so so}]", "images", ids, "references", json_strv(&o->names)));
	} else {
		json_decref(ids);
	}
	return request;
}

/* --- what the client is told --- */

static void put_descriptor(const struct build_outputs *all, json_t *take_descriptor)
{
	char made[CLOCK_TEXT_MAX];
	scoped(json) json_t *d = take_descriptor;
	scoped(buf) struct buf encoded = BUF_INIT;
	json_t *annotations = json_object_get(d, "annotations");
	if (!annotations) {
		json_put(d, "annotations", annotations = json_object());
	}
	if (!json_object_get(annotations, "org.opencontainers.image.created")) {
		json_put_str(annotations, "org.opencontainers.image.created",
			clock_format(build_now_ns(all->b), made));
	}
	scoped(free) char *text = json_text(d);
	base64_encode(text, strlen(text), &encoded);
	json_put_str(all->response, "containerimage.descriptor", buf_str(&encoded));
}

void build_output_respond(const struct build_output *o, const struct layout *l)
{
	struct build_outputs *all = o->all;
	const json_t *top = json_array_get(layout_entries(l), 0);
	json_t *d = json_copy((json_t *)top);
	json_t *annotations = json_deep_copy(json_object_get(top, "annotations"));
	json_object_del(annotations, "io.containerd.image.name");
	json_object_del(annotations, "org.opencontainers.image.ref.name");
	json_object_del(d, "annotations");
	if (json_object_size(annotations) > 0) {
		json_put(d, "annotations", annotations);
	} else {
		json_decref(annotations);
	}
	json_put_str(all->response, "containerimage.digest", json_str(top, "digest"));
	if (all->n == 1) {
		json_put_str(all->response, "containerimage.config.digest", all->images[0].id);
	}
	put_descriptor(all, d);
}

void build_output_respond_names(const struct build_output *o)
{
	scoped(buf) struct buf all = BUF_INIT;
	for (size_t k = 0; k < o->names.n; k++) {
		buf_printf(&all, "%s%s", k ? "," : "", o->names.v[k]);
	}
	if (all.len) {
		json_put_str(o->all->response, "image.name", buf_str(&all));
	}
}

/* --- all --- */

static const struct {
	const char *type, *vertex;
	int (*run)(struct build_output *o, struct err *e);
	bool stores; /* it may take another image that is the same: it goes first */
} types[] = {
	{"moby", "exporting to image", build_output_store, true},
	{"image", "exporting to image", build_output_store, true},
	{"oci", "exporting to oci image format", build_output_archive, false},
	{"docker", "exporting to docker image format", build_output_archive, false},
	{"tar", "exporting to client tarball", build_output_tar, false},
	{"local", "exporting to client directory", build_output_local, false},
};

static int run_output(
	struct build_outputs *all, int number, const json_t *spec, bool stores, struct err *e)
{
	const char *type = json_str(spec, "type");
	struct build_output o = {.all = all,
		.type = type,
		.attrs = json_object_get(spec, "attrs"),
		.number = number};
	for (size_t k = 0; k < sizeof(types) / sizeof(*types); k++) {
		if (strcmp(types[k].type, type) != 0 || types[k].stores != stores) {
			continue;
		}
		scoped(free) int *inputs = xnew_array(int, all->n + 1);
		for (size_t i = 0; i < all->n; i++) {
			inputs[i] = all->images[i].s->last_vertex;
		}
		all->vertex =
			build_event_vertex(all->b->events, inputs, all->n, "%s", types[k].vertex);
		build_event_begin(all->b->events, all->vertex);
		int r = read_names(&o, e) < 0 ? -1 : types[k].run(&o, e);
		build_event_end(all->b->events, all->vertex, false, r < 0 ? e : NULL);
		strv_deinit(&o.names);
		return r;
	}
	return 0;
}

/* Known before anything is exported. */
static int check_types(const json_t *outputs, struct err *e)
{
	size_t i;
	json_t *spec;
	if (json_array_size(outputs) > OUTPUTS_MAX) {
		return err_set(e, ERR_INVALID, "more than %d outputs", OUTPUTS_MAX);
	}
	json_array_foreach (outputs, i, spec) {
		bool known = false;
		for (size_t k = 0; k < sizeof(types) / sizeof(*types); k++) {
			known = known || strcmp(types[k].type, json_str(spec, "type")) == 0;
		}
		if (!known) {
			return err_set(e, ERR_INVALID, "exporter \"%.60s\" could not be found",
				json_str(spec, "type"));
		}
	}
	return 0;
}

static int run_outputs(struct build_outputs *all, const json_t *outputs, struct err *e)
{
	for (int stores = 1; stores >= 0; stores--) {
		size_t i;
		json_t *spec;
		json_array_foreach (outputs, i, spec) {
			if (run_output(all, (int)i, spec, stores, e) < 0) {
				return -1;
			}
		}
	}
	return 0;
}

json_t *build_output(struct build *b, struct err *e)
{
	struct build_outputs all = {.b = b, .response = json_object()};
	/* without the option, as the classic call has none, the image is for the store */
	scoped(json) json_t *outputs = json_incref(json_object_get(b->options, "outputs"));
	outputs = outputs ? outputs : json_pack("[{ss s{}}]", "type", "moby", "attrs");
	json_t *result = NULL;
	if (check_types(outputs, e) == 0 && make_images(&all, e) == 0 &&
		sync_path(b->layers_dir, e) == 0 && /* layers.h layers_settle */
		run_outputs(&all, outputs, e) == 0 &&
		build_caches_export(b, all.response, e) == 0) {
		result = json_pack("{ss sO}", "id", all.id, "response", all.response);
	}
	for (size_t k = 0; k < all.n; k++) {
		json_decref(all.images[k].text);
	}
	free(all.images);
	json_decref(all.response);
	return result;
}
