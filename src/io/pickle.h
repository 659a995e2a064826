// Reading the pickle of a state dictionary, the data.pkl of torch.save. Nothing is executed: the reader knows
// the opcodes of protocol 2 that a dictionary of tensors needs, and a few global names as symbols. Any other
// opcode or name is refused. Format: https://github.com/python/cpython/blob/main/Lib/pickletools.py
#ifndef LOAM_IO_PICKLE_H
#define LOAM_IO_PICKLE_H

#include "io/pickle_values.h"
#include "tensor/format.h"

// How a class of storages holds its elements.
struct loam_pickled_type {
    const char *name; // "torch FloatStorage"
    size_t size;      // bytes an element
    enum loam_format format;
};

struct loam_pickled_tensor {
    struct loam_pickled_text name;
    const struct loam_pickled_type *type;
    struct loam_pickled_text storage; // the key of its storage
    int64_t elements;                 // of the storage
    int64_t offset;                   // of the first element in the storage
    int rank;
    int64_t shape[LOAM_MAX_RANK];
    int64_t stride[LOAM_MAX_RANK]; // in elements
};

// The tensors of the dictionary, in its order. Numbers are as the pickle has them, which the caller checks,
// but not negative.
struct loam_pickled_tensors {
    struct loam_pickled_tensor *items;
    size_t count, capacity;
};

// `name` is how messages call the pickle. The pickle must outlive the tensors.
enum loam_status loam_pickle_read(struct loam_pickled_tensors *tensors, const uint8_t *data, size_t size,
                                  const char *name, struct loam_error *error);
void loam_pickled_tensors_deinit(struct loam_pickled_tensors *tensors);

#endif
