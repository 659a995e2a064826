#include <math.h>

#include "device/ref/ref.h"

// One row of logits, and one of dh.
size_t loam_ref_linear_cross_entropy_scratch(const struct loam_device *device,
                                             const struct loam_linear_cross_entropy_args *args)
{
    (void)device;
    return loam_scratch_bytes(args->w.tensor.shape[0], sizeof(double)) +
           loam_scratch_bytes(args->h.shape[1], sizeof(double));
}

// cap tanh(factor x / cap), or factor x without a cap
static double cap_logit(double x, float factor, float cap)
{
    const double scaled = (double)factor * x;
    return cap > 0 ? (double)cap * tanh(scaled / (double)cap) : scaled;
}

// logits [V] of token t; returns their log-sum-exp.
static double row_logits(const struct loam_linear_cross_entropy_args *args, int64_t t, double *logits)
{
    const struct loam_tensor *h = &args->h, *w = &args->w.tensor;
    double largest = -INFINITY, sum = 0.0;
    for (int64_t v = 0; v < w->shape[0]; v++) {
        logits[v] = args->bias.data != NULL ? ref_load(&args->bias, v) : 0.0;
        for (int64_t i = 0; i < h->shape[1]; i++) {
            logits[v] += ref_load(h, ref_at(h, t, i)) * ref_load(w, ref_at(w, v, i));
        }
        logits[v] = cap_logit(logits[v], args->logit_factor, args->logit_softcap);
        largest = fmax(largest, logits[v]);
    }
    for (int64_t v = 0; v < w->shape[0]; v++)
        sum += exp(logits[v] - largest);
    return largest + log(sum);
}

// The derivative of a logit with respect to h w + bias.
static double logit_slope(const struct loam_linear_cross_entropy_args *args, double logit)
{
    const double share = args->logit_softcap > 0 ? logit / (double)args->logit_softcap : 0.0;
    return (double)args->logit_factor * (1.0 - share * share);
}

// g = factors[t] (p - onehot(targets[t])) times the slopes of the logits; dh = g w; dw += gT h; dbias += g
static void row_backward(const struct loam_linear_cross_entropy_args *args, int64_t t, const double *logits,
                         double lse, double *sum)
{
    const struct loam_tensor *h = &args->h, *w = &args->w.tensor, *dh = &args->dh, *dw = &args->dw;
    const int64_t size = h->shape[1], target = ref_index(&args->targets, t);
    const double factor = ref_load(&args->factors, t);
    for (int64_t i = 0; i < size; i++)
        sum[i] = 0.0;
    for (int64_t v = 0; v < w->shape[0]; v++) {
        double g = factor * (exp(logits[v] - lse) - (v == target ? 1.0 : 0.0)) * logit_slope(args, logits[v]);
        for (int64_t i = 0; i < size; i++)
            sum[i] += g * ref_load(w, ref_at(w, v, i));
        for (int64_t i = 0; i < size && dw->data != NULL; i++) {
            ref_add(dw, ref_at(dw, v, i), g * ref_load(h, ref_at(h, t, i)));
        }
        if (args->dbias.data != NULL) ref_add(&args->dbias, v, g);
    }
    for (int64_t i = 0; i < size && dh->data != NULL; i++)
        ref_store(dh, ref_at(dh, t, i), sum[i]);
}

enum loam_status loam_ref_linear_cross_entropy(struct loam_stream *stream,
                                               const struct loam_linear_cross_entropy_args *args)
{
    const struct loam_tensor *dh = &args->dh;
    bool gradients = dh->data != NULL || args->dw.data != NULL || args->dbias.data != NULL;
    double *logits = loam_stream_scratch(stream, (size_t)args->w.tensor.shape[0] * sizeof(double));
    double *sum = loam_stream_scratch(stream, (size_t)args->h.shape[1] * sizeof(double));
    if (logits == NULL || sum == NULL) return LOAM_ERROR_INTERNAL;
    for (int64_t t = 0; t < args->h.shape[0]; t++) {
        const int64_t target = ref_index(&args->targets, t);
        if (target == LOAM_NO_TARGET) {
            ref_store(&args->losses, t, 0.0);
            for (int64_t i = 0; i < dh->shape[1] && dh->data != NULL; i++)
                ref_store(dh, ref_at(dh, t, i), 0.0);
            continue;
        }
        double lse = row_logits(args, t, logits);
        ref_store(&args->losses, t, lse - logits[target]);
        if (gradients) row_backward(args, t, logits, lse, sum);
    }
    return LOAM_OK;
}

// Of row t; the sums run without the target, whose probability may be nearly 1.
static void row_cross_entropy(const struct loam_cross_entropy_args *args, int64_t t)
{
    const struct loam_tensor *x = &args->products;
    const int64_t target = ref_index(&args->targets, t);
    const float factor = args->logit_factor, cap = args->logit_softcap;
    double largest = -INFINITY, others = 0.0;
    for (int64_t v = 0; v < x->shape[1]; v++)
        largest = fmax(largest, cap_logit(ref_load(x, ref_at(x, t, v)), factor, cap));
    for (int64_t v = 0; v < x->shape[1]; v++)
        if (v != target) others += exp(cap_logit(ref_load(x, ref_at(x, t, v)), factor, cap) - largest);
    const double own = cap_logit(ref_load(x, ref_at(x, t, target)), factor, cap) - largest;
    const double total = others + exp(own);
    ref_store(&args->losses, t, log(total) - own);
    for (int64_t v = 0; v < x->shape[1] && args->factors.data != NULL; v++) {
        const double logit = cap_logit(ref_load(x, ref_at(x, t, v)), factor, cap);
        const double share = cap > 0 ? logit / (double)cap : 0.0;
        const double p = v == target ? -others / total : exp(logit - largest) / total;
        ref_store(x, ref_at(x, t, v),
                  ref_load(&args->factors, t) * p * (double)factor * (1.0 - share * share));
    }
}

enum loam_status loam_ref_cross_entropy(struct loam_stream *stream,
                                        const struct loam_cross_entropy_args *args)
{
    (void)stream;
    const struct loam_tensor *x = &args->products;
    for (int64_t t = 0; t < x->shape[0]; t++) {
        if (ref_index(&args->targets, t) != LOAM_NO_TARGET) {
            row_cross_entropy(args, t);
            continue;
        }
        ref_store(&args->losses, t, 0.0);
        for (int64_t v = 0; v < x->shape[1] && args->factors.data != NULL; v++)
            ref_store(x, ref_at(x, t, v), 0.0);
    }
    return LOAM_OK;
}

enum loam_status loam_ref_cap_logits(struct loam_stream *stream, const struct loam_cap_logits_args *args)
{
    (void)stream;
    for (int64_t i = 0; i < loam_tensor_count(&args->x); i++)
        ref_store(&args->x, i, cap_logit(ref_load(&args->x, i), args->factor, args->softcap));
    return LOAM_OK;
}
