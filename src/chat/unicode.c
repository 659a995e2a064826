#include "chat/unicode.h"

#include "chat/text.h"
#include "chat/unicode_table.h"

// The bits of a code point in chat_unicode_bits.
enum {
    IS_SPACE = 1,
    IS_LINE_BREAK = 2,
    IS_ALPHA = 4,
    IS_PRINTABLE = 8,
    IS_IGNORABLE = 16, // does not count as the neighbour of a final sigma
    NUMBER = 3 << 5,   // 1: numeric, 2: also a digit, 3: also a decimal
    CASE = 3 << 7,     // 1: upper, 2: lower, 3: title
};

static uint32_t bits_of(uint32_t code)
{
    return loam_runs_value(&chat_unicode_bits, (int32_t)code);
}
static uint32_t number_of(uint32_t code)
{
    return (bits_of(code) & NUMBER) >> 5;
}
static uint32_t case_of(uint32_t code)
{
    return (bits_of(code) & CASE) >> 7;
}

bool chat_is_space(uint32_t code)
{
    if (code < 0x80) return (code >= 0x9 && code <= 0xD) || (code >= 0x1C && code <= 0x20);
    return (bits_of(code) & IS_SPACE) != 0;
}

bool chat_is_line_break(uint32_t code)
{
    return (bits_of(code) & IS_LINE_BREAK) != 0;
}

bool chat_is_alpha(uint32_t code)
{
    return (bits_of(code) & IS_ALPHA) != 0;
}

bool chat_is_decimal(uint32_t code)
{
    return number_of(code) == 3;
}

bool chat_is_digit(uint32_t code)
{
    return number_of(code) >= 2;
}

bool chat_is_numeric(uint32_t code)
{
    return number_of(code) >= 1;
}

bool chat_is_printable(uint32_t code)
{
    return (bits_of(code) & IS_PRINTABLE) != 0;
}

bool chat_is_upper(uint32_t code)
{
    return case_of(code) == 1;
}

bool chat_is_lower(uint32_t code)
{
    return case_of(code) == 2;
}

bool chat_is_title(uint32_t code)
{
    return case_of(code) == 3;
}

bool chat_is_cased(uint32_t code)
{
    return case_of(code) != 0;
}

bool chat_is_case_ignorable(uint32_t code)
{
    return (bits_of(code) & IS_IGNORABLE) != 0;
}

bool chat_is_word(uint32_t code)
{
    return code == '_' || chat_is_alpha(code) || chat_is_numeric(code);
}

int chat_decimal_value(uint32_t code)
{
    for (size_t i = 0; i < chat_zero_count; i++)
        if (code >= chat_zeros[i] && code < chat_zeros[i] + 10) return (int)(code - chat_zeros[i]);
    return -1;
}

size_t chat_space_prefix(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t bytes;
        if (!chat_is_space(chat_decode(text + at, &bytes))) break;
        at += bytes;
    }
    return at;
}

size_t chat_space_trim_end(const char *text, size_t size)
{
    while (size > 0) {
        size_t bytes = loam_utf8_last(text, size), same;
        if (!chat_is_space(chat_decode(text + size - bytes, &same))) break;
        size -= bytes;
    }
    return size;
}

size_t chat_identifier_size(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        size_t bytes;
        uint32_t code = chat_decode(text + at, &bytes);
        if (!chat_is_word(code) || (at == 0 && chat_is_numeric(code))) break;
        at += bytes;
    }
    return at;
}

// ---- Case ----

static const struct chat_case_row *find_row(uint32_t code)
{
    size_t low = 0, high = chat_case_row_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (chat_case_rows[middle].code == code) return &chat_case_rows[middle];
        if (chat_case_rows[middle].code < code)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static size_t expand(uint32_t mapped, uint32_t out[CHAT_CASE_MAX])
{
    out[0] = mapped;
    if (mapped < LOAM_CODE_POINTS) return 1;
    const uint32_t *sequence = chat_case_sequences[mapped - LOAM_CODE_POINTS];
    size_t count = 0;
    for (; count < CHAT_CASE_MAX && sequence[count] != 0; count++)
        out[count] = sequence[count];
    return count;
}

size_t chat_to_upper(uint32_t code, uint32_t out[CHAT_CASE_MAX])
{
    const struct chat_case_row *row = find_row(code);
    return expand(row == NULL ? code : row->upper, out);
}

size_t chat_to_lower(uint32_t code, uint32_t out[CHAT_CASE_MAX])
{
    const struct chat_case_row *row = find_row(code);
    return expand(row == NULL ? code : row->lower, out);
}

size_t chat_to_title(uint32_t code, uint32_t out[CHAT_CASE_MAX])
{
    const struct chat_case_row *row = find_row(code);
    return expand(row == NULL ? code : row->title, out);
}

size_t chat_fold_case(uint32_t code, uint32_t out[CHAT_CASE_MAX])
{
    const struct chat_case_row *row = find_row(code);
    return expand(row == NULL ? code : row->fold, out);
}
