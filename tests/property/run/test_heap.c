// No step allocates memory, and the heap does not grow with steps. The linker sends every call of the
// allocators from loam's code through this file. Calls within libraries are not counted (oneDNN makes a few).
#include "test.h"

#include <malloc.h>

#include "heap_watch.h"
#include "run/order.h"
#include "session/session.h"
#include "train/step.h"
#include "unit/run/common_fixture.h"

// ---- single steps ----

enum { EXAMPLES = 4, TOKEN_BUDGET = 40 };

struct run {
    struct fixture fixture;
    struct loam_session session;
    struct loam_dataset *dataset;
    struct loam_trainables set;
    struct loam_adapter *adapter;
    struct loam_trainer trainer;
    struct loam_order order;
    struct loam_step_buffers buffers;
};

struct kind {
    const char *family;
    const char *device;
    enum loam_dtype dtype;
    bool full;
    enum loam_checkpointing checkpointing;
};

static void start(struct run *run, const struct kind *kind)
{
    struct loam_error error;
    *run = (struct run){0};
    fixture_make(&run->fixture, kind->family);
    struct loam_session_options options = {.model = run->fixture.model,
                                           .device = kind->device,
                                           .threads = 1,
                                           .dtype = kind->dtype,
                                           .max_length = TOKEN_BUDGET,
                                           .token_budget = TOKEN_BUDGET};
    assert_ok(loam_session_open(&run->session, &options, &error));
    const struct loam_text_list files = FIXTURE_LIST(run->fixture.jsonl_files);
    struct loam_session_data data = {.sources = &files};
    assert_ok(loam_session_dataset(&run->session, &data, &run->dataset, &error));
    assert_ok(loam_session_load(&run->session, kind->full, &error));
    struct loam_lora_settings lora = {.rank = 4, .alpha = 8, .dropout = 0.1, .target_modules = "all-linear"};
    if (kind->full) {
        assert_ok(loam_trainables_from_model(&run->set, run->session.model, &error));
    } else {
        assert_ok(loam_adapter_create(&run->adapter, run->session.model, &lora, &run->set, &error));
        assert_ok(loam_trainables_allocate(&run->set, run->session.device, &error));
        assert_ok(loam_adapter_start(run->adapter, 42, &error));
    }
    assert_ok(loam_order_init(&run->order, loam_dataset_count(run->dataset), EXAMPLES, 1, false, 42, &error));
    assert_ok(loam_step_buffers_init(&run->buffers, EXAMPLES, TOKEN_BUDGET, &error));
    struct loam_trainer_settings trainer = {
        .tokens = TOKEN_BUDGET,
        .sequences = EXAMPLES,
        .checkpointing = kind->checkpointing,
        .adapters = loam_adapter_segments(run->adapter),
        .optimiser = {.beta1 = 0.9,
                      .beta2 = 0.999,
                      .epsilon = 1e-8,
                      .weight_decay = 0.01,
                      .max_grad_norm = 1,
                      .loss_rows = loam_step_rows(EXAMPLES, TOKEN_BUDGET)}};
    assert_ok(loam_trainer_init(&run->trainer, run->session.model, run->session.device, &run->set, &trainer,
                                &error));
}

static void end(struct run *run)
{
    loam_trainer_deinit(&run->trainer);
    loam_step_buffers_deinit(&run->buffers);
    loam_order_deinit(&run->order);
    loam_adapter_destroy(run->adapter);
    loam_trainables_deinit(&run->set);
    loam_dataset_destroy(run->dataset);
    loam_session_close(&run->session);
    fixture_remove(&run->fixture);
}

// Runs one step, and returns its allocations without those of reading examples.
static long step(struct run *run, int64_t number)
{
    struct loam_error error;
    struct loam_step_result result;
    size_t count;
    const uint32_t *indices = loam_order_step(&run->order, number, &count);
    assert_ok(loam_step_collect(&run->buffers, run->dataset, indices, count, &error));
    long before = heap.taken;
    assert_ok(loam_step_run(&run->buffers, &run->trainer, 1e-3, number, 42, &result, &error));
    assert_true(result.loss > 0 && result.grad_norm > 0);
    return heap.taken - before;
}

static void nothing_is_allocated_in_a_step(void **state)
{
    struct run run;
    long before = heap.taken;
    start(&run, *state);
    assert_true(heap.taken > before + 10); // the counter works
    for (int64_t i = 0; i < 6; i++)
        assert_int_equal(step(&run, i), 0);
    end(&run);
}

// After the buffers have grown for every example, a step with reading keeps no memory.
static void check_flat(const struct kind *kind, int64_t steps)
{
    struct run run;
    start(&run, kind);
    int64_t i = 0;
    for (; i < 10; i++)
        step(&run, i);
    long live = heap.live;
    size_t used = mallinfo2().uordblks;
    for (; i < steps; i++)
        step(&run, i);
    assert_int_equal(heap.live, live);
    // The memory of the whole process, with libraries. The bound hides at most 136 bytes a step, and 2 bytes
    // in a long run. The shapes of the matrix products repeat each epoch, so the bounded cache of the library
    // holds them all by now.
    assert_true(mallinfo2().uordblks < used + 4096);
    end(&run);
}

static void the_heap_is_flat(void **state)
{
    check_flat(*state, 40);
}

static void the_heap_is_flat_over_a_long_run(void **state)
{
    check_flat(*state, 2000);
}

#define CASE(test, ...)                                                                                      \
    {                                                                                                        \
#test ": " #__VA_ARGS__, test, NULL, NULL, &(struct kind)                                            \
        {                                                                                                    \
            __VA_ARGS__                                                                                      \
        }                                                                                                    \
    }
#define CASES(test)                                                                                          \
    CASE(test, "bloom", "ref", LOAM_F32, false, LOAM_CHECKPOINT_BLOCK),                                      \
        CASE(test, "bloom", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_NONE),                                   \
        CASE(test, "bloom", "cpu", LOAM_BF16, false, LOAM_CHECKPOINT_MLP),                                   \
        CASE(test, "llama", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_NONE),                                   \
        CASE(test, "llama", "cpu", LOAM_F32, true, LOAM_CHECKPOINT_MLP),                                     \
        CASE(test, "bloom", "cpu", LOAM_BF16, true, LOAM_CHECKPOINT_BLOCK)

int main(void)
{
    heap_watch_json();
    const struct CMUnitTest tests[] = {
        CASES(nothing_is_allocated_in_a_step), CASES(the_heap_is_flat),
        CASE(the_heap_is_flat_over_a_long_run, "bloom", "cpu", LOAM_F32, false, LOAM_CHECKPOINT_NONE),
        CASE(the_heap_is_flat_over_a_long_run, "llama", "cpu", LOAM_BF16, false, LOAM_CHECKPOINT_BLOCK)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
