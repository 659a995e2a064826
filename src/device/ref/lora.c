#include "base/rng.h"
#include "device/ref/ref.h"

double ref_dropout_factor(const struct loam_dropout *dropout, int64_t t, int64_t k, int64_t k_count)
{
    if (dropout->p <= 0.0f) return 1.0;
    uint64_t index = dropout->counter + (uint64_t)(t * k_count + k);
    bool kept = loam_rng_uniform(dropout->seed, dropout->stream, index) >= dropout->p;
    return kept ? 1.0 / (1.0 - (double)dropout->p) : 0.0;
}

enum loam_status loam_ref_lora_forward(struct loam_stream *stream, const struct loam_lora_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->x, *a = &args->a, *b = &args->b, *t = &args->t, *y = &args->y;
    int64_t rank = a->shape[0], k_count = x->shape[1];
    for (int64_t i = 0; i < x->shape[0]; i++) {
        for (int64_t j = 0; j < rank; j++) {
            double sum = 0.0;
            for (int64_t k = 0; k < k_count; k++) {
                double dropped =
                    ref_dropout_factor(&args->dropout, i, k, k_count) * ref_load(x, ref_at(x, i, k));
                sum += dropped * ref_load(a, ref_at(a, j, k));
            }
            ref_store(t, ref_at(t, i, j), sum);
        }
        for (int64_t n = 0; n < b->shape[0]; n++) {
            double sum = 0.0;
            for (int64_t j = 0; j < rank; j++) {
                sum += ref_load(t, ref_at(t, i, j)) * ref_load(b, ref_at(b, n, j));
            }
            if (args->bias.data != NULL) sum += ref_load(&args->bias, n);
            ref_add(y, ref_at(y, i, n), (double)args->scale * sum);
        }
    }
    return LOAM_OK;
}

size_t loam_ref_lora_backward_scratch(const struct loam_device *device,
                                      const struct loam_lora_backward_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->dy.shape[0] * args->a.shape[0], sizeof(double));
}

// dt = scale dy b
static void backward_t(const struct loam_lora_backward_args *args, double *dt)
{
    const struct loam_tensor *dy = &args->dy, *b = &args->b;
    int64_t rank = b->shape[1];
    for (int64_t i = 0; i < dy->shape[0]; i++) {
        for (int64_t j = 0; j < rank; j++) {
            double sum = 0.0;
            for (int64_t n = 0; n < b->shape[0]; n++) {
                sum += ref_load(dy, ref_at(dy, i, n)) * ref_load(b, ref_at(b, n, j));
            }
            dt[i * rank + j] = (double)args->scale * sum;
        }
    }
}

// db += scale dyT t
static void backward_b(const struct loam_lora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy, *t = &args->t, *db = &args->db;
    for (int64_t n = 0; n < db->shape[0]; n++) {
        for (int64_t j = 0; j < db->shape[1]; j++) {
            double sum = 0.0;
            for (int64_t i = 0; i < dy->shape[0]; i++) {
                sum += ref_load(dy, ref_at(dy, i, n)) * ref_load(t, ref_at(t, i, j));
            }
            ref_add(db, ref_at(db, n, j), (double)args->scale * sum);
        }
    }
}

// dbias += scale sum_t dy
static void backward_bias(const struct loam_lora_backward_args *args)
{
    const struct loam_tensor *dy = &args->dy;
    for (int64_t n = 0; n < dy->shape[1]; n++) {
        double sum = 0.0;
        for (int64_t i = 0; i < dy->shape[0]; i++)
            sum += ref_load(dy, ref_at(dy, i, n));
        ref_add(&args->dbias, n, (double)args->scale * sum);
    }
}

// da += dtT drop(x)
static void backward_a(const struct loam_lora_backward_args *args, const double *dt)
{
    const struct loam_tensor *x = &args->x, *da = &args->da;
    int64_t rank = da->shape[0], k_count = da->shape[1];
    for (int64_t j = 0; j < rank; j++) {
        for (int64_t k = 0; k < k_count; k++) {
            double sum = 0.0;
            for (int64_t i = 0; i < x->shape[0]; i++) {
                double dropped =
                    ref_dropout_factor(&args->dropout, i, k, k_count) * ref_load(x, ref_at(x, i, k));
                sum += dt[i * rank + j] * dropped;
            }
            ref_add(da, ref_at(da, j, k), sum);
        }
    }
}

// dx += dropped(dt a)
static void backward_x(const struct loam_lora_backward_args *args, const double *dt)
{
    const struct loam_tensor *a = &args->a, *dx = &args->dx;
    int64_t rank = a->shape[0], k_count = a->shape[1];
    for (int64_t i = 0; i < dx->shape[0]; i++) {
        for (int64_t k = 0; k < k_count; k++) {
            double sum = 0.0;
            for (int64_t j = 0; j < rank; j++)
                sum += dt[i * rank + j] * ref_load(a, ref_at(a, j, k));
            ref_add(dx, ref_at(dx, i, k), ref_dropout_factor(&args->dropout, i, k, k_count) * sum);
        }
    }
}

enum loam_status loam_ref_lora_backward(struct loam_stream *stream,
                                        const struct loam_lora_backward_args *args)
{
    double *dt = loam_stream_scratch(stream, loam_ref_lora_backward_scratch(stream->device, args)); // [T, r]
    if (dt == NULL) return LOAM_ERROR_INTERNAL;
    backward_t(args, dt);
    if (args->db.data != NULL) backward_b(args);
    if (args->dbias.data != NULL) backward_bias(args);
    if (args->da.data != NULL) backward_a(args, dt);
    if (args->dx.data != NULL) backward_x(args, dt);
    return LOAM_OK;
}

// ---- the embedding ----

enum loam_status loam_ref_lora_embedding_forward(struct loam_stream *stream,
                                                 const struct loam_lora_embedding_forward_args *args)
{
    (void)stream;
    const struct loam_tensor *a = &args->a, *b = &args->b, *y = &args->y;
    for (int64_t t = 0; t < y->shape[0]; t++) {
        const int64_t id = ref_index(&args->ids, t);
        for (int64_t h = 0; h < y->shape[1]; h++) {
            double sum = 0.0;
            for (int64_t j = 0; j < a->shape[0]; j++)
                sum += ref_load(b, ref_at(b, id, j)) * ref_load(a, ref_at(a, j, h));
            ref_add(y, ref_at(y, t, h), (double)args->scale * sum);
        }
    }
    return LOAM_OK;
}

enum loam_status loam_ref_lora_embedding_backward(struct loam_stream *stream,
                                                  const struct loam_lora_embedding_backward_args *args)
{
    (void)stream;
    const struct loam_tensor *dy = &args->dy, *a = &args->a, *b = &args->b;
    for (int64_t t = 0; t < dy->shape[0]; t++) {
        const int64_t id = ref_index(&args->ids, t);
        for (int64_t j = 0; j < a->shape[0]; j++) {
            double sum = 0.0;
            for (int64_t h = 0; h < dy->shape[1]; h++) {
                const double gradient = (double)args->scale * ref_load(dy, ref_at(dy, t, h));
                sum += gradient * ref_load(a, ref_at(a, j, h));
                ref_add(&args->da, ref_at(&args->da, j, h), gradient * ref_load(b, ref_at(b, id, j)));
            }
            ref_add(&args->db, ref_at(&args->db, id, j), sum);
        }
    }
    return LOAM_OK;
}
