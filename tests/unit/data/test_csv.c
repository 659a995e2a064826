// CSV and TSV: rows, quotes, headers, and the refusals that name the row.
#include "test.h"

#include "data/csv.h"

static struct loam_error error;
static const struct loam_record_place place = {"data.csv", 7};

// The rows of `text` as "start+size" pairs, and their line breaks.
static void assert_rows(const char *text, char delimiter, const char *expected)
{
    char found[256] = "";
    const size_t size = strlen(text);
    for (size_t at = 0, used = 0; at < size;) {
        const struct loam_csv_row row = loam_csv_find_row(text, size, at, delimiter);
        used += (size_t)snprintf(found + used, sizeof found - used, "%zu+%zu/%zu ", row.start, row.size,
                                 row.breaks);
        assert_true(row.next > at && row.next <= size);
        at = row.next;
    }
    assert_string_equal(found, expected);
}

static void test_rows(void **state)
{
    (void)state;
    assert_rows("", ',', "");
    assert_rows("a,b", ',', "0+3/0 ");
    assert_rows("a\nb\r\nc\rd", ',', "0+1/1 2+1/1 5+1/1 7+1/0 ");
    assert_rows("\n\n", ',', "0+0/1 1+0/1 ");
    assert_rows("\"a\nb\",c\nd", ',', "0+7/2 8+1/0 ");
    assert_rows("\"a\r\nb\rc\"\r\nd", ',', "0+8/3 10+1/0 ");
    assert_rows("\"a\"\"\n\"\nb", ',', "0+6/2 7+1/0 ");
    assert_rows("a\"\nb\"", ',', "0+2/1 3+2/0 "); // a quote within a value begins nothing
    assert_rows("a,\"\n\"\nb", ',', "0+5/2 6+1/0 ");
    assert_rows("a\t\"\n\"\nb", '\t', "0+5/2 6+1/0 ");
    assert_rows("a\t\"\n\"\nb", ',', "0+3/1 4+3/1 "); // a quote that is not closed
    assert_rows("a\n\"open\nrest", ',', "0+1/1 2+10/1 ");
}

// Reads a header and a row; `expected` has the values between bars.
static void assert_values(const char *header, const char *row, char delimiter, const char *expected)
{
    struct loam_csv csv = {.delimiter = delimiter};
    char found[256] = "|";
    assert_ok(loam_csv_read_header(&csv, header, strlen(header), place, &error));
    for (int again = 0; again < 2; again++)
        assert_ok(loam_csv_read_row(&csv, row, strlen(row), place, &error));
    for (size_t i = 0, used = 1; i < csv.count; i++)
        used += (size_t)snprintf(found + used, sizeof found - used, "%s:%.*s|", csv.columns[i].name,
                                 (int)csv.columns[i].size, csv.columns[i].value);
    assert_string_equal(found, expected);
    loam_csv_deinit(&csv);
}

static void test_values(void **state)
{
    (void)state;
    assert_values("a,b", "1,2", ',', "|a:1|b:2|");
    assert_values("a,b", ",", ',', "|a:|b:|");
    assert_values("a", "", ',', "|a:|");
    assert_values("a,b,c", "\"\",\"x\"\"y\",z", ',', "|a:|b:x\"y|c:z|");
    assert_values("a,b", "\"\"\"\",\"\"\"\"\"\"", ',', "|a:\"|b:\"\"|");
    assert_values("a,b", "\"1,\n2\",x\"y", ',', "|a:1,\n2|b:x\"y|");
    assert_values("a\tb c", "1,\"\t2", '\t', "|a:1,\"|b c:2|");
    assert_values("\"a,\"\"b\",\"\"", " x , y", ',', "|a,\"b: x |: y|");
    assert_values(",text,", "0,t,", ',', "|:0|text:t|:|"); // columns without a name
    assert_values("\xC3\xA9", "\xE4\xB8\xAD", ',', "|\xC3\xA9:\xE4\xB8\xAD|");
}

static void assert_refused(const char *header, const char *row, size_t size, const char *message)
{
    struct loam_csv csv = {.delimiter = ','};
    enum loam_status status = loam_csv_read_header(&csv, header, strlen(header), place, &error);
    if (row != NULL) {
        assert_int_equal(status, LOAM_OK);
        status = loam_csv_read_row(&csv, row, size, place, &error);
    }
    assert_fails(status, LOAM_ERROR_FORMAT, message);
    loam_csv_deinit(&csv);
}
#define REFUSED(header, row, message) assert_refused(header, row, sizeof(row) - 1, message)

static void test_refusals(void **state)
{
    (void)state;
    assert_refused("a,b,a", NULL, 0, "data.csv:7: columns 1 and 3 of the header are both named \"a\"");
    assert_refused("a,\"b", NULL, 0, "data.csv:7: column 2: the quote that begins the value is not closed");
    assert_refused("a\xFF", NULL, 0, "data.csv:7: invalid UTF-8 at byte 2 of the row (0xFF)");
    REFUSED("a,b", "1", "data.csv:7: the row has 1 values; the header has 2 columns");
    REFUSED("a,b", "1,2,", "data.csv:7: the row has 3 values; the header has 2 columns");
    REFUSED("a,b", "1,\"2", "data.csv:7: column 2: the quote that begins the value is not closed");
    REFUSED("a,b", "\"", "column 1: the quote that begins the value is not closed");
    REFUSED("a,b", "\"1\"\",2", "column 1: the quote that begins the value is not closed");
    REFUSED("a,b", "\"1\" ,2", "data.csv:7: column 1: text after the closing quote");
    REFUSED("a,b", "1,2\xC3", "data.csv:7: invalid UTF-8 at byte 4 of the row (0xC3)");
    REFUSED("a,b", "1,\0", "data.csv:7: a NUL byte at byte 3 of the row");
    char many[3 * 4096];
    for (size_t i = 0; i < sizeof many; i++)
        many[i] = ',';
    many[sizeof many - 1] = '\0';
    assert_refused(many, NULL, 0, "the header has more than 4096 columns");
}

static void test_find(void **state)
{
    (void)state;
    struct loam_csv csv = {.delimiter = ','};
    struct loam_bytes list = {0};
    assert_ok(loam_csv_read_header(&csv, "a,b b,", 6, place, &error));
    assert_int_equal(loam_csv_find(&csv, "b b"), 1);
    assert_int_equal(loam_csv_find(&csv, "B B"), 3);
    assert_ok(loam_csv_list(&csv, &list, &error));
    assert_string_equal(list.data, "a, b b, ");
    loam_bytes_deinit(&list);
    loam_csv_deinit(&csv);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_find),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
