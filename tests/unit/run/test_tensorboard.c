// Event files for TensorBoard: their bytes, and the files of a run.
#include "test.h"

#include <dirent.h>
#include <math.h>

#include "common_fixture.h"
#include "run/tensorboard.h"

// The CRC-32C of "123456789" is e3069283, of 32 zero bytes 8a9136aa (RFC 3720, B.4), and of no bytes 0.
static void checksums(void **state)
{
    (void)state;
    static const char zeros[32];
    assert_int_equal(loam_tensorboard_masked_crc("", 0), 0xa282ead8);
    assert_int_equal(loam_tensorboard_masked_crc("123456789", 9), 0xc78ab0e5);
    assert_int_equal(loam_tensorboard_masked_crc(zeros, sizeof zeros), 0x0fd7fffa);
}

// Reads the only file in a directory.
static unsigned char *read_only_file(const char *directory, size_t *size)
{
    char *bytes = NULL;
    DIR *entries = opendir(directory);
    assert_non_null(entries);
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] == '.') continue;
        assert_null(bytes);
        assert_memory_equal(entry->d_name, "events.out.tfevents.", 20);
        bytes = fixture_read(directory, entry->d_name, size);
    }
    closedir(entries);
    assert_non_null(bytes);
    return (unsigned char *)bytes;
}

static uint32_t word_at(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

// Returns the data of the record at `*at`, and moves `*at` behind it.
static const unsigned char *next_record(const unsigned char *file, size_t size, size_t *at, size_t *length)
{
    const unsigned char *record = file + *at;
    assert_true(*at + 16 <= size);
    *length = word_at(record);
    assert_int_equal(word_at(record + 4), 0);
    assert_true(*at + 16 + *length <= size);
    assert_int_equal(word_at(record + 8), loam_tensorboard_masked_crc(record, 8));
    assert_int_equal(word_at(record + 12 + *length), loam_tensorboard_masked_crc(record + 12, *length));
    *at += 16 + *length;
    return record + 12;
}

// Every event begins with its time, which is after 2020.
static void assert_event(const unsigned char *record, size_t length, const void *expected, size_t size)
{
    double time;
    assert_int_equal(length, 9 + size);
    assert_int_equal(record[0], 0x09);
    memcpy(&time, record + 1, sizeof time);
    assert_true(time > 1.57e9 && time < 1e11);
    assert_memory_equal(record + 9, expected, size);
}

static void bytes(void **state)
{
    struct loam_error error;
    struct loam_tensorboard board = {0};
    const struct loam_metric metrics[] = {
        {"loss", 0.5}, {"grad_norm", NAN}, {"eval_loss", -2}, {"step", 300}};
    // Without a file, nothing is written.
    assert_ok(loam_tensorboard_scalars(&board, metrics, 4, 300, &error));
    assert_ok(loam_tensorboard_text(&board, "t", "x", 1, &error));
    char directory[300];
    snprintf(directory, sizeof directory, "%s/runs", (const char *)*state);
    assert_ok(loam_tensorboard_open(&board, directory, &error));
    assert_ok(loam_tensorboard_scalars(&board, metrics, 4, 300, &error));
    assert_ok(loam_tensorboard_text(&board, "t", "a|b", 3, &error));
    // It can be read while it is still open.
    size_t size, at = 0, length;
    unsigned char *file = read_only_file(directory, &size);
    static const unsigned char head[] = {0x18, 0, 0, 0, 0, 0, 0, 0, 0xa3, 0x7f, 0x4b, 0x22};
    assert_memory_equal(file, head, sizeof head); // the first event of TensorFlow's files
    const unsigned char *record = next_record(file, size, &at, &length);
    assert_event(record, length,
                 "\x1a\x0d"
                 "brain.Event:2",
                 15);
    record = next_record(file, size, &at, &length);
    static const unsigned char scalars[] = "\x10\xac\x02" // step 300
                                           "\x2a\x25"     // a summary of two values
                                           "\x0a\x11\x0a\x0atrain/loss\x15\x00\x00\x00\x3f" // 0.5
                                           "\x0a\x10\x0a\x09"
                                           "eval/loss\x15\x00\x00\x00\xc0"; // -2
    assert_event(record, length, scalars, sizeof scalars - 1);
    record = next_record(file, size, &at, &length);
    static const unsigned char text[] = "\x2a\x1e\x0a\x1c"
                                        "\x0a\x01t" // tag
                                        "\x42\x0d\x08\x07\x12\x04\x12\x02\x08\x01\x42\x03"
                                        "a|b"                           // tensor
                                        "\x4a\x08\x0a\x06\x0a\x04text"; // plugin
    assert_event(record, length, text, sizeof text - 1);
    assert_int_equal(at, size);
    free(file);
    loam_tensorboard_close(&board);
    assert_false(loam_tensorboard_is_open(&board));
}

static void fails_to_write(void **state)
{
    struct loam_error error;
    struct loam_tensorboard board = {0};
    char directory[300];
    snprintf(directory, sizeof directory, "%s/no/such/runs", (const char *)*state);
    assert_fails(loam_tensorboard_open(&board, directory, &error), LOAM_ERROR_IO, "no/such/runs");
    loam_tensorboard_close(&board);
    char file[300];
    snprintf(file, sizeof file, "%s/file", (const char *)*state);
    test_write_file(file, "", 0);
    assert_fails(loam_tensorboard_open(&board, file, &error), LOAM_ERROR_IO, "events.out.tfevents.");
    loam_tensorboard_close(&board);
}

// Counts the occurrences of a tag in the file.
static size_t count_tag(const unsigned char *file, size_t size, const char *tag)
{
    size_t count = 0, length = strlen(tag);
    for (size_t i = 1; i + length < size; i++)
        count += file[i - 1] == length && memcmp(file + i, tag, length) == 0;
    return count;
}

static void run_writes_events(void **state)
{
    (void)state;
    struct loam_error error;
    struct fixture fixture;
    fixture_make(&fixture, "bloom");
    struct loam_train_settings settings = fixture_settings(&fixture);
    settings.eval_data = FIXTURE_LIST(fixture.jsonl_files);
    settings.eval_steps = 4;
    settings.tensorboard = true;
    assert_ok(loam_train_run(&settings, &fixture.callbacks, &error)); // logged 5 times, evaluated 3 times
    char runs[320];
    snprintf(runs, sizeof runs, "%s/runs", fixture.out);
    size_t size, length;
    unsigned char *file = read_only_file(runs, &size);
    size_t records = 0;
    for (size_t at = 0; at < size; records++)
        next_record(file, size, &at, &length);
    assert_int_equal(records, 2 + 5 + 3 + 1);
    static const struct {
        const char *tag;
        size_t count;
    } tags[] = {{"train/loss", 5},       {"train/grad_norm", 5},   {"train/learning_rate", 5},
                {"train/epoch", 9},      {"eval/loss", 3},         {"eval/perplexity", 3},
                {"train/train_loss", 1}, {"args/text_summary", 1}, {"train/step", 0}};
    for (size_t i = 0; i < sizeof tags / sizeof tags[0]; i++)
        assert_int_equal(count_tag(file, size, tags[i].tag), tags[i].count);
    assert_non_null(memmem(file, size, "| learning_rate | 0.01 |", 24));
    free(file);

    // --logging-dir alone turns event files on. Without either option there is no file.
    settings.tensorboard = false;
    settings.logging_dir = fixture.adapter;
    settings.overwrite = true;
    assert_ok(loam_train_run(&settings, NULL, &error));
    free(read_only_file(fixture.adapter, &size));
    settings.logging_dir = NULL;
    test_remove_directory(runs);
    assert_ok(loam_train_run(&settings, NULL, &error));
    assert_false(fixture_has(fixture.out, "runs"));
    fixture_remove(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksums),
        test_in_directory(bytes),
        test_in_directory(fails_to_write),
        cmocka_unit_test(run_writes_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
