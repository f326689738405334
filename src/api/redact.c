#include "api/redact.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"

/* "KEY=value" to "KEY=***"; what is not text stays. */
static json_t *redact_env(const json_t *env)
{
	json_t *list = json_array();
	size_t i;
	json_t *one;
	json_array_foreach (env, i, one) {
		const char *text = json_is_string(one) ? json_string_value(one) : "";
		json_array_append_new(list, json_sprintf("%.*s%s", (int)strcspn(text, "="), text,
						    strchr(text, '=') ? "=" REDACTED : ""));
	}
	return list;
}

/* wherry.http.users, wherry.http.NAME.users: "name:hash" entries of basic auth. */
static bool is_secret_label(const char *key, const json_t *value)
{
	return text_starts(key, "wherry.http.") && text_ends(key, ".users") &&
	       json_is_string(value) && strchr(json_string_value(value), ':');
}

static bool is_secret(const char *parent, const char *key, const json_t *value)
{
	bool options = strcmp(parent, "Options") == 0 || strcmp(parent, "DriverOpts") == 0;
	return (options && strcmp(key, "o") == 0) || is_secret_label(key, value);
}

static json_t *redact_value(const char *parent, const char *key, const json_t *value);

static json_t *redact_object(const char *name, const json_t *o)
{
	json_t *copy = json_object();
	const char *key;
	json_t *value;
	json_object_foreach ((json_t *)o, key, value) {
		json_object_set_new_nocheck(copy, key, redact_value(name, key, value));
	}
	return copy;
}

static json_t *redact_value(const char *parent, const char *key, const json_t *value)
{
	if (json_is_array(value) && strcmp(key, "Env") == 0) {
		return redact_env(value);
	}
	if (is_secret(parent, key, value)) {
		return json_string(REDACTED);
	}
	if (json_is_object(value)) {
		return redact_object(key, value);
	}
	if (!json_is_array(value)) {
		return json_incref((json_t *)value);
	}
	json_t *list = json_array();
	size_t i;
	json_t *one;
	json_array_foreach (value, i, one) {
		json_array_append_new(list, redact_value(key, "", one));
	}
	return list;
}

json_t *redact(const json_t *answer)
{
	return redact_value("", "", answer);
}
