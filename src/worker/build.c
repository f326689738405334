/* The "build" job: context in, image out (worker/build.h). */
#include "worker/build.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "codec/sha256.h"
#include "worker/context.h"
#include "worker/jobs.h"
#include "worker/overlay.h"
#include "oci/platform.h"
#include "worker/rpc.h"
#include "worker/sync.h"
#include "tree/stream.h"

#define REPLACEMENT "\xef\xbf\xbd"

/* --- talk --- */

/* How many bytes at p are one valid UTF-8 character (RFC 3629); 0 for none. */
static size_t utf8_length(const unsigned char *p, size_t n)
{
	size_t want = p[0] < 0x80   ? 1
		      : p[0] < 0xc2 ? 0
		      : p[0] < 0xe0 ? 2
		      : p[0] < 0xf0 ? 3
		      : p[0] < 0xf5 ? 4
				    : 0;
	if (want == 0 || want > n) {
		return 0;
	}
	for (size_t i = 1; i < want; i++) {
		if ((p[i] & 0xc0) != 0x80) {
			return 0;
		}
	}
	bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
	bool beyond = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
	return overlong || beyond ? 0 : want;
}

void build_say_text(struct build *b, const char *text, size_t n)
{
	scoped(buf) struct buf clean = BUF_INIT;
	while (n > 0) {
		size_t len = utf8_length((const unsigned char *)text, n);
		if (len && *text) {
			buf_append(&clean, text, len);
		} else {
			buf_puts(&clean, REPLACEMENT);
		}
		len = len ? len : 1;
		text += len;
		n -= len;
	}
	if (clean.len) {
		rpc_send(b->rpc, json_pack("{ss}", "stream", buf_str(&clean)));
	}
}

void build_say(struct build *b, const char *fmt, ...)
{
	va_list args;
	va_start(args, fmt);
	scoped(free) char *text = xvasprintf(fmt, args);
	va_end(args);
	build_say_text(b, text, strlen(text));
}

void build_say_id(struct build *b, const struct build_stage *s)
{
	build_say(b, " ---> %.12s\n", s->state);
}

void build_mix(char state[static 65], const char *text)
{
	scoped(buf) struct buf both = BUF_INIT;
	char digest[72];
	buf_append(&both, state, 64);
	buf_puts(&both, text);
	sha256_digest(both.data, both.len, digest);
	memcpy(state, digest + 7, 65);
}

/* --- the request --- */

static int read_pairs(const json_t *options, const char *key, struct strv *ret, struct err *e)
{
	json_t *object, *value;
	const char *name;
	if (json_get_object(options, key, &object, e) < 0) {
		return -1;
	}
	json_object_foreach (object, name, value) {
		if (json_is_null(value)) {
			continue; /* `--build-arg X` without X in the client's environment */
		}
		if (!json_is_string(value)) {
			return err_set(e, ERR_INVALID, "%s: the value of %.80s must be a string",
				key, name);
		}
		strv_addf(ret, "%s=%s", name, json_string_value(value));
	}
	return 0;
}

static int open_dirs(struct build *b, struct err *e)
{
	b->tmp_fd = open(b->tmp_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->tmp_fd < 0 || mkdirat(b->tmp_fd, "context", 0755) < 0) {
		return err_sys(e, errno, "cannot prepare %s", b->tmp_dir);
	}
	b->context_fd = openat(b->tmp_fd, "context", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->context_fd < 0 ? err_sys(e, errno, "cannot prepare %s", b->tmp_dir) : 0;
}

static char *platform_name(const struct platform *p)
{
	return xasprintf("%s/%s%s%s", p->os, p->arch, *p->variant ? "/" : "", p->variant);
}

static int begin(struct build *b, struct err *e)
{
	const json_t *tmp = json_object_get(b->request, "tmp");
	b->options = json_object_get(b->request, "options");
	b->tmp_dir = json_str(tmp, "dir");
	b->tmp_name = json_str(tmp, "name");
	b->layers_dir = json_str(b->request, "layers_dir");
	b->no_cache = json_bool(b->options, "nocache");
	struct platform own, wanted;
	platform_host(&own);
	b->platform = platform_name(&own);
	const char *asked = json_str(b->options, "platform");
	if (*asked && platform_parse(asked, &wanted, e) < 0) {
		return -1;
	}
	b->target_platform = *asked ? platform_name(&wanted) : xstrdup("");
	return read_pairs(b->options, "buildargs", &b->build_args, e) < 0 || open_dirs(b, e) < 0
		       ? -1
		       : 0;
}

/* --- the Dockerfile --- */

/* NAME.dockerignore stands before .dockerignore. */
static int read_ignore(struct build *b, const char *dockerfile, struct err *e)
{
	scoped(free) char *own = xasprintf("%s.dockerignore", dockerfile);
	const char *const names[] = {own, ".dockerignore"};
	for (size_t i = 0; i < 2; i++) {
		scoped(buf) struct buf text = BUF_INIT;
		if (context_read(b->context_fd, names[i], IGNORE_TEXT_MAX, &text, e) == 0) {
			b->ignore = ignore_parse(buf_str(&text), text.len, names[i], e);
			return b->ignore ? 0 : -1;
		}
		if (e->kind != ERR_NOT_FOUND) {
			return -1;
		}
	}
	return 0;
}

static int read_dockerfile(struct build *b, struct err *e)
{
	scoped(buf) struct buf text = BUF_INIT;
	const char *name = json_str(b->options, "dockerfile");
	name = *name ? name : "Dockerfile";
	int r = context_read(b->context_fd, name, DF_TEXT_MAX, &text, e);
	if (r < 0 && e->kind == ERR_NOT_FOUND && strcmp(name, "Dockerfile") == 0) {
		name = "dockerfile"; /* as Docker tries, too */
		r = context_read(b->context_fd, name, DF_TEXT_MAX, &text, e);
	}
	if (r < 0 && e->kind == ERR_NOT_FOUND) {
		return err_set(e, ERR_INVALID, "Cannot locate specified Dockerfile: %.200s",
			*json_str(b->options, "dockerfile") ? json_str(b->options, "dockerfile")
							    : "Dockerfile");
	}
	if (r < 0 || dockerfile_parse(buf_str(&text), text.len, name, &b->d, e) < 0) {
		return -1;
	}
	return read_ignore(b, name, e);
}

/* What is wrong with the request or the file is known before anything is run. */
static int prepare(struct build *b, struct err *e)
{
	scoped(stream_free) struct stream *body = stream_from_fd(0);
	const struct extract_options o = {.context = true};
	if (context_extract(b->context_fd, ".", body, &o, e) < 0) {
		return err_wrap(e, "the build context");
	}
	if (read_dockerfile(b, e) < 0) {
		return -1;
	}
	const struct plan_options options = {
		&b->build_args, json_str(b->options, "target"), b->target_platform, b->platform};
	if (plan_make(&b->d, &options, &b->plan, e) < 0) {
		return -1;
	}
	return b->ignore ? context_prune(b->context_fd, b->ignore, e) : 0;
}

/* --- stages --- */

static bool has_labels(const struct build *b)
{
	return json_object_size(json_object_get(b->options, "labels")) > 0;
}

static int run_stages(struct build *b, struct err *e)
{
	b->stages = xnew_array(struct build_stage, b->plan.n);
	b->n_steps = b->plan.n_steps + has_labels(b);
	for (size_t k = 0; k < b->plan.n; k++) {
		if (b->plan.v[k].needed && build_stage_begin(b, k, e) < 0) {
			return -1;
		}
	}
	return 0;
}

/* --label: a last LABEL instruction, as the classic builder shows it. */
static int add_labels(struct build *b, struct build_stage *s, struct err *e)
{
	scoped(strv) struct strv pairs = STRV_INIT;
	if (!has_labels(b)) {
		return 0;
	}
	if (read_pairs(b->options, "labels", &pairs, e) < 0) {
		return -1;
	}
	json_t *config = json_object_get(s->c.image, "config");
	json_t *labels = json_object_get(config, "Labels");
	if (!json_is_object(labels)) {
		labels = json_object();
		json_put(config, "Labels", labels);
	}
	struct buf text = BUF_INIT;
	buf_puts(&text, "LABEL");
	for (size_t k = 0; k < pairs.n; k++) {
		char *equals = strchr(pairs.v[k], '=');
		buf_printf(&text, " %s", pairs.v[k]);
		*equals = '\0';
		json_put_str(labels, pairs.v[k], equals + 1);
	}
	scoped(free) char *whole = buf_take_str(&text);
	build_say(b, "Step %zu/%zu : %s\n", ++b->step, b->n_steps, whole);
	build_history(s, whole, true);
	build_mix(s->state, whole);
	build_say_id(b, s);
	return 0;
}

static void warn_unused_args(struct build *b)
{
	/* moby builder/dockerfile/buildargs.go: known without a declaration */
	static const char *const predefined[] = {
		"http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"};
	struct buf names = BUF_INIT;
	for (size_t k = 0; k < b->build_args.n; k++) {
		scoped(free) char *name =
			xstrndup(b->build_args.v[k], strcspn(b->build_args.v[k], "="));
		bool known = strv_has(&b->used_args, name);
		for (size_t i = 0; i < sizeof(predefined) / sizeof(*predefined); i++) {
			known = known || strcasecmp(name, predefined[i]) == 0;
		}
		for (size_t i = 0; i < b->d.n && !known && b->d.v[i].kind != DF_FROM; i++) {
			size_t n = strlen(name);
			for (size_t w = 0; w < b->d.v[i].words.n; w++) { /* before the first FROM */
				const char *word = b->d.v[i].words.v[w];
				known = known || (strncmp(word, name, n) == 0 &&
							 (word[n] == '=' || !word[n]));
			}
		}
		if (!known) {
			buf_printf(&names, "%s%s", names.len ? " " : "", name);
		}
	}
	if (names.len) {
		build_say(b, "[Warning] One or more build-args [%s] were not consumed\n",
			buf_str(&names));
	}
	buf_deinit(&names);
}

/* --- the image --- */

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

static json_t *finish_config(struct build_stage *s)
{
	char now[CLOCK_TEXT_MAX];
	json_t *image = s->c.image;
	json_put_str(image, "created", clock_format(clock_real_ns(), now));
	json_object_del(image, "container");
	json_object_del(
		image, "container_config"); /* of a base that Docker's classic builder made */
	json_object_del(image, "id");
	json_object_del(image, "parent");
	json_t *rootfs = json_object();
	json_put_str(rootfs, "type", "layers");
	json_put(rootfs, "diff_ids", json_strv(&s->layers));
	json_put(image, "rootfs", rootfs);
	return image;
}

static json_t *add_image(struct build *b, struct build_stage *s, struct err *e)
{
	char key[65];
	if (sync_path(b->layers_dir, e) < 0) { /* layers.h layers_settle */
		return NULL;
	}
	json_t *image = finish_config(s);
	timeless_key(image, key);
	scoped(free) char *text = json_text(image);
	json_t *question = json_pack("{ss ss ss}", "ask", "add-image", "config", text, "key", key);
	json_t *tags = json_object_get(b->options, "tags");
	json_put(question, "tags", tags ? json_incref(tags) : json_array());
	json_put(question, "fresh", json_boolean(b->no_cache));
	scoped(json) json_t *answer = rpc_ask(b->rpc, question, e);
	if (!answer) {
		return NULL;
	}
	const char *id = json_str(answer, "id");
	rpc_send(b->rpc, json_pack("{s{ss}}", "aux", "ID", id));
	build_say(b, "Successfully built %.12s\n", text_starts(id, "sha256:") ? id + 7 : id);
	size_t i;
	json_t *tag;
	json_array_foreach (json_object_get(answer, "tags"), i, tag) {
		build_say(b, "Successfully tagged %s\n", json_string_value(tag));
	}
	return json_pack("{ss}", "id", id);
}

static void say_warnings(struct build *b)
{
	for (size_t k = 0; k < b->d.warnings.n; k++) {
		build_say(b, "[Warning] %s\n", b->d.warnings.v[k]);
	}
}

static json_t *build_all(struct build *b, struct err *e)
{
	if (begin(b, e) < 0 || prepare(b, e) < 0 || overlay_enter_namespace(e) < 0) {
		return NULL;
	}
	rpc_send(b->rpc, json_pack("{sb}", "accepted", 1));
	say_warnings(b);
	if (run_stages(b, e) < 0) {
		return NULL;
	}
	struct build_stage *s = &b->stages[b->plan.target];
	if (add_labels(b, s, e) < 0) {
		return NULL;
	}
	warn_unused_args(b);
	return add_image(b, s, e);
}

static void build_deinit(struct build *b)
{
	for (size_t k = 0; b->stages && k < b->plan.n; k++) {
		build_stage_deinit(&b->stages[k]);
	}
	free(b->stages);
	plan_deinit(&b->plan);
	dockerfile_deinit(&b->d);
	ignore_free(b->ignore);
	strv_deinit(&b->build_args);
	strv_deinit(&b->used_args);
	free(b->platform);
	free(b->target_platform);
	free(b->resolv);
	if (b->netns_fd >= 0) {
		close(b->netns_fd);
	}
	if (b->tmp_fd >= 0) {
		close(b->tmp_fd);
	}
	if (b->context_fd >= 0) {
		close(b->context_fd);
	}
}

json_t *worker_build(struct rpc *r, const json_t *request, struct err *e)
{
	struct build b = {
		.rpc = r, .request = request, .tmp_fd = -1, .context_fd = -1, .netns_fd = -1};
	json_t *result = build_all(&b, e);
	build_deinit(&b);
	return result;
}
