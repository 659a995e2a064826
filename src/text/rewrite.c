#include "text/steps.h"

#include <string.h>

#include "text/byte_level.h"

enum loam_status loam_rewrite_prepend(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                      size_t end, struct loam_matcher *matcher, struct loam_error *error)
{
    (void)matcher;
    if (!loam_pieces_continues(pieces, start))
        LOAM_TRY(loam_pieces_put(pieces, step->content.data, step->content.size,
                                 loam_source_origin(&pieces->text, start), error));
    return loam_pieces_copy(pieces, start, end, error);
}

enum loam_status loam_rewrite_replace(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                      size_t end, struct loam_matcher *matcher, struct loam_error *error)
{
    loam_matcher_begin(matcher, &step->pattern, pieces->text.bytes + start, end - start);
    size_t done = start;
    for (;;) {
        bool found;
        LOAM_TRY(loam_matcher_next(matcher, &found, error));
        if (!found) break;
        size_t match_end = start + matcher->end;
        LOAM_TRY(loam_pieces_copy(pieces, done, start + matcher->start, error));
        // The origin of the content is the last byte of the match or before it, or an empty span at the
        // piece's start.
        struct loam_origin origin = loam_source_origin(&pieces->text, start);
        origin.end = origin.start;
        if (match_end > start) origin = loam_source_origin(&pieces->text, match_end - 1);
        LOAM_TRY(loam_pieces_put(pieces, step->content.data, step->content.size, origin, error));
        done = match_end;
    }
    return loam_pieces_copy(pieces, done, end, error);
}

static enum loam_status put_character(struct loam_pieces *pieces, int32_t code_point,
                                      struct loam_origin origin, struct loam_error *error)
{
    char bytes[LOAM_UTF8_MAX];
    return loam_pieces_put(pieces, bytes, loam_utf8_encode(code_point, bytes), origin, error);
}

enum loam_status loam_rewrite_lowercase(const struct loam_step *step, struct loam_pieces *pieces,
                                        size_t start, size_t end, struct loam_matcher *matcher,
                                        struct loam_error *error)
{
    (void)step;
    (void)matcher;
    // The only character whose lower case is two characters: capital I with a dot becomes i and a combining
    // dot.
    const int32_t dotted_i = 0x130;
    const int32_t dot_above = 0x307;
    for (size_t at = start; at < end;) {
        size_t length;
        int32_t code_point = loam_utf8_decode(pieces->text.bytes + at, &length);
        struct loam_origin origin = loam_source_origin(&pieces->text, at);
        LOAM_TRY(put_character(pieces, loam_char_lower(code_point), origin, error));
        // The origin of an added character is the byte before it.
        if (code_point == dotted_i) {
            origin = loam_source_origin(&pieces->text, at + length - 1);
            LOAM_TRY(put_character(pieces, dot_above, origin, error));
        }
        at += length;
    }
    return LOAM_OK;
}

enum loam_status loam_rewrite_strip(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                                    size_t end, struct loam_matcher *matcher, struct loam_error *error)
{
    (void)matcher;
    const char *bytes = pieces->text.bytes;
    size_t length;
    while (step->strip_left && start < end &&
           loam_char_is_whitespace(loam_utf8_decode(bytes + start, &length)))
        start += length;
    while (step->strip_right && start < end) {
        size_t last = end - loam_utf8_last(bytes + start, end - start);
        if (!loam_char_is_whitespace(loam_utf8_decode(bytes + last, &length))) break;
        end = last;
    }
    return loam_pieces_copy(pieces, start, end, error);
}

enum loam_status loam_rewrite_metaspace(const struct loam_step *step, struct loam_pieces *pieces,
                                        size_t start, size_t end, struct loam_matcher *matcher,
                                        struct loam_error *error)
{
    (void)matcher;
    const struct loam_bytes *mark = &step->content;
    const char *bytes = pieces->text.bytes;
    bool marked = bytes[start] == ' ' ||
                  (end - start >= mark->size && memcmp(bytes + start, mark->data, mark->size) == 0);
    struct loam_origin first = loam_source_origin(&pieces->text, start);
    bool wanted = step->prepend_scheme == LOAM_PREPEND_ALWAYS ||
                  (step->prepend_scheme == LOAM_PREPEND_FIRST && first.start == 0);
    if (wanted && !marked && !loam_pieces_continues(pieces, start))
        LOAM_TRY(loam_pieces_put(pieces, mark->data, mark->size, first, error));
    while (start < end) {
        const char *space = memchr(bytes + start, ' ', end - start);
        size_t until = space == NULL ? end : (size_t)(space - bytes);
        LOAM_TRY(loam_pieces_copy(pieces, start, until, error));
        if (space != NULL)
            LOAM_TRY(loam_pieces_put(pieces, mark->data, mark->size, loam_source_origin(&pieces->text, until),
                                     error));
        start = until + 1;
    }
    return LOAM_OK;
}

enum loam_status loam_rewrite_prefix_space(const struct loam_step *step, struct loam_pieces *pieces,
                                           size_t start, size_t end, struct loam_matcher *matcher,
                                           struct loam_error *error)
{
    (void)step;
    (void)matcher;
    if (pieces->text.bytes[start] != ' ' && !loam_pieces_continues(pieces, start))
        LOAM_TRY(loam_pieces_put(pieces, " ", 1, loam_source_origin(&pieces->text, start), error));
    return loam_pieces_copy(pieces, start, end, error);
}

enum loam_status loam_rewrite_byte_level(const struct loam_step *step, struct loam_pieces *pieces,
                                         size_t start, size_t end, struct loam_matcher *matcher,
                                         struct loam_error *error)
{
    (void)step;
    (void)matcher;
    for (size_t at = start; at < end; at++) {
        int32_t character = loam_byte_level_character((unsigned char)pieces->text.bytes[at]);
        LOAM_TRY(put_character(pieces, character, loam_source_origin(&pieces->text, at), error));
    }
    return LOAM_OK;
}
