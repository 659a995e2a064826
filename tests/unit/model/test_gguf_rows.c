#include "model/gguf_rows.h"

#include "test.h"

static void orders(void **state)
{
    (void)state;
    const struct loam_config config = {.heads = 2, .kv_heads = 2, .head_dim = 4};
    const struct loam_config grouped = {.heads = 4, .kv_heads = 2, .head_dim = 1};
    static const struct {
        enum loam_gguf_rows order;
        int count;
        int64_t rows[24]; // of the checkpoint, in the order of GGUF
    } cases[] = {
        {LOAM_GGUF_ROWS_SAME, 4, {0, 1, 2, 3}},
        // The checkpoint: q of head 0 (0-3), k (4-7), v (8-11), then head 1.
        {LOAM_GGUF_ROWS_QKV, 24, {0,  1,  2,  3,  12, 13, 14, 15, 4,  5,  6,  7,
                                  16, 17, 18, 19, 8,  9,  10, 11, 20, 21, 22, 23}},
        {LOAM_GGUF_ROWS_ROPE, 8, {0, 2, 1, 3, 4, 6, 5, 7}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        for (int row = 0; row < cases[i].count; row++)
            assert_int_equal(loam_gguf_source_row(&config, cases[i].order, row), cases[i].rows[row]);
    // The checkpoint: q0 q1 k0 v0, q2 q3 k1 v1.
    static const int64_t groups[] = {0, 1, 4, 5, 2, 6, 3, 7};
    for (int row = 0; row < 8; row++)
        assert_int_equal(loam_gguf_source_row(&grouped, LOAM_GGUF_ROWS_GROUPS, row), groups[row]);
}

// Every row has a name that llama.cpp can hold, and a place for the layer where the checkpoint's has one.
static void names(void **state)
{
    (void)state;
    const struct loam_family *family;
    for (size_t i = 0; (family = loam_family_at(i)) != NULL; i++) {
        const bool known = family->gguf_architecture != NULL;
        for (size_t j = 0; j < family->row_count; j++) {
            const struct loam_weight_row *row = &family->rows[j];
            assert_int_equal(row->gguf == NULL, !known || row->role == LOAM_ROLE_IGNORED);
            if (row->gguf == NULL) continue;
            assert_true(strlen(row->gguf) < 50);
            assert_int_equal(strstr(row->gguf, "%d") != NULL, strstr(row->name, "%d") != NULL);
            const char *ending = strrchr(row->name, '.');
            assert_string_equal(strrchr(row->gguf, '.'), ending); // .weight or .bias
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(orders), cmocka_unit_test(names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
