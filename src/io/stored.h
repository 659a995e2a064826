// The list that readers of containers fill: tensors of mapped files and texts that describe the files.
#ifndef LOAM_IO_STORED_H
#define LOAM_IO_STORED_H

#include "tensor/format.h"

// One tensor as the file has it. `data` points into the mapped file and may be unaligned.
struct loam_stored_tensor {
    const char *name;
    const char *file; // path of the file that holds it, for messages
    enum loam_format format;
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    const uint8_t *data;
    size_t bytes;
};

struct loam_metadata {
    const char *key;
    const char *text;
    bool is_number; // in the file, which GGUF tells; `text` shows it
};

// A zeroed list is empty.
struct loam_stored_list {
    struct loam_stored_tensor *tensors; // by file, within one in the order of the data
    size_t count, capacity;
    struct loam_metadata *metadata;
    size_t metadata_count, metadata_capacity;
};
void loam_stored_list_deinit(struct loam_stored_list *list);
// Appends a tensor with a copy of `name`; the caller fills in the rest. NULL with a filled error when memory
// is exhausted. The next append may move the tensor.
struct loam_stored_tensor *loam_stored_list_append(struct loam_stored_list *list, const char *name,
                                                   const char *file, struct loam_error *error);
// Orders the tensors from `first` by the place of their data.
void loam_stored_list_sort(struct loam_stored_list *list, size_t first);
// Appends copies of key and text.
enum loam_status loam_stored_list_describe(struct loam_stored_list *list, const char *key, const char *text,
                                           struct loam_error *error);

#endif
