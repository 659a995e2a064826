// Runs a text through stages that rewrite it and cut it into pieces. Each piece goes through all stages
// before the next one is cut off, so that no list of the pieces of a long text is in memory. Every byte that
// a stage makes has an origin: the bytes of the original text that it comes from.
#ifndef LOAM_TEXT_PIECES_H
#define LOAM_TEXT_PIECES_H

#include <stdbool.h>
#include <stdint.h>

#include "text/pattern.h"

struct loam_origin {
    uint32_t start; // byte span in the original text
    uint32_t end;
};

struct loam_piece {
    size_t start; // byte span in the text that the stage reads
    size_t end;
    int32_t token; // -1: still to be encoded; else an added token, and no stage touches it any more
};

// What a stage reads: the original text, or what another stage made.
struct loam_source_text {
    const char *bytes;
    const struct loam_origin
        *origins; // one a byte; NULL: the original text, where it is its character's span
};
struct loam_origin loam_source_origin(const struct loam_source_text *text, size_t at);

struct loam_made_text {
    char *bytes;                 // [size]
    struct loam_origin *origins; // [size]
    size_t size;
    size_t capacity;
};

struct loam_pieces {
    struct loam_source_text text;
    struct loam_made_text *owner; // of `text`, when it is read just once; else NULL
    struct loam_made_text made;   // of the present piece, by a stage that rewrites
    size_t limit;                 // bytes that a rewritten text may have
    size_t most;                  // bytes that `owner` and `made` had together before one was given up
    bool continues;               // the text goes on from another: no step puts anything in front of it
};

// For a stage that rewrites: append to what it makes with one origin for all of the bytes,
// or as the present text has it.
enum loam_status loam_pieces_put(struct loam_pieces *pieces, const char *bytes, size_t size,
                                 struct loam_origin origin, struct loam_error *error);
enum loam_status loam_pieces_keep(struct loam_pieces *pieces, size_t start, size_t end,
                                  struct loam_error *error);

// Stages lie in an array; each gives its pieces to the one after it.
struct loam_stage {
    enum loam_status (*run)(struct loam_stage *stage, struct loam_piece piece, struct loam_error *error);
    const void *what; // the step, the table of tokens, or what else `run` works with
    void *user;
    struct loam_pieces pieces;
    struct loam_matcher matcher;
};

// Runs the stages on `text` (valid UTF-8, less than 2 GiB). An empty text gives no piece.
enum loam_status loam_stages_run(struct loam_stage *stages, size_t count, const char *text, size_t size,
                                 struct loam_error *error);
void loam_stages_deinit(struct loam_stage *stages, size_t count);
size_t loam_stages_bytes(const struct loam_stage *stages, size_t count); // the most that they have held

// For `run`: the next stage gets bytes [start, end) of the text that this one reads, or all that it made; an
// empty piece is left out.
enum loam_status loam_stage_give(struct loam_stage *stage, size_t start, size_t end, int32_t token,
                                 struct loam_error *error);
enum loam_status loam_stage_give_made(struct loam_stage *stage, struct loam_error *error);
// For a stage that rewrites and has read its text: releases the text where nothing else reads it.
void loam_stage_drop_source(struct loam_stage *stage);
// For a stage that rewrites: whether the piece that starts at `start` is the beginning of a text that goes on
// from another.
bool loam_pieces_continues(const struct loam_pieces *pieces, size_t start);

#endif
