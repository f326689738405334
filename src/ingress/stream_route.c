#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "device/label.h"
#include "ingress/host.h"
#include "ingress/route_parts.h"

#define STREAM_TEXT_MAX 4096

static const char *const keys[] = {"listen", "port", "protocol", "tls", "host", NULL};
static const char *const protocol_words[] = {[STREAM_TCP] = "tcp", [STREAM_UDP] = "udp", NULL};
static const char *const stream_tls_words[] = {"none", "off", "terminate", NULL};

void stream_route_free(struct stream_route *s)
{
	if (s) {
		free(s->name);
		free(s->host);
		free(s);
	}
}

static int read_port(const json_t *doc, const char *key, uint16_t *ret, struct err *e)
{
	int64_t n = *ret;
	if (label_get_number(doc, key, UINT16_MAX, &n, e) < 0) {
		return -1;
	}
	if (n == 0) {
		return err_set(e, ERR_INVALID, "%s must be a number from 1 to 65535", key);
	}
	*ret = (uint16_t)n;
	return 0;
}

static int read_word(
	const json_t *doc, const char *key, const char *const *words, int *ret, struct err *e)
{
	const char *text;
	if (json_get_str(doc, key, &text, e) < 0) {
		return -1;
	}
	if (text && route_word(text, words, ret, e) < 0) {
		return err_wrap(e, "%s", key), -1;
	}
	return 0;
}

static int read_tls(struct stream_route *s, const json_t *doc, struct err *e)
{
	const char *host;
	int tls = 0;
	if (read_word(doc, "tls", stream_tls_words, &tls, e) < 0 ||
		json_get_str(doc, "host", &host, e) < 0) {
		return -1;
	}
	s->tls = tls == 2 ? ROUTE_TLS_TERMINATE : ROUTE_TLS_OFF;
	if (s->tls == ROUTE_TLS_TERMINATE && s->protocol == STREAM_UDP) {
		return err_set(e, ERR_INVALID, "tls is of tcp, not of udp");
	}
	if (host && s->tls != ROUTE_TLS_TERMINATE) {
		return err_set(e, ERR_INVALID, "host is whose certificate tls=terminate shows");
	}
	s->host = host ? host_read(host, e) : NULL;
	return !host || s->host ? 0 : (err_wrap(e, "host"), -1);
}

static int read_stream(struct stream_route *s, const char *text, struct err *e)
{
	if (!host_is_label(s->name)) {
		return err_set(e, ERR_INVALID, "a name has small letters, digits and '-'");
	}
	if (strlen(text) > STREAM_TEXT_MAX) {
		return err_set(e, ERR_INVALID, "longer than %d bytes", STREAM_TEXT_MAX);
	}
	int protocol = 0;
	scoped(json) json_t *doc = label_parse(text, e);
	if (!doc || label_check_keys(doc, keys, e) < 0 ||
		read_port(doc, "listen", &s->listen, e) < 0) {
		return -1;
	}
	s->port = s->listen;
	if (read_port(doc, "port", &s->port, e) < 0 ||
		read_word(doc, "protocol", protocol_words, &protocol, e) < 0) {
		return -1;
	}
	s->protocol = (enum stream_protocol)protocol;
	return read_tls(s, doc, e);
}

struct stream_route *stream_route_parse(const char *name, const char *text, struct err *e)
{
	scoped(stream_route_free) struct stream_route *s = xnew(struct stream_route);
	s->name = xstrdup(name);
	if (read_stream(s, text, e) < 0) {
		(void)err_wrap(e, STREAM_LABEL "%.64s", name);
		return NULL;
	}
	return TAKE(s);
}
