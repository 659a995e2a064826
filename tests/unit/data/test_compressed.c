// Data files compressed with gzip and zstd: several members and frames, and streams that are cut off or damaged.
#include "test.h"

#include <zlib.h>
#include <zstd.h>

#include "data/dataset.h"
#include "helpers/byte_tokenizer.h"

static struct loam_error error;

static struct {
    char directory[256];
    char path[300];
    struct loam_tokenizer *tokenizer;
    struct loam_special_tokens special;
    struct loam_dataset_options options;
} setting;

static int set_up(void **state)
{
    (void)state;
    memset(&setting, 0, sizeof setting);
    assert_non_null(test_make_directory(setting.directory));
    setting.tokenizer = test_byte_tokenizer(setting.directory, false, false);
    setting.special = test_special_tokens(false, false);
    setting.options = (struct loam_dataset_options){.path = setting.path,
                                                    .max_length = 1000,
                                                    .tokenizer = setting.tokenizer,
                                                    .special = &setting.special,
                                                    .vocabulary = TEST_VOCABULARY};
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    loam_tokenizer_destroy(setting.tokenizer);
    test_remove_directory(setting.directory);
    return 0;
}

enum { MOST = 4096 };
struct packed {
    unsigned char bytes[MOST];
    size_t size;
};

static void add_gzip(struct packed *packed, const char *text)
{
    z_stream stream = {0};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.next_in = (Bytef *)(uintptr_t)text;
    stream.avail_in = (uInt)strlen(text);
    stream.next_out = packed->bytes + packed->size;
    stream.avail_out = (uInt)(MOST - packed->size);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    packed->size = MOST - stream.avail_out;
    assert_int_equal(deflateEnd(&stream), Z_OK);
}

static void add_zstd(struct packed *packed, const char *text)
{
    const size_t size =
        ZSTD_compress(packed->bytes + packed->size, MOST - packed->size, text, strlen(text), 3);
    assert_int_equal(ZSTD_isError(size), 0);
    packed->size += size;
}

static void add_bytes(struct packed *packed, const void *bytes, size_t size)
{
    memcpy(packed->bytes + packed->size, bytes, size);
    packed->size += size;
}

static void write_packed(const char *name, const struct packed *packed, size_t size)
{
    snprintf(setting.path, sizeof setting.path, "%s/%s", setting.directory, name);
    test_write_file(setting.path, packed->bytes, size);
}

// A data set of the texts "one", "two" and "three".
static void assert_three(const char *name, const struct packed *packed)
{
    static const char *const texts[] = {"one</s>", "two</s>", "three</s>"};
    struct loam_dataset *dataset = NULL;
    struct loam_example example = {0};
    write_packed(name, packed, packed->size);
    assert_ok(loam_dataset_open(&dataset, &setting.options, &error));
    assert_int_equal(loam_dataset_count(dataset), 3);
    for (size_t i = 3; i-- > 0;) {
        assert_ok(loam_dataset_read(dataset, i, &example, &error));
        char *text = test_text_of_ids(example.ids, example.count);
        assert_string_equal(text, texts[i]);
        free(text);
    }
    loam_example_deinit(&example);
    loam_dataset_destroy(dataset);
}

static void test_whole(void **state)
{
    (void)state;
    struct packed gzip = {.size = 0}, zstd = {.size = 0}, rows = {.size = 0};
    add_gzip(&gzip, "one\ntw");
    add_gzip(&gzip, "");
    add_gzip(&gzip, "o\nthree\n");
    assert_three("data.txt.gz", &gzip);
    add_bytes(&gzip, "\0\0\0", 3);
    assert_three("data.TXT.GZ", &gzip);
    assert_three("data.txt", &gzip);                      // the contents decide
    add_bytes(&zstd, "\x50\x2A\x4D\x18\x02\0\0\0zz", 10); // a skippable frame
    add_zstd(&zstd, "one\n");
    add_zstd(&zstd, "two\nthree\n");
    assert_three("data.txt.zst", &zstd);
    add_zstd(&rows, "id,text\n1,one\n2,\"two\"\n3,three\n");
    assert_three("data.csv.zst", &rows);
}

static void assert_refused(const char *name, const struct packed *packed, size_t size, const char *message)
{
    struct loam_dataset *dataset = NULL;
    write_packed(name, packed, size);
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_FORMAT, message);
    assert_null(dataset);
}

static void test_damaged(void **state)
{
    (void)state;
    struct packed gzip = {.size = 0}, zstd = {.size = 0};
    add_gzip(&gzip, "one\ntwo\nthree\n");
    add_zstd(&zstd, "one\ntwo\nthree\n");
    for (size_t size = 2; size < gzip.size; size++)
        assert_refused("data.txt.gz", &gzip, size,
                       "data.txt.gz: the compressed file is cut off at its end, byte ");
    for (size_t size = 4; size < zstd.size; size++)
        assert_refused("data.txt.zst", &zstd, size,
                       "data.txt.zst: the compressed file is cut off at its end, byte ");
    const size_t gzip_size = gzip.size, zstd_size = zstd.size;
    add_bytes(&gzip, "more", 4);
    add_bytes(&zstd, "more", 4);
    char message[100];
    snprintf(message, sizeof message, "damaged at byte %zu of %zu: other bytes follow the gzip stream",
             gzip_size, gzip.size);
    assert_refused("data.txt.gz", &gzip, gzip.size, message);
    assert_refused("data.txt.zst", &zstd, zstd.size, "data.txt.zst: the compressed file is damaged at byte ");
    gzip.bytes[gzip_size - 6] ^= 1; // the checksum
    assert_refused("data.txt.gz", &gzip, gzip_size, "incorrect data check");
    zstd.bytes[zstd_size - 1] ^= 0x55;
    zstd.bytes[4] = 0xFF;
    assert_refused("data.txt.zst", &zstd, zstd_size, "data.txt.zst: the compressed file is ");
    struct packed empty = {.size = 0}, twice = {.size = 0};
    add_gzip(&empty, "");
    assert_refused("data.txt.gz", &empty, empty.size, "data.txt.gz is empty: it has no records");
    add_gzip(&twice, "\x1F\x8B\x08\x01");
    assert_refused("data.txt.gz", &twice, twice.size, "is compressed with gzip: unpack it first");
}

static void test_no_directory(void **state)
{
    (void)state;
    struct packed gzip = {.size = 0};
    struct loam_dataset *dataset = NULL;
    add_gzip(&gzip, "one\n");
    write_packed("data.txt.gz", &gzip, gzip.size);
    char *before = getenv("TMPDIR") != NULL ? strdup(getenv("TMPDIR")) : NULL;
    assert_int_equal(setenv("TMPDIR", "/nowhere", 1), 0);
    assert_fails(loam_dataset_open(&dataset, &setting.options, &error), LOAM_ERROR_IO,
                 "cannot make a temporary file in /nowhere to unpack it");
    assert_int_equal(before != NULL ? setenv("TMPDIR", before, 1) : unsetenv("TMPDIR"), 0);
    free(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
