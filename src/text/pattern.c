#include "text/pattern.h"

#include <pthread.h>
#include <string.h>

#include "base/heap.h"
#include "text/expression.h"
#include "text/unicode_data.h"

enum {
    // Limit of backtracking steps for all searches in one text, so that an expression with exponential
    // backtracking is an error, not a hang. Ordinary expressions take a few steps per byte.
    RETRIES = 100000000,
    RETRIES_PER_BYTE = 64,
    // Steps of each search that do not count against the limit; they are enough for ordinary searches.
    FREE_RETRIES = 1024,
    // Limit of the places that one search stores for backtracking. Ordinary expressions need one per
    // character of a run. The largest example, 16 MiB of text, may take 2 GiB.
    PLACES = 1 << 16,
    PLACES_PER_BYTE = 4,
    MOST_PLACES = 1 << 26,
    PLACE_BYTES = 32,
    // Steps of the scanner for each text. Ordinary expressions take a few for each byte.
    STEPS = 1024,
    STEPS_PER_BYTE = 16,
};

// GPT-2's pre-tokenizer: endings such as 's; runs of letters, numbers or others, each with a space before
// it; white space without the last blank before a word.
static const char gpt2_expression[] =
    "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

// Oniguruma has tables for the whole process, which only one thread may initialise.
static pthread_once_t onig_once = PTHREAD_ONCE_INIT;
static void initialize_onig(void)
{
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    onig_initialize(encodings, 1);
}

static enum loam_status compile(struct loam_pattern *pattern, const struct loam_bytes *expression,
                                const char *name, struct loam_error *error)
{
    OnigErrorInfo info;
    const OnigUChar *first = (const OnigUChar *)(expression->size > 0 ? expression->data : "");
    int code = onig_new(&pattern->regex, first, first + expression->size, ONIG_OPTION_NONE,
                        ONIG_ENCODING_UTF8, ONIG_SYNTAX_ONIGURUMA, &info);
    if (code == ONIG_NORMAL) return LOAM_OK;
    pattern->regex = NULL;
    OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN];
    onig_error_code_to_str(reason, code, &info);
    return loam_fail(error, LOAM_ERROR_FORMAT, "%s: not a readable regular expression (%s)", name,
                     (char *)reason);
}

enum loam_status loam_pattern_init_regex(struct loam_pattern *pattern, const char *text, size_t size,
                                         const char *name, struct loam_error *error)
{
    *pattern = (struct loam_pattern){.kind = LOAM_PATTERN_REGEX};
    pthread_once(&onig_once, initialize_onig);
    struct loam_bytes expression = {0};
    enum loam_status status = loam_expression_rewrite(text, size, name, &expression, error);
    if (status == LOAM_OK) status = compile(pattern, &expression, name, error);
    if (status == LOAM_OK) status = loam_scanner_create(&pattern->scanner, text, size, error);
    loam_bytes_deinit(&expression);
    return status;
}

enum loam_status loam_pattern_init_literal(struct loam_pattern *pattern, const char *text, size_t size,
                                           struct loam_error *error)
{
    // An empty text matches before every character, as the empty expression does.
    if (size == 0) return loam_pattern_init_regex(pattern, "", 0, "pattern", error);
    *pattern = (struct loam_pattern){.kind = LOAM_PATTERN_LITERAL};
    return loam_bytes_append(&pattern->literal, text, size, error);
}

void loam_pattern_init_class(struct loam_pattern *pattern, loam_char_class in_class)
{
    *pattern = (struct loam_pattern){.kind = LOAM_PATTERN_CLASS, .in_class = in_class};
}

void loam_pattern_init_words(struct loam_pattern *pattern)
{
    *pattern = (struct loam_pattern){.kind = LOAM_PATTERN_WORDS};
}

enum loam_status loam_pattern_init_gpt2(struct loam_pattern *pattern, struct loam_error *error)
{
    return loam_pattern_init_regex(pattern, gpt2_expression, sizeof gpt2_expression - 1, "ByteLevel", error);
}

void loam_pattern_deinit(struct loam_pattern *pattern)
{
    loam_bytes_deinit(&pattern->literal);
    if (pattern->regex != NULL) onig_free(pattern->regex);
    loam_scanner_destroy(pattern->scanner);
    *pattern = (struct loam_pattern){0};
}

// ---- Searching ----

void loam_matcher_begin(struct loam_matcher *matcher, const struct loam_pattern *pattern, const char *text,
                        size_t size)
{
    matcher->pattern = pattern;
    matcher->text = text;
    matcher->size = size;
    matcher->at = 0;
    matcher->last_end = SIZE_MAX;
    matcher->retries += RETRIES_PER_BYTE * size;
    matcher->steps += STEPS + STEPS_PER_BYTE * size;
}

void loam_matcher_deinit(struct loam_matcher *matcher)
{
    if (matcher->region != NULL) onig_region_free(matcher->region, 1);
    if (matcher->parameters != NULL) onig_free_match_param(matcher->parameters);
    *matcher = (struct loam_matcher){0};
}

size_t loam_matcher_bytes(const struct loam_matcher *matcher)
{
    return matcher->longest * PLACE_BYTES;
}

static bool next_literal(struct loam_matcher *matcher)
{
    const struct loam_bytes *literal = &matcher->pattern->literal;
    const char *found =
        memmem(matcher->text + matcher->at, matcher->size - matcher->at, literal->data, literal->size);
    if (found == NULL) return false;
    matcher->start = (size_t)(found - matcher->text);
    matcher->end = matcher->start + literal->size;
    matcher->at = matcher->end;
    return true;
}

static bool next_in_class(struct loam_matcher *matcher)
{
    while (matcher->at < matcher->size) {
        size_t length;
        int32_t code_point = loam_utf8_decode(matcher->text + matcher->at, &length);
        matcher->start = matcher->at;
        matcher->at += length;
        matcher->end = matcher->at;
        if (matcher->pattern->in_class(code_point)) return true;
    }
    return false;
}

enum word_class { SPACE, WORD, OTHER };

static enum word_class word_class(int32_t code_point)
{
    uint32_t classes = loam_char_classes(code_point);
    if ((classes & LOAM_CLASS_WHITE_SPACE) != 0) return SPACE;
    return (classes & LOAM_CLASS_WORD) != 0 ? WORD : OTHER;
}

static bool next_word(struct loam_matcher *matcher)
{
    enum word_class run = SPACE;
    while (matcher->at < matcher->size) {
        size_t length;
        enum word_class class = word_class(loam_utf8_decode(matcher->text + matcher->at, &length));
        if (run == SPACE) matcher->start = matcher->at;
        if (run != SPACE && class != run) break;
        run = class;
        matcher->at += length;
    }
    matcher->end = matcher->at;
    return run != SPACE;
}

static enum loam_status prepare_regex(struct loam_matcher *matcher, struct loam_error *error)
{
    if (matcher->region == NULL) matcher->region = onig_region_new();
    if (matcher->parameters == NULL) matcher->parameters = onig_new_match_param();
    if (matcher->region == NULL || matcher->parameters == NULL)
        return loam_fail(error, LOAM_ERROR_MEMORY, "out of memory while searching a regular expression");
    onig_initialize_match_param(matcher->parameters);
    matcher->retries += RETRIES;
    return LOAM_OK;
}

static unsigned count_places(size_t size)
{
    if (size >= (MOST_PLACES - PLACES) / PLACES_PER_BYTE) return MOST_PLACES;
    return PLACES + PLACES_PER_BYTE * (unsigned)size;
}

// Oniguruma does not report how many steps a search took. So each search gets a few steps; if they are not
// enough it is repeated with four times as many, which count against the text's limit.
static int search(struct loam_matcher *matcher)
{
    const OnigUChar *text = (const OnigUChar *)matcher->text;
    const OnigUChar *end = text + matcher->size;
    size_t retries = FREE_RETRIES;
    onig_set_match_stack_limit_size_of_match_param(matcher->parameters, count_places(matcher->size));
    for (;;) {
        onig_set_retry_limit_in_search_of_match_param(matcher->parameters, retries);
        int place = onig_search_with_param(matcher->pattern->regex, text, end, text + matcher->at, end,
                                           matcher->region, ONIG_OPTION_NONE, matcher->parameters);
        if (place != ONIGERR_RETRY_LIMIT_IN_SEARCH_OVER || matcher->retries == 0) return place;
        retries = 4 * retries < matcher->retries ? 4 * retries : matcher->retries;
        matcher->retries -= retries;
    }
}

// Searches with the scanner. False: there is none for the pattern, or its steps have run out.
static bool scan(struct loam_matcher *matcher, bool *found)
{
    const struct loam_scanner *scanner = matcher->pattern->scanner;
    if (scanner == NULL || matcher->steps == 0) return false;
    matcher->start = matcher->at;
    *found = loam_scanner_find(scanner, matcher->text, matcher->size, &matcher->start, &matcher->end,
                               &matcher->steps);
    if (*found) matcher->at = matcher->last_end = matcher->end;
    return *found || matcher->steps > 0;
}

static enum loam_status next_regex(struct loam_matcher *matcher, bool *found, struct loam_error *error)
{
    if (scan(matcher, found)) return LOAM_OK;
    if (matcher->region == NULL || matcher->parameters == NULL) LOAM_TRY(prepare_regex(matcher, error));
    *found = false;
    while (matcher->at <= matcher->size) {
        int place = search(matcher);
        if (place == ONIG_MISMATCH) return LOAM_OK;
        if (place < 0) {
            OnigUChar reason[ONIG_MAX_ERROR_MESSAGE_LEN];
            onig_error_code_to_str(reason, place);
            return loam_fail(error, LOAM_ERROR_FORMAT,
                             "the tokenizer's regular expression cannot search the text: %s", (char *)reason);
        }
        matcher->start = (size_t)matcher->region->beg[0];
        matcher->end = (size_t)matcher->region->end[0];
        size_t length = matcher->end - matcher->start;
        if (length > matcher->longest) matcher->longest = length;
        // Skips an empty match right after the last match: the search would not advance.
        if (matcher->start != matcher->end || matcher->last_end != matcher->end) {
            matcher->at = matcher->last_end = matcher->end;
            *found = true;
            return LOAM_OK;
        }
        matcher->at += matcher->at < matcher->size ? loam_utf8_length(matcher->text[matcher->at]) : 1;
    }
    return LOAM_OK;
}

enum loam_status loam_matcher_next(struct loam_matcher *matcher, bool *found, struct loam_error *error)
{
    switch (matcher->pattern->kind) {
    case LOAM_PATTERN_LITERAL:
        *found = next_literal(matcher);
        return LOAM_OK;
    case LOAM_PATTERN_CLASS:
        *found = next_in_class(matcher);
        return LOAM_OK;
    case LOAM_PATTERN_WORDS:
        *found = next_word(matcher);
        return LOAM_OK;
    default:
        return next_regex(matcher, found, error);
    }
}
