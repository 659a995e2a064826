// Normalising answers for comparison. It follows Python's str.lower(), str.isspace() and \w, so that figures
// equal those of the official script, which is Python.
#include "evaluate/score.h"

#include <string.h>

#include "base/utf8.h"
#include "text/unicode.h"
#include "text/unicode_data.h"

// One character of text that may not be UTF-8. A byte outside UTF-8 is a character that is not a letter.
struct character {
    int32_t code_point; // -1: a broken byte
    size_t size;
};

static struct character character_at(const char *text, size_t size)
{
    struct character found = {.code_point = -1, .size = 1};
    if (loam_utf8_sequence(text, size) > 0) found.code_point = loam_utf8_decode(text, &found.size);
    return found;
}

// Returns the character that ends at `end`.
static struct character character_before(const char *text, size_t end)
{
    size_t start = end - 1;
    while (start > 0 && end - start < 4 && ((unsigned char)text[start] & 0xC0) == 0x80)
        start--;
    struct character found = character_at(text + start, end - start);
    return found.size == end - start ? found : (struct character){.code_point = -1, .size = 1};
}

static bool is_ascii_punctuation(int32_t c)
{
    return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
           (c >= '{' && c <= '~');
}

// str.isspace() of Python.
static bool is_space(int32_t c)
{
    return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 || c == 0x1680 ||
           (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F || c == 0x205F ||
           c == 0x3000;
}

// \w of Python's re: str.isalnum() and the underscore.
static bool is_word(int32_t c)
{
    enum { LETTERS = 0x1F, NUMBERS = 0x700 }; // bits of Lu, Ll, Lt, Lm, Lo and of Nd, Nl, No
    if (c < 0x80)
        return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
    return ((LETTERS | NUMBERS) >> loam_runs_value(&loam_unicode_categories, c) & 1) != 0;
}

static bool is_case_ignorable(int32_t c)
{
    return c >= 0 && loam_runs_value(&loam_unicode_case_ignorable, c) == 1;
}

static bool is_cased(int32_t c)
{
    return c >= 0 && loam_runs_value(&loam_unicode_cased, c) == 1;
}

// Returns whether the capital sigma at `at` is lowered to the final sigma: it follows a cased letter and does
// not precede one. Case-ignorable characters between them are skipped.
static bool is_final_sigma(const char *text, size_t size, size_t at, size_t next)
{
    struct character c = {.code_point = -1};
    while (at > 0) {
        c = character_before(text, at);
        if (!is_case_ignorable(c.code_point)) break;
        at -= c.size;
    }
    if (at == 0 || !is_cased(c.code_point)) return false;
    while (next < size) {
        c = character_at(text + next, size - next);
        if (!is_case_ignorable(c.code_point)) return !is_cased(c.code_point);
        next += c.size;
    }
    return true;
}

// Appends str.lower() of the character at `at`.
static enum loam_status append_lower(const char *text, size_t size, size_t at, struct character c,
                                     struct loam_bytes *out, struct loam_error *error)
{
    enum { CAPITAL_I_WITH_DOT = 0x130, CAPITAL_SIGMA = 0x3A3, FINAL_SIGMA = 0x3C2 };
    if (c.code_point < 0) return loam_bytes_append(out, text + at, c.size, error);
    // U+0130 is the only letter whose lower case is two characters.
    if (c.code_point == CAPITAL_I_WITH_DOT) return loam_bytes_append_text(out, "i\xCC\x87", error);
    int32_t lower = loam_char_lower(c.code_point);
    if (c.code_point == CAPITAL_SIGMA && is_final_sigma(text, size, at, at + c.size)) lower = FINAL_SIGMA;
    char encoded[LOAM_UTF8_MAX];
    return loam_bytes_append(out, encoded, loam_utf8_encode(lower, encoded), error);
}

static enum loam_status lower_without_punctuation(const char *text, size_t size, struct loam_bytes *out,
                                                  struct loam_error *error)
{
    for (size_t at = 0; at < size;) {
        struct character c = character_at(text + at, size - at);
        if (!is_ascii_punctuation(c.code_point)) LOAM_TRY(append_lower(text, size, at, c, out, error));
        at += c.size;
    }
    return LOAM_OK;
}

// Returns the bytes of the word (\w+) at the start of `text`.
static size_t measure_word(const char *text, size_t size)
{
    size_t at = 0;
    while (at < size) {
        struct character c = character_at(text + at, size - at);
        if (!is_word(c.code_point)) break;
        at += c.size;
    }
    return at;
}

static bool is_article(const char *word, size_t size)
{
    return (size == 1 && word[0] == 'a') || (size == 2 && memcmp(word, "an", 2) == 0) ||
           (size == 3 && memcmp(word, "the", 3) == 0);
}

// Removes articles, and replaces white space between words by one space.
static enum loam_status collapse_spaces(const struct loam_bytes *text, struct loam_bytes *out,
                                        struct loam_error *error)
{
    bool apart = false;
    for (size_t at = 0, next; at < text->size; at = next) {
        const char *here = text->data + at;
        size_t run = measure_word(here, text->size - at);
        struct character c = character_at(here, text->size - at);
        next = at + (run > 0 ? run : c.size);
        if (run > 0 ? is_article(here, run) : is_space(c.code_point)) {
            apart = true;
            continue;
        }
        if (apart && out->size > 0) LOAM_TRY(loam_bytes_append(out, " ", 1, error));
        LOAM_TRY(loam_bytes_append(out, here, next - at, error));
        apart = false;
    }
    return LOAM_OK;
}

enum loam_status loam_score_normalise(const char *text, size_t size, struct loam_bytes *out,
                                      struct loam_error *error)
{
    struct loam_bytes lower = {0};
    loam_bytes_clear(out);
    enum loam_status status = loam_bytes_reserve(out, size, error);
    if (status == LOAM_OK) status = lower_without_punctuation(text, size, &lower, error);
    if (status == LOAM_OK) status = collapse_spaces(&lower, out, error);
    loam_bytes_deinit(&lower);
    return status;
}
