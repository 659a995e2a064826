// Attention of bf16 against the reference in f32, over the shapes at which its blocks and pairs are cut, and
// over shapes, windows and soft caps drawn at random, there in f32 too. Where the processor multiplies bf16, weights and gradients of scores are rounded to it, so that a result
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
    int32_t window;
    float softcap;
};

// Queries fill no vector, one, and none again after blocks of them; keys likewise, an odd number of both; D
// is in whole vectors, or in whole pairs, or in neither.
static const struct shape shapes[] = {
    {2, 2, 64, {1, 47, 48}, 0, true, 0, 0},     {6, 2, 64, {49, 64, 65}, 0, false, 0, 0},
    {3, 1, 33, {65, 1, 17}, 0, true, 0, 0},     {2, 1, 20, {47, 9}, 62, true, 0, 0},
    {2, 2, 96, {49, 5}, 3, false, 0, 0},        {1, 1, 128, {130}, 0, true, 0, 0},
    {4, 2, 80, {64, 31}, 1, false, 0, 0},       {2, 2, 1, {65}, 0, false, 0, 0},
    {2, 1, 30, {6, 5, 33}, 67, false, 0, 0},    {1, 1, 48, {97, 144}, 0, false, 0, 0},
    {6, 2, 64, {49, 130, 65}, 0, false, 50, 0}, {2, 1, 20, {100}, 62, true, 1, 0},
    {2, 2, 33, {97, 144}, 0, false, 64, 2},     {4, 1, 80, {65, 31}, 1, false, 0, 3},
    {3, 1, 30, {4, 1}, 130, false, 70, 2},
};

// The arguments on one device. q, k, v and their gradients have gaps between their rows.
struct side {
    struct loam_tensor q, k, v, out, lse, dout, dq, dk, dv;
    struct loam_attention_shape shape;
    int32_t q_offsets[MOST_SEQUENCES + 1], kv_offsets[MOST_SEQUENCES + 1];
    float slopes[12];
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
    side->shape = (struct loam_attention_shape){
        .scale = (float)(1 / sqrt((double)size)), .window = shape->window, .softcap = shape->softcap};
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
static const double f32_share = 0x1p-6; // of what is allowed in bf16: the sums of f32 are off by less

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
    const double product = scale * dot(&s->q, q, head, &s->k, kv, group, &ignored),
                 cap = (double)s->shape.softcap;
    const double score = cap > 0 ? cap * tanh(product / cap) : product + bias;
    const double slope = cap > 0 ? 1 - score / cap * (score / cap) : 1, p = exp(score - lse);
    const double dp = dot(&s->dout, q, head, &s->v, kv, group, &sizes);
    const double ds = p * (dp - dot(&s->dout, q, head, &s->out, q, head, &sizes)) * slope;
    const double p_off = p * rounding, ds_off = scale * (fabs(ds) * rounding + p * sizes * 0x1p-16);
    for (int64_t i = 0; i < size; i++) {
        const int64_t of_q = (q * heads + head) * size + i, of_kv = (kv * groups + group) * size + i;
        sums->out[of_q] += p_off * fabs(get(&s->v, kv, group, i));
        sums->dv[of_kv] += p_off * fabs(get(&s->dout, q, head, i));
        sums->dq[of_q] += ds_off * fabs(get(&s->k, kv, group, i));
        sums->dk[of_kv] += ds_off * fabs(get(&s->q, q, head, i));
    }
}

// The row of the first key that a query row of sequence n sees.
static int64_t first_key(const struct side *s, int64_t n, int64_t q)
{
    const int64_t own = s->kv_offsets[n + 1] - s->q_offsets[n + 1] + q, first = own + 1 - s->shape.window;
    return s->shape.window > 0 && first > s->kv_offsets[n] ? first : s->kv_offsets[n];
}

static void add_pairs(const struct sums *sums, const struct side *s)
{
    for (int64_t n = 0; n + 1 < loam_tensor_count(&s->shape.q_offsets); n++)
        for (int64_t q = s->q_offsets[n]; q < s->q_offsets[n + 1]; q++)
            for (int64_t kv = first_key(s, n, q); s->kv_offsets[n + 1] - kv >= s->q_offsets[n + 1] - q; kv++)
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
        const double share = have->dtype == LOAM_F32 ? f32_share : 1;
        const double allowed = share * (most[i] + rounding * (fabs(value) + most[i]));
        if (!(fabs(off) <= allowed))
            fail_msg("%s (%s) of %d heads over %d of %d, %d, %d and %d queries after %d, window %d, cap %g: "
                     "[%d, %d, %d] is off by %g, allowed %g",
                     name, loam_dtype_name(have->dtype), (int)shape->heads, (int)shape->groups,
                     (int)shape->size, (int)shape->lengths[0], (int)shape->lengths[1], (int)shape->lengths[2],
                     (int)shape->before, (int)shape->window, (double)shape->softcap, (int)row, (int)head,
                     (int)(i % size), off, allowed);
    }
}

static void check_shape(const struct shape *shape, enum loam_dtype dtype)
{
    struct side ref, cpu;
    set_up(&ref, shape, LOAM_F32);
    set_up(&cpu, shape, dtype);
    run("ref", &ref, false);
    run("cpu", &cpu, false);
    const size_t queries = (size_t)loam_tensor_count(&ref.q), keys = (size_t)loam_tensor_count(&ref.k);
    double *memory = calloc(2 * (queries + keys), sizeof *memory);
    assert_non_null(memory);
    const struct sums sums = {memory, memory + queries, memory + 2 * queries, memory + 2 * queries + keys};
    // Both backward passes start from what is kept of the forward.
    struct loam_tensor forward = ref.out;
    ref.out = take(LOAM_F32, forward.shape[0], shape->heads, shape->size, 0);
    loam_convert(ref.out.data, LOAM_F32, cpu.out.data, dtype, queries);
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
        check_shape(&shapes[i], LOAM_BF16);
}

static int64_t draw(uint64_t stream, uint64_t *counter, int64_t least, int64_t most)
{
    return least + (int64_t)(loam_rng_uniform(29, stream, (*counter)++) * (float)(most - least + 1));
}

// One third has so few queries that they are read from a cache as in decoding.
static struct shape draw_shape(uint64_t number)
{
    uint64_t n = 0;
    const bool few = number % 3 == 0;
    struct shape shape = {.groups = draw(number, &n, 1, 3), .size = draw(number, &n, 1, 70)};
    shape.heads = shape.groups * draw(number, &n, 1, 4);
    shape.before = (int32_t)(draw(number, &n, 0, 1) * draw(number, &n, 0, few ? 300 : 90));
    const int64_t sequences = draw(number, &n, 1, MOST_SEQUENCES);
    for (int64_t i = 0; i < sequences; i++)
        shape.lengths[i] = (int32_t)draw(number, &n, 1, few ? 4 : 150);
    if (draw(number, &n, 0, 3) > 0) shape.window = (int32_t)draw(number, &n, 1, few ? 200 : 160);
    const int64_t kind = draw(number, &n, 0, 3);
    if (kind == 1) shape.alibi = true;
    if (kind > 1) shape.softcap = (float)draw(number, &n, 1, 40) / 4;
    return shape;
}

static void test_shapes_drawn_at_random(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 60; i++) {
        const struct shape shape = draw_shape(i);
        check_shape(&shape, i % 2 == 0 ? LOAM_F32 : LOAM_BF16);
    }
}

// A window of all keys gives the bits of no window.
static void test_window_of_all_keys(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof shapes[0]; i++) {
        struct side all, window;
        struct shape shape = shapes[i / 2];
        shape.window = 0;
        set_up(&all, &shape, i % 2 == 0 ? LOAM_F32 : LOAM_BF16);
        shape.window = i % 4 < 2 ? all.shape.max_kv : INT32_MAX;
        set_up(&window, &shape, i % 2 == 0 ? LOAM_F32 : LOAM_BF16);
        const struct loam_tensor *have[] = {&window.out, &window.lse, &window.dq, &window.dk, &window.dv};
        const struct loam_tensor *want[] = {&all.out, &all.lse, &all.dq, &all.dk, &all.dv};
        for (int backward = 0; backward < 2; backward++) {
            run("cpu", &all, backward != 0);
            run("cpu", &window, backward != 0);
        }
        for (size_t n = 0; n < sizeof have / sizeof have[0]; n++) {
            const int64_t elements = want[n]->shape[0] * want[n]->stride[0];
            assert_memory_equal(have[n]->data, want[n]->data,
                                (size_t)elements * loam_dtype_size(want[n]->dtype));
        }
        tear_down(&all);
        tear_down(&window);
    }
}

static void put(const struct loam_tensor *x, int64_t row, int64_t i, float value)
{
    const size_t at = (size_t)(row * x->stride[0] + i);
    loam_convert((char *)x->data + at * loam_dtype_size(x->dtype), x->dtype, &value, LOAM_F32, 1);
}

// Each key's score is `step` from the one before. A maximum over keys that a query does not see would leave no
// weight to those that it sees.
static void check_steep_scores(const struct shape *shape, enum loam_dtype dtype, int64_t step)
{
    struct side side;
    set_up(&side, shape, dtype);
    for (int64_t row = 0; row < side.k.shape[0]; row++)
        for (int64_t i = 0; i < shape->size; i++)
            put(&side.k, row, i, i == 0 ? (float)(8 * step * row) : 0);
    for (int64_t row = 0; row < side.q.shape[0]; row++)
        for (int64_t i = 0; i < shape->size; i++)
            put(&side.q, row, i, i == 0 ? 1 : 0);
    run("cpu", &side, false);
    for (int64_t row = 0; row < side.q.shape[0]; row++)
        for (int64_t i = 0; i < shape->size; i++) {
            const int64_t key = step > 0 ? row + shape->before : first_key(&side, 0, row);
            assert_true(fabs(get(&side.out, row, 0, i) - get(&side.v, key, 0, i)) < 1e-5);
        }
    tear_down(&side);
}

static void test_unseen_keys_may_score_higher(void **state)
{
    (void)state;
    static const struct shape steep[] = {
        {1, 1, 64, {130}, 0, false, 0, 0},   {1, 1, 64, {130}, 0, false, 40, 0},
        {1, 1, 64, {130}, 30, false, 64, 0}, {1, 1, 64, {4}, 126, false, 0, 0},
        {1, 1, 64, {4}, 126, false, 65, 0},  {1, 1, 64, {3}, 160, false, 1, 0},
    };
    for (size_t i = 0; i < sizeof steep / sizeof steep[0]; i++)
        for (int64_t step = -16; step <= 16; step += 32) {
            check_steep_scores(&steep[i], LOAM_F32, step);
            check_steep_scores(&steep[i], LOAM_BF16, step);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bf16_of_all_shapes), cmocka_unit_test(test_shapes_drawn_at_random),
        cmocka_unit_test(test_window_of_all_keys), cmocka_unit_test(test_unseen_keys_may_score_higher)};
    const int missing = test_level_is_missing();
    return missing != 0 ? missing : cmocka_run_group_tests(tests, NULL, NULL);
}
