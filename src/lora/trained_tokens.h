// The trained tokens of an adapter: rows that take the place of those of the embedding or the head.
#ifndef LOAM_LORA_TRAINED_TOKENS_H
#define LOAM_LORA_TRAINED_TOKENS_H

#include "lora/adapter_stored.h"

// The rows of one module, and of the head that is tied to it.
struct loam_trained_tokens {
    const struct loam_linear *module; // the embedding or the head
    const struct loam_token_list *list;
    struct loam_token_rows *places[LOAM_TOKEN_PLACES]; // in the slots of the adapter
    size_t place_count;
    int64_t *order; // [n] the place in the list of each token, rising by token
    char *name;     // "base_model.model." + path + ".token_adapter.trainable_tokens_delta"
    size_t index;   // in the set
    const struct loam_stored_tensor *stored; // in the file of an opened adapter; NULL after filling
};

struct loam_adapter;

// Finds the modules of the config's tokens, and sets what the slots can have without memory.
enum loam_status loam_adapter_attach_tokens(struct loam_adapter *adapter, struct loam_error *error);
void loam_adapter_free_tokens(struct loam_adapter *adapter);
// Registers the rows in a set, points the slots at its memory, and takes the gradients away again.
enum loam_status loam_adapter_register_tokens(struct loam_adapter *adapter, struct loam_trainables *set,
                                              struct loam_error *error);
void loam_adapter_point_tokens(struct loam_adapter *adapter);
void loam_adapter_unregister_tokens(struct loam_adapter *adapter);
// Gives the rows memory in an arena; `counting`: only counts.
void loam_adapter_place_tokens(struct loam_adapter *adapter, struct loam_arena *arena, bool counting);
// Allocates the ids on the device.
enum loam_status loam_adapter_allocate_tokens(struct loam_adapter *adapter, const struct loam_device *device,
                                              struct loam_error *error);
// Writes the ids, and the rows: those of the base, or those of the file. The rows of the file are checked by
// loam_adapter_find_tokens.
enum loam_status loam_adapter_start_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                           struct loam_error *error);
enum loam_status loam_adapter_fill_tokens(struct loam_adapter *adapter, struct loam_stream *stream,
                                          struct loam_error *error);
// Finds the rows of an opened adapter in its file.
enum loam_status loam_adapter_find_tokens(struct loam_adapter *adapter, struct loam_error *error);
// The rows [n, H] in the file's order, downloaded into `host`.
enum loam_status loam_adapter_download_tokens(const struct loam_trained_tokens *tokens,
                                              struct loam_stream *stream, float *host,
                                              struct loam_error *error);
int64_t loam_trained_tokens_count(const struct loam_trained_tokens *tokens);

#endif
