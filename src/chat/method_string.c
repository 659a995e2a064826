// Methods of strings that return a string, a number or a boolean.
#include "chat/method.h"
#include "chat/unicode.h"

// ---- Case ----

// Whether a capital sigma at `at` ends a word, as Python's str.lower decides.
static bool is_final_sigma(const struct chat_string *string, size_t at)
{
    size_t size, before = at, after = at + 2;
    uint32_t code = 0;
    while (before > 0) {
        before -= loam_utf8_last(string->data, before);
        code = chat_decode(string->data + before, &size);
        if (!chat_is_case_ignorable(code)) break;
        code = 0;
    }
    if (code == 0 || !chat_is_cased(code)) return false;
    for (code = 0; after < string->size; after += size) {
        code = chat_decode(string->data + after, &size);
        if (!chat_is_case_ignorable(code)) break;
        code = 0;
    }
    return code == 0 || !chat_is_cased(code);
}

static size_t map_lower(const struct chat_string *string, size_t at, uint32_t code,
                        uint32_t out[CHAT_CASE_MAX])
{
    if (code != 0x3A3) return chat_to_lower(code, out);
    out[0] = is_final_sigma(string, at) ? 0x3C2 : 0x3C3;
    return 1;
}

static size_t map_character(const struct chat_string *string, size_t at, uint32_t code, enum chat_case to,
                            bool begins, uint32_t out[CHAT_CASE_MAX])
{
    switch (to) {
    case CHAT_UPPER:
        return chat_to_upper(code, out);
    case CHAT_CASEFOLD:
        return chat_fold_case(code, out);
    case CHAT_SWAPCASE:
        if (chat_is_upper(code)) return map_lower(string, at, code, out);
        if (chat_is_lower(code)) return chat_to_upper(code, out);
        out[0] = code;
        return 1;
    case CHAT_TITLE:
    case CHAT_CAPITALIZE:
        return begins ? chat_to_title(code, out) : map_lower(string, at, code, out);
    default:
        return map_lower(string, at, code, out);
    }
}

enum loam_status chat_change_case(struct chat_run *run, const struct chat_string *string, enum chat_case to,
                                  struct chat_value *result)
{
    struct chat_text text;
    bool begins = true; // a word (title) or the string
    chat_text_init(&text, &run->pool, run->error);
    for (size_t at = 0, size; at < string->size; at += size) {
        uint32_t out[CHAT_CASE_MAX], code = chat_decode(string->data + at, &size);
        size_t count = map_character(string, at, code, to, begins, out);
        uint32_t origin = chat_string_origin_at(string, at);
        for (size_t i = 0; i < count; i++)
            LOAM_TRY(chat_text_append_code(&text, out[i], origin));
        begins = to == CHAT_TITLE && !chat_is_cased(code);
    }
    return chat_text_finish(&text, result);
}

static enum loam_status string_upper(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_UPPER, result);
}
static enum loam_status string_lower(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_LOWER, result);
}
static enum loam_status string_title(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_TITLE, result);
}
static enum loam_status string_capitalize(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_CAPITALIZE, result);
}
static enum loam_status string_swapcase(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_SWAPCASE, result);
}
static enum loam_status string_casefold(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    return chat_change_case(run, call->self.as.string, CHAT_CASEFOLD, result);
}

// ---- Stripping and padding ----

static bool is_stripped(const char *character, size_t size, const struct chat_string *chars)
{
    size_t same;
    if (chars == NULL) return chat_is_space(chat_decode(character, &same));
    return memmem(chars->data, chars->size, character, size) != NULL;
}

enum loam_status chat_strip(struct chat_run *run, const struct chat_string *string, struct chat_value chars,
                            int sides, struct chat_value *result)
{
    const struct chat_string *set = NULL;
    size_t from = 0, to = string->size;
    if (chars.kind != CHAT_MISSING && chars.kind != CHAT_NONE) LOAM_TRY(chat_need_string(run, chars, &set));
    while ((sides & CHAT_LEFT) != 0 && from < to) {
        size_t size = loam_utf8_length(string->data[from]);
        if (!is_stripped(string->data + from, size, set)) break;
        from += size;
    }
    while ((sides & CHAT_RIGHT) != 0 && to > from) {
        size_t size = loam_utf8_last(string->data, to);
        if (!is_stripped(string->data + to - size, size, set)) break;
        to -= size;
    }
    return chat_string_part(result, string, from, to, &run->pool, run->error);
}

static enum loam_status string_strip(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return chat_strip(run, call->self.as.string, call->values[0], CHAT_LEFT | CHAT_RIGHT, result);
}
static enum loam_status string_lstrip(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return chat_strip(run, call->self.as.string, call->values[0], CHAT_LEFT, result);
}
static enum loam_status string_rstrip(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return chat_strip(run, call->self.as.string, call->values[0], CHAT_RIGHT, result);
}

static enum loam_status pad(struct chat_run *run, const struct chat_string *string, int64_t left,
                            int64_t right, const struct chat_string *fill, struct chat_value *result)
{
    struct chat_text text;
    chat_text_init(&text, &run->pool, run->error);
    for (int64_t i = 0; i < left + right; i++) {
        if (i == left) LOAM_TRY(chat_text_append_string(&text, string));
        LOAM_TRY(chat_step(run));
        if (fill == NULL)
            LOAM_TRY(chat_text_append(&text, " ", 1, CHAT_TEMPLATE_ORIGIN));
        else
            LOAM_TRY(chat_text_append_string(&text, fill));
    }
    if (right == 0) LOAM_TRY(chat_text_append_string(&text, string));
    return chat_text_finish(&text, result);
}

enum loam_status chat_center(struct chat_run *run, const struct chat_string *string, int64_t width,
                             const struct chat_string *fill, struct chat_value *result)
{
    int64_t padding = width > string->length ? width - string->length : 0;
    int64_t left = padding / 2 + (padding & width & 1); // as Python rounds
    return pad(run, string, left, padding - left, fill, result);
}

static enum loam_status justify(struct chat_run *run, const struct chat_call *call, int side,
                                struct chat_value *result)
{
    int64_t width;
    const struct chat_string *string = call->self.as.string, *fill = NULL;
    LOAM_TRY(chat_need_integer(run, call->values[0], 0, &width));
    if (call->values[1].kind != CHAT_MISSING) LOAM_TRY(chat_need_string(run, call->values[1], &fill));
    if (fill != NULL && fill->length != 1)
        return chat_fail(run, "The fill character must be exactly one character long");
    if (side == 0) return chat_center(run, string, width, fill, result);
    int64_t padding = width > string->length ? width - string->length : 0;
    return pad(run, string, side == CHAT_LEFT ? 0 : padding, side == CHAT_LEFT ? padding : 0, fill, result);
}

static enum loam_status string_center(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return justify(run, call, 0, result);
}
static enum loam_status string_ljust(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return justify(run, call, CHAT_LEFT, result);
}
static enum loam_status string_rjust(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return justify(run, call, CHAT_RIGHT, result);
}

static enum loam_status string_zfill(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    int64_t width;
    const struct chat_string *string = call->self.as.string;
    struct chat_text text;
    LOAM_TRY(chat_need_integer(run, call->values[0], 0, &width));
    size_t sign = string->size > 0 && (string->data[0] == '-' || string->data[0] == '+');
    chat_text_init(&text, &run->pool, run->error);
    LOAM_TRY(chat_text_append_part(&text, string, 0, sign, 0));
    for (int64_t i = string->length; i < width; i++) {
        LOAM_TRY(chat_step(run));
        LOAM_TRY(chat_text_append(&text, "0", 1, CHAT_TEMPLATE_ORIGIN));
    }
    LOAM_TRY(chat_text_append_part(&text, string, sign, string->size, 0));
    return chat_text_finish(&text, result);
}

static enum loam_status string_expandtabs(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    int64_t tab, column = 0;
    const struct chat_string *string = call->self.as.string;
    struct chat_text text;
    LOAM_TRY(chat_need_integer(run, call->values[0], 8, &tab));
    if (tab > 1000) return chat_fail(run, "a tab has more than 1000 columns");
    chat_text_init(&text, &run->pool, run->error);
    for (size_t at = 0, size; at < string->size; at += size) {
        size = loam_utf8_length(string->data[at]);
        if (string->data[at] != '\t') {
            LOAM_TRY(chat_text_append_part(&text, string, at, at + size, 0));
            column = string->data[at] == '\n' || string->data[at] == '\r' ? 0 : column + 1;
            continue;
        }
        int64_t blanks = tab > 0 ? tab - column % tab : 0;
        for (int64_t i = 0; i < blanks; i++)
            LOAM_TRY(chat_text_append(&text, " ", 1, chat_string_origin_at(string, at)));
        column += blanks;
    }
    return chat_text_finish(&text, result);
}

static enum loam_status remove_affix(struct chat_run *run, const struct chat_call *call, bool prefix,
                                     struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string, *affix;
    LOAM_TRY(chat_need_string(run, call->values[0], &affix));
    size_t from = 0, to = string->size;
    bool fits = affix->size <= to;
    if (fits && prefix && memcmp(string->data, affix->data, affix->size) == 0) from = affix->size;
    if (fits && !prefix && memcmp(string->data + to - affix->size, affix->data, affix->size) == 0)
        to -= affix->size;
    return chat_string_part(result, string, from, to, &run->pool, run->error);
}

static enum loam_status string_removeprefix(struct chat_run *run, const struct chat_call *call,
                                            struct chat_value *result)
{
    return remove_affix(run, call, true, result);
}
static enum loam_status string_removesuffix(struct chat_run *run, const struct chat_call *call,
                                            struct chat_value *result)
{
    return remove_affix(run, call, false, result);
}

// ---- Searching ----

// The bytes that start and stop, counted in characters, stand for. False: the start is behind the end.
static enum loam_status find_bounds(struct chat_run *run, const struct chat_string *string,
                                    struct chat_value start, struct chat_value stop, size_t bounds[2],
                                    bool *valid)
{
    int64_t first, last, length = string->length;
    LOAM_TRY(chat_need_integer(run, start, 0, &first));
    LOAM_TRY(chat_need_integer(run, stop, INT64_MAX, &last));
    if (first < 0) first = first + length < 0 ? 0 : first + length;
    if (last < 0) last = last + length < 0 ? 0 : last + length;
    if (last > length) last = length;
    *valid = first <= last;
    bounds[0] = chat_string_byte(string, (size_t)first);
    bounds[1] = chat_string_byte(string, (size_t)last);
    return LOAM_OK;
}

static enum loam_status find_string(struct chat_run *run, const struct chat_call *call, bool last, bool must,
                                    struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string, *words;
    size_t bounds[2];
    bool valid;
    LOAM_TRY(chat_need_string(run, call->values[0], &words));
    LOAM_TRY(find_bounds(run, string, call->values[1], call->values[2], bounds, &valid));
    size_t found = !valid ? SIZE_MAX
                   : last ? chat_string_find_last(string, words, bounds[0], bounds[1])
                          : chat_string_find(string, words, bounds[0], bounds[1]);
    if (found == SIZE_MAX && must) return chat_fail(run, "substring not found");
    *result = chat_int(found == SIZE_MAX ? -1 : (int64_t)chat_string_character(string, found));
    return LOAM_OK;
}

static enum loam_status string_find(struct chat_run *run, const struct chat_call *call,
                                    struct chat_value *result)
{
    return find_string(run, call, false, false, result);
}
static enum loam_status string_rfind(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return find_string(run, call, true, false, result);
}
static enum loam_status string_index(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    return find_string(run, call, false, true, result);
}
static enum loam_status string_rindex(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return find_string(run, call, true, true, result);
}

static enum loam_status string_count(struct chat_run *run, const struct chat_call *call,
                                     struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string, *words;
    size_t bounds[2];
    bool valid;
    int64_t count = 0;
    LOAM_TRY(chat_need_string(run, call->values[0], &words));
    LOAM_TRY(find_bounds(run, string, call->values[1], call->values[2], bounds, &valid));
    *result = chat_int(0);
    if (!valid) return LOAM_OK;
    if (words->size == 0) {
        *result = chat_int(
            (int64_t)(chat_string_character(string, bounds[1]) - chat_string_character(string, bounds[0])) +
            1);
        return LOAM_OK;
    }
    for (size_t at = bounds[0]; (at = chat_string_find(string, words, at, bounds[1])) != SIZE_MAX;
         at += words->size)
        count++;
    *result = chat_int(count);
    return LOAM_OK;
}

static bool has_affix(const struct chat_string *string, const size_t bounds[2],
                      const struct chat_string *affix, bool at_end)
{
    if (affix->size > bounds[1] - bounds[0]) return false;
    size_t at = at_end ? bounds[1] - affix->size : bounds[0];
    return memcmp(string->data + at, affix->data, affix->size) == 0;
}

static enum loam_status test_affix(struct chat_run *run, const struct chat_call *call, bool at_end,
                                   struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string;
    struct chat_value affix = call->values[0];
    size_t bounds[2];
    bool valid, holds = false;
    LOAM_TRY(find_bounds(run, string, call->values[1], call->values[2], bounds, &valid));
    if (affix.kind != CHAT_STRING && affix.kind != CHAT_TUPLE)
        return chat_fail(run, "%s first arg must be str or a tuple of str, not %s",
                         at_end ? "endswith" : "startswith", chat_type_name(affix));
    size_t count = affix.kind == CHAT_TUPLE ? affix.as.list->count : 1;
    for (size_t i = 0; i < count && !holds; i++) {
        const struct chat_string *one;
        LOAM_TRY(chat_need_string(run, affix.kind == CHAT_TUPLE ? affix.as.list->items[i] : affix, &one));
        holds = valid && has_affix(string, bounds, one, at_end);
    }
    *result = chat_bool(holds);
    return LOAM_OK;
}

static enum loam_status string_startswith(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    return test_affix(run, call, false, result);
}
static enum loam_status string_endswith(struct chat_run *run, const struct chat_call *call,
                                        struct chat_value *result)
{
    return test_affix(run, call, true, result);
}

// ---- Replacing ----

enum loam_status chat_replace(struct chat_run *run, const struct chat_string *string,
                              const struct chat_string *old, const struct chat_string *new, int64_t count,
                              struct chat_value *result)
{
    struct chat_text text;
    size_t at = 0;
    chat_text_init(&text, &run->pool, run->error);
    if (count < 0) count = INT64_MAX;
    for (; count > 0; count--) {
        size_t found = chat_string_find(string, old, at, string->size);
        if (found == SIZE_MAX) break;
        LOAM_TRY(chat_step(run));
        LOAM_TRY(chat_text_append_part(&text, string, at, found, 0));
        LOAM_TRY(chat_text_append_string(&text, new));
        at = found + old->size;
        if (old->size > 0) continue;
        if (at == string->size) break; // an empty string is found before each character and at the end
        size_t size = loam_utf8_length(string->data[at]);
        LOAM_TRY(chat_text_append_part(&text, string, at, at + size, 0));
        at += size;
    }
    LOAM_TRY(chat_text_append_part(&text, string, at, string->size, 0));
    return chat_text_finish(&text, result);
}

static enum loam_status string_replace(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    const struct chat_string *old, *new;
    int64_t count;
    struct chat_value replacement = call->values[1];
    if (call->self.markup) LOAM_TRY(chat_escape(run, replacement, &replacement));
    LOAM_TRY(chat_need_string(run, call->values[0], &old));
    LOAM_TRY(chat_need_string(run, replacement, &new));
    LOAM_TRY(chat_need_integer(run, call->values[2], -1, &count));
    return chat_replace(run, call->self.as.string, old, new, count, result);
}

// ---- Classes ----

static bool is_alnum(uint32_t code)
{
    return chat_is_alpha(code) || chat_is_numeric(code);
}
static bool is_ascii(uint32_t code)
{
    return code < 0x80;
}

static enum loam_status test_all(const struct chat_call *call, bool (*holds)(uint32_t code), bool if_empty,
                                 struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string;
    bool all = string->size > 0 || if_empty;
    for (size_t at = 0, size; at < string->size && all; at += size)
        all = holds(chat_decode(string->data + at, &size));
    *result = chat_bool(all);
    return LOAM_OK;
}

#define STRING_TEST(name, holds, if_empty)                                                                   \
    static enum loam_status name(struct chat_run *run, const struct chat_call *call,                         \
                                 struct chat_value *result)                                                  \
    {                                                                                                        \
        (void)run;                                                                                           \
        return test_all(call, holds, if_empty, result);                                                      \
    }
STRING_TEST(string_isalnum, is_alnum, false)
STRING_TEST(string_isalpha, chat_is_alpha, false)
STRING_TEST(string_isascii, is_ascii, true)
STRING_TEST(string_isdecimal, chat_is_decimal, false)
STRING_TEST(string_isdigit, chat_is_digit, false)
STRING_TEST(string_isnumeric, chat_is_numeric, false)
STRING_TEST(string_isprintable, chat_is_printable, true)
STRING_TEST(string_isspace, chat_is_space, false)

static enum loam_status string_isidentifier(struct chat_run *run, const struct chat_call *call,
                                            struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string;
    (void)run;
    *result = chat_bool(string->size > 0 && chat_identifier_size(string->data, string->size) == string->size);
    return LOAM_OK;
}

// Whether there are cased characters and all of them have the case: 1 upper, 2 lower.
static enum loam_status test_case(const struct chat_call *call, bool upper, struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string;
    bool any = false, all = true;
    for (size_t at = 0, size; at < string->size; at += size) {
        uint32_t code = chat_decode(string->data + at, &size);
        bool holds = upper ? chat_is_upper(code) : chat_is_lower(code);
        any = any || holds;
        all = all && (holds || !chat_is_cased(code));
    }
    *result = chat_bool(any && all);
    return LOAM_OK;
}

static enum loam_status string_isupper(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    (void)run;
    return test_case(call, true, result);
}
static enum loam_status string_islower(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    (void)run;
    return test_case(call, false, result);
}

static enum loam_status string_istitle(struct chat_run *run, const struct chat_call *call,
                                       struct chat_value *result)
{
    const struct chat_string *string = call->self.as.string;
    bool any = false, all = true, inside = false;
    (void)run;
    for (size_t at = 0, size; at < string->size; at += size) {
        uint32_t code = chat_decode(string->data + at, &size);
        bool begins = chat_is_upper(code) || chat_is_title(code), lower = chat_is_lower(code);
        if ((begins && inside) || (lower && !inside)) all = false;
        any = any || begins || lower;
        inside = begins || lower;
    }
    *result = chat_bool(any && all);
    return LOAM_OK;
}

// ---- Formats ----

static enum loam_status string_format(struct chat_run *run, const struct chat_call *call,
                                      struct chat_value *result)
{
    return chat_format_braces(run, call->self.as.string, &call->all, result);
}

static enum loam_status string_format_map(struct chat_run *run, const struct chat_call *call,
                                          struct chat_value *result)
{
    struct chat_arguments arguments = {0};
    struct chat_value map = call->values[0];
    if (map.kind != CHAT_DICT)
        return chat_fail(run, "format_map() takes a mapping, not %s", chat_type_name(map));
    arguments.named = chat_pool_take(&run->pool, map.as.dict->count, sizeof *arguments.named, run->error);
    if (arguments.named == NULL) return loam_failure(run->error);
    for (size_t i = 0; i < map.as.dict->count; i++)
        if (map.as.dict->entries[i].key.kind == CHAT_STRING)
            arguments.named[arguments.named_count++] =
                (struct chat_named){map.as.dict->entries[i].key.as.string, map.as.dict->entries[i].value};
    return chat_format_braces(run, call->self.as.string, &arguments, result);
}

const struct chat_native chat_string_methods[] = {
    {"capitalize", "", 0, string_capitalize},
    {"casefold", "", 0, string_casefold},
    {"center", "width fillchar", 1, string_center},
    {"count", "sub start end", 1, string_count},
    {"encode", "*", 0, NULL},
    {"endswith", "suffix start end", 1, string_endswith},
    {"expandtabs", "tabsize", 0, string_expandtabs},
    {"find", "sub start end", 1, string_find},
    {"format", "*", 0, string_format},
    {"format_map", "mapping", 1, string_format_map},
    {"index", "sub start end", 1, string_index},
    {"isalnum", "", 0, string_isalnum},
    {"isalpha", "", 0, string_isalpha},
    {"isascii", "", 0, string_isascii},
    {"isdecimal", "", 0, string_isdecimal},
    {"isdigit", "", 0, string_isdigit},
    {"isidentifier", "", 0, string_isidentifier},
    {"islower", "", 0, string_islower},
    {"isnumeric", "", 0, string_isnumeric},
    {"isprintable", "", 0, string_isprintable},
    {"isspace", "", 0, string_isspace},
    {"istitle", "", 0, string_istitle},
    {"isupper", "", 0, string_isupper},
    {"ljust", "width fillchar", 1, string_ljust},
    {"lower", "", 0, string_lower},
    {"lstrip", "chars", 0, string_lstrip},
    {"maketrans", "*", 0, NULL},
    {"removeprefix", "prefix", 1, string_removeprefix},
    {"removesuffix", "suffix", 1, string_removesuffix},
    {"replace", "old new count", 2, string_replace},
    {"rfind", "sub start end", 1, string_rfind},
    {"rindex", "sub start end", 1, string_rindex},
    {"rjust", "width fillchar", 1, string_rjust},
    {"rstrip", "chars", 0, string_rstrip},
    {"startswith", "prefix start end", 1, string_startswith},
    {"strip", "chars", 0, string_strip},
    {"swapcase", "", 0, string_swapcase},
    {"title", "", 0, string_title},
    {"translate", "*", 0, NULL},
    {"upper", "", 0, string_upper},
    {"zfill", "width", 1, string_zfill},
    {NULL, NULL, 0, NULL},
};
