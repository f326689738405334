/* sys/mounts.h - what this kernel's mounts can do. */
#pragma once
#include <stdbool.h>

/* mount_setattr(2), since Linux 5.12: attributes of a whole tree of mounts at once. */
bool mount_can_set_attributes(void);
