// A checkpoint cut into files of a bounded size, as huggingface_hub cuts and names them.
#ifndef LOAM_IO_SHARDS_H
#define LOAM_IO_SHARDS_H

#include "io/streamed.h"

#define LOAM_SHARD_INDEX "model.safetensors.index.json" // of a checkpoint in several files

enum { LOAM_SHARD_NAME_SIZE = 64 };

// Writes the file of each tensor to shard_of[count], in the order of `bytes`. A tensor above `limit` has a
// file of its own. Returns the number of files.
size_t loam_shards_cut(const size_t *bytes, size_t count, size_t limit, size_t *shard_of);
// "model.safetensors", or "model-00001-of-00003.safetensors" for shard 0 of 3.
void loam_shard_name(size_t shard, size_t shards, char name[LOAM_SHARD_NAME_SIZE]);
// Whether a name is that of a checkpoint's file or index, whatever the number of files.
bool loam_shard_is_name(const char *name);

// Removes the files, index included, of an older checkpoint with other names, which readers would take for
// parts of the new one. Called once the checkpoint of `shards` files is in the directory: a failure before
// that must leave the older model whole.
enum loam_status loam_shards_remove_old(const char *directory, size_t shards, struct loam_error *error);

// Writes DIRECTORY/model.safetensors.index.json: which file holds which tensor.
enum loam_status loam_shards_write_index(const char *directory, const struct loam_write_tensor *tensors,
                                         const size_t *shard_of, size_t count, size_t shards,
                                         size_t total_bytes, int64_t parameters, struct loam_error *error);

#endif
