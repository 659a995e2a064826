#include "text/pieces.h"

#include <stdlib.h>
#include <string.h>

#include "base/grow.h"
#include "text/unicode.h"

enum {
    // A rewritten text may have GROWTH_LIMIT times the bytes of the original, plus GROWTH_FLOOR for long
    // prefixes of short texts. NFKD needs a factor of 11; only a malicious file needs more than the limit.
    GROWTH_LIMIT = 64,
    GROWTH_FLOOR = 1 << 20,
    LARGE = 1 << 16, // bytes; the memory of a larger text is not kept for the next piece
};

static enum loam_status reserve_text(struct loam_pieces *pieces, struct loam_made_text *text, size_t more,
                                     struct loam_error *error)
{
    if (more > pieces->limit - text->size)
        return loam_fail(error, LOAM_ERROR_FORMAT,
                         "the tokenizer's normalizer makes more than %zu bytes of the text", pieces->limit);
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

struct loam_origin loam_source_origin(const struct loam_source_text *text, size_t at)
{
    if (text->origins != NULL) return text->origins[at];
    while (((unsigned char)text->bytes[at] & 0xC0) == 0x80)
        at--;
    return (struct loam_origin){.start = (uint32_t)at,
                                .end = (uint32_t)(at + loam_utf8_length(text->bytes[at]))};
}

enum loam_status loam_pieces_put(struct loam_pieces *pieces, const char *bytes, size_t size,
                                 struct loam_origin origin, struct loam_error *error)
{
    struct loam_made_text *made = &pieces->made;
    LOAM_TRY(reserve_text(pieces, made, size, error));
    for (size_t i = 0; i < size; i++) {
        made->bytes[made->size + i] = bytes[i];
        made->origins[made->size + i] = origin;
    }
    made->size += size;
    return LOAM_OK;
}

enum loam_status loam_pieces_copy(struct loam_pieces *pieces, size_t start, size_t end,
                                  struct loam_error *error)
{
    struct loam_made_text *made = &pieces->made;
    const struct loam_source_text *text = &pieces->text;
    size_t size = end - start;
    if (size == 0) return LOAM_OK;
    LOAM_TRY(reserve_text(pieces, made, size, error));
    memcpy(made->bytes + made->size, text->bytes + start, size);
    struct loam_origin *origins = made->origins + made->size;
    if (text->origins != NULL) {
        memcpy(origins, text->origins + start, size * sizeof *origins);
    } else {
        for (size_t i = 0; i < size; i++)
            origins[i] = loam_source_origin(text, start + i);
    }
    made->size += size;
    return LOAM_OK;
}

// ---- Stages ----

enum loam_status loam_stage_emit(struct loam_stage *stage, size_t start, size_t end, int32_t token,
                                 struct loam_error *error)
{
    if (start == end) return LOAM_OK;
    struct loam_stage *next = stage + 1;
    next->pieces.text = stage->pieces.text;
    next->pieces.owner = NULL;
    return next->run(next, (struct loam_piece){.start = start, .end = end, .token = token}, error);
}

enum loam_status loam_stage_emit_made(struct loam_stage *stage, struct loam_error *error)
{
    struct loam_made_text *made = &stage->pieces.made;
    if (made->size == 0) return LOAM_OK;
    struct loam_stage *next = stage + 1;
    next->pieces.text = (struct loam_source_text){.bytes = made->bytes, .origins = made->origins};
    next->pieces.owner = made;
    return next->run(next, (struct loam_piece){.start = 0, .end = made->size, .token = -1}, error);
}

static void free_made(struct loam_made_text *made)
{
    free(made->bytes);
    free(made->origins);
    *made = (struct loam_made_text){0};
}

static size_t made_bytes(const struct loam_made_text *made)
{
    return made->capacity * (sizeof *made->bytes + sizeof *made->origins);
}

void loam_stage_drop_source(struct loam_stage *stage)
{
    struct loam_pieces *pieces = &stage->pieces;
    if (pieces->owner == NULL || pieces->owner->capacity < LARGE) return;
    size_t bytes = made_bytes(pieces->owner) + made_bytes(&pieces->made);
    if (bytes > pieces->peak_bytes) pieces->peak_bytes = bytes;
    free_made(pieces->owner);
    pieces->owner = NULL;
    pieces->text = (struct loam_source_text){0};
}

enum loam_status loam_stages_run(struct loam_stage *stages, size_t count, const char *text, size_t size,
                                 struct loam_error *error)
{
    if (size == 0) return LOAM_OK;
    for (size_t i = 0; i < count; i++)
        stages[i].pieces.limit = size * GROWTH_LIMIT + GROWTH_FLOOR;
    stages->pieces.text = (struct loam_source_text){.bytes = text};
    return stages->run(stages, (struct loam_piece){.start = 0, .end = size, .token = -1}, error);
}

void loam_stages_deinit(struct loam_stage *stages, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free_made(&stages[i].pieces.made);
        loam_matcher_deinit(&stages[i].matcher);
    }
}

size_t loam_stages_bytes(const struct loam_stage *stages, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += made_bytes(&stages[i].pieces.made);
    for (size_t i = 0; i < count; i++)
        bytes = stages[i].pieces.peak_bytes > bytes ? stages[i].pieces.peak_bytes : bytes;
    size_t matching = 0;
    for (size_t i = 0; i < count; i++) {
        size_t match = loam_matcher_bytes(&stages[i].matcher);
        matching = match > matching ? match : matching;
    }
    return bytes > matching ? bytes : matching;
}

bool loam_pieces_continues(const struct loam_pieces *pieces, size_t start)
{
    return pieces->continues && loam_source_origin(&pieces->text, start).start == 0;
}
