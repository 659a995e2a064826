// The safetensors container: u64 header size, JSON header, data. One file, or shards named by
// model.safetensors.index.json. Format: https://github.com/huggingface/safetensors
#ifndef LOAM_IO_SAFETENSORS_H
#define LOAM_IO_SAFETENSORS_H

#include "base/file.h"
#include "io/streamed.h"

#define LOAM_SHARD_INDEX "model.safetensors.index.json" // of a checkpoint in several files

// One tensor as the file has it. `data` points into the mapped file and may be unaligned.
struct loam_stored_tensor {
    const char *name;
    const char *file; // path of the file that holds it, for messages
    enum loam_dtype dtype;
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    const uint8_t *data;
    size_t bytes;
};

struct loam_safetensors; // mapped, read-only

// Opens DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json names. Everything is
// checked here: header size and JSON, known dtypes, offsets within the file, no overlap and no holes, shape
// times dtype = bytes, every tensor of the index present in its shard, none twice.
enum loam_status loam_safetensors_open_directory(struct loam_safetensors **out, const char *directory,
                                                 struct loam_error *error);
// Whether there is something to open: of a directory with a config.json alone a plan can still be made.
enum loam_status loam_safetensors_in_directory(const char *directory, bool *there, struct loam_error *error);
enum loam_status loam_safetensors_open_file(struct loam_safetensors **out, const char *path,
                                            struct loam_error *error);
void loam_safetensors_destroy(struct loam_safetensors *file);

// The tensors are one array: an index is the distance from the first.
size_t loam_safetensors_count(const struct loam_safetensors *file);
const struct loam_stored_tensor *loam_safetensors_at(const struct loam_safetensors *file, size_t index);
const struct loam_stored_tensor *loam_safetensors_find(const struct loam_safetensors *file, const char *name);

// Writes header (metadata {"format":"pt"}) and data to `path` atomically (io/atomic.h), in the order of the
// Python package (widest dtype first, then by name), data 8-byte aligned.
enum loam_status loam_safetensors_write(const char *path, const struct loam_write_tensor *tensors,
                                        size_t count, struct loam_error *error);

// The same with elements from `source`.
enum loam_status loam_safetensors_write_from(const char *path, const struct loam_write_tensor *tensors,
                                             size_t count, const struct loam_write_source *source,
                                             struct loam_error *error);

#endif
