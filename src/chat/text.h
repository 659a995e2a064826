// Strings with provenance: each part remembers where it comes from.
#ifndef LOAM_CHAT_TEXT_H
#define LOAM_CHAT_TEXT_H

#include "chat/value.h"
#include "text/unicode.h"

// A string that grows, in a pool.
struct chat_text {
    struct chat_pool *pool;
    struct loam_error *error;
    char *data;
    size_t size, capacity;   // bytes
    struct chat_span *spans; // [span_count]
    size_t span_count, span_capacity;
    size_t limit; // bytes; 0: only that of the pool
};

void chat_text_init(struct chat_text *text, struct chat_pool *pool, struct loam_error *error);
enum loam_status chat_text_append(struct chat_text *text, const char *data, size_t size, uint32_t origin);
enum loam_status chat_text_append_words(struct chat_text *text, const char *words,
                                        uint32_t origin); // NUL ends
// Appends the bytes [from, to) of a string. `flags` are added to each origin.
enum loam_status chat_text_append_part(struct chat_text *text, const struct chat_string *string, size_t from,
                                       size_t to, uint32_t flags);
enum loam_status chat_text_append_string(struct chat_text *text, const struct chat_string *string);
enum loam_status chat_text_append_code(struct chat_text *text, uint32_t code, uint32_t origin);
// The text so far as a string, which shares the bytes: the text must not change after it.
enum loam_status chat_text_finish(struct chat_text *text, struct chat_value *string);

// A string over bytes that outlive it.
enum loam_status chat_string_create(struct chat_value *string, const char *data, size_t size, uint32_t origin,
                                    struct chat_pool *pool, struct loam_error *error);
// A copy of the bytes.
enum loam_status chat_string_copy(struct chat_value *string, const char *data, size_t size, uint32_t origin,
                                  struct chat_pool *pool, struct loam_error *error);
// The bytes [from, to), shared.
enum loam_status chat_string_part(struct chat_value *part, const struct chat_string *string, size_t from,
                                  size_t to, struct chat_pool *pool, struct loam_error *error);

uint32_t chat_string_origin_at(const struct chat_string *string, size_t byte);

// The byte at which the character `index` begins; `size` beyond the end.
size_t chat_string_byte(const struct chat_string *string, size_t index);
// The number of characters before the byte.
size_t chat_string_character(const struct chat_string *string, size_t byte);

// The place of `words` in [from, to), the first or the last; SIZE_MAX if there is none.
size_t chat_string_find(const struct chat_string *string, const struct chat_string *words, size_t from,
                        size_t to);
size_t chat_string_find_last(const struct chat_string *string, const struct chat_string *words, size_t from,
                             size_t to);
bool chat_string_is(const struct chat_string *string, const char *words);

// The code point at `text`, valid UTF-8; `*size` is its number of bytes.
static inline uint32_t chat_decode(const char *text, size_t *size)
{
    return (uint32_t)loam_utf8_decode(text, size);
}

#endif
