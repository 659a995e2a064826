#include "chat/text.h"

#include <string.h>

#include "base/hash.h"
#include "base/utf8.h"

void chat_text_init(struct chat_text *text, struct chat_pool *pool, struct loam_error *error)
{
    *text = (struct chat_text){.pool = pool, .error = error};
}

static enum loam_status grow_data(struct chat_text *text, size_t size)
{
    if (size > UINT32_MAX / 4 || text->size > UINT32_MAX / 4)
        return loam_fail(text->error, LOAM_ERROR_FORMAT, "a string is longer than 1 GiB");
    size_t capacity = text->capacity == 0 ? 64 : text->capacity * 2;
    while (capacity < text->size + size)
        capacity *= 2;
    char *data = chat_pool_take(text->pool, capacity, 1, text->error);
    if (data == NULL) return LOAM_ERROR_MEMORY;
    if (text->size > 0) memcpy(data, text->data, text->size);
    text->data = data;
    text->capacity = capacity;
    return LOAM_OK;
}

static enum loam_status add_span(struct chat_text *text, uint32_t origin)
{
    if (text->span_count == text->span_capacity) {
        size_t capacity = text->span_capacity == 0 ? 4 : text->span_capacity * 2;
        struct chat_span *spans = chat_pool_take(text->pool, capacity, sizeof *spans, text->error);
        if (spans == NULL) return LOAM_ERROR_MEMORY;
        if (text->span_count > 0) memcpy(spans, text->spans, text->span_count * sizeof *spans);
        text->spans = spans;
        text->span_capacity = capacity;
    }
    text->spans[text->span_count++] = (struct chat_span){(uint32_t)text->size, origin};
    return LOAM_OK;
}

enum loam_status chat_text_append(struct chat_text *text, const char *data, size_t size, uint32_t origin)
{
    if (size == 0) return LOAM_OK;
    if (text->limit > 0 && (size > text->limit || text->size > text->limit - size))
        return loam_fail(text->error, LOAM_ERROR_FORMAT, "the template writes more than %zu MiB",
                         text->limit >> 20);
    if (size > text->capacity - text->size) LOAM_TRY(grow_data(text, size));
    if (text->span_count == 0 || text->spans[text->span_count - 1].origin != origin)
        LOAM_TRY(add_span(text, origin));
    memcpy(text->data + text->size, data, size);
    text->size += size;
    text->spans[text->span_count - 1].end = (uint32_t)text->size;
    return LOAM_OK;
}

enum loam_status chat_text_append_words(struct chat_text *text, const char *words, uint32_t origin)
{
    return chat_text_append(text, words, strlen(words), origin);
}

enum loam_status chat_text_append_part(struct chat_text *text, const struct chat_string *string, size_t from,
                                       size_t to, uint32_t flags)
{
    if (from >= to) return LOAM_OK;
    if (string->span_count == 0)
        return chat_text_append(text, string->data + from, to - from, string->origin | flags);
    size_t begin = 0;
    for (uint32_t i = 0; i < string->span_count && begin < to; i++) {
        size_t end = string->spans[i].end;
        size_t first = begin > from ? begin : from, last = end < to ? end : to;
        if (first < last)
            LOAM_TRY(
                chat_text_append(text, string->data + first, last - first, string->spans[i].origin | flags));
        begin = end;
    }
    return LOAM_OK;
}

enum loam_status chat_text_append_string(struct chat_text *text, const struct chat_string *string)
{
    return chat_text_append_part(text, string, 0, string->size, 0);
}

enum loam_status chat_text_append_code(struct chat_text *text, uint32_t code, uint32_t origin)
{
    char bytes[LOAM_UTF8_MAX];
    return chat_text_append(text, bytes, loam_utf8_encode((int32_t)code, bytes), origin);
}

static struct chat_string *make_string(struct chat_value *value, const char *data, size_t size,
                                       uint32_t origin, struct chat_pool *pool, struct loam_error *error)
{
    struct chat_string *string = chat_pool_take(pool, 1, sizeof *string, error);
    if (string == NULL) return NULL;
    if (data == NULL) data = "";
    *string = (struct chat_string){
        .data = data,
        .size = (uint32_t)size,
        .length = (uint32_t)loam_utf8_count(data, size),
        .hash = loam_hash_bytes(data, size),
        .origin = origin,
    };
    *value = chat_from_string(string);
    return string;
}

enum loam_status chat_text_finish(struct chat_text *text, struct chat_value *value)
{
    uint32_t origin = text->span_count == 0 ? CHAT_TEMPLATE_ORIGIN : text->spans[0].origin;
    struct chat_string *string = make_string(value, text->data, text->size, origin, text->pool, text->error);
    if (string == NULL) return LOAM_ERROR_MEMORY;
    if (text->span_count > 1) {
        string->spans = text->spans;
        string->span_count = (uint32_t)text->span_count;
    }
    return LOAM_OK;
}

enum loam_status chat_string_create(struct chat_value *string, const char *data, size_t size, uint32_t origin,
                                    struct chat_pool *pool, struct loam_error *error)
{
    if (size > UINT32_MAX / 4) return loam_fail(error, LOAM_ERROR_FORMAT, "a string is longer than 1 GiB");
    return make_string(string, data, size, origin, pool, error) == NULL ? LOAM_ERROR_MEMORY : LOAM_OK;
}

enum loam_status chat_string_copy(struct chat_value *string, const char *data, size_t size, uint32_t origin,
                                  struct chat_pool *pool, struct loam_error *error)
{
    char *copy = chat_pool_take(pool, size, 1, error);
    if (copy == NULL) return LOAM_ERROR_MEMORY;
    if (size > 0) memcpy(copy, data, size);
    return chat_string_create(string, copy, size, origin, pool, error);
}

enum loam_status chat_string_part(struct chat_value *part, const struct chat_string *string, size_t from,
                                  size_t to, struct chat_pool *pool, struct loam_error *error)
{
    if (to < from) to = from;
    if (from == 0 && to == string->size) {
        *part = chat_from_string(string);
        return LOAM_OK;
    }
    struct chat_string *made =
        make_string(part, string->data + from, to - from, chat_string_origin_at(string, from), pool, error);
    if (made == NULL) return LOAM_ERROR_MEMORY;
    uint32_t first = 0, last = 0; // spans that the part touches: [first, last)
    while (first < string->span_count && string->spans[first].end <= from)
        first++;
    for (last = first; last < string->span_count && (last == first || string->spans[last - 1].end < to);)
        last++;
    if (last - first < 2) return LOAM_OK;
    struct chat_span *spans = chat_pool_take(pool, last - first, sizeof *spans, error);
    if (spans == NULL) return LOAM_ERROR_MEMORY;
    for (uint32_t i = first; i < last; i++) {
        size_t end = string->spans[i].end < to ? string->spans[i].end : to;
        spans[i - first] = (struct chat_span){(uint32_t)(end - from), string->spans[i].origin};
    }
    made->spans = spans;
    made->span_count = last - first;
    return LOAM_OK;
}

uint32_t chat_string_origin_at(const struct chat_string *string, size_t byte)
{
    for (uint32_t i = 0; i < string->span_count; i++)
        if (byte < string->spans[i].end) return string->spans[i].origin;
    return string->span_count > 0 ? string->spans[string->span_count - 1].origin : string->origin;
}

size_t chat_string_byte(const struct chat_string *string, size_t index)
{
    if (index >= string->length) return string->size;
    if (string->length == string->size) return index;
    size_t at = 0;
    for (; index > 0; index--)
        do
            at++;
        while (((unsigned char)string->data[at] & 0xC0) == 0x80);
    return at;
}

size_t chat_string_character(const struct chat_string *string, size_t byte)
{
    return string->length == string->size ? byte : loam_utf8_count(string->data, byte);
}

size_t chat_string_find(const struct chat_string *string, const struct chat_string *words, size_t from,
                        size_t to)
{
    if (from > to || to - from < words->size) return SIZE_MAX;
    if (words->size == 0) return from;
    const char *found = memmem(string->data + from, to - from, words->data, words->size);
    return found == NULL ? SIZE_MAX : (size_t)(found - string->data);
}

size_t chat_string_find_last(const struct chat_string *string, const struct chat_string *words, size_t from,
                             size_t to)
{
    if (from > to || to - from < words->size) return SIZE_MAX;
    for (size_t at = to - words->size;; at--) {
        if (memcmp(string->data + at, words->data, words->size) == 0) return at;
        if (at == from) return SIZE_MAX;
    }
}

bool chat_string_is(const struct chat_string *string, const char *words)
{
    size_t size = strlen(words);
    return string->size == size && memcmp(string->data, words, size) == 0;
}
