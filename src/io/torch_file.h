// The files that torch.save makes of a state dictionary: a zip archive with a pickle and the bytes of each
// storage, stored without compression.
#ifndef LOAM_IO_TORCH_FILE_H
#define LOAM_IO_TORCH_FILE_H

#include "base/file.h"
#include "io/stored.h"

// Appends the tensors of a mapped file to `list`; `path` and `map` must outlive it. Tensors are contiguous
// and lie within their storage; several may share one. Nothing in the pickle is executed (io/pickle.h).
enum loam_status loam_torch_file_read(struct loam_stored_list *list, const char *path,
                                      const struct loam_map *map, struct loam_error *error);

#endif
