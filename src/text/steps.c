#include "text/steps.h"

#include <stdlib.h>

#include "text/grow.h"

static void deinit_step(struct loam_step *step)
{
    loam_pattern_deinit(&step->pattern);
    loam_bytes_deinit(&step->content);
}

void loam_steps_deinit(struct loam_steps *steps)
{
    for (size_t i = 0; i < steps->count; i++)
        deinit_step(&steps->items[i]);
    free(steps->items);
    *steps = (struct loam_steps){0};
}

enum loam_status loam_steps_add(struct loam_steps *steps, struct loam_step *step, struct loam_error *error)
{
    struct loam_step *grown =
        loam_grow(steps->items, &steps->capacity, steps->count + 1, sizeof *grown, error);
    if (grown == NULL) {
        deinit_step(step);
        return LOAM_ERROR_MEMORY;
    }
    steps->items = grown;
    steps->items[steps->count++] = *step;
    return LOAM_OK;
}

// ---- Splitting ----

// The part that is complete but for what may still be joined to it.
struct pending {
    bool held;
    size_t start;
    size_t end;
    bool was_match; // the last part that came was a match
};

// Whether a part is joined to the pending one.
static bool joins(enum loam_split_behavior behavior, const struct pending *pending, bool match)
{
    if (!pending->held) return false;
    switch (behavior) {
    case LOAM_SPLIT_CONTIGUOUS:
        return match == pending->was_match;
    case LOAM_SPLIT_MERGED_WITH_PREVIOUS:
        return match && !pending->was_match;
    case LOAM_SPLIT_MERGED_WITH_NEXT:
        return !match && pending->was_match;
    default:
        return false;
    }
}

static enum loam_status add_part(const struct loam_step *step, struct loam_pieces *pieces,
                                 struct pending *pending, size_t start, size_t end, bool match,
                                 struct loam_error *error)
{
    if (step->behavior == LOAM_SPLIT_REMOVED && match) return LOAM_OK;
    if (joins(step->behavior, pending, match)) {
        pending->end = end;
    } else {
        if (pending->held) LOAM_TRY(loam_pieces_push(pieces, pending->start, pending->end, -1, error));
        *pending = (struct pending){.held = true, .start = start, .end = end};
    }
    pending->was_match = match;
    return LOAM_OK;
}

static enum loam_status split(const struct loam_step *step, struct loam_pieces *pieces, size_t start,
                              size_t end, struct loam_matcher *matcher, struct loam_error *error)
{
    loam_matcher_begin(matcher, &step->pattern, pieces->text.bytes + start, end - start);
    struct pending pending = {0};
    size_t done = start;
    for (;;) {
        bool found;
        LOAM_TRY(loam_matcher_next(matcher, &found, error));
        if (!found) break;
        size_t match_start = start + matcher->start;
        size_t match_end = start + matcher->end;
        if (done != match_start)
            LOAM_TRY(add_part(step, pieces, &pending, done, match_start, step->invert, error));
        LOAM_TRY(add_part(step, pieces, &pending, match_start, match_end, !step->invert, error));
        done = match_end;
    }
    if (done != end) LOAM_TRY(add_part(step, pieces, &pending, done, end, step->invert, error));
    return pending.held ? loam_pieces_push(pieces, pending.start, pending.end, -1, error) : LOAM_OK;
}

// ---- Running ----

static enum loam_status run_piece(const struct loam_step *step, struct loam_pieces *pieces, size_t index,
                                  struct loam_matcher *matcher, struct loam_error *error)
{
    struct loam_piece piece = pieces->list.items[index];
    bool rewrites = step->rewrite != NULL;
    if (piece.token >= 0) return loam_pieces_pass(pieces, index, rewrites, error);
    if (!rewrites) return split(step, pieces, piece.start, piece.end, matcher, error);
    size_t start = pieces->next_text.size;
    LOAM_TRY(step->rewrite(step, pieces, piece.start, piece.end, matcher, error));
    return loam_pieces_push(pieces, start, pieces->next_text.size, -1, error);
}

enum loam_status loam_steps_run(const struct loam_steps *steps, struct loam_pieces *pieces,
                                struct loam_matcher *matcher, struct loam_error *error)
{
    for (size_t i = 0; i < steps->count; i++) {
        for (size_t j = 0; j < pieces->list.count; j++)
            LOAM_TRY(run_piece(&steps->items[i], pieces, j, matcher, error));
        loam_pieces_swap(pieces, steps->items[i].rewrite != NULL);
    }
    return LOAM_OK;
}
