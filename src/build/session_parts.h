/* build/session_parts.h - what session.c (one build's life) and session_answer.c (its worker's
 * questions) share; nobody else includes it. */
#pragma once
#include "base/buf.h"
#include "base/list.h"
#include "base/text.h"
#include "build/session.h"
#include "event/event.h"
#include "network/network.h"

struct build_session {
	struct list node;
	struct builder *builder;
	struct build_handlers handlers;
	void *owner;
	struct job *job; /* NULL once it is done */
	json_t *options;
	char id[ID_LEN + 1];
	char *tmp_name;     /* below layers/tmp */
	char *cgroup;       /* "wherry/build-..." */
	struct map *pinned; /* diff ids as keys */
	struct base_images *bases;
	struct pending_layers *pending;
	bool settling;           /* they go to the disk although the build has ended */
	struct build_push *push; /* or NULL */
	json_int_t push_question;
	int push_vertex;
	struct endpoint_info endpoint;
	bool attached, dns;
	json_t *result; /* while it goes to the disk */
	int exit_code;
	bool quiet, vertices;
	struct buf quiet_text;
};

/* --- session.c --- */
/* When neither the job nor anything that it has begun is under way. */
void session_free_if_over(struct build_session *s);
/* To the client, or kept for a quiet one's failure. */
void session_say(struct build_session *s, json_t *msg);

/* --- session_answer.c --- */
void session_answer(struct build_session *s, const char *ask, const json_t *msg);
void session_claim_granted(void *owner, json_int_t question, bool taken); /* build/claims.h */
void session_claim_log(void *owner, int vertex, const json_t *log);
/* base_handlers of the session's bases. */
struct image;
void session_base_answer(
	void *owner, json_int_t question, const struct image *i, const struct err *e);
void session_need_auth(void *owner, json_int_t question);
void session_progress(void *owner, int vertex, json_t *msg);
