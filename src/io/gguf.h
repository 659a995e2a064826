// GGUF, the container of llama.cpp, little-endian: metadata, then tensors whose data starts on multiples of 32 bytes. Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
#ifndef LOAM_IO_GGUF_H
#define LOAM_IO_GGUF_H

#include "base/file.h"
#include "io/stored.h"
#include "io/streamed.h"

// Whether a mapped file begins as GGUF does.
bool loam_gguf_is(const struct loam_map *map);
// Appends the tensors of a mapped file of version 2 or 3 to `list`, and its metadata as texts, without arrays; `path`
// and `map` must outlive it. Sizes, counts, types and offsets are checked here. A tensor in a format that loam does not
// read, such as a quantised one, has LOAM_FORMAT_NONE and no bytes. Shapes are row-major.
enum loam_status loam_gguf_read(struct loam_stored_list *list, const char *path, const struct loam_map *map,
                                struct loam_error *error);
// Appends the metadata alone. The tensors may be of any kind.
enum loam_status loam_gguf_read_metadata(struct loam_stored_list *list, const char *path,
                                         const struct loam_map *map, struct loam_error *error);

// The values are those of the format.
enum loam_gguf_type { LOAM_GGUF_U32 = 4, LOAM_GGUF_F32 = 6, LOAM_GGUF_STRING = 8 };

// One entry of the metadata; only the field of its type is read.
struct loam_gguf_value {
    const char *key;
    enum loam_gguf_type type;
    uint32_t number;
    float real;
    const char *text;
};

// Writes `path`, version 3, atomically (io/atomic.h): values and tensors in their order, elements from `source`. Tensors
// are f32, f16 or bf16. Their names have at most 63 bytes, the limit of readers. Shapes are row-major; the
// file has them reversed.
enum loam_status loam_gguf_write(const char *path, const struct loam_gguf_value *values, size_t value_count,
                                 const struct loam_write_tensor *tensors, size_t tensor_count,
                                 const struct loam_write_source *source, struct loam_error *error);

#endif
