/* compose/refusal.h - what a file may say, but no engine of ours can do: refused when a service
 * that says it is to be started. */
#pragma once
#include "compose/model.h"

/* ERR_INVALID with the place in the file. own_engine: the engine is wherry's, which has no device
 * requests (gpus) and no CDI; others are asked. */
int service_check_startable(const struct service *s, bool own_engine, struct err *e);
bool service_asks_for_devices(const struct service *s); /* own_engine makes a difference */
/* A config or a secret that is written into the created container: it has no file, or its file has
 * an owner or a mode of its own, which a bind mount cannot have. */
bool file_use_is_copied(const struct service *s, const struct file_use *use);
