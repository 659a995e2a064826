// The kernels of GPUs, run on fibers, against the reference over the whole case table. A missing barrier may show in
// one order of the threads only.
#include "base/rng.h"
#include "device/gpu/fiber/fiber.h"
#include "op/device/common_op.h"

static void check_order(enum loam_fiber_order order, unsigned dtypes)
{
    struct loam_error error = {0};
    struct loam_device *device = NULL;
    assert_ok(loam_device_fiber_create(&device, order, &error));
    op_check_device(device, dtypes);
    loam_device_destroy(device);
}

// Sanitizers look at addresses and not at results, so each type runs in one of the orders.
static void test_forward(void **state)
{
    (void)state;
#ifdef __SANITIZE_ADDRESS__
    check_order(LOAM_FIBER_FORWARD, 1u << LOAM_F16);
#else
    check_order(LOAM_FIBER_FORWARD, 1u << LOAM_F32 | 1u << LOAM_BF16 | 1u << LOAM_F16);
#endif
}

static void test_reversed(void **state)
{
    (void)state;
    check_order(LOAM_FIBER_REVERSED, 1u << LOAM_F32);
}

static void test_shuffled(void **state)
{
    (void)state;
    check_order(LOAM_FIBER_SHUFFLED, 1u << LOAM_BF16);
}

// Sizes and mechanisms drawn at random, for the ops that have tiles.
static struct op_case draw_case(uint64_t draw)
{
    static const enum op ops[] = {
        OP_linear_forward,  OP_linear_backward_input, OP_linear_backward_weight, OP_lora_forward,
        OP_lora_backward,   OP_lora_linear_forward,   OP_lora_linear_backward,   OP_linear_cross_entropy,
        OP_linears_forward, OP_linears_backward,      OP_attention_forward,      OP_attention_backward};
    static const unsigned flags[] = {OP_TRANSPOSED | OP_ACCUMULATE,
                                     OP_IN_PLACE,
                                     OP_DROPOUT | OP_BIAS,
                                     OP_HALF_WEIGHT,
                                     OP_ALIBI,
                                     OP_SOFTCAP,
                                     OP_FUSED_BLOCKS};
    static const int64_t sizes[] = {1, 7, 16, 33, 64, 80, 96, 128, 255, 256};
    uint32_t words[16];
    for (uint64_t i = 0; i < 4; i++)
        loam_rng_block(21, 8, 4 * draw + i, words + 4 * i);
    const int64_t groups = words[0] % 3 + 1;
    struct op_case c = {.op = ops[draw % (sizeof ops / sizeof ops[0])],
                        .t = words[1] % 90 + 1,
                        .k = words[2] % 90 + 1,
                        .n = words[3] % 200 + 1,
                        .r = words[4] % 20 + 1,
                        .heads = groups * (words[5] % 3 + 1),
                        .groups = groups,
                        .size = sizes[words[6] % 10],
                        .q_lengths = {(int32_t)(words[7] % 40 + 1), (int32_t)(words[8] % 20 + 1)},
                        .kv_extra = (int32_t)(words[9] % 2 * (words[10] % 40)),
                        .window = (int32_t)(words[11] % 2 * (words[12] % 30 + 1)),
                        .pad = words[13] % 3,
                        .flags = flags[words[14] % 7]};
    if (c.op == OP_linear_cross_entropy || c.op == OP_linear_backward_weight)
        c.flags &= ~(unsigned)OP_TRANSPOSED;
    if ((c.flags & OP_FUSED_BLOCKS) != 0) c.kv_extra = 0; // rows of queries and keys are the same
    return c;
}

static void test_random_sizes(void **state)
{
    (void)state;
    enum { DRAWS = 72 };
    struct loam_error error = {0};
    struct loam_device *ref = NULL, *device = NULL;
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    assert_ok(loam_device_fiber_create(&device, LOAM_FIBER_SHUFFLED, &error));
    for (uint64_t draw = 0; draw < DRAWS; draw++) {
        const struct op_case test = draw_case(draw);
        op_check_case(&test, draw / 8 % 2 == 0 ? LOAM_F32 : LOAM_BF16, ref, device);
    }
    loam_device_destroy(device);
    loam_device_destroy(ref);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_reversed),
        cmocka_unit_test(test_shuffled),
        cmocka_unit_test(test_random_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
