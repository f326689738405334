/* base/oom.h - the daemon's protection from the kernel's OOM killer stays the daemon's.
 *
 * A service manager gives it by a negative oom_score_adj, which children inherit: containers would
 * be spared at the machine's expense. Header only: the shim links no library.
 */
#pragma once
#include <fcntl.h>
#include <unistd.h>

/* Back to 0 if below; nothing changes otherwise. To raise it needs no capability, to lower it does:
 * proc(5). */
static inline void oom_drop_protection(void)
{
	char text[8] = "";
	int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
	if (fd < 0) {
		return;
	}
	if (read(fd, text, sizeof(text) - 1) > 0 && text[0] == '-') {
		(void)!pwrite(fd, "0", 1, 0);
	}
	close(fd);
}
