#include "text/unicode.h"

#include <stdlib.h>

#include "text/unicode_data.h"

size_t loam_utf8_encode(int32_t code_point, char out[LOAM_UTF8_MAX])
{
    uint32_t c = (uint32_t)code_point;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t size = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3F));
    out[0] = (char)(0xF00 >> size | c); // as many one bits as bytes, then a zero bit
    return size;
}

uint32_t loam_runs_value(const struct loam_runs *runs, int32_t code_point)
{
    // Finds the last run that begins at or before the code point. The first run begins at 0.
    size_t low = 0;
    size_t high = runs->count;
    while (high - low > 1) {
        size_t middle = (low + high) / 2;
        if (runs->items[middle] >> LOAM_RUN_VALUE_BITS <= (uint32_t)code_point)
            low = middle;
        else
            high = middle;
    }
    return runs->items[low] % LOAM_RUN_VALUES;
}

// Classes of ASCII, the most frequent characters: the same in every version of Unicode.
static uint32_t ascii_classes(int32_t c)
{
    if (c == ' ' || (c >= '\t' && c <= '\r')) return LOAM_CLASS_WHITE_SPACE;
    if (c >= '0' && c <= '9') return LOAM_CLASS_WORD | LOAM_CLASS_NUMERIC;
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return LOAM_CLASS_WORD;
    if (c == '_') return LOAM_CLASS_WORD | LOAM_CLASS_PUNCTUATION;
    return c > ' ' && c < 0x7F ? LOAM_CLASS_PUNCTUATION : 0;
}

uint32_t loam_char_classes(int32_t code_point)
{
    return code_point < 0x80 ? ascii_classes(code_point) : loam_runs_value(&loam_unicode_classes, code_point);
}

bool loam_char_is_whitespace(int32_t code_point)
{
    return (loam_char_classes(code_point) & LOAM_CLASS_WHITE_SPACE) != 0;
}

bool loam_char_is_numeric(int32_t code_point)
{
    return (loam_char_classes(code_point) & LOAM_CLASS_NUMERIC) != 0;
}

bool loam_char_is_punctuation(int32_t code_point)
{
    return (loam_char_classes(code_point) & LOAM_CLASS_PUNCTUATION) != 0;
}

bool loam_char_is_word(int32_t code_point)
{
    return (loam_char_classes(code_point) & LOAM_CLASS_WORD) != 0;
}

static int compare_pair(const void *key, const void *pair)
{
    int32_t code_point = *(const int32_t *)key;
    int32_t first = ((const struct loam_code_point_pair *)pair)->first;
    return (code_point > first) - (code_point < first);
}

int32_t loam_char_lower(int32_t code_point)
{
    if (code_point < 0x80)
        return code_point >= 'A' && code_point <= 'Z' ? code_point - 'A' + 'a' : code_point;
    const struct loam_code_point_pair *pair = bsearch(
        &code_point, loam_unicode_lower_pairs, loam_unicode_lower_pair_count, sizeof *pair, compare_pair);
    return pair == NULL ? code_point : pair->second;
}
