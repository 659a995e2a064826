#include <stdio.h>
#include <string.h>

#include "chat/text.h"
#include "chat/token.h"
#include "chat/unicode.h"

enum { DEEPEST = 256 }; // open brackets

struct lexer {
    const struct chat_source *source;
    struct chat_tokens *tokens;
    struct chat_pool *pool;
    struct loam_error *error;
    size_t at;
    uint32_t line;
    bool line_starting; // the token before ended in a line break
    char open[DEEPEST]; // closing brackets that are expected
    size_t depth;
};

enum loam_status chat_source_normalise(struct chat_source *source, const char *name, const char *text,
                                       size_t size, struct chat_pool *pool, struct loam_error *error)
{
    char *copy = chat_pool_take(pool, size + 1, 1, error);
    size_t kept = 0, name_size = strlen(name) + 1;
    char *named = chat_pool_take(pool, name_size, 1, error);
    if (copy == NULL || named == NULL) return loam_failure(error);
    memcpy(named, name, name_size);
    for (size_t i = 0; i < size; i++) {
        if (text[i] == '\r' && i + 1 < size && text[i + 1] == '\n') continue;
        copy[kept++] = text[i] == '\r' ? '\n' : text[i];
    }
    if (kept > 0 && copy[kept - 1] == '\n') kept--;
    *source = (struct chat_source){named, copy, kept};
    return LOAM_OK;
}

static enum loam_status fail(const struct lexer *lexer, const char *message)
{
    return loam_fail(lexer->error, LOAM_ERROR_FORMAT, "%s, line %u: %s", lexer->source->name, lexer->line,
                     message);
}

static bool starts_with(const struct lexer *lexer, size_t at, const char *words)
{
    size_t size = strlen(words);
    return lexer->source->size - at >= size && memcmp(lexer->source->text + at, words, size) == 0;
}

// Bytes of white space at `at`.
static size_t space_size(const struct lexer *lexer, size_t at)
{
    return chat_space_prefix(lexer->source->text + at, lexer->source->size - at);
}

static struct chat_token *add_token(struct lexer *lexer, enum chat_token_type type, size_t size)
{
    struct chat_tokens *tokens = lexer->tokens;
    if (tokens->count == tokens->capacity) {
        size_t capacity = tokens->capacity == 0 ? 64 : tokens->capacity * 2;
        struct chat_token *items = chat_pool_take(lexer->pool, capacity, sizeof *items, lexer->error);
        if (items == NULL) return NULL;
        if (tokens->count > 0) memcpy(items, tokens->items, tokens->count * sizeof *items);
        tokens->items = items;
        tokens->capacity = capacity;
    }
    struct chat_token *token = &tokens->items[tokens->count++];
    *token = (struct chat_token){
        .type = type, .line = lexer->line, .start = (uint32_t)lexer->at, .end = (uint32_t)(lexer->at + size)};
    return token;
}

// Goes `size` bytes ahead and counts the lines.
static void advance(struct lexer *lexer, size_t size)
{
    const char *text = lexer->source->text + lexer->at;
    for (size_t i = 0; i < size; i++)
        lexer->line += text[i] == '\n';
    if (size > 0) lexer->line_starting = text[size - 1] == '\n';
    lexer->at += size;
}

// Adds the bytes as text of the template and goes behind them and `skipped` more.
static enum loam_status add_data(struct lexer *lexer, size_t size, size_t skipped)
{
    if (size > 0) {
        struct chat_token *token = add_token(lexer, CHAT_TOKEN_DATA, size);
        if (token == NULL) return loam_failure(lexer->error);
        LOAM_TRY(chat_string_create(&token->value, lexer->source->text + lexer->at, size,
                                    CHAT_TEMPLATE_ORIGIN, lexer->pool, lexer->error));
    }
    bool starting = lexer->line_starting;
    advance(lexer, size + skipped);
    lexer->line_starting = starting; // the tag behind the data decides
    return LOAM_OK;
}

// The size of the text before a tag, without the white space that the tag's sign or lstrip_blocks removes.
static size_t kept_size(const struct lexer *lexer, size_t size, char sign, bool is_print)
{
    const char *text = lexer->source->text + lexer->at;
    if (sign == '-') return chat_space_trim_end(text, size);
    if (sign == '+' || is_print) return size;
    const char *break_at = memrchr(text, '\n', size);
    size_t line = break_at == NULL ? 0 : (size_t)(break_at - text) + 1;
    if (line == 0 && !lexer->line_starting) return size;
    return chat_space_prefix(text + line, size - line) == size - line ? line : size;
}

// ---- Ends of tags ----

// The size of the end of a tag at `at`: "-%}" with the white space behind it, "+%}", or "%}" with a line break. 0 if
// there is none.
static size_t end_size(const struct lexer *lexer, size_t at, const char *end)
{
    if (at >= lexer->source->size) return 0;
    char sign = lexer->source->text[at];
    size_t size = strlen(end);
    bool is_print = strcmp(end, "}}") == 0;
    if (sign == '-' && starts_with(lexer, at + 1, end)) return 1 + size + space_size(lexer, at + 1 + size);
    if (sign == '+' && !is_print && starts_with(lexer, at + 1, end)) return 1 + size;
    if (!starts_with(lexer, at, end)) return 0;
    bool trims = !is_print && at + size < lexer->source->size && lexer->source->text[at + size] == '\n';
    return size + trims;
}

static enum loam_status skip_comment(struct lexer *lexer)
{
    for (size_t at = lexer->at; at < lexer->source->size; at++) {
        size_t size = end_size(lexer, at, "#}");
        if (size == 0) continue;
        advance(lexer, at + size - lexer->at);
        return LOAM_OK;
    }
    return fail(lexer, "Missing end of comment tag");
}

// ---- Raw blocks ----

// The size of "{%- raw -%}" at `at`, 0 if there is none.
static size_t raw_begin_size(const struct lexer *lexer, size_t at)
{
    size_t start = at;
    if (!starts_with(lexer, at, "{%")) return 0;
    at += 2;
    if (starts_with(lexer, at, "-") || starts_with(lexer, at, "+")) at++;
    at += space_size(lexer, at);
    if (!starts_with(lexer, at, "raw")) return 0;
    at += 3;
    at += space_size(lexer, at);
    if (starts_with(lexer, at, "-%}")) return at + 3 + space_size(lexer, at + 3) - start;
    return starts_with(lexer, at, "%}") ? at + 2 - start : 0;
}

// The size of "{%- endraw -%}" at `at`, 0 if there is none.
static size_t raw_end_size(const struct lexer *lexer, size_t at, char *sign)
{
    size_t start = at;
    if (!starts_with(lexer, at, "{%")) return 0;
    at += 2;
    *sign = starts_with(lexer, at, "-") || starts_with(lexer, at, "+") ? lexer->source->text[at++] : '\0';
    at += space_size(lexer, at);
    if (!starts_with(lexer, at, "endraw")) return 0;
    at += 6;
    at += space_size(lexer, at);
    size_t end = end_size(lexer, at, "%}");
    return end == 0 ? 0 : at + end - start;
}

static enum loam_status read_raw(struct lexer *lexer)
{
    for (size_t at = lexer->at; at < lexer->source->size; at++) {
        char sign;
        size_t size = raw_end_size(lexer, at, &sign);
        if (size == 0) continue;
        size_t text = at - lexer->at, kept = kept_size(lexer, text, sign, false);
        LOAM_TRY(add_data(lexer, kept, text - kept));
        advance(lexer, size);
        return LOAM_OK;
    }
    return fail(lexer, "Missing end of raw directive");
}

// ---- Inside tags ----

static enum loam_status read_string(struct lexer *lexer, bool *found)
{
    const char *text = lexer->source->text;
    char quote = text[lexer->at];
    size_t end = lexer->at + 1;
    while (end < lexer->source->size && text[end] != quote)
        end += text[end] == '\\' ? 2 : 1;
    *found = end < lexer->source->size;
    if (!*found) return LOAM_OK;
    struct chat_token *token = add_token(lexer, CHAT_TOKEN_STRING, end + 1 - lexer->at);
    if (token == NULL) return loam_failure(lexer->error);
    if (chat_literal_unescape(&token->value, text + lexer->at + 1, end - lexer->at - 1, lexer->pool,
                              lexer->error) != LOAM_OK)
        return loam_fail_prefix(lexer->error, "%s, line %u", lexer->source->name, lexer->line);
    advance(lexer, end + 1 - lexer->at);
    return LOAM_OK;
}

// Checks that brackets match; they also hide the ends of tags.
static enum loam_status count_bracket(struct lexer *lexer, char operator)
{
    static const char opening[] = "([{", closing[] = ")]}";
    const char *place = strchr(opening, operator);
    char message[64];
    if (place != NULL) {
        if (lexer->depth == DEEPEST) return fail(lexer, "the template has more than 256 open brackets");
        lexer->open[lexer->depth++] = closing[place - opening];
        return LOAM_OK;
    }
    if (strchr(closing, operator) == NULL) return LOAM_OK;
    snprintf(message, sizeof message, "unexpected '%c'", operator);
    if (lexer->depth == 0) return fail(lexer, message);
    char expected = lexer->open[--lexer->depth];
    snprintf(message, sizeof message, "unexpected '%c', expected '%c'", operator, expected);
    return expected == operator? LOAM_OK : fail(lexer, message);
}

static enum loam_status read_operator(struct lexer *lexer)
{
    static const char *const operators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "/",
                                            "*",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                            ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!starts_with(lexer, lexer->at, operators[i])) continue;
        size_t size = strlen(operators[i]);
        struct chat_token *token = add_token(lexer, CHAT_TOKEN_OPERATOR, size);
        if (token == NULL) return loam_failure(lexer->error);
        memcpy(token->text, operators[i], size);
        if (size == 1) LOAM_TRY(count_bracket(lexer, *operators[i]));
        advance(lexer, size);
        return LOAM_OK;
    }
    char message[64];
    size_t size;
    chat_decode(lexer->source->text + lexer->at, &size);
    snprintf(message, sizeof message, "unexpected char '%.*s' at %zu", (int)size,
             lexer->source->text + lexer->at, lexer->at);
    return fail(lexer, message);
}

static enum loam_status read_name(struct lexer *lexer, size_t size)
{
    struct chat_token *token = add_token(lexer, CHAT_TOKEN_NAME, size);
    if (token == NULL) return loam_failure(lexer->error);
    LOAM_TRY(chat_string_create(&token->value, lexer->source->text + lexer->at, size, CHAT_TEMPLATE_ORIGIN,
                                lexer->pool, lexer->error));
    advance(lexer, size);
    return LOAM_OK;
}

static enum loam_status read_number(struct lexer *lexer, size_t size, struct chat_value value)
{
    struct chat_token *token = add_token(lexer, CHAT_TOKEN_NUMBER, size);
    if (token == NULL) return loam_failure(lexer->error);
    token->value = value;
    advance(lexer, size);
    return LOAM_OK;
}

// Reads one token inside a tag. The end of the tag is `end`.
static enum loam_status read_inside(struct lexer *lexer, const char *end, bool *ended)
{
    const char *text = lexer->source->text + lexer->at;
    size_t left = lexer->source->size - lexer->at;
    size_t size = lexer->depth == 0 ? end_size(lexer, lexer->at, end) : 0;
    *ended = size > 0;
    if (*ended) {
        enum chat_token_type type = *end == '%' ? CHAT_TOKEN_BLOCK_END : CHAT_TOKEN_PRINT_END;
        if (add_token(lexer, type, size) == NULL) return loam_failure(lexer->error);
        advance(lexer, size);
        return LOAM_OK;
    }
    size = chat_space_prefix(text, left);
    if (size > 0) {
        advance(lexer, size);
        return LOAM_OK;
    }
    struct chat_value value;
    bool too_large, found = false;
    size = chat_literal_number(&value, text, left, lexer->at > 0 && text[-1] == '.', &too_large);
    if (size > 0 && too_large) return fail(lexer, "a number has more than 64 bits");
    if (size > 0) return read_number(lexer, size, value);
    size = chat_identifier_size(text, left);
    if (size > 0) return read_name(lexer, size);
    if (*text == '"' || *text == '\'') LOAM_TRY(read_string(lexer, &found));
    return found ? LOAM_OK : read_operator(lexer);
}

static enum loam_status read_tag(struct lexer *lexer, const char *end)
{
    bool ended = false;
    lexer->depth = 0;
    while (!ended && lexer->at < lexer->source->size)
        LOAM_TRY(read_inside(lexer, end, &ended));
    return LOAM_OK;
}

// ---- Outside tags ----

// The place of the next tag; the size of the source if there is none.
static size_t find_tag(const struct lexer *lexer)
{
    const char *text = lexer->source->text;
    size_t size = lexer->source->size;
    for (size_t at = lexer->at; at + 1 < size; at++) {
        const char *brace = memchr(text + at, '{', size - at - 1);
        if (brace == NULL) return size;
        at = (size_t)(brace - text);
        if (text[at + 1] == '%' || text[at + 1] == '{' || text[at + 1] == '#') return at;
    }
    return size;
}

// Reads the text up to the next tag, and the tag.
static enum loam_status read_part(struct lexer *lexer)
{
    size_t tag = find_tag(lexer), text = tag - lexer->at;
    if (tag == lexer->source->size) return add_data(lexer, text, 0);
    char letter = lexer->source->text[tag + 1];
    size_t raw = raw_begin_size(lexer, tag);
    char sign = tag + 2 < lexer->source->size ? lexer->source->text[tag + 2] : '\0';
    if (sign != '-' && sign != '+') sign = '\0';
    size_t kept = kept_size(lexer, text, sign, letter == '{');
    LOAM_TRY(add_data(lexer, kept, text - kept));
    size_t begin = raw > 0 ? raw : sign == '\0' ? 2 : 3;
    if (raw == 0 && letter != '#' &&
        add_token(lexer, letter == '%' ? CHAT_TOKEN_BLOCK_BEGIN : CHAT_TOKEN_PRINT_BEGIN, begin) == NULL)
        return loam_failure(lexer->error);
    advance(lexer, begin);
    if (raw > 0) return read_raw(lexer);
    if (letter == '#') return skip_comment(lexer);
    return read_tag(lexer, letter == '%' ? "%}" : "}}");
}

enum loam_status chat_tokenize(struct chat_tokens *tokens, const struct chat_source *source,
                               struct chat_pool *pool, struct loam_error *error)
{
    *tokens = (struct chat_tokens){0};
    struct lexer lexer = {
        .source = source, .tokens = tokens, .pool = pool, .error = error, .line = 1, .line_starting = true};
    if (source->size > UINT32_MAX / 4)
        return loam_fail(error, LOAM_ERROR_FORMAT, "%s is longer than 1 GiB", source->name);
    while (lexer.at < source->size)
        LOAM_TRY(read_part(&lexer));
    return add_token(&lexer, CHAT_TOKEN_END, 0) == NULL ? loam_failure(error) : LOAM_OK;
}
