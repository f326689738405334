/* EXPOSE. */
#include <ctype.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/parse.h"
#include "build/config_parts.h"

#define PORTS_MAX 2000

/* "80" or "8000-8010" */
static bool parse_range(const char *text, unsigned *ret_first, unsigned *ret_last)
{
	const char *dash = strchr(text, '-');
	scoped(free) char *begin = dash ? xstrndup(text, (size_t)(dash - text)) : xstrdup(text);
	uint16_t first, last;
	if (parse_u16(begin, &first) < 0 || (dash && parse_u16(dash + 1, &last) < 0)) {
		return false;
	}
	*ret_first = first;
	*ret_last = dash ? last : first;
	return *ret_first <= *ret_last;
}

static int fail_port(struct config_change *ch, const char *part)
{
	scoped(free) char *why = xasprintf(
		"invalid containerPort: %.60s: expected PORT, FIRST-LAST or either with /tcp, /udp or /sctp",
		part);
	return config_fail(ch, why);
}

/* "80", "80/udp", "8000-8010/tcp" as ExposedPorts members. "[IP:][PORT:]80" as `docker run -p`
 * takes it means 80 alone, as BuildKit's convert_expose.go has it. */
static int expose(struct config_change *ch, json_t *ports, const char *word)
{
	const char *own = strrchr(word, ':') ? strrchr(word, ':') + 1 : word;
	const char *slash = strchr(own, '/');
	scoped(free) char *range = slash ? xstrndup(own, (size_t)(slash - own)) : xstrdup(own);
	scoped(free) char *proto = xstrdup(slash && slash[1] ? slash + 1 : "tcp");
	for (char *p = proto; *p; p++) {
		*p = (char)tolower((unsigned char)*p);
	}
	if (strcmp(proto, "tcp") != 0 && strcmp(proto, "udp") != 0 && strcmp(proto, "sctp") != 0) {
		scoped(free) char *why = xasprintf("invalid proto: %.60s", proto);
		return config_fail(ch, why);
	}
	unsigned first, last;
	if (!parse_range(range, &first, &last)) {
		return fail_port(ch, range);
	}
	for (unsigned port = first; port <= last; port++) {
		if (json_object_size(ports) >= PORTS_MAX) {
			return config_fail(ch, "more than 2000 ports");
		}
		scoped(free) char *key = xasprintf("%u/%s", port, proto);
		json_put(ports, key, json_object());
	}
	return 0;
}

int config_apply_expose(struct config_change *ch)
{
	scoped(strv) struct strv words = STRV_INIT;
	if (config_expand_all(ch, ch->i->args, &words) < 0) {
		return -1;
	}
	scoped(json) json_t *ports = json_object();
	for (size_t k = 0; k < words.n; k++) {
		if (expose(ch, ports, words.v[k]) < 0) {
			return -1;
		}
	}
	if (ch->a->history) {
		history_ports(ch->a->history, &words, ports);
	}
	json_t *all = config_object(ch->config, "ExposedPorts");
	json_object_update(all, ports);
	return json_object_size(all) > PORTS_MAX ? config_fail(ch, "more than 2000 ports") : 0;
}
