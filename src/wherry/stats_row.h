/* wherry/stats_row.h - one line of `stats`: a document of GET /containers/x/stats as the docker CLI
 * shows it. Pure. docker/cli cli/command/container/stats_helpers.go, formatter_stats.go.
 */
#pragma once
#include <jansson.h>
#include <stdbool.h>

#include "wherry/table.h"

extern const struct column stats_columns[]; /* ends with {0} */
#define STATS_COLUMNS \
	"{{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"

/* doc NULL: nothing was heard yet. container: as it was asked for. A new object of strings. */
json_t *stats_row(const json_t *doc, const char *container, bool no_trunc);
