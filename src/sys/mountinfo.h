/* sys/mountinfo.h - the lines of /proc/PID/mountinfo. proc(5): "36 35 98:0 /root /mnt ro,noatime
 * shared:1 - ext3 /dev/sda1 rw". Pure.
 */
#pragma once
#include <stdbool.h>

/* All borrowed from the text. */
struct mountinfo {
	int id;
	const char *dev;       /* "98:0", of the file system; the same wherever it is mounted */
	unsigned major, minor; /* the same */
	const char *root;      /* "/root": what of it is mounted */
	const char *place;     /* "/mnt" */
	const char *flags;     /* "ro,noatime", of this mount */
	const char *fstype;    /* "ext3" */
	const char *source;    /* "/dev/sda1" */
	const char *options;   /* "rw,errors=continue", of the file system, escapes as they stand */
	bool shared, slave;    /* in a peer group, or fed by one */
};

/* Walks *text, which is cut into pieces; a line that is none is passed over. False at the end.
 * Start with *text at the beginning. */
bool mountinfo_next(char **text, struct mountinfo *ret);
