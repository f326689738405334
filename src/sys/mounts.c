#include "sys/mounts.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

bool mount_can_set_attributes(void)
{
	return syscall(SYS_mount_setattr, -1, "", 0, (void *)0, 0) == 0 || errno != ENOSYS;
}
