#include "data/data_input.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "data/compressed.h"

// Replaces a compressed file by its contents.
static enum loam_status unpack(struct loam_data_input *input, const char *path, struct loam_error *error)
{
    const enum loam_compression compression = loam_compression_find(input->map.data, input->map.size);
    if (compression == LOAM_COMPRESSION_NONE) return LOAM_OK;
    int unpacked = -1;
    size_t size = 0;
    LOAM_TRY(loam_compressed_unpack(&input->map, compression, path, &unpacked, &size, error));
    loam_data_input_close(input);
    input->descriptor = unpacked;
    input->is_unpacked = true;
    return loam_map_descriptor(&input->map, unpacked, size, path, false, error);
}

enum loam_status loam_data_input_open(struct loam_data_input *input, const char *path,
                                      struct loam_error *error)
{
    *input = (struct loam_data_input){.descriptor = -1};
    size_t size = 0;
    LOAM_TRY(loam_file_open(path, &input->descriptor, &size, error));
    enum loam_status status = loam_map_descriptor(&input->map, input->descriptor, size, path, false, error);
    if (status == LOAM_OK) status = unpack(input, path, error);
    if (status != LOAM_OK) loam_data_input_close(input);
    return status;
}

void loam_data_input_close(struct loam_data_input *input)
{
    loam_map_close(&input->map);
    if (input->descriptor >= 0) close(input->descriptor);
    input->descriptor = -1;
}

size_t loam_data_name_size(const char *path)
{
    static const char *const endings[] = {".gz", ".zst"};
    const size_t size = strlen(path);
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        const size_t tail = strlen(endings[i]);
        if (size > tail && strcasecmp(path + size - tail, endings[i]) == 0) return size - tail;
    }
    return size;
}
