// The KV cache as the decoder allocates and plans it.
#ifndef LOAM_MODEL_CACHE_H
#define LOAM_MODEL_CACHE_H

#include "model/pass_input.h"

// Allocates the host's part of the cache.
enum loam_status loam_host_cache_init(struct loam_decoder *decoder, struct loam_error *error);
void loam_host_cache_deinit(struct loam_host_cache *cache);
// Places keys and values of all layers in the arena.
void loam_cache_place(struct loam_decoder *decoder, struct loam_arena *arena);
// Every pass over the cache that the limits allow, without computing.
void loam_feed_dry(struct loam_decoder *decoder, struct loam_stream *stream, struct loam_arena *arena);

#endif
