#include "wherry/progress.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json.h"
#include "base/strv.h"
#include "wherry/engine.h"
#include "wherry/human.h"

#define BAR_LEN 50
#define BAR_MIN_WIDTH 110 /* narrower terminals show only the numbers */
#define LINES_MAX 1000    /* an engine that invents ids does not make us grow */

struct screen {
	FILE *out;
	bool terminal;
	int width;
	struct strv ids; /* one line each, the newest last, directly above the cursor */
	progress_aux_fn *aux;
	progress_message_fn *take;
	void *owner;
	int code;
};

const char *progress_bar(
	int64_t current, int64_t total, int width, char text[static PROGRESS_BAR_MAX])
{
	static const char equals[] = "==================================================";
	char now[HUMAN_MAX];
	char all[HUMAN_MAX];
	*text = '\0';
	if (current <= 0 && total <= 0) {
		return text;
	}
	human_size((double)current, 4, now);
	if (total <= 0) {
		snprintf(text, PROGRESS_BAR_MAX, "%8s", now);
		return text;
	}
	human_size((double)total, 4, all);
	int filled = (int)((double)current / (double)total * 100) / 2;
	filled = filled > BAR_LEN ? BAR_LEN : filled < 0 ? 0 : filled;
	int n = 0;
	if (width > BAR_MIN_WIDTH) {
		n = snprintf(text, PROGRESS_BAR_MAX, "[%.*s>%*s] ", filled, equals,
			BAR_LEN - filled, "");
	}
	if (current > total) {
		snprintf(text + n, PROGRESS_BAR_MAX - (size_t)n, "%8s", now);
	} else {
		snprintf(text + n, PROGRESS_BAR_MAX - (size_t)n, "%8s/%s", now, all);
	}
	return text;
}

/* How many lines the cursor must go up to reach the line of id; makes one when it is new. */
static size_t line_of(struct screen *s, const char *id)
{
	for (size_t i = 0; i < s->ids.n; i++) {
		if (strcmp(s->ids.v[i], id) == 0) {
			return s->ids.n - i;
		}
	}
	strv_add(&s->ids, id);
	if (s->terminal) {
		fputc('\n', s->out);
	}
	return 1;
}

static void print_message(struct screen *s, const json_t *msg, const json_t *detail)
{
	char bar[PROGRESS_BAR_MAX];
	const char *stream = json_str(msg, "stream");
	const char *id = json_str(msg, "id");
	const char *end = "";
	progress_bar(json_i64(detail, "current", 0), json_i64(detail, "total", 0), s->width, bar);
	if (s->terminal && !*stream && detail) {
		fputs("\x1b[2K\r", s->out);
		end = "\r";
	} else if (detail && *bar) {
		return; /* no bars outside a terminal */
	}
	if (*id) {
		fprintf(s->out, "%s: ", id);
	}
	if (*json_str(msg, "from")) {
		fprintf(s->out, "(from %s) ", json_str(msg, "from"));
	}
	if (detail && s->terminal) {
		fprintf(s->out, "%s %s%s", json_str(msg, "status"), bar, end);
	} else if (*stream) {
		fprintf(s->out, "%s%s", stream, end);
	} else {
		fprintf(s->out, "%s%s\n", json_str(msg, "status"), end);
	}
}

static void show(struct screen *s, const json_t *msg)
{
	const json_t *detail = json_object_get(msg, "progressDetail");
	const char *id = json_str(msg, "id");
	size_t up = 0;
	detail = json_is_object(detail) ? detail : NULL;
	if (*id && detail && s->ids.n < LINES_MAX) {
		up = line_of(s, id);
		if (s->terminal) {
			fprintf(s->out, "\x1b[%zuA", up);
		}
	} else {
		strv_clear(&s->ids); /* what is printed now is in nobody's line */
	}
	print_message(s, msg, detail);
	if (up > 0 && s->terminal) {
		fprintf(s->out, "\x1b[%zuB", up);
	}
	fflush(s->out);
}

static int take_message(void *owner, const json_t *msg, struct err *e)
{
	struct screen *s = owner;
	const json_t *detail = json_object_get(msg, "errorDetail");
	const char *error =
		*json_str(detail, "message") ? json_str(detail, "message") : json_str(msg, "error");
	if (*error) {
		s->code = (int)json_i64(detail, "code", 0);
		return err_set(e, ERR_SYSTEM, "%s", error);
	}
	const json_t *aux = json_object_get(msg, "aux");
	if (aux) {
		if (s->aux) {
			s->aux(s->owner, aux);
		}
	} else if (s->take) {
		s->take(s->owner, msg);
	} else if (s->out) {
		show(s, msg);
	}
	return 0;
}

static int run(struct http_client *http, struct screen *s, struct err *e)
{
	struct winsize size = {0};
	s->terminal = s->out && isatty(fileno(s->out));
	s->width = s->terminal && ioctl(fileno(s->out), TIOCGWINSZ, &size) == 0 && size.ws_col
			   ? size.ws_col
			   : 200;
	int r = engine_documents(http, take_message, s, e);
	strv_deinit(&s->ids);
	return r;
}

int progress_show(struct http_client *http, FILE *out, progress_aux_fn *aux, void *owner,
	int *ret_code, struct err *e)
{
	struct screen s = {.out = out, .aux = aux, .owner = owner};
	int r = run(http, &s, e);
	if (ret_code) {
		*ret_code = s.code;
	}
	return r;
}

int progress_into(struct http_client *http, const struct progress_sink *to, struct err *e)
{
	struct screen s = {0};
	if (to) {
		s = (struct screen){.out = to->out, .take = to->take, .owner = to->owner};
	}
	return run(http, &s, e);
}
