/* /wherry/v1/users/NAME/certificates: what the remote API knows a user by. The key is made for the
 * answer and kept nowhere. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "api/call.h"
#include "api/handlers.h"
#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/scoped.h"
#include "base/text.h"
#include "ingress/ingress.h"
#include "job/job.h"
#include "user/user.h"

#define CERTIFICATE_ID_LEN 16
#define DAYS_MAX 3650
#define PEM_MAX (64 << 10)

struct issue {
	struct call *call; /* a reference */
	char *name;
	char id[CERTIFICATE_ID_LEN + 1];
	json_t *answer;
};

static void issue_end(struct issue *w)
{
	call_unref(w->call);
	json_decref(w->answer);
	free(w->name);
	free(w);
}

static int keep(const struct issue *w, int64_t not_after_s, struct err *e)
{
	char until[CLOCK_TEXT_MAX];
	struct user_set *users = w->call->api->d.users;
	struct user *u = user_find(users, w->name);
	return u ? user_add_certificate(
			   users, u, w->id, clock_format(not_after_s * NS_PER_SEC, until), e)
		 : err_set(e, ERR_NOT_FOUND, "no such user: %s", w->name);
}

/* The device's authority is made with the first thing that is served, which may be this. */
static void add_authority(struct issue *w)
{
	scoped(buf) struct buf text = BUF_INIT;
	scoped(free) char *path = xasprintf("%s/tls/ca.crt", w->call->api->d.data_root);
	if (!*json_str(w->answer, "ca") && path_read(AT_FDCWD, path, PEM_MAX, &text) == 0) {
		json_put_str(w->answer, "ca", buf_str(&text));
	}
}

static void served(void *owner)
{
	struct issue *w = owner;
	add_authority(w);
	call_reply_json(w->call, 201, json_incref(w->answer));
	issue_end(w);
}

static void issued(void *owner, struct job *j, json_t *result, const struct err *failed)
{
	struct issue *w = owner;
	struct err e;
	if (failed || keep(w, json_i64(result, "not_after", 0), &e) < 0) {
		call_reply_error(w->call, failed ? failed : &e);
		issue_end(w);
		return;
	}
	json_put_str(result, "id", w->id);
	w->answer = json_incref(result);
	/* whoever has it may use it at once */
	ingress_settle(w->call->api->d.ingress, served, w);
}

static int start(struct call *c, const char *name, int64_t days, struct err *e)
{
	static const struct job_handlers handlers = {NULL, NULL, issued};
	const struct api_deps *d = &c->api->d;
	const json_t *ingress = json_object_get(d->config, "ingress");
	struct utsname u;
	char id[ID_LEN + 1];
	uname(&u);
	u.nodename[strcspn(u.nodename, ".")] = '\0';
	struct issue *w = xnew(struct issue);
	w->call = call_ref(c);
	w->name = xstrdup(name);
	id_new(id);
	memcpy(w->id, id, CERTIFICATE_ID_LEN);
	scoped(free) char *dir = xasprintf("%s/tls", d->data_root);
	scoped(free) char *subject = xasprintf("%s:%s", name, w->id);
	json_t *request = json_object();
	json_put_str(request, "dir", dir);
	json_put_str(request, "device",
		*json_str(ingress, "name") ? json_str(ingress, "name") : u.nodename);
	json_put_str(request, "name", subject);
	json_put_str(request, "authority", json_str(json_object_get(ingress, "ca"), "cert"));
	json_put(request, "days", json_integer(days));
	if (!job_start(d->jobs, "client-certificate", request, -1, false, &handlers, w, e)) {
		issue_end(w);
		return -1;
	}
	return 0;
}

static void issue_with(struct call *c, const json_t *body)
{
	struct err e;
	int64_t days;
	const char *name = c->args[0];
	const struct user *u = user_find(c->api->d.users, name);
	if (!u) {
		(void)err_set(&e, ERR_NOT_FOUND, "no such user: %.64s", name);
		call_reply_error(c, &e);
		return;
	}
	if (json_get_i64(body, "days", 365, &days, &e) < 0) {
		call_reply_error(c, &e);
		return;
	}
	if (days < 1 || days > DAYS_MAX) {
		(void)err_set(&e, ERR_INVALID, "days must be 1 to %d", DAYS_MAX);
		call_reply_error(c, &e);
		return;
	}
	if (user_check_certificate(u, &e) < 0 || start(c, name, days, &e) < 0) {
		call_reply_error(c, &e);
	}
}

void user_certificates_issue(struct call *c)
{
	call_body_json(c, true, issue_with);
}

/* The name "all" is no id: those are hex. */
void user_certificates_revoke(struct call *c)
{
	struct err e;
	struct user *u = user_find(c->api->d.users, c->args[0]);
	const char *id = strcmp(c->args[1], "all") == 0 ? NULL : c->args[1];
	if (!u) {
		(void)err_set(&e, ERR_NOT_FOUND, "no such user: %.64s", c->args[0]);
		call_reply_error(c, &e);
	} else if (user_remove_certificate(c->api->d.users, u, id, &e) < 0) {
		call_reply_error(c, &e);
	} else {
		call_reply_empty(c, 204);
	}
}
