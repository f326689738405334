/* compose/resource_hash.h - the label config-hash of networks and volumes.
 *
 * The same as docker compose 2's, so that neither program takes the other's for changed: the
 * SHA-256 of the definition as Go's encoding/json prints compose-go's types NetworkConfig and
 * VolumeConfig. (A service's is our own: compose/emit.h.)
 */
#pragma once
#include "compose/model.h"

#define RESOURCE_HASH_MAX 65
void resource_hash_network(const struct network *n, char ret[static RESOURCE_HASH_MAX]);
void resource_hash_volume(const struct volume *v, char ret[static RESOURCE_HASH_MAX]);
