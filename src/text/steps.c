#include "text/steps.h"

#include <stdlib.h>

#include "base/grow.h"

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
    struct loam_step *grown = NULL;
    if (steps->count == LOAM_MAX_STEPS)
        loam_fail(error, LOAM_ERROR_UNSUPPORTED, "more than %d steps; loam supports no more", LOAM_MAX_STEPS);
    else
        grown = loam_grow(steps->items, &steps->capacity, steps->count + 1, sizeof *grown, error);
    if (grown == NULL) {
        deinit_step(step);
        return steps->count == LOAM_MAX_STEPS ? LOAM_ERROR_UNSUPPORTED : LOAM_ERROR_MEMORY;
    }
    steps->items = grown;
    steps->items[steps->count++] = *step;
    return LOAM_OK;
}

// ---- Splitting ----

// A piece that the next part may still extend.
struct pending {
    bool exists;
    size_t start;
    size_t end;
    bool was_match; // the last part was a match
};

// Whether the next part extends the pending piece.
static bool is_joined(enum loam_split_behavior behavior, const struct pending *pending, bool match)
{
    if (!pending->exists) return false;
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

static enum loam_status add_part(const struct loam_step *step, struct loam_stage *stage,
                                 struct pending *pending, size_t start, size_t end, bool match,
                                 struct loam_error *error)
{
    if (step->behavior == LOAM_SPLIT_REMOVED && match) return LOAM_OK;
    if (is_joined(step->behavior, pending, match)) {
        pending->end = end;
    } else {
        if (pending->exists) LOAM_TRY(loam_stage_emit(stage, pending->start, pending->end, -1, error));
        *pending = (struct pending){.exists = true, .start = start, .end = end};
    }
    pending->was_match = match;
    return LOAM_OK;
}

static enum loam_status split(const struct loam_step *step, struct loam_stage *stage, size_t start,
                              size_t end, struct loam_error *error)
{
    struct loam_matcher *matcher = &stage->matcher;
    loam_matcher_begin(matcher, &step->pattern, stage->pieces.text.bytes + start, end - start);
    struct pending pending = {0};
    size_t done = start;
    for (;;) {
        bool found;
        LOAM_TRY(loam_matcher_next(matcher, &found, error));
        if (!found) break;
        size_t match_start = start + matcher->start;
        size_t match_end = start + matcher->end;
        if (done != match_start)
            LOAM_TRY(add_part(step, stage, &pending, done, match_start, step->invert, error));
        LOAM_TRY(add_part(step, stage, &pending, match_start, match_end, !step->invert, error));
        done = match_end;
    }
    if (done != end) LOAM_TRY(add_part(step, stage, &pending, done, end, step->invert, error));
    return pending.exists ? loam_stage_emit(stage, pending.start, pending.end, -1, error) : LOAM_OK;
}

// ---- Running ----

static enum loam_status run_step(struct loam_stage *stage, struct loam_piece piece, struct loam_error *error)
{
    const struct loam_step *step = stage->data;
    struct loam_pieces *pieces = &stage->pieces;
    if (piece.token >= 0) return loam_stage_emit(stage, piece.start, piece.end, piece.token, error);
    if (step->rewrite == NULL) return split(step, stage, piece.start, piece.end, error);
    pieces->made.size = 0;
    LOAM_TRY(step->rewrite(step, pieces, piece.start, piece.end, &stage->matcher, error));
    loam_stage_drop_source(stage);
    return loam_stage_emit_made(stage, error);
}

void loam_steps_make_stages(const struct loam_steps *steps, struct loam_stage *stages)
{
    for (size_t i = 0; i < steps->count; i++)
        stages[i] = (struct loam_stage){.run = run_step, .data = &steps->items[i]};
}
