// Files of torch.save (tests/data/make_torch.py), and what is done to them.
#include "base/file.h"
#include "base/json.h"
#include "io/container.h"
#include "test.h"

static const char *fixture(const char *name)
{
    static char path[512];
    snprintf(path, sizeof path, LOAM_TESTS "/data/torch/%s", name);
    return path;
}

// Element `index` of a tensor of any dtype of tensors.json.
static double value_of(const struct loam_stored_tensor *tensor, const char *dtype, size_t index)
{
    float value = 0;
    double wide = 0;
    int64_t number = 0;
    if (loam_format_decodes(tensor->format)) {
        loam_format_convert(&value, LOAM_F32, loam_format_at(tensor->format, tensor->data, index),
                            tensor->format, 1);
        return (double)value;
    }
    if (strcmp(dtype, "float64") == 0) {
        memcpy(&wide, tensor->data + 8 * index, 8);
        return wide;
    }
    // Small numbers, little-endian.
    const size_t size = strcmp(dtype, "int64") == 0   ? 8
                        : strcmp(dtype, "int32") == 0 ? 4
                        : strcmp(dtype, "int16") == 0 ? 2
                                                      : 1;
    memcpy(&number, tensor->data + size * index, size);
    return (double)number;
}

static void check_tensor(const struct loam_container *file, const char *name, const json_t *expected)
{
    const struct loam_stored_tensor *tensor = loam_container_find(file, name);
    const json_t *shape = json_object_get(expected, "shape"), *values = json_object_get(expected, "values");
    const char *dtype = json_string_value(json_object_get(expected, "dtype"));
    if (tensor == NULL) fail_msg("no tensor %s", name);
    assert_int_equal(tensor->rank, json_array_size(shape));
    for (int d = 0; d < tensor->rank; d++)
        assert_int_equal(tensor->shape[d], json_integer_value(json_array_get(shape, (size_t)d)));
    for (size_t i = 0; i < json_array_size(values); i++) {
        const double wanted = json_number_value(json_array_get(values, i));
        if (value_of(tensor, dtype, i) != wanted)
            fail_msg("%s[%zu] is %g, expected %g", name, i, value_of(tensor, dtype, i), wanted);
    }
    if (tensor->format != LOAM_FORMAT_NONE)
        assert_int_equal(loam_format_elements(tensor->format, tensor->bytes), json_array_size(values));
}

// ---- what is right ----

static void reads_what_torch_saves(void **state)
{
    static const char *const names[] = {"state.bin", "dict.bin", "zip64.bin"};
    struct loam_error error = {0};
    json_t *expected;
    (void)state;
    assert_ok(loam_json_load(&expected, fixture("tensors.json"), &error));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct loam_container *file;
        const char *name;
        const json_t *tensor;
        assert_ok(loam_container_open_file(&file, fixture(names[i]), &error));
        assert_int_equal(loam_container_count(file), json_object_size(expected));
        json_object_foreach(expected, name, tensor) check_tensor(file, name, tensor);
        for (size_t j = 1; j < loam_container_count(file); j++)
            assert_true(loam_container_at(file, j - 1)->data <= loam_container_at(file, j)->data);
        // Tensors of one storage are where they are, not copies.
        const struct loam_stored_tensor *whole = loam_container_find(file, "f32");
        assert_ptr_equal(loam_container_find(file, "shared")->data, whole->data);
        assert_ptr_equal(loam_container_find(file, "row")->data, whole->data + 12);
        assert_string_equal(whole->file, fixture(names[i]));
        loam_container_destroy(file);
    }
    json_decref(expected);
}

static void reads_attributes_and_many_tensors(void **state)
{
    struct loam_error error = {0};
    struct loam_container *file;
    (void)state;
    assert_ok(loam_container_open_file(&file, fixture("module.bin"), &error));
    assert_int_equal(loam_container_count(file), 1);
    assert_non_null(loam_container_find(file, "linear.weight"));
    assert_null(loam_container_metadata(file, "format"));
    loam_container_destroy(file);
    assert_ok(loam_container_open_file(&file, fixture("many.bin"), &error));
    assert_int_equal(loam_container_count(file), 1100);
    for (size_t i = 0; i < 1100; i++) {
        char name[16];
        snprintf(name, sizeof name, "w.%zu", i);
        assert_float_equal(value_of(loam_container_find(file, name), "float32", 0), (double)i, 0);
    }
    loam_container_destroy(file);
    assert_ok(loam_container_open_file(&file, fixture("no_byteorder.bin"), &error));
    loam_container_destroy(file);
}

// ---- what is refused ----

static void refuses_other_files(void **state)
{
    static const struct {
        const char *name;
        enum loam_status status;
        const char *text;
    } cases[] = {
        {"transposed.bin", LOAM_ERROR_UNSUPPORTED, "tensor w is not contiguous: call .contiguous() on it"},
        {"expanded.bin", LOAM_ERROR_FORMAT, "tensor w leaves its storage of 1 elements"},
        {"nested.bin", LOAM_ERROR_UNSUPPORTED, "\"state_dict\" is a dictionary; expected a tensor"},
        {"number.bin", LOAM_ERROR_UNSUPPORTED, "\"epoch\" is a number; expected a tensor"},
        {"float8.bin", LOAM_ERROR_UNSUPPORTED,
         "needs torch._utils._rebuild_tensor_v3, which loam does not run"},
        {"negated.bin", LOAM_ERROR_UNSUPPORTED, "_rebuild_tensor_v2 is called in a form"},
        {"sparse.bin", LOAM_ERROR_UNSUPPORTED, "needs torch._utils._rebuild_sparse_tensor"},
        {"object.bin", LOAM_ERROR_UNSUPPORTED, "needs __main__.Module"},
        {"tensor.bin", LOAM_ERROR_UNSUPPORTED, "is no state dictionary: it holds a tensor"},
        {"protocol4.bin", LOAM_ERROR_UNSUPPORTED, "is a pickle of protocol 4; expected 2"},
        {"old.bin", LOAM_ERROR_UNSUPPORTED, "has the format of PyTorch before 1.6"},
        {"deflated.bin", LOAM_ERROR_UNSUPPORTED, "is compressed or encrypted"},
        {"no_storage.bin", LOAM_ERROR_FORMAT, "tensor w is in data/0, which the archive lacks"},
        {"short_storage.bin", LOAM_ERROR_FORMAT, "has 15 bytes, which is not 4 elements of float32"},
        {"big_endian.bin", LOAM_ERROR_UNSUPPORTED, "the byte order is not \"little\""},
        {"no_pickle.bin", LOAM_ERROR_FORMAT, "has no data.pkl"},
        {"twice.bin", LOAM_ERROR_FORMAT, "has two entries small/data/0"},
    };
    struct loam_error error = {0};
    struct loam_container *file;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_fails(loam_container_open_file(&file, fixture(cases[i].name), &error), cases[i].status,
                     cases[i].text);
        assert_null(file);
        assert_non_null(strstr(error.message, cases[i].name));
    }
}

static void open_bytes(const char *path, const uint8_t *data, size_t size)
{
    struct loam_error error = {0};
    struct loam_container *file;
    test_write_file(path, data, size);
    if (loam_container_open_file(&file, path, &error) != LOAM_OK) return;
    for (size_t i = 0; i < loam_container_count(file); i++) {
        const struct loam_stored_tensor *tensor = loam_container_at(file, i);
        volatile uint8_t sink = 0;
        for (size_t j = 0; j < tensor->bytes; j++)
            sink = tensor->data[j];
        (void)sink;
    }
    loam_container_destroy(file);
}

// Every truncation fails, and no changed byte leads outside of the file.
static void survives_damage(void **state)
{
    char path[400];
    struct loam_error error = {0};
    struct loam_bytes bytes = {0};
    struct loam_container *file;
    snprintf(path, sizeof path, "%s/x.bin", (const char *)*state);
    assert_ok(loam_file_read(fixture("small.bin"), 1 << 20, &bytes, &error));
    for (size_t size = 0; size < bytes.size; size++) {
        test_write_file(path, bytes.data, size);
        assert_int_not_equal(loam_container_open_file(&file, path, &error), LOAM_OK);
        assert_int_equal(error.status, LOAM_ERROR_FORMAT);
    }
    static const uint8_t changes[] = {0x01, 0x80, 0xFF};
    for (size_t at = 0; at < bytes.size; at++)
        for (size_t i = 0; i < sizeof changes; i++) {
            bytes.data[at] = (char)((uint8_t)bytes.data[at] ^ changes[i]);
            open_bytes(path, (const uint8_t *)bytes.data, bytes.size);
            bytes.data[at] = (char)((uint8_t)bytes.data[at] ^ changes[i]);
        }
    loam_bytes_deinit(&bytes);
}

// ---- pickles ----

static void append(struct loam_bytes *bytes, const void *data, size_t size)
{
    struct loam_error error = {0};
    assert_ok(loam_bytes_append(bytes, data, size, &error));
}

static void append_number(struct loam_bytes *bytes, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        append(bytes, &(uint8_t){(uint8_t)(i < sizeof number ? number >> (8 * i) : 0)}, 1);
}

// What the header of an entry and its record in the directory have in common.
static void append_entry(struct loam_bytes *bytes, const char *name, size_t size)
{
    append_number(bytes, 0, 2); // flags
    append_number(bytes, 0, 2); // stored
    append_number(bytes, 0, 8); // time and checksum
    append_number(bytes, size, 4);
    append_number(bytes, size, 4);
    append_number(bytes, strlen(name), 2);
    append_number(bytes, 0, 2); // extra fields
}

// An archive of data.pkl and a storage "0" of four elements.
static void write_archive(const char *path, const char *pickle, size_t pickle_size)
{
    static const char storage[16];
    const struct {
        const char *name, *data;
        size_t size;
    } entries[] = {{"x/data.pkl", pickle, pickle_size}, {"x/data/0", storage, sizeof storage}};
    struct loam_bytes file = {0}, directory = {0};
    for (size_t i = 0; i < 2; i++) {
        append(&directory, "PK\1\2\0\0\0\0", 8);
        append_entry(&directory, entries[i].name, entries[i].size);
        append_number(&directory, 0, 10); // comment, disk, attributes
        append_number(&directory, file.size, 4);
        append(&directory, entries[i].name, strlen(entries[i].name));
        append(&file, "PK\3\4\0\0", 6);
        append_entry(&file, entries[i].name, entries[i].size);
        append(&file, entries[i].name, strlen(entries[i].name));
        append(&file, entries[i].data, entries[i].size);
    }
    const size_t place = file.size;
    append(&file, directory.data, directory.size);
    append(&file, "PK\5\6\0\0\0\0\2\0\2\0", 12);
    append_number(&file, directory.size, 4);
    append_number(&file, place, 4);
    append_number(&file, 0, 2); // comment
    test_write_file(path, file.data, file.size);
    loam_bytes_deinit(&file);
    loam_bytes_deinit(&directory);
}

static void lying_pickles(void **state)
{
#define DICT "ccollections\nOrderedDict\n)R"
#define STORAGE                                                                                              \
    "(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"                                                   \
    "0X\x03\0\0\0cpuK\x04tQ"
#define TENSOR "ctorch._utils\n_rebuild_tensor_v2\n"
    static const struct {
        const char *pickle;
        size_t size;
        const char *text;
    } cases[] = {
#define CASE(pickle, text) {pickle, sizeof(pickle) - 1, text}
        CASE("", "the pickle ends at byte 0"),
        CASE("\x80", "the pickle ends at byte 1"),
        CASE("}", "the pickle ends at byte 1"),
        CASE(".", "the stack is empty"),
        CASE("q\0", "the stack is empty"),
        CASE("h\0", "the memo lacks a value"),
        CASE("}r\xff\xff\xff\xff.", "the memo is too large"),
        CASE("}q\x02h\x01.", "the memo lacks a value"),
        CASE("t", "a mark is missing"),
        CASE("K\x01(\x85", "the stack is empty"),
        CASE("}(u(s", "the stack is empty"),
        CASE("}(K\x01u", "a dictionary or one of its values is missing"),
        CASE("(K\x01K\x01u", "a dictionary or one of its values is missing"),
        CASE("K\x01(K\x01K\x01u", "SETITEMS is used in a form"),
        CASE("\x8a\x09"
             "123456789",
             "a number is too large"),
        CASE("\x8a\x08"
             "1234567",
             "the pickle ends"),
        CASE("X\xff\xff\xff\xff"
             "abc",
             "the pickle ends"),
        CASE("cos\nsystem\n", "needs os.system, which loam does not run"),
        CASE("cos\n", "the pickle ends"),
        CASE("cos", "the pickle ends"),
        CASE("ios\nsystem\n", "opcode 0x69"),
        CASE("K\x01)R", "REDUCE is used in a form"),
        CASE("ccollections\nOrderedDict\nK\x01R", "REDUCE is used in a form"),
        CASE("ccollections\nOrderedDict\nK\x01\x85R", "OrderedDict is called in a form"),
        CASE("ctorch\nFloatStorage\n)R", "a class of storages is called"),
        CASE("}K\x01"
             "b",
             "BUILD is used in a form"),
        CASE("K\x01}b", "BUILD is used in a form"),
        CASE("K\x01Q", "BINPERSID is used in a form"),
        CASE(")Q", "a storage is named in a form"),
        CASE("(X\x07\0\0\0storageccollections\nOrderedDict\nX\x01\0\0\0"
             "0X\x03\0\0\0cpuK\x04tQ",
             "a storage is named in a form"),
        CASE("(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\0"
             "0X\x03\0\0\0cpuJ\xff\xff\xff\xfftQ",
             "a storage is named in a form"),
        CASE(TENSOR ")R", "_rebuild_tensor_v2 is called in a form"),
        CASE(TENSOR "(" STORAGE "J\xff\xff\xff\xffK\x01\x85K\x01\x85\x89" DICT "tR",
             "_rebuild_tensor_v2 is called in a form"),
        CASE(TENSOR "(" STORAGE "K\x00K\x01\x85K\x01\x85\x89" DICT "K\x01tR",
             "_rebuild_tensor_v2 is called in a form"),
        CASE("ctorch._utils\n_rebuild_parameter\n(}\x89}tR", "_rebuild_parameter is called in a form"),
        CASE("}K\x01K\x01s.", "a key is no name of a tensor"),
        CASE("}X\x03\0\0\0a\0cK\x01s.", "a key is no name of a tensor"),
        CASE("}q\0X\x01\0\0\0ah\0s.", "\"a\" is a dictionary; expected a tensor"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x00K\x01K\x01\x86K\x01\x85\x89" DICT "tRs.",
             "tensor a has 2 sizes and 1 strides"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x00(K\x01K\x01K\x01K\x01K\x01t)\x89" DICT "tRs.",
             "tensor a has 5 dimensions"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x00J\xff\xff\xff\xff\x85K\x01\x85\x89" DICT "tRs.",
             "the shape of tensor a must hold whole numbers"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x05K\x00\x85K\x01\x85\x89" DICT "tRs.",
             "tensor a leaves its storage of 4 elements"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x03K\x02\x85K\x01\x85\x89" DICT "tRs.",
             "tensor a leaves its storage of 4 elements"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE
             "K\x00\x8a\x05\0\0\0\0\x01\x8a\x05\0\0\0\0\x01\x86K\x01K\x01\x86\x89" DICT "tRs.",
             "tensor a leaves its storage of 4 elements"),
        CASE("}X\x01\0\0\0a" TENSOR "(" STORAGE "K\x00K\x02\x85K\x02\x85\x89" DICT "tRs.",
             "tensor a is not contiguous"),
        CASE("}(X\x01\0\0\0a" TENSOR "(" STORAGE "K\x00K\x02\x85K\x01\x85\x89" DICT
             "tRq\x01X\x01\0\0\0ah\x01u.",
             "tensor a is in"),
    };
    struct loam_error error = {0};
    struct loam_container *file;
    char path[400];
    snprintf(path, sizeof path, "%s/x.bin", (const char *)*state);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        write_archive(path, cases[i].pickle, cases[i].size);
        if (loam_container_open_file(&file, path, &error) == LOAM_OK ||
            strstr(error.message, cases[i].text) == NULL)
            fail_msg("case %zu: \"%s\"; expected \"%s\"", i, error.message, cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_torch_saves), cmocka_unit_test(reads_attributes_and_many_tensors),
        cmocka_unit_test(refuses_other_files),    test_in_directory(survives_damage),
        test_in_directory(lying_pickles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
