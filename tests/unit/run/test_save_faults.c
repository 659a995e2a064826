// System calls fail, one in each run, while a run saves checkpoints and its result. Each run continues or
// ends with one clear line. No saved file is lost, and the next run ends with the same bytes.
#include "test.h"

#include <errno.h>
#include <sys/stat.h>

#include "common_fixture.h"

// ---- calls that fail: the linker replaces loam's calls by these ----

static struct {
    long calls;   // calls so far
    long refused; // number of the call that fails, from 1; 0: none
} faults;

static bool refuses(void)
{
    if (++faults.calls != faults.refused) return false;
    errno = ENOSPC;
    return true;
}

size_t __real_fwrite(const void *data, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *stream);
size_t __wrap_fwrite(const void *data, size_t size, size_t count, FILE *stream)
{
    return refuses() ? 0 : __real_fwrite(data, size, count, stream);
}

// These two write the buffer of a stream to the disk. fclose closes the stream even if that fails.
int __real_fflush(FILE *stream);
int __wrap_fflush(FILE *stream);
int __wrap_fflush(FILE *stream)
{
    return refuses() ? EOF : __real_fflush(stream);
}

int __real_fclose(FILE *stream);
int __wrap_fclose(FILE *stream);
int __wrap_fclose(FILE *stream)
{
    int closed = __real_fclose(stream);
    return refuses() ? EOF : closed;
}

int __real_ftruncate(int descriptor, off_t size);
int __wrap_ftruncate(int descriptor, off_t size);
int __wrap_ftruncate(int descriptor, off_t size)
{
    return refuses() ? -1 : __real_ftruncate(descriptor, size);
}

ssize_t __real_pwrite(int descriptor, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int descriptor, const void *data, size_t size, off_t offset);
ssize_t __wrap_pwrite(int descriptor, const void *data, size_t size, off_t offset)
{
    return refuses() ? -1 : __real_pwrite(descriptor, data, size, offset);
}

// Syncing is skipped, because the files need not survive a crash of the machine.
int __wrap_fsync(int descriptor);
int __wrap_fsync(int descriptor)
{
    (void)descriptor;
    return refuses() ? -1 : 0;
}

int __real_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to);
int __wrap_rename(const char *from, const char *to)
{
    return refuses() ? -1 : __real_rename(from, to);
}

int __real_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to);
int __wrap_renameat(int from_directory, const char *from, int to_directory, const char *to)
{
    return refuses() ? -1 : __real_renameat(from_directory, from, to_directory, to);
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    return refuses() ? -1 : __real_mkdir(path, mode);
}

// ---- the walk ----

static void assert_same_adapter(const char *a, const char *b, long refused)
{
    size_t size_a = 0, size_b = 0;
    char *text_a = fixture_read(a, "adapter_model.safetensors", &size_a);
    char *text_b = fixture_read(b, "adapter_model.safetensors", &size_b);
    if (text_a == NULL || text_b == NULL || size_a != size_b || memcmp(text_a, text_b, size_a) != 0)
        fail_msg("call %ld refused: another adapter", refused);
    free(text_a);
    free(text_b);
}

static enum loam_status run(const struct loam_train_settings *settings, struct fixture *fixture, long refused,
                            struct loam_error *error)
{
    fixture_clear(fixture);
    faults.calls = 0;
    faults.refused = refused;
    *error = (struct loam_error){0};
    enum loam_status status = loam_train_run(settings, &fixture->callbacks, error);
    faults.refused = 0;
    return status;
}

static struct loam_train_settings settings_for(const struct fixture *fixture)
{
    struct loam_train_settings settings = fixture_settings(fixture);
    settings.max_steps = 2;
    settings.save_steps = 1;
    settings.save_total_limit = 1;
    settings.logging_steps = 1;
    settings.tensorboard = true;
    settings.resume = "auto";
    return settings;
}

static size_t first_step; // number of the progress event of the first step

static void find_first_step(const struct fixture *fixture)
{
    for (first_step = 0; first_step < fixture->progress_count; first_step++)
        if (fixture->progress[first_step].activity == LOAM_ACTIVITY_TRAIN &&
            fixture->progress[first_step].step == 1)
            break;
    first_step++;
}

// Makes a run that stops after its first step, with a checkpoint to resume.
static void stop_in_the_middle(struct fixture *fixture)
{
    struct loam_error error;
    struct loam_train_settings settings = settings_for(fixture);
    fixture_clear(fixture);
    fixture->stop_at = first_step;
    assert_fails(loam_train_run(&settings, &fixture->callbacks, &error), LOAM_ERROR_STOPPED, "step 1 of 2");
}

// `before` makes the contents of `out` before the run; NULL: it does not exist.
static void walk(void (*before)(struct fixture *fixture))
{
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = settings_for(&fixture);
    settings.out = fixture.adapter;
    assert_ok(run(&settings, &fixture, 0, &error));
    find_first_step(&fixture);
    settings.out = fixture.out;
    if (before != NULL) before(&fixture);
    assert_ok(run(&settings, &fixture, 0, &error));
    test_remove_directory(fixture.out);
    long all = faults.calls, failed = 0;
    assert_true(all > 50);
    for (long refused = 1; refused <= all; refused++) {
        if (before != NULL) before(&fixture);
        enum loam_status status = run(&settings, &fixture, refused, &error);
        if (status != LOAM_OK) {
            failed++;
            assert_int_equal(status, LOAM_ERROR_IO);
            if (strstr(error.message, "/") == NULL || strstr(error.message, "No space left") == NULL ||
                strchr(error.message, '\n') != NULL)
                fail_msg("call %ld refused: \"%s\"", refused, error.message);
        }
        assert_ok(run(&settings, &fixture, 0, &error));
        assert_same_adapter(fixture.adapter, fixture.out, refused);
        test_remove_directory(fixture.out);
    }
    // A run cannot do without the files of the result, the directory and the trial before the first step. It
    // can do without checkpoints.
    assert_true(failed > 5 && failed < all - all / 4);
    fixture_remove(&fixture);
}

static void anew(void **state)
{
    (void)state;
    walk(NULL);
}

static void resumed(void **state)
{
    (void)state;
    walk(stop_in_the_middle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(anew), cmocka_unit_test(resumed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
