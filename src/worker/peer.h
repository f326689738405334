/* worker/peer.h - layers from other engines of the network (api/peers.c), before the registry is
 * asked.
 *
 * Nothing of what a peer sends is believed: it is a plain tar whose digest must be the layer's diff
 * id, which the image's configuration names, whose digest the registry's manifest names. A peer
 * that is absent, wrong, slow or endless costs a few seconds, and the layer comes from the
 * registry.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct stream;

/* The tar of a layer; it ends with an error when more than limit bytes come, or fewer than
 * PEER_RATE_MIN a second. ERR_NOT_FOUND: the peer is there, but has or gives no such layer. url:
 * "http://192.168.1.5:5055". */
#define PEER_RATE_MIN (64 << 10)
#define PEER_STALL_S 5
struct stream *peer_layer(const char *url, const char *diff_id, int64_t limit);
