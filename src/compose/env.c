#include "compose/env.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"

struct env {
	struct map *values; /* char *, owned */
	struct strv *unset; /* borrowed; NULL */
};

struct env *env_new(void)
{
	struct env *v = xnew(struct env);
	v->values = map_new();
	return v;
}

void env_free(struct env *v)
{
	if (!v) {
		return;
	}
	map_each (v->values, char, value) {
		free(value);
	}
	map_free(v->values);
	free(v);
}

void env_note_unset(struct env *v, struct strv *unset)
{
	v->unset = unset;
}

struct strv *env_unset(const struct env *v)
{
	return v ? v->unset : NULL;
}

void env_set(struct env *v, const char *name, const char *value)
{
	free(map_put(v->values, name, xstrdup(value)));
}

const char *env_get(const struct env *v, const char *name)
{
	return v ? map_get(v->values, name) : NULL;
}

const char *env_next(const struct env *v, size_t *pos, const char **ret_value)
{
	const char *name = NULL;
	const char *value = map_next(v->values, pos, &name);
	if (value && ret_value) {
		*ret_value = value;
	}
	return value ? name : NULL;
}

void env_add_list(struct env *v, char *const *assignments)
{
	for (; assignments && *assignments; assignments++) {
		const char *equal = strchr(*assignments, '=');
		if (equal && equal > *assignments) {
			scoped(free) char *name =
				xstrndup(*assignments, (size_t)(equal - *assignments));
			env_set(v, name, equal + 1);
		}
	}
}

struct env *env_copy(const struct env *v)
{
	struct env *copy = env_new();
	copy->unset = v->unset;
	size_t pos = 0;
	const char *value;
	for (const char *name; (name = env_next(v, &pos, &value));) {
		env_set(copy, name, value);
	}
	return copy;
}
