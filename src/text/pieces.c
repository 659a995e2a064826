#include "text/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "text/grow.h"
#include "text/unicode.h"

enum {
    // NFKD makes at most 11 bytes of one; what goes far beyond comes from a file
    // that was made to exhaust memory.
    GROWTH_LIMIT = 64,
    GROWTH_FLOOR = 1 << 20, // bytes, so that a short text may still be given a long prefix
};

static enum loam_status reserve_text(struct loam_pieces *pieces, struct loam_origins_text *text, size_t more,
                                     struct loam_error *error)
{
    if (more > pieces->limit - text->size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "the tokenizer's normalizer blows the text up to more than %zu bytes",
                         pieces->limit);
    size_t needed = text->size + more;
    if (needed <= text->capacity) return LOAM_OK;
    size_t bytes_capacity = text->capacity;
    char *bytes = loam_grow(text->bytes, &bytes_capacity, needed, sizeof *bytes, error);
    if (bytes == NULL) return LOAM_ERROR_MEMORY;
    text->bytes = bytes;
    struct loam_origin *origins = loam_grow(text->origins, &text->capacity, needed, sizeof *origins, error);
    if (origins == NULL) return LOAM_ERROR_MEMORY;
    text->origins = origins;
    return LOAM_OK;
}

enum loam_status loam_pieces_init(struct loam_pieces *pieces, const char *text, size_t size,
                                  struct loam_error *error)
{
    *pieces = (struct loam_pieces){.limit = size * GROWTH_LIMIT + GROWTH_FLOOR};
    LOAM_TRY(reserve_text(pieces, &pieces->text, size, error));
    if (size > 0) memcpy(pieces->text.bytes, text, size);
    struct loam_origin *origins = pieces->text.origins;
    for (size_t at = 0; at < size;) {
        size_t length = loam_utf8_length(text[at]);
        struct loam_origin origin = {.start = (uint32_t)at, .end = (uint32_t)(at + length)};
        for (size_t i = 0; i < length; i++)
            origins[at + i] = origin;
        at += length;
    }
    pieces->text.size = size;
    LOAM_TRY(loam_pieces_push(pieces, 0, size, -1, error));
    loam_pieces_swap(pieces, false);
    return LOAM_OK;
}

void loam_pieces_deinit(struct loam_pieces *pieces)
{
    free(pieces->text.bytes);
    free(pieces->text.origins);
    free(pieces->list.items);
    free(pieces->next_text.bytes);
    free(pieces->next_text.origins);
    free(pieces->next_list.items);
    *pieces = (struct loam_pieces){0};
}

enum loam_status loam_pieces_put(struct loam_pieces *pieces, const char *bytes, size_t size,
                                 struct loam_origin origin, struct loam_error *error)
{
    struct loam_origins_text *text = &pieces->next_text;
    LOAM_TRY(reserve_text(pieces, text, size, error));
    for (size_t i = 0; i < size; i++) {
        text->bytes[text->size + i] = bytes[i];
        text->origins[text->size + i] = origin;
    }
    text->size += size;
    return LOAM_OK;
}

enum loam_status loam_pieces_keep(struct loam_pieces *pieces, size_t start, size_t end,
                                  struct loam_error *error)
{
    struct loam_origins_text *text = &pieces->next_text;
    size_t size = end - start;
    if (size == 0) return LOAM_OK;
    LOAM_TRY(reserve_text(pieces, text, size, error));
    memcpy(text->bytes + text->size, pieces->text.bytes + start, size);
    memcpy(text->origins + text->size, pieces->text.origins + start, size * sizeof *text->origins);
    text->size += size;
    return LOAM_OK;
}

enum loam_status loam_pieces_push(struct loam_pieces *pieces, size_t start, size_t end, int32_t token,
                                  struct loam_error *error)
{
    if (start == end) return LOAM_OK;
    struct loam_piece_list *list = &pieces->next_list;
    if (list->count == list->capacity) {
        struct loam_piece *grown =
            loam_grow(list->items, &list->capacity, list->count + 1, sizeof *grown, error);
        if (grown == NULL) return LOAM_ERROR_MEMORY;
        list->items = grown;
    }
    list->items[list->count++] = (struct loam_piece){.start = start, .end = end, .token = token};
    return LOAM_OK;
}

enum loam_status loam_pieces_pass(struct loam_pieces *pieces, size_t index, bool rewrites,
                                  struct loam_error *error)
{
    struct loam_piece piece = pieces->list.items[index];
    if (!rewrites) return loam_pieces_push(pieces, piece.start, piece.end, piece.token, error);
    size_t start = pieces->next_text.size;
    LOAM_TRY(loam_pieces_keep(pieces, piece.start, piece.end, error));
    return loam_pieces_push(pieces, start, pieces->next_text.size, piece.token, error);
}

bool loam_pieces_continues(const struct loam_pieces *pieces, size_t start)
{
    return pieces->continues && pieces->text.origins[start].start == 0;
}

void loam_pieces_swap(struct loam_pieces *pieces, bool rewrites)
{
    struct loam_piece_list list = pieces->list;
    pieces->list = pieces->next_list;
    pieces->next_list = list;
    pieces->next_list.count = 0;
    if (!rewrites) return;
    struct loam_origins_text text = pieces->text;
    pieces->text = pieces->next_text;
    pieces->next_text = text;
    pieces->next_text.size = 0;
}
