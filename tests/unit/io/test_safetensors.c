#include "base/file.h"
#include "io/container.h"
#include "io/safetensors.h"
#include "test.h"

static const char *in(const char *directory, const char *name)
{
    static char path[400];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    return path;
}

// A file whose size field says `claimed`, with this header and `data_size` bytes 0, 1, 2, ... behind it.
static void write_claiming(const char *path, uint64_t claimed, const char *header, size_t data_size)
{
    size_t length = strlen(header);
    unsigned char *file = calloc(8 + length + data_size, 1);
    assert_non_null(file);
    for (int i = 0; i < 8; i++)
        file[i] = (unsigned char)(claimed >> (8 * i));
    memcpy(file + 8, header, length);
    for (size_t i = 0; i < data_size; i++)
        file[8 + length + i] = (unsigned char)i;
    test_write_file(path, file, 8 + length + data_size);
    free(file);
}

static void write_raw(const char *path, const char *header, size_t data_size)
{
    write_claiming(path, strlen(header), header, data_size);
}

#define A24 "\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}"

// ---- what is right ----

static void reads_what_is_there(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    // A metadata block, data in another order than the header, a scalar, empty tensors, buffers of dtypes
    // that loam only carries, and data that starts at an odd byte.
    write_raw(path,
              "{\"__metadata__\":{\"format\":\"pt\"},\"b\":{\"dtype\":\"BF16\",\"shape\":[2],\"data_"
              "offsets\":[24,28]}," A24
              ",\"mask\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[28,31]},"
              "\"s\":{\"dtype\":\"F16\",\"shape\":[],\"data_offsets\":[31,33]},"
              "\"none\":{\"dtype\":\"F32\",\"shape\":[0,7],\"data_offsets\":[33,33]},"
              "\"ids\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[33,41]},"
              "\"tail\":{\"dtype\":\"F64\",\"shape\":[1,0,1,2],\"data_offsets\":[41,41]} } ",
              41);
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 7);
    static const struct {
        const char *name;
        enum loam_dtype dtype;
        int rank;
        int64_t shape[4];
        size_t bytes;
        unsigned char first;
    } cases[] = {
        {"a", LOAM_F32, 2, {2, 3}, 24, 0},         {"b", LOAM_BF16, 1, {2}, 4, 24},
        {"mask", LOAM_DTYPE_NONE, 1, {3}, 3, 28},  {"s", LOAM_F16, 0, {0}, 2, 31},
        {"none", LOAM_F32, 2, {0, 7}, 0, 0},       {"ids", LOAM_DTYPE_NONE, 1, {1}, 8, 33},
        {"tail", LOAM_F64, 4, {1, 0, 1, 2}, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct loam_stored_tensor *tensor = loam_container_find(file, cases[i].name);
        assert_non_null(tensor);
        assert_ptr_equal(loam_container_at(file, i), tensor); // in the order of the data
        assert_string_equal(tensor->name, cases[i].name);
        assert_string_equal(tensor->file, path);
        assert_int_equal(tensor->format, loam_format_of(cases[i].dtype));
        assert_int_equal(tensor->rank, cases[i].rank);
        for (int d = 0; d < tensor->rank; d++)
            assert_int_equal(tensor->shape[d], cases[i].shape[d]);
        assert_int_equal(tensor->bytes, cases[i].bytes);
        if (tensor->bytes > 0) assert_int_equal(tensor->data[0], cases[i].first);
    }
    assert_null(loam_container_at(file, 7));
    assert_null(loam_container_find(file, "c"));
    assert_null(loam_container_find(file, "__metadata__"));
    assert_string_equal(loam_container_metadata(file, "format"), "pt");
    assert_null(loam_container_metadata(file, "a"));
    loam_container_destroy(file);
    loam_container_destroy(NULL);
}

// mlx writes null where it has no texts.
static void metadata_may_be_null(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    write_raw(path, "{\"__metadata__\":null," A24 "}", 24);
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 1);
    assert_null(loam_container_metadata(file, "format"));
    loam_container_destroy(file);
}

static void empty_files_are_files(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    write_raw(path, "{}", 0);
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 0);
    assert_null(loam_container_at(file, 0));
    assert_null(loam_container_find(file, "a"));
    assert_null(loam_container_metadata(file, "format"));
    loam_container_destroy(file);
}

// ---- what lies ----

static void lying_headers(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"{" A24 "}", 23, LOAM_ERROR_FORMAT, "tensor a lies at bytes 0 to 24, but the file holds 23 bytes"},
        {"{" A24 "}", 0, LOAM_ERROR_FORMAT, "tensor a"},
        {"{" A24 "}", 25, LOAM_ERROR_FORMAT, "1 bytes at the end belong to no tensor"},
        {"{}", 1, LOAM_ERROR_FORMAT, "belong to no tensor"},
        {"{" A24 ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}", 24, LOAM_ERROR_FORMAT,
         "the data of tensor b overlaps"},
        {"{" A24 ",\"b\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "overlaps"},
        {"{" A24 ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[28,32]}}", 32, LOAM_ERROR_FORMAT,
         "tensor b does not follow"},
        {"{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, LOAM_ERROR_FORMAT,
         "tensor b does not follow"},
        {"{" A24 ",\"e\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[8,8]}}", 24, LOAM_ERROR_FORMAT,
         "e"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a has 24 bytes, which is not what its shape and dtype make"},
        {"{\"a\":{\"dtype\":\"BF16\",\"shape\":[2,3],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a has 24"},
        {"{\"a\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a has 24"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,24]}}", 24,
         LOAM_ERROR_FORMAT, "tensor a has 24"}, // the product wraps round to 0
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296,0],\"data_offsets\":[0,0]}}", 0,
         LOAM_ERROR_FORMAT, "tensor a has 0"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[24,0]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[-24,0]}}", 24, LOAM_ERROR_FORMAT,
         "none negative"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "none negative"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6.5],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[\"6\"],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,9223372036854775807]}}", 24,
         LOAM_ERROR_FORMAT, "tensor a lies"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,92233720368547758070]}}", 24,
         LOAM_ERROR_FORMAT, "whole numbers"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0]}}", 24, LOAM_ERROR_FORMAT,
         "\"data_offsets\" pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24,24]}}", 24, LOAM_ERROR_FORMAT,
         "\"data_offsets\" pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[6]}}", 24, LOAM_ERROR_FORMAT, "\"data_offsets\" pair"},
        {"{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT, "no \"shape\""},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":6,\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "no \"shape\""},
        {"{\"a\":{\"shape\":[6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a has no \"dtype\""},
        {"{\"a\":{\"dtype\":32,\"shape\":[6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "no \"dtype\""},
        {"{\"a\":{\"dtype\":\"F31\",\"shape\":[6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "tensor a has the unknown dtype \"F31\""},
        {"{\"a\":{\"dtype\":\"f32\",\"shape\":[6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "unknown dtype"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,2,3],\"data_offsets\":[0,24]}}", 24,
         LOAM_ERROR_UNSUPPORTED, "tensor a has 5 dimensions"},
        {"{\"a\":7}", 0, LOAM_ERROR_FORMAT, "tensor a has no \"dtype\""},
        {"{\"__metadata__\":7}", 0, LOAM_ERROR_FORMAT, "\"__metadata__\" must be a JSON object"},
        {"{\"__metadata__\":{\"a\":\"b\",\"c\":7}}", 0, LOAM_ERROR_FORMAT,
         "\"c\" in \"__metadata__\" must be a text"},
        {"{" A24 "," A24 "}", 24, LOAM_ERROR_FORMAT, "duplicate"},
        {"["
         "1"
         "]",
         0, LOAM_ERROR_FORMAT, "must be a JSON object"},
        {"{" A24, 24, LOAM_ERROR_FORMAT, "not valid JSON"},
        {"", 0, LOAM_ERROR_FORMAT, "not valid JSON"},
        {"{\"a\\u0000b\":{\"dtype\":\"F32\",\"shape\":[6],\"data_offsets\":[0,24]}}", 24, LOAM_ERROR_FORMAT,
         "not valid JSON"},
    };
    const char *path = in(*state, "x.safetensors");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        struct loam_container *file;
        write_raw(path, cases[i].header, cases[i].data);
        assert_fails(loam_container_open_file(&file, path, &error), cases[i].status, cases[i].message);
        assert_non_null(strstr(error.message, path));
        assert_null(file);
    }
}

static void lying_sizes(void **state)
{
    static const uint64_t claims[] = {14, 100, 1000000000, UINT64_C(1) << 60, UINT64_MAX, UINT64_MAX - 7};
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    for (size_t i = 0; i < sizeof claims / sizeof claims[0]; i++) {
        write_claiming(path, claims[i], "{           }", 0);
        assert_fails(loam_container_open_file(&file, path, &error), LOAM_ERROR_FORMAT, "header claims");
        assert_non_null(strstr(error.message, path));
    }
    for (size_t size = 0; size < 8; size++) {
        test_write_file(path, "\2\0\0\0\0\0\0\0", size);
        assert_fails(loam_container_open_file(&file, path, &error), LOAM_ERROR_FORMAT, "no safetensors file");
    }
    test_write_file(path, "\2\0\0\0\0\0\0\0", 8);
    assert_fails(loam_container_open_file(&file, path, &error), LOAM_ERROR_FORMAT, "header claims 2 bytes");
}

// Every prefix of a good file is refused, none is read past its end (the sanitisers watch).
static void truncated_anywhere(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    char path[300];
    snprintf(path, sizeof path, "%s/x.safetensors", (const char *)*state);
    write_raw(path, "{" A24 "}", 24);
    struct loam_bytes whole = {0};
    assert_ok(loam_file_read(path, 1000, &whole, &error));
    for (size_t size = 0; size < whole.size; size++) {
        test_write_file(path, whole.data, size);
        assert_int_equal(loam_container_open_file(&file, path, &error), LOAM_ERROR_FORMAT);
    }
    test_write_file(path, whole.data, whole.size);
    assert_ok(loam_container_open_file(&file, path, &error));
    loam_container_destroy(file);
    loam_bytes_deinit(&whole);
}

static void deep_headers(void **state)
{
    enum { DEPTH = 1 << 20 };
    char *header = calloc(DEPTH + 20, 1);
    assert_non_null(header);
    memcpy(header, "{\"a\":", 5);
    memset(header + 5, '[', DEPTH);
    struct loam_error error = {0};
    struct loam_container *file;
    write_raw(in(*state, "x.safetensors"), header, 0);
    assert_fails(loam_container_open_file(&file, in(*state, "x.safetensors"), &error), LOAM_ERROR_FORMAT,
                 "depth");
    free(header);
}

// ---- directories ----

static void write_index(const char *directory, const char *text)
{
    test_write_file(in(directory, "model.safetensors.index.json"), text, strlen(text));
}

static void opens_shards(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    write_raw(in(*state, "one.safetensors"), "{" A24 "}", 24);
    write_raw(in(*state, "two.safetensors"),
              "{\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]},\"c\":{\"dtype\":\"F16\","
              "\"shape\":[1],"
              "\"data_offsets\":[2,4]}}",
              4);
    write_index(*state, "{\"metadata\":{\"total_size\":28},\"weight_map\":{\"c\":\"two.safetensors\",\"a\":"
                        "\"one.safetensors\",\"b\":\"two.safetensors\"}}");
    assert_ok(loam_container_open_directory(&file, *state, &error));
    assert_int_equal(loam_container_count(file), 3);
    assert_string_equal(loam_container_find(file, "a")->file, in(*state, "one.safetensors"));
    assert_string_equal(loam_container_find(file, "c")->file, in(*state, "two.safetensors"));
    assert_int_equal(loam_container_find(file, "c")->data[0], 2);
    loam_container_destroy(file);
    // A whole file beside the index is what transformers reads.
    write_raw(in(*state, "model.safetensors"), "{" A24 "}", 24);
    assert_ok(loam_container_open_directory(&file, *state, &error));
    assert_int_equal(loam_container_count(file), 1);
    loam_container_destroy(file);
}

static void lying_indexes(void **state)
{
    static const struct {
        const char *index;
        enum loam_status status;
        const char *message;
    } cases[] = {
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"x\":\"three.safetensors\"}}", LOAM_ERROR_IO,
         "three.safetensors"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"x\":\"one.safetensors\"}}", LOAM_ERROR_FORMAT,
         "tensor x is in one.safetensors, which does not hold it"},
        {"{\"weight_map\":{\"a\":\"two.safetensors\",\"b\":\"one.safetensors\"}}", LOAM_ERROR_FORMAT,
         "does not hold it"},
        {"{\"weight_map\":{\"a\":\"one.safetensors\",\"a2\":\"again.safetensors\"}}", LOAM_ERROR_FORMAT,
         "tensor a is in"},
        {"{\"weight_map\":{\"a\":\"../one.safetensors\"}}", LOAM_ERROR_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":\"/etc/passwd\"}}", LOAM_ERROR_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":\"..\"}}", LOAM_ERROR_IO, "not a regular file"},
        {"{\"weight_map\":{\"a\":\"\"}}", LOAM_ERROR_FORMAT, "weight_map"},
        {"{\"weight_map\":{\"a\":1}}", LOAM_ERROR_FORMAT, "weight_map"},
        {"{\"weight_map\":[]}", LOAM_ERROR_FORMAT, "no \"weight_map\" object"},
        {"{}", LOAM_ERROR_FORMAT, "no \"weight_map\" object"},
        {"[]", LOAM_ERROR_FORMAT, "JSON object"},
        {"{", LOAM_ERROR_FORMAT, "index.json is not valid JSON"},
        {"{\"weight_map\":{\"a\":\"broken.safetensors\"}}", LOAM_ERROR_FORMAT, "broken.safetensors"},
    };
    write_raw(in(*state, "one.safetensors"), "{" A24 "}", 24);
    write_raw(in(*state, "two.safetensors"),
              "{\"b\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[0,2]}}", 2);
    write_raw(in(*state, "again.safetensors"),
              "{\"a2\":{\"dtype\":\"F16\",\"shape\":[1],\"data_offsets\":[24,26]}," A24 "}", 26);
    write_raw(in(*state, "broken.safetensors"), "{" A24 "}", 20);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct loam_error error = {0};
        struct loam_container *file;
        write_index(*state, cases[i].index);
        assert_fails(loam_container_open_directory(&file, *state, &error), cases[i].status, cases[i].message);
        assert_null(file);
    }
}

static void directories_without_weights(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    assert_fails(loam_container_open_directory(&file, *state, &error), LOAM_ERROR_IO, "model.safetensors");
    assert_fails(loam_container_open_directory(&file, in(*state, "absent"), &error), LOAM_ERROR_IO,
                 "absent is not a directory");
    assert_fails(loam_container_open_file(&file, in(*state, "absent"), &error), LOAM_ERROR_IO, "absent");
}

// ---- writing ----

static void writes_what_it_reads(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    const float a[6] = {1, 2, 3, 4, 5, 6};
    const uint16_t b[3] = {7, 8, 9};
    const float s = 2.5f;
    const struct loam_write_tensor tensors[] = {
        {"half", LOAM_BF16, 1, {3}, b},
        {"z", LOAM_F32, 2, {2, 3}, a},
        {"quote\"\\\n", LOAM_F32, 0, {0}, &s},
        {"empty", LOAM_F32, 2, {0, 4}, NULL},
    };
    assert_ok(loam_safetensors_write(path, tensors, 4, &error));
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 4);
    // Widest dtype first, then by name; data aligned.
    static const char *const order[] = {"empty", "quote\"\\\n", "z", "half"};
    for (size_t i = 0; i < 4; i++)
        assert_string_equal(loam_container_at(file, i)->name, order[i]);
    assert_int_equal((uintptr_t)loam_container_at(file, 0)->data % 8, 0);
    assert_memory_equal(loam_container_find(file, "z")->data, a, sizeof a);
    assert_memory_equal(loam_container_find(file, "half")->data, b, sizeof b);
    assert_memory_equal(loam_container_find(file, "quote\"\\\n")->data, &s, sizeof s);
    loam_container_destroy(file);
    assert_ok(loam_safetensors_write(path, NULL, 0, &error));
    assert_ok(loam_container_open_file(&file, path, &error));
    assert_int_equal(loam_container_count(file), 0);
    loam_container_destroy(file);
}

// Byte for byte what the Python package writes for these tensors.
static void bytes_are_those_of_the_python_package(void **state)
{
    struct loam_error error = {0};
    const char *path = in(*state, "x.safetensors");
    const float a[2] = {1, 2};
    const uint16_t b[1] = {0x3f80};
    const struct loam_write_tensor tensors[] = {{"b", LOAM_BF16, 1, {1}, b}, {"a", LOAM_F32, 2, {1, 2}, a}};
    assert_ok(loam_safetensors_write(path, tensors, 2, &error));
    static const char expected[] = "\x90\0\0\0\0\0\0\0"
                                   "{\"__metadata__\":{\"format\":\"pt\"},"
                                   "\"a\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[0,8]},"
                                   "\"b\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[8,10]}}  "
                                   "\0\0\x80\x3f\0\0\0\x40\x80\x3f";
    struct loam_bytes bytes = {0};
    assert_ok(loam_file_read(path, 1000, &bytes, &error));
    assert_int_equal(bytes.size, sizeof expected - 1);
    assert_memory_equal(bytes.data, expected, bytes.size);
    loam_bytes_deinit(&bytes);
}

static void refuses_to_write_nonsense(void **state)
{
    struct loam_error error = {0};
    const float a[2] = {1, 2};
    const struct loam_write_tensor twice[] = {{"a", LOAM_F32, 1, {2}, a}, {"a", LOAM_F32, 1, {1}, a}};
    assert_fails(loam_safetensors_write(in(*state, "x"), twice, 2, &error), LOAM_ERROR_ARGUMENT,
                 "tensor a twice");
    const struct loam_write_tensor none = {"a", LOAM_DTYPE_NONE, 1, {2}, a};
    assert_fails(loam_safetensors_write(in(*state, "x"), &none, 1, &error), LOAM_ERROR_ARGUMENT, "tensor a");
    const struct loam_write_tensor huge = {"a", LOAM_F32, 2, {INT64_MAX, 2}, a};
    assert_fails(loam_safetensors_write(in(*state, "x"), &huge, 1, &error), LOAM_ERROR_ARGUMENT, "too large");
    const struct loam_write_tensor negative = {"a", LOAM_F32, 1, {-1}, a};
    assert_fails(loam_safetensors_write(in(*state, "x"), &negative, 1, &error), LOAM_ERROR_ARGUMENT,
                 "too large");
    assert_fails(loam_safetensors_write(in(*state, "absent/x"), twice, 1, &error), LOAM_ERROR_IO, "absent/x");
    assert_false(loam_file_exists(in(*state, "x")));
}

struct counter {
    size_t calls;
    size_t fail_at;
};

static enum loam_status count_up(void *user, size_t index, size_t first, size_t count, void *block,
                                 struct loam_error *error)
{
    struct counter *counter = user;
    if (counter->calls++ == counter->fail_at) return loam_fail(error, LOAM_ERROR_NUMERIC, "no more");
    float *values = block;
    for (size_t i = 0; i < count; i++)
        values[i] = (float)(index * 1000000 + first + i);
    return LOAM_OK;
}

static void streams_in_blocks(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    const char *path = in(*state, "x.safetensors");
    struct counter counter = {.fail_at = SIZE_MAX};
    const struct loam_write_source source = {.fill = count_up, .user = &counter};
    const struct loam_write_tensor tensors[] = {{"b", LOAM_F32, 2, {700, 1000}, NULL},
                                                {"a", LOAM_F32, 1, {5}, NULL}};
    assert_ok(loam_safetensors_write_from(path, tensors, 2, &source, &error));
    assert_true(counter.calls > 3); // so that the large tensor came in pieces
    assert_ok(loam_container_open_file(&file, path, &error));
    const float *b = (const float *)(const void *)loam_container_find(file, "b")->data;
    const float *a = (const float *)(const void *)loam_container_find(file, "a")->data;
    for (size_t i = 0; i < 700000; i++)
        assert_true(b[i] == (float)i);
    for (size_t i = 0; i < 5; i++)
        assert_true(a[i] == (float)(1000000 + i));
    loam_container_destroy(file);
    counter = (struct counter){.fail_at = 2};
    assert_fails(loam_safetensors_write_from(in(*state, "y"), tensors, 2, &source, &error),
                 LOAM_ERROR_NUMERIC, "no more");
    assert_false(loam_file_exists(in(*state, "y")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        test_in_directory(reads_what_is_there),
        test_in_directory(metadata_may_be_null),
        test_in_directory(empty_files_are_files),
        test_in_directory(lying_headers),
        test_in_directory(lying_sizes),
        test_in_directory(truncated_anywhere),
        test_in_directory(deep_headers),
        test_in_directory(opens_shards),
        test_in_directory(lying_indexes),
        test_in_directory(directories_without_weights),
        test_in_directory(writes_what_it_reads),
        test_in_directory(bytes_are_those_of_the_python_package),
        test_in_directory(refuses_to_write_nonsense),
        test_in_directory(streams_in_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
