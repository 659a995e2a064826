// Single products by the ops of a device, which take its vendor's library where that is there.
#include <stdlib.h>

#include "base/heap.h"
#include "device/gpu/launch.h"

struct loam_probe {
    struct loam_stream stream;
    struct loam_error failure;
};

static enum loam_status probe_create(struct loam_probe **out, const struct loam_device *device,
                                     struct loam_error *error)
{
    struct loam_probe *probe = loam_calloc(1, sizeof *probe, error);
    if (probe == NULL) return LOAM_ERROR_MEMORY;
    *out = probe;
    return loam_stream_init(&probe->stream, device, 0, error);
}

static void probe_destroy(struct loam_probe *probe)
{
    if (probe == NULL) return;
    loam_stream_deinit(&probe->stream);
    free(probe);
}

static const char *probe_finish(struct loam_probe *probe)
{
    return loam_stream_finish(&probe->stream, &probe->failure) == LOAM_OK ? NULL : probe->failure.message;
}

static void *address(const void *data)
{
    return (void *)(uintptr_t)data;
}

static void queue_product(struct loam_stream *stream, const struct loam_product *p, const void *a,
                          const void *w, void *c)
{
    const struct loam_tensor y = loam_tensor_2d(c, p->c_dtype, p->m, p->n);
    const struct loam_tensor x = loam_tensor_2d(address(a), p->dtype, p->m, p->k);
    switch (p->kind) {
    case LOAM_PRODUCT_FORWARD:
        loam_linear_forward(
            stream, &(struct loam_linear_forward_args){
                        .x = x, .w.tensor = loam_tensor_2d(address(w), p->dtype, p->n, p->k), .y = y});
        return;
    case LOAM_PRODUCT_INPUT:
        loam_linear_backward_input(
            stream, &(struct loam_linear_backward_input_args){
                        .dy = x, .w.tensor = loam_tensor_2d(address(w), p->dtype, p->k, p->n), .dx = y});
        return;
    case LOAM_PRODUCT_WEIGHT:
        loam_linear_backward_weight(stream, &(struct loam_linear_backward_weight_args){
                                                .dy = loam_tensor_2d(address(a), p->dtype, p->k, p->m),
                                                .x = loam_tensor_2d(address(w), p->dtype, p->k, p->n),
                                                .dw = y});
        return;
    }
}

// Gives the stream the scratch that the product needs.
static enum loam_status reserve_scratch(struct loam_probe *probe, const struct loam_product *product,
                                        const void *a, const void *w, void *c)
{
    const struct loam_device *device = probe->stream.device;
    struct loam_stream planning;
    loam_stream_init_planning(&planning, device);
    queue_product(&planning, product, a, w, c);
    const size_t needed = planning.scratch_needed;
    LOAM_TRY(loam_stream_finish(&planning, &probe->failure));
    if (needed <= probe->stream.scratch.capacity) return LOAM_OK;
    LOAM_TRY(loam_stream_finish(&probe->stream, &probe->failure));
    loam_stream_deinit(&probe->stream);
    return loam_stream_init(&probe->stream, device, needed, &probe->failure);
}

static const char *probe_product(struct loam_probe *probe, const struct loam_product *product, const void *a,
                                 const void *w, void *c)
{
    if (reserve_scratch(probe, product, a, w, c) != LOAM_OK) return probe->failure.message;
    queue_product(&probe->stream, product, a, w, c);
    return probe->stream.failure.status == LOAM_OK ? NULL : probe_finish(probe);
}

static size_t no_packed_bytes(struct loam_probe *probe, const struct loam_product *product)
{
    (void)probe;
    (void)product;
    return 0;
}

const struct loam_probe_table loam_gpu_probes = {
    .create = probe_create,
    .destroy = probe_destroy,
    .finish = probe_finish,
    .product = probe_product,
    .packed_bytes = no_packed_bytes,
};
