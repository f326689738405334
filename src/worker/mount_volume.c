/* mount-volume {"type", "device", "o", "target"}: a volume's filesystem, in the daemon's mount
 * namespace. unmount-volume {"target"}: its end. Both give {}.
 *
 * A network filesystem may take minutes to answer: here only this process waits.
 */
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/text.h"
#include "worker/jobs.h"
#include "worker/mount_options.h"

/* Go's words for an errno are the C library's, but begin small. */
static void put_reason(char *text, size_t n, int errnum)
{
	snprintf(text, n, "%s", strerror(errnum));
	if (text[0] >= 'A' && text[0] <= 'Z' && (text[1] < 'A' || text[1] > 'Z')) {
		text[0] = (char)(text[0] - 'A' + 'a');
	}
}

static int fail(int errnum, const char *device, const char *target, const struct mount_options *o,
	struct err *e)
{
	char reason[128];
	char flags[32] = "";
	scoped(free) char *shown = mount_options_shown(buf_str(&o->data));
	put_reason(reason, sizeof(reason), errnum);
	if (o->flags) {
		snprintf(flags, sizeof(flags), ", flags: 0x%lx", o->flags);
	}
	return err_set(e, ERR_SYSTEM, "failed to mount local volume: mount %s:%s%s%s%s: %s", device,
		target, flags, *shown ? ", data: " : "", shown, reason);
}

/* An address as the kernel wants it: it asks no name server. NULL with *e. */
static char *resolve(const char *host, struct err *e)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *list;
	char address[NI_MAXHOST];
	int r = getaddrinfo(host, NULL, &hints, &list);
	if (r == 0) {
		r = getnameinfo(list->ai_addr, list->ai_addrlen, address, sizeof(address), NULL, 0,
			NI_NUMERICHOST);
		freeaddrinfo(list);
	}
	if (r != 0) {
		(void)err_set(e, ERR_SYSTEM,
			"error resolving passed in network volume address: lookup %.200s: %s", host,
			gai_strerror(r));
		return NULL;
	}
	return xstrdup(address);
}

/* Where the option "addr=" stands; "clientaddr=" before it is another one. */
static const char *find_address(const char *options)
{
	const char *at = strstr(options, "addr=");
	while (at > options && at[-1] != ',') {
		at = strstr(at + 1, "addr=");
	}
	return at;
}

/* "addr=host" in the options, or the host of "//host/share", becomes an address. */
static int resolve_names(const char *type, char **device, char **options, struct err *e)
{
	if (strcmp(type, "nfs") != 0 && strcmp(type, "nfs4") != 0 && strcmp(type, "cifs") != 0) {
		return 0;
	}
	scoped(free) char *host = mount_options_address(*options);
	if (host && *host) {
		scoped(free) char *address = resolve(host, e);
		if (!address) {
			return -1;
		}
		const char *at = find_address(*options); /* host is its value */
		char *fresh = xasprintf("%.*saddr=%s%s", (int)(at - *options), *options, address,
			at + strlen("addr=") + strlen(host));
		free(*options);
		*options = fresh;
		return 0;
	}
	if (strcmp(type, "cifs") != 0 || !text_starts(*device, "//")) {
		return 0;
	}
	const char *rest = *device + 2 + strcspn(*device + 2, "/");
	scoped(free) char *server = xstrndup(*device + 2, (size_t)(rest - *device - 2));
	scoped(free) char *address = *server ? resolve(server, e) : NULL;
	if (!address) {
		return *server ? -1 : 0;
	}
	char *fresh = xasprintf("//%s%s", address, rest);
	free(*device);
	*device = fresh;
	return 0;
}

/* With all below it. What is shared is made private first: detaching copies of shared mounts
 * (o=rbind) would unmount what they are copies of, /dev of the host for one. */
static int detach(const char *target)
{
	mount(NULL, target, NULL, MS_REC | MS_PRIVATE, NULL);
	return umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW);
}

static int mount_all(const char *device, const char *target, const char *type,
	const struct mount_options *o, struct err *e)
{
	if (mount(device, target, type, o->flags, buf_str(&o->data)) < 0) {
		return fail(errno, device, target, o, e);
	}
	/* a bind mount takes its read-only flag only when it is there */
	const unsigned long bind_ro = MS_BIND | MS_RDONLY;
	if ((o->propagation && mount("", target, "", o->propagation, NULL) < 0) ||
		((o->flags & bind_ro) == bind_ro &&
			mount("", target, "", o->flags | MS_REMOUNT, NULL) < 0)) {
		int reason = errno;
		detach(target);
		return fail(reason, device, target, o, e);
	}
	return 0;
}

json_t *worker_mount_volume(struct rpc *r, const json_t *request, struct err *e)
{
	const char *type = json_str(request, "type");
	const char *target = json_str(request, "target");
	scoped(free) char *device = xstrdup(json_str(request, "device"));
	scoped(free) char *text = xstrdup(json_str(request, "o"));
	struct mount_options o;
	if (!*device) {
		(void)err_set(e, ERR_SYSTEM, "missing device in volume options");
		return NULL;
	}
	if (resolve_names(type, &device, &text, e) < 0) {
		return NULL;
	}
	mount_options_parse(text, &o);
	int result = mount_all(device, target, type, &o, e);
	mount_options_deinit(&o);
	return result < 0 ? NULL : json_object();
}

json_t *worker_unmount_volume(struct rpc *r, const json_t *request, struct err *e)
{
	const char *target = json_str(request, "target");
	int failed = umount2(target, UMOUNT_NOFOLLOW);
	failed = failed < 0 && errno == EBUSY ? detach(target) : failed;
	if (failed < 0 && errno != EINVAL && errno != ENOENT) {
		(void)err_sys(e, errno, "cannot unmount %s", target);
		return NULL;
	}
	return json_object();
}
