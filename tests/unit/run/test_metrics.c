// metrics.jsonl line by line, and the peak memory of the process.
#include "test.h"

#include <fcntl.h>
#include <jansson.h>
#include <math.h>

#include "run/metrics.h"

static char directory[256];
static char path[300];

static int make(void **state)
{
    (void)state;
    if (test_make_directory(directory) == NULL) return 1;
    snprintf(path, sizeof path, "%s/metrics.jsonl", directory);
    return 0;
}

static int clean(void **state)
{
    (void)state;
    test_remove_directory(directory);
    return 0;
}

static void lines_are_json(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_metrics metrics;
    char text[256];
    test_write_file(path, "from an earlier run\n", 20);
    assert_ok(loam_metrics_open(&metrics, path, &error));
    assert_ok(loam_metrics_write(
        &metrics, (const struct loam_metric[]){{"loss", 3.0625}, {"grad_norm", NAN}, {"step", 1}}, 3,
        &error));
    assert_ok(loam_metrics_write(
        &metrics,
        (const struct loam_metric[]){{"grad_norm", INFINITY}, {"learning_rate", 1e-5}, {"tokens", 123456789}},
        3, &error));
    FILE *file = fopen(path, "rb"); // the lines are on disk before the file is closed
    assert_non_null(fgets(text, sizeof text, file));
    assert_string_equal(text, "{\"loss\": 3.0625, \"step\": 1}\n");
    assert_non_null(fgets(text, sizeof text, file));
    assert_string_equal(text, "{\"learning_rate\": 1e-05, \"tokens\": 123456789}\n");
    assert_null(fgets(text, sizeof text, file));
    fclose(file);
    loam_metrics_close(&metrics);
}

// Numbers read back have the same value.
static void numbers_survive(void **state)
{
    (void)state;
    static const double values[] = {0.1, 1.0 / 3, 5e-324, 1.7976931348623157e308, -2.5, 3.0237, 1722408960};
    struct loam_error error;
    struct loam_metrics metrics;
    assert_ok(loam_metrics_open(&metrics, path, &error));
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_ok(loam_metrics_write(&metrics, &(struct loam_metric){"x", values[i]}, 1, &error));
    loam_metrics_close(&metrics);
    FILE *file = fopen(path, "rb");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        json_t *line = json_loadf(file, JSON_DISABLE_EOF_CHECK, NULL);
        assert_non_null(line);
        assert_true(json_number_value(json_object_get(line, "x")) == values[i]);
        json_decref(line);
    }
    fclose(file);
}

static void nothing_until_the_first_line(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_metrics metrics;
    assert_ok(loam_metrics_open(&metrics, path, &error));
    loam_metrics_close(&metrics);
    assert_int_equal(access(path, F_OK), -1);
}

static void refused_by_the_system(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_metrics metrics;
    assert_ok(loam_metrics_open(&metrics, "/does/not/exist/metrics.jsonl", &error));
    assert_fails(loam_metrics_write(&metrics, &(struct loam_metric){"x", 1}, 1, &error), LOAM_ERROR_IO,
                 "/does/not/exist/metrics.jsonl");
    loam_metrics_close(&metrics);
    if (access("/dev/full", W_OK) != 0) return;
    assert_ok(loam_metrics_open(&metrics, "/dev/full", &error));
    assert_fails(loam_metrics_write(&metrics, &(struct loam_metric){"x", 1}, 1, &error), LOAM_ERROR_IO,
                 "/dev/full");
    loam_metrics_close(&metrics);
}

static void peak_memory(void **state)
{
    (void)state;
    enum { MIB = 1 << 20 };
    int64_t before = loam_peak_memory_bytes();
    assert_true(before > MIB / 4);
    volatile char *block = malloc(64 * MIB);
    for (size_t i = 0; i < 64 * MIB; i += 1024)
        block[i] = 1;
    assert_true(loam_peak_memory_bytes() >= before + 48 * MIB);
    free((void *)block);
    assert_true(loam_peak_memory_bytes() >= before + 48 * MIB);
}

// Asking often leaks no descriptor: the lowest free one stays free.
static void peak_memory_leaves_no_descriptor(void **state)
{
    (void)state;
    int before = open("/dev/null", O_RDONLY);
    close(before);
    assert_true(loam_peak_memory_bytes() > 0);
    int after = open("/dev/null", O_RDONLY);
    close(after);
    assert_int_equal(after, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(lines_are_json, make, clean),
        cmocka_unit_test_setup_teardown(numbers_survive, make, clean),
        cmocka_unit_test_setup_teardown(nothing_until_the_first_line, make, clean),
        cmocka_unit_test(refused_by_the_system),
        cmocka_unit_test(peak_memory),
        cmocka_unit_test(peak_memory_leaves_no_descriptor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
