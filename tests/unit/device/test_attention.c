// Attention of bf16 against the reference in f32, over the shapes at which its blocks and pairs are cut.
// Where the processor multiplies bf16, weights and gradients of scores are rounded to it, so that a result
// may be off by what that makes of its terms, and no more.
#include <math.h>

#include "isa.h"

#include "base/rng.h"

enum { PAD = 3, MOST_SEQUENCES = 3 };

struct shape {
    int64_t heads, groups, size;
    int32_t lengths[MOST_SEQUENCES]; // of queries
    int32_t before;                  // keys of each sequence before its queries
    bool alibi;
};

// Queries fill no vector, one, and none again after blocks of them; keys likewise, an odd number of both; D
// is in whole vectors, or in whole pairs, or in neither.
static const struct shape shapes[] = {
    {2, 2, 64, {1, 47, 48}, 0, true}, {6, 2, 64, {49, 64, 65}, 0, false}, {3, 1, 33, {65, 1, 17}, 0, true},
    {2, 1, 20, {47, 9}, 62, true},    {2, 2, 96, {49, 5}, 3, false},      {1, 1, 128, {130}, 0, true},
    {4, 2, 80, {64, 31}, 1, false},   {2, 2, 1, {65}, 0, false},          {2, 1, 30, {6, 5, 33}, 67, false},
    {1, 1, 48, {97, 144}, 0, false},
};

// The arguments on one device. q, k, v and their gradients have gaps between their rows.
struct side {
    struct loam_tensor q, k, v, out, lse, dout, dq, dk, dv;
    struct loam_attention_shape shape;
    int32_t q_offsets[MOST_SEQUENCES + 1], kv_offsets[MOST_SEQUENCES + 1];
    float slopes[8];
};

static double get(const struct loam_tensor *x, int64_t row, int64_t head, int64_t i)
{
    const int64_t at = row * x->stride[0] + head * x->stride[1] + i;
    if (x->dtype == LOAM_F32) return (double)((const float *)x->data)[at];
    return (double)loam_bf16_to_f32(((const uint16_t *)x->data)[at]);
}

static struct loam_tensor take(enum loam_dtype dtype, int64_t rows, int64_t heads, int64_t size, int64_t pad)
{
    void *data = calloc((size_t)(rows * (heads * size + pad)), loam_dtype_size(dtype));
    assert_non_null(data);
    struct loam_tensor x = loam_tensor_3d(data, dtype, rows, heads, size);
    x.stride[0] += pad;
    return x;
}

// Numbers in [-2, 2) that bf16 holds, the same in each dtype.
static struct loam_tensor take_noise(enum loam_dtype dtype, int64_t rows, int64_t heads, int64_t size,
                                     int64_t pad, uint64_t stream)
{
    const struct loam_tensor x = take(dtype, rows, heads, size, pad);
    for (int64_t i = 0; i < rows * x.stride[0]; i++) {
        const uint16_t half = loam_f32_to_bf16(4 * loam_rng_uniform(5, stream, (uint64_t)i) - 2);
        loam_convert((char *)x.data + (size_t)i * loam_dtype_size(dtype), dtype, &half, LOAM_BF16, 1);
    }
    return x;
}

static void set_up(struct side *side, const struct shape *shape, enum loam_dtype dtype)
{
    const int64_t heads = shape->heads, groups = shape->groups, size = shape->size;
    int32_t count = 0, q = 0, kv = 0;
    side->shape = (struct loam_attention_shape){.scale = (float)(1 / sqrt((double)size))};
    for (; count < MOST_SEQUENCES && shape->lengths[count] > 0; count++) {
        const int32_t length = shape->lengths[count], keys = length + shape->before;
        side->q_offsets[count] = q;
        side->kv_offsets[count] = kv;
        q += length;
        kv += keys;
        if (length > side->shape.max_q) side->shape.max_q = length;
        if (keys > side->shape.max_kv) side->shape.max_kv = keys;
    }
    side->q_offsets[count] = q;
    side->kv_offsets[count] = kv;
    side->shape.q_offsets = loam_tensor_1d(side->q_offsets, LOAM_I32, count + 1);
    side->shape.kv_offsets = loam_tensor_1d(side->kv_offsets, LOAM_I32, count + 1);
    for (int64_t h = 0; h < heads; h++)
        side->slopes[h] = ldexpf(1, -1 - (int)h);
    if (shape->alibi) side->shape.slopes = loam_tensor_1d(side->slopes, LOAM_F32, heads);
    side->q = take_noise(dtype, q, heads, size, PAD, 1);
    side->k = take_noise(dtype, kv, groups, size, PAD, 2);
    side->v = take_noise(dtype, kv, groups, size, PAD, 3);
    side->dout = take_noise(dtype, q, heads, size, 0, 4);
    side->out = take(dtype, q, heads, size, 0);
    side->lse = loam_tensor_2d(take(LOAM_F32, heads, 1, q, 0).data, LOAM_F32, heads, q);
    side->dq = take(dtype, q, heads, size, PAD);
    side->dk = take(dtype, kv, groups, size, PAD);
    side->dv = take(dtype, kv, groups, size, PAD);
}

static void tear_down(struct side *side)
{
    void *all[] = {side->q.data,    side->k.data,  side->v.data,  side->out.data, side->lse.data,
                   side->dout.data, side->dq.data, side->dk.data, side->dv.data};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run(const char *name, const struct side *s, bool backward)
{
    struct loam_error error = {0};
    struct loam_device *device;
    struct loam_stream planning, stream;
    const struct loam_attention_forward_args f = {
        .q = s->q, .k = s->k, .v = s->v, .shape = s->shape, .out = s->out, .lse = s->lse};
    const struct loam_attention_backward_args b = {.q = s->q,
                                                   .k = s->k,
                                                   .v = s->v,
                                                   .shape = s->shape,
                                                   .out = s->out,
                                                   .lse = s->lse,
                                                   .dout = s->dout,
                                                   .dq = s->dq,
                                                   .dk = s->dk,
                                                   .dv = s->dv};
    assert_ok(loam_device_create(&device, name, 2, &error));
    loam_stream_init_planning(&planning, device);
    loam_attention_forward(&planning, &f);
    loam_attention_backward(&planning, &b);
    assert_ok(loam_stream_init(&stream, device, planning.scratch_needed, &error));
    if (backward)
        loam_attention_backward(&stream, &b);
    else
        loam_attention_forward(&stream, &f);
    assert_ok(loam_stream_finish(&stream, &error));
    loam_stream_deinit(&stream);
    loam_device_destroy(device);
}

// ---- how far off results may be ----

static const double rounding = 0x1p-8 + 0x1p-15; // to bf16 with its 8 bits, of a number that f32 has made

// sums of magnitudes: what comes from a query and a key that it sees
struct sums {
    double *out, *dq, *dk, *dv; // [rows, heads, D]
};

static double dot(const struct loam_tensor *x, int64_t x_row, int64_t x_head, const struct loam_tensor *y,
                  int64_t y_row, int64_t y_head, double *sizes)
{
    double sum = 0;
    for (int64_t i = 0; i < x->shape[2]; i++) {
        const double term = get(x, x_row, x_head, i) * get(y, y_row, y_head, i);
        sum += term;
        *sizes += fabs(term);
    }
    return sum;
}

// Query row `q` and key row `kv`, which is the `key`th of its sequence.
static void add_pair(const struct sums *sums, const struct side *s, int64_t q, int64_t kv, int64_t head,
                     double bias)
{
    const int64_t heads = s->q.shape[1], groups = s->k.shape[1], size = s->q.shape[2];
    const int64_t group = head / (heads / groups);
    const double scale = (double)s->shape.scale, lse = get(&s->lse, head, 0, q);
    double sizes = 0, ignored = 0;
    const double p = exp(scale * dot(&s->q, q, head, &s->k, kv, group, &ignored) + bias - lse);
    const double dp = dot(&s->dout, q, head, &s->v, kv, group, &sizes);
    const double ds = p * (dp - dot(&s->dout, q, head, &s->out, q, head, &sizes));
    const double p_off = p * rounding, ds_off = scale * (fabs(ds) * rounding + p * sizes * 0x1p-16);
    for (int64_t i = 0; i < size; i++) {
        const int64_t of_q = (q * heads + head) * size + i, of_kv = (kv * groups + group) * size + i;
        sums->out[of_q] += p_off * fabs(get(&s->v, kv, group, i));
        sums->dv[of_kv] += p_off * fabs(get(&s->dout, q, head, i));
        sums->dq[of_q] += ds_off * fabs(get(&s->k, kv, group, i));
        sums->dk[of_kv] += ds_off * fabs(get(&s->q, q, head, i));
    }
}

static void add_pairs(const struct sums *sums, const struct side *s)
{
    for (int64_t n = 0; n + 1 < loam_tensor_count(&s->shape.q_offsets); n++)
        for (int64_t q = s->q_offsets[n]; q < s->q_offsets[n + 1]; q++)
            for (int64_t kv = s->kv_offsets[n]; s->kv_offsets[n + 1] - kv >= s->q_offsets[n + 1] - q; kv++)
                for (int64_t head = 0; head < s->q.shape[1]; head++) {
                    const double slope = s->shape.slopes.data != NULL ? (double)s->slopes[head] : 0;
                    add_pair(sums, s, q, kv, head, slope * (double)(kv - s->kv_offsets[n]));
                }
}

static void check(const char *name, const struct shape *shape, const struct loam_tensor *have,
                  const struct loam_tensor *want, const double *most)
{
    const int64_t heads = have->shape[1], size = have->shape[2];
    for (int64_t i = 0; i < have->shape[0] * heads * size; i++) {
        const int64_t row = i / (heads * size), head = i / size % heads;
        const double value = get(want, row, head, i % size), off = get(have, row, head, i % size) - value;
        const double allowed = most[i] + rounding * (fabs(value) + most[i]);
        if (!(fabs(off) <= allowed))
            fail_msg("%s of %d heads of %d, %d and %d queries: [%d, %d, %d] is off by %g, allowed %g", name,
                     (int)shape->heads, (int)shape->size, (int)shape->lengths[0], (int)shape->lengths[1],
                     (int)row, (int)head, (int)(i % size), off, allowed);
    }
}

static void check_shape(const struct shape *shape)
{
    struct side ref, cpu;
    set_up(&ref, shape, LOAM_F32);
    set_up(&cpu, shape, LOAM_BF16);
    run("ref", &ref, false);
    run("cpu", &cpu, false);
    const size_t queries = (size_t)loam_tensor_count(&ref.q), keys = (size_t)loam_tensor_count(&ref.k);
    double *memory = calloc(2 * (queries + keys), sizeof *memory);
    assert_non_null(memory);
    const struct sums sums = {memory, memory + queries, memory + 2 * queries, memory + 2 * queries + keys};
    // Both backward passes start from what is kept of the forward.
    struct loam_tensor forward = ref.out;
    ref.out = take(LOAM_F32, forward.shape[0], shape->heads, shape->size, 0);
    loam_convert(ref.out.data, LOAM_F32, cpu.out.data, LOAM_BF16, queries);
    add_pairs(&sums, &ref);
    check("out", shape, &cpu.out, &forward, sums.out);
    for (int64_t i = 0; i < loam_tensor_count(&ref.lse); i++) {
        const float *have = cpu.lse.data, *want = ref.lse.data;
        if (!(fabsf(have[i] - want[i]) <= 1e-5f * (1 + fabsf(want[i])))) fail_msg("lse %d", (int)i);
    }
    memcpy(cpu.lse.data, ref.lse.data, loam_tensor_bytes(&ref.lse));
    run("ref", &ref, true);
    run("cpu", &cpu, true);
    check("dq", shape, &cpu.dq, &ref.dq, sums.dq);
    check("dk", shape, &cpu.dk, &ref.dk, sums.dk);
    check("dv", shape, &cpu.dv, &ref.dv, sums.dv);
    free(memory);
    free(forward.data);
    tear_down(&ref);
    tear_down(&cpu);
}

static void test_bf16_of_all_shapes(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        check_shape(&shapes[i]);
}

static void put(const struct loam_tensor *x, int64_t row, int64_t i, float value)
{
    const size_t at = (size_t)(row * x->stride[0] + i);
    loam_convert((char *)x->data + at * loam_dtype_size(x->dtype), x->dtype, &value, LOAM_F32, 1);
}

// Each key's score is 16 more than the one before, so a query's output is the value of the last key that it
// sees. A maximum over keys that it does not see would leave no weight to those that it sees.
static void test_unseen_keys_may_score_higher(void **state)
{
    (void)state;
    static const struct shape shape = {1, 1, 64, {130}, 0, false};
    static const enum loam_dtype dtypes[] = {LOAM_F32, LOAM_BF16};
    for (size_t n = 0; n < 2; n++) {
        struct side side;
        set_up(&side, &shape, dtypes[n]);
        for (int64_t row = 0; row < 130; row++)
            for (int64_t i = 0; i < shape.size; i++) {
                put(&side.q, row, i, i == 0 ? 1 : 0);
                put(&side.k, row, i, i == 0 ? (float)(128 * row) : 0);
            }
        run("cpu", &side, false);
        for (int64_t row = 0; row < 130; row++)
            for (int64_t i = 0; i < shape.size; i++)
                assert_true(fabs(get(&side.out, row, 0, i) - get(&side.v, row, 0, i)) < 1e-5);
        tear_down(&side);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_bf16_of_all_shapes),
                                       cmocka_unit_test(test_unseen_keys_may_score_higher)};
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
