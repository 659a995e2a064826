// Heap, byte strings and arenas.
#include "base/arena.h"
#include "base/bytes.h"
#include "base/heap.h"
#include "test.h"

static void heap_is_zeroed_and_checked(void **state)
{
    (void)state;
    struct loam_error error = {0};
    unsigned char *memory = loam_calloc(100, 3, &error);
    assert_non_null(memory);
    for (int i = 0; i < 300; i++)
        assert_int_equal(memory[i], 0);
    free(memory);
    void *nothing = loam_calloc(0, 8, &error);
    assert_non_null(nothing);
    free(nothing);
    // The product wraps around to 8, which must be detected: sizes may come from a file.
    assert_null(loam_calloc(SIZE_MAX / 8 + 2, 8, &error));
    assert_int_equal(error.status, LOAM_ERROR_MEMORY);
    assert_null(loam_strndup("x", SIZE_MAX, &error));
}

static void strings_are_copied(void **state)
{
    (void)state;
    struct loam_error error = {0};
    char *copy = loam_strndup("abcdef", 3, &error);
    assert_string_equal(copy, "abc");
    free(copy);
    copy = loam_strdup("", &error);
    assert_string_equal(copy, "");
    free(copy);
    copy = loam_format(&error, "%s.%d.%s", "h", 12, "weight");
    assert_string_equal(copy, "h.12.weight");
    free(copy);
}

static void sizes_do_not_wrap(void **state)
{
    (void)state;
    size_t result = 0;
    assert_true(loam_mul_size(SIZE_MAX / 2, 2, &result));
    assert_int_equal(result, SIZE_MAX - 1);
    assert_false(loam_mul_size(SIZE_MAX / 2 + 1, 2, &result));
    assert_true(loam_mul_size(0, SIZE_MAX, &result));
    assert_int_equal(result, 0);
    assert_true(loam_add_size(SIZE_MAX - 1, 1, &result));
    assert_false(loam_add_size(SIZE_MAX, 1, &result));
    assert_int_equal(loam_add_bytes(INT64_MAX - 1, 1), INT64_MAX);
    assert_int_equal(loam_add_bytes((int64_t)1 << 62, (int64_t)1 << 62), INT64_MAX);
    assert_int_equal(loam_add_bytes(loam_add_bytes((int64_t)1 << 62, (int64_t)1 << 62), 7), INT64_MAX);
}

static void bytes_grow(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_bytes bytes = {0};
    for (int i = 0; i < 1000; i++) {
        assert_ok(loam_bytes_format(&bytes, &error, "%03d", i));
        assert_int_equal(bytes.data[bytes.size], '\0');
    }
    assert_int_equal(bytes.size, 3000);
    assert_memory_equal(bytes.data + 2997, "999", 4);
    loam_bytes_clear(&bytes);
    assert_int_equal(bytes.size, 0);
    assert_string_equal(bytes.data, "");
    assert_ok(loam_bytes_append(&bytes, "a\0b", 3, &error));
    assert_ok(loam_bytes_append(&bytes, NULL, 0, &error));
    assert_ok(loam_bytes_append_text(&bytes, "c", &error));
    assert_int_equal(bytes.size, 4);
    assert_memory_equal(bytes.data, "a\0bc", 5);
    assert_fails(loam_bytes_reserve(&bytes, SIZE_MAX, &error), LOAM_ERROR_MEMORY, "out of memory");
    assert_fails(loam_bytes_append(&bytes, "x", SIZE_MAX, &error), LOAM_ERROR_MEMORY, "out of memory");
    assert_memory_equal(bytes.data, "a\0bc", 5); // a refusal changes nothing
    loam_bytes_deinit(&bytes);
    assert_null(bytes.data);
}

static void arena_hands_out_aligned_memory(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena arena;
    assert_ok(loam_arena_init(&arena, 10000, true, &error));
    assert_true(arena.capacity >= 10000);
    for (size_t i = 0; i < arena.capacity; i++)
        assert_int_equal(arena.base[i], 0);
    char *first = loam_arena_alloc(&arena, 1);
    char *second = loam_arena_alloc(&arena, 65);
    char *third = loam_arena_alloc(&arena, 0);
    assert_int_equal((uintptr_t)first % LOAM_ARENA_ALIGN, 0);
    assert_ptr_equal(second, first + 64);
    assert_ptr_equal(third, second + 128);
    assert_int_equal(arena.used, 192);
    loam_arena_deinit(&arena);
    assert_null(arena.base);
    loam_arena_deinit(&arena); // harmless
}

static void arena_mark_and_release(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena arena;
    assert_ok(loam_arena_init(&arena, 4096, false, &error));
    void *kept = loam_arena_alloc(&arena, 100);
    size_t mark = loam_arena_mark(&arena);
    void *lent = loam_arena_alloc(&arena, 1000);
    loam_arena_release(&arena, mark);
    assert_int_equal(arena.used, mark);
    assert_ptr_equal(loam_arena_alloc(&arena, 10), lent);
    assert_ptr_not_equal(lent, kept);
    assert_int_equal(arena.peak, 128 + 1024);
    loam_arena_release(&arena, 100000); // a mark from the future gives nothing back
    assert_int_equal(arena.used, 192);
    loam_arena_deinit(&arena);
}

static void arena_exhaustion_sticks(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena arena;
    assert_ok(loam_arena_init(&arena, 4096, false, &error));
    assert_non_null(loam_arena_alloc(&arena, arena.capacity - 64));
    assert_false(arena.exhausted);
    assert_null(loam_arena_alloc(&arena, 65));
    assert_true(arena.exhausted);
    assert_non_null(loam_arena_alloc(&arena, 64)); // what fits is still given
    assert_true(arena.exhausted);
    arena.exhausted = false;
    assert_null(loam_arena_alloc(&arena, SIZE_MAX)); // more than can be rounded up
    assert_true(arena.exhausted);
    loam_arena_deinit(&arena);
    assert_fails(loam_arena_init(&arena, SIZE_MAX - 100, false, &error), LOAM_ERROR_MEMORY, "in one piece");
    assert_fails(loam_arena_init(&arena, SIZE_MAX / 4, false, &error), LOAM_ERROR_MEMORY, "in one piece");
    assert_null(loam_arena_alloc(&arena, 1)); // an arena that was never had gives nothing
    assert_true(arena.exhausted);
}

// The dry run takes the same marks and allocations as the real one and needs as much.
static void *use(struct loam_arena *arena)
{
    loam_arena_alloc(arena, 1000);
    size_t mark = loam_arena_mark(arena);
    loam_arena_alloc(arena, 5000);
    loam_arena_release(arena, mark);
    return loam_arena_alloc(arena, 3000);
}

static void counting_arena_sizes_a_real_one(void **state)
{
    (void)state;
    struct loam_error error = {0};
    struct loam_arena counting, arena;
    loam_arena_init_counting(&counting, LOAM_ARENA_ALIGN);
    assert_non_null(use(&counting));
    assert_int_equal(counting.peak, 1024 + 5056);
    assert_ok(loam_arena_init(&arena, counting.peak, true, &error));
    memset(use(&arena), 1, 3000);
    assert_int_equal(arena.peak, counting.peak);
    assert_false(arena.exhausted);
    assert_non_null(loam_arena_alloc(&counting, SIZE_MAX / 2)); // sizes that no machine has
    assert_false(counting.exhausted);
    assert_null(loam_arena_alloc(&counting, SIZE_MAX / 2 + 100));
    assert_true(counting.exhausted);
    loam_arena_deinit(&counting);
    loam_arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_is_zeroed_and_checked),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(sizes_do_not_wrap),
        cmocka_unit_test(bytes_grow),
        cmocka_unit_test(arena_hands_out_aligned_memory),
        cmocka_unit_test(arena_mark_and_release),
        cmocka_unit_test(arena_exhaustion_sticks),
        cmocka_unit_test(counting_arena_sizes_a_real_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
