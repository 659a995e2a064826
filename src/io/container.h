// A read-only, mapped container of tensors: one file, or the checkpoint of a directory in one or several
// files. A file is safetensors, GGUF, or, if its name ends in ".bin", what torch.save makes of a state dictionary.
#ifndef LOAM_IO_CONTAINER_H
#define LOAM_IO_CONTAINER_H

#include "io/stored.h"

struct loam_container;

// Opens the first of these files that exists, as transformers does: DIR/model.safetensors, the shards that
// DIR/model.safetensors.index.json names, DIR/pytorch_model.bin, the shards that
// DIR/pytorch_model.bin.index.json names. Checks every file as its reader does, that each tensor of the index
// is in its shard, and that no tensor is there twice.
enum loam_status loam_container_open_directory(struct loam_container **out, const char *directory,
                                               struct loam_error *error);
enum loam_status loam_container_open_file(struct loam_container **out, const char *path,
                                          struct loam_error *error);
// Whether the directory has a container to open. A plan can also be made from a config.json alone.
enum loam_status loam_container_in_directory(const char *directory, bool *there, struct loam_error *error);
void loam_container_destroy(struct loam_container *container);
// Returns false once a file is shorter than its map. The rest of the page in which such a file ends reads as zeros,
// without a signal.
bool loam_container_is_whole(const struct loam_container *container);

// The tensors are one array: an index is the distance from the first.
size_t loam_container_count(const struct loam_container *container);
const struct loam_stored_tensor *loam_container_at(const struct loam_container *container, size_t index);
const struct loam_stored_tensor *loam_container_find(const struct loam_container *container,
                                                     const char *name);
// The text of `key` in the first file that has the key; NULL: no file has it.
const char *loam_container_metadata(const struct loam_container *container, const char *key);

#endif
