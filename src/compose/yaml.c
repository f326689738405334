#include "compose/yaml.h"

#include <libfyaml.h>
#include <string.h>

#include "base/mem.h"
#include "compose/cycle.h"
#include "compose/scalar.h"
#include "compose/yaml_text.h"

struct anchor {
	const char *name;
	uint32_t hash;
	struct node *node; /* NULL: what it names has not ended */
};

struct opened;

struct yaml {
	struct tree *t;
	struct fy_parser *fyp;
	struct fy_diag *diag;
	const char *file;
	const struct opened *open; /* the anchors that have not ended, the innermost first */
	struct anchor *anchors;    /* of the document at hand; later ones win */
	size_t n_anchors, cap_anchors;
	size_t nodes; /* of the whole text, copies included */
	struct err *e;
};

static struct node *read_node(struct yaml *y, struct fy_event *event, int depth);

static struct node position(const struct yaml *y, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	struct node at = {.file = y->file,
		.line = mark ? mark->line + 1 : 1,
		.column = mark ? mark->column + 1 : 1};
	enum fy_scalar_style style = event->type == FYET_SCALAR
					     ? fy_token_scalar_style(event->scalar.value)
					     : FYSS_PLAIN;
	bool behind = style == FYSS_SINGLE_QUOTED || style == FYSS_DOUBLE_QUOTED ||
		      event->type == FYET_ALIAS;
	if (behind && at.column > 1) {
		at.column--; /* libfyaml's mark is behind the quote, or the asterisk */
	}
	return at;
}

static struct node *fail_at(struct yaml *y, const struct node *at, const char *sentence)
{
	node_err_(y->e, at, "%s", sentence);
	return NULL;
}

/* What libfyaml said, at the place it said it. */
static void fail_syntax(struct yaml *y)
{
	void *iter = NULL;
	struct node at = {.file = y->file, .line = 1, .column = 1};
	struct fy_diag_error *error = fy_diag_errors_iterate(y->diag, &iter);
	if (error) {
		at.line = error->line > 0 ? error->line : 1;
		at.column = error->column > 0 ? error->column : 1;
	}
	node_err_(y->e, &at, "not valid YAML: %s",
		error && error->msg ? error->msg : "the text cannot be parsed");
}

static struct fy_event *next_event(struct yaml *y)
{
	struct fy_event *event = fy_parser_parse(y->fyp);
	if (!event) {
		fail_syntax(y);
	}
	return event;
}

/* The text of an anchor, alias or scalar; NULL when there is none or it holds a NUL. */
static char *token_text(struct yaml *y, struct fy_token *token)
{
	size_t n = 0;
	const char *text = token ? fy_token_get_text(token, &n) : NULL;
	return text && !memchr(text, 0, n) ? tree_strndup(y->t, text, n) : NULL;
}

static int spend(struct yaml *y, const struct node *at, size_t nodes)
{
	y->nodes += nodes;
	if (y->nodes > YAML_NODES_MAX) {
		node_err_(
			y->e, at, "more than %u values after aliases are expanded", YAML_NODES_MAX);
		return -1;
	}
	return tree_check(y->t, at, nodes, y->e);
}

/* n: NULL when what the anchor names begins here, see end_anchor. NULL when there is no anchor. */
static const char *begin_anchor(struct yaml *y, struct fy_event *event, struct node *n)
{
	char *name = token_text(y, fy_event_get_anchor_token(event));
	if (!name) {
		return NULL;
	}
	if (y->n_anchors == y->cap_anchors) {
		y->cap_anchors = y->cap_anchors ? y->cap_anchors * 2 : 16;
		y->anchors = xrealloc(y->anchors, y->cap_anchors, sizeof(*y->anchors));
	}
	y->anchors[y->n_anchors++] = (struct anchor){name, node_hash(name), n};
	return name;
}

/* The anchor of a list or mapping, while it is read. */
struct opened {
	const struct opened *before;
	size_t anchor; /* its place in y->anchors */
	struct way way;
	bool any;
};

static void open_anchor(struct yaml *y, struct fy_event *start, struct opened *ret)
{
	const char *name = begin_anchor(y, start, NULL);
	*ret = (struct opened){.any = name != NULL};
	if (name) {
		struct node at = position(y, start);
		name = tree_printf(y->t, "&%s (%s:%d:%d)", name, y->file, at.line, at.column);
		ret->before = y->open;
		ret->anchor = y->n_anchors - 1;
		ret->way = (struct way){y->open ? &y->open->way : NULL, name, NULL};
		y->open = ret;
	}
}

static void end_anchor(struct yaml *y, const struct opened *o, struct node *n)
{
	if (o->any) {
		y->open = o->before;
		y->anchors[o->anchor].node = n;
	}
}

/* An alias inside of what it names. */
static struct node *fail_inside(
	struct yaml *y, const struct node *at, const char *name, size_t anchor)
{
	const struct opened *first = y->open;
	while (first->anchor != anchor) {
		first = first->before;
	}
	const struct way way = {&y->open->way, tree_printf(y->t, "*%s", name), at};
	cycle_err_(y->e, "alias", &first->way, &way);
	return NULL;
}

static struct node *read_alias(struct yaml *y, struct fy_event *event)
{
	struct node at = position(y, event);
	char *name = token_text(y, event->alias.anchor);
	uint32_t hash = node_hash(name ? name : "");
	for (size_t i = y->n_anchors; name && i-- > 0;) {
		const struct anchor *a = &y->anchors[i];
		if (a->hash != hash || strcmp(a->name, name) != 0) {
			continue;
		}
		if (!a->node) {
			return fail_inside(y, &at, name, i);
		}
		return spend(y, &at, a->node->weight) == 0 ? node_copy(y->t, a->node) : NULL;
	}
	node_err_(y->e, &at, "alias *%s has no anchor &%s before it", name ? name : "?",
		name ? name : "?");
	return NULL;
}

/* "!reset" and "!override" are kept; "!!str" and its kin decide the kind; other tags have no
 * meaning here. */
static int apply_tag(struct yaml *y, struct fy_event *event, struct node *n, bool *ret_string)
{
	struct fy_token *token = fy_event_get_tag_token(event);
	if (!token) {
		return 0;
	}
	char *text = token_text(y, token);
	const char *core = "tag:yaml.org,2002:";
	if (!text) {
		return 0;
	}
	if (strcmp(text, "!reset") == 0) {
		n->tag = TAG_RESET;
	} else if (strcmp(text, "!override") == 0) {
		n->tag = TAG_OVERRIDE;
	} else if (strncmp(text, core, strlen(core)) == 0 || strncmp(text, "!!", 2) == 0) {
		*ret_string = strcmp(text + strlen(text) - 3, "str") == 0;
	} else if (strcmp(text, "!") != 0) {
		node_err_(y->e, n, "unknown tag %s: !reset or !override is expected", text);
		return -1;
	}
	return 0;
}

static struct node *read_scalar(struct yaml *y, struct fy_event *event)
{
	struct node at = position(y, event);
	struct node *n = node_new(y->t, NODE_STR, &at);
	bool is_string = fy_token_scalar_style(event->scalar.value) != FYSS_PLAIN;
	char *text =
		event->scalar.value ? token_text(y, event->scalar.value) : tree_strdup(y->t, "");
	if (!event->scalar.value) {
		is_string = false;
	}
	if (!text) {
		size_t len = 0;
		if (fy_token_get_text(event->scalar.value, &len) && len > 0) {
			return fail_at(y, &at, "a NUL byte in a value");
		}
		text = tree_strdup(y->t, "");
	}
	if (apply_tag(y, event, n, &is_string) < 0) {
		return NULL;
	}
	if (is_string) {
		n->text = text;
	} else {
		scalar_resolve(y->t, n, text);
	}
	begin_anchor(y, event, n);
	return n;
}

static struct node *read_list(struct yaml *y, struct fy_event *start, int depth)
{
	struct node at = position(y, start);
	struct node *list = node_new(y->t, NODE_LIST, &at);
	bool unused;
	if (apply_tag(y, start, list, &unused) < 0) {
		return NULL;
	}
	struct opened anchor;
	open_anchor(y, start, &anchor);
	for (;;) {
		struct fy_event *event = next_event(y);
		if (!event) {
			return NULL;
		}
		if (event->type == FYET_SEQUENCE_END) {
			fy_parser_event_free(y->fyp, event);
			break;
		}
		struct node *value = read_node(y, event, depth + 1);
		fy_parser_event_free(y->fyp, event);
		if (!value) {
			return NULL;
		}
		node_append(y->t, list, value);
		list->weight += value->weight;
	}
	end_anchor(y, &anchor, list);
	return list;
}

static int merge_one(struct yaml *y, struct node *map, struct node *from)
{
	if (from->kind != NODE_MAP) {
		node_err_(y->e, from, "<< takes a mapping or a list of mappings, not %s",
			node_kind_word(from->kind));
		return -1;
	}
	node_each (m, from) {
		if (!node_get(map, m->key)) {
			struct member *added = node_put(y->t, map, m->key, m->value);
			added->line = m->line;
			added->column = m->column;
		}
	}
	return 0;
}

/* YAML merge keys: own keys win wherever they stand, earlier sources win over later ones, nothing
 * is merged deep. */
static int apply_merges(struct yaml *y, struct node *map)
{
	struct node *source = node_get(map, "<<");
	if (!source) {
		return 0;
	}
	node_remove(map, "<<");
	if (source->kind != NODE_LIST) {
		return merge_one(y, map, source);
	}
	node_each (m, source) {
		if (merge_one(y, map, m->value) < 0) {
			return -1;
		}
	}
	return 0;
}

/* Reads the value of one key; the event is the key's. */
static int read_member(struct yaml *y, struct node *map, struct fy_event *key_event, int depth)
{
	struct node at = position(y, key_event);
	if (key_event->type != FYET_SCALAR && key_event->type != FYET_ALIAS) {
		fail_at(y, &at, "a key must be a string, not a mapping or a list");
		return -1;
	}
	struct node *key = read_node(y, key_event, depth + 1);
	if (!key) {
		return -1;
	}
	if (!node_is_scalar(key) || key->kind == NODE_NULL) {
		fail_at(y, &at, "a key must be a string");
		return -1;
	}
	struct member *before = node_member(map, key->text);
	if (before) {
		node_err_(
			y->e, &at, "key \"%s\" is already set in line %d", key->text, before->line);
		return -1;
	}
	struct fy_event *event = next_event(y);
	if (!event) {
		return -1;
	}
	struct node *value = read_node(y, event, depth + 1);
	fy_parser_event_free(y->fyp, event);
	if (!value) {
		return -1;
	}
	struct member *m = node_put(y->t, map, key->text, value);
	m->line = at.line;
	m->column = at.column;
	map->weight += value->weight;
	return 0;
}

static struct node *read_map(struct yaml *y, struct fy_event *start, int depth)
{
	struct node at = position(y, start);
	struct node *map = node_new(y->t, NODE_MAP, &at);
	bool unused;
	if (apply_tag(y, start, map, &unused) < 0) {
		return NULL;
	}
	struct opened anchor;
	open_anchor(y, start, &anchor);
	for (;;) {
		struct fy_event *event = next_event(y);
		if (!event) {
			return NULL;
		}
		bool ended = event->type == FYET_MAPPING_END;
		int r = ended ? 0 : read_member(y, map, event, depth);
		fy_parser_event_free(y->fyp, event);
		if (r < 0) {
			return NULL;
		}
		if (ended) {
			break;
		}
	}
	if (apply_merges(y, map) < 0) {
		return NULL;
	}
	end_anchor(y, &anchor, map);
	return map;
}

/* The value of a `!reset` says nothing, whatever it is. */
static struct node *forget_reset(struct node *n)
{
	if (n && n->tag == TAG_RESET) {
		n->kind = NODE_NULL;
		n->text = "";
		node_truncate(n, 0);
	}
	return n;
}

/* The node that begins with this event, which stays the caller's. */
static struct node *read_node(struct yaml *y, struct fy_event *event, int depth)
{
	struct node at = position(y, event);
	if (depth > YAML_DEPTH_MAX) {
		node_err_(y->e, &at, "more than %d levels", YAML_DEPTH_MAX);
		return NULL;
	}
	if (event->type == FYET_ALIAS) {
		return read_alias(y, event);
	}
	if (spend(y, &at, 1) < 0) {
		return NULL;
	}
	switch (event->type) {
	case FYET_SCALAR:
		return forget_reset(read_scalar(y, event));
	case FYET_SEQUENCE_START:
		return forget_reset(read_list(y, event, depth));
	case FYET_MAPPING_START:
		return forget_reset(read_map(y, event, depth));
	default:
		return fail_at(y, &at, "a value is expected");
	}
}

static int read_stream(struct yaml *y, struct node *docs)
{
	for (;;) {
		struct fy_event *event = fy_parser_parse(y->fyp);
		if (!event || fy_parser_get_stream_error(y->fyp)) {
			if (event) {
				fy_parser_event_free(y->fyp, event);
			}
			fail_syntax(y);
			return -1;
		}
		enum fy_event_type type = event->type;
		struct node *doc = NULL;
		bool is_node = type == FYET_SCALAR || type == FYET_MAPPING_START ||
			       type == FYET_SEQUENCE_START || type == FYET_ALIAS;
		if (type == FYET_DOCUMENT_START) {
			y->n_anchors = 0;
			y->open = NULL;
		} else if (is_node) {
			doc = read_node(y, event, 0);
		}
		fy_parser_event_free(y->fyp, event);
		if (is_node && !doc) {
			return -1;
		}
		if (doc) {
			node_append(y->t, docs, doc);
		}
		if (type == FYET_STREAM_END) {
			return 0;
		}
	}
}

static struct fy_diag *quiet_diag(void)
{
	struct fy_diag_cfg cfg;
	fy_diag_cfg_default(&cfg);
	cfg.fp = NULL;
	cfg.output_fn = NULL;
	cfg.level = FYET_ERROR;
	struct fy_diag *diag = fy_diag_create(&cfg);
	if (diag) {
		fy_diag_set_collect_errors(diag, true);
	}
	return diag;
}

static struct node *parse(struct yaml *y, const char *text, size_t n)
{
	struct node at = {.file = y->file, .line = 1, .column = 1};
	struct node *docs = node_new(y->t, NODE_LIST, &at);
	if (n == 0 || fy_parser_set_string(y->fyp, text, n) < 0) {
		return n == 0 ? docs : fail_at(y, &at, "the text cannot be read as YAML");
	}
	return read_stream(y, docs) == 0 ? docs : NULL;
}

struct node *yaml_parse(struct tree *t, const char *file, const char *text, size_t n, struct err *e)
{
	struct yaml y = {.t = t, .file = tree_strdup(t, file), .e = e, .diag = quiet_diag()};
	struct node at = {.file = y.file, .line = 1, .column = 1};
	struct node *docs = NULL;
	if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0) {
		text += 3;
		n -= 3;
	}
	if (yaml_check_text(y.file, text, n, e) == 0) {
		struct fy_parse_cfg cfg = {
			.flags = FYPCF_DEFAULT_VERSION_1_1 | FYPCF_QUIET | FYPCF_COLLECT_DIAG,
			.diag = y.diag};
		y.fyp = y.diag ? fy_parser_create(&cfg) : NULL;
		docs = y.fyp ? parse(&y, text, n) : fail_at(&y, &at, "out of memory");
	}
	fy_parser_destroy(y.fyp);
	fy_diag_destroy(y.diag);
	free(y.anchors);
	return docs;
}
