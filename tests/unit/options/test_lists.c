#include "test.h"

#include <stddef.h>

#include "options/option_values.h"

// Two lists of each type, in a struct that is not the commands' settings: no list option is special.
struct two_of_each {
    struct loam_text_list files;
    struct loam_text_list words;
    struct loam_field_list fields;
    struct loam_field_list labels;
};

static enum loam_status refuse_blank(const char *text, struct loam_error *error)
{
    if (text[0] != ' ') return LOAM_OK;
    return loam_fail(error, LOAM_ERROR_FORMAT, "a word begins with a blank");
}

// clang-format off
static const struct loam_option_row rows[] = {
    {.info = {.name = "file", .argument = "FILE", .repeated = true}, .type = LOAM_OPTION_LIST,
     .offset = offsetof(struct two_of_each, files)},
    {.info = {.name = "word", .argument = "WORD", .repeated = true}, .type = LOAM_OPTION_LIST,
     .offset = offsetof(struct two_of_each, words), .check = refuse_blank},
    {.info = {.name = "field", .argument = "NAME=VALUE", .repeated = true}, .type = LOAM_OPTION_FIELDS,
     .offset = offsetof(struct two_of_each, fields)},
    {.info = {.name = "label", .argument = "NAME=VALUE", .repeated = true}, .type = LOAM_OPTION_FIELDS,
     .offset = offsetof(struct two_of_each, labels)},
};
// clang-format on
enum { ROWS = sizeof rows / sizeof rows[0] };

static void add(struct two_of_each *settings, const struct loam_option_row *row, const char *text)
{
    struct loam_error error = {0};
    assert_ok(loam_option_store(settings, row, text, &error));
}

static void assert_item(const struct two_of_each *settings, const struct loam_option_row *row, size_t index,
                        const char *expected)
{
    struct loam_error error = {0};
    struct loam_bytes text = {0};
    assert_ok(loam_option_append_item(settings, row, index, &text, &error));
    assert_string_equal(text.data, expected);
    loam_bytes_deinit(&text);
}

static void lists_of_one_type_are_apart(void **state)
{
    (void)state;
    struct two_of_each settings = {0};
    add(&settings, &rows[0], "a");
    add(&settings, &rows[1], "b");
    add(&settings, &rows[0], "c");
    add(&settings, &rows[2], "name=1");
    add(&settings, &rows[3], "name=2");
    add(&settings, &rows[3], "other=x=y");
    static const size_t counts[ROWS] = {2, 1, 1, 2};
    for (size_t i = 0; i < ROWS; i++) {
        assert_true(loam_option_is_list(&rows[i]));
        assert_int_equal(loam_option_item_count(&settings, &rows[i]), counts[i]);
    }
    assert_item(&settings, &rows[0], 0, "a");
    assert_item(&settings, &rows[0], 1, "c");
    assert_item(&settings, &rows[1], 0, "b");
    assert_item(&settings, &rows[2], 0, "name=1");
    assert_item(&settings, &rows[3], 1, "other=x=y");
    for (size_t i = 0; i < ROWS; i++) {
        loam_option_release(&settings, &rows[i]);
        assert_int_equal(loam_option_item_count(&settings, &rows[i]), 0);
        loam_option_release(&settings, &rows[i]); // an empty list
    }
}

static void refused_values_are_not_added(void **state)
{
    (void)state;
    struct two_of_each settings = {0};
    struct loam_error error = {0};
    add(&settings, &rows[1], "b");
    add(&settings, &rows[3], "name=2");
    assert_fails(loam_option_store(&settings, &rows[1], " b", &error), LOAM_ERROR_USAGE, "a word begins");
    assert_fails(loam_option_store(&settings, &rows[3], "name=3", &error), LOAM_ERROR_USAGE,
                 "--label name is given twice");
    assert_fails(loam_option_store(&settings, &rows[3], "=3", &error), LOAM_ERROR_USAGE, "NAME=VALUE");
    assert_int_equal(loam_option_item_count(&settings, &rows[1]), 1);
    assert_int_equal(loam_option_item_count(&settings, &rows[3]), 1);
    for (size_t i = 0; i < ROWS; i++)
        loam_option_release(&settings, &rows[i]);
}

// A list option may be given several times, and no other option may.
static void lists_are_the_repeated_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < loam_option_row_count; i++) {
        const struct loam_option_row *row = &loam_option_rows[i];
        assert_int_equal(loam_option_is_list(row), row->info.repeated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lists_of_one_type_are_apart),
        cmocka_unit_test(refused_values_are_not_added),
        cmocka_unit_test(lists_are_the_repeated_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
