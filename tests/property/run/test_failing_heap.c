// Lack of memory anywhere in a run is a reported failure. Nothing is lost, and no unfinished file stays.
#include "test.h"

#include "evaluate/run.h"
#include "heap_watch.h"
#include "lora/combine.h"
#include "lora/convert.h"
#include "lora/export.h"
#include "lora/merge.h"
#include "unit/run/common_fixture.h"

// ---- the runs ----

static enum loam_status run_training(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.max_steps = 1;
    settings.eval_data = FIXTURE_LIST(fixture->squad_files);
    return loam_train_run(&settings, NULL, error);
}

static enum loam_status run_full_training(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.max_steps = 1;
    settings.full = true;
    return loam_train_run(&settings, NULL, error);
}

static enum loam_status run_continuation(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.max_steps = 1;
    settings.adapter = fixture->adapter;
    return loam_train_run(&settings, NULL, error);
}

static enum loam_status run_evaluation(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_evaluate_result result;
    const struct loam_adapter_choice choice = {fixture->adapter, 1};
    struct loam_evaluate_settings settings = {.model = fixture->model,
                                              .adapters = {&choice, 1},
                                              .data = FIXTURE_LIST(fixture->squad_files),
                                              .device = "ref",
                                              .threads = 1,
                                              .dtype = LOAM_F32,
                                              .limit = 1,
                                              .generate = true,
                                              .max_new_tokens = 2};
    return loam_evaluate_run(&settings, NULL, &result, error);
}

static enum loam_status run_merge(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_merge_result result;
    const struct loam_adapter_choice choice = {fixture->adapter, 1};
    const struct loam_merge_settings settings = {.model = fixture->model,
                                                 .adapters = {&choice, 1},
                                                 .out = fixture->out,
                                                 .max_shard_bytes = 1 << 12}; // several files
    return loam_merge(&settings, &result, error);
}

static enum loam_status run_export(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_export_result result;
    char path[320];
    snprintf(path, sizeof path, "%s/adapter.gguf", fixture->directory);
    const struct loam_export_settings settings = {.model = fixture->model,
                                                  .adapter = fixture->adapter,
                                                  .path = path,
                                                  .dtype = LOAM_F32,
                                                  .overwrite = true};
    return loam_export_gguf(&settings, &result, error);
}

static enum loam_status run_combination(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_combine_result result;
    const struct loam_adapter_choice choices[] = {{fixture->adapter, 1}, {fixture->adapter, -0.5}};
    const struct loam_combine_settings settings = {.adapters = {choices, 2}, .out = fixture->out};
    return loam_combine(&settings, &result, error);
}

static enum loam_status run_conversion(const struct fixture *fixture, struct loam_error *error)
{
    struct loam_convert_result result;
    char path[320];
    snprintf(path, sizeof path, "%s/adapter.gguf", fixture->directory);
    LOAM_TRY(run_export(fixture, error));
    const struct loam_convert_settings settings = {
        .model = fixture->model, .base_model = "the/base", .path = path, .out = fixture->out};
    return loam_adapter_convert(&settings, &result, error);
}

static void every_allocation_may_fail(void **state)
{
    enum loam_status (*run)(const struct fixture *fixture, struct loam_error *error);
    memcpy(&run, *state, sizeof run);
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.max_steps = 1;
    settings.out = fixture.adapter;
    assert_ok(loam_train_run(&settings, NULL, &error));
    assert_ok(run(&fixture, &error)); // now libraries have the memory that they keep
    test_remove_directory(fixture.out);

    heap.asked = 0;
    long kept = heap.live;
    assert_ok(run(&fixture, &error));
    assert_int_equal(heap.live, kept);
    test_remove_directory(fixture.out);
    long total = heap.asked;
    assert_true(total > 100);
    // Trying all would take a minute. Most are alike: they are those of the tokens of the vocabulary.
    long stride = total / 60 + 1;
    for (long n = 0; n < total; n += n < 20 || n > total - 50 ? 1 : stride) {
        long live = heap.live;
        heap.asked = 0;
        heap.fails = n;
        error = (struct loam_error){0};
        enum loam_status status = run(&fixture, &error);
        heap.fails = -1;
        if (status == LOAM_OK || error.message[0] == '\0' || error.status != status)
            fail_msg("allocation %ld: status %d, error %d \"%s\"", n, (int)status, (int)error.status,
                     error.message);
        if (status != LOAM_ERROR_MEMORY && status != LOAM_ERROR_IO)
            fail_msg("allocation %ld: status %d \"%s\"", n, (int)status, error.message);
        if (heap.live != live) fail_msg("allocation %ld: %ld blocks lost", n, heap.live - live);
        assert_false(fixture_has(fixture.out, "adapter_config.json"));
        assert_false(fixture_has(fixture.out, "README.md"));
        test_remove_directory(fixture.out);
    }
    fixture_remove(&fixture);
}

#define CASE(run)                                                                                            \
    {                                                                                                        \
#run, every_allocation_may_fail, NULL, NULL,                                                         \
            &(enum loam_status(*[])(const struct fixture *, struct loam_error *))                            \
        {                                                                                                    \
            run                                                                                              \
        }                                                                                                    \
    }

int main(void)
{
    heap_watch_json();
    // The files are in memory: on a disk, each of the hundreds of runs would wait for its files to be synced.
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {CASE(run_training),    CASE(run_full_training), CASE(run_continuation),
                                       CASE(run_evaluation),  CASE(run_merge),         CASE(run_export),
                                       CASE(run_combination), CASE(run_conversion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
