// Progress events of long work, and stopping at any of them.
#include "test.h"

#include <dirent.h>
#include <math.h>

#include "common_fixture.h"
#include "evaluate/run.h"

static struct fixture fixture;

// The settings of a run of 9 steps with evaluations after 4, 8 and 9.
static struct loam_train_settings with_evaluation(void)
{
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    settings.eval_steps = 4;
    return settings;
}

// Checks that the progress of an activity rises to its total `stretches` times.
static void assert_rises(enum loam_activity activity, size_t stretches)
{
    int64_t before = 0;
    for (size_t i = 0; i < fixture.progress_count; i++) {
        const struct loam_event *event = &fixture.progress[i];
        if (event->activity != activity) continue;
        assert_true(event->done > before && event->done <= event->total);
        before = event->done < event->total ? event->done : 0;
        stretches -= event->done == event->total;
    }
    assert_int_equal(before, 0);
    assert_int_equal(stretches, 0);
}

static void every_step(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = with_evaluation();
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    assert_rises(LOAM_ACTIVITY_LOAD, 1);
    assert_rises(LOAM_ACTIVITY_TRAIN, 1);
    assert_rises(LOAM_ACTIVITY_EVALUATE, 3);
    assert_rises(LOAM_ACTIVITY_ANSWER, 0);
    int64_t step = 0, tokens = 0;
    double loss_sum = 0;
    for (size_t i = 0; i < fixture.progress_count; i++) {
        const struct loam_event *event = &fixture.progress[i];
        if (event->activity != LOAM_ACTIVITY_TRAIN) continue;
        assert_int_equal(event->step, ++step);
        assert_int_equal(event->done, step);
        assert_int_equal(event->total_steps, 9);
        assert_true(event->tokens > tokens && event->seconds > 0 && event->grad_norm > 0);
        tokens = event->tokens;
        loss_sum += event->loss;
    }
    assert_int_equal(step, 9);
    const struct loam_event *end = &fixture.events[fixture.event_count - 1];
    assert_int_equal(end->kind, LOAM_EVENT_END);
    assert_true(fabs(loss_sum / 9 - end->loss) < 1e-12);
    assert_int_equal(tokens, end->tokens);
}

static void steps_without_labels(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.max_length = 10;
    settings.too_long = LOAM_TOO_LONG_DROP;
    settings.batch_size = 1;
    settings.shuffle = false;
    settings.max_steps = 5;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    size_t unlabelled = 0;
    for (size_t i = 0; i < fixture.progress_count; i++)
        unlabelled += fixture.progress[i].activity == LOAM_ACTIVITY_TRAIN && isnan(fixture.progress[i].loss);
    assert_in_range(unlabelled, 1, 4);
}

static void evaluation(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_evaluate_result result;
    struct loam_evaluate_settings settings = {.model = fixture.model,
                                              .data = FIXTURE_LIST(fixture.squad_files),
                                              .device = "ref",
                                              .threads = 1,
                                              .dtype = LOAM_F32,
                                              .generate = true,
                                              .max_new_tokens = 3};
    assert_ok(loam_evaluate_run(&settings, &fixture.callbacks, &result, &error));
    assert_rises(LOAM_ACTIVITY_LOAD, 1);
    assert_rises(LOAM_ACTIVITY_EVALUATE, 1);
    assert_rises(LOAM_ACTIVITY_ANSWER, 1);
    assert_int_equal(fixture.progress[fixture.progress_count - 1].total, 4);
    size_t all = fixture.progress_count;
    for (size_t at = 1; at <= all; at++) {
        fixture_clear(&fixture);
        fixture.stop_at = at;
        assert_fails(loam_evaluate_run(&settings, &fixture.callbacks, &result, &error), LOAM_ERROR_STOPPED,
                     "stopped");
        assert_int_equal(fixture.progress_count, at);
    }
}

// Counts the entries of the output directory without the metrics and the checkpoint of `step`. 0 if the
// directory does not exist.
static int count_left_files(int64_t step)
{
    DIR *directory = opendir(fixture.out);
    int count = 0;
    char checkpoint[64];
    if (directory == NULL) return 0;
    snprintf(checkpoint, sizeof checkpoint, "checkpoint-%lld", (long long)step);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
                 strcmp(entry->d_name, "metrics.jsonl") != 0 && strcmp(entry->d_name, checkpoint) != 0;
    closedir(directory);
    return count;
}

// A run that is stopped anywhere leaves no unfinished file in its output directory, and a checkpoint of the
// steps that are done.
static void stops_anywhere(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_train_settings settings = with_evaluation();
    settings.overwrite = true;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error));
    size_t all = fixture.progress_count;
    test_remove_directory(fixture.out);
    int64_t step = 0;
    for (size_t at = 1; at <= all; at++) {
        fixture_clear(&fixture);
        fixture.stop_at = at;
        assert_fails(loam_train_run(&settings, &fixture.callbacks, &error), LOAM_ERROR_STOPPED, "stopped");
        assert_int_equal(fixture.progress_count, at);
        const struct loam_event *last = &fixture.progress[at - 1];
        if (last->activity == LOAM_ACTIVITY_TRAIN) {
            char expected[64], checkpoint[400];
            step = last->step;
            snprintf(expected, sizeof expected, "stopped at step %lld of 9, saved in ", (long long)step);
            assert_int_equal(strncmp(error.message, expected, strlen(expected)), 0);
            snprintf(checkpoint, sizeof checkpoint, "checkpoint-%lld/loam_state.json", (long long)step);
            assert_true(fixture_has(fixture.out, checkpoint));
        }
        assert_int_equal(count_left_files(step), 0);
    }
}

#define TEST(name) fixture_test(name, &fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_step),
        TEST(steps_without_labels),
        TEST(evaluation),
        TEST(stops_anywhere),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
