#include "build/base.h"

#include <string.h>

#include "base/json.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/strv.h"
#include "base/text.h"
#include "codec/ref.h"
#include "image/image.h"

struct pull {
	struct list node;
	struct base_images *owner;
	struct image_work *work;
	char *name, *platform;
	int vertex;
	json_t *questions; /* their numbers */
};

struct base_images {
	struct image_store *images;
	json_t *auths;
	struct base_handlers handlers;
	void *owner;
	struct list pulls;
	bool canceled;
};

struct base_images *base_images_new(
	struct image_store *s, json_t *auths, const struct base_handlers *h, void *owner)
{
	struct base_images *b = xnew(struct base_images);
	b->images = s;
	b->auths = auths;
	b->handlers = *h;
	b->owner = owner;
	list_init(&b->pulls);
	return b;
}

void base_images_free(struct base_images *b)
{
	free(b);
}

bool base_images_busy(const struct base_images *b)
{
	return !list_empty(&b->pulls);
}

static void pull_free(struct pull *p)
{
	list_remove(&p->node);
	json_decref(p->questions);
	free(p->name);
	free(p->platform);
	free(p);
}

/* Whether a local image is what the build wants: "linux/arm/v7" against its configuration. "" wants
 * anything. */
static bool is_of_platform(const struct image *i, const char *platform)
{
	scoped(strv) struct strv parts = STRV_INIT;
	strv_split(&parts, platform, '/');
	if (parts.n < 2) {
		return true;
	}
	const char *variant = json_str(i->config, "variant");
	return strcmp(json_str(i->config, "os"), parts.v[0]) == 0 &&
	       strcmp(json_str(i->config, "architecture"), parts.v[1]) == 0 &&
	       (parts.n < 3 || !*variant || strcmp(variant, parts.v[2]) == 0);
}

static int check(struct base_images *b, struct image *i, const char *name, const char *platform,
	struct err *e)
{
	if (!is_of_platform(i, platform)) {
		return err_set(e, ERR_INVALID, "%.200s is not there for the platform %.60s", name,
			platform);
	}
	return image_trust_check(b->images, i, name, e);
}

/* --- pulls --- */

static void on_progress(void *owner, json_t *msg)
{
	struct pull *p = owner;
	if (!p->owner->canceled) {
		p->owner->handlers.progress(p->owner->owner, p->vertex, msg);
	}
}

static void on_pulled(void *owner, struct image *i, const struct err *e)
{
	struct pull *p = owner;
	struct base_images *b = p->owner;
	struct err why = {0};
	if (i && check(b, i, p->name, p->platform, &why) < 0) {
		e = &why;
		i = NULL;
	}
	scoped(json) json_t *questions = json_incref(p->questions);
	pull_free(p);
	size_t k;
	json_t *number;
	json_array_foreach (questions, k, number) {
		if (!b->canceled) {
			b->handlers.answer(b->owner, json_integer_value(number), i, e);
		}
	}
	if (!base_images_busy(b)) {
		b->handlers.idle(b->owner);
	}
}

static struct pull *find_pull(const struct base_images *b, const struct base_question *q)
{
	list_each (pos, &b->pulls) {
		struct pull *p = container_of(pos, struct pull, node);
		if (strcmp(p->name, q->name) == 0 && strcmp(p->platform, q->platform) == 0) {
			return p;
		}
	}
	return NULL;
}

static int pull(struct base_images *b, const struct base_question *q, struct err *e)
{
	static const struct image_work_handlers handlers = {on_progress, on_pulled};
	struct ref r;
	struct pull *p = find_pull(b, q);
	if (!p) {
		if (ref_parse(q->name, &r, e) < 0) {
			return -1;
		}
		p = xnew(struct pull);
		p->owner = b;
		p->name = xstrdup(q->name);
		p->platform = xstrdup(q->platform);
		p->vertex = q->vertex;
		p->questions = json_array();
		list_append(&b->pulls, &p->node);
		p->work = image_pull(b->images, q->name, q->platform,
			q->auth ? json_incref(q->auth) : image_auth_find(b->auths, &r), &handlers,
			p, e);
		if (!p->work) {
			pull_free(p);
			return -1;
		}
	}
	json_array_append_new(p->questions, json_integer(q->number));
	return 0;
}

/* --- questions --- */

/* 1: *ret is what the build wants; 0: it must be pulled. */
static int find_local(
	struct base_images *b, const struct base_question *q, struct image **ret, struct err *e)
{
	struct err why = {0};
	struct image *i = image_find_for(b->images, q->name, q->platform, &why);
	if (!i) {
		*e = why;
		return why.kind == ERR_NOT_FOUND ? 0 : -1;
	}
	/* an id names nothing that could be pulled */
	bool by_id = (text_is_hex(q->name, strlen(q->name)) || ref_is_digest(q->name)) &&
		     strlen(q->name) >= ID_SHORT_LEN;
	if (!is_of_platform(i, q->platform) || (q->pull && !by_id)) {
		return 0;
	}
	*ret = i;
	return check(b, i, q->name, q->platform, e) < 0 ||
			       image_check_layers(b->images, &i->layers, q->name, e) < 0
		       ? -1
		       : 1;
}

void base_images_ask(struct base_images *b, const struct base_question *q)
{
	struct err e = {0};
	struct image *i = NULL;
	int r = find_local(b, q, &i, &e);
	if (r == 0 && q->local) {
		(void)err_set(&e, ERR_NOT_FOUND, "No such image: %.200s", q->name);
	} else if (r == 0 && q->ask_auth) {
		b->handlers.need_auth(b->owner, q->number);
		return;
	} else if (r == 0 && pull(b, q, &e) == 0) {
		return;
	}
	b->handlers.answer(b->owner, q->number, r > 0 ? i : NULL, &e);
}

void base_images_cancel(struct base_images *b)
{
	b->canceled = true;
	list_each (pos, &b->pulls) {
		image_work_cancel(container_of(pos, struct pull, node)->work);
	}
}

/* --- progress --- */

json_t *base_status(int vertex, const json_t *msg, int64_t now_ns)
{
	static const struct {
		const char *status, *prefix;
		bool done;
	} shown[] = {
		{"Downloading", "", false},
		{"Download complete", "", true},
		{"Extracting", "extracting ", false},
		{"Pull complete", "extracting ", true},
	};
	const char *status = json_str(msg, "status");
	const char *id = json_str(msg, "id");
	const json_t *detail = json_object_get(msg, "progressDetail");
	for (size_t k = 0; vertex > 0 && *id && k < sizeof(shown) / sizeof(*shown); k++) {
		if (strcmp(shown[k].status, status) != 0) {
			continue;
		}
		scoped(free) char *name = xasprintf("%s%s", shown[k].prefix, id);
		json_t *body = json_pack("{si ss sI sI}", "vertex", vertex, "id", name, "current",
			(json_int_t)json_i64(detail, "current", 0), "time", (json_int_t)now_ns);
		json_put(body, "started", json_integer(now_ns));
		if (json_i64(detail, "total", 0) > 0) {
			json_put(body, "total", json_integer(json_i64(detail, "total", 0)));
		}
		if (shown[k].done) {
			json_put(body, "completed", json_integer(now_ns));
		}
		return json_pack("{so}", "status", body);
	}
	return NULL;
}
