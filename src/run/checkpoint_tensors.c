#include "run/checkpoint_tensors.h"

#include <stdlib.h>

#include "base/file.h"
#include "run/checkpoint_files.h"
#include "train/optimiser_file.h"

static enum loam_status write_range(struct loam_optimiser *optimiser, size_t first, size_t count,
                                    const char *directory, struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_TENSORS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = loam_optimiser_write_file(optimiser, first, count, path, error);
    free(path);
    return status;
}

enum loam_status loam_checkpoint_tensors_write(struct loam_optimiser *optimiser, const char *directory,
                                               struct loam_error *error)
{
    return write_range(optimiser, 0, optimiser->set->count, directory, error);
}

enum loam_status loam_checkpoint_tensors_rehearse(struct loam_optimiser *optimiser, const char *directory,
                                                  struct loam_error *error)
{
    const struct loam_trainables *set = optimiser->set;
    size_t smallest = 0;
    for (size_t i = 1; i < set->count; i++)
        if (loam_tensor_count(&set->items[i].value) < loam_tensor_count(&set->items[smallest].value))
            smallest = i;
    return write_range(optimiser, smallest, set->count > 0, directory, error);
}

enum loam_status loam_checkpoint_tensors_read(struct loam_optimiser *optimiser, const char *directory,
                                              bool values_alone, struct loam_error *error)
{
    char *path = loam_path_join(directory, LOAM_CHECKPOINT_TENSORS, error);
    if (path == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status =
        loam_optimiser_read_file(optimiser, 0, optimiser->set->count, path, values_alone, error);
    free(path);
    return status;
}
