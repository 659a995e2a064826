// Characters that act on a terminal are removed from text from outside.
#include "test.h"

#include "base/bytes.h"
#include "base/printable.h"

static void cases_of_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *printable;
    } cases[] = {
        {"", ""},
        {"plain\ttext\n", "plain\ttext\n"},
        {"a\x1b[2Jb", "a?[2Jb"},
        {"a\rb\bc\x7f", "a?b?c?"},
        {"\xc2\x9b"
         "31m",
         "?31m"}, // CSI as one character
        {"\x9b"
         "31m",
         "?31m"}, // and as one byte
        {"\xc2\xa0\xc3\xa9", "\xc2\xa0\xc3\xa9"},
        {"\xe2\x80\xae"
         "abc\xe2\x81\xa6",
         "?abc?"},
        {"\xe2\x80\xa8\xe2\x80\xa9", "??"},
        {"\xe2\x80\x8f\xd7\x90", "\xe2\x80\x8f\xd7\x90"}, // a mark that Hebrew text needs
        {"\xe4\xb8\xad\xf0\x9f\x98\x80", "\xe4\xb8\xad\xf0\x9f\x98\x80"},
        {"\xf0\x9f\x98", "???"},           // cut
        {"\xc0\x9b\xe0\x82\x9b", "?????"}, // overlong
        {"\xed\xa0\x80\xf4\x90\x80\x80", "???????"},
        {"\xff\xfe", "??"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i].text);
        text[loam_make_printable(text, strlen(text))] = '\0';
        assert_string_equal(text, cases[i].printable);
    }
    char zero[] = {'a', '\0', 'b'};
    assert_int_equal(loam_make_printable(zero, sizeof zero), 3);
    assert_memory_equal(zero, "a?b", 3);
}

// Every code point: exactly C0, C1, DEL, separators and marks that reorder text are removed.
static void code_points(void **state)
{
    (void)state;
    for (uint32_t code = 0; code <= 0x10FFFF; code++) {
        if (code >= 0xD800 && code < 0xE000) continue;
        char text[4];
        size_t size;
        if (code < 0x80) {
            size = 1;
            text[0] = (char)code;
        } else if (code < 0x800) {
            size = 2;
            text[0] = (char)(0xC0 | code >> 6);
        } else if (code < 0x10000) {
            size = 3;
            text[0] = (char)(0xE0 | code >> 12);
        } else {
            size = 4;
            text[0] = (char)(0xF0 | code >> 18);
        }
        for (size_t i = 1; i < size; i++)
            text[i] = (char)(0x80 | (code >> (6 * (size - 1 - i)) & 0x3F));
        struct loam_character character = loam_character_read(text, size);
        bool acts = code < 0x20 || (code >= 0x7F && code < 0xA0) || (code >= 0x2028 && code <= 0x202E) ||
                    (code >= 0x2066 && code <= 0x2069);
        assert_int_equal(character.code, code);
        assert_int_equal(character.size, size);
        assert_int_equal(character.printable, !acts);
    }
}

static void lines(void **state)
{
    (void)state;
    struct loam_error error;
    struct loam_bytes text = {0};
    assert_ok(loam_bytes_append_line(&text, &error, "targets: %s", "a\nrank: 9\x1b[1A\xc2\x9b"));
    assert_ok(loam_bytes_append_line(&text, &error, "%d", 7));
    assert_string_equal(text.data, "targets: a?rank: 9?[1A?\n7\n");
    assert_int_equal(text.size, strlen(text.data));
    loam_bytes_deinit(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases_of_text),
        cmocka_unit_test(code_points),
        cmocka_unit_test(lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
