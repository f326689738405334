/* mount-volume {"type", "device", "o", "target"}: a volume's filesystem, in the daemon's mount
 * namespace. unmount-volume {"target"}: its end. Both give {}.
 *
 * A network filesystem may take minutes to answer: here only this process waits.
 */
#include "worker/mount_volume.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/scoped.h"
#include "base/text.h"
#include "volume/remote.h"
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
	scoped(free) char *shown = remote_shown(buf_str(&o->data)); /* never the credentials */
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
	if (!remote_type_is_nfs(type) && !remote_type_is_cifs(type)) {
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
	if (!remote_type_is_cifs(type) || !text_starts(*device, "//")) {
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

/* shown: the place as errors call it. secret: more data, or "". */
static int mount_all(const char *device, const char *place, const char *shown, const char *type,
	const struct mount_options *o, const char *secret, int *ret_errno, struct err *e)
{
	const char *comma = o->data.len && *secret ? "," : "";
	scoped(free) char *data = xasprintf("%s%s%s", buf_str(&o->data), comma, secret);
	bool fits = strlen(data) < (size_t)getpagesize();
	int r = fits ? mount(device, place, type, o->flags, data) : -1;
	*ret_errno = r == 0 ? 0 : fits ? errno : E2BIG;
	explicit_bzero(data, strlen(data));
	if (r < 0) {
		return fail(*ret_errno, device, shown, o, e);
	}
	/* a bind mount takes its read-only flag only when it is there */
	const unsigned long bind_ro = MS_BIND | MS_RDONLY;
	if ((o->propagation && mount("", place, "", o->propagation, NULL) < 0) ||
		((o->flags & bind_ro) == bind_ro &&
			mount("", place, "", o->flags | MS_REMOUNT, NULL) < 0)) {
		*ret_errno = errno;
		detach(place);
		return fail(*ret_errno, device, shown, o, e);
	}
	return 0;
}

/* Somebody else's file is nobody's password, and one that others read is no secret. */
static int check_file(int fd, const char *path, struct err *e)
{
	struct stat st;
	if (fstat(fd, &st) < 0) {
		return err_sys(e, errno, "cannot look at %s", path);
	}
	if (!S_ISREG(st.st_mode)) {
		return err_set(e, ERR_DENIED, "the credentials %s are not a file", path);
	}
	if (st.st_uid != 0 && st.st_uid != geteuid()) {
		return err_set(e, ERR_DENIED, "the credentials %s are not root's", path);
	}
	if (st.st_mode & 077) {
		return err_set(e, ERR_DENIED,
			"the credentials %s are open to others than root: chmod 600", path);
	}
	return 0;
}

/* "" without; NULL with *e. The caller's, to be wiped. */
static char *read_credentials(const char *path, struct err *e)
{
	char text[REMOTE_CREDENTIALS_MAX + 1] = "";
	if (!*path) {
		return xstrdup("");
	}
	scoped(close) int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0) {
		(void)err_sys(e, errno, "cannot read the credentials %s", path);
		return NULL;
	}
	if (check_file(fd, path, e) < 0) {
		return NULL;
	}
	ssize_t n = read(fd, text, sizeof(text));
	if (n < 0 || n > REMOTE_CREDENTIALS_MAX) {
		(void)err_set(e, ERR_INVALID, "the credentials %s are more than %d bytes", path,
			REMOTE_CREDENTIALS_MAX);
		return NULL;
	}
	text[n] = '\0';
	char *secret = remote_credentials(text, e);
	explicit_bzero(text, sizeof(text));
	return secret ? secret : (err_wrap(e, "%s", path), NULL);
}

int mount_volume_at(const json_t *request, const char *place, int *ret_errno, struct err *e)
{
	const char *type = json_str(request, "type");
	scoped(free) char *device = xstrdup(json_str(request, "device"));
	scoped(free) char *text = remote_options(type, device, json_str(request, "o"));
	struct mount_options o;
	*ret_errno = 0;
	if (!*device) {
		return err_set(e, ERR_SYSTEM, "missing device in volume options");
	}
	scoped(free) char *secret = read_credentials(json_str(request, "credentials"), e);
	if (!secret || resolve_names(type, &device, &text, e) < 0) {
		return -1;
	}
	mount_options_parse(text, &o);
	int r = mount_all(
		device, place, json_str(request, "target"), type, &o, secret, ret_errno, e);
	mount_options_deinit(&o);
	explicit_bzero(secret, strlen(secret));
	return r;
}

json_t *worker_mount_volume(struct rpc *r, const json_t *request, struct err *e)
{
	int ignored;
	return mount_volume_at(request, json_str(request, "target"), &ignored, e) < 0
		       ? NULL
		       : json_object();
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
