// Attention in 16-bit numbers, which has kernels of its own for tensor cores, on fibers: shapes and mechanisms drawn at
// random, and the keys of few queries in parts.
#include "base/rng.h"
#include "device/gpu/fiber/fiber.h"
#include "op/device/common_op.h"

static struct loam_device *devices[LOAM_FIBER_ORDER_COUNT], *ref;

static int set_up(void **state)
{
    struct loam_error error = {0};
    (void)state;
    assert_ok(loam_device_create(&ref, "ref", 1, &error));
    for (enum loam_fiber_order order = LOAM_FIBER_FORWARD; order < LOAM_FIBER_ORDER_COUNT; order++)
        assert_ok(loam_device_fiber_create(&devices[order], order, &error));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (int order = 0; order < LOAM_FIBER_ORDER_COUNT; order++)
        loam_device_destroy(devices[order]);
    loam_device_destroy(ref);
    return 0;
}

static struct op_case draw_case(enum op op, uint64_t draw)
{
    static const int64_t sizes[] = {64, 80, 96, 128, 256};
    static const unsigned flags[] = {0, OP_ALIBI, OP_SOFTCAP, OP_FUSED_BLOCKS, OP_ALIBI | OP_FUSED_BLOCKS};
    uint32_t words[16];
    for (uint64_t i = 0; i < 4; i++)
        loam_rng_block(33, (uint64_t)op, 4 * draw + i, words + 4 * i);
    const int64_t groups = words[0] % 2 + 1;
    struct op_case c = {.op = op,
                        .heads = groups * (words[1] % 3 + 1),
                        .groups = groups,
                        .size = draw % 2 == 0 ? sizes[draw / 2 % 5] : words[2] % 256 + 1,
                        .kv_extra = (int32_t)(words[3] % 2 * (words[4] % 50)),
                        .window = (int32_t)(words[5] % 2 * (words[6] % 60 + 1)),
                        .pad = words[7] % 3 == 0 ? words[8] % 4 : words[8] % 2 * 8,
                        .flags = flags[words[9] % 5]};
    for (uint32_t s = 0; s <= words[10] % 3; s++)
        c.q_lengths[s] = (int32_t)(words[11 + s] % (s == 0 ? 90 : 5) + 1);
    if ((c.flags & OP_FUSED_BLOCKS) != 0) c.kv_extra = 0;
    return c;
}

static void check(enum op op, int draws)
{
    for (uint64_t draw = 0; draw < (uint64_t)draws; draw++) {
        const struct op_case test = draw_case(op, draw);
        op_check_case(&test, draw / 3 % 2 == 0 ? LOAM_BF16 : LOAM_F16, ref,
                      devices[draw % LOAM_FIBER_ORDER_COUNT]);
    }
}

static void test_forward(void **state)
{
    (void)state;
    check(OP_attention_forward, 30);
}

static void test_backward(void **state)
{
    (void)state;
    check(OP_attention_backward, 30);
}

// Keys in parts, of sequences of several lengths and with windows; the last one has more queries than are split.
static void test_many_keys(void **state)
{
    static const struct op_case cases[] = {
        {OP_attention_forward, .heads = 4, .groups = 2, .size = 64, .q_lengths = {1}, .kv_extra = 1100},
        {OP_attention_forward, .heads = 3, .groups = 1, .size = 20, .q_lengths = {2, 16, 1}, .kv_extra = 601,
         .pad = 1},
        {OP_attention_forward, .heads = 2, .groups = 2, .size = 128, .q_lengths = {3, 1}, .kv_extra = 700,
         .window = 90, .flags = OP_ALIBI},
        {OP_attention_forward, .heads = 2, .groups = 1, .size = 256, .q_lengths = {1}, .kv_extra = 520,
         .flags = OP_SOFTCAP | OP_LARGE},
        {OP_attention_forward, .heads = 1, .groups = 1, .size = 16, .q_lengths = {17}, .kv_extra = 520},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        op_check_case(&cases[i], LOAM_BF16, ref, devices[i % LOAM_FIBER_ORDER_COUNT]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward),
        cmocka_unit_test(test_backward),
        cmocka_unit_test(test_many_keys),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
