// The safetensors format: u64 header size, JSON header, data. https://github.com/huggingface/safetensors
#ifndef LOAM_IO_SAFETENSORS_H
#define LOAM_IO_SAFETENSORS_H

#include "base/file.h"
#include "io/stored.h"
#include "io/streamed.h"

// Appends the tensors of a mapped file to `list`; `path` and `map` must outlive it. Everything is checked
// here: header size and JSON, known dtypes, offsets within the file, no overlap and no holes, shape times
// dtype = bytes.
enum loam_status loam_safetensors_read(struct loam_stored_list *list, const char *path,
                                       const struct loam_map *map, struct loam_error *error);

// Writes header (metadata {"format":"pt"}) and data to `path` atomically (io/atomic.h), in the order of the
// Python package (widest dtype first, then by name), data 8-byte aligned.
enum loam_status loam_safetensors_write(const char *path, const struct loam_write_tensor *tensors,
                                        size_t count, struct loam_error *error);

// Writes a file with elements from `source`.
enum loam_status loam_safetensors_write_from(const char *path, const struct loam_write_tensor *tensors,
                                             size_t count, const struct loam_write_source *source,
                                             struct loam_error *error);

#endif
