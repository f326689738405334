/* container/plug.h - devices that come and go while a container runs. Included by container/ only.
 *
 * A container that asks for devices (wanted.h) has a struct plug. The device set tells of every
 * change; what the container should have by now is compared with what it has, and the difference is
 * carried out by the job "plug" (worker/plug.c), one at a time for a container.
 *
 * plug.c          what it has, what it should have, the job
 * plug_start.c    before its start, and when this daemon is a new one
 * plug_change.c   events, and what the owner wants done: on_change
 * plug_udev.c     what libudev in the container hears and reads
 */
#pragma once
#include "container/bundle.h"
#include "container/internal.h"
#include "container/plugged.h"
#include "container/wanted.h"

struct device;
struct device_event;
struct job;

struct plug {
	struct wanted_list wanted;
	json_t *identities;                 /* host path -> wanted_identity; kept in the record */
	struct plugged_list held;           /* what it has, as far as is known */
	struct plugged_list next;           /* while a job runs: what it will have */
	struct plugged_list added, removed; /* by that job */
	struct plugged_list
		refused;  /* could not be put there: not tried again for the same device */
	json_t *messages; /* udevd's, base64, for those who listen inside */
	char *udev_dir;   /* what it has as /run/udev, or NULL */
	struct plug_job *job;
	struct delay *patience, *retry;
	int failures;
	bool unsure;       /* an earlier daemon may have been interrupted: make sure of all */
	bool rules_stale;  /* something was refused that is allowed */
	bool awaits_scan;  /* it starts when the device set is known */
	bool timed_out;    /* its job was cancelled for taking too long */
	bool scan_overdue; /* it starts without waiting for that */
	bool is_blind;     /* it runs since before this was noted: it is left as it is */
};

/* --- plug.c --- */
/* The container's Config and HostConfig are there; ERR_INVALID names a label. */
int plug_init(struct container *c, struct err *e);
void plug_free(struct plug *p);
void plug_listen(struct container_set *s); /* to the device set, when there is one */
void plug_unlisten(struct container_set *s);
void plug_look(struct container *c); /* begins what is to be done, if anything */
/* Appends what w matches now. */
void plug_wish_one(const struct container *c, const struct wanted *w, struct plugged_list *ret);
const char *plug_identity(const struct plug *p, const struct wanted *w); /* borrowed, "" */
/* d is what w means from now on, when its path does not say enough. True when that is news. */
bool plug_note_identity(struct plug *p, const struct wanted *w, const struct device *d);
/* The host's device behind a node of the container, when w tells it also later: its identity is
 * noted. NULL: no device, or a node that was made by hand and has another name than its device, of
 * which nobody says when it goes. */
const struct device *plug_recognise(
	struct container *c, const struct wanted *w, const struct plugged *o);
void plug_list_rules(const struct container *c, const struct plugged_list *l,
	struct device_list *ret);              /* ret borrows from l */
void plug_forget_job(struct plug *p);          /* it is cancelled, and its result is nobody's */
void plug_put_file(const struct container *c); /* RUN/containers/ID/devices.json */

/* --- plug_start.c --- */
/* Its launch waits until the device set is known; plug.c goes on with it. */
bool plug_hold(struct container *c);
/* Devices for its configuration, and /run/udev. ERR_SYSTEM in dockerd's words when one is missing.
 */
int plug_prepare(struct container *c, struct device_list *ret, struct err *e);
const char *plug_udev_dir(
	const struct container *c); /* to be mounted at /run/udev; NULL: nothing */
void plug_started(struct container *c, bool fresh);
void plug_ended(struct container *c);
/* A wanted device without which it cannot start, or NULL. */
const struct wanted *plug_missing(const struct container *c);
/* Appends where the others would be that are not there. */
void plug_note_missing(const struct container *c, json_t *paths);

/* --- plug_udev.c --- */
/* What it may read of udevd's database, for udev_data_copy (sys/udev_data.h); appends. */
void plug_udev_names(const struct plugged_list *l, struct strv *ret);
/* Queues udevd's message for its next job, when the device is in one of the lists. */
void plug_udev_tell(struct container *c, const struct device_event *ev,
	const struct plugged_list *l, const struct plugged_list *more);

/* --- plug_change.c --- */
void plug_tell(struct container *c, const struct plugged_list *removed,
	const struct plugged_list *added); /* c may have been told to restart */
