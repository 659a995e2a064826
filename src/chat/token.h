// Splits a template into tokens as jinja2 does, with trim_blocks and lstrip_blocks.
#ifndef LOAM_CHAT_TOKEN_H
#define LOAM_CHAT_TOKEN_H

#include "chat/value.h"

enum chat_token_type {
    CHAT_TOKEN_END, // of the template
    CHAT_TOKEN_DATA,
    CHAT_TOKEN_BLOCK_BEGIN, // {%
    CHAT_TOKEN_BLOCK_END,
    CHAT_TOKEN_PRINT_BEGIN, // {{
    CHAT_TOKEN_PRINT_END,
    CHAT_TOKEN_NAME,
    CHAT_TOKEN_STRING,
    CHAT_TOKEN_NUMBER,
    CHAT_TOKEN_OPERATOR,
};

struct chat_token {
    enum chat_token_type type;
    uint32_t line;           // from 1
    uint32_t start, end;     // bytes of the source
    char text[3];            // of an operator, NUL-terminated
    struct chat_value value; // of data, names and strings a string; of numbers the number
};

// The source with jinja2's line breaks: "\r\n" and "\r" become "\n", and one at the end is removed.
struct chat_source {
    const char *name; // of the template, for messages
    const char *text; // UTF-8, [size]
    size_t size;
};
enum loam_status chat_source_normalise(struct chat_source *source, const char *name, const char *text,
                                       size_t size, struct chat_pool *pool, struct loam_error *error);

// All tokens; the last one is CHAT_TOKEN_END.
struct chat_tokens {
    struct chat_token *items; // [count]
    size_t count, capacity;
};
enum loam_status chat_tokenize(struct chat_tokens *tokens, const struct chat_source *source,
                               struct chat_pool *pool, struct loam_error *error);

// Reads the text of a string literal without its quotes: resolves escapes as Python does.
enum loam_status chat_literal_unescape(struct chat_value *value, const char *text, size_t size,
                                       struct chat_pool *pool, struct loam_error *error);
// The size of the number at the start of `text`, 0 if there is none. `after_dot`: the byte before it is a dot, so
// that it has no fraction.
size_t chat_literal_number(struct chat_value *value, const char *text, size_t size, bool after_dot,
                           bool *too_large);

#endif
