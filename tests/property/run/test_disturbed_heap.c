// A whole small run in which one allocation or mapping of loam or jansson fails. The run succeeds or ends
// with one clear line. No file is lost or half written, and the next run ends with the bytes of an
// undisturbed run. LOAM_FAULTS=all tries every allocation; without it some are skipped.
#include "test.h"

#include "heap_watch.h"
#include "run/checkpoint_files.h"
#include "unit/run/common_fixture.h"

// ---- the run ----

static enum loam_status write_record(void *user, const struct loam_train_resolved *resolved,
                                     struct loam_bytes *text, struct loam_error *error)
{
    (void)user;
    return loam_bytes_format(text, error, "max-length: %d\n", (int)resolved->max_length);
}

static struct loam_train_settings settings_for(const struct fixture *fixture)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.max_steps = 4;
    settings.save_steps = 2;
    settings.save_total_limit = 1;
    settings.logging_steps = 1;
    settings.eval_data = FIXTURE_LIST(fixture->jsonl_files);
    settings.eval_steps = 2;
    settings.load_best_at_end = true;
    settings.lora.dropout = 0.1;
    settings.tensorboard = true;
    settings.resume = "auto";
    settings.record = write_record;
    return settings;
}

static enum loam_status run(const struct loam_train_settings *settings, struct fixture *fixture,
                            struct loam_error *error)
{
    fixture_clear(fixture);
    *error = (struct loam_error){0};
    return loam_train_run(settings, &fixture->callbacks, error);
}

// ---- output ----

static bool same_file(const char *a, const char *b, const char *name)
{
    size_t size_a = 0, size_b = 0;
    char *text_a = fixture_read(a, name, &size_a);
    char *text_b = fixture_read(b, name, &size_b);
    bool same = text_a != NULL && text_b != NULL && size_a == size_b && memcmp(text_a, text_b, size_a) == 0;
    free(text_a);
    free(text_b);
    return same;
}

// Returns the steps and losses of metrics.jsonl, without figures of time and memory.
static char *figures(const char *directory)
{
    char *text = fixture_read(directory, "metrics.jsonl", NULL);
    char *kept = calloc(1, 1 << 16);
    assert_non_null(kept);
    for (char *line = text == NULL ? NULL : strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        json_t *object = json_loads(line, 0, NULL);
        if (object == NULL) fail_msg("metrics.jsonl: half a line: %s", line);
        static const char *const keys[] = {"step", "loss", "eval_loss", "train_loss", "grad_norm"};
        for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
            sprintf(kept + strlen(kept), "%s %.17g ", keys[i],
                    json_number_value(json_object_get(object, keys[i])));
        json_decref(object);
    }
    free(text);
    return kept;
}

static void assert_same_end(const char *whole, const char *disturbed, long n)
{
    if (!same_file(whole, disturbed, "adapter_model.safetensors")) fail_msg("%ld: another adapter", n);
    if (!same_file(whole, disturbed, "run.yaml")) fail_msg("%ld: another run.yaml", n);
    char *expected = figures(whole), *got = figures(disturbed);
    if (strcmp(expected, got) != 0) fail_msg("%ld: other metrics: %s\nnot %s", n, got, expected);
    free(expected);
    free(got);
}

// A failed run leaves no result, no damaged checkpoint and no unfinished file.
static void assert_nothing_half(const struct fixture *fixture, long n)
{
    static const char *const results[] = {"adapter_config.json", "adapter_model.safetensors", "README.md",
                                          "tokenizer.json", "run.yaml"};
    for (size_t i = 0; i < sizeof results / sizeof results[0]; i++)
        if (fixture_has(fixture->out, results[i])) fail_msg("%ld: %s is there", n, results[i]);
    char command[800];
    snprintf(command, sizeof command,
             "cd '%s' 2>/dev/null || exit 0; test -z \"$(find . -name '.loam-*' -o -name '*.tmp-*')\"",
             fixture->out);
    if (system(command) != 0) fail_msg("%ld: something half done is left", n);
    int64_t *steps;
    size_t count;
    struct loam_error error;
    assert_ok(loam_checkpoint_list(fixture->out, &steps, &count, &error));
    for (size_t i = 0; i < count; i++) {
        char *path = loam_checkpoint_path(fixture->out, steps[i], &error);
        assert_ok(loam_checkpoint_verify(path, &error));
        free(path);
    }
    free(steps);
}

static long unclear_messages;

static void unclear(long n, enum loam_status status, const struct loam_error *error)
{
    unclear_messages++;
    print_error("%ld: status %d, error %d \"%s\"\n", n, (int)status, (int)error->status, error->message);
}

static void check_clear(enum loam_status status, const struct loam_error *error, long n)
{
    if (error->status != status || error->message[0] == '\0' || strchr(error->message, '\n') != NULL)
        unclear(n, status, error);
    if (status == LOAM_ERROR_MEMORY && strstr(error->message, "out of memory") != NULL) return;
    if (status != LOAM_ERROR_IO || strstr(error->message, "Cannot allocate memory") == NULL)
        unclear(n, status, error);
}

// ---- the walk ----

static size_t third_step; // number of the progress event of the third step

// Returns the distance to the next failure. Allocations at the start and the end differ from each other, so
// all are tried. Most of the others are alike: they are those of the tokens of the vocabulary.
static long stride(long n, long total)
{
    if (getenv("LOAM_FAULTS") != NULL || n < 10 || n > total - 60) return 1;
    return total / 60 + 1;
}

// `before` makes the contents of `out` before the run; NULL: it does not exist.
static void walk(void (*before)(struct fixture *fixture), const char *what)
{
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = settings_for(&fixture);
    settings.out = fixture.adapter;
    assert_ok(run(&settings, &fixture, &error));
    for (size_t i = third_step = 0; i < fixture.progress_count && third_step == 0; i++)
        if (fixture.progress[i].activity == LOAM_ACTIVITY_TRAIN && fixture.progress[i].step == 3)
            third_step = i + 1;
    settings.out = fixture.out;
    for (int twice = 0; twice < 2; twice++) { // after these, libraries have the memory that they keep
        if (before != NULL) before(&fixture);
        heap.asked = 0;
        assert_ok(run(&settings, &fixture, &error));
        assert_same_end(fixture.adapter, fixture.out, -1);
        test_remove_directory(fixture.out);
    }
    long total = heap.asked, tried = 0, failed = 0;
    assert_true(total > 100);
    for (long n = 0; n < total; n += stride(n, total)) {
        if (before != NULL) before(&fixture);
        long live = heap.live;
        heap.asked = 0;
        heap.fails = n;
        enum loam_status status = run(&settings, &fixture, &error);
        heap.fails = -1;
        tried++;
        if (heap.live != live) fail_msg("%ld: %ld blocks lost", n, heap.live - live);
        if (status != LOAM_OK) {
            failed++;
            check_clear(status, &error, n);
            assert_nothing_half(&fixture, n);
            assert_ok(run(&settings, &fixture, &error));
        }
        assert_same_end(fixture.adapter, fixture.out, n);
        test_remove_directory(fixture.out);
    }
    printf("%s: %ld of %ld allocations and mappings refused, one a run; %ld runs failed\n", what, tried,
           total, failed);
    assert_int_equal(unclear_messages, 0);
    assert_true(failed > 20 && failed <= tried);
    fixture_remove(&fixture);
}

static void anew(void **state)
{
    (void)state;
    walk(NULL, "a run");
}

// Makes a run that stops after its third step, with a checkpoint.
static void stop_in_the_middle(struct fixture *fixture)
{
    struct loam_error error;
    struct loam_train_settings settings = settings_for(fixture);
    fixture_clear(fixture);
    fixture->stop_at = third_step;
    assert_fails(loam_train_run(&settings, &fixture->callbacks, &error), LOAM_ERROR_STOPPED, "step 3 of 4");
}

static void resumed(void **state)
{
    (void)state;
    walk(stop_in_the_middle, "a run that goes on");
}

int main(void)
{
    json_set_alloc_funcs(__wrap_malloc, __wrap_free); // jansson's allocations fail too
    // The files are in memory: on a disk, each of the hundreds of runs would wait for its files to be synced.
    if (access("/dev/shm", W_OK) == 0) setenv("TMPDIR", "/dev/shm", 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(anew), cmocka_unit_test(resumed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
