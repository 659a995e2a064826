#include "io/streamed.h"

enum loam_status loam_write_streamed(struct loam_atomic_file *file, const struct loam_write_source *source,
                                     size_t index, size_t count, size_t element_size, void *block,
                                     struct loam_error *error)
{
    size_t limit = LOAM_STREAM_BLOCK / element_size;
    for (size_t first = 0; first < count;) {
        size_t step = count - first < limit ? count - first : limit;
        LOAM_TRY(source->fill(source->user, index, first, step, block, error));
        LOAM_TRY(loam_atomic_write(file, block, step * element_size, error));
        first += step;
    }
    return LOAM_OK;
}
