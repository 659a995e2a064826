// A container of tensors, mapped and read-only: one file, or a directory's checkpoint in one or several files.
// Its files are safetensors.
#ifndef LOAM_IO_CONTAINER_H
#define LOAM_IO_CONTAINER_H

#include "io/stored.h"

struct loam_container;

// Opens DIR/model.safetensors, or the shards that DIR/model.safetensors.index.json names. Everything is
// checked here: header, known formats, offsets within the file, no overlap and no holes, shape times format =
// bytes, every tensor of the index present in its shard, none twice.
enum loam_status loam_container_open_directory(struct loam_container **out, const char *directory,
                                               struct loam_error *error);
enum loam_status loam_container_open_file(struct loam_container **out, const char *path,
                                          struct loam_error *error);
// Whether there is something to open: of a directory with a config.json alone a plan can still be made.
enum loam_status loam_container_in_directory(const char *directory, bool *there, struct loam_error *error);
void loam_container_destroy(struct loam_container *container);

// The tensors are one array: an index is the distance from the first.
size_t loam_container_count(const struct loam_container *container);
const struct loam_stored_tensor *loam_container_at(const struct loam_container *container, size_t index);
const struct loam_stored_tensor *loam_container_find(const struct loam_container *container,
                                                     const char *name);
// The text that the first file with such a key has; NULL: none has it.
const char *loam_container_metadata(const struct loam_container *container, const char *key);

#endif
