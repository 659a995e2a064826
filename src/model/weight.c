#include "model/weight.h"

#include "base/file.h"

enum { BLOCK_ELEMENTS = 8 << 20 }; // of a tensor, copied at a time

void loam_weight_copy(struct loam_stream *stream, const struct loam_tensor *target, const uint8_t *source,
                      enum loam_dtype source_dtype, bool mapped)
{
    const size_t total = (size_t)loam_tensor_count(target);
    const size_t size = loam_dtype_size(target->dtype), source_size = loam_dtype_size(source_dtype);
    for (size_t done = 0; done < total; done += BLOCK_ELEMENTS) {
        const size_t count = total - done < BLOCK_ELEMENTS ? total - done : BLOCK_ELEMENTS;
        const uint8_t *block = source + done * source_size;
        if (mapped) loam_map_populate(block, count * source_size);
        loam_upload_as(stream, (char *)target->data + done * size, target->dtype, block, source_dtype, count);
        if (!mapped) continue;
        stream->device->memory->synchronise(stream); // the source has been read
        loam_map_release(block, count * source_size);
    }
}

void loam_weight_keep(const struct loam_tensor *tensor, void *host_target, const uint8_t *source,
                      enum loam_dtype source_dtype)
{
    const size_t total = (size_t)loam_tensor_count(tensor);
    const size_t size = loam_dtype_size(tensor->dtype), source_size = loam_dtype_size(source_dtype);
    for (size_t done = 0; done < total; done += BLOCK_ELEMENTS) {
        const size_t count = total - done < BLOCK_ELEMENTS ? total - done : BLOCK_ELEMENTS;
        const uint8_t *block = source + done * source_size;
        loam_map_populate(block, count * source_size);
        loam_convert((char *)host_target + done * size, tensor->dtype, block, source_dtype, count);
        loam_map_release(block, count * source_size);
    }
}

static bool runs(const struct loam_stream *stream)
{
    return !stream->planning && stream->failure.status == LOAM_OK;
}

static void report(struct loam_weight_reader *reader, size_t bytes, struct loam_stream *stream)
{
    reader->done += (int64_t)bytes;
    (void)loam_event_progress(reader->callbacks, LOAM_ACTIVITY_LOAD, reader->done, reader->total,
                              &stream->failure);
    if (reader->done >= reader->total) reader->done = 0; // for the next pass over the weights
}

struct loam_weight loam_weight_open(const struct loam_weight_handle *handle, struct loam_stream *stream,
                                    struct loam_arena *arena, int64_t first, int64_t count)
{
    const struct loam_tensor stored = loam_tensor_rows(&handle->weight.tensor, first, count);
    struct loam_weight_reader *reader = handle->reader;
    const bool transposed = handle->weight.transposed;
    if (reader == NULL) return (struct loam_weight){stored, transposed};
    struct loam_tensor read = stored;
    if (stored.dtype != reader->dtype) {
        const size_t bytes = (size_t)loam_tensor_count(&stored) * loam_dtype_size(reader->dtype);
        read =
            loam_tensor_2d(loam_arena_alloc(arena, bytes), reader->dtype, stored.shape[0], stored.shape[1]);
    }
    if (!runs(stream) || read.data == NULL) return (struct loam_weight){read, transposed};
    if (read.data != stored.data) loam_weight_copy(stream, &read, stored.data, stored.dtype, handle->mapped);
    report(reader, loam_tensor_bytes(&stored), stream);
    return (struct loam_weight){read, transposed};
}

void loam_weight_close(const struct loam_weight_handle *handle, struct loam_stream *stream, int64_t first,
                       int64_t count)
{
    if (handle->reader == NULL || !handle->mapped || !runs(stream)) return;
    const struct loam_tensor stored = loam_tensor_rows(&handle->weight.tensor, first, count);
    stream->device->memory->synchronise(stream);
    loam_map_release(stored.data, loam_tensor_bytes(&stored));
}
