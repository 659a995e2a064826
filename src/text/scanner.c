#include "text/scanner.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "text/expression_parts.h"
#include "text/unicode.h"

enum {
    ASCII = 0x80,
    MOST_ITEMS = 8,         // of an alternative, so that matching nests little
    MOST_ALTERNATIVES = 32, // bits of a mask
    MOST_REPEATS = 1000,    // that an interval may name
    NO_LIMIT = UINT32_MAX,
};

// A class of characters and how often it is repeated, or with `is_refused` one that must not follow.
struct item {
    bool in_ascii[ASCII];
    struct loam_char_set set; // tidy
    uint32_t least, most;
    bool keeps_all; // possessive: gives no character back
    bool is_refused;
};

struct alternative {
    struct item items[MOST_ITEMS];
    size_t count;
};

struct loam_scanner {
    struct alternative *alternatives[MOST_ALTERNATIVES];
    size_t count;
    uint32_t starts[ASCII]; // bits of the alternatives that may begin with the character
};

void loam_scanner_destroy(struct loam_scanner *scanner)
{
    if (scanner == NULL) return;
    for (size_t i = 0; i < scanner->count; i++) {
        for (size_t j = 0; j < scanner->alternatives[i]->count; j++)
            loam_char_set_deinit(&scanner->alternatives[i]->items[j].set);
        free(scanner->alternatives[i]);
    }
    free(scanner);
}

// ---- Reading: LOAM_ERROR_UNSUPPORTED is an expression of another form ----

static enum loam_status refuse(struct loam_error *error)
{
    return loam_fail(error, LOAM_ERROR_UNSUPPORTED, "not a form that the scanner reads");
}

static bool skip(struct loam_expression *expression, const char *text)
{
    const size_t size = strlen(text);
    if (expression->size - expression->at < size ||
        memcmp(expression->text + expression->at, text, size) != 0)
        return false;
    expression->at += size;
    return true;
}

static enum loam_status read_escape(struct loam_expression *expression, struct loam_char_set *set,
                                    struct loam_error *error)
{
    const char letter = loam_expression_peek(expression, 1);
    struct loam_escape escape;
    // A byte may be part of a character.
    if ((letter >= '0' && letter <= '9') || (letter == 'x' && loam_expression_peek(expression, 2) != '{'))
        return refuse(error);
    enum loam_status status = loam_expression_read_escape(expression, false, &escape, error);
    *set = escape.set;
    if (status != LOAM_OK) return status;
    if (escape.kind == LOAM_ESCAPE_OTHER) return refuse(error);
    return escape.kind == LOAM_ESCAPE_SET
               ? LOAM_OK
               : loam_char_set_add(set, escape.code_point, escape.code_point + 1, error);
}

static enum loam_status read_character(struct loam_expression *expression, struct loam_char_set *set,
                                       struct loam_error *error)
{
    size_t length;
    const char first = expression->text[expression->at];
    const uint32_t code_point = (uint32_t)loam_utf8_decode(expression->text + expression->at, &length);
    if (code_point < ASCII && (first == '\0' || strchr(".^$*+?{}()|[]\\", first) != NULL))
        return refuse(error);
    // Oniguruma lets some sequences of letters match one character, where case is ignored: "ss" and U+00DF.
    const char next = loam_expression_peek(expression, length);
    if (expression->ignore_case &&
        (code_point >= ASCII || (strchr("sSfF", first) != NULL && next != '|' && next != ')')))
        return refuse(error);
    expression->at += length;
    LOAM_TRY(loam_char_set_add(set, code_point, code_point + 1, error));
    return expression->ignore_case ? loam_char_set_ignore_case(set, error) : LOAM_OK;
}

// Reads a character or a class.
static enum loam_status read_set(struct loam_expression *expression, struct loam_char_set *set,
                                 struct loam_error *error)
{
    if (expression->at == expression->size) return refuse(error);
    const char first = expression->text[expression->at];
    if (first != '[' && first != '\\') return read_character(expression, set, error);
    if (expression->ignore_case) return refuse(error);
    return first == '[' ? loam_expression_read_class(expression, set, error)
                        : read_escape(expression, set, error);
}

static bool read_number(struct loam_expression *expression, uint32_t *number)
{
    const size_t start = expression->at;
    for (*number = 0; expression->at < expression->size; expression->at++) {
        const char digit = expression->text[expression->at];
        if (digit < '0' || digit > '9') break;
        *number = *number * 10 + (uint32_t)(digit - '0');
        if (*number > MOST_REPEATS) return false;
    }
    return expression->at > start;
}

static enum loam_status read_interval(struct loam_expression *expression, struct item *item,
                                      struct loam_error *error)
{
    bool is_read = read_number(expression, &item->least);
    item->most = item->least;
    if (is_read && skip(expression, ",")) is_read = read_number(expression, &item->most);
    is_read = is_read && skip(expression, "}") && item->least <= item->most && item->most > 0;
    return is_read ? LOAM_OK : refuse(error);
}

static enum loam_status read_repeats(struct loam_expression *expression, struct item *item,
                                     struct loam_error *error)
{
    item->least = item->most = 1;
    if (skip(expression, "{")) {
        LOAM_TRY(read_interval(expression, item, error));
    } else if (skip(expression, "?")) {
        item->least = 0;
        item->keeps_all = skip(expression, "+");
    } else if (skip(expression, "*")) {
        item->least = 0;
        item->most = NO_LIMIT;
        item->keeps_all = skip(expression, "+");
    } else if (skip(expression, "+")) {
        item->most = NO_LIMIT;
        item->keeps_all = skip(expression, "+");
    }
    const char next = loam_expression_peek(expression, 0); // a lazy or a nested repetition
    return next == '?' || next == '*' || next == '+' || next == '{' ? refuse(error) : LOAM_OK;
}

static enum loam_status read_item(struct loam_expression *expression, struct item *item,
                                  struct loam_error *error)
{
    item->is_refused = skip(expression, "(?!");
    LOAM_TRY(read_set(expression, &item->set, error));
    loam_char_set_tidy(&item->set);
    for (uint32_t c = 0; c < ASCII; c++)
        item->in_ascii[c] = loam_char_set_has(&item->set, c);
    if (item->is_refused) return skip(expression, ")") ? LOAM_OK : refuse(error);
    return read_repeats(expression, item, error);
}

// Whether matching takes time in proportion to the characters, and at least one: at most two repetitions without a limit, and
// behind the second one nothing that can fail.
static bool is_bounded(const struct alternative *alternative)
{
    uint32_t least = 0, unlimited = 0;
    for (size_t i = 0; i < alternative->count; i++) {
        const struct item *item = &alternative->items[i];
        if (unlimited == 2 && (item->is_refused || item->least > 0)) return false;
        unlimited += !item->is_refused && item->most == NO_LIMIT;
        least += item->is_refused ? 0 : item->least;
    }
    return least > 0 && unlimited <= 2;
}

// Notes the ASCII characters that the alternative may begin with.
static void note_starts(struct loam_scanner *scanner, const struct alternative *alternative, uint32_t bit)
{
    for (size_t i = 0; i < alternative->count; i++) {
        const struct item *item = &alternative->items[i];
        for (uint32_t c = 0; c < ASCII; c++)
            if (item->in_ascii[c] && !item->is_refused) scanner->starts[c] |= bit;
        if (!item->is_refused && item->least > 0) return;
    }
}

static enum loam_status read_alternative(struct loam_scanner *scanner, struct loam_expression *expression,
                                         struct loam_error *error)
{
    if (scanner->count == MOST_ALTERNATIVES) return refuse(error);
    struct alternative *alternative = loam_calloc(1, sizeof *alternative, error);
    if (alternative == NULL) return LOAM_ERROR_MEMORY;
    const uint32_t bit = UINT32_C(1) << scanner->count;
    scanner->alternatives[scanner->count++] = alternative;
    while (expression->at < expression->size && loam_expression_peek(expression, 0) != '|' &&
           loam_expression_peek(expression, 0) != ')') {
        if (alternative->count == MOST_ITEMS) return refuse(error);
        LOAM_TRY(read_item(expression, &alternative->items[alternative->count++], error));
    }
    note_starts(scanner, alternative, bit);
    return is_bounded(alternative) ? LOAM_OK : refuse(error);
}

// Reads alternatives up to the end, or to the end of a group. A group that ignores case may be an alternative.
static enum loam_status read_alternatives(struct loam_scanner *scanner, struct loam_expression *expression,
                                          struct loam_error *error)
{
    do {
        if (!expression->ignore_case && skip(expression, "(?i:")) {
            expression->ignore_case = true;
            LOAM_TRY(read_alternatives(scanner, expression, error));
            expression->ignore_case = false;
            if (!skip(expression, ")")) return refuse(error);
        } else {
            LOAM_TRY(read_alternative(scanner, expression, error));
        }
    } while (skip(expression, "|"));
    return LOAM_OK;
}

enum loam_status loam_scanner_create(struct loam_scanner **out, const char *text, size_t size,
                                     struct loam_error *error)
{
    struct loam_expression expression = {.text = text, .size = size, .name = "expression"};
    struct loam_error refusal = {.status = LOAM_OK};
    *out = NULL;
    if (loam_utf8_check(text, size) < size) return LOAM_OK;
    struct loam_scanner *scanner = loam_calloc(1, sizeof *scanner, error);
    if (scanner == NULL) return LOAM_ERROR_MEMORY;
    enum loam_status status = read_alternatives(scanner, &expression, &refusal);
    if (status == LOAM_OK && expression.at == size) {
        *out = scanner;
        return LOAM_OK;
    }
    loam_scanner_destroy(scanner);
    return status == LOAM_ERROR_MEMORY ? loam_fail(error, status, "%s", refusal.message) : LOAM_OK;
}

// ---- Matching ----

struct scan {
    const char *text;
    size_t size;
    size_t steps;
};

// Whether the character at byte `at` is of the item's class.
static bool has_character(const struct item *item, const struct scan *scan, size_t at, size_t *length)
{
    const unsigned char first = (unsigned char)scan->text[at];
    *length = 1;
    if (first < ASCII) return item->in_ascii[first];
    return loam_char_set_has(&item->set, (uint32_t)loam_utf8_decode(scan->text + at, length));
}

// Goes over as many characters of the item as there are and takes steps for them. Returns their number.
static uint32_t repeat(const struct item *item, struct scan *scan, size_t *at)
{
    uint32_t count = 0;
    size_t length;
    for (; count < item->most && *at < scan->size && has_character(item, scan, *at, &length); count++)
        *at += length;
    scan->steps -= count < scan->steps ? count : scan->steps;
    return count;
}

static bool match(const struct item *items, size_t count, struct scan *scan, size_t at, size_t *end)
{
    size_t length;
    *end = at;
    if (count == 0) return true;
    if (scan->steps == 0) return false;
    scan->steps--;
    if (items->is_refused) {
        const bool follows = at < scan->size && has_character(items, scan, at, &length);
        return !follows && match(items + 1, count - 1, scan, at, end);
    }
    uint32_t taken = repeat(items, scan, &at);
    if (taken < items->least) return false;
    while (!match(items + 1, count - 1, scan, at, end)) {
        if (taken == items->least || items->keeps_all) return false;
        at -= loam_utf8_last(scan->text, at);
        taken--;
    }
    return true;
}

bool loam_scanner_find(const struct loam_scanner *scanner, const char *text, size_t size, size_t *start,
                       size_t *end, size_t *steps)
{
    struct scan scan = {text, size, *steps};
    bool found = false;
    for (; *start < size && scan.steps > 0; *start += loam_utf8_length(text[*start])) {
        const unsigned char first = (unsigned char)text[*start];
        const uint32_t possible = first < ASCII ? scanner->starts[first] : UINT32_MAX;
        for (size_t i = 0; i < scanner->count && !found; i++) {
            const struct alternative *alternative = scanner->alternatives[i];
            if (possible >> i & 1) found = match(alternative->items, alternative->count, &scan, *start, end);
        }
        if (found) break;
        scan.steps -= scan.steps > 0;
    }
    *steps = scan.steps;
    return found;
}
