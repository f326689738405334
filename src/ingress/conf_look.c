/* What of the machine the configuration depends on: the one part of it that is not pure. */
#include <unistd.h>

#include "ingress/conf.h"

/* Debian's; another nginx may have it built in, which its own -t says. */
#define STREAM_MODULE "/usr/lib/nginx/modules/ngx_stream_module.so"
#define MIME_TYPES "/etc/nginx/mime.types"

void ingress_conf_look(struct ingress_model *m)
{
	m->no_ipv6 = access("/proc/net/if_inet6", F_OK) < 0;
	m->stream_module = access(STREAM_MODULE, F_OK) == 0 ? STREAM_MODULE : NULL;
	m->no_stream = !m->stream_module;
	m->mime_types = access(MIME_TYPES, R_OK) == 0 ? MIME_TYPES : NULL;
}
