#include "text/encoding.h"

#include <stdlib.h>

#include "base/grow.h"

void loam_encoding_deinit(struct loam_encoding *encoding)
{
    free(encoding->ids);
    free(encoding->starts);
    free(encoding->ends);
    *encoding = (struct loam_encoding){0};
}

static enum loam_status grow_encoding(struct loam_encoding *encoding, struct loam_error *error)
{
    // The three arrays share a capacity, which is set after all of them have grown.
    size_t capacity = 0;
    for (int i = 0; i < 3; i++) {
        void *array = i == 0   ? (void *)encoding->ids
                      : i == 1 ? (void *)encoding->starts
                               : (void *)encoding->ends;
        capacity = encoding->capacity;
        void *grown = loam_grow(array, &capacity, encoding->count + 1, sizeof(uint32_t), error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        if (i == 0) encoding->ids = grown;
        if (i == 1) encoding->starts = grown;
        if (i == 2) encoding->ends = grown;
    }
    encoding->capacity = capacity;
    return LOAM_OK;
}

enum loam_status loam_encoding_add(struct loam_encoding *encoding, int32_t id, uint32_t start, uint32_t end,
                                   struct loam_error *error)
{
    if (encoding->count == encoding->capacity) LOAM_TRY(grow_encoding(encoding, error));
    encoding->ids[encoding->count] = id;
    encoding->starts[encoding->count] = start;
    encoding->ends[encoding->count] = end;
    encoding->count++;
    return LOAM_OK;
}

enum loam_status loam_encoding_append(struct loam_encoding *encoding, const struct loam_encoding *more,
                                      size_t offset, struct loam_error *error)
{
    for (size_t i = 0; i < more->count; i++)
        LOAM_TRY(loam_encoding_add(encoding, more->ids[i], more->starts[i] + (uint32_t)offset,
                                   more->ends[i] + (uint32_t)offset, error));
    return LOAM_OK;
}
