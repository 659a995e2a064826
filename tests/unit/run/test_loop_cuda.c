// A data error that is found while the device works: it is told at its own step, and the steps before it are kept.
#include "test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "common_fixture.h"
#include "run/checkpoint_files.h"
#include "tools/fake_cuda/fake_cuda.h"
#include "tools/fake_cuda/open_fake.h"

enum { STEPS = 6, CUT_AT = 2 };

static struct fixture fixture;
static struct fake_cuda *cuda;

static struct loam_train_settings settings_on(const char *device)
{
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.device = device;
    settings.batch_size = 1;
    settings.max_steps = STEPS;
    settings.logging_steps = 1;
    settings.max_length = 16;
    return settings;
}

// Empties the file of the data when the report of a step is made.
static bool cut_data(void *user, const struct loam_event *event)
{
    if (event->kind == LOAM_EVENT_STEP && event->step == CUT_AT)
        assert_int_equal(truncate(fixture.jsonl, 0), 0);
    return fixture.callbacks.event(user, event);
}

static int64_t last_reported_step(void)
{
    int64_t step = 0;
    for (size_t i = 0; i < fixture.event_count; i++)
        if (fixture.events[i].kind == LOAM_EVENT_STEP) step = fixture.events[i].step;
    return step;
}

static void check_only_checkpoint(int64_t step)
{
    struct loam_error error;
    int64_t *steps;
    size_t count;
    assert_ok(loam_checkpoint_list(fixture.out, &steps, &count, &error));
    assert_int_equal(count, 1);
    assert_int_equal(steps[0], step);
    free(steps);
}

// Trains while the data is cut off. The steps up to `done` are kept, and a resumed run ends like an undisturbed one.
static void check_cut(const char *device, int64_t done)
{
    struct loam_error error;
    struct loam_train_settings settings = settings_on(device);
    struct loam_callbacks cutting = fixture.callbacks;
    size_t size = 0;
    char saved[64], *data = fixture_read(fixture.directory, "data.jsonl", &size);
    settings.out = fixture.adapter;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    settings.out = fixture.out;
    cutting.event = cut_data;
    fixture_clear(&fixture);
    assert_fails(loam_train_run(&settings, &cutting, &error), LOAM_ERROR_IO,
                 "the file has become shorter since it was opened");
    snprintf(saved, sizeof saved, "step %lld of %d is saved in ", (long long)done, STEPS);
    assert_non_null(strstr(error.message, fixture.jsonl));
    assert_non_null(strstr(error.message, saved));
    assert_int_equal(last_reported_step(), done);
    check_only_checkpoint(done);
    test_write_file(fixture.jsonl, data, size);
    free(data);
    settings.resume = "auto";
    fixture_clear(&fixture);
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_true(fixture_same_file(fixture.adapter, fixture.out, "adapter_model.safetensors"));
}

// The examples of a step are read after the step before it.
static void without_a_queue(void **state)
{
    (void)state;
    check_cut("ref", CUT_AT);
}

// The examples of the step after the cut are there already. Those of the step after that are looked for while it runs.
static void with_a_queue(void **state)
{
    (void)state;
    check_cut("cuda:0", CUT_AT + 1);
    assert_int_equal(cuda->live, 0);
    assert_int_equal(cuda->used, 0);
}

static int open_driver(void **state)
{
    (void)state;
    cuda = open_fake("libcuda.so.1", "fake_cuda");
    if (cuda == NULL) return 1;
    return setenv("XDG_CACHE_HOME", "/dev/null", 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        fixture_test(without_a_queue, &fixture),
        fixture_test(with_a_queue, &fixture),
    };
    return cmocka_run_group_tests(tests, open_driver, NULL);
}
